"""The metrics that a protocol may name, of one plane or of RGB. A new one is a function and a line in `METRICS`.

What is shaved and what the peak is changes the number: neither has a default.
"""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Real
from numpy import ndarray
from skimage.metrics import structural_similarity

from srrepro.pixels.color import studio

WINDOW = 11
"""Pixels across Wang's Gaussian window (sigma 1.5), the smallest plane that SSIM can be taken of."""
EDGE = 6
"""Pixels from the edge that count as its band: 4 + 0 + 2, by which layers of 9, 1 and 5 pixels reach."""


def psnr(estimate: Real[ndarray, "h w *c"], reference: Real[ndarray, "h w *c"], *, shave: int, peak: float) -> float:
    """Peak signal-to-noise ratio in dB; inf when the images are equal.

    Parameters
    ----------
    estimate, reference
        range [0, peak]. Not rounded or clipped here; a protocol does that before.
    shave
        pixels dropped from every edge. Papers differ.
    peak
        largest value a pixel can take: 255 for 8-bit data.

    Raises
    ------
    ValueError : the shapes differ, or nothing is left after shaving.
    """
    error = _shaved(estimate, shave, like=reference) - _shaved(reference, shave, like=estimate)
    mean_square = float(np.mean(np.square(error)))
    return math.inf if mean_square == 0 else 10 * math.log10(peak**2 / mean_square)


def ssim(estimate: Real[ndarray, "h w *c"], reference: Real[ndarray, "h w *c"], *, shave: int, peak: float) -> float:
    """Structural similarity as Wang et al. (2004) compute it: 11 × 11 Gaussian, sigma 1.5, population covariance.

    The mean over all pixels that the window fits around; of RGB the mean of the channels. Parameters and errors as for
    `psnr`; besides, 11 pixels must be left on both sides after shaving.
    """
    left, right = _for_windows(estimate, reference, shave)
    return float(
        structural_similarity(  # type: ignore[no-untyped-call]
            left,
            right,
            data_range=peak,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            channel_axis=_channels(left),
        )
    )


def ssim_toolbox(estimate: Real[ndarray, "h w"], reference: Real[ndarray, "h w"], *, shave: int, peak: float) -> float:
    """`ssim` of MATLAB's Image Processing Toolbox: edges are replicated, and every pixel counts.

    Parameters and errors as for `ssim`; one plane only.
    """
    planes = (np.pad(plane, WINDOW // 2, mode="edge") for plane in _for_windows(estimate, reference, shave))
    return ssim(*planes, shave=0, peak=peak)


def ssim_uniform(estimate: ndarray, reference: ndarray, *, shave: int, peak: float) -> float:
    """What scikit-image computes unasked: a window of 7 × 7 in which every pixel counts alike. No paper has it."""
    left, right = _for_windows(estimate, reference, shave)
    return float(structural_similarity(left, right, data_range=peak, channel_axis=_channels(left)))  # type: ignore[no-untyped-call]


def ssim_sample(estimate: ndarray, reference: ndarray, *, shave: int, peak: float) -> float:
    """`ssim` with sample covariance, 121/120 times the population's: scikit-image's default beside Wang's window."""
    left, right = _for_windows(estimate, reference, shave)
    return float(
        structural_similarity(  # type: ignore[no-untyped-call]
            left, right, data_range=peak, gaussian_weights=True, sigma=1.5, channel_axis=_channels(left)
        )
    )


def ssim_doubled_range(estimate: ndarray, reference: ndarray, *, shave: int, peak: float) -> float:
    """`ssim` of images of 0 to 1 by a program that takes all floats for -1 to 1: its range is twice too wide."""
    return ssim(estimate, reference, shave=shave, peak=2 * peak)


def psnr_inside(estimate: ndarray, reference: ndarray, *, shave: int, peak: float) -> float:
    """`psnr` without the 6 pixels at every edge, as far as zeros around an image reach into SRCNN 9-1-5's output."""
    return psnr(estimate, reference, shave=max(shave, EDGE), peak=peak)


def psnr_of_edge(estimate: ndarray, reference: ndarray, *, shave: int, peak: float) -> float:
    """`psnr` of the pixels that `psnr_inside` leaves out, the outermost included, which protocols shave."""
    error = np.square(_shaved(estimate, 0, like=reference) - _shaved(reference, 0, like=estimate))
    band = np.ones(error.shape, bool)
    band[EDGE:-EDGE, EDGE:-EDGE] = False
    mean_square = float(np.mean(error[band]))
    return math.inf if mean_square == 0 else 10 * math.log10(peak**2 / mean_square)


def psnr_of_y(estimate: ndarray, reference: ndarray, *, shave: int, peak: float) -> float:
    """`psnr` of the luminance in studio range, not rounded, of two RGB images."""
    return psnr(studio(estimate), studio(reference), shave=shave, peak=peak)


METRICS: dict[str, Callable[..., float]] = {
    "psnr_db": psnr,
    "ssim": ssim,
    "ssim_toolbox": ssim_toolbox,
    "ssim_uniform": ssim_uniform,
    "ssim_sample": ssim_sample,
    "ssim_doubled_range": ssim_doubled_range,
    "psnr_db_inside": psnr_inside,
    "psnr_db_edge": psnr_of_edge,
    "psnr_db_y": psnr_of_y,
}
"""By the name that they have in `scores.csv`; called as `psnr` is."""


def _channels(image: ndarray) -> int | None:
    return 2 if image.ndim == 3 else None


def _for_windows(estimate: ndarray, reference: ndarray, shave: int) -> tuple[ndarray, ndarray]:
    left, right = _shaved(estimate, shave, like=reference), _shaved(reference, shave, like=estimate)
    if min(left.shape[:2]) < WINDOW:
        msg = f"SSIM needs {WINDOW} pixels on both sides after shaving; {left.shape[:2]} are left"
        raise ValueError(msg)
    return left, right


def _shaved(plane: ndarray, shave: int, *, like: ndarray) -> ndarray:
    if plane.shape != like.shape:
        msg = f"an estimate is judged against a reference of its size, not {plane.shape} against {like.shape}"
        raise ValueError(msg)
    if shave < 0 or min(plane.shape[:2]) <= 2 * shave:
        msg = f"shaving {shave} pixels from every edge leaves nothing of {plane.shape}"
        raise ValueError(msg)
    inside: ndarray = plane[shave : plane.shape[0] - shave, shave : plane.shape[1] - shave].astype(np.float64)
    return inside
