"""Luminance as MATLAB's `rgb2ycbcr` gives it on uint8 images: studio range, 16 to 235, rounded."""

import numpy as np
from jaxtyping import Float, Float64, UInt8
from numpy import ndarray

WEIGHTS = (65.481, 128.553, 24.966)
"""ITU-R BT.601 in studio range: 219 levels from black (16) to white (235)."""
_TO_YCBCR = np.array([WEIGHTS, (-37.797, -74.203, 112.0), (112.0, -93.786, -18.214)])
_OFFSET = np.array([16.0, 128.0, 128.0])


def luminance(image: UInt8[ndarray, "h w *c"]) -> UInt8[ndarray, "h w"]:
    """Y of an RGB image; a grey image is used as it is.

    Full-range luma (0 to 255), which most libraries compute, reads 20 log10(255/219) = 1.32 dB lower.

    Raises
    ------
    ValueError : not uint8, or neither grey nor RGB.
    """
    if image.dtype != np.uint8:
        msg = f"luminance takes uint8 images, not {image.dtype}; srrepro.pixels.images.read gives them"
        raise ValueError(msg)
    if image.ndim == 2:
        return image
    if image.ndim != 3 or image.shape[2] != 3:
        msg = f"luminance takes a grey (h, w) or an RGB (h, w, 3) image, not shape {image.shape}"
        raise ValueError(msg)
    y: Float64[ndarray, "h w"] = 16 + image.astype(np.float64) @ (np.array(WEIGHTS) / 255)
    rounded: UInt8[ndarray, "h w"] = (y + 0.5).astype(np.uint8)
    return rounded


def to_ycbcr(image: UInt8[ndarray, "h w 3"]) -> Float64[ndarray, "h w 3"]:
    """Studio-range YCbCr (16 to 235, chroma 16 to 240) as floats, for pictures rather than measurements."""
    return np.asarray(image @ _TO_YCBCR.T / 255 + _OFFSET)


def from_ycbcr(image: Float[ndarray, "h w 3"]) -> UInt8[ndarray, "h w 3"]:
    """The inverse of `to_ycbcr`, clipped and rounded."""
    rgb = (image - _OFFSET) @ np.linalg.inv(_TO_YCBCR).T * 255
    return np.asarray(np.clip(rgb, 0, 255) + 0.5).astype(np.uint8)
