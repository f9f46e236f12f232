"""MATLAB files up to version 7: what is read, and that no declared size is believed."""

import struct
import tempfile
import tracemalloc
import zlib
from pathlib import Path
from random import Random

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st
from numpy import ndarray

from srrepro.evaluation import mat5
from srrepro.evaluation.mat5 import read_mat5

HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM"
CELL, STRUCT, OBJECT, CHAR, SPARSE, DOUBLE, FUNCTION = 1, 2, 3, 4, 5, 6, 16
INT8, INT32, UINT32, FLOAT64, MATRIX, COMPRESSED = 1, 5, 6, 9, 14, 15


def element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def head(kind: int, sides: tuple[int, ...], name: bytes = b"w") -> bytes:
    flags = element(UINT32, struct.pack("<II", kind, 0))
    return flags + element(INT32, struct.pack(f"<{len(sides)}i", *sides)) + element(INT8, name)


def variable(kind: int, sides: tuple[int, ...], *parts: bytes, name: bytes = b"w") -> bytes:
    return element(MATRIX, head(kind, sides, name) + b"".join(parts))


def read(folder: Path, *variables: bytes) -> dict[str, ndarray]:
    path = folder / "made.mat"
    path.write_bytes(HEADER + b"".join(variables))
    return read_mat5(path)


def whole(folder: Path, *, squeezed: bool) -> Path:
    cell = np.empty((1, 2), object)
    cell[0, 0], cell[0, 1] = np.ones((2, 2), np.float32), "name"
    values = {"w": np.arange(6.0).reshape(3, 2), "c": cell, "net": {"weight": cell, "kind": "conv"}}
    values |= {"z": np.ones(2) * 1j, "n": np.zeros((0, 3)), "b": np.array([True])}
    scipy.io.savemat(folder / "whole.mat", values, do_compression=squeezed)
    return folder / "whole.mat"


@pytest.mark.parametrize("squeezed", [True, False])
def test_variables_are_those_that_scipy_gives(squeezed: bool, tmp_path: Path) -> None:
    path = whole(tmp_path, squeezed=squeezed)
    expected = {name: value for name, value in scipy.io.loadmat(path).items() if not name.startswith("__")}
    found = read_mat5(path)
    assert list(found) == list(expected) == ["w", "c", "net", "z", "n", "b"]
    assert repr(found) == repr(expected)


def test_a_made_variable_is_read(tmp_path: Path) -> None:
    numbers = element(FLOAT64, struct.pack("<2d", 3, 4))
    assert read(tmp_path, variable(DOUBLE, (1, 2), numbers))["w"].tolist() == [[3, 4]]


def compressed(packed: bytes) -> bytes:
    return struct.pack("<II", COMPRESSED, len(packed)) + packed  # these alone are not filled up to eight bytes


def bomb() -> bytes:
    """4 kB that unpack to 3 MB."""
    body = head(DOUBLE, (600, 600)) + struct.pack("<II", FLOAT64, 2_880_000)
    start = struct.pack("<II", MATRIX, len(body) + 2_880_000) + body
    packer = zlib.compressobj(9)
    return compressed(packer.compress(start) + packer.compress(bytes(2_880_000)) + packer.flush())


def nested(depth: int) -> bytes:
    inner = variable(DOUBLE, (0, 0), element(FLOAT64, b""))
    for _ in range(depth):
        inner = variable(CELL, (1, 1), inner)
    return inner


