"""Caffe's weight files: what is read, and that nothing else than a ValueError comes of a damaged one."""

from pathlib import Path
from random import Random

import numpy as np
import pytest
from numpy import ndarray

from srrepro.evaluation.caffemodel import read_caffemodel


def varint(value: int) -> bytes:
    return (bytes([value & 127 | 128]) + varint(value >> 7)) if value > 127 else bytes([value])


def part(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def blob(shape: list[int], data: bytes) -> bytes:
    return part(7, part(5, data) + part(7, part(1, b"".join(varint(side) for side in shape))))


def layer(name: str, *arrays: ndarray) -> bytes:
    blobs = b"".join(blob(list(array.shape), array.astype("<f4").tobytes()) for array in arrays)
    return part(100, part(1, name.encode()) + part(2, b"Convolution") + blobs + varint(10 << 3) + varint(1))


WEIGHTS = np.random.default_rng(0).random((5, 2, 3, 3), np.float32)
BIASES = np.arange(5, dtype=np.float32)
WHOLE = part(1, b"IDN") + layer("conv1", WEIGHTS, BIASES) + layer("relu") + layer("conv2", WEIGHTS)


def read(content: bytes, folder: Path) -> dict[str, ndarray]:
    path = folder / "made.caffemodel"
    path.write_bytes(content)
    return read_caffemodel(path)


def test_arrays_are_named_by_layer_and_place(tmp_path: Path) -> None:
    arrays = read(WHOLE, tmp_path)
    assert list(arrays) == ["conv1.0", "conv1.1", "conv2.0"]
    np.testing.assert_array_equal(arrays["conv1.0"], WEIGHTS)
    np.testing.assert_array_equal(arrays["conv1.1"], BIASES)
    assert all(array.dtype == np.float32 and array.flags.writeable for array in arrays.values())


FOUR = b"\0" * 4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no layers"),
        (part(2, b"layers of version 1"), "no layers"),
        (b"\x80" * 11, "no end"),
        (b"\x80", "no end"),
        (varint(100 << 3 | 2) + varint(1 << 63), "left"),
        (varint(100 << 3 | 3), "kind 3"),
        (varint(100 << 3) + varint(5), "field 100 holds a number"),
        (part(100, blob([2], FOUR)), "bytes of data"),
        (part(100, blob([1 << 62, 1 << 62], FOUR)), "bytes of data"),
        (part(100, blob([1 << 63, 0], b"")), "bytes of data"),
        (part(100, blob([1] * 33, FOUR)), "bytes of data"),
        (part(100, blob([1], b"\0" * 3)), "bytes of data"),
        (part(100, part(7, part(7, part(1, b"\x80")))), "no end"),
        (layer("conv1", BIASES) + layer("conv1", BIASES), "'conv1.0'"),
        (b"\0" * (4 << 20 | 1), "bytes; no file"),
        (b"\x08\0" * 1001, "more than 1000 fields"),
        (part(100, b"\x10\0" * 1001), "more than 1000 fields"),
    ],
)
def test_damaged_files_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        read(content, tmp_path)


def test_a_file_may_be_cut_or_changed_anywhere(tmp_path: Path) -> None:
    random = Random(0)
    cut = [WHOLE[:length] for length in range(0, len(WHOLE), 7)]
    changed = []
    for _ in range(300):
        bent = bytearray(WHOLE)
        for _ in range(random.randint(1, 4)):
            bent[random.randrange(len(bent))] = random.randrange(256)
        changed.append(bytes(bent))
    refused = 0
    for content in cut + changed:
        try:
            read(content, tmp_path)
        except ValueError:
            refused += 1
    assert len(cut) - 3 <= refused < len(cut + changed)
