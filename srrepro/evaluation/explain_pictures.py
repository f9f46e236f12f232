"""Why pictures score what they score: faults in them, ways of measuring them, and the network that made them."""

import math
from collections.abc import Iterator, Sequence
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
from srrepro.evaluation.suspects import SUSPECTS, Beside, Suspect, apart_levels
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
GENERAL_DB = 1.0
"""By which a general fault must gain more than any other to be named."""
BELOW_BICUBIC_DB = 0.5
"""A network is not that far below bicubic: something is still wrong."""
BLACK = 3 / LEVELS
UNLIKE = 0.1
"""One minus the correlation of a picture with the photograph that it is of, at most."""


@dataclass(frozen=True)
class Examined:
    """What was found.

    `undone` are all faults, each alone, in the order of the score without it; `faults` those that were there, each with
    the score after it and the ones before it are undone. `mixed` names pictures that belong to other references, and
    `made_by` says how near the pictures are to what a network gives, if one is named.
    """

    score: Finding
    bicubic_db: float
    undone: tuple[tuple[Suspect, float], ...]
    faults: tuple[tuple[Suspect, float], ...]
    practices: tuple[Finding, ...]
    mixed: tuple[tuple[str, str], ...]
    brightest: float
    from_bicubic: float
    again_shrunk: float
    bicubic_again_shrunk: float
    made_by: tuple[tuple[Practice, float], ...]


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
    undone = [(suspect, psnr_db) for suspect in SUSPECTS if (psnr_db := _without([suspect], looks)) is not None]
    return Examined(
        score=judged[0],
        bicubic_db=mean(look.bicubic_db for look in looks),
        undone=tuple(sorted(undone, key=lambda one: -one[1])),
        faults=tuple(_one_after_the_other(looks, judged[0].psnr_db, undone)),
        practices=tuple(judged[1:]),
        mixed=tuple(_mixed(looks)),
        brightest=max(float(look.estimate.max()) for look in looks),
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
    if examined.mixed:
        pairs = ", ".join(f"{picture} is of {reference}" for picture, reference in examined.mixed[:3])
        sentences.append(f"Pictures are mixed up: {pairs}. Look at the order in which they are read and named.")
    elif examined.brightest <= BLACK:
        sentences.append("The pictures are black: multiply by 255 before you convert to uint8.")
    elif examined.faults:
        sentences.append(_told_of_faults(examined))
    if not sentences and examined.from_bicubic < SAME_AS_BICUBIC:
        sentences.append(
            f"The pictures are the interpolated images ({examined.from_bicubic:.2f} levels apart): the network changes "
            "nothing, or its output is not what was saved."
        )
    if not sentences and examined.again_shrunk > FARTHER_THAN_BICUBIC * examined.bicubic_again_shrunk:
        sentences.append(
            f"Likeliest the small images were not MATLAB's: shrunk again, the pictures are {examined.again_shrunk:.1f} "
            f"levels off those, where interpolated images are {examined.bicubic_again_shrunk:.1f} off. Shrink with "
            "antialiasing (srrepro.pixels.resize.imresize), not as PyTorch and OpenCV do by default. Blur and other "
            "changes of all pixels show like this, too."
        )
    if reported_db is not None:
        sentences.append(told_of_numbers([examined.score, *examined.practices], reported_db))
    if not sentences:
        sentences.append(f"No usual fault was found: {examined.score.psnr_db:.3f} dB is what these pictures score.")
    return sentences


def _told_of_faults(examined: Examined) -> str:
    names = ", and ".join(suspect.name for suspect, _ in examined.faults)
    before, left = examined.score.psnr_db, examined.faults[-1][1]
    advice = " ".join(dict.fromkeys(suspect.advice for suspect, _ in examined.faults))
    if left >= examined.bicubic_db - BELOW_BICUBIC_DB:
        return f"The pictures are {names}: without that they score {left:.3f} dB, not {before:.3f}. {advice}"
    return (
        f"No usual fault explains these pictures. Nearest: they are {names}; without that they score {left:.3f} dB, "
        f"not {before:.3f}, still below bicubic ({examined.bicubic_db:.3f}). Something else is wrong, too."
    )


class _Look:
    """One picture, beside what it should be."""

    def __init__(
        self, name: str, photograph: UInt8[ndarray, "h w *c"], path: Path, scale: int, protocol: Protocol
    ) -> None:
        self.name = name
        self.path = path
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
        self.reference = right.reference[self.inside] / LEVELS
        self.bicubic_db = self._psnr_db(protocol.admitted(self.planes.interpolated))

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

    def without(self, suspects: Sequence[Suspect]) -> float | None:
        """PSNR in dB after faults are undone, one after the other; None where one cannot be there."""
        undone = self.estimate
        for suspect in suspects:
            found = suspect.undo(undone, self.beside)
            if found is None:
                return None
            undone = found
        return self._psnr_db(undone)

    @cached_property
    def beside(self) -> Beside:
        colour = self.estimate.ndim == 3
        return Beside(self.interpolated_rgb if colour else self.interpolated, self.interpolated_rgb, self.reference)

    def _psnr_db(self, estimate: Estimate) -> float:
        return self._scores(estimate, self.planes, self.protocol, ["psnr_db"])[0]

    def _scores(self, estimate: Estimate, planes: Planes, by: Protocol, metrics: Sequence[str] | None = None) -> Scores:
        border = border_of(self.name, estimate, planes)
        planes, inside = without_border(planes, by, self.scale, border)
        found = inside.scores(estimate, planes, self.scale, metrics=metrics)
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


def _without(suspects: Sequence[Suspect], looks: Sequence[_Look]) -> float | None:
    psnrs = [look.without(suspects) for look in looks]
    return None if None in psnrs else mean(each for each in psnrs if each is not None)


def _one_after_the_other(
    looks: Sequence[_Look], score_db: float, undone: Sequence[tuple[Suspect, float]]
) -> Iterator[tuple[Suspect, float]]:
    """The fault that gains most, then the one that gains most after it; two at most. `undone`: each alone."""
    first = _worst(undone, score_db, times=1)
    if first is None:
        return
    yield first
    others = [suspect for suspect in SUSPECTS if suspect is not first[0]]
    both = [(suspect, db) for suspect in others if (db := _without([first[0], suspect], looks)) is not None]
    second = _worst(both, first[1], times=2)
    if second is not None:
        yield second


def _worst(undone: Sequence[tuple[Suspect, float]], score_db: float, *, times: float) -> tuple[Suspect, float] | None:
    """Of the faults that gain enough (`times` as much as each asks for) the one that gains most; a general one last."""
    gaining = [one for one in undone if one[1] - score_db >= times * one[0].gain_db]
    return max(gaining, key=lambda one: one[1] - GENERAL_DB * one[0].general, default=None)


def _mixed(looks: Sequence[_Look]) -> Iterator[tuple[str, str]]:
    """Pictures that are nearer to another photograph of their size than to their own."""
    for look in looks:
        alike = [other for other in looks if other.interpolated.shape == look.luminance.shape]
        nearest = min(alike, key=lambda other: _unlike(look, other), default=look)
        if nearest is not look and _unlike(look, nearest) < min(UNLIKE, 0.5 * _unlike(look, look)):
            yield look.path.name, nearest.name


def _unlike(look: "_Look", other: "_Look") -> float:
    return 1 - float(np.corrcoef(look.luminance.ravel(), other.interpolated.ravel())[0, 1])


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