EMPTY = struct.pack("<II", MATRIX, 0)
ONE = variable(DOUBLE, (1, 1), element(FLOAT64, bytes(8)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([variable(CELL, (20_000, 20_000))], "members should follow"),  # 184 bytes, for which SciPy takes 3 GB
        ([variable(STRUCT, (20_000, 20_000), element(INT32, b"\5\0\0\0"), element(INT8, b"field"))], "members should"),
        ([variable(STRUCT, (2**30, 1), element(INT32, b"\5\0\0\0"), element(INT8, b""))], "members should follow"),
        ([variable(STRUCT, (1, 1), element(INT32, bytes(4)), element(INT8, b"field"))], "a struct has no fields"),
        ([variable(STRUCT, (1, 1), element(INT32, b"\5\0\0\0"), element(INT8, b"names"), EMPTY[:4])], "cut short"),
        ([variable(DOUBLE, (20_000, 20_000), element(FLOAT64, bytes(8)))], "numbers should follow"),
        ([variable(DOUBLE, (1, 1), element(FLOAT64, bytes(16)))], "numbers should follow"),
        ([variable(CHAR, (9, 9), element(16, b"name"))], "numbers should follow"),
        ([variable(DOUBLE, (-1, -1), element(FLOAT64, bytes(8)))], "no size"),
        ([variable(DOUBLE, (1,) * 33, element(FLOAT64, bytes(8)))], "no size"),
        ([variable(SPARSE, (10, 2**30))], "class 5"),
        ([variable(FUNCTION, (1, 1))], "class 16"),
        ([variable(OBJECT, (1, 1))], "class 3"),
        ([nested(40)], "nested too deeply"),
        ([ONE, ONE], "two variables are called 'w'"),
        ([element(FLOAT64, bytes(8))], "no variable"),
        ([struct.pack("<II", MATRIX, 1 << 31)], "2147483648 bytes should follow, but 0 are left"),
        ([element(COMPRESSED, b"words")], "damaged"),
        ([element(COMPRESSED, zlib.compress(ONE)[:-9])], "cut short"),
        ([ONE[:-3]], "are left|cut short"),
    ],
)
def test_sizes_are_held_against_the_bytes(content: list[bytes], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        read(tmp_path, *content)


def test_a_compression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read(tmp_path, bomb())["w"].shape == (600, 600)
    monkeypatch.setattr(mat5, "LARGEST", 1 << 20)
    with pytest.raises(ValueError, match="unpacks to more than 1 MiB"):
        read(tmp_path, bomb())


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mat5, "LARGEST", 1 << 20)
    path = tmp_path / "large.mat"
    with path.open("wb") as file:
        file.write(HEADER)
        file.truncate(64 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="it has more than 1 MiB"):
            read_mat5(path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_variables_are_unpacked_within_one_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes behind the numbers of a variable are of no use, but are unpacked."""
    monkeypatch.setattr(mat5, "LARGEST", 1 << 20)
    numbers = element(FLOAT64, bytes(8))
    first, second = (
        compressed(zlib.compress(variable(DOUBLE, (1, 1), numbers, bytes(700_000), name=name))) for name in (b"a", b"b")
    )
    assert list(read(tmp_path, first)) == ["a"]
    with pytest.raises(ValueError, match="unpacks to more than 1 MiB"):
        read(tmp_path, first, second)


def test_members_count_as_what_they_take_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty one has 8 bytes in a file, and SciPy makes some 140 of it."""
    monkeypatch.setattr(mat5, "LARGEST", 1 << 20)
    assert read(tmp_path, variable(CELL, (2000, 1), EMPTY * 2000))["w"].shape == (2000, 1)
    with pytest.raises(ValueError, match="arrays take more than 1 MiB"):
        read(tmp_path, variable(CELL, (20_000, 1), EMPTY * 20_000))


def test_small_numbers_that_become_large_ones_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Doubles may be stored as bytes: they count as what they become."""
    monkeypatch.setattr(mat5, "LARGEST", 8 << 10)
    with pytest.raises(ValueError, match="arrays take more"):
        read(tmp_path, variable(DOUBLE, (1, 1000), element(2, bytes(1000))))


@pytest.mark.parametrize("content", [b"", b"words", struct.pack("<5i", 0, 20_000, 20_000, 0, 2) + b"a\0" + bytes(200)])
def test_what_is_no_such_file_is_refused_with_a_way_out(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(ValueError, match="no .mat file of MATLAB 5 to 7.3. Save it again"):
        read_mat5(tmp_path / "a.mat")


@pytest.mark.parametrize("squeezed", [True, False])
def test_a_file_may_be_cut_or_changed_anywhere(squeezed: bool, tmp_path: Path) -> None:
    content, random = whole(tmp_path, squeezed=squeezed).read_bytes(), Random(0)
    changed = [content[:length] for length in range(0, len(content), 31)]
    for _ in range(300):
        bent = bytearray(content)
        for _ in range(random.randint(1, 4)):
            bent[random.randrange(len(bent))] = random.randrange(256)
        changed.append(bytes(bent))
    path, refused = tmp_path / "a.mat", 0
    for each in changed:
        path.write_bytes(each)
        try:
            read_mat5(path)
        except (ValueError, TypeError):  # the second is SciPy's
            refused += 1
    assert refused > 50


SIDE = st.integers(-3, 40)


@given(kind=st.integers(0, 20), sides=st.tuples(SIDE, SIDE), stored=st.integers(0, 20), data=st.binary(max_size=64))
def test_made_up_variables_are_read_as_declared_or_refused(
    kind: int, sides: tuple[int, int], stored: int, data: bytes
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = read(Path(folder), variable(kind, sides, element(stored, data)))
        except ValueError:
            return
    assert np.shape(found["w"]) == sides or kind == CHAR
