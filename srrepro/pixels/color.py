"""Luminance as MATLAB's `rgb2ycbcr` gives it, and the other colours that an image may be measured in."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Float, Float64, Real, UInt8
from numpy import ndarray

WEIGHTS = (65.481, 128.553, 24.966)
"""ITU-R BT.601 in studio range: 219 levels from black (16) to white (235)."""
FULL_WEIGHTS = (0.299, 0.587, 0.114)
"""The same in full range, 0 to 255."""
REC709_WEIGHTS = (0.2125, 0.7154, 0.0721)
MISTYPED_WEIGHTS = (64.738 / 256, 129.057 / 256, 25.064 / 256)
_TO_YCBCR = np.array([WEIGHTS, (-37.797, -74.203, 112.0), (112.0, -93.786, -18.214)])
_OFFSET = np.array([16.0, 128.0, 128.0])


def luminance(image: UInt8[ndarray, "h w *c"]) -> UInt8[ndarray, "h w"]:
    """Y of an RGB image in studio range, rounded, as MATLAB's `rgb2ycbcr` gives it; a grey image is used as it is.

    Full-range luma (0 to 255), which most libraries compute, reads 20 log10(255/219) = 1.32 dB lower.

    Raises
    ------
    ValueError : not uint8, or neither grey nor RGB.
    """
    _check(image)
    if image.ndim == 2:
        return image
    rounded: UInt8[ndarray, "h w"] = (studio(image) + 0.5).astype(np.uint8)
    return rounded


def studio(image: Real[ndarray, "h w *c"]) -> Float64[ndarray, "h w"]:
    """Y of RGB levels (0 to 255) in studio range, not rounded; one plane is used as it is."""
    if image.ndim == 2:
        return image.astype(np.float64)
    y: Float64[ndarray, "h w"] = 16 + image.astype(np.float64) @ (np.array(WEIGHTS) / 255)
    return y


def full(image: Real[ndarray, "h w *c"]) -> Float64[ndarray, "h w"]:
    """Y of RGB levels (0 to 255) in full range, not rounded; one plane is used as it is."""
    return _weighted(image, FULL_WEIGHTS, 0)


def rec709(image: Real[ndarray, "h w *c"]) -> Float64[ndarray, "h w"]:
    """Grey of RGB levels (0 to 255) as scikit-image's `rgb2gray` has it, not rounded; one plane is used as it is."""
    return _weighted(image, REC709_WEIGHTS, 0)


def mistyped(image: Real[ndarray, "h w *c"]) -> Float64[ndarray, "h w"]:
    """Y with 64.738 / 256 where 65.738 / 256 is meant, as much public code has it; one plane is used as it is."""
    return _weighted(image, MISTYPED_WEIGHTS, 16)


def _weighted(
    image: Real[ndarray, "h w *c"], weights: tuple[float, float, float], black: float
) -> Float64[ndarray, "h w"]:
    if image.ndim == 2:
        return image.astype(np.float64)
    y: Float64[ndarray, "h w"] = black + image.astype(np.float64) @ np.array(weights)
    return y


def _rounded(image: Real[ndarray, "h w *c"]) -> UInt8[ndarray, "h w"]:
    y: UInt8[ndarray, "h w"] = (full(image) + 0.5).astype(np.uint8)
    return y


Colour = Literal["studio-u8", "studio-float", "full-u8", "full-float", "rec709-float", "64738-float", "rgb"]
COLOURS: dict[Colour, Callable[[ndarray], ndarray]] = {
    "studio-u8": luminance,
    "studio-float": studio,
    "full-u8": _rounded,
    "full-float": full,
    "rec709-float": rec709,
    "64738-float": mistyped,
    "rgb": lambda image: as_rgb(image),
}
"""What is measured of an image: by name, from levels of 0 to 255 to levels of 0 to 255."""
UNROUNDED = COLOURS | {"studio-u8": studio, "full-u8": full}
"""The same before it is rounded."""


def as_rgb(image: Real[ndarray, "h w *c"]) -> Real[ndarray, "h w 3"]:
    """A grey image as three equal channels; an RGB image as it is."""
    return image if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)


def to_ycbcr(image: Real[ndarray, "h w 3"]) -> Float64[ndarray, "h w 3"]:
    """Studio-range YCbCr (16 to 235, chroma 16 to 240) of RGB levels (0 to 255), as floats."""
    return np.asarray(image @ _TO_YCBCR.T / 255 + _OFFSET)


def from_ycbcr(image: Float[ndarray, "h w 3"]) -> UInt8[ndarray, "h w 3"]:
    """The inverse of `to_ycbcr`, clipped and rounded."""
    return np.asarray(np.clip(rgb_of(image), 0, 255) + 0.5).astype(np.uint8)


def rgb_of(image: Float[ndarray, "h w 3"]) -> Float64[ndarray, "h w 3"]:
    """The inverse of `to_ycbcr`, neither clipped nor rounded."""
    return np.asarray((image - _OFFSET) @ np.linalg.inv(_TO_YCBCR).T * 255)


def _check(image: ndarray) -> None:
    if image.dtype != np.uint8:
        msg = f"luminance takes uint8 images, not {image.dtype}; srrepro.pixels.images.read gives them"
        raise ValueError(msg)
    if image.ndim != 2 and (image.ndim != 3 or image.shape[2] != 3):
        msg = f"luminance takes a grey (h, w) or an RGB (h, w, 3) image, not shape {image.shape}"
        raise ValueError(msg)
