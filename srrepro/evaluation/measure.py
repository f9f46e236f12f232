"""Measuring an upscaler on the images of a set: one score an image, and their mean."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float32
from numpy import ndarray

from srrepro.data.registry import DataFolder, members
from srrepro.data.stores import EvaluationShape, Example, prepare_evaluation, read_evaluation, read_folder
from srrepro.errors import InputError
from srrepro.evaluation.upscaler import Upscaler
from srrepro.progress import track
from srrepro.protocols.degradation import Degradation, Planes
from srrepro.protocols.protocol import Protocol


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
            members(name)
            return cls(name)
        if not name or not folder:
            msg = f"{text!r} was given as a set, but a folder of images is given as NAME=DIR."
            raise InputError(msg)
        try:
            members(name)
        except InputError:
            return cls(name, Path(folder).expanduser())
        msg = f"{text!r} would give a folder the name of the set {name}. Choose another name for it."
        raise InputError(msg)

    def examples(self, data: DataFolder, scale: int, degradation: Degradation) -> Iterator[Example]:
        """The degraded images, fetched and stored first if they are lacking."""
        if self.folder is not None:
            return read_folder(self.folder, scale, degradation)
        shape = EvaluationShape(self.name, scale, degradation)
        prepare_evaluation(data, shape)
        return read_evaluation(data, shape)


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


def evaluate(upscaler: Upscaler, dataset: str, examples: Iterable[Example], *, protocol: Protocol) -> list[Score]:
    """Scores of every image under a protocol.

    Raises
    ------
    InputError : an image is too small to be measured; the network takes what the protocol does not have.
    """
    scores, scale = [], upscaler.scale
    for name, planes in track(examples, f"measuring {upscaler.subject.name} x{scale} on {dataset}"):
        _check_size(f"{dataset}/{name}", planes, scale, protocol)
        ours = protocol.scores(_estimate(upscaler, planes, protocol), planes, scale)
        bicubic = protocol.scores(protocol.admitted(planes.interpolated), planes, scale)
        values = ours | {BICUBIC + metric: value for metric, value in bicubic.items()}
        scores.append(Score(dataset, scale, name, protocol.name, values))
    return scores


def mean_psnr(upscaler: Upscaler, examples: Iterable[Example], *, protocol: Protocol) -> float:
    """Mean over images, in dB, of what `evaluate` would find: the quick look that a training log takes."""
    values = [
        protocol.scores(_estimate(upscaler, planes, protocol), planes, upscaler.scale, metrics=["psnr_db"])["psnr_db"]
        for _, planes in examples
    ]
    return sum(values) / len(values)


def _estimate(upscaler: Upscaler, planes: Planes, protocol: Protocol) -> Float32[ndarray, "H W *c"]:
    return upscaler.estimate(protocol.fed(planes, upscaler.takes))


def _check_size(name: str, planes: Planes, scale: int, protocol: Protocol) -> None:
    h, w = planes.reference.shape[:2]
    least = protocol.smallest_side(scale)
    if min(h, w) < least:
        msg = f"{name} was to be measured at x{scale}, but is {w}×{h}; {least}×{least} is the least."
        raise InputError(msg)
