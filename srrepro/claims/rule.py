"""The decision: a paired difference with its interval, and what it says of a threshold that was set beforehand."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy import ndarray
from scipy.special import stdtrit  # scipy.stats has it, too, and takes half a second to import

from srrepro.claims.claim import Verdict

RESAMPLES = 10_000
COVERAGE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A difference in dB with its 95 % interval, and the difference that each seed alone has."""

    value: float
    low: float
    high: float
    by_seed: tuple[float, ...]


def over_images(differences: Float[ndarray, "seeds images"]) -> Estimate:
    """The mean difference of the images; the interval is a paired bootstrap over them, of the mean over the seeds.

    The resamples are drawn from a fixed seed, so the same numbers give the same interval.
    """
    each = differences.mean(axis=0)
    chosen = np.random.default_rng(0).integers(len(each), size=(RESAMPLES, len(each)))
    low, high = np.quantile(each[chosen].mean(axis=1), [(1 - COVERAGE) / 2, (1 + COVERAGE) / 2])
    return Estimate(float(each.mean()), float(low), float(high), tuple(map(float, differences.mean(axis=1))))


def over_seeds(differences: Float[ndarray, " seeds"]) -> Estimate:
    """The mean difference of the seeds, with Student's interval: where there is one number a seed and none an image."""
    value = float(differences.mean())
    half = math.inf
    if len(differences) > 1:
        spread = float(differences.std(ddof=1)) / math.sqrt(len(differences))
        half = float(stdtrit(len(differences) - 1, (1 + COVERAGE) / 2)) * spread
    return Estimate(value, value - half, value + half, tuple(map(float, differences)))


def verdict(estimate: Estimate, threshold_db: float) -> Verdict:
    """`holds` where the interval and every seed are above the threshold, `does not hold` where all are below it."""
    if estimate.low > threshold_db and min(estimate.by_seed) > threshold_db:
        return "holds"
    if estimate.high < threshold_db and max(estimate.by_seed) < threshold_db:
        return "does not hold"
    return "undecided"


def verdict_of_diverged(claimed: tuple[bool, ...], other: tuple[bool, ...]) -> Verdict:
    """Where something diverged: a side whose seeds all did loses to one of which none did; else nothing is decided."""
    if all(other) and not any(claimed):
        return "holds"
    if all(claimed) and not any(other):
        return "does not hold"
    return "undecided"
