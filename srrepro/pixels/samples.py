"""What an image file holds, before anybody rounds it: grey or RGB of 8 or 16 bits, alpha apart, and what came along."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from jaxtyping import UInt8, UInt16
from numpy import ndarray
from PIL import Image

Levels: TypeAlias = UInt8[ndarray, "h w *c"] | UInt16[ndarray, "h w *c"]
Enlarged: TypeAlias = UInt8[ndarray, "H W *c"] | UInt16[ndarray, "H W *c"]
Plane: TypeAlias = UInt8[ndarray, "h w"] | UInt16[ndarray, "h w"]

EIGHT, SIXTEEN = 255, 65535
"""White in 8 and in 16 bits."""
_VALUES = 1 << 18
"""Samples that are worked on at a time."""


@dataclass(frozen=True)
class Samples:
    """One image of a file. `levels` are 0 to `white`, `alpha` the same, as the file stores them: not turned."""

    levels: Levels
    white: int = EIGHT
    alpha: Plane | None = None
    orientation: int = 1
    """1 to 8, as EXIF counts them: how the camera was held."""
    profile: bytes | None = None
    exif: Image.Exif = field(default_factory=Image.Exif)

    @property
    def in_8_bits(self) -> UInt8[ndarray, "h w *c"]:
        """`levels` rounded to the nearest of 0 to 255."""
        return self.levels if self.levels.dtype == np.uint8 else scaled(self.levels, self.white, EIGHT)


def scaled(levels: Levels, white: int, new: int) -> Levels:
    """Levels of 0 to `white` as the nearest of 0 to `new`, which is 255 or 65535."""
    kind = np.uint8 if new == EIGHT else np.uint16
    return by_rows(lambda part: ((part.astype(np.uint32) * new + white // 2) // white).astype(kind), levels)


def by_rows(work: Callable[..., ndarray], *images: ndarray) -> ndarray:
    """What `work` makes of images of one height, some rows at a time: wide numbers between them take little memory."""
    rows = max(1, _VALUES // max(1, images[0][:1].size))
    starts = range(0, max(1, len(images[0])), rows)
    return np.concatenate([work(*(image[start : start + rows] for image in images)) for start in starts])
