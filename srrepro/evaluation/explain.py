"""Why a number is what it is: one network or one folder of pictures, measured under every usual practice."""

import math
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from statistics import mean
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from srrepro.evaluation.measure import Estimate, Estimator, Photograph, check_values
from srrepro.evaluation.practices import ALONE, RIGHT, Practice, combined
from srrepro.progress import track
from srrepro.protocols.degradation import Degradation, Planes
from srrepro.protocols.protocol import Protocol, quantise

NEAR_DB = 0.02
"""Programs that do the same differ by less: the order of sums, the last digit of a coefficient."""
NEAR_SSIM = 0.0005


@dataclass(frozen=True)
class Finding:
    """What a practice gives: means over the images of the set. SSIM is None where it was not computed."""

    practice: Practice
    psnr_db: float
    ssim: float | None


class ZeroPadding(TorchFunctionMode):
    """Within it, what repeats the edge pads with zeros."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func is functional.pad and kwargs.get("mode") == "replicate":
            kwargs |= {"mode": "constant", "value": 0.0}
        return func(*args, **kwargs)


def findings(network: Estimator, photographs: Iterable[Photograph], protocol: Protocol, *, count: int) -> list[Finding]:
    """What the network scores under the protocol, under every practice alone, and under combinations.

    `count` is how many photographs there are.

    Raises
    ------
    InputError : the network does not take what the protocol has.
    """
    practices = [RIGHT, *ALONE, *combined()]
    sums: dict[str, list[tuple[float, float | None]]] = {practice.name: [] for practice in practices}
    shown = track(photographs, f"{network.subject.name} under {len(practices)} practices", total=count)
    for name, photograph in shown:
        one = Image(network, name, photograph)
        for practice in practices:
            sums[practice.name].append(one.scores(practice, protocol))
    return [mean_of(practice, sums[practice.name]) for practice in practices]


def told(found: Sequence[Finding], reported_db: float | None) -> str:
    """What is likeliest, in words; of what changes nothing here, nothing."""
    right = found[0]
    if reported_db is None:
        return f"The protocol gives {right.psnr_db:.3f} dB. Give --reported for what explains another number."
    off = abs(right.psnr_db - reported_db)
    if off <= NEAR_DB:
        return f"{reported_db:g} dB is what the protocol gives ({right.psnr_db:.3f}): nothing is off."
    others = [one for one in found[1:] if abs(one.psnr_db - right.psnr_db) > 1e-6 and one.practice.axis != "ssim"]
    near = [one for one in others if _apart(one, reported_db) <= NEAR_DB]
    if not near:
        closest = min(others, key=lambda one: _apart(one, reported_db))
        return (
            f"None of {len(others)} practices explains {reported_db:g} dB. The nearest, {closest.practice.name}, gives "
            f"{closest.psnr_db:.3f}. If images and measurement are yours, look at the network and its training."
        )
    near.sort(key=lambda one: _order(one, reported_db))
    best = near[0]
    sentence = f"Likeliest: {best.practice.name}, which gives {best.psnr_db:.3f} dB. {best.practice.advice}"
    if best.practice.parts > 1:
        sentence += f" {len(others)} practices were tried: a combination may be near by chance."
    if near[1:]:
        sentence += f" As near: {'; '.join(one.practice.name for one in near[1:3])}."
    return sentence


def told_of_ssim(found: Sequence[Finding], reported_ssim: float) -> str:
    """The same for an SSIM, of practices alone."""
    right, *others = [one for one in found if one.ssim is not None]
    off = {one.practice.name: abs((one.ssim or 0) - reported_ssim) for one in (right, *others)}
    if off[right.practice.name] <= NEAR_SSIM:
        return f"An SSIM of {reported_ssim:g} is what the protocol gives ({right.ssim:.4f})."
    best = min(others, key=lambda one: off[one.practice.name])
    if off[best.practice.name] > NEAR_SSIM:
        return f"No practice alone explains an SSIM of {reported_ssim:g}; {best.practice.name} gives {best.ssim:.4f}."
    return f"The SSIM is explained by this: {best.practice.name}, which gives {best.ssim:.4f}. {best.practice.advice}"


def _apart(finding: Finding, reported_db: float) -> float:
    return abs(finding.psnr_db - reported_db)


def _order(finding: Finding, reported_db: float) -> tuple[int, float]:
    """The simplest first: what one slip explains needs no two."""
    return finding.practice.parts, _apart(finding, reported_db)


Scores = tuple[float, float | None]


class Image:
    """A photograph and what has been made of it so far: estimates are shared by the practices that are fed the same."""

    def __init__(self, network: Estimator, name: str, photograph: UInt8[ndarray, "h w *c"]) -> None:
        self.network = network
        self.name = name
        self.photograph = photograph
        self.degraded: dict[tuple[Degradation, bool], Planes] = {}
        self.estimates: dict[tuple[bool, tuple[int, ...], bytes], Estimate] = {}

    def scores(self, practice: Practice, protocol: Protocol) -> Scores:
        """PSNR and, for a practice alone, SSIM."""
        scale = self.network.scale
        by = practice.of(protocol, scale)
        planes = self.planes(by.degradation, practice.swapped)
        estimate = self.estimate(by.fed(planes, self.network.takes), practice.zeros)
        if practice.against_interpolated:
            planes = planes._replace(reference=quantise(planes.interpolated))
        metrics = list(by.metrics) if practice.parts == 1 else ["psnr_db"]
        found = by.scores(estimate, planes, scale, metrics=metrics)
        return found["psnr_db"], found.get(by.similarity)

    def planes(self, how: Degradation, swapped: bool) -> Planes:
        if (how, swapped) not in self.degraded:
            photograph = self.photograph
            if swapped and photograph.ndim == 3:
                photograph = np.ascontiguousarray(photograph[..., ::-1])
            self.degraded[how, swapped] = how(photograph, self.network.scale)
        return self.degraded[how, swapped]

    def estimate(self, fed: Float32[ndarray, "h w *c"], zeros: bool) -> Estimate:
        key = zeros, fed.shape, fed.tobytes()
        if key not in self.estimates:
            with ZeroPadding() if zeros else nullcontext():
                self.estimates[key] = self.network.estimate(fed)
            check_values(self.name, self.estimates[key])
        return self.estimates[key]


def mean_of(practice: Practice, scores: Sequence[Scores]) -> Finding:
    psnrs, ssims = [psnr_db for psnr_db, _ in scores], [ssim for _, ssim in scores if ssim is not None]
    psnr_db = mean(psnrs)
    if practice.pooled:
        psnr_db = -10 * math.log10(mean(10 ** (-each / 10) for each in psnrs))
    return Finding(practice, psnr_db, mean(ssims) if ssims else None)
