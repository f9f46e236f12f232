"""Measuring sets of the registry and a user's own folders."""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image
from torch import Tensor, nn

from srrepro.data.registry import DataFolder
from srrepro.data.stores import Example
from srrepro.errors import InputError
from srrepro.evaluation import measure as evaluation  # its `TestSet` must not look like a class of tests
from srrepro.evaluation.measure import Score, evaluate, mean_psnr
from srrepro.evaluation.upscaler import Upscaler, load
from srrepro.protocols.degradation import MATLAB
from srrepro.protocols.named import MATLAB_Y, VDSR_Y

PICTURES = {"b.png": skimage.data.camera()[60:121, 200:263], "a.png": skimage.data.chelsea()[50:98, 100:171]}


class Darker(nn.Module):
    """A network whose estimate is darker by a fiftieth."""

    def forward(self, interpolated: Tensor) -> Tensor:
        return interpolated - 0.02


def darker(scale: int) -> Upscaler:
    return replace(load("bicubic", scale), network=Darker())


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    for name, pixels in PICTURES.items():
        Image.fromarray(pixels).save(folder / name)
    return folder


def own(folder: Path) -> evaluation.TestSet:
    return evaluation.TestSet.parse(f"mine={folder}")


def test_a_set_of_the_registry_or_a_named_folder() -> None:
    assert evaluation.TestSet.parse("Set5") == evaluation.TestSet("Set5", None)
    assert evaluation.TestSet.parse("mine=/some/where=else") == evaluation.TestSet("mine", Path("/some/where=else"))
    assert evaluation.TestSet.parse("mine=~/photos").folder == Path.home() / "photos"


def test_an_unknown_set_is_told_what_there_is() -> None:
    with pytest.raises(InputError, match=r"no set 'Set6'.*Set5"):
        evaluation.TestSet.parse("Set6")


def test_a_folder_may_not_take_the_name_of_a_known_set() -> None:
    with pytest.raises(InputError, match="the name of the set Set5"):
        evaluation.TestSet.parse("Set5=/some/where")


@pytest.mark.parametrize("text", ["mine=", "=/some/where", "="])
def test_a_folder_needs_a_name_and_a_path(text: str) -> None:
    with pytest.raises(InputError, match="NAME=DIR"):
        evaluation.TestSet.parse(text)


def measured(upscaler: Upscaler, examples: Iterable[Example]) -> list[Score]:
    return evaluate(upscaler, "mine", examples, protocol=MATLAB_Y)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_users_folder_gives_scores(scale: int, pictures: Path, tmp_path: Path) -> None:
    scores = measured(darker(scale), own(pictures).examples(DataFolder(tmp_path / "data"), scale, MATLAB))
    assert [(score.dataset, score.scale, score.image) for score in scores] == [
        ("mine", scale, "a.png"),
        ("mine", scale, "b.png"),
    ]
    assert {score.protocol for score in scores} == {MATLAB_Y.name}
    for score in scores:
        assert 10 < score.values["psnr_db"] < score.values["bicubic_psnr_db"] < 60
        assert 0 < score.values["ssim"] < score.values["bicubic_ssim"] < 1
    assert not (tmp_path / "data").exists()  # a user's images are not stored


def test_bicubic_scores_as_its_own_columns(pictures: Path, tmp_path: Path) -> None:
    for score in measured(load("bicubic", 3), own(pictures).examples(DataFolder(tmp_path), 3, MATLAB)):
        assert (score.values["psnr_db"], score.values["ssim"]) == (
            score.values["bicubic_psnr_db"],
            score.values["bicubic_ssim"],
        )


def test_the_estimate_is_judged_against_the_reference(pictures: Path, tmp_path: Path) -> None:
    examples = list(own(pictures).examples(DataFolder(tmp_path), 2, MATLAB))
    scores = measured(darker(2), examples)
    for (name, planes), score in zip(examples, scores, strict=True):
        ours = MATLAB_Y.scores(planes.interpolated - np.float32(0.02), planes, 2)
        bicubic = MATLAB_Y.scores(planes.interpolated, planes, 2)
        values = ours | {f"bicubic_{metric}": value for metric, value in bicubic.items()}
        assert score == Score("mine", 2, name, "matlab-y-v1", values)


