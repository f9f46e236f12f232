"""The suite of claims is whole: nine of them, each with its rule, its budget and its answers in two languages."""

import re
from dataclasses import fields
from pathlib import Path
from typing import get_args

import pytest

from srrepro import claims, models
from srrepro.claims.claim import Answer, Claim, Comparison, Text, Trained, Weights
from srrepro.claims.suite import CLAIMS, candidates, metrics_of, sets_of, variants
from srrepro.errors import InputError
from srrepro.evaluation.weights import ships
from srrepro.pixels.metrics import METRICS
from srrepro.training.run import Run

HAN = re.compile(r"[\u4e00-\u9fff]")


def texts(claim: Claim) -> list[Text]:
    own = [getattr(claim, field.name) for field in fields(claim)]
    of_rows = [text for row in claim.rows for text in (row.statement, row.condition)]
    arms = [arm.name for row in claim.comparisons for arm in row.arms]
    return [text for text in (*own, *claim.answers.values(), *of_rows, *arms) if isinstance(text, Text)]


def test_there_is_a_claim_for_every_point_of_the_notes() -> None:
    assert [claim.name for claim in CLAIMS] == [
        *("training-set", "padding", "layer-rates", "optimiser", "batches", "colours", "last-rectifier"),
        *("vdsr-hard", "mean-shift"),
    ]


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_a_claim_says_all_in_two_languages_before_it_runs(claim: Claim) -> None:
    for text in texts(claim):
        assert text.en
        assert not HAN.search(text.en)
        assert HAN.search(text.zh) or text.zh == "RGB"
    assert set(claim.answers) == set(get_args(Answer))
    assert all(verdict in claim.rule.en for verdict in ("holds", "does not hold", "undecided"))
    assert any(row.main for row in claim.rows)
    assert len({row.name for row in claim.rows}) == len(claim.rows)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.name)
def test_what_is_chosen_is_chosen_on_val20_and_compared_on_other_images(claim: Claim) -> None:
    for row in claim.comparisons:
        assert row.metric in METRICS
        for arm in row.arms:
            chosen = [one for one in arm.candidates if isinstance(one, Trained)] if len(arm.candidates) > 1 else []
            for one in chosen:
                assert one.recipe.training is not None
                assert one.recipe.training.validation == "val20"
                assert "val20" not in row.datasets
            if any(isinstance(one, Trained) for one in arm.candidates):
                assert row.seeds == (0, 1, 2)


@pytest.mark.parametrize("name", variants())
def test_every_variant_can_be_trained_and_is_no_recipe(name: str) -> None:
    one = variants()[name]
    run = Run(recipe=claims.recipe(name), scale=one.scale)
    assert name not in models.recipes()
    assert name.split("@")[0] in models.recipes()
    assert not run.recipe.of_the_paper
    assert sets_of(name)
    assert {"psnr_db"} <= METRICS.keys()
    assert set(metrics_of(name)) <= METRICS.keys()


def test_weights_that_are_measured_are_there() -> None:
    for one in {one for claim in CLAIMS for one in candidates(claim) if isinstance(one, Weights)}:
        known = models.authors().get(one.weights)
        assert one.scale in known.files if known else ships(one.weights, one.scale)
        assert one.is_variant == (one.network is not None)


def test_sides_of_a_row_differ() -> None:
    for row in [row for claim in CLAIMS for row in claim.comparisons]:
        assert row.other is None or not set(row.claimed.candidates) & set(row.other.candidates)
        assert isinstance(row, Comparison)


def test_a_paper_s_recipe_is_found_beside_the_variants() -> None:
    assert claims.recipe("srcnn-915") is models.recipe("srcnn-915")
    with pytest.raises(InputError, match="There is no recipe 'srcnn-915@x'"):
        claims.recipe("srcnn-915@x")


def test_numbers_of_ours_say_why() -> None:
    """Budgets, grids and bounds: a line that sets one in capitals explains it."""
    for name in ("claim", "srcnn", "vdsr", "variants"):
        source = Path(claims.__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
        for line in re.findall(r"^[A-Z_]+ = \(?[0-9].*$", source, re.MULTILINE):
            assert "# ours: " in line or "OPTIMISED" in line or line.endswith("("), line
