"""What small and interpolated images are made with: MATLAB's `imresize`, as in papers, and what others take for it.

A protocol names one. Only MATLAB's are right for published numbers; the others stand here because people's code has
them, and `srrepro explain` shows what they cost.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float64, Real
from numpy import ndarray
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from srrepro.pixels.resize import imresize

Resizer = Literal["matlab-mirror", "matlab-clamp", "matlab-no-antialias", "pillow", "pytorch"]


def _without_antialias(image: Real[ndarray, "h w *c"], scale: float) -> Real[ndarray, "H W *c"]:
    """MATLAB's `imresize(..., 'Antialiasing', false)` for images whose sides are multiples of what they shrink by."""
    if scale >= 1:
        return imresize(image, scale)
    factor = round(1 / scale)
    planes = image.astype(np.float64)
    for axis in (0, 1):
        planes = _sampled(planes, factor, axis)
    return _like(planes, image)


def _sampled(image: Float64[ndarray, "h w *c"], factor: int, axis: int) -> Float64[ndarray, "H W *c"]:
    """Every `factor`th place of the cubic (a = -0.5) through the pixels; the edge is mirrored."""
    size = image.shape[axis]
    centres = (np.arange(size // factor) + 0.5) * factor - 0.5
    first = np.floor(centres).astype(int) - 1
    out: Any = 0
    for tap in range(4):
        at = first + tap
        apart = np.abs(centres - at)[(...,) + (None,) * (image.ndim - 1 - axis)]
        near, far = 1.5 * apart**3 - 2.5 * apart**2 + 1, -0.5 * apart**3 + 2.5 * apart**2 - 4 * apart + 2
        mirrored = np.minimum(np.mod(at, 2 * size), 2 * size - 1 - np.mod(at, 2 * size))
        out = out + np.where(apart <= 1, near, far) * np.take(image, mirrored, axis)
    return np.asarray(out)


def _pillow(image: Real[ndarray, "h w *c"], scale: float) -> Real[ndarray, "H W *c"]:
    """Pillow's `resize(..., BICUBIC)`: a = -0.5 and antialiased like MATLAB's, but the edge counts less."""
    h, w = (round(side * scale) for side in image.shape[:2])
    if image.dtype == np.uint8:
        return np.asarray(Image.fromarray(image).resize((w, h), Image.Resampling.BICUBIC))
    planes = np.atleast_3d(image)
    resized = [
        np.asarray(Image.fromarray(planes[..., c].astype(np.float32)).resize((w, h), Image.Resampling.BICUBIC))
        for c in range(planes.shape[2])
    ]
    return np.stack(resized, axis=2).reshape(h, w, *image.shape[2:]).astype(image.dtype)


def _pytorch(image: Real[ndarray, "h w *c"], scale: float) -> Real[ndarray, "H W *c"]:
    """PyTorch's `interpolate(mode="bicubic")` unasked, and OpenCV's INTER_CUBIC: a = -0.75, no antialiasing."""
    planes = torch.from_numpy(np.atleast_3d(image).astype(np.float64)).movedim(2, 0)
    size = [round(side * scale) for side in image.shape[:2]]
    resized: Tensor = interpolate(planes[None], size, mode="bicubic", align_corners=False)[0]
    return _like(resized.movedim(0, 2).numpy().reshape(*size, *image.shape[2:]), image)


def _like(resized: Float64[ndarray, "H W *c"], image: Real[ndarray, "h w *c"]) -> Real[ndarray, "H W *c"]:
    """In the type of what was given: uint8 is clipped and rounded."""
    if image.dtype == np.uint8:
        resized = np.floor(np.clip(resized, 0, 255) + 0.5)
    return np.ascontiguousarray(resized).astype(image.dtype)


RESIZERS: dict[Resizer, Callable[[ndarray, float], ndarray]] = {
    "matlab-mirror": imresize,
    "matlab-clamp": partial(imresize, border="clamp"),
    "matlab-no-antialias": _without_antialias,
    "pillow": _pillow,
    "pytorch": _pytorch,
}
"""By name, called with an image (uint8, or float of any range) and a whole scale or the reciprocal of one; the result
is of the image's type."""
