"""Pictures of other programs: which belongs to which reference, and that they are measured as networks are."""

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st
from numpy import ndarray
from PIL import Image

from srrepro.data.registry import DataFolder
from srrepro.errors import InputError
from srrepro.evaluation import measure
from srrepro.evaluation.saving import Saved, error_map
from srrepro.evaluation.score import Pictures, read_array, score
from srrepro.evaluation.upscaler import load
from srrepro.pixels.naming import own_name, partners
from srrepro.protocols.named import MATLAB_Y
from srrepro.protocols.protocol import quantise

PHOTOGRAPHS = {"cat.png": skimage.data.chelsea()[90:151, 100:162], "man.png": skimage.data.camera()[100:161, 200:262]}
SCALE = 3


@pytest.fixture
def references(tmp_path: Path) -> measure.TestSet:
    folder = tmp_path / "references"
    folder.mkdir()
    for name, pixels in PHOTOGRAPHS.items():
        Image.fromarray(pixels).save(folder / name)
    return measure.TestSet("mine", folder)


def estimates() -> dict[str, ndarray]:
    network = load("srcnn-915-quick", SCALE)
    return {name: network.estimate(MATLAB_Y.degradation(p, SCALE).interpolated) for name, p in PHOTOGRAPHS.items()}


def scored(folder: Path, references: measure.TestSet, *, only: str = "*") -> list[measure.Score]:
    return score(Pictures(folder, only), references, SCALE, protocol=MATLAB_Y, data=DataFolder(folder / "data"))


def as_measured() -> list[float]:
    examples = ((name, MATLAB_Y.degradation(p, SCALE)) for name, p in PHOTOGRAPHS.items())
    scores = measure.evaluate(load("srcnn-915-quick", SCALE), "mine", examples, protocol=MATLAB_Y)
    return [score.values["psnr_db"] for score in scores]


SAVED: dict[str, Callable[[Path, ndarray], None]] = {
    "grey PNG": lambda path, y: Image.fromarray(quantise(y)).save(f"{path}_x3.png"),
    "grey as RGB": lambda path, y: Image.fromarray(np.stack([quantise(y)] * 3, axis=2)).save(f"{path}_SR.png"),
    "floats of 0 to 1": lambda path, y: np.save(f"{path}x3.npy", y),
    "floats of 0 to 255": lambda path, y: np.save(path, y[None, None] * 255),
    "levels": lambda path, y: np.save(f"{path}-srcnn", quantise(y)[..., None]),
}


@pytest.mark.parametrize("kind", SAVED)
def test_however_it_is_saved_it_scores_the_same(kind: str, references: measure.TestSet, tmp_path: Path) -> None:
    for name, y in estimates().items():
        SAVED[kind](tmp_path / Path(name).stem, y)
    assert [one.values["psnr_db"] for one in scored(tmp_path, references)] == pytest.approx(as_measured(), abs=1e-4)


def test_a_border_that_the_protocol_drops_changes_nothing(references: measure.TestSet, tmp_path: Path) -> None:
    for name, y in estimates().items():
        np.save(tmp_path / Path(name).stem, y[2:-2, 2:-2])
    assert [one.values["psnr_db"] for one in scored(tmp_path, references)] == pytest.approx(as_measured(), abs=1e-4)


def test_a_wider_border_is_said(
    references: measure.TestSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, y in estimates().items():
        np.save(tmp_path / Path(name).stem, y[6:-6, 6:-6])
    scores = scored(tmp_path, references)
    assert "smaller than the references by 6 pixels on every side: only the inside" in capsys.readouterr().err
    assert scores[0].values["bicubic_psnr_db"] != pytest.approx(as_measured()[0], abs=0.01)


def test_pictures_of_the_whole_photograph_are_cut_like_it(references: measure.TestSet, tmp_path: Path) -> None:
    for name, y in estimates().items():
        h, w = PHOTOGRAPHS[name].shape[:2]
        np.save(tmp_path / Path(name).stem, np.pad(y, ((0, h - y.shape[0]), (0, w - y.shape[1]))))
    assert [one.values["psnr_db"] for one in scored(tmp_path, references)] == pytest.approx(as_measured(), abs=1e-4)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((20, 20)), "That is the size of the small image"),
        (np.zeros((60, 58)), "should be 60×60, or smaller by the same border all round, but is 58×60"),
        (np.full((60, 60), np.nan), "not finite"),
        (np.zeros((60, 60, 4)), r"holds \(60, 60, 4\) of float64"),
        (np.zeros((60, 60), np.int32), "of int32"),
        (np.zeros((60, 60), np.uint16), "Save it as one of them"),
        (np.zeros((2, 60, 60)), r"holds \(2, 60, 60\)"),
    ],
)
def test_what_is_no_estimate_is_refused(
    array: ndarray, message: str, references: measure.TestSet, tmp_path: Path
) -> None:
    np.save(tmp_path / "cat", array)
    with pytest.raises(InputError, match=message):
        scored(tmp_path, references)


def test_an_array_that_is_none_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(InputError, match="none or is cut short"):
        read_array(tmp_path / "a.npy")


