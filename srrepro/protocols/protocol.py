"""The measurement behind every number, under a name. A number is compared with numbers of the same name only.

`matlab-y-v1`: crop the image to a multiple of the scale; Y = MATLAB `rgb2ycbcr` on uint8; degrade Y / 255 in float
with MATLAB's bicubic `imresize`, mirrored border, down, then up, without rounding in between (`srrepro.data.degrade`);
run the network in float32; clip, round to uint8; drop `scale` pixels from every edge; PSNR with peak 255 and Wang's
SSIM against the uint8 Y. A grey image is used as it is.

`vdsr-y-v1`: the same, but the interpolated luminance is clamped to [16, 235] / 255 before anything uses it, bicubic's
own row included. So the VDSR paper's tables were made (its authors' code: kjw0612/rcn 79f2bab, methods/VDSR.m).
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, UInt8
from numpy import ndarray

from srrepro.pixels.metrics import WINDOW, psnr, ssim

PEAK = 255.0


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What decides a number. `clamp`: the interpolated luminance is held between these levels of 255, or None."""

    name: str
    clamp: tuple[int, int] | None = None

    def admitted(self, interpolated: Float32[ndarray, "*n h w"]) -> Float32[ndarray, "*n h w"]:
        """The interpolated luminance, about 0 to 1, as everything after it sees it."""
        if self.clamp is None:
            return interpolated
        low, high = (np.float32(level / PEAK) for level in self.clamp)
        clamped: Float32[ndarray, "*n h w"] = np.minimum(np.maximum(interpolated, low), high)
        return clamped


MATLAB_Y = Protocol(name="matlab-y-v1")
VDSR_Y = Protocol(name="vdsr-y-v1", clamp=(16, 235))
PROTOCOLS = {protocol.name: protocol for protocol in (MATLAB_Y, VDSR_Y)}


def protocol_named(name: str | None) -> Protocol:
    """The protocol of that name; None, as recipes had it before there were two, is the first."""
    return MATLAB_Y if name is None else PROTOCOLS[name]


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
