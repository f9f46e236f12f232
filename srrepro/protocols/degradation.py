"""From a photograph to the planes that everything works on: `reference`, `low` and `interpolated`."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float32, Real, UInt8
from numpy import ndarray

from srrepro.pixels.color import COLOURS, Colour, as_rgb
from srrepro.pixels.resizers import RESIZERS, Resizer

Low = Literal["float", "y8-y8", "rgb-float", "rgb8", "rgb8-rgb8"]
Grey = Literal["kept", "rounded", "rgb"]


class Planes(NamedTuple):
    """One image, degraded. All three are of one plane, or all are RGB.

    `reference` is what the colour of the protocol makes of the photograph (0 to 255), or the RGB photograph itself;
    `low` and `interpolated` are about 0 to 1, neither clipped nor rounded but where the protocol says so.
    """

    reference: Real[ndarray, "h w *c"]
    low: Float32[ndarray, "hs ws *c"]
    interpolated: Float32[ndarray, "h w *c"]


def modcrop(image: UInt8[ndarray, "h w *c"], scale: int) -> UInt8[ndarray, "H W *c"]:
    """Cut the lower and right edges so that both sides are multiples of `scale`."""
    h, w = image.shape[:2]
    return image[: h - h % scale, : w - w % scale]


@dataclass(frozen=True, kw_only=True)
class Degradation:
    """How the small image is made, and the interpolated one from it; stores are keyed by it.

    Parameters
    ----------
    low
        `float`: the `colour` of the photograph, shrunk and enlarged in float. `rgb-float`: all three channels, in
        float. `rgb8`: all three, the small image rounded to uint8. `y8-y8`, `rgb8-rgb8`: the enlarged one, too.
    colour
        what is taken of the photograph first, where `low` is no RGB; no matter otherwise.
    resizer
        which of `srrepro.pixels.resizers.RESIZERS` shrinks and enlarges.
    grey
        where `low` is RGB, what becomes of a grey photograph: it is `kept` as one plane, `rounded` to uint8 after
        enlarging, too, or made `rgb`.
    """

    low: Low = "float"
    colour: Colour = "studio-u8"
    resizer: Resizer = "matlab-mirror"
    grey: Grey = "kept"

    def __call__(self, image: UInt8[ndarray, "h w *c"], scale: int) -> Planes:
        """Crop to a multiple of the scale, take the colour, shrink and enlarge."""
        cropped = modcrop(image, scale)
        if not self.in_rgb:
            reference = COLOURS[self.colour](cropped)
        else:
            reference = as_rgb(cropped) if self.grey == "rgb" else cropped
        reference = np.ascontiguousarray(reference)
        resize = RESIZERS[self.resizer]
        if self.low in {"float", "rgb-float"}:
            low = resize(reference / 255.0, 1 / scale)
            interpolated = resize(low, scale)
        else:
            rounded = resize(reference.astype(np.uint8), 1 / scale)
            low = rounded / 255.0
            as_it_is = self.low == "rgb8" and not (rounded.ndim == 2 and self.grey == "rounded")
            interpolated = resize(low, scale) if as_it_is else resize(rounded, scale) / 255.0
        return Planes(reference, low.astype(np.float32), interpolated.astype(np.float32))

    @property
    def in_rgb(self) -> bool:
        """Whether the small image is RGB."""
        return self.low.startswith("rgb")

    @property
    def signature(self) -> str:
        """What a store says of how it was made."""
        if self == MATLAB:  # as it was put before there were others
            return "matlab bicubic, antialiased, mirrored border, float64 of Y/255, stored as float32"
        colour = "rgb" if self.in_rgb else self.colour
        return f"y:{colour}|low:{self.low}|resize:{self.resizer}|grey:{self.grey}"

    @property
    def channels(self) -> int:
        """Of all planes; a grey photograph that is kept has one in any case."""
        return 3 if self.in_rgb or self.colour == "rgb" else 1

    @property
    def has_levels(self) -> bool:
        """Whether references are whole levels, uint8."""
        return self.in_rgb or self.colour.endswith("-u8") or self.colour == "rgb"

    @property
    def suffix(self) -> str:
        """What is added to the name of a store; nothing for the first one."""
        if self == MATLAB:
            return ""
        colour = [] if self.in_rgb else [self.colour]
        resizer = self.resizer.removeprefix("matlab-")
        return "_" + "-".join([*colour, self.low, resizer, *([] if self.grey == "kept" else [f"grey-{self.grey}"])])


MATLAB = Degradation()
"""Rounded studio-range luminance in float with MATLAB's bicubic `imresize`, mirrored border."""


def degrade(image: UInt8[ndarray, "h w *c"], scale: int, how: Degradation = MATLAB) -> Planes:
    """A photograph, degraded."""
    return how(image, scale)
