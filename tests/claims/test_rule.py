"""The decision of a claim: a paired difference, its interval, and what seeds that disagree do to it."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap

from srrepro.claims.rule import Estimate, over_images, over_seeds, verdict, verdict_of_diverged


def test_a_difference_that_all_images_share_has_no_width() -> None:
    found = over_images(np.full((3, 5), 0.25))
    assert (found.value, found.low, found.high, found.by_seed) == (0.25, 0.25, 0.25, (0.25, 0.25, 0.25))


def test_the_interval_is_the_percentile_bootstrap_over_images() -> None:
    each = np.array([0.1, 0.3, -0.2, 0.4, 0.0, 0.6, 0.2])
    found = over_images(each[None])
    other = bootstrap((each,), np.mean, n_resamples=10_000, method="percentile", rng=np.random.default_rng(1))
    assert found.value == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx(tuple(other.confidence_interval), abs=0.02)
    assert over_images(each[None]) == found  # the same numbers, the same interval


def test_two_images_have_the_interval_that_can_be_counted() -> None:
    """Resamples of 0 and 1 have the means 0, 0.5 and 1 in shares of 1/4, 1/2, 1/4: 2.5 % are below none of them."""
    found = over_images(np.array([[0.0, 1.0]]))
    assert (found.low, found.high) == (0.0, 1.0)


def test_images_are_resampled_after_the_mean_over_seeds() -> None:
    found = over_images(np.array([[0.0, 1.0], [1.0, 0.0]]))
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)


def test_seeds_alone_have_students_interval() -> None:
    found = over_seeds(np.array([0.1, 0.2, 0.3]))
    assert found.value == pytest.approx(0.2)
    assert found.high - found.value == pytest.approx(4.3027 * 0.1 / math.sqrt(3), abs=1e-4)
    assert over_seeds(np.array([0.2])).low == -math.inf


@pytest.mark.parametrize(
    ("low", "high", "by_seed", "said"),
    [
        (0.06, 0.2, (0.1, 0.1, 0.1), "holds"),
        (0.05, 0.2, (0.1, 0.1, 0.1), "undecided"),  # at the bound is not above it
        (-0.1, 0.04, (0.0, 0.0, 0.0), "does not hold"),
        (-0.1, 0.05, (0.0, 0.0, 0.0), "undecided"),
        (0.0, 0.2, (0.1, 0.1, 0.1), "undecided"),
        (0.06, 0.2, (0.2, 0.2, 0.04), "undecided"),  # three seeds that disagree
        (-0.2, -0.1, (-0.3, -0.3, 0.1), "undecided"),
    ],
)
def test_all_must_be_on_one_side_of_the_bound(low: float, high: float, by_seed: tuple[float, ...], said: str) -> None:
    assert verdict(Estimate((low + high) / 2, low, high, by_seed), 0.05) == said


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=9), st.floats(-0.5, 0.5))
def test_no_estimate_holds_and_fails(values: list[float], threshold: float) -> None:
    found = over_images(np.array([values]))
    assert found.low <= found.high
    if verdict(found, threshold) == "holds":
        assert verdict(found, threshold + 3) == "does not hold"


@pytest.mark.parametrize(
    ("claimed", "other", "said"),
    [
        ((False,) * 3, (True,) * 3, "holds"),
        ((True,) * 3, (False,) * 3, "does not hold"),
        ((False,) * 3, (True, True, False), "undecided"),
        ((True,) * 3, (True,) * 3, "undecided"),
    ],
)
def test_what_diverges_with_every_seed_loses(claimed: tuple[bool, ...], other: tuple[bool, ...], said: str) -> None:
    assert verdict_of_diverged(claimed, other) == said
