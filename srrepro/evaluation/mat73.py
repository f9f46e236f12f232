"""MATLAB 7.3 files, which are HDF5: structs as dicts, cells as lists, numbers with MATLAB's axes, text as str."""

import math
from pathlib import Path
from typing import Any

import h5py
import numpy as np

MAGIC = b"MATLAB 7.3 MAT-file"
LARGEST = 256 << 20  # bytes of all arrays in memory: a few compressed bytes may stand for any number of them
MOST = 3_000  # structs, cells and arrays, each counted as often as it is referred to; DnCNN's have 337
FILTERS = {h5py.h5z.FILTER_DEFLATE, h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_FLETCHER32}
"""What MATLAB compresses with; for any other, HDF5 would look for a library to load."""
DEEPEST = 32  # structs and cells inside one another: more is a circle of references


def read_mat73(path: Path) -> dict[str, Any]:
    """The variables of a file.

    Raises
    ------
    ValueError : no MATLAB 7.3 file, one that is damaged or too large, or one with values of other kinds.
    """
    with path.open("rb") as start:
        magic = start.read(len(MAGIC))
    try:
        _check(magic == MAGIC, f"it does not begin with {MAGIC!r}")
        with h5py.File(path, "r") as file:
            return _Reader(file).members(file, 0)
    except Exception as error:  # of a damaged file, h5py raises nearly any kind
        msg = f"{path} cannot be read as a MATLAB 7.3 file: {error}"
        raise ValueError(msg) from error


class _Reader:
    def __init__(self, file: h5py.File) -> None:
        self.file, self.bytes, self.values = file, 0, 0

    def members(self, group: h5py.Group, depth: int) -> dict[str, Any]:
        names = [name for name in group if not name.startswith("#")]  # "#refs#" holds what cells refer to
        for name in names:  # HDF5 would follow another link out of the file
            _check(isinstance(group.get(name, getlink=True), h5py.HardLink), f"{name} is no member but a link")
        return {name: self.value(group[name], depth + 1) for name in names}

    def value(self, node: Any, depth: int) -> Any:
        self.values += 1
        _check(depth <= DEEPEST and self.values <= MOST, "it is nested too deeply or has too many values")
        if isinstance(node, h5py.Group):
            return self.members(node, depth)
        if (problem := _problem(node)) is not None:
            msg = f"{node.name} {problem}"  # said only here: HDF5 searches the whole file for a name
            raise ValueError(msg)
        self.bytes += max(int(node.nbytes), math.prod(node.chunks or ()) * node.dtype.itemsize)
        _check(self.bytes <= LARGEST, f"its arrays take more than {LARGEST >> 20} MiB")
        kind = bytes(node.attrs.get("MATLAB_class", b""))
        refers = _refers(node)
        _check(not refers or self.values + node.size <= MOST, "it has too many values")
        array = np.asarray(node[()])
        if "MATLAB_empty" in node.attrs:  # then the shape stands in place of the values
            return [] if kind == b"cell" else "" if kind == b"char" else np.zeros(0)
        if refers:
            return [self.value(self.file[reference], depth + 1) for reference in array.reshape(-1)]
        return array.astype("<u2").tobytes().decode("utf-16-le", "replace") if kind == b"char" else array.T


def _refers(node: h5py.Dataset) -> bool:
    """Whether it is a cell, or a field of an array of structs."""
    return h5py.check_ref_dtype(node.dtype) is h5py.Reference


def _problem(node: h5py.Dataset) -> str | None:
    if node.shape is None:
        return "has no values"
    if node.external or node.is_virtual:
        return "lies in another file"
    how = node.id.get_create_plist()
    if not {how.get_filter(place)[0] for place in range(how.get_nfilters())} <= FILTERS:
        return "is compressed in a way that MATLAB does not use"
    if not (_refers(node) or node.dtype.kind in "biuf"):
        return f"holds {node.dtype}"
    return None


def _check(fine: bool, problem: str) -> None:
    if not fine:
        raise ValueError(problem)
