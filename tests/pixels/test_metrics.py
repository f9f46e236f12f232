"""PSNR and SSIM by hand, and against Wang's SSIM written down plainly."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy import ndarray
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import gaussian_filter

from srrepro.pixels.metrics import WINDOW, psnr, ssim, ssim_toolbox

METRICS = (psnr, ssim)
both_metrics = pytest.mark.parametrize("metric", METRICS)


def planes(*shape: int, seed: int = 0) -> tuple[ndarray, ndarray]:
    """A smooth uint8 plane and a noisy copy."""
    random = np.random.default_rng(seed)
    h, w = shape
    smooth = 128 + 90 * np.sin(np.arange(h)[:, None] / 5) * np.cos(np.arange(w) / 7)
    noisy = smooth + random.normal(0, 12, shape)
    return np.clip(noisy, 0, 255).round().astype(np.uint8), smooth.round().astype(np.uint8)


def wang_ssim(estimate: ndarray, reference: ndarray, *, peak: float) -> float:
    """Wang et al. (2004): Gaussian windows of 11 × 11, sigma 1.5, wherever one fits; population statistics."""
    offsets = np.arange(WINDOW) - WINDOW // 2
    line = np.exp(-(offsets**2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2

    def mean(values: ndarray) -> ndarray:
        return np.einsum("hwij,ij->hw", sliding_window_view(values, (WINDOW, WINDOW)), window)

    x, y = estimate.astype(np.float64), reference.astype(np.float64)
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    var_x, var_y, cov = mean(x * x) - mean(x) ** 2, mean(y * y) - mean(y) ** 2, mean(x * y) - mean(x) * mean(y)
    upper = (2 * mean(x) * mean(y) + c1) * (2 * cov + c2)
    return float((upper / ((mean(x) ** 2 + mean(y) ** 2 + c1) * (var_x + var_y + c2))).mean())


def test_psnr_by_hand() -> None:
    estimate = np.array([[10, 20], [30, 44]], np.uint8)
    reference = np.array([[10, 18], [33, 40]], np.uint8)  # squared errors 0, 4, 9, 16
    assert psnr(estimate, reference, shave=0, peak=255) == pytest.approx(10 * math.log10(255**2 / 7.25), abs=1e-12)
    assert psnr(estimate, reference, shave=0, peak=100) == pytest.approx(10 * math.log10(100**2 / 7.25), abs=1e-12)


def test_psnr_of_bytes_does_not_wrap_around() -> None:
    black, white = np.zeros((2, 2), np.uint8), np.full((2, 2), 255, np.uint8)
    assert psnr(black, white, shave=0, peak=255) == psnr(white, black, shave=0, peak=255) == 0


def test_equal_planes() -> None:
    plane, _ = planes(20, 17)
    assert psnr(plane, plane.copy(), shave=2, peak=255) == math.inf
    assert ssim(plane, plane.copy(), shave=2, peak=255) == pytest.approx(1, abs=1e-12)


@both_metrics
def test_shave_drops_so_many_pixels_from_every_edge(metric) -> None:
    estimate, reference = planes(30, 40)
    inside = np.s_[4:-4, 4:-4]
    expected = metric(estimate[inside], reference[inside], shave=0, peak=255)
    assert metric(estimate, reference, shave=4, peak=255) == pytest.approx(expected, abs=1e-12)
    assert metric(estimate, reference, shave=3, peak=255) != expected


@pytest.mark.parametrize("shape", [(11, 11), (12, 25), (40, 33)])
@pytest.mark.parametrize("peak", [255.0, 1.0])
def test_ssim_is_wangs(shape: tuple[int, int], peak: float) -> None:
    estimate, reference = planes(*shape)
    if peak == 1:
        estimate, reference = estimate / 255, reference / 255
    expected = wang_ssim(estimate, reference, peak=peak)
    assert 0.2 < expected < 0.95
    assert ssim(estimate, reference, shave=0, peak=peak) == pytest.approx(expected, abs=1e-10)


@both_metrics
def test_peak_matters_and_goes_with_the_values(metric) -> None:
    estimate, reference = planes(24, 24)
    of_bytes = metric(estimate, reference, shave=1, peak=255.0)
    assert abs(metric(estimate, reference, shave=1, peak=1.0) - of_bytes) > 1e-3
    assert metric(estimate / 255, reference / 255, shave=1, peak=1.0) == pytest.approx(of_bytes, abs=1e-9)


@both_metrics
def test_what_changes_the_number_has_no_default(metric) -> None:
    plane, other = planes(20, 20)
    with pytest.raises(TypeError, match="peak"):
        metric(plane, other, shave=0)
    with pytest.raises(TypeError, match="shave"):
        metric(plane, other, peak=255.0)


@both_metrics
@pytest.mark.parametrize("shave", [10, 15, -1])
def test_shaving_everything_away_is_refused(metric, shave: int) -> None:
    plane, other = planes(20, 30)
    with pytest.raises(ValueError, match=f"shaving {shave} "):
        metric(plane, other, shave=shave, peak=255)


@both_metrics
def test_shapes_that_differ_are_refused(metric, unchecked: None) -> None:
    plane, _ = planes(20, 30)
    with pytest.raises(ValueError, match=r"\(20, 30\) against \(20, 29\)"):
        metric(plane, plane[:, 1:], shave=0, peak=255)
    with pytest.raises(ValueError, match=r"\(20, 30\) against \(1, 30\)"):  # NumPy would broadcast these
        metric(plane, plane[:1], shave=0, peak=255)


def test_ssim_needs_a_window() -> None:
    plane, other = planes(15, 30)
    assert math.isfinite(ssim(plane, other, shave=2, peak=255))
    with pytest.raises(ValueError, match="11 pixels"):
        ssim(plane, other, shave=3, peak=255)


bytes_16 = arrays(np.uint8, (16, 16), elements=st.integers(0, 255))


@settings(max_examples=25)
@given(estimate=bytes_16, reference=bytes_16)
def test_both_are_symmetric(estimate: ndarray, reference: ndarray) -> None:
    for metric in METRICS:
        there = metric(estimate, reference, shave=1, peak=255)
        assert metric(reference, estimate, shave=1, peak=255) == pytest.approx(there, abs=1e-12)


@settings(max_examples=25)
@given(border=bytes_16, seed=st.integers(0, 99))
def test_what_is_shaved_does_not_count(border: ndarray, seed: int) -> None:
    estimate, reference = planes(16, 16, seed=seed)
    other = border.copy()
    other[2:-2, 2:-2] = estimate[2:-2, 2:-2]
    for metric in METRICS:
        assert metric(other, reference, shave=2, peak=255) == metric(estimate, reference, shave=2, peak=255)


@settings(max_examples=25)
@given(estimate=bytes_16, reference=bytes_16)
def test_ranges(estimate: ndarray, reference: ndarray) -> None:
    assert psnr(estimate, reference, shave=0, peak=255) >= 0
    assert -1 <= ssim(estimate, reference, shave=0, peak=255) <= 1 + 1e-12


def test_planes_are_left_as_they_were() -> None:
    estimate, reference = planes(20, 20)
    before = estimate.copy(), reference.copy()
    for metric in METRICS:
        metric(estimate, reference, shave=2, peak=255)
    np.testing.assert_array_equal(estimate, before[0])
    np.testing.assert_array_equal(reference, before[1])


def test_the_toolboxs_similarity_is_matlabs_formula() -> None:
    """Written out: Gaussian means with replicated edges, at every pixel."""
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 256, (2, 20, 25)).astype(np.float64)

    def mean(plane: np.ndarray) -> np.ndarray:
        return gaussian_filter(plane, 1.5, mode="nearest", radius=5)

    one, two = mean(left), mean(right)
    spread, other, together = mean(left**2) - one**2, mean(right**2) - two**2, mean(left * right) - one * two
    small, smaller = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    map_ = (2 * one * two + small) * (2 * together + smaller)
    map_ /= (one**2 + two**2 + small) * (spread + other + smaller)
    assert ssim_toolbox(left, right, shave=0, peak=255) == pytest.approx(map_.mean(), abs=1e-12)
    wide = np.pad(left, 3), np.pad(right, 3)
    assert ssim_toolbox(*wide, shave=3, peak=255) == ssim_toolbox(left, right, shave=0, peak=255)
    assert ssim_toolbox(left, right, shave=0, peak=255) != pytest.approx(ssim(left, right, shave=0, peak=255), abs=1e-6)


def test_of_rgb_all_channels_count_alike() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.integers(0, 256, (2, 20, 25, 3)).astype(np.float64)
    channels = [ssim(left[..., c], right[..., c], shave=2, peak=255) for c in range(3)]
    assert ssim(left, right, shave=2, peak=255) == pytest.approx(np.mean(channels))
    squares = [((left - right)[2:-2, 2:-2, c] ** 2).mean() for c in range(3)]
    assert psnr(left, right, shave=2, peak=255) == pytest.approx(10 * np.log10(255**2 / np.mean(squares)))
