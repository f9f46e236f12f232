"""MATLAB 7.3 files as MATLAB writes them, and files that only seem to be such."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from srrepro.evaluation import mat73 as module
from srrepro.evaluation.mat73 import read_mat73

HEADER = b"MATLAB 7.3 MAT-file, Platform: PCWIN64".ljust(124) + b"\0\2IM"


def write(path: Path, fill: Callable[[h5py.File], object]) -> Path:
    with h5py.File(path, "w", userblock_size=512) as file:
        fill(file)
    with path.open("r+b") as start:
        start.write(HEADER)
    return path


def put(group: h5py.Group, name: str, values: object, kind: str, **attributes: int) -> h5py.Dataset:
    dataset = group.create_dataset(name, data=values)
    dataset.attrs["MATLAB_class"] = np.bytes_(kind)
    for attribute, value in attributes.items():
        dataset.attrs[attribute] = np.uint8(value)
    return dataset


def cell(file: h5py.Group, name: str, members: list[h5py.Dataset | h5py.Group]) -> h5py.Dataset:
    return put(file, name, np.array([[member.ref] for member in members], dtype=h5py.ref_dtype), "cell")


def a_network(file: h5py.File) -> None:
    layer = file.create_group("#refs#/0")
    filters = put(file, "#refs#/1", np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4), "single")
    cell(layer, "weights", [filters, put(file, "#refs#/2", np.zeros((1, 2)), "double")])
    put(layer, "type", np.array([[ord(letter)] for letter in "convé"], np.uint16), "char")
    put(layer, "opts", np.array([0, 0], np.uint64), "cell", MATLAB_empty=1)
    put(layer, "pad", np.array([0, 10**12], np.uint64), "double", MATLAB_empty=1)
    cell(file.create_group("net"), "layers", [layer, layer])


def test_structs_cells_numbers_and_text(tmp_path: Path) -> None:
    variables = read_mat73(write(tmp_path / "a.mat", a_network))
    assert list(variables) == ["net"]
    first, second = variables["net"]["layers"]
    filters, biases = first["weights"]
    assert filters.dtype == np.float32
    np.testing.assert_array_equal(filters, np.arange(24).reshape(2, 3, 4).T)  # MATLAB's axes run the other way
    assert biases.shape == (2, 1)
    assert (first["type"], first["opts"], first["pad"].size) == ("convé", [], 0)
    assert second["type"] == "convé"


def itself(file: h5py.File) -> None:
    looped = put(file, "loop", np.empty((1, 1), h5py.ref_dtype), "cell")
    looped[0, 0] = looped.ref


def a_group_in_itself(file: h5py.File) -> None:
    group = file.create_group("a")
    group["a"] = group


def a_tree_of_shared_cells(file: h5py.File) -> None:
    below = put(file, "#refs#/0", np.zeros(1), "double")
    for level in range(1, 12):  # 8^11 values in 12 arrays
        below = cell(file, f"#refs#/{level}", [below] * 8)
    cell(file, "top", [below])


def many_bytes_in_few(file: h5py.File) -> None:
    file.create_dataset("zeros", (1 << 16, 1 << 16), np.float64, chunks=(1 << 10, 1 << 10), compression="gzip")


def many_references_in_few_bytes(file: h5py.File) -> None:
    file.create_dataset("cells", (1 << 20,), h5py.ref_dtype, chunks=(1 << 16,), compression="gzip")


def a_filter_of_a_plugin(file: h5py.File) -> None:
    """For which HDF5 would look for a library in its plugin folder, and load it."""
    how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    how.set_chunk((4,))
    how.set_filter(32001, h5py.h5z.FLAG_OPTIONAL, (1, 2))
    made = h5py.h5d.create(file.id, b"w", h5py.h5t.NATIVE_DOUBLE, h5py.h5s.create_simple((4,)), how)
    made.write_direct_chunk((0,), bytes(20))


def a_chunk_that_is_larger_than_the_array(file: h5py.File) -> None:
    file.create_dataset("w", (1,), "u1", maxshape=(None,), chunks=(1 << 30,), compression="gzip")


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (a_filter_of_a_plugin, "compressed in a way that MATLAB does not use"),
        (a_chunk_that_is_larger_than_the_array, "MiB"),
        (lambda file: file.create_dataset("none", data=h5py.Empty("f8")), "has no values"),
        (itself, "deep"),
        (a_group_in_itself, "deep"),
        (a_tree_of_shared_cells, "too many"),
        (many_bytes_in_few, "MiB"),
        (many_references_in_few_bytes, "too many"),
        (lambda file: file.create_dataset("cell", (2, 1), h5py.ref_dtype), "read"),  # to nothing
        (lambda file: file.create_dataset("text", data="text"), "holds"),
        (lambda file: file.create_dataset("pair", data=np.zeros(2, [("real", "f8"), ("imag", "f8")])), "holds"),
        (lambda file: file.__setitem__("kind", np.dtype("f8")), "read"),
        (lambda file: file.__setitem__("away", h5py.ExternalLink("/etc/hostname", "/a")), "link"),
        (lambda file: file.__setitem__("soft", h5py.SoftLink("/soft")), "link"),
        (lambda file: file.create_dataset("raw", (9,), "u1", external=[("/etc/hostname", 0, 9)]), "another file"),
    ],
)
def test_hostile_files_are_refused(tmp_path: Path, fill: Callable[[h5py.File], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_mat73(write(tmp_path / "a.mat", fill))


def test_a_dataset_made_of_other_files_is_refused(tmp_path: Path) -> None:
    layout = h5py.VirtualLayout((3,), "f8")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "x", (3,))
    with pytest.raises(ValueError, match="another file"):
        read_mat73(write(tmp_path / "a.mat", lambda file: file.create_virtual_dataset("x", layout)))


@pytest.mark.parametrize("content", [b"", b"MATLAB 5.0 MAT-file", HEADER, HEADER.ljust(512) + b"\x89HDF\r\n\x1a\n"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.mat cannot be read"):
        read_mat73(tmp_path / "a.mat")


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mat", a_network)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="read"):
        read_mat73(path)


def test_the_limit_is_on_all_arrays_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.mat", lambda file: [put(file, name, np.zeros(10), "double") for name in "abc"])
    monkeypatch.setattr(module, "LARGEST", 3 * 80)
    assert len(read_mat73(path)) == 3
    monkeypatch.setattr(module, "LARGEST", 3 * 80 - 1)
    with pytest.raises(ValueError, match="MiB"):
        read_mat73(path)
