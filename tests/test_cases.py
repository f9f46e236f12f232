"""Files and folders of real people, each of which went wrong once: the right number and picture, or a refusal that
names the reason.

`cases` is what a tester made by hand. A file of it that is not named here fails the last test.
"""

import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from srrepro.cli import main
from srrepro.pixels import picture

CASES = Path(__file__).parent / "cases"

GREY, COLOUR = "28.546", "29.856"
"""Bicubic of `grey.png` and `rgb.png` at x3, in dB: other files hold the same photograph."""
PICTURES = {
    "grey.png": (GREY, "levels below 16 or above 235"),
    "packed12.tif": (GREY, "levels below 16 or above 235"),
    "white0_16.tif": (GREY, "levels below 16 or above 235"),
    "grey_black.png": ("35.432", "levels below 16 or above 235"),
    "u16_as8.tif": ("65.887", "its brightest is 255 of 65535. It is read as that dark"),
    "rgb.png": (COLOUR, ""),
    "bigtext.png": (COLOUR, ""),
    "planar16.tif": (COLOUR, ""),
    "multi16.tif": (COLOUR, "has 3 pages; the first is read"),
    "alpha.png": ("30.394", "alpha.png is transparent in part"),
    "i32.tif": ("its pixels are int32, where white has no agreed level. Save it with 8 or 16 bits a sample", ""),
    "lab16.tif": ("its colours are ICCLAB, not grey or RGB. Convert it to RGB", ""),
    "big_189MP.png": ("has 189 million pixels. Files of up to 179 million are read", ""),
    "anim.gif": ("holds no image (.bmp .jfif .jpeg .jpg .png .tif .tiff .webp); there are 1 .gif (anim.gif)", ""),
}
"""Bicubic's mean of each alone, or the refusal; and what is said."""
FOLDERS = {
    "HR_only": ("31.269", ""),
    "image_SRF_3": ("31.269", "taken 2 PNG; left out 2 named _LR (img_001_SRF_3_LR.png, img_002_SRF_3_LR.png)"),
    "one_flat": ("inf", "flat.png of mine: the estimate is the reference"),
    "webp_folder": ("29.871", "taken 1 PNG, 1 WebP, 1 JPEG"),
    "mac_folder": (COLOUR, "taken 1 PNG; left out 1 of macOS (AppleDouble) (._photo.png)"),
}
WEIGHTS = {
    "srcnn_x3.pth": ("30.653", "read as the network of srcnn-915"),
    "yjn.safetensors": ("30.653", "read as the network of srcnn-915"),
    "v73.mat": ("5.989", "below bicubic"),
    "nan.safetensors": ("layers.0.bias holds values that are not finite", ""),
}
"""The mean on the demo photographs, where the weights that ship have 30.653 dB; v73.mat holds random numbers."""


def srrepro(*words: object) -> Result:
    return CliRunner().invoke(main, [*map(str, words)])


def hold(result: Result, found: str, said: str) -> None:
    number = found.replace(".", "").isdigit() or found == "inf"
    assert result.exit_code == (0 if number else 2), result.output
    assert (f" {found} " in result.stdout) if number else (found in " ".join(result.stderr.split()))
    assert said in " ".join(result.stderr.split())


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_measured_as_what_it_is(name: str, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    shutil.copy(CASES / name, tmp_path / "mine")
    hold(srrepro("evaluate", "bicubic", "--scale", 3, "--set", f"mine={tmp_path / 'mine'}"), *PICTURES[name])


@pytest.mark.parametrize("name", FOLDERS)
def test_of_a_folder_what_is_meant_is_measured(name: str, tmp_path: Path) -> None:
    folder = shutil.copytree(CASES / name, tmp_path / name)  # what is said of a folder is said once a process
    hold(srrepro("evaluate", "bicubic", "--scale", 3, "--set", f"mine={folder}"), *FOLDERS[name])


@pytest.mark.parametrize(("name", "mode"), [*((name, "native") for name in WEIGHTS), ("nan.safetensors", "eager")])
def test_weights_are_used_or_refused_in_any_mode(name: str, mode: str, tmp_path: Path) -> None:
    words = ("--scale", 3, "--set", "demo-test", "--mode", mode, "--data", tmp_path)
    hold(srrepro("evaluate", CASES / name, *words), *WEIGHTS[name])


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_enlarged_as_what_it_is(name: str, tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    result = srrepro("upscale", CASES / name, large, "--scale", 3)
    if not PICTURES[name][0][0].isdigit():
        assert result.exit_code == 2
        assert name in result.stderr
        assert not large.exists()
        return
    assert result.exit_code == 0, result.output
    given, found = picture.read(CASES / name), picture.read(large)
    assert (found.wide, found.alpha is None) == (given.wide, given.alpha is None)
    white = 65535 if given.wide else 255
    pixels = found.levels.reshape(given.size[1], 3, given.size[0], 3, -1).mean(axis=(1, 3)) / white
    apart = np.abs(pixels - given.levels.reshape(*pixels.shape) / white)
    if given.alpha is not None:  # where nothing is seen, the colours are the network's to choose
        apart = apart[given.alpha == 255]
    assert apart.mean() < 0.01
    if PICTURES[name][0] in {GREY, COLOUR}:
        photograph = picture.read(CASES / ("grey.png" if PICTURES[name][0] == GREY else "rgb.png"))
        assert np.abs(pixels - photograph.levels.reshape(*pixels.shape) / 255).mean() < 0.01


def test_every_case_is_named_here() -> None:
    assert {path.name for path in CASES.iterdir()} == {*PICTURES, *FOLDERS, *WEIGHTS}
