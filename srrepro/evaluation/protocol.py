"""The measurement behind every number, under one name. Numbers of two names must not meet in one table.

`matlab-y-v1`: crop the image to a multiple of the scale; Y = MATLAB `rgb2ycbcr` on uint8; degrade Y / 255 in float
with MATLAB's bicubic `imresize`, mirrored border, down, then up, without rounding in between (`srrepro.data.degrade`);
run the network in float32; clip, round to uint8; drop `scale` pixels from every edge; PSNR with peak 255 and Wang's
SSIM against the uint8 Y. A grey image is used as it is.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from srrepro.evaluation.metrics import WINDOW, psnr, ssim

NAME = "matlab-y-v1"
PEAK = 255.0


class Quality(NamedTuple):
    psnr_db: float
    ssim: float


def quantise(estimate: Float[ndarray, "h w"]) -> UInt8[ndarray, "h w"]:
    """Luminance of about 0 to 1 as MATLAB's uint8(255 * estimate): clipped, rounded, halves up."""
    return np.floor(np.clip(estimate.astype(np.float64) * PEAK, 0, PEAK) + 0.5).astype(np.uint8)


def smallest_side(scale: int) -> int:
    """Pixels that an image needs on both sides to be measured."""
    return WINDOW + 2 * scale


def judge(estimate: Float[ndarray, "h w"], reference: UInt8[ndarray, "h w"], *, scale: int) -> Quality:
    """PSNR and SSIM of a network's output (about 0 to 1) against the reference (0 to 255)."""
    rounded = quantise(estimate)
    return Quality(
        psnr(rounded, reference, shave=scale, peak=PEAK),
        ssim(rounded, reference, shave=scale, peak=PEAK),
    )
