"""Measuring an upscaler on the images of a set: one score an image, and their mean."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Protocol as Interface
from typing import runtime_checkable

import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray

from srrepro.data.registry import DataFolder, fetch, members, sets
from srrepro.data.stores import EvaluationShape, Example, prepare_evaluation, read_evaluation, read_folder
from srrepro.errors import InputError
from srrepro.evaluation.upscaler import FARTHEST
from srrepro.evaluation.weights import Subject
from srrepro.models.recipe import Input
from srrepro.pixels import images
from srrepro.pixels.color import studio
from srrepro.plain import few, is_name
from srrepro.progress import say, track
from srrepro.protocols.degradation import Degradation, Planes
from srrepro.protocols.protocol import LEVELS, Protocol

Estimate = Float[ndarray, "h w *c"]
Photograph = tuple[str, ndarray]
"""An image as it was read, uint8 grey (h, w) or RGB (h, w, 3), with its name."""
Keep = Callable[[str, Planes, Estimate], None]
"""What else is done with every estimate: its image's name, the planes that it was judged with, and itself."""


@runtime_checkable
class Estimator(Interface):
    """What is measured: an `Upscaler`, or what somebody brings."""

    @property
    def subject(self) -> Subject: ...
    @property
    def scale(self) -> int: ...
    @property
    def takes(self) -> Input: ...
    def estimate(self, image: Float32[ndarray, "h w *c"]) -> Estimate: ...


@dataclass(frozen=True)
class TestSet:
    """A set of the registry, or a folder of a user's own images under a name of their choice."""

    name: str
    folder: Path | None = None
    __test__ = False  # pytest takes every Test* for a test

    @classmethod
    def parse(cls, text: str) -> "TestSet":
        """`Set5`, or `name=DIR`.

        Raises
        ------
        InputError : no such set, or the name of a known set given to a folder.
        """
        name, equals, folder = text.partition("=")
        if not equals:
            if name not in sets() and Path(name).expanduser().is_dir():
                msg = f"{name!r} was given as a set, but is a folder. Give it a name: --set mine={name}."
                raise InputError(msg)
            members(name)
            return cls(name)
        if not name or not folder:
            msg = f"{text!r} was given as a set, but a folder of images is given as NAME=DIR."
            raise InputError(msg)
        if not is_name(name):
            msg = f"{text!r} was given as a set, but its name is none: letters and digits, as in mine={folder}."
            raise InputError(msg)
        try:
            members(name)
        except InputError:
            return cls(name, Path(folder).expanduser())
        msg = f"{text!r} would give a folder the name of the set {name}. Choose another name for it."
        raise InputError(msg)

    def examples(
        self, data: DataFolder, scale: int, degradation: Degradation, *, limit: int | None = None
    ) -> Iterator[Example]:
        """The degraded images, or the first `limit` of them; fetched and stored first if they are lacking."""
        if self.folder is not None:
            return islice(read_folder(self.folder, scale, degradation), limit)
        shape = EvaluationShape(self.name, scale, degradation)
        prepare_evaluation(data, shape)
        return islice(read_evaluation(data, shape), limit)

    def photographs(self, data: DataFolder, *, limit: int | None = None) -> Iterator[Photograph]:
        """The images as they are, in the order of `examples`, by the same names."""
        return ((path.name, images.read(path)) for path in self._paths(data)[:limit])

    def names(self, data: DataFolder, *, limit: int | None = None) -> list[str]:
        """Those of `photographs`, of which none is read."""
        return [path.name for path in self._paths(data)[:limit]]

    def _paths(self, data: DataFolder) -> list[Path]:
        return images.folder_images(self.folder) if self.folder is not None else fetch(data, self.name)


BICUBIC = "bicubic_"
"""Before the names of metrics: the interpolated image's own."""


@dataclass(frozen=True)
class Score:
    """One image under one upscaler. `values` are the protocol's metrics by name, and bicubic's of the same image."""

    dataset: str
    scale: int
    image: str
    protocol: str
    values: dict[str, float]


def evaluate(
    upscaler: Estimator, dataset: str, examples: Iterable[Example], *, protocol: Protocol, keep: Keep | None = None
) -> list[Score]:
    """Scores of every image under a protocol.

    Raises
    ------
    InputError : an image is too small to be measured; the network takes what the protocol does not have, or gives an
        image that is none of its reference.
    """
    scale = upscaler.scale
    shown = track(examples, f"measuring {upscaler.subject.name} x{scale} on {dataset}")
    estimates = ((name, planes, _estimate(upscaler, planes, protocol)) for name, planes in shown)
    return judge(estimates, dataset, scale, protocol=protocol, keep=keep)