def header(words: bytes) -> bytes:
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(words)) + words


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (60000, 60000), }\n") + bytes(64), "mmap length"),
        (header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (2"), "cut short"),  # a fuzzer's: TokenError
        (header(b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n") + bytes(64), "cut short"),
        (b"", "cut short"),  # a fuzzer's: EOFError
        (None, r"an archive of them \(\.npz\)"),
    ],
    ids=["27 GB declared", "half a header", "objects", "empty", "an archive"],
)
def test_a_strange_array_is_one_message(content: bytes | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    if content is None:
        np.savez(tmp_path / "a.npz", a=np.ones(2))
        (tmp_path / "a.npz").rename(path)
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_array(path)


def test_an_array_larger_than_any_image_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "a.npy", np.ones((4, 4, 3)))
    assert read_array(tmp_path / "a.npy").shape == (4, 4, 3)
    monkeypatch.setattr("srrepro.pixels.decoding.MOST_PIXELS", 15)
    with pytest.raises(InputError, match=r"but holds \(4, 4, 3\), and at most"):
        read_array(tmp_path / "a.npy")


def test_what_was_cut_on_one_side_is_refused(references: measure.TestSet, tmp_path: Path) -> None:
    for name, y in estimates().items():
        np.save(tmp_path / Path(name).stem, y[:-2, :-2])
    with pytest.raises(InputError, match="fits it 0 from the top and 0 from the left, not in the middle"):
        scored(tmp_path, references)


def test_a_name_of_another_scale_is_refused(references: measure.TestSet, tmp_path: Path) -> None:
    np.save(tmp_path / "cat_x2", estimates()["cat.png"])
    with pytest.raises(InputError, match="at x3, but its name says x2"):
        scored(tmp_path, references)


def test_what_has_no_picture_is_named(
    references: measure.TestSet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "cat", estimates()["cat.png"])
    assert [one.image for one in scored(tmp_path, references)] == ["cat.png"]
    told = capsys.readouterr().err
    assert "taken: cat.npy for cat.png" in told
    assert "1 of 2 images of mine have no picture: man.png" in told
    with pytest.raises(InputError, match="no such folder"):
        scored(tmp_path / "nowhere", references)


# Names.


def paths(*names: str) -> list[Path]:
    return [Path(name) for name in names]


@pytest.mark.parametrize(
    "pictures",
    [
        ("baby_x3.png", "bird_x3.png"),
        ("babyx3.png", "birdx3.png"),
        ("baby_SR.png", "bird_SR.png"),
        ("baby_GT.bmp", "bird_GT.bmp"),
        ("Baby.PNG", "BIRD.png"),
        ("baby_x3_SR.png", "bird_x3_SR.png"),
        ("baby_SRF_3_HR.png", "bird_SRF_3_HR.png"),
        ("srcnn_baby.png", "srcnn_bird.png"),
        ("baby_my_network.png", "bird_my_network.png"),
    ],
)
def test_the_usual_names_are_understood(pictures: tuple[str, str]) -> None:
    found = partners(["baby_GT.bmp", "bird_GT.bmp"], paths(*pictures), what="DIR")
    assert {name: path.name for name, path in found.items()} == {
        "baby_GT.bmp": pictures[0],
        "bird_GT.bmp": pictures[1],
    }


def test_a_name_within_a_name_is_no_partner() -> None:
    """Set14 has face.bmp, and images of B100 are numbers."""
    found = partners(["8023.jpg", "108023.jpg"], paths("8023_x3.png", "108023_x3.png"), what="DIR")
    assert {name: path.name for name, path in found.items()} == {
        "8023.jpg": "8023_x3.png", "108023.jpg": "108023_x3.png",
    }  # fmt: skip
    found = partners(["img_1.png", "img_10.png"], paths("img_1_SR.png", "img_10_SR.png"), what="DIR")
    assert [path.name for path in found.values()] == ["img_1_SR.png", "img_10_SR.png"]


def test_a_second_kind_of_picture_is_never_left_out_in_silence() -> None:
    with pytest.raises(InputError, match=r"several pictures for baby_GT\.bmp: baby_srcnn_x3\.png, baby_bicubic\.png"):
        partners(["baby_GT.bmp"], paths("baby_srcnn_x3.png", "baby_bicubic.png"), what="DIR")


def test_two_pictures_for_one_reference_are_refused() -> None:
    with pytest.raises(InputError, match=r"several pictures for a\.png: a_HR\.png, a_LR\.png.*one kind"):
        partners(["a.png"], paths("a_HR.png", "a_LR.png"), what="DIR")
    with pytest.raises(InputError, match=r"no picture for any of a\.png.*It has 0001\.png"):
        partners(["a.png"], paths("0001.png"), what="DIR")


@given(
    st.from_regex(r"[a-z]{2,6}[0-9]{0,2}", fullmatch=True),
    st.sampled_from(["_x2", "x3", "_SR", "_HR", "-x4", "_SRF_4"]),
)
def test_a_mark_behind_a_name_is_no_part_of_it(name: str, mark: str) -> None:
    assert own_name(name + mark) == own_name(name)


def test_what_is_no_photograph_of_its_set_is_not_saved(tmp_path: Path) -> None:
    """A store may be of a folder that has changed since: no other image's colours are taken."""
    saved = Saved.into(tmp_path / "seen", SCALE, iter(PHOTOGRAPHS.items()), [*PHOTOGRAPHS], force=False)
    planes = MATLAB_Y.degradation(PHOTOGRAPHS["cat.png"], SCALE)
    with pytest.raises(InputError, match="dog.png was to be saved in .*seen, but its set has no photograph of that na"):
        saved("dog.png", planes, planes.interpolated)
    assert not list((tmp_path / "seen").iterdir())


def test_error_maps_are_white_where_nothing_is_wrong() -> None:
    seen = error_map(np.array([[0.0, 40.0], [-40.0, 3.0]]))
    assert seen[0, 0].tolist() == [255, 255, 255]
    assert seen[0, 1, 0] > seen[0, 1, 2]
    assert seen[1, 0, 2] > seen[1, 0, 0]
    assert seen[1, 1].min() > 200
