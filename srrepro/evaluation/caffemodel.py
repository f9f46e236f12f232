"""Caffe's weight files: the arrays of every layer, read field by field, so that no protobuf package is needed.

A file is a message of numbered fields, some of them messages themselves (code: caffe.proto). Nothing is believed that
was not checked: a damaged or hostile file ends in a ValueError, and takes no more memory than a few times its size.
"""

import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

_LARGEST = 4 << 20
"""Bytes of a file; those that are known here have 2 MiB."""
_FIELDS = 1000
"""In one message. Every field costs time, and may have two bytes; those that are known here have 84 at most."""
_LETTERS = 100  # ours: every array of a layer has its name, which may be as long as the file
_AXES = 32  # code: caffe's blob.hpp, kMaxBlobAxes
_LAYER, _NAME, _BLOBS = 100, 1, 7  # code: caffe.proto, NetParameter.layer, LayerParameter.name and .blobs
_DATA, _SHAPE, _DIM = 5, 7, 1  # code: caffe.proto, BlobProto.data and .shape, BlobShape.dim
_FIXED = {1: 8, 5: 4}
"""Bytes of a value, by the kind of the field."""


def read_caffemodel(path: Path) -> dict[str, Float32[ndarray, "..."]]:
    """Every array of a .caffemodel: `conv1.0` is the first of layer `conv1`, its weights; `conv1.1` its biases.

    Raises
    ------
    ValueError : the file is damaged, has no layers, or is too large to be looked at.
    """
    with path.open("rb") as file:
        message = memoryview(file.read(_LARGEST + 1))
    if len(message) > _LARGEST:
        msg = f"more than {_LARGEST} bytes; no file that is known here is as large"
        raise ValueError(msg)
    arrays: dict[str, ndarray] = {}
    for layer in _parts(message, _LAYER):
        name = bytes(next(_parts(layer, _NAME), b""))[:_LETTERS].decode(errors="replace")
        for number, blob in enumerate(_parts(layer, _BLOBS)):
            key = f"{name}.{number}"
            if key in arrays:
                msg = f"two arrays are called {key!r}"
                raise ValueError(msg)
            arrays[key] = _array(blob, key)
    if not arrays:
        msg = "no layers with arrays in it: no .caffemodel, or one from before Caffe's layers had names for types"
        raise ValueError(msg)
    return arrays


def _array(blob: memoryview, key: str) -> Float32[ndarray, "..."]:
    data = b"".join(_parts(blob, _DATA))
    sides = (side for part in _parts(blob, _SHAPE) for packed in _parts(part, _DIM) for side in _sides(packed))
    shape = list(islice(sides, _AXES + 1))
    if len(shape) > _AXES or len(data) != 4 * math.prod(shape) or not data:
        msg = f"{key!r} has {len(data)} bytes of data, but should be of shape {shape}"
        raise ValueError(msg)
    return np.frombuffer(data, "<f4").astype(np.float32).reshape(shape)


def _sides(packed: memoryview) -> Iterator[int]:
    at = 0
    while at < len(packed):
        side, at = _varint(packed, at)
        yield side


def _parts(message: memoryview, number: int) -> Iterator[memoryview]:
    """The values of all fields of that number."""
    for found, value in _fields(message):
        if found == number:
            if isinstance(value, int):
                msg = f"field {number} holds a number, not bytes"
                raise ValueError(msg)
            yield value


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    at = count = 0
    while at < len(message):
        count += 1
        if count > _FIELDS:
            msg = f"more than {_FIELDS} fields in one message"
            raise ValueError(msg)
        key, at = _varint(message, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield number, value
        elif kind == 2 or kind in _FIXED:
            length, at = _varint(message, at) if kind == 2 else (_FIXED[kind], at)
            if length > len(message) - at:
                msg = f"field {number} should have {length} bytes, but {len(message) - at} are left"
                raise ValueError(msg)
            yield number, message[at : at + length]
            at += length
        else:
            msg = f"field {number} is of kind {kind}, which no .caffemodel has"
            raise ValueError(msg)


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """A number, seven bits a byte, and where it ends."""
    if at < len(message) and message[at] < 128:  # nearly always
        return message[at], at + 1
    value = 0
    for place, byte in enumerate(message[at : at + 10]):
        value |= (byte & 127) << 7 * place
        if byte < 128:
            return value, at + place + 1
    msg = "a number has no end"
    raise ValueError(msg)
