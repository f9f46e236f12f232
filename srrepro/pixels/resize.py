"""MATLAB's `imresize(image, scale)` with its default bicubic kernel, value for value.

Papers of the field make their small and their interpolated images with this one function, so every published
number depends on its details: antialiasing when shrinking, a = -0.5, the border, and the rounding of uint8 images
after each of the two passes. The arithmetic is PyTorch's antialiased bicubic in float64 on an image padded by the
border rule; tests hold it against MATLAB's own outputs and against a plain NumPy reference. `resize.c` does the same
several times as fast, and is used where its bits are PyTorch's: the digests of stores may not depend on a compiler.
"""

import math
from functools import cache, lru_cache
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64, UInt8
from numpy import ndarray
from torch import Tensor
from torch.nn.functional import interpolate

from srrepro.compiling import NUMBER, POINTER, compiled

Border = Literal["mirror", "clamp"]
"""`mirror`: newer MATLAB releases repeat the image mirrored; `clamp`: older ones repeat its edge."""
_LANES = 32
"""As in `resize.c`."""
_LARGEST_IN_C = 16
"""Papers go up to 8; the tables that find PyTorch's weights grow with the square."""


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
    planes = torch.from_numpy(np.require(image, np.float64, ["C", "W"]))  # copied only where PyTorch would complain
    planes = planes[None] if image.ndim == 2 else planes.movedim(-1, 0)
    in_c = factor <= _LARGEST_IN_C and _function() is not None and _has_the_same_bits(factor, scale < 1)
    resized = _summed if in_c else _interpolated
    planes = resized(planes, factor, shrink=scale < 1, border=border, rounded=image.dtype == np.uint8)
    out = planes[0] if image.ndim == 2 else planes.movedim(0, -1)
    return np.ascontiguousarray(out.numpy()).astype(image.dtype, copy=False)


def _factor(scale: float) -> int:
    factor = round(scale if scale >= 1 else 1 / scale) if scale > 0 and math.isfinite(scale) else 0
    if factor < 1 or not math.isclose(scale, factor if scale >= 1 else 1 / factor, rel_tol=1e-12):
        msg = f"imresize takes a whole scale or the reciprocal of one (2, 1/2, 3, 1/3 ...), not {scale!r}"
        raise ValueError(msg)
    return factor


def _interpolated(
    planes: Float64[Tensor, "c h w"], factor: int, *, shrink: bool, border: Border, rounded: bool
) -> Float64[Tensor, "c H W"]:
    """By PyTorch."""
    for axis in (-2, -1):  # MATLAB resizes rows first when both axes shrink or grow alike
        planes = _interpolated_axis(planes, factor, shrink=shrink, axis=axis, border=border)
        if rounded:
            planes = (planes + 0.5).floor().clamp(0, 255)  # halves round up: all that survives the clip is positive
    return planes


def _interpolated_axis(
    planes: Float64[Tensor, "c h w"], factor: int, *, shrink: bool, axis: int, border: Border
) -> Float64[Tensor, "c H W"]:
    """On an image padded by whole output pixels, so that the library keeps MATLAB's grid."""
    if axis == -2 and planes.shape[-1] == 1:  # PyTorch resizes a column that is one pixel wide wrongly
        rows = _interpolated_axis(planes.transpose(-1, -2), factor, shrink=shrink, axis=-1, border=border)
        return rows.transpose(-1, -2)
    size = planes.shape[axis]
    before, after = _padding(size, factor, shrink)
    padded = planes.index_select(axis, _inside(torch.arange(-before, size + after), size, border))
    length = padded.shape[axis] // factor if shrink else padded.shape[axis] * factor
    shape = list(padded.shape[-2:])
    shape[axis] = length
    resized = interpolate(padded[None], shape, mode="bicubic", align_corners=False, antialias=True)[0]
    first = before // factor if shrink else before * factor
    return resized.narrow(axis, first, _length(size, factor, shrink))


