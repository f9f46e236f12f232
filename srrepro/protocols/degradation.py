"""From a photograph to the planes that everything works on: `reference`, `low` and `interpolated`."""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float32, Real, UInt8
from numpy import ndarray

from srrepro.pixels.color import COLOURS, Colour, as_rgb
from srrepro.pixels.resize import Border, imresize

Low = Literal["float", "rgb-float", "rgb8"]
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
        float. `rgb8`: all three, the small image rounded to uint8.
    colour
        what is taken of the photograph first, where `low` is `float`; no matter otherwise.
    border
        of `imresize`.
    grey
        where `low` is RGB, what becomes of a grey photograph: it is `kept` as one plane, `rounded` to uint8 after
        enlarging, too, or made `rgb`.
    """

    low: Low = "float"
    colour: Colour = "studio-u8"
    border: Border = "mirror"
    grey: Grey = "kept"

    def __call__(self, image: UInt8[ndarray, "h w *c"], scale: int) -> Planes:
        """Crop to a multiple of the scale, take the colour, shrink and enlarge as MATLAB does."""
        cropped = modcrop(image, scale)
        if self.low == "float":
            reference = COLOURS[self.colour](cropped)
        else:
            reference = as_rgb(cropped) if self.grey == "rgb" else cropped
        reference = np.ascontiguousarray(reference)
        border = self.border
        rounded = imresize(reference, 1 / scale, border=border) if self.low == "rgb8" else None
        low = imresize(reference / 255.0, 1 / scale, border=border) if rounded is None else rounded / 255.0
        if rounded is not None and rounded.ndim == 2 and self.grey == "rounded":
            interpolated = imresize(rounded, scale, border=border) / 255.0
        else:
            interpolated = imresize(low, scale, border=border)
        return Planes(reference, low.astype(np.float32), interpolated.astype(np.float32))

    @property
    def signature(self) -> str:
        """What a store says of how it was made."""
        if self == MATLAB:  # as it was put before there were others
            return "matlab bicubic, antialiased, mirrored border, float64 of Y/255, stored as float32"
        colour = self.colour if self.low == "float" else "rgb"
        return f"y:{colour}|low:{self.low}|resize:matlab-{self.border}|grey:{self.grey}"

    @property
    def channels(self) -> int:
        """Of all planes; a grey photograph that is kept has one in any case."""
        return 3 if self.low != "float" or self.colour == "rgb" else 1

    @property
    def has_levels(self) -> bool:
        """Whether references are whole levels, uint8."""
        return self.low != "float" or self.colour in {"studio-u8", "rgb"}

    @property
    def suffix(self) -> str:
        """What is added to the name of a store; nothing for the first one."""
        if self == MATLAB:
            return ""
        colour = [self.colour] if self.low == "float" else []
        return "_" + "-".join([*colour, self.low, self.border, *([] if self.grey == "kept" else [f"grey-{self.grey}"])])


MATLAB = Degradation()
"""Rounded studio-range luminance in float with MATLAB's bicubic `imresize`, mirrored border."""


def degrade(image: UInt8[ndarray, "h w *c"], scale: int, how: Degradation = MATLAB) -> Planes:
    """A photograph, degraded."""
    return how(image, scale)
