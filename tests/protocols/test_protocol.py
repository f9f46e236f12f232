"""The measurement `matlab-y-v1`: rounding, shaving, what is compared with what."""

import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy import ndarray

from srrepro.data.degrade import degrade
from srrepro.pixels.metrics import psnr, ssim
from srrepro.protocols import protocol
from srrepro.protocols.protocol import judge, quantise, smallest_side


def test_the_name_stays_while_the_numbers_do() -> None:
    assert protocol.MATLAB_Y.name == "matlab-y-v1"


def test_quantise_rounds_halves_up() -> None:
    halves = np.array([[level + 0.5 for level in range(255) if (level + 0.5) / 255 * 255 == level + 0.5]])
    assert halves.size > 100
    np.testing.assert_array_equal(quantise(halves / 255), np.ceil(halves).astype(np.uint8))


def test_quantise_clips_and_does_not_wrap_around() -> None:
    estimate = np.array([[-3.0, -0.001, 0.0, 1.0, 1.001, 2.0]], np.float32)
    rounded = quantise(estimate)
    assert rounded.dtype == np.uint8
    assert rounded.tolist() == [[0, 0, 0, 255, 255, 255]]


@given(arrays(np.float64, (3, 4), elements=st.floats(-2, 3)))
def test_quantise_goes_to_the_nearest_level(estimate: ndarray) -> None:
    assert np.abs(quantise(estimate) - np.clip(estimate, 0, 1) * 255).max() <= 0.5 + 1e-12


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_quantise_gives_bytes_back(kind: type) -> None:
    levels = np.arange(256, dtype=np.uint8)[None]
    np.testing.assert_array_equal(quantise((levels / 255).astype(kind)), levels)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_judge_rounds_shaves_the_scale_and_takes_255_as_peak(scale: int) -> None:
    planes = degrade(skimage.data.camera()[100:160, 200:272], scale)
    quality = judge(planes.interpolated, planes.reference, scale=scale)
    rounded = np.clip(np.round(planes.interpolated.astype(np.float64) * 255), 0, 255).astype(np.uint8)
    inside = np.s_[scale:-scale, scale:-scale]
    assert quality.psnr_db == pytest.approx(
        psnr(rounded[inside], planes.reference[inside], shave=0, peak=255), abs=1e-9
    )
    assert quality.ssim == pytest.approx(ssim(rounded[inside], planes.reference[inside], shave=0, peak=255), abs=1e-9)
    exact = psnr(planes.interpolated.astype(np.float64) * 255, planes.reference, shave=scale, peak=255)
    assert quality.psnr_db != pytest.approx(exact, abs=1e-6)  # unrounded output would give another number


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_smallest_side_is_the_smallest(scale: int) -> None:
    least = smallest_side(scale)
    reference = np.zeros((least, least), np.uint8)
    assert np.isfinite(judge(np.full((least, least), 0.5), reference, scale=scale).ssim)
    with pytest.raises(ValueError, match="11 pixels"):
        judge(np.full((least, least - 1), 0.5), reference[:, 1:], scale=scale)
