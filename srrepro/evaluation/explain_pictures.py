"""Why pictures score what they score: faults in them, ways of measuring them, and the network that made them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import mean

import numpy as np
from jaxtyping import Float, Float32, UInt8
from numpy import ndarray

from srrepro.evaluation.explain import Finding, Image, Scores, mean_of
from srrepro.evaluation.explain import told as told_of_numbers
from srrepro.evaluation.measure import Estimate, Estimator, Photograph, border_of, check_values, without_border
from srrepro.evaluation.practices import ALONE, RIGHT, Practice
from srrepro.evaluation.score import Pictures, fitted
from srrepro.evaluation.suspects import SUSPECTS, Suspect, apart_levels
from srrepro.pixels.color import studio
from srrepro.pixels.resize import imresize
from srrepro.progress import track
from srrepro.protocols.degradation import MATLAB, Degradation, Planes
from srrepro.protocols.protocol import LEVELS, Protocol, quantise

RGB = Degradation(low="rgb-float", grey="rgb")
SAME_AS_BICUBIC = 0.5
"""Levels between pictures and interpolated images, below which a network did nothing."""
FARTHER_THAN_BICUBIC = 1.25
"""Times that pictures, shrunk again, are farther from the small images than the interpolated images are: networks that
were given these small images come nearer than those."""
THE_SAME_DB = 35.0
"""Between pictures and what a network gives here: above it they are the same but for rounding and clipping."""
AHEAD_DB = 3.0
"""By which that practice must be nearer than the right one."""


@dataclass(frozen=True)
class Examined:
    """What was found. Undone faults are in the order of their scores; `made_by` is of a network, if one is named."""

    score: Finding
    undone: tuple[tuple[Suspect, float], ...]
    practices: tuple[Finding, ...]
    from_bicubic: float
    again_shrunk: float
    bicubic_again_shrunk: float
    made_by: tuple[tuple[Practice, float], ...]

    @property
    def faults(self) -> list[tuple[Suspect, float]]:
        """Those that were there: the score rises without them."""
        return [(one, psnr_db) for one, psnr_db in self.undone if psnr_db - self.score.psnr_db >= one.gain_db]


def examine(
    pictures: Pictures,
    photographs: Sequence[Photograph],
    scale: int,
    *,
    protocol: Protocol,
    network: Estimator | None = None,
) -> Examined:
    """Look for every usual fault in a folder of pictures.

    Raises
    ------
    InputError : as `score`.
    """
    found = pictures.partners([name for name, _ in photographs])
    shown = track(photographs, f"examining {pictures.folder.name}", total=len(photographs))
    looks = [_Look(name, photograph, found[name], scale, protocol) for name, photograph in shown if name in found]
    judged = [finding for practice in (RIGHT, *ALONE) if (finding := _judged(practice, looks)) is not None]
    undone = [(suspect, psnr_db) for suspect in SUSPECTS if (psnr_db := _without(suspect, looks)) is not None]
    return Examined(
        score=judged[0],
        undone=tuple(sorted(undone, key=lambda one: -one[1])),
        practices=tuple(judged[1:]),
        from_bicubic=mean(apart_levels(look.luminance, look.interpolated) for look in looks),
        again_shrunk=mean(look.again_shrunk(look.luminance) for look in looks),
        bicubic_again_shrunk=mean(look.again_shrunk(look.interpolated) for look in looks),
        made_by=tuple(_made_by(network, looks, protocol)) if network is not None else (),
    )


def told(examined: Examined, reported_db: float | None, network: str | None) -> list[str]:
    """What was found, in sentences, the likeliest first."""
    sentences = []
    practice, psnr_db = examined.made_by[0] if examined.made_by else (RIGHT, 0.0)
    of_the_right = next((psnr_db for practice, psnr_db in examined.made_by if practice is RIGHT), 0.0)
    if psnr_db >= max(THE_SAME_DB, of_the_right + AHEAD_DB):
        sentences.append(
            f"They are what {network} gives by this practice: {practice.name} ({psnr_db:.0f} dB between them). "
            f"{practice.advice}"
        )
    for suspect, psnr_db in examined.faults[:1]:
        sentences.append(
            f"The pictures are {suspect.name}: without that they score {psnr_db:.3f} dB instead of "
            f"{examined.score.psnr_db:.3f}. {suspect.advice}"
        )
    if not sentences and examined.from_bicubic < SAME_AS_BICUBIC:
        sentences.append(
            f"The pictures are the interpolated images ({examined.from_bicubic:.2f} levels apart): the network changes "
            "nothing, or its output is not what was saved."
        )
    if not sentences and examined.again_shrunk > FARTHER_THAN_BICUBIC * examined.bicubic_again_shrunk:
        sentences.append(
            f"The small images were not MATLAB's: shrunk again, the pictures are {examined.again_shrunk:.1f} levels "
            f"off those, where even interpolated images are {examined.bicubic_again_shrunk:.1f} off. Shrink with "
            "antialiasing (srrepro.pixels.resize.imresize), not as PyTorch and OpenCV do by default."
        )
    if reported_db is not None:
        sentences.append(told_of_numbers([examined.score, *examined.practices], reported_db))
    if not sentences:
        sentences.append(f"No usual fault was found: {examined.score.psnr_db:.3f} dB is what these pictures score.")
    return sentences


class _Look:
    """One picture, beside what it should be."""

    def __init__(
        self, name: str, photograph: UInt8[ndarray, "h w *c"], path: Path, scale: int, protocol: Protocol
    ) -> None:
        self.name = name
        self.photograph = photograph
        self.scale = scale
        self.protocol = protocol
        self.planes = protocol.degradation(photograph, scale)
        self.estimate = fitted(path, self.planes, scale)
        check_values(name, self.estimate)
        self.border = border_of(name, self.estimate, self.planes)
        right = MATLAB(photograph, scale)
        self.low = right.low
        self.interpolated = right.interpolated[self.inside]
        self.luminance = studio(self.estimate * LEVELS) / LEVELS if self.estimate.ndim == 3 else self.estimate

    @property
    def inside(self) -> tuple[slice, slice]:
        end = -self.border or None
        return slice(self.border, end), slice(self.border, end)

    @cached_property
    def interpolated_rgb(self) -> Float32[ndarray, "h w 3"]:
        rgb: Float32[ndarray, "h w 3"] = RGB(self.photograph, self.scale).interpolated[self.inside]
        return rgb

    def scores(self, practice: Practice) -> Scores | None:
        """By another way of measuring; None where that is of colour, and the picture has none."""
        if practice.axis == "colour" and self.estimate.ndim == 2:
            return None
        by = practice.of(self.protocol, self.scale)
        planes = by.degradation(self.photograph, self.scale)
        if practice.against_interpolated:
            planes = planes._replace(reference=quantise(planes.interpolated))
        return self._scores(self.estimate, planes, by)

    def without(self, suspect: Suspect) -> float | None:
        """PSNR in dB after a fault is undone; None where it cannot be there."""
        colour = self.estimate.ndim == 3
        undone = suspect.undo(self.estimate, self.interpolated_rgb if colour else self.interpolated)
        return None if undone is None else self._scores(undone, self.planes, self.protocol)[0]

    def _scores(self, estimate: Estimate, planes: Planes, by: Protocol) -> Scores:
        border = border_of(self.name, estimate, planes)
        planes, inside = without_border(planes, by, self.scale, border)
        found = inside.scores(estimate, planes, self.scale)
        return found["psnr_db"], found.get(by.similarity)

    def again_shrunk(self, luminance: Float[ndarray, "h w"]) -> float:
        """Levels between the right small image and a luminance that is shrunk as that was; edges left out."""
        whole = np.pad(luminance, self.border, mode="edge").astype(np.float64)
        edge = 2 + -(-self.border // self.scale)
        inside = slice(edge, -edge), slice(edge, -edge)
        return apart_levels(imresize(whole, 1 / self.scale)[inside], self.low[inside])


def _judged(practice: Practice, looks: Sequence[_Look]) -> Finding | None:
    if practice.needs_network or practice.swapped:
        return None
    scores = [look.scores(practice) for look in looks]
    return None if None in scores else mean_of(practice, [each for each in scores if each is not None])


def _without(suspect: Suspect, looks: Sequence[_Look]) -> float | None:
    psnrs = [look.without(suspect) for look in looks]
    return None if None in psnrs else mean(each for each in psnrs if each is not None)


def _made_by(network: Estimator, looks: Sequence[_Look], protocol: Protocol) -> list[tuple[Practice, float]]:
    """How near the pictures are to what a network gives by every practice, the nearest first; PSNR in dB, of Y."""
    practices = [RIGHT, *(practice for practice in ALONE if practice.needs_network or practice.axis == "colour")]
    apart: dict[str, list[float]] = {practice.name: [] for practice in practices}
    for look in track(looks, f"what {network.subject.name} gives", total=len(looks)):
        image = Image(network, look.name, look.photograph)
        for practice in practices:
            by = practice.of(protocol, look.scale)
            planes = image.planes(by.degradation, practice.swapped)
            estimate = image.estimate(by.fed(planes, network.takes), practice.zeros)
            plane = studio(estimate * LEVELS) / LEVELS if estimate.ndim == 3 else estimate
            levels = apart_levels(np.clip(plane, 0, 1)[look.inside], look.luminance)
            apart[practice.name].append(20 * math.log10(LEVELS / max(levels, 1e-3)))
    return sorted(((practice, mean(apart[practice.name])) for practice in practices), key=lambda one: -one[1])
