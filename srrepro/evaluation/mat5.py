"""MATLAB files up to version 7, looked through before SciPy reads them: it believes every size that a file declares.

A few bytes may declare a cell array of any size, or be compressed from any number of zeros. Here every element is
unpacked within a limit, and its sizes are held against the bytes that there are.
"""

import io
import math
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import scipy.io

LARGEST = 64 << 20
"""Bytes of a file, of what it unpacks to, and of its arrays; those that are known here have 4 MiB at most."""
DEEPEST = 32
"""Structs and cells inside one another."""
_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8, 16: 1, 17: 2, 18: 4}
"""Of a number, by the type of the element that it is stored in."""
_CELL, _STRUCT, _CHAR = 1, 2, 4
_NUMBERS = {6: 8, 7: 4, 8: 1, 9: 1, 10: 2, 11: 2, 12: 4, 13: 4, 14: 8, 15: 8}
"""Bytes of a number in memory, by the class of an array."""
_COMPLEX = 0x08
_VARIABLE = 400
"""Bytes in memory of a variable, or of a member of a cell or struct, that holds nothing; in a file they are 8 to 64."""


def read_mat5(path: Path) -> dict[str, Any]:
    """The variables of a file, as `scipy.io.loadmat` gives them.

    Raises
    ------
    ValueError : no such file, or one that is damaged, too large or has variables of other kinds. Whatever else SciPy
        raises.
    """
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    _check(len(data) <= LARGEST, f"it has more than {LARGEST >> 20} MiB")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        arrays: dict[str, Any] = scipy.io.loadmat(io.BytesIO(_Looker(data).unpacked()))  # type: ignore[arg-type]
    return {name: array for name, array in arrays.items() if not name.startswith("__")}


class _Looker:
    def __init__(self, data: bytes) -> None:
        self.data, self.bytes, self.names = memoryview(data), 0, set[bytes]()
        marks = {b"\0\1IM": "<", b"\1\0MI": ">"}
        mark = data[_HEADER - 4 : _HEADER]
        _check(mark in marks, "it is no .mat file of MATLAB 5 to 7.3. Save it again: save('file.mat', '-v7')")
        self.order = marks[mark]

    def unpacked(self) -> bytes:
        """The file without compression, every element of which was looked at."""
        parts, at, left = [bytes(self.data[:_HEADER])], _HEADER, LARGEST
        while at < len(self.data):
            kind, start, end, after = self._tag(self.data, at)
            if kind == _COMPRESSED:
                part, at = _unpacked(self.data[start:end], left), end
            else:
                part, at = bytes(self.data[at:after]), after
            left -= len(part)
            view = memoryview(part)
            kind, start, end, _ = self._tag(view, 0)
            _check(kind == _MATRIX, f"it holds an element of kind {kind} that is no variable")
            name = self._matrix(view[start:end], 0)
            _check(name not in self.names, f"two variables are called {name.decode(errors='replace')!r}")
            self.names.add(name)
            parts.append(part)
        return b"".join(parts)

    def _tag(self, data: memoryview, at: int) -> tuple[int, int, int, int]:
        """Kind of an element, where its content begins and ends, and where the next one begins."""
        _check(at + 8 <= len(data), "it is cut short")
        kind, length = struct.unpack_from(f"{self.order}II", data, at)
        if kind >> 16:  # a small one has both in four bytes
            kind, length, start = kind & 0xFFFF, kind >> 16, at + 4
            _check(length <= 4, "an element of at most 4 bytes has more")
            return kind, start, start + length, at + 8
        start = at + 8
        _check(length <= len(data) - start, f"{length} bytes should follow, but {len(data) - start} are left")
        return kind, start, start + length, min(len(data), start + -(-length // 8) * 8)

    def _matrix(self, data: memoryview, depth: int) -> bytes:
        """Look at one variable, or one within another; its name."""
        _check(depth <= DEEPEST, "it is nested too deeply")
        self._allow(_VARIABLE)
        if not len(data):
            return b""
        flags, at = self._numbers(data, 0, "I")
        sides, at = self._numbers(data, at, "i")
        _, start, end, at = self._tag(data, at)
        name = bytes(data[start:end])
        _check(len(flags) == 2 and 1 <= len(sides) <= 32 and min(sides) >= 0, "a variable has no size")
        kind, count = flags[0] & 0xFF, math.prod(sides)
        if kind in {_CELL, _STRUCT}:
            members = count * (self._fields(data, at) if kind == _STRUCT else 1)
            at = self._after_fields(data, at) if kind == _STRUCT else at
            _check(max(count, members) * 8 <= len(data), f"{sides} members should follow, but cannot")
            for _ in range(members):
                inner, start, end, at = self._tag(data, at)
                _check(inner == _MATRIX, "a cell or a field holds no variable")
                self._matrix(data[start:end], depth + 1)
        else:
            _check(kind in _NUMBERS or kind == _CHAR, f"it holds a variable of the class {kind}, which is not read")
            complex_ = bool(flags[0] >> 8 & _COMPLEX)
            for _ in range(2 if complex_ else 1):
                stored, start, end, at = self._tag(data, at)
                _check(stored in _BYTES, f"numbers are stored as the kind {stored}, which is not known")
                right = (end - start) == count * _BYTES[stored]
                _check(right or (kind == _CHAR and count <= end - start), f"{sides} numbers should follow, but do not")
                self._allow(count * (_NUMBERS.get(kind, 4) + _BYTES[stored]))
        return name

    def _numbers(self, data: memoryview, at: int, form: str) -> tuple[tuple[int, ...], int]:
        kind, start, end, after = self._tag(data, at)
        _check(kind in {5, 6} and (end - start) % 4 == 0, "a variable has no head")
        return struct.unpack(f"{self.order}{(end - start) // 4}{form}", data[start:end]), after

    def _fields(self, data: memoryview, at: int) -> int:
        """How many fields a struct has."""
        (length, *more), at = self._numbers(data, at, "i") if at < len(data) else ((0,), at)
        _, start, end, _ = self._tag(data, at)
        _check(not more and 0 < length <= 64 and (end - start) % length == 0, "a struct has no fields")
        return (end - start) // length

    def _after_fields(self, data: memoryview, at: int) -> int:
        return self._tag(data, self._tag(data, at)[3])[3]

    def _allow(self, count: int) -> None:
        self.bytes += count
        _check(self.bytes <= LARGEST, f"its arrays take more than {LARGEST >> 20} MiB")


def _unpacked(packed: memoryview, most: int) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        data = unpacker.decompress(packed, most)
    except zlib.error as error:
        msg = f"it is damaged ({error})"
        raise ValueError(msg) from error
    _check(not unpacker.unconsumed_tail, f"it unpacks to more than {LARGEST >> 20} MiB")
    _check(unpacker.eof, "it is cut short")
    return data


def _check(fine: bool, problem: str) -> None:
    if not fine:
        raise ValueError(problem)
