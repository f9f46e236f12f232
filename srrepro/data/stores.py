"""HDF5 stores: what recipes train on and evaluation reads, built once from verified images.

A training store holds patches, `interpolated` (or `low`) as float32 and `high` as exact uint8, chunked for sequential
reading. An evaluation store holds `reference`, `low` and `interpolated` of every image of one set at one scale. Both
are of one degradation; both describe themselves in their attributes, carry a checksum per chunk and one of the whole
file (see `_seal`), and appear under their name only when complete.
"""

import errno
import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import h5py
import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray
from numpy.lib.stride_tricks import sliding_window_view

from srrepro.aside import aside
from srrepro.data.registry import CANNOT_LOCK, FULL, DataFolder, fetch, members
from srrepro.errors import InputError
from srrepro.models.recipe import INTERPOLATED, Input
from srrepro.pixels import images
from srrepro.progress import track
from srrepro.protocols.degradation import MATLAB, Degradation, Planes, degrade
from srrepro.whole import file_part, flush, reason

FORMAT = 1
CHUNK = 128  # patches; the usual batch, half a MiB of float32 at 33 pixels
SEAL = 512
"""Bytes before HDF5's own, which it leaves to us: the sha256 of all that follows them."""
_HDF5 = b"\x89HDF\r\n\x1a\n"
_SEALED = b"srrepro store, sha256 of what follows these 512 bytes: "

Attributes = dict[str, str | int]


@dataclass(frozen=True, kw_only=True)
class TrainingShape:
    """What decides the content of a training store.

    `patch` and `stride` are pixels of the high image; `takes` is what a network is fed.
    """

    set: str
    scales: tuple[int, ...]
    patch: int
    stride: int
    takes: Input = INTERPOLATED
    degradation: Degradation = MATLAB

    def __post_init__(self) -> None:
        if self.takes.small and (len(self.scales) != 1 or self.patch % self.scales[0] or self.stride % self.scales[0]):
            msg = "patches of the low image need one scale, and patch and stride in multiples of it"
            raise InputError(msg)
        if self.takes.channels != self.degradation.channels or not self.degradation.has_levels:
            msg = (
                f"Patches of {self.takes.name} were to be cut from images of {self.degradation.signature}, but these "
                "have other channels, or labels that are no whole levels. Name another protocol in the recipe."
            )
            raise InputError(msg)

    @property
    def ratio(self) -> int:
        """High pixels to one of an input's, in a row."""
        return self.scales[0] if self.takes.small else 1

    @property
    def side(self) -> int:
        """Pixels of an input patch."""
        return self.patch // self.ratio

    def path(self, folder: DataFolder) -> Path:
        scales = "".join(map(str, self.scales))
        name = f"{self.set}_x{scales}_p{self.patch}_s{self.stride}_{self.takes.name}{self.degradation.suffix}"
        return folder.stores / f"{name}.h5"

    def attributes(self) -> Attributes:
        return {
            **_described("training", self.set, self.degradation),
            "scale": " ".join(map(str, self.scales)),
            "patch": self.patch,
            "stride": self.stride,
            "takes": self.takes.name,
        }

    def as_evidence(self) -> dict[str, Any]:
        """As run folders have it."""
        how = {"patch": self.patch, "stride": self.stride, "takes": self.takes.name}
        return {"set": self.set, "scales": list(self.scales), **how, "degradation": self.degradation.signature}


@dataclass(frozen=True)
class EvaluationShape:
    """What decides the content of an evaluation store."""

    set: str
    scale: int
    degradation: Degradation = MATLAB

    def path(self, folder: DataFolder) -> Path:
        return folder.stores / f"{self.set}_x{self.scale}{self.degradation.suffix}.h5"

    def attributes(self) -> Attributes:
        return {**_described("evaluation", self.set, self.degradation), "scale": str(self.scale)}


S = TypeVar("S", TrainingShape, EvaluationShape)
Sums = dict[str, "hashlib._Hash"]
"""Of what was written, by dataset."""
Fill = Callable[[h5py.File, S, Sequence[Path], Callable[[], None]], tuple[str, Sums]]
"""Puts images into a file, asks after each whether it could be written, and gives digests."""


class TrainingPatches(NamedTuple):
    """All patches of a store, in memory; `inputs` about 0 to 1, `high` 0 to 255."""

    inputs: Float32[ndarray, "n h w *c"]
    high: UInt8[ndarray, "n p p *c"]
    digest: str


class Example(NamedTuple):
    """One image of a test set, degraded at one scale."""

    name: str
    planes: Planes


def prepare_training(folder: DataFolder, shape: TrainingShape) -> bool:
    """Build a training store unless it is there; whether it was built.

    Raises
    ------
    InputError : images cannot be had, or the store that is there is not the one asked for.
    """
    return _prepare(folder, shape, _fill_training)