def judge(
    estimates: Iterable[tuple[str, Planes, Estimate]],
    dataset: str,
    scale: int,
    *,
    protocol: Protocol,
    keep: Keep | None = None,
) -> list[Score]:
    """Scores of estimates (about 0 to 1) of named images, wherever they come from. Errors as `evaluate`.

    An estimate that is smaller than its reference by the same border on all sides, as networks without padding give
    it, is held against the inside.
    """
    scores, borders, beyond, equal = [], set(), [], []
    for name, planes, estimate in estimates:
        _check_size(f"{dataset}/{name}", planes, scale, protocol)
        check_values(f"{dataset}/{name}", estimate)
        border = border_of(f"{dataset}/{name}", estimate, planes)
        inside, by = without_border(planes, protocol, scale, border)
        _check_middle(f"{dataset}/{name}", estimate, planes, border)
        ours = by.scores(estimate, inside, scale)
        bicubic = by.scores(by.admitted(inside.interpolated), inside, scale)
        values = ours | {BICUBIC + metric: value for metric, value in bicubic.items()}
        scores.append(Score(dataset, scale, name, protocol.name, values))
        borders.add(border)
        beyond += [name] if _beyond_studio_range(planes) else []
        equal += [name] if math.isinf(ours["psnr_db"]) else []
        if keep is not None:
            keep(name, inside, estimate)
    if borders - {0}:
        say(_about_borders(dataset, max(borders), protocol.shaved(scale)))
    if beyond and dataset not in sets():  # of a known set, its page says so
        say(
            f"{few(beyond)} of {dataset}: grey, with levels below 16 or above 235. The luminance (Y) of a colour "
            "photograph has none of these. They are measured as they are; the networks were trained without them."
        )
    if equal:
        say(f"{few(equal)} of {dataset}: the estimate is the reference, so its PSNR is infinite, and so is the mean.")
    return scores


def _beyond_studio_range(planes: Planes) -> bool:
    return planes.reference.ndim == 2 and not 16 <= planes.reference.min() <= planes.reference.max() <= 235


def border_of(name: str, estimate: Estimate, planes: Planes) -> int:
    """By how many pixels an estimate is smaller than its reference, on every side.

    Raises
    ------
    InputError : it is larger, or not smaller by the same on all sides.
    """
    (h, w), (height, width) = estimate.shape[:2], planes.reference.shape[:2]
    border, small = int((height - h) // 2), (h, w) == planes.low.shape[:2]
    if not small and h + 2 * border == height and w + 2 * border == width and border >= 0:
        return border
    msg = f"The estimate of {name} should be {width}×{height}, or smaller by the same border all round, but is {w}×{h}."
    raise InputError(f"{msg} That is the size of the small image." if small else msg)


def _check_middle(name: str, estimate: Estimate, planes: Planes, border: int) -> None:
    """Refuse what is smaller, but was cut on one side only: it would be compared with its neighbours.

    Raises
    ------
    InputError : it fits its reference better at another place than in the middle.
    """
    if border == 0:
        return
    small, large = (
        studio(image * LEVELS) if image.ndim == 3 else image * LEVELS for image in (estimate, planes.interpolated)
    )
    h, w = small.shape
    starts = sorted({0, border - 1, border, border + 1, 2 * border})
    apart = {
        (top, left): float(np.mean(np.square(large[top : top + h, left : left + w] - small)))
        for top in starts
        for left in starts
    }
    best = min(apart, key=lambda place: apart[place])
    if apart[best] < 0.9 * apart[border, border]:
        msg = (
            f"The estimate of {name} is {2 * border} pixels smaller than its reference, and fits it {best[0]} from the "
            f"top and {best[1]} from the left, not in the middle. Crop or pad alike on all sides."
        )
        raise InputError(msg)


def without_border(planes: Planes, protocol: Protocol, scale: int, border: int) -> tuple[Planes, Protocol]:
    """The inside of an image, and the protocol that drops of it what is left to be dropped."""
    if border == 0:
        return planes, protocol
    inside = slice(border, -border), slice(border, -border)
    cut = planes._replace(reference=planes.reference[inside], interpolated=planes.interpolated[inside])
    return cut, replace(protocol, shave=max(0, protocol.shaved(scale) - border))


class Exploded(InputError):
    """An estimate that is no image: not finite, or far from 0 to 1."""


def check_values(name: str, estimate: Estimate) -> None:
    """Refuse what is no image of about 0 to 1.

    Raises
    ------
    Exploded : values that are not finite, or of another range.
    """
    low, high = float(np.min(estimate)), float(np.max(estimate))
    if not (math.isfinite(low) and math.isfinite(high)):
        msg = f"The estimate of {name} has values that are not finite (NaN or infinite); nothing is measured of it."
        raise Exploded(msg)
    if max(-low, high) > FARTHEST:
        msg = (
            f"The estimate of {name} was to be of about 0 to 1, but goes from {low:.4g} to {high:.4g}. If those are "
            "levels of 0 to 255, divide by 255, and feed the network what it was trained on."
        )
        raise Exploded(msg)


def _about_borders(dataset: str, border: int, shaved: int) -> str:
    pixels = f"{border} {'pixel' if border == 1 else 'pixels'}"
    found = f"the estimates of {dataset} are smaller than the references by {pixels} on every side: "
    if border <= shaved:
        return f"{found}the protocol drops {shaved} in any case, so nothing changes"
    return (
        f"{found}only the inside is measured, where the protocol drops {shaved}; no published number is of these pixels"
    )


def mean_psnr(upscaler: Estimator, examples: Iterable[Example], *, protocol: Protocol) -> float:
    """Mean over images, in dB, of what `evaluate` would find: the quick look that a training log takes."""
    values = [
        protocol.scores(_estimate(upscaler, planes, protocol), planes, upscaler.scale, metrics=["psnr_db"])["psnr_db"]
        for _, planes in examples
    ]
    return sum(values) / len(values)


def _estimate(upscaler: Estimator, planes: Planes, protocol: Protocol) -> Estimate:
    return upscaler.estimate(protocol.fed(planes, upscaler.takes))


def _check_size(name: str, planes: Planes, scale: int, protocol: Protocol) -> None:
    h, w = planes.reference.shape[:2]
    least = protocol.smallest_side(scale)
    if min(h, w) < least:
        msg = f"{name} was to be measured at x{scale}, but is {w}×{h}; {least}×{least} is the least."
        raise InputError(msg)
