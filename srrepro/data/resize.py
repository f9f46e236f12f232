"""MATLAB's `imresize(image, scale)` with its default bicubic kernel, value for value.

Papers of the field make their small and their interpolated images with this one function, so every published
number depends on its details: antialiasing when shrinking, a = -0.5, the border, and the rounding of uint8 images
after each of the two passes. The arithmetic is PyTorch's antialiased bicubic in float64 on an image padded by the
border rule; tests hold it against MATLAB's own outputs and against a plain NumPy reference.
"""

import math
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Float64, UInt8
from numpy import ndarray
from torch import Tensor
from torch.nn.functional import interpolate

Border = Literal["mirror", "clamp"]
"""`mirror`: newer MATLAB releases repeat the image mirrored; `clamp`: older ones repeat its edge."""


def imresize(
    image: UInt8[ndarray, "h w *c"] | Float[ndarray, "h w *c"], scale: float, *, border: Border = "mirror"
) -> UInt8[ndarray, "H W *c"] | Float[ndarray, "H W *c"]:
    """Resize as MATLAB's bicubic `imresize(image, scale)` does; output sizes are rounded up, as there.

    Parameters
    ----------
    image
        plane or channels-last colour; uint8, float32 or float64 in any range.
    scale
        a whole number (2, 3, 4 ...) to enlarge, or the reciprocal of one to shrink.
    border
        which of MATLAB's two border rules.

    Returns
    -------
    uint8 for uint8, rounded and clipped after each pass; the same float type for float, neither rounded nor clipped.

    Raises
    ------
    ValueError : any other scale, type or shape.
    """
    factor = _factor(scale)
    if border not in get_args(Border):
        msg = f"imresize has the borders {get_args(Border)}, not {border!r}"
        raise ValueError(msg)
    if image.ndim not in (2, 3) or 0 in image.shape:
        msg = f"imresize takes a plane (h, w) or colour (h, w, c), not an array of shape {image.shape}"
        raise ValueError(msg)
    if image.dtype not in (np.uint8, np.float32, np.float64):
        msg = f"imresize takes uint8, float32 or float64, not {image.dtype}; convert the image first"
        raise ValueError(msg)
    planes = torch.from_numpy(image.astype(np.float64))  # a copy: PyTorch warns of read-only arrays
    planes = planes[None] if image.ndim == 2 else planes.movedim(-1, 0)
    for axis in (-2, -1):  # MATLAB resizes rows first when both axes shrink or grow alike
        planes = _resize_axis(planes, factor, shrink=scale < 1, axis=axis, border=border)
        if image.dtype == np.uint8:
            planes = (planes + 0.5).floor().clamp(0, 255)  # halves round up: all that survives the clip is positive
    out = planes[0] if image.ndim == 2 else planes.movedim(0, -1)
    return np.ascontiguousarray(out.numpy()).astype(image.dtype, copy=False)


def _factor(scale: float) -> int:
    factor = round(scale if scale >= 1 else 1 / scale) if scale > 0 and math.isfinite(scale) else 0
    if factor < 1 or not math.isclose(scale, factor if scale >= 1 else 1 / factor, rel_tol=1e-12):
        msg = f"imresize takes a whole scale or the reciprocal of one (2, 1/2, 3, 1/3 ...), not {scale!r}"
        raise ValueError(msg)
    return factor


def _resize_axis(
    planes: Float64[Tensor, "c h w"], factor: int, *, shrink: bool, axis: int, border: Border
) -> Float64[Tensor, "c H W"]:
    if axis == -2 and planes.shape[-1] == 1:  # PyTorch resizes a column that is one pixel wide wrongly
        rows = _resize_axis(planes.transpose(-1, -2), factor, shrink=shrink, axis=-1, border=border)
        return rows.transpose(-1, -2)
    size = planes.shape[axis]
    reach = 4 * factor if shrink else 4  # pixels the kernel can touch beyond an edge, a multiple of `factor`
    after = reach + (-size % factor if shrink else 0)  # whole output pixels, so that the library keeps MATLAB's grid
    at = torch.arange(-reach, size + after)
    if border == "mirror":
        at = at.remainder(2 * size)
        at = torch.minimum(at, 2 * size - 1 - at)
    padded = planes.index_select(axis, at.clamp(0, size - 1))
    length = padded.shape[axis] // factor if shrink else padded.shape[axis] * factor
    shape = list(padded.shape[-2:])
    shape[axis] = length
    resized = interpolate(padded[None], shape, mode="bicubic", align_corners=False, antialias=True)[0]
    first = reach // factor if shrink else reach * factor
    return resized.narrow(axis, first, -(-size // factor) if shrink else size * factor)
