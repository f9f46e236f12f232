"""What may be wrong with pictures themselves: every fault is undone, and a score that rises shows that it was there.

This needs no network, only the pictures, the references and the small images.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from srrepro.evaluation.measure import Estimate
from srrepro.pixels.color import rgb_of, to_ycbcr
from srrepro.protocols.protocol import LEVELS

Undone = Float[ndarray, "H W *c"]
FARTHEST_SHIFT = 2
"""Pixels, as many as every protocol drops at least: what comes in from the other side is not measured."""
WRAPPED = 0.75
"""Of 256 levels, that an estimate is off from the interpolated image where it was wrapped round."""
BORDER = 8
"""Pixels of a band that networks without good padding spoil."""


@dataclass(frozen=True)
class Suspect:
    """A fault of pictures.

    `undo` gives the estimate as it would be without it, from itself and the interpolated image of the same colour, or
    None where this fault cannot be. `gain_db` is what the score must rise by.
    """

    name: str
    advice: str
    undo: Callable[[Estimate, Estimate], Undone | None]
    gain_db: float = 0.5


def _shifted(rows: int, columns: int) -> Suspect:
    ways = (("up", "down"), ("to the left", "to the right"))
    parts = [
        f"{abs(by)} {'pixel' if abs(by) == 1 else 'pixels'} {names[by < 0]}"
        for by, names in zip((rows, columns), ways, strict=True)
        if by
    ]
    return Suspect(
        f"shifted {' and '.join(parts)}",
        "Look at how images are aligned where they are resized or cropped, or padded on one side only.",
        lambda estimate, _: np.roll(estimate, (rows, columns), (0, 1)),
    )


def _turned(name: str, turn: Callable[[ndarray], ndarray]) -> Suspect:
    def undo(estimate: Estimate, _: Estimate) -> Undone | None:
        turned = np.ascontiguousarray(turn(estimate))
        return turned if turned.shape == estimate.shape else None

    return Suspect(name, "Undo it before saving; an augmentation may have stayed on, or axes were exchanged.", undo)


def _exchanged(estimate: Estimate, _: Estimate) -> Undone | None:
    return np.ascontiguousarray(estimate[..., ::-1]) if estimate.ndim == 3 else None


def _from_full_range(estimate: Estimate, _: Estimate) -> Undone | None:
    return 16 / LEVELS + estimate * (219 / LEVELS) if estimate.ndim == 2 else None


def _from_studio_range(estimate: Estimate, _: Estimate) -> Estimate:
    if estimate.ndim == 2:
        return np.asarray((estimate - 16 / LEVELS) * (255 / 219))
    ycbcr = to_ycbcr(estimate * LEVELS)
    ycbcr[..., 0] = (ycbcr[..., 0] - 16) * (255 / 219)
    return rgb_of(ycbcr) / LEVELS


def _wrapped(estimate: Estimate, interpolated: Estimate) -> Undone | None:
    if estimate.shape != interpolated.shape:
        return None
    turns = np.trunc((interpolated - estimate) * (LEVELS / 256 / WRAPPED))  # -1, 0 or 1
    return np.asarray(np.clip(estimate + turns * (256 / LEVELS), 0, 1))


def _inside(estimate: Estimate, _: Estimate) -> Undone | None:
    return estimate[BORDER:-BORDER, BORDER:-BORDER] if min(estimate.shape[:2]) > 6 * BORDER else None


_SHIFTS = range(-FARTHEST_SHIFT, FARTHEST_SHIFT + 1)
SUSPECTS = (
    *(_shifted(rows, columns) for rows in _SHIFTS for columns in _SHIFTS if rows or columns),
    _turned("mirrored, left and right", np.fliplr),
    _turned("upside down", np.flipud),
    _turned("turned by 180 degrees", lambda image: image[::-1, ::-1]),
    _turned("rows and columns exchanged", lambda image: image.swapaxes(0, 1)),
    Suspect(
        "with red and blue exchanged",
        "OpenCV writes BGR. Convert before saving, or save with the library that you read with.",
        _exchanged,
        gain_db=0.1,
    ),
    Suspect(
        "grey in full range",
        "Save the luminance as it is, 16 to 235: it is no grey picture of 0 to 255.",
        _from_full_range,
    ),
    Suspect(
        "of studio range taken for full range",
        "Convert YCbCr to RGB by the formula that made it; 16 is black and 235 white.",
        _from_studio_range,
    ),
    Suspect(
        "with levels beyond 0 or 255 wrapped round",
        "Clip before you convert: (255 * y).clip(0, 255).round().astype(uint8).",
        _wrapped,
        gain_db=0.1,
    ),
    Suspect(
        f"spoilt at the border ({BORDER} pixels left out)",
        "Repeat the edge before every layer: torch.nn.functional.pad(x, [r] * 4, mode='replicate').",
        _inside,
    ),
)


def apart_levels(one: Float[ndarray, "h w"], other: Float[ndarray, "h w"]) -> float:
    """The root of the mean squared difference of two images of about 0 to 1, in levels of 255."""
    return float(np.sqrt(np.mean(np.square(one.astype(np.float64) - other))) * LEVELS)
