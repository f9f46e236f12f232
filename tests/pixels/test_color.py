"""Luminance as MATLAB's rgb2ycbcr: against MATLAB's own values, against scikit-image, and as a pair with its inverse.

`tests/reference/luminance.csv` says row by row where a value comes from: the colour bars of ITU-R BT.601, a sum by hand
with the matrix that MATLAB documents (65.481, 128.553, 24.966; 16 added), or a pixel that MATLAB converted for
pytorch-vdsr, in the registry as `goldens-mirror`.
"""

import csv
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from hypothesis import given
from hypothesis import strategies as st
from skimage.color import rgb2ycbcr

from srrepro.data.registry import members, mirrored
from srrepro.pixels.color import from_ycbcr, luminance, to_ycbcr

with (Path(__file__).parent.parent / "reference" / "luminance.csv").open(newline="") as _text:
    VALUES = list(csv.DictReader(_text))


@pytest.mark.parametrize("row", VALUES, ids=lambda row: f"{row['r']},{row['g']},{row['b']}")
def test_known_values(row):
    colour = np.array([[[row["r"], row["g"], row["b"]]]], dtype=np.uint8)
    y = luminance(colour)
    assert (y.dtype, y.shape) == (np.uint8, (1, 1))
    assert y.item() == int(row["y"])
    assert to_ycbcr(colour)[0, 0, 0] == pytest.approx(float(row["unrounded"]), abs=1e-6)


def test_a_whole_photograph_as_matlab_converts_it(mirror: Path):
    planes = scipy.io.loadmat(mirrored(mirror, members("goldens-mirror")[0]))
    _assert_rounded(luminance(planes["im_gt"]), planes["im_gt_y"])


@given(st.integers(0, 2**32))
def test_scikit_image_agrees(seed):
    image = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), np.uint8)
    expected = rgb2ycbcr(image)
    _assert_rounded(luminance(image), expected[..., 0])
    np.testing.assert_allclose(to_ycbcr(image), expected, rtol=0, atol=1e-9)


def _assert_rounded(y: np.ndarray, unrounded: np.ndarray) -> None:
    """`y` is rounded to nearest; either way where a half hangs on the last bit (194 of all 16.8 million colours)."""
    halves = np.abs(unrounded - np.floor(unrounded) - 0.5) < 1e-9
    np.testing.assert_array_equal(y[~halves], np.floor(unrounded[~halves] + 0.5))
    np.testing.assert_allclose(y[halves], unrounded[halves], rtol=0, atol=0.5 + 1e-9)


def test_grey_is_used_as_it_is():
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    np.testing.assert_array_equal(luminance(grey), grey)


def test_ycbcr_and_back_gives_every_colour_again():
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    image[:3, :256:64] = 0, 255, 128
    np.testing.assert_array_equal(from_ycbcr(to_ycbcr(image)), image)


def test_rounded_ycbcr_and_back_is_within_two_levels():
    # Half a unit of Y and half a unit of Cb are 1.6 levels of blue: so much is lost with 8-bit YCbCr, and no more.
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    back = from_ycbcr(np.rint(to_ycbcr(image)))
    assert np.abs(back.astype(int) - image).max() <= 2


def test_impossible_ycbcr_is_clipped_not_wrapped():
    brighter_than_white = np.array([[[300.0, 128, 128], [-50, 128, 128]]])
    np.testing.assert_array_equal(from_ycbcr(brighter_than_white), [[[255] * 3, [0] * 3]])


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint16, np.int64, bool])
def test_luminance_refuses_other_types(dtype):
    with pytest.raises(ValueError, match=f"uint8 images, not {np.dtype(dtype)}"):
        luminance(np.zeros((4, 4, 3), dtype))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("shape", [(4,), (4, 4, 1), (4, 4, 4), (3, 4, 4), (1, 4, 4, 3)])
def test_luminance_refuses_other_shapes(shape):
    with pytest.raises(ValueError, match=rf"not shape \({shape[0]}"):
        luminance(np.zeros(shape, np.uint8))