def prepare_evaluation(folder: DataFolder, shape: EvaluationShape) -> bool:
    """Build an evaluation store unless it is there; whether it was built. Errors as `prepare_training`."""
    return _prepare(folder, shape, _fill_evaluation)


def read_training(folder: DataFolder, shape: TrainingShape) -> TrainingPatches:
    """All patches of a store that `prepare_training` made.

    Raises
    ------
    InputError : the store is missing, truncated, damaged, foreign, of another version or of another shape.
    """
    path = shape.path(folder)
    with _open(path, shape.attributes()) as file, _noticing_damage(path):
        return TrainingPatches(file[_plane(shape)][...], file["high"][...], file.attrs["digest"])


def stream_training(folder: DataFolder, shape: TrainingShape) -> Iterator[TrainingPatches]:
    """The patches of a store from first to last, one chunk of the file at a time. Errors as `read_training`."""
    path = shape.path(folder)
    with _open(path, shape.attributes()) as file, _noticing_damage(path):
        inputs, high = file[_plane(shape)], file["high"]
        for start in range(0, len(high), CHUNK):
            part = slice(start, start + CHUNK)
            yield TrainingPatches(inputs[part], high[part], file.attrs["digest"])


def count_training(folder: DataFolder, shape: TrainingShape) -> int:
    """How many patches a store holds. Errors as `read_training`."""
    path = shape.path(folder)
    with _open(path, shape.attributes()) as file, _noticing_damage(path):
        return len(file["high"])


def read_evaluation(folder: DataFolder, shape: EvaluationShape) -> Iterator[Example]:
    """The images of an evaluation store, one at a time. Errors as `read_training`."""
    path = shape.path(folder)
    with _open(path, shape.attributes()) as file, _noticing_damage(path):
        for group in file["images"].values():
            yield Example(group.attrs["name"], Planes(*(group[plane][...] for plane in Planes._fields)))


def digest_of(folder: DataFolder, shape: TrainingShape | EvaluationShape) -> str:
    """The content digest that a store carries. Errors as `read_training`."""
    with _open(shape.path(folder), shape.attributes()) as file:
        return str(file.attrs["digest"])


def read_folder(folder: Path, scale: int, degradation: Degradation = MATLAB) -> Iterator[Example]:
    """A user's own images, degraded like those of a store but not stored.

    Raises
    ------
    InputError : no such folder, no image in it, or one that cannot be read.
    """
    for path in images.folder_images(folder):
        image = images.read(path)
        h, w = image.shape[:2]
        if min(h, w) < scale:
            msg = f"{path} was to be measured at x{scale}, but is {w}×{h}: nothing would be left of it."
            raise InputError(msg)
        yield Example(path.name, degrade(image, scale, degradation))


def take_patches(plane: ndarray, *, patch: int, stride: int) -> ndarray:
    """All patches (n, patch, patch) of a plane whose corners lie on a grid of `stride`, row by row; channels stay last.

    A plane smaller than a patch gives none.
    """
    channels = plane.shape[2:]
    if min(plane.shape[:2]) < patch:
        return np.empty((0, patch, patch, *channels), plane.dtype)
    grid = sliding_window_view(plane, (patch, patch), axis=(0, 1))[::stride, ::stride]
    grid = np.moveaxis(grid, 2, -1) if channels else grid
    return grid.reshape(-1, patch, patch, *channels)


def _plane(shape: TrainingShape) -> str:
    """What the inputs are called in the file, and among the planes of an image."""
    return "low" if shape.takes.small else "interpolated"


def _described(kind: str, name: str, degradation: Degradation) -> Attributes:
    sources = json.dumps({file.path: file.sha256 for file in members(name)})
    resizer = degradation.signature
    return {"format": FORMAT, "kind": f"srrepro {kind}", "set": name, "resizer": resizer, "sources": sources}


def _prepare(folder: DataFolder, shape: S, fill: Fill[S]) -> bool:
    path = shape.path(folder)
    if not path.exists():
        with folder.lock():
            if not path.exists():  # another call may have built it while this one waited
                paths = fetch(folder, shape.set)
                _build(path, shape, paths, fill)
                return True
    _open(path, shape.attributes()).close()
    return False


def _build(path: Path, shape: S, paths: Sequence[Path], fill: Fill[S]) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with file_part(path, flushed=True) as part:
            with _Disk(part, "w+") as disk:
                with h5py.File(disk, "w", libver="latest", userblock_size=SEAL) as file:
                    digest, sums = fill(file, shape, paths, disk.check)
                    file.attrs.update({**shape.attributes(), "digest": digest})
                disk.check()
            _seal(part)
            flush(part)
            _read_back(part, sums, digest)
    except OSError as error:
        known = _in_the_way(error) or f"could not be written: {reason(error)}. Is the disk full?"
        msg = f"The store {path} was to be built, but {known}"
        raise InputError(msg) from error


