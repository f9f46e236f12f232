"""The measurement behind a number, as a value: everything that the number depends on but the network and the image.

Numbers are compared with numbers of the same protocol only. The ones that have names are in `srrepro.protocols.named`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float, Float32, Real, UInt8
from numpy import ndarray

from srrepro.errors import InputError
from srrepro.models.recipe import Input
from srrepro.pixels.color import COLOURS, UNROUNDED, Colour, as_rgb, rgb_of, to_ycbcr
from srrepro.pixels.metrics import METRICS, WINDOW
from srrepro.pixels.resizers import Resizer
from srrepro.protocols.degradation import Degradation, Grey, Low, Planes

LEVELS = 255.0
Rounding = Literal["u8", "u8-floor", "none", "rgb8", "rgb8-floor"]


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """What decides a number.

    Parameters
    ----------
    colour
        what estimate and reference are compared in, see `srrepro.pixels.color.COLOURS`.
    low, resizer, grey
        how the small image is made, see `Degradation`.
    clamp
        levels of 255 that the interpolated image is held between before anything uses it, bicubic's own row included.
    rounding
        of the estimate. `u8`: its colour is clipped and rounded, as MATLAB's uint8 does; `u8-floor`: truncated instead;
        `none`: it is left as it is; `rgb8`: made RGB, if it is luminance with the interpolated chroma, clipped and
        rounded, and then its colour is taken; `rgb8-floor`: the same, but truncated.
    shave
        pixels dropped from every edge; None is as many as the scale.
    peak
        of PSNR and SSIM, in levels.
    metrics
        names of `srrepro.pixels.metrics.METRICS`, PSNR first.
    version
        of what a name means.

    Raises
    ------
    ValueError : the parts do not fit each other.
    """

    name: str
    colour: Colour = "studio-u8"
    low: Low = "float"
    resizer: Resizer = "matlab-mirror"
    grey: Grey = "kept"
    clamp: tuple[int, int] | None = None
    rounding: Rounding = "u8"
    shave: int | None = None
    peak: float = LEVELS
    metrics: tuple[str, ...] = ("psnr_db", "ssim")
    version: int = 1

    def __post_init__(self) -> None:
        if self.rounding.startswith("rgb8") and not self.low.startswith("rgb"):
            msg = f"{self.name} rounds in RGB, so its small image must be RGB"
            raise ValueError(msg)
        if self.metrics[:1] != ("psnr_db",) or not set(self.metrics) <= METRICS.keys():
            msg = f"{self.name} names the metrics {self.metrics}; there are {', '.join(METRICS)}, and PSNR comes first"
            raise ValueError(msg)

    @cached_property
    def degradation(self) -> Degradation:
        if not self.low.startswith("rgb"):
            return Degradation(low=self.low, colour=self.colour, resizer=self.resizer)
        return Degradation(low=self.low, resizer=self.resizer, grey=self.grey)

    @property
    def signature(self) -> str:
        """One line that says all of it; what differs in two of them is why two numbers differ.

        >>> Protocol(name="vdsr-y-v1", clamp=(16, 235)).signature
        'sr|y:studio-u8|low:float|resize:matlab-mirror|clamp:16-235|round:u8|shave:s|v:1'
        """
        clamp = "none" if self.clamp is None else "-".join(map(str, self.clamp))
        shave = "s" if self.shave is None else str(self.shave)
        parts = [f"y:{self.colour}", f"low:{self.low}", f"resize:{self.resizer}", f"clamp:{clamp}"]
        parts += [f"round:{self.rounding}", f"shave:{shave}"]
        parts += [] if self.grey == "kept" else [f"grey:{self.grey}"]
        parts += [] if self.peak == LEVELS else [f"peak:{self.peak:g}"]
        parts += [] if self.similarity == "ssim" else [f"ssim:{self.similarity.removeprefix('ssim_')}"]
        return "|".join(["sr", *parts, f"v:{self.version}"])

    @property
    def similarity(self) -> str:
        """Which of its metrics stands in the column `ssim` of tables."""
        return next((name for name in self.metrics if name.startswith("ssim")), "none")

    def shaved(self, scale: int) -> int:
        """Pixels dropped from every edge."""
        return scale if self.shave is None else self.shave

    def smallest_side(self, scale: int) -> int:
        """Pixels that an image needs on both sides to be measured."""
        return WINDOW + 2 * self.shaved(scale)

    def admitted(self, interpolated: Float32[ndarray, "*n h w"]) -> Float32[ndarray, "*n h w"]:
        """The interpolated image, about 0 to 1, as everything after it sees it."""
        if self.clamp is None:
            return interpolated
        low, high = (np.float32(level / LEVELS) for level in self.clamp)
        clamped: Float32[ndarray, "*n h w"] = np.minimum(np.maximum(interpolated, low), high)
        return clamped

    def fed(self, planes: Planes, takes: Input) -> Float32[ndarray, "h w *d"]:
        """What a network is given of a degraded image.

        Raises
        ------
        InputError : it takes RGB, and there is one plane only.
        """
        image = planes.low if takes.small else self.admitted(planes.interpolated)
        if takes.channels == 3 and image.ndim == 2:
            msg = (
                f"A network that takes {takes.name} was to be measured under {self.name}, which has one plane for it "
                "only. Measure it under a protocol whose small image is RGB: --protocol rgb8-y-v1."
            )
            raise InputError(msg)
        if takes.channels == 1 and image.ndim == 3:
            # What becomes RGB again is luminance of studio range, whatever it is compared in.
            colour = "studio-float" if self.rounding.startswith("rgb8") or self.colour == "rgb" else self.colour
            luminance: Float32[ndarray, "h w"] = (UNROUNDED[colour](image * LEVELS) / LEVELS).astype(np.float32)
            return luminance
        return image

    def judged(self, estimate: Float[ndarray, "h w *c"], planes: Planes) -> Real[ndarray, "h w *d"]:
        """An estimate of about 0 to 1 in levels, in the colour that is compared."""
        if self.rounding.startswith("rgb8"):
            rgb = with_chroma(estimate, planes.interpolated)
            return COLOURS[self.colour](quantise(rgb, floor=self.rounding == "rgb8-floor"))
        levels = estimate.astype(np.float64) * LEVELS
        levels = UNROUNDED[self.colour](levels) if levels.ndim == 3 else levels
        return levels if self.rounding == "none" else quantise(levels / LEVELS, floor=self.rounding == "u8-floor")

    def scores(
        self, estimate: Float[ndarray, "h w *c"], planes: Planes, scale: int, *, metrics: Sequence[str] | None = None
    ) -> dict[str, float]:
        """Every metric of a network's output (about 0 to 1) against the reference, or those that are named."""
        ours = self.judged(estimate, planes)
        reference = COLOURS[self.colour](planes.reference) if self.degradation.in_rgb else planes.reference
        shave = self.shaved(scale)
        return {name: METRICS[name](ours, reference, shave=shave, peak=self.peak) for name in metrics or self.metrics}


def quantise(estimate: Float[ndarray, "h w *c"], *, floor: bool = False) -> UInt8[ndarray, "h w *c"]:
    """An image of about 0 to 1 as MATLAB's uint8(255 * estimate): clipped, rounded, halves up; or truncated."""
    levels = np.clip(estimate.astype(np.float64) * LEVELS, 0, LEVELS)
    return np.floor(levels if floor else levels + 0.5).astype(np.uint8)


def with_chroma(estimate: Float[ndarray, "h w *c"], interpolated: Float[ndarray, "h w *d"]) -> Float[ndarray, "h w 3"]:
    """RGB from a studio-range luminance and the chroma of the interpolated image; RGB as it is. All about 0 to 1."""
    if estimate.ndim == 3:
        return estimate
    if interpolated.ndim == 2:  # grey: its levels are no luminance of studio range
        return as_rgb(estimate)
    ycbcr = to_ycbcr(interpolated.astype(np.float64) * LEVELS)
    ycbcr[..., 0] = estimate * LEVELS
    return rgb_of(ycbcr) / LEVELS
