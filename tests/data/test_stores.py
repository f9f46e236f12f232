"""Stores hold what was asked for, cut and degraded as stated; whatever is wrong with one is said in one sentence."""

import csv
import errno
import fcntl
import hashlib
import itertools
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from srrepro.data import stores
from srrepro.data.registry import DataFolder, members
from srrepro.data.stores import (
    EvaluationShape,
    TrainingShape,
    digest_of,
    prepare_evaluation,
    prepare_training,
    read_evaluation,
    read_folder,
    read_training,
    take_patches,
)
from srrepro.errors import InputError
from srrepro.models.recipe import INTERPOLATED, LOW, LOW_RGB
from srrepro.pixels.color import luminance
from srrepro.pixels.resize import imresize
from srrepro.protocols.degradation import MATLAB, Degradation, degrade, modcrop
from srrepro.whole import part_of

_rng = np.random.default_rng(0)
COLOUR = _rng.integers(0, 256, (31, 40, 3), np.uint8)
GREY = _rng.integers(0, 256, (26, 23), np.uint8)
TINY = _rng.integers(0, 256, (8, 50), np.uint8)  # too low for a patch of 12: gives none
PHOTOGRAPHS = {"a.png": COLOUR, "b.png": GREY, "c.png": TINY}
SHAPE = TrainingShape(set="photographs", scales=(2, 3), patch=12, stride=6)
ENLARGED = TrainingShape(set="photographs", scales=(3,), patch=12, stride=6, takes=LOW)


@pytest.fixture
def folder(pretend: Callable[..., DataFolder]) -> DataFolder:
    return pretend({"photographs": PHOTOGRAPHS})


def corners(height: int, width: int, patch: int, stride: int) -> list[tuple[int, int]]:
    """The upper left corners of all patches, row by row."""
    rows, columns = (range(0, side - patch + 1, stride) for side in (height, width))
    return list(itertools.product(rows, columns))


@given(side=st.tuples(st.integers(1, 30), st.integers(1, 30)), patch=st.integers(1, 12), stride=st.integers(1, 9))
def test_patches_are_those_of_a_double_loop(side, patch, stride):
    plane = np.arange(side[0] * side[1], dtype=np.float32).reshape(side)
    expected = [plane[y : y + patch, x : x + patch] for y, x in corners(*side, patch, stride)]
    patches = take_patches(plane, patch=patch, stride=stride)
    assert patches.dtype == plane.dtype
    assert_array_equal(patches, np.array(expected).reshape(-1, patch, patch))