class _Disk(io.FileIO):
    """A file that HDF5 writes to, which never hears of an error: when it cannot close a file, it may crash.

    The first is kept, nothing is written after it, and `check` raises it.
    """

    error: OSError | None = None

    def write(self, data: Any) -> int:
        """All of it, or nothing that anybody will read."""
        left = memoryview(data).cast("B")
        size = len(left)
        try:
            while self.error is None and len(left):
                left = left[super().write(left) :]
        except OSError as error:
            self.error = error
        return size

    def truncate(self, size: int | None = None) -> int:
        try:
            return self.tell() if self.error else super().truncate(size)
        except OSError as error:
            self.error = error
            return self.tell()

    def check(self) -> None:
        if self.error is not None:
            raise self.error


def _seal(part: Path) -> None:
    """Write the sha256 of the file into it.

    HDF5's own checksums do not cover texts, and take a word of zeros for one of ones.
    """
    with part.open("r+b") as file:
        file.write(_seal_of(part))


def _seal_of(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(SEAL)
        return (_SEALED + hashlib.file_digest(file, "sha256").hexdigest().encode()).ljust(SEAL, b"\n")


_SOUND: dict[Path, tuple[int, ...]] = {}
"""Stores whose seal this process has found to be right, as they were then."""


def _has_broken_seal(path: Path) -> bool:
    """Whether a store is not as it was built; it is read for this once a process.

    Stores of before have no seal: they begin with HDF5's own words.
    """
    found = path.stat()
    now = found.st_ino, found.st_size, found.st_mtime_ns
    if _SOUND.get(path) == now:
        return False
    _SOUND.pop(path, None)
    with path.open("rb") as file:
        seal = file.read(SEAL)
    if seal.startswith(_HDF5):
        return False
    if seal != _seal_of(path):
        return True
    _SOUND[path] = now
    return False


def _read_back(part: Path, sums: Sums, digest: str) -> None:
    """What was written must be there, whatever HDF5 said when it was closed: on a full disk it may say nothing.

    Raises
    ------
    OSError : it is not.
    """
    try:
        with ThreadPoolExecutor(1, "seal") as pool:
            broken = pool.submit(_has_broken_seal, part)
            with h5py.File(part, "r", locking=False) as file:
                found = _sums_of(file, list(sums))
                right = file.attrs["digest"] == digest and all(
                    found[name].digest() == expected.digest() for name, expected in sums.items()
                )
            right = right and not broken.result()
    except Exception as error:  # HDF5 has many for what it cannot read
        msg = "what was written cannot be read"
        raise OSError(msg) from error
    if not right:
        msg = "what was written is not what is read"
        raise OSError(msg)


def _sums_of(file: h5py.File, names: Sequence[str]) -> Sums:
    """Of what a file holds, chunk by chunk: HDF5 reads a whole one for any part of it."""
    sums = {name: hashlib.sha256() for name in names}
    with aside() as do_aside:
        for name, found in sums.items():
            dataset = file[name]  # opened one after the other: HDF5 keeps up to a MiB of each that is open
            for chunk in dataset.iter_chunks() if len(dataset) else ():
                do_aside(partial(found.update, np.ascontiguousarray(dataset[chunk]).data))
    return sums


def _fill_training(
    file: h5py.File, shape: TrainingShape, paths: Sequence[Path], check: Callable[[], None]
) -> tuple[str, Sums]:
    digest = hashlib.sha256()
    takes, channels = _plane(shape), (3,) if shape.takes.channels == 3 else ()
    columns = {
        name: file.create_dataset(
            name,
            shape=(0, side, side, *channels),
            maxshape=(None, side, side, *channels),
            chunks=(CHUNK, side, side, *channels),
            dtype=dtype,
            fletcher32=True,
        )
        for name, side, dtype in ((takes, shape.side, np.float32), ("high", shape.patch, np.uint8))
    }
    sums = {name: hashlib.sha256() for name in columns}

    def add(patches: dict[str, ndarray], scale: int) -> None:
        for name, values in patches.items():
            digest.update(np.ascontiguousarray(values).data)
            sums[name].update(np.ascontiguousarray(values).data)
        # Which scale a patch is of was once stored, too, and belongs to the digest that runs are named by.
        digest.update(np.full(len(patches["high"]), scale, np.uint8).data)

    count = 0
    todo = [(scale, path) for scale in shape.scales for path in paths]
    with aside() as do_aside:
        for scale, path in track(todo, f"cutting {shape.set} into patches", total=len(todo)):
            planes = degrade(images.read(path), scale, shape.degradation)
            if planes.reference.ndim != 2 + len(channels):
                msg = f"{path} is grey, and patches were to be RGB. Name a protocol that makes grey images RGB."
                raise InputError(msg)
            inputs = take_patches(getattr(planes, takes), patch=shape.side, stride=shape.stride // shape.ratio)
            high = take_patches(planes.reference, patch=shape.patch, stride=shape.stride)
            patches = {takes: inputs, "high": high}
            do_aside(partial(add, patches, scale))
            for name, values in patches.items():
                columns[name].resize(count + len(values), axis=0)
                columns[name][count:] = values
            count += len(high)
            check()
    return digest.hexdigest(), sums


def _fill_evaluation(
    file: h5py.File, shape: EvaluationShape, paths: Sequence[Path], check: Callable[[], None]
) -> tuple[str, Sums]:
    digest, sums = hashlib.sha256(), {}

    def add(image: str, group: str, planes: Planes) -> None:
        digest.update(image.encode())
        for name, plane in planes._asdict().items():
            digest.update(np.ascontiguousarray(plane).data)
            sums[f"{group}/{name}"] = hashlib.sha256(np.ascontiguousarray(plane).data)

    with aside() as do_aside:
        for number, path in enumerate(track(paths, f"degrading {shape.set} x{shape.scale}", total=len(paths))):
            planes = degrade(images.read(path), shape.scale, shape.degradation)
            group = file.create_group(f"images/{number:04}")
            group.attrs["name"] = path.name
            do_aside(partial(add, path.name, str(group.name), planes))
            for name, plane in planes._asdict().items():
                group.create_dataset(name, data=plane, chunks=plane.shape, fletcher32=True)
            check()
    return digest.hexdigest(), sums


def _open(path: Path, expected: Attributes) -> h5py.File:
    try:
        if _has_broken_seal(path):  # before HDF5 reads anything: it may read a damaged file for ever
            raise _unusable(path, "is damaged or no store")
        file = h5py.File(path, "r")
    except FileNotFoundError as error:
        msg = f"The store {path} was asked for, but is not there. Run `srrepro prepare {expected['set']}`."
        raise InputError(msg) from error
    except OSError as error:
        raise _unusable(path, "is truncated or no HDF5 file", error) from error
    try:
        found = dict(file.attrs)
    except Exception as error:  # HDF5 has many for what it cannot read
        file.close()
        raise _unusable(path, "is damaged") from error
    problem = None
    if not str(found.get("kind", "")).startswith("srrepro ") or "digest" not in found:
        problem = "was not made by srrepro"
    elif found.get("format") != FORMAT:
        problem = f"has the format {found.get('format')}, and this version reads {FORMAT}"
    else:
        differing = [key for key, value in expected.items() if found.get(key) != value]
        if differing:
            problem = f"differs from what was asked for in: {', '.join(differing)}"
    if problem:
        file.close()
        raise _unusable(path, problem)
    return file


@contextmanager
def _noticing_damage(path: Path) -> Iterator[None]:
    """Whatever exception HDF5 chose for what it could not read."""
    try:
        yield
    except Exception as error:
        raise _unusable(path, "is damaged", error) from error


def _unusable(path: Path, problem: str, error: Exception | None = None) -> InputError:
    """What to say of a store: that it has a problem, or, where `error` is of the system, what stands in the way."""
    reason = _in_the_way(error) or f"{problem}. Delete it; the next call builds it again."
    return InputError(f"The store {path} was to be opened, but {reason}")


def _in_the_way(error: Exception | None) -> str | None:
    """What keeps a file from being used that may well be whole, and what to do; None if it is not known to be that."""
    number = error.errno if isinstance(error, OSError) else None
    if "unable to lock file" in str(error) and number not in CANNOT_LOCK:
        return "another process holds it open. Wait for that one, or end it; leave the file as it is."
    if number in CANNOT_LOCK:
        return (
            "its disk cannot lock files, as some network disks. Set HDF5_USE_FILE_LOCKING=FALSE, or name a folder on a "
            "local disk with --data."
        )
    if number in FULL:
        return "its disk is full. Free some space, or name another folder with --data."
    if number is not None and number in OF_THE_SYSTEM:
        return f"the system does not let it: {os.strerror(number)}. That is no fault of the file; leave it as it is."
    return None


OF_THE_SYSTEM = {
    getattr(errno, name)
    for name in ("EACCES", "EPERM", "EMFILE", "ENFILE", "ENOMEM", "EROFS", "ESTALE", "ETIMEDOUT", "ENOTCONN")
    if hasattr(errno, name)
}
"""Errors that say nothing of what a file holds."""