def test_a_store_and_a_folder_of_the_same_images_score_alike(
    pretend: Callable[..., DataFolder], pictures: Path
) -> None:
    data = pretend({"made-up": PICTURES})
    upscaler = darker(3)
    stored = measured(upscaler, evaluation.TestSet.parse("made-up").examples(data, 3, MATLAB))
    assert stored == measured(upscaler, own(pictures).examples(data, 3, MATLAB))
    assert len(list(data.stores.glob("*.h5"))) == 1


def test_the_quick_look_is_the_mean_of_the_scores(pictures: Path, tmp_path: Path) -> None:
    examples = list(own(pictures).examples(DataFolder(tmp_path), 3, MATLAB))
    scores = measured(darker(3), examples)
    expected = sum(score.values["psnr_db"] for score in scores) / len(scores)
    assert mean_psnr(darker(3), examples, protocol=MATLAB_Y) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("side", "scale"), [(14, 2), (16, 3), (18, 4), (2, 3), (1, 4)])
def test_an_image_too_small_is_named(side: int, scale: int, pictures: Path, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((40, side), np.uint8)).save(pictures / "c.png")
    with pytest.raises(InputError, match=r"c\.png.*x" + str(scale)):
        measured(load("bicubic", scale), own(pictures).examples(DataFolder(tmp_path), scale, MATLAB))


@pytest.mark.parametrize(("side", "scale"), [(15, 2), (18, 3), (20, 4)])
def test_an_image_just_large_enough_is_measured(side: int, scale: int, tmp_path: Path) -> None:
    Image.fromarray(skimage.data.camera()[: side + 1, 200 : 200 + side + 1]).save(tmp_path / "c.png")
    scores = measured(load("bicubic", scale), own(tmp_path).examples(DataFolder(tmp_path), scale, MATLAB))
    assert math.isfinite(scores[0].values["ssim"])


def test_an_empty_folder_and_a_missing_one(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image", encoding="utf-8")
    with pytest.raises(InputError, match="holds no image"):
        list(own(tmp_path).examples(DataFolder(tmp_path), 3, MATLAB))
    with pytest.raises(InputError, match="no such folder"):
        list(own(tmp_path / "none").examples(DataFolder(tmp_path), 3, MATLAB))


def test_a_file_that_is_no_image_is_named(pictures: Path, tmp_path: Path) -> None:
    (pictures / "c.png").write_text("no image", encoding="utf-8")
    with pytest.raises(InputError, match=r"c\.png"):
        measured(load("bicubic", 3), own(pictures).examples(DataFolder(tmp_path), 3, MATLAB))


def test_the_protocol_decides_what_the_network_and_bicubic_see(tmp_path: Path) -> None:
    """Levels outside studio range are cut before anything else sees them; what lies inside is the same."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    levels = np.linspace(0, 255, 40 * 40).reshape(40, 40).astype(np.uint8)
    Image.fromarray(levels).save(pictures / "grey.png")
    folder = DataFolder(tmp_path / "data")
    (usual,), (clamped,) = (
        evaluate(load("bicubic", 2), "mine", own(pictures).examples(folder, 2, MATLAB), protocol=protocol)
        for protocol in (MATLAB_Y, VDSR_Y)
    )
    assert (usual.protocol, clamped.protocol) == ("matlab-y-v1", "vdsr-y-v1")
    assert usual.values["psnr_db"] - clamped.values["psnr_db"] > 10
    assert clamped.values["psnr_db"] == clamped.values["bicubic_psnr_db"]
    ((_, planes),) = own(pictures).examples(folder, 2, MATLAB)
    seen = np.clip(planes.interpolated, np.float32(16 / 255), np.float32(235 / 255))
    assert clamped.values["psnr_db"] == MATLAB_Y.scores(seen, planes, 2)["psnr_db"]
