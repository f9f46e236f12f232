"""What may be wrong with pictures themselves: every fault is undone, and a score that rises shows that it was there.

This needs no network, only the pictures, the references and the small images.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from srrepro.evaluation.measure import Estimate
from srrepro.pixels.color import rgb_of, studio, to_ycbcr
from srrepro.protocols.protocol import LEVELS

Undone = Float[ndarray, "H W *c"]
FARTHEST_SHIFT = 2
"""Pixels, as many as every protocol drops at least: what comes in from the other side is not measured."""
WRAPPED = 0.75
"""Of 256 levels, that an estimate is off from the interpolated image where it was wrapped round."""
BORDER = 8
"""Pixels of a band that networks without good padding spoil."""


@dataclass(frozen=True)
class Beside:
    """What an estimate stands beside: the interpolated image in its colour and in RGB, the right Y; about 0 to 1."""

    interpolated: Float[ndarray, "h w *c"]
    rgb: Float[ndarray, "h w 3"]
    reference: Float[ndarray, "h w"]


@dataclass(frozen=True)
class Suspect:
    """A fault of pictures.

    `undo` gives the estimate as it would be without it, from itself and what it stands beside, or None where this fault
    cannot be. `gain_db` is what the score must rise by. What is `general` explains much that has a better name: it is
    taken only where it gains much more.
    """

    name: str
    advice: str
    undo: Callable[[Estimate, Beside], Undone | None]
    gain_db: float = 0.5
    general: bool = False


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
    def undo(estimate: Estimate, _: Beside) -> Undone | None:
        turned = np.ascontiguousarray(turn(estimate))
        return turned if turned.shape == estimate.shape else None

    return Suspect(name, "Undo it before saving; an augmentation may have stayed on, or axes were exchanged.", undo)


def _exchanged(estimate: Estimate, _: Beside) -> Undone | None:
    return np.ascontiguousarray(estimate[..., ::-1]) if estimate.ndim == 3 else None


def _from_full_range(estimate: Estimate, _: Beside) -> Undone | None:
    return 16 / LEVELS + estimate * (219 / LEVELS) if estimate.ndim == 2 else None


def _from_studio_range(estimate: Estimate, _: Beside) -> Estimate:
    if estimate.ndim == 2:
        return np.asarray((estimate - 16 / LEVELS) * (255 / 219))
    ycbcr = to_ycbcr(estimate * LEVELS)
    ycbcr[..., 0] = (ycbcr[..., 0] - 16) * (255 / 219)
    return rgb_of(ycbcr) / LEVELS


def _wrapped(estimate: Estimate, beside: Beside) -> Undone | None:
    interpolated = beside.interpolated
    if estimate.shape != interpolated.shape:
        return None
    turns = np.trunc((interpolated - estimate) * (LEVELS / 256 / WRAPPED))  # -1, 0 or 1
    return np.asarray(np.clip(estimate + turns * (256 / LEVELS), 0, 1))


def _of_bgr(estimate: Estimate, beside: Beside) -> Undone | None:
    rgb = beside.rgb * LEVELS
    if estimate.ndim == 3 or rgb.shape[:2] != estimate.shape:
        return None
    return np.asarray(estimate + (studio(rgb) - studio(rgb[..., ::-1])) / LEVELS)


def _from_minus_one(estimate: Estimate, _: Beside) -> Undone | None:
    return (estimate + 1) / 2 if estimate.min() < -0.2 else None


def _fitted(estimate: Estimate, beside: Beside) -> Undone | None:
    """The brightness and contrast that fit the reference best."""
    y = studio(estimate * LEVELS) / LEVELS if estimate.ndim == 3 else estimate
    if y.shape != beside.reference.shape or y.std() < 1e-3:
        return None
    slope, offset = np.polyfit(y.ravel(), beside.reference.ravel(), 1)
    return np.asarray(estimate * slope + offset) if 0.3 < slope < 3 else None


def _inside(estimate: Estimate, _: Beside) -> Undone | None:
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
        "luminance of exchanged red and blue",
        "OpenCV reads BGR. Convert to RGB before Y is taken.",
        _of_bgr,
    ),
    Suspect(
        "of -1 to 1 instead of 0 to 1",
        "A tanh at the end gives that: (y + 1) / 2 before saving, or leave it out.",
        _from_minus_one,
    ),
    Suspect(
        "of another brightness or contrast",
        "Look at ranges and normalisation: what is divided or subtracted before the network must come back after it, "
        "the same for every picture.",
        _fitted,
        general=True,
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