@pytest.mark.parametrize(
    ("name", "patch", "stride", "counts"),
    [
        ("T91", 33, 14, (21910, 21884, 21772)),
        ("T91", 41, 41, (2675, 2673, 2644)),  # 7,992: with batches of 64, 80 epochs are 9,960 iterations
        ("T91", 41, 21, (9362, 9297, 9295)),
        ("291", 41, 41, (18075, 18073, 18044)),  # 54,192
    ],
)
def test_how_many_patches_the_images_give(name, patch, stride, counts):
    with (Path(__file__).parents[1] / "reference" / "images.csv").open(encoding="utf-8") as text:
        known = {row["path"]: (int(row["height"]), int(row["width"])) for row in csv.DictReader(text)}
    for scale, count in zip((2, 3, 4), counts, strict=True):
        sizes = (tuple(side // scale * scale for side in known[file.path]) for file in members(name))
        assert sum(len(corners(*size, patch, stride)) for size in sizes) == count


def test_interpolated_patches_lie_over_their_high_patches(folder):
    assert prepare_training(folder, SHAPE)
    inputs, high, _ = read_training(folder, SHAPE)
    assert (inputs.dtype, high.dtype) == (np.float32, np.uint8)
    at = 0
    for scale, image in itertools.product(SHAPE.scales, PHOTOGRAPHS.values()):
        y = luminance(image[: len(image) // scale * scale, : image.shape[1] // scale * scale])
        interpolated = imresize(imresize(y / 255, 1 / scale), scale).astype(np.float32)
        for row, column in corners(*y.shape, SHAPE.patch, SHAPE.stride):
            window = slice(row, row + SHAPE.patch), slice(column, column + SHAPE.patch)
            assert_array_equal(high[at], y[window])
            assert_array_equal(inputs[at], interpolated[window])
            at += 1
    assert at == len(inputs) == len(high) > 0


def test_low_patches_lie_over_their_high_patches(folder):
    prepare_training(folder, ENLARGED)
    inputs, high, _ = read_training(folder, ENLARGED)
    assert inputs.shape[1:] == (4, 4)
    at = 0
    for image in PHOTOGRAPHS.values():
        y = luminance(image[: len(image) // 3 * 3, : image.shape[1] // 3 * 3])
        low = imresize(y / 255, 1 / 3).astype(np.float32)
        for row, column in corners(*y.shape, ENLARGED.patch, ENLARGED.stride):
            assert_array_equal(high[at], y[row : row + 12, column : column + 12])
            assert_array_equal(inputs[at], low[row // 3 : row // 3 + 4, column // 3 : column // 3 + 4])
            at += 1
    assert at == len(inputs) == len(high)


@pytest.mark.parametrize("shape", [replace(SHAPE, scales=(3,)), ENLARGED], ids=["interpolated", "low"])
def test_input_and_high_show_the_same_place(shape, pretend):
    # Independent of our own resizing: bicubic keeps a slope as it is, so an input equals its high patch.
    slope = np.add.outer(np.arange(60), 2 * np.arange(72)).astype(np.uint8)
    folder = pretend({"photographs": {"slope.png": slope}})
    prepare_training(folder, shape)
    inputs, high, _ = read_training(folder, shape)
    # What lies beyond the edges is no slope: it reaches inwards by 2 low pixels when shrinking and 2 when enlarging.
    inside = [18 <= y <= 30 and 18 <= x <= 42 for y, x in corners(60, 72, shape.patch, shape.stride)]
    assert sum(inside) == 15
    expected = high[inside] if shape is not ENLARGED else high[inside][:, 1::3, 1::3]  # the middle of each 3 by 3
    assert_allclose(255 * inputs[inside], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("shape", [SHAPE, ENLARGED], ids=["interpolated", "low"])
def test_a_training_store_describes_itself(shape, folder):
    prepare_training(folder, shape)
    side = 4 if shape is ENLARGED else 12
    with h5py.File(shape.path(folder)) as file:
        assert set(file) == {shape.takes.name, "high"}
        assert file[shape.takes.name].chunks == (128, side, side)
        assert file["high"].chunks == (128, 12, 12)
        assert all(dataset.fletcher32 for dataset in file.values())
        described = dict(file.attrs)
    assert described["format"] == stores.FORMAT
    assert described["set"] == "photographs"
    assert described["scale"] == " ".join(map(str, shape.scales))
    assert (described["patch"], described["stride"], described["takes"]) == (12, 6, shape.takes.name)
    for file in members("photographs"):
        assert file.sha256 in described["sources"]


def test_an_evaluation_store_holds_every_image_as_it_is_degraded(folder):
    shape = EvaluationShape("photographs", 3)
    assert prepare_evaluation(folder, shape)
    examples = list(read_evaluation(folder, shape))
    assert [example.name for example in examples] == list(PHOTOGRAPHS)
    for example, image in zip(examples, PHOTOGRAPHS.values(), strict=True):
        reference, low, interpolated = example.planes
        assert (reference.dtype, low.dtype, interpolated.dtype) == (np.uint8, np.float32, np.float32)
        y = luminance(image[: len(image) // 3 * 3, : image.shape[1] // 3 * 3])
        assert_array_equal(reference, y)
        exact = imresize(y / 255, 1 / 3)
        assert_array_equal(low, exact.astype(np.float32))
        assert_array_equal(interpolated, imresize(exact, 3).astype(np.float32))  # not from the rounded `low`


def test_a_set_of_more_than_ten_images_keeps_its_order(pretend):
    names = [f"{number:02}.png" for number in range(12)]
    folder = pretend({"many": {name: np.full((6, 6), 10 * n, np.uint8) for n, name in enumerate(names)}})
    shape = EvaluationShape("many", 2)
    prepare_evaluation(folder, shape)
    for number, example in enumerate(read_evaluation(folder, shape)):
        assert example.name == names[number]
        assert (example.planes.reference == 10 * number).all()


def test_a_folder_of_a_users_own_gives_the_same_as_a_store(folder):
    shape = EvaluationShape("photographs", 2)
    prepare_evaluation(folder, shape)
    of_folder = read_folder(folder.mirror / "photographs", 2)
    for ours, theirs in zip(read_evaluation(folder, shape), of_folder, strict=True):
        assert ours.name == theirs.name
        for one, other in zip(ours.planes, theirs.planes, strict=True):
            assert_array_equal(one, other)


@given(height=st.integers(1, 40), width=st.integers(1, 40), scale=st.integers(2, 4), colour=st.booleans())
def test_only_the_lower_and_right_edges_are_cropped(height, width, scale, colour):
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3) if colour else (height, width), np.uint8)
    cropped = modcrop(image, scale)
    assert cropped.shape[:2] == (height // scale * scale, width // scale * scale)
    assert_array_equal(cropped, image[: cropped.shape[0], : cropped.shape[1]])


def test_planes_are_neither_clipped_nor_rounded():
    black_and_white = np.kron(np.eye(4), np.full((6, 6), 255)).astype(np.uint8)
    interpolated = degrade(black_and_white, 2).interpolated
    assert interpolated.min() < 0
    assert interpolated.max() > 1
    assert (np.abs(interpolated * 255 - np.rint(interpolated * 255)) > 1e-3).any()


@pytest.mark.parametrize("prepare", [prepare_training, prepare_evaluation])
def test_a_second_call_builds_nothing_and_needs_no_image(prepare, folder):
    shape = SHAPE if prepare is prepare_training else EvaluationShape("photographs", 2)
    assert prepare(folder, shape) is True
    before = shape.path(folder).stat()
    shutil.rmtree(folder.mirror)
    shutil.rmtree(folder.root / "photographs")
    assert prepare(folder, shape) is False
    after = shape.path(folder).stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)


@pytest.mark.parametrize("prepare", [prepare_training, prepare_evaluation])
def test_the_digest_is_that_of_the_content(prepare, folder):
    shape = SHAPE if prepare is prepare_training else EvaluationShape("photographs", 2)
    prepare(folder, shape)
    first = digest_of(folder, shape)
    assert len(bytes.fromhex(first)) == hashlib.sha256().digest_size
    shape.path(folder).unlink()
    prepare(folder, shape)
    assert digest_of(folder, shape) == first
    other = replace(shape, scales=(2,)) if prepare is prepare_training else replace(shape, scale=3)
    prepare(folder, other)
    assert digest_of(folder, other) != first


def test_reading_gives_the_digest_too(folder):
    prepare_training(folder, SHAPE)
    assert read_training(folder, SHAPE).digest == digest_of(folder, SHAPE)


def test_other_images_make_another_digest(pretend):
    digests = set()
    for pixels in (GREY, 255 - GREY):
        folder = pretend({"photographs": {"a.png": pixels}})
        shutil.rmtree(folder.root, ignore_errors=True)
        prepare_training(folder, SHAPE)
        digests.add(digest_of(folder, SHAPE))
    assert len(digests) == 2


def test_every_shape_has_a_file_of_its_own(folder):
    shapes = [
        SHAPE,
        ENLARGED,
        replace(ENLARGED, takes=INTERPOLATED),
        replace(SHAPE, scales=(2,)),
        replace(SHAPE, patch=18),
    ]
    shapes += [replace(SHAPE, stride=3), replace(SHAPE, set="others"), EvaluationShape("photographs", 2)]
    shapes += [EvaluationShape("photographs", 3), EvaluationShape("others", 3)]
    assert len({shape.path(folder) for shape in shapes}) == len(shapes)


@pytest.mark.parametrize("misfit", [{"scales": (2, 3)}, {"patch": 13}, {"stride": 7}])
def test_low_patches_that_do_not_fit_the_grid_are_refused(misfit):
    with pytest.raises(InputError, match="multiples"):
        replace(ENLARGED, **misfit)


def test_threads_that_prepare_at_once_build_one_store(folder):
    start = threading.Barrier(4)

    def prepare(_: int) -> bool:
        start.wait(timeout=10)
        return prepare_training(folder, SHAPE)

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(prepare, range(4))) == [False, False, False, True]
    assert list(folder.stores.iterdir()) == [SHAPE.path(folder)]


# What can be wrong with a store that is there. Each takes its path.


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def truncate_as_of_before(path: Path) -> None:
    path.write_bytes(path.read_bytes()[stores.SEAL : -100])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace_by_text(path: Path) -> None:
    path.write_text("no store")


def replace_by_foreign_hdf5(path: Path) -> None:
    path.unlink()
    with h5py.File(path, "w") as file:  # as SRCNN's authors' MATLAB code writes it
        file["data"] = file["label"] = np.zeros((2, 1, 33, 33), np.float32)


def replace_by_hdf5_of_another_kind(path: Path) -> None:
    path.unlink()
    with h5py.File(path, "w") as file:
        file.attrs["kind"] = "somebody else's"
        file.attrs["digest"] = "0"


def age(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["format"] = stores.FORMAT - 1
    stores._seal(path)


def change_source(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.attrs["sources"] = file.attrs["sources"].replace("a.png", "z.png")
    stores._seal(path)


@pytest.mark.parametrize("prepare", [prepare_training, prepare_evaluation])
@pytest.mark.parametrize(
    ("harm", "found"),
    [
        (truncate, "is damaged or no store"),
        (truncate_as_of_before, "is truncated or no HDF5 file"),
        (empty, "is damaged or no store"),
        (replace_by_text, "is damaged or no store"),
        (replace_by_foreign_hdf5, "was not made by srrepro"),
        (replace_by_hdf5_of_another_kind, "was not made by srrepro"),
        (age, f"has the format {stores.FORMAT - 1}, and this version reads {stores.FORMAT}"),
        (change_source, "differs from what was asked for in: sources"),
    ],
)
def test_a_store_that_is_not_what_its_name_says(harm, found, prepare, folder):
    shape = SHAPE if prepare is prepare_training else EvaluationShape("photographs", 2)
    prepare(folder, shape)
    path = shape.path(folder)
    harm(path)
    read = read_training if prepare is prepare_training else lambda *asked: list(read_evaluation(*asked))
    for use in (prepare, read, digest_of):
        with pytest.raises(InputError) as error:
            use(folder, shape)
        assert (
            str(error.value)
            == f"The store {path} was to be opened, but {found}. Delete it; the next call builds it again."
        )
    path.unlink()
    assert prepare(folder, shape), "the advice must work"
    read(folder, shape)


@pytest.mark.parametrize(
    ("other", "differing"),
    [
        (replace(SHAPE, stride=4), "stride"),
        (replace(SHAPE, patch=18, stride=9), "patch, stride"),
        (replace(SHAPE, scales=(2,)), "scale"),
        (ENLARGED, "scale, takes"),
        (EvaluationShape("photographs", 2), "kind, scale, patch, stride, takes"),
    ],
)
def test_a_store_of_another_shape_under_this_name(other, differing, folder):
    (prepare_evaluation if isinstance(other, EvaluationShape) else prepare_training)(folder, other)
    other.path(folder).rename(SHAPE.path(folder))
    with pytest.raises(InputError, match=f"differs from what was asked for in: {differing}\\. Delete it"):
        read_training(folder, SHAPE)


def test_a_store_of_images_that_the_registry_no_longer_names(pretend):
    prepare_training(pretend({"photographs": PHOTOGRAPHS}), SHAPE)
    folder = pretend({"photographs": {**PHOTOGRAPHS, "b.png": 255 - GREY}})
    with pytest.raises(InputError, match="differs from what was asked for in: sources"):
        prepare_training(folder, SHAPE)


def test_a_missing_store_names_the_verb_that_builds_it(folder):
    with pytest.raises(InputError, match="is not there.*srrepro prepare photographs"):
        read_training(folder, SHAPE)
    with pytest.raises(InputError, match="is not there.*srrepro prepare photographs"):
        list(read_evaluation(folder, EvaluationShape("photographs", 2)))


def flip_one_bit(path: Path, dataset: str) -> None:
    """In a store of before, so that HDF5 has to notice it."""
    path.write_bytes(path.read_bytes()[stores.SEAL :])
    with h5py.File(path) as file:
        chunk = file[dataset].id.get_chunk_info(0)
    with path.open("r+b") as stream:
        stream.seek(chunk.byte_offset + chunk.size // 2)
        (byte,) = stream.read(1)
        stream.seek(-1, 1)
        stream.write(bytes([byte ^ 1]))


@pytest.mark.parametrize("dataset", ["interpolated", "high"])
def test_one_wrong_bit_in_a_training_store_is_noticed(dataset, folder):
    prepare_training(folder, SHAPE)
    flip_one_bit(SHAPE.path(folder), dataset)
    with pytest.raises(InputError, match="is damaged. Delete it"):
        read_training(folder, SHAPE)


@pytest.mark.parametrize("plane", ["reference", "low", "interpolated"])
def test_one_wrong_bit_in_an_evaluation_store_is_noticed(plane, folder):
    shape = EvaluationShape("photographs", 2)
    prepare_evaluation(folder, shape)
    flip_one_bit(shape.path(folder), f"images/0001/{plane}")
    examples = read_evaluation(folder, shape)
    assert next(examples).name == "a.png"
    with pytest.raises(InputError, match="is damaged. Delete it"):
        next(examples)


@pytest.mark.parametrize("prepare", [prepare_training, prepare_evaluation])
def test_damage_anywhere_is_noticed_or_harmless(prepare, folder):
    shape = SHAPE if prepare is prepare_training else EvaluationShape("photographs", 2)

    def content() -> list[np.ndarray]:
        if prepare is prepare_training:
            return list(read_training(folder, shape)[:3])
        return [plane for example in read_evaluation(folder, shape) for plane in example.planes]

    prepare(folder, shape)
    path, expected = shape.path(folder), content()
    whole, noticed = path.read_bytes(), 0
    for at in np.unique(np.geomspace(1, len(whole), 150).astype(int) - 1):  # denser where the file describes itself
        harmed = bytearray(whole)
        harmed[at] ^= 0xFF
        path.unlink()  # a new file: HDF5 would know the old one again
        path.write_bytes(harmed)
        try:
            found = content()
        except InputError:
            noticed += 1
        else:
            assert len(found) == len(expected), f"byte {at}"
            for one, other in zip(found, expected, strict=True):
                assert_array_equal(one, other, err_msg=f"byte {at}")
    assert noticed > 20


# Builds that fail.


@pytest.mark.parametrize("prepare", [prepare_training, prepare_evaluation])
def test_an_image_that_cannot_be_read_leaves_no_store(prepare, pretend):
    shape = SHAPE if prepare is prepare_training else EvaluationShape("photographs", 2)
    folder = pretend({"photographs": {"a.png": GREY, "b.png": b"no picture"}})
    with pytest.raises(InputError, match=r"b\.png was to be read as an image"):
        prepare(folder, shape)
    assert not list(folder.stores.iterdir())


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("prepare", [prepare_training, prepare_evaluation])
def test_an_interrupted_build_leaves_nothing_and_can_be_repeated(prepare, interruption, folder, monkeypatch):
    shape = SHAPE if prepare is prepare_training else EvaluationShape("photographs", 2)
    calls = itertools.count()

    def interrupted(image: np.ndarray, scale: int, how: Degradation):
        if next(calls) == 1:
            raise interruption
        return degrade(image, scale, how)

    with monkeypatch.context() as patch:
        patch.setattr(stores, "degrade", interrupted)
        with pytest.raises(interruption):
            prepare(folder, shape)
    assert not list(folder.stores.iterdir())
    assert prepare(folder, shape)


def test_a_full_disk_leaves_nothing_and_is_named(folder, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        InputError, match=rf"{SHAPE.path(folder)} was to be built, but its disk is full. Free some space"
    ):
        prepare_training(folder, SHAPE)
    assert not list(folder.stores.iterdir())


@pytest.mark.parametrize("kind", ["training", "evaluation"])
@pytest.mark.parametrize("where", [0.0, 0.3, 0.6])
def test_what_was_not_written_as_it_should_never_gets_its_name(kind, where, folder, monkeypatch):
    """As on a full disk of which HDF5 said nothing when the file was closed."""
    fsync = os.fsync

    def lose(descriptor: int) -> None:
        fsync(descriptor)
        size = os.fstat(descriptor).st_size
        os.pwrite(descriptor, b"\xa5" * (size // 3), int(size * where))

    monkeypatch.setattr(os, "fsync", lose)
    build = partial(prepare_training, folder, SHAPE)
    if kind == "evaluation":
        build = partial(prepare_evaluation, folder, EvaluationShape(SHAPE.set, 2))
    with pytest.raises(InputError, match="could not be written: what was written .* disk full"):
        build()
    assert not list(folder.stores.iterdir())


def test_a_store_is_flushed_by_a_handle_for_writing(folder, monkeypatch):
    """Windows flushes no other."""
    fsync = os.fsync

    def as_windows(descriptor: int) -> None:
        if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
            assert fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", as_windows)
    assert prepare_training(folder, SHAPE)


def test_a_file_where_the_stores_should_be(folder):
    folder.root.mkdir()
    folder.stores.write_text("in the way")
    with pytest.raises(InputError, match=f"{SHAPE.path(folder)} was to be built"):
        prepare_training(folder, SHAPE)


def test_what_a_killed_build_left_is_replaced(folder):
    prepare_training(folder, SHAPE)
    expected = digest_of(folder, SHAPE)
    path = SHAPE.path(folder)
    path.rename(part_of(path))
    truncate(part_of(path))
    assert prepare_training(folder, SHAPE)
    assert digest_of(folder, SHAPE) == expected
    assert list(folder.stores.iterdir()) == [path]


def test_the_91_images_at_scale_4(mirror, tmp_path):
    folder = DataFolder(tmp_path, mirror)
    shape = TrainingShape(set="T91", scales=(4,), patch=33, stride=14)
    assert prepare_training(folder, shape)
    inputs, high, _ = read_training(folder, shape)
    assert inputs.shape == high.shape == (21772, 33, 33)
    with Image.open(folder.root / members("T91")[0].path) as image:
        reference, _, interpolated = degrade(np.asarray(image), 4)
    assert_array_equal(high[0], reference[:33, :33])
    assert_array_equal(inputs[0], interpolated[:33, :33])


RGB = Degradation(low="rgb8", grey="rgb")


def test_patches_of_rgb_lie_over_their_high_patches(folder):
    shape = TrainingShape(set="photographs", scales=(3,), patch=12, stride=6, takes=LOW_RGB, degradation=RGB)
    prepare_training(folder, shape)
    inputs, high, _ = read_training(folder, shape)
    assert (inputs.shape[1:], high.shape[1:]) == ((4, 4, 3), (12, 12, 3))
    planes = degrade(COLOUR, 3, RGB)
    at = corners(*planes.reference.shape[:2], 12, 6).index((12, 18))
    assert_array_equal(high[at], COLOUR[12:24, 18:30])
    assert_array_equal(inputs[at], planes.low[4:8, 6:10])


def test_grey_is_not_cut_into_patches_of_rgb(folder):
    """Of a protocol that leaves grey as it is: three planes would be made of one."""
    how = Degradation(low="rgb8")
    shape = TrainingShape(set="photographs", scales=(3,), patch=12, stride=6, takes=LOW_RGB, degradation=how)
    with pytest.raises(InputError, match="is grey, and patches were to be RGB. Name a protocol that makes grey"):
        prepare_training(folder, shape)
    assert not list(folder.stores.glob("*"))


def test_stores_of_other_degradations_stand_beside_each_other(folder):
    shapes = [EvaluationShape("photographs", 2, how) for how in (MATLAB, RGB, Degradation(resizer="matlab-clamp"))]
    for shape in shapes:
        assert prepare_evaluation(folder, shape)
    assert len({digest_of(folder, shape) for shape in shapes}) == 3
    ((_, planes), *_) = read_evaluation(folder, shapes[1])
    for stored, made in zip(planes, degrade(COLOUR, 2, RGB), strict=True):
        assert_array_equal(stored, made)
    shapes[1].path(folder).rename(shapes[2].path(folder))
    with pytest.raises(InputError, match="differs from what was asked for in: resizer"):
        list(read_evaluation(folder, shapes[2]))


def test_patches_that_a_degradation_does_not_have_are_refused():
    for takes, how in ((LOW_RGB, MATLAB), (LOW, RGB), (LOW, Degradation(colour="studio-float"))):
        with pytest.raises(InputError, match="have other channels, or labels that are no whole levels"):
            TrainingShape(set="photographs", scales=(3,), patch=12, stride=6, takes=takes, degradation=how)


def test_the_demo_store_is_what_it_always_was(tmp_path):
    """Runs are named by this digest: another one, and all evidence would be of other runs."""
    folder, shape = DataFolder(tmp_path), TrainingShape(set="demo-train", scales=(3,), patch=33, stride=14)
    prepare_training(folder, shape)
    assert digest_of(folder, shape).startswith("a45ee0b5c978")


# A store that is whole, and something in the way: nobody must delete it.


@contextmanager
def held_by_another(path: Path) -> Iterator[None]:
    """As a process that has a store open for writing holds it: HDF5 itself then says what it says."""
    with path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.mark.parametrize("prepare", [prepare_training, prepare_evaluation])
def test_a_store_that_is_held_is_not_called_broken(prepare, folder):
    shape = SHAPE if prepare is prepare_training else EvaluationShape("photographs", 2)
    prepare(folder, shape)
    with held_by_another(shape.path(folder)), pytest.raises(InputError) as error:
        prepare(folder, shape)
    assert str(error.value) == (
        f"The store {shape.path(folder)} was to be opened, but another process holds it open. Wait for that one, or "
        "end it; leave the file as it is."
    )
    assert not prepare(folder, shape)


@pytest.mark.parametrize(("number", "told"), [
    (errno.ENOLCK, "its disk cannot lock files, .* Set HDF5_USE_FILE_LOCKING=FALSE, or name a folder on a local disk"),
    (errno.EOPNOTSUPP, "its disk cannot lock files"),
    (errno.EACCES, "the system does not let it: Permission denied. That is no fault of the file"),
    (errno.ESTALE, "the system does not let it: Stale file handle"),
])  # fmt: skip
def test_what_the_system_says_is_told_and_nothing_is_to_be_deleted(number, told, folder, monkeypatch):
    prepare_training(folder, SHAPE)

    def refusing(*_: object, **__: object) -> None:
        raise OSError(number, f"[Errno {number}] Unable to synchronously open file ({os.strerror(number)})")

    monkeypatch.setattr(stores.h5py, "File", refusing)
    with pytest.raises(InputError, match=rf"{SHAPE.path(folder)} was to be opened, but {told}") as error:
        read_training(folder, SHAPE)
    assert "elete" not in str(error.value)


def test_a_store_that_cannot_be_locked_is_not_built_on_a_full_disk(folder, monkeypatch):
    def refusing(*_: object, **__: object) -> None:
        raise OSError(errno.ENOLCK, "unable to lock file, errno = 37")

    monkeypatch.setattr(stores.h5py, "File", refusing)
    with pytest.raises(InputError, match=r"was to be built, but its disk cannot lock files.*--data"):
        prepare_training(folder, SHAPE)
