"""What Python users meet: measuring modules, functions, weights and recipes with one call."""

import doctest
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from torch import Tensor, nn

import srrepro
from srrepro.errors import InputError
from srrepro.evaluation import api
from srrepro.evaluation.upscaler import load


class Mine(nn.Module):
    """Somebody's SRCNN: padded with zeros, or not at all."""

    def __init__(self, pads: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 64, 9, padding=4 * pads)
        self.conv2 = nn.Conv2d(64, 32, 1)
        self.conv3 = nn.Conv2d(32, 1, 5, padding=2 * pads)
        own = load("srcnn-915-quick", 3).network.state_dict()
        self.load_state_dict(dict(zip(self.state_dict(), own.values(), strict=True)))

    def forward(self, y: Tensor) -> Tensor:
        return self.conv3(torch.relu(self.conv2(torch.relu(self.conv1(y)))))


class Enlarging(nn.Module):
    """Takes the small image, of one channel or three."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.same = nn.Conv2d(channels, channels, 1)

    def forward(self, low: Tensor) -> Tensor:
        return nn.functional.interpolate(low + 0 * self.same(low), scale_factor=3)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    folder = tmp_path / "photographs"
    folder.mkdir()
    Image.fromarray(skimage.data.chelsea()[90:150, 100:163]).save(folder / "cat.png")
    Image.fromarray(skimage.data.coffee()[90:150, 100:163]).save(folder / "cup.png")
    return folder


def test_everything_public_is_in_dir() -> None:
    assert {"load", "evaluate", "recipes", "protocols", "__version__"} <= set(dir(srrepro))
    assert "srcnn-915" in srrepro.recipes()
    assert srrepro.protocols.PROTOCOLS["matlab-y-v1"].signature.startswith("sr|y:studio-u8")
    assert (Path(srrepro.__file__).parent / "py.typed").exists()


def test_a_recipe_and_what_was_loaded_measure_the_same(photographs: Path) -> None:
    by_name = srrepro.evaluate("srcnn-915-quick", photographs, scale=3)
    loaded = srrepro.evaluate(srrepro.load("srcnn-915-quick", 3), f"mine={photographs}", scale=3)
    assert by_name.psnr_db == loaded.psnr_db
    assert (by_name.dataset, loaded.dataset, len(by_name.scores)) == ("photographs", "mine", 2)
    assert f"{by_name.psnr_db:.3f} dB" in str(by_name)
    assert by_name.per_image()["psnr_db"].mean() == pytest.approx(by_name.psnr_db)
    assert by_name.bicubic_psnr_db < by_name.psnr_db


def test_a_module_of_ones_own_is_measured(photographs: Path) -> None:
    ours = srrepro.evaluate("srcnn-915-quick", photographs, scale=3)
    padded = srrepro.evaluate(Mine(pads=True), photographs, scale=3, model="srcnn-915")
    unpadded = srrepro.evaluate(Mine(pads=False), photographs, scale=3)
    assert padded.psnr_db < ours.psnr_db - 0.5  # the border
    assert unpadded.psnr_db == pytest.approx(ours.psnr_db, abs=2)  # the inside only
    assert Mine(pads=True).training  # and stays as it was


@pytest.mark.parametrize("channels", [1, 3])
def test_what_takes_the_small_image_is_found_out(
    channels: int, photographs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = srrepro.evaluate(Enlarging(channels), photographs, scale=3, protocol="rgb8-y-v1")
    assert found.psnr_db == pytest.approx(found.bicubic_psnr_db, abs=3)
    assert f"takes low{'-rgb' if channels == 3 else ''}, by the size" in capsys.readouterr().err


def test_a_function_on_arrays_is_measured(photographs: Path) -> None:
    same = srrepro.evaluate(lambda y: y, photographs, scale=3)
    assert same.psnr_db == same.bicubic_psnr_db
    levels = srrepro.evaluate(lambda y: np.rint(y * 255).clip(0, 255).astype(np.uint8), photographs, scale=3, limit=1)
    assert levels.psnr_db == pytest.approx(same.per_image()["psnr_db"][0], abs=1e-6)
    batched = srrepro.evaluate(lambda y: torch.from_numpy(y)[None, None], photographs, scale=3, takes="interpolated")
    assert batched.psnr_db == same.psnr_db


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (lambda y: y * 255, "If those are levels of 0 to 255, divide by 255"),
        (lambda y: y[:-1], "or smaller by the same border all round"),
        (lambda y: y.nothing, "but failed: AttributeError"),
        (lambda y: y * np.nan, "not finite"),
        (lambda y: (y, y), "but gave a tuple of 2 things. Give the image alone"),
        (lambda y: "black", "An array like it, enlarged, was expected"),
        (3, "A network or a function was expected"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_gives_no_image_is_told_so(network: object, message: str, photographs: Path) -> None:
    with pytest.raises(InputError, match=message):
        srrepro.evaluate(network, photographs, scale=3, takes="interpolated")  # type: ignore[arg-type]


def test_what_cannot_be_found_out_is_asked_for(photographs: Path) -> None:
    with pytest.raises(InputError, match=r"cannot be found out: .* Name it: takes= one of interpolated, low"):
        srrepro.evaluate(lambda y: y[::5], photographs, scale=3)
    with pytest.raises(InputError, match="takes='small' was given"):
        srrepro.evaluate(lambda y: y, photographs, scale=3, takes="small")


@pytest.mark.usefixtures("unchecked")
def test_a_picture_may_be_handed_over_as_people_have_it(photographs: Path) -> None:
    upscaler = srrepro.load("srcnn-915-quick", 3)
    levels = np.asarray(Image.open(photographs / "cat.png"))
    expected = upscaler.image(levels)
    for given in (photographs / "cat.png", str(photographs / "cat.png"), Image.fromarray(levels)):
        np.testing.assert_array_equal(upscaler.image(given), expected)
    for given, message in (
        (levels / 255, "is of floats. Give levels"),
        (np.dstack([levels, levels[..., :1]]), r"Transparency goes apart: picture\[\.\.\., :3\]"),
        (levels.astype(np.int64), "of int64; grey"),
        (3, "int is no array"),
    ):
        with pytest.raises(InputError, match=message):
            upscaler.image(given)  # type: ignore[arg-type]


@pytest.mark.usefixtures("unchecked")
def test_an_estimate_is_of_floats_of_about_0_to_1(tmp_path: Path) -> None:
    upscaler = srrepro.load("bicubic", 3)
    for given, message in (
        (np.zeros((9, 9), np.uint8), "was given uint8. Divide levels by 255"),
        (np.full((9, 9), 200.0), "values up to 200. Divide"),
        (np.full((9, 9), np.nan), "not finite"),
    ):
        with pytest.raises(InputError, match=message):
            upscaler.estimate(given)
    assert srrepro.evaluate("bicubic", "demo-test", scale=3.0, limit=1, data=tmp_path).scale == 3  # type: ignore[arg-type]
    for more, message in (
        ({"limit": 0}, "counted from 1"),
        ({"limit": 1.5}, "counted from 1"),
        ({"dataset": None}, "None is neither"),
        ({"network": {"conv.weight": 1}}, "a state dict was given"),
        ({"network": Mine}, r"Make one: Mine\(\.\.\.\)"),
    ):
        with pytest.raises(InputError, match=message):
            srrepro.evaluate(**({"network": "bicubic", "dataset": "demo-test", "scale": 3} | more))  # type: ignore[arg-type]
    for scale in (5, 1, 2.5, "3"):
        with pytest.raises(InputError, match="made for the scales 2, 3 and 4"):
            srrepro.load("bicubic", scale)  # type: ignore[arg-type]


def test_wrong_words_are_told_what_there_is(photographs: Path) -> None:
    with pytest.raises(InputError, match=r"no protocol 'psnr'\. The protocols are: matlab-y-v1"):
        srrepro.evaluate("bicubic", photographs, scale=3, protocol="psnr")
    with pytest.raises(InputError, match="scale of 5"):
        srrepro.evaluate("bicubic", photographs, scale=5)
    with pytest.raises(InputError, match="loaded for x2, but x3"):
        srrepro.evaluate(srrepro.load("bicubic", 2), photographs, scale=3)
    with pytest.raises(AttributeError, match="no attribute 'evaluat'"):
        srrepro.evaluat  # noqa: B018


def test_the_examples_are_true(photographs: Path) -> None:
    found = doctest.testmod(api, extraglobs={"photographs": photographs}, optionflags=doctest.ELLIPSIS)
    assert (found.failed, found.attempted) == (0, 3)
