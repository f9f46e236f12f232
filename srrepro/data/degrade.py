"""From a photograph to the three planes that everything works on: `reference`, `low` and `interpolated`."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, UInt8
from numpy import ndarray

from srrepro.pixels.color import luminance
from srrepro.pixels.resize import imresize

RESIZER = "matlab bicubic, antialiased, mirrored border, float64 of Y/255, stored as float32"
"""What the stores say of how they were made."""


class Planes(NamedTuple):
    """`reference` 0 to 255; `low` and `interpolated` about 0 to 1, neither clipped nor rounded."""

    reference: UInt8[ndarray, "h w"]
    low: Float32[ndarray, "hs ws"]
    interpolated: Float32[ndarray, "h w"]


def modcrop(image: UInt8[ndarray, "h w *c"], scale: int) -> UInt8[ndarray, "H W *c"]:
    """Cut the lower and right edges so that both sides are multiples of `scale`."""
    h, w = image.shape[:2]
    return image[: h - h % scale, : w - w % scale]


def degrade(image: UInt8[ndarray, "h w *c"], scale: int) -> Planes:
    """Crop, take the rounded luminance, shrink and enlarge it as MATLAB does, without rounding in between."""
    reference = np.ascontiguousarray(luminance(modcrop(image, scale)))
    y: Float64[ndarray, "h w"] = reference / 255.0
    low = imresize(y, 1 / scale)
    return Planes(reference, low.astype(np.float32), imresize(low, scale).astype(np.float32))