def _length(size: int, factor: int, shrink: bool) -> int:
    return -(-size // factor) if shrink else size * factor


def _padding(size: int, factor: int, shrink: bool) -> tuple[int, int]:
    """Pixels before and after: as far as the kernel can reach beyond an edge, in multiples of `factor`."""
    reach = 4 * factor if shrink else 4
    return reach, reach + (-size % factor if shrink else 0)


def _inside(at: Int64[Tensor, "..."], size: int, border: Border) -> Int64[Tensor, "..."]:
    """Which pixel of a line stands where the line is continued beyond its ends."""
    if border == "mirror":
        at = at.remainder(2 * size)
        at = torch.minimum(at, 2 * size - 1 - at)
    return at.clamp(0, size - 1)


def _summed(
    planes: Float64[Tensor, "c h w"], factor: int, *, shrink: bool, border: Border, rounded: bool
) -> Float64[Tensor, "c H W"]:
    """The same in C: every output is a sum of a few pixels, and neither a padded nor a half-resized image is needed."""
    function = _function()
    assert function is not None, "asked for without a compiler"
    count, height, width = planes.shape
    rows, columns = (_length(size, factor, shrink) for size in (height, width))
    at, weights = _sums(1 << (max(rows, columns) - 1).bit_length(), factor, shrink)
    at_rows, at_columns = _inside(at[:rows], height, border), _inside(at[:columns], width, border)
    turned = torch.empty(width * _LANES, dtype=torch.float64)
    out = torch.empty(count, rows, columns, dtype=torch.float64)
    given = planes.contiguous()
    function(
        given.data_ptr(), count, height, width, rows, columns, at_rows.data_ptr(), at_columns.data_ptr(),
        weights.data_ptr(), weights.shape[1], rounded, turned.data_ptr(), out.data_ptr(),
    )  # fmt: skip
    return out


@lru_cache(64)
def _sums(length: int, factor: int, shrink: bool) -> tuple[Int64[Tensor, "n t"], Float64[Tensor, "n t"]]:
    """The pixels that each of so many outputs is made from, and their weights; the same in lines of any length.

    The weights are PyTorch's own, to the last bit: read off lines with one bright pixel in every so many.
    """
    middle = torch.arange(length, dtype=torch.float64) + 0.5
    centre, half = (middle * factor, 2 * factor) if shrink else (middle / factor, 2)
    seen = (centre - half + 0.5).floor().long()[:, None] + torch.arange(2 * half)
    size = length * factor if shrink else -(-length // factor)
    before, after = _padding(size, factor, shrink)
    at, apart = torch.arange(size + before + after), 2 * half + 1
    lines = torch.zeros(apart, len(at), dtype=torch.float64)
    lines[at % apart, at] = 1
    shape = apart, len(at) // factor if shrink else len(at) * factor
    answers = interpolate(lines[None, None], shape, mode="bicubic", align_corners=False, antialias=True)[0, 0]
    first = before // factor if shrink else before * factor
    return seen, answers[(before + seen) % apart, first + torch.arange(length)[:, None]]


@cache
def _function() -> Any:
    """`resize` of resize.c, or None."""
    arguments = (POINTER, *[NUMBER] * 5, *[POINTER] * 3, *[NUMBER] * 2, *[POINTER] * 2)
    as_written = "-ffp-contract=off"  # or the compiler would fuse more than the last addition
    library = compiled("pixels/resize", {"resize": arguments}, as_written)
    return None if library is None else library.resize


@cache
def _has_the_same_bits(factor: int, shrink: bool) -> bool:
    """Whether C gives what this build of PyTorch gives here, found out once on noise around zero.

    Thousands of outputs, because the order of a sum shows in one of some hundred, and around zero, because sums that
    nearly cancel show it best.
    """
    times = factor if shrink else 1
    plane = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 61 * times, 83 * times)))
    how: dict[str, Any] = {"shrink": shrink, "border": "mirror", "rounded": False}
    return torch.equal(_summed(plane, factor, **how), _interpolated(plane, factor, **how))
