"""From made-up run folders to verdicts: what is lacking, what diverged, what never left bicubic, who is a finalist."""

from collections.abc import Callable
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from srrepro.claims.claim import Candidate, Comparison, Trained
from srrepro.claims.srcnn import BATCHED, BY, LAST_RECTIFIER, OPTIMISED, T91
from srrepro.claims.srcnn import DATA as ON_DATA
from srrepro.claims.suite import CLAIMS
from srrepro.claims.vdsr import NOTES
from srrepro.evaluation.measure import Score
from srrepro.evaluation.weights import of_authors, of_run
from srrepro.models import authors
from srrepro.models.recipe import described
from srrepro.reporting import claims_page
from srrepro.reporting.audit import audit
from srrepro.reporting.claims import COLUMNS, Found, Judged, _of_one_mode, answer, frame, judged, judged_row
from srrepro.reporting.evidence import Evidence, write
from srrepro.reporting.tables import write as report

CLAIM = CLAIMS[0]
BICUBIC = 30.0
IMAGES = [("Set5", name) for name in "abcde"] + [("Set14", name) for name in "fghij"]
WAY = {"device": "cpu", "precision": "float32", "mode": "native"}


def run_of(candidate: Candidate, seed: int, gain: float, *, val20: float = 28.0, **about: Any) -> Evidence:
    """A run whose images are all so many dB above bicubic, give or take a little that all runs share."""
    gains = gain + np.linspace(-0.01, 0.01, len(IMAGES))
    values = [{"psnr_db": BICUBIC + one, "bicubic_psnr_db": BICUBIC} for one in gains]
    scores = [Score(d, 3, i, "matlab-y-v1", each) for (d, i), each in zip(IMAGES, values, strict=True)]
    if not isinstance(candidate, Trained):
        return Evidence(candidate.name, of_authors(authors()[candidate.weights], 3), WAY | about, scores)
    log = [
        {"backprops": 100 * point, "step": point, "val20_psnr_db": val20, "Set5_psnr_db": BICUBIC + gain * point / 2}
        for point in (1, 2)
    ]
    about = WAY | {"recipe": described(candidate.recipe)} | about
    subject = of_run(candidate.recipe, candidate.scale, seed, 1.0)
    return Evidence(f"{candidate.name}_s{seed}", subject, about, scores, log)


def seeds_of(candidate: Candidate, *gains: float, **about: Any) -> list[Evidence]:
    return [run_of(candidate, seed, gain, **about) for seed, gain in enumerate(gains)]


PLAIN, RECTIFIED = LAST_RECTIFIER.claimed.candidates[0], LAST_RECTIFIER.arms[1].candidates[0]


def said(*runs: Evidence, row: Comparison = LAST_RECTIFIER, seconds: pd.DataFrame | None = None) -> Judged:
    return judged_row(CLAIM, row, Found([], runs, seconds))


@pytest.mark.parametrize(
    ("without", "rectified", "verdict"),
    [
        ((1.0, 1.0, 1.0), (0.5, 0.5, 0.5), "holds"),
        ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0), "does not hold"),  # not by more than the bound
        ((1.0, 1.0, 0.5), (0.5, 0.5, 0.5), "undecided"),  # one seed of three says otherwise
        ((-1.0, -1.0, -1.0), (-2.0, -2.0, -2.0), "undecided"),  # neither has left bicubic
    ],
)
def test_a_row_is_decided_by_all_seeds_of_runs_that_have_left_bicubic(
    without: tuple[float, ...], rectified: tuple[float, ...], verdict: str
) -> None:
    one = said(*seeds_of(PLAIN, *without), *seeds_of(RECTIFIED, *rectified))
    assert one.verdict == verdict
    assert one.estimate is not None
    assert one.estimate.by_seed == pytest.approx(np.subtract(without, rectified))
    assert len(one.runs) == 6
    assert ("above bicubic" in one.note) == (max(without) < 0)


def test_a_row_without_all_of_its_runs_names_the_first_that_is_lacking() -> None:
    one = said(*seeds_of(PLAIN, 1.0, 1.0, 1.0), *seeds_of(RECTIFIED, 0.5, 0.5))
    assert (one.verdict, one.estimate) == ("undecided", None)
    assert one.note == "not run yet: srcnn-915-quick@rectified seed 2"


def test_what_diverges_loses_and_says_at_which_step() -> None:
    lost = [replace(run, scores=[replace(s, values=s.values | {"psnr_db": nan}) for s in run.scores])
            for run in seeds_of(RECTIFIED, 0.0, 0.0, 0.0, diverged={"step": 7, "message": "no number"})]  # fmt: skip
    one = said(*seeds_of(PLAIN, 1.0, 1.0, 1.0), *lost)
    assert (one.verdict, one.estimate) == ("holds", None)
    assert "srcnn-915-quick@rectified seed 2 diverged at step 7" in one.note
    one = said(*seeds_of(PLAIN, 1.0, 1.0, 1.0), *lost[:2], run_of(RECTIFIED, 2, 0.5))
    assert one.verdict == "undecided"


def grid(*, best: int, gain: float, name: str) -> list[Evidence]:
    candidates = BY[name].candidates
    runs = [
        run_of(each, 0, 9.0, val20=28.0 + (place == best)) for place, each in enumerate(candidates) if place != best
    ]
    return [*runs, *(run_of(candidates[best], seed, gain, val20=29.0) for seed in (0, 1, 2))]


def test_val20_chooses_among_a_grid_and_no_test_set_does() -> None:
    """The others of the grid are 9 dB above bicubic on the test sets, and are not chosen."""
    row = OPTIMISED[0]
    one = said(*grid(best=1, gain=1.0, name="SGD"), *grid(best=2, gain=2.0, name="Adam"), row=row)
    assert one.names == ("srcnn-915-quick@sgd-0.0001", "srcnn-915-quick@adam-0.003")
    assert one.verdict == "does not hold"
    assert one.note == "srcnn-915-quick@adam-0.003 is at the end of its grid"
    assert len(one.runs) == 10  # those that were not chosen are evidence of the choice


def test_a_grid_that_is_not_complete_chooses_nothing() -> None:
    one = said(*grid(best=1, gain=1.0, name="SGD")[1:], *grid(best=2, gain=2.0, name="Adam"), row=OPTIMISED[0])
    assert one.note == "not run yet: srcnn-915-quick@sgd-3e-05 seed 0"


def test_equal_seconds_are_read_off_the_curves() -> None:
    """Batches of 16 have had half of their samples when those of 32 have had all: 1 dB of 2 beside 1.5 dB."""
    row = next(row for row in BATCHED if row.name == "32-seconds")
    seconds = pd.DataFrame({"batch": [16, 32], "samples_per_core_second": [50.0, 100.0]})
    runs = []
    for side, gain in ((row.claimed, 2.0), (row.arms[1], 1.5)):
        runs += [run_of(each, 0, gain, val20=20.0) for each in side.candidates[1:]]
        runs += [run_of(side.candidates[0], seed, gain, val20=21.0) for seed in (0, 1, 2)]
    one = said(*runs, row=row, seconds=seconds)
    assert one.estimate is not None
    assert (one.estimate.value, one.verdict) == (pytest.approx(-0.5), "does not hold")
    assert said(*runs, row=row).note == "not run yet: claims/batch-seconds.csv"


def test_nine_tenths_of_the_gain_are_the_bound() -> None:
    row = ON_DATA[0]
    for gain, verdict in ((1.95, "holds"), (1.7, "does not hold")):
        imagenet = run_of(row.arms[1].candidates[0], 0, 2.0)
        one = judged_row(CLAIM, row, Found([run_of(T91, 0, gain), imagenet], []))
        assert (one.threshold_db, one.verdict) == (pytest.approx(-0.2, abs=0.002), verdict)


def test_runs_of_a_claim_in_two_modes_decide_nothing() -> None:
    runs = [*seeds_of(PLAIN, 1.0, 1.0, 1.0), *seeds_of(RECTIFIED, 0.5, 0.5, 0.5, mode="eager")]
    (one,) = _of_one_mode([said(*runs)], Found([], runs))
    assert one.verdict == "undecided"
    assert one.note.endswith("made in one way, but these are cpu float32 eager, cpu float32 native")


def test_the_largest_budget_that_is_complete_counts() -> None:
    runs = [*seeds_of(PLAIN, 1.0, 1.0, 1.0), *seeds_of(RECTIFIED, 0.5, 0.5, 0.5)]
    short = [replace(run, subject=replace(run.subject, budget=0.1)) for run in runs]
    assert said(*short, *runs[:3]).budget == 0.1
    assert said(*short, *runs).budget == 1.0


@pytest.mark.parametrize(("moved", "verdict"), [(1e-12, "holds"), (1e-3, "does not hold")])
def test_a_gradient_vanishes_where_float32_cannot_add_it(moved: float, verdict: str) -> None:
    row = next(row for claim in CLAIMS for row in claim.rows if row.name == "vanishes")
    table = pd.DataFrame({"variant": [NOTES.name], "lr": [0.1], "gradient_norm": [moved], "weight_norm": [4.6]})
    assert judged_row(CLAIM, row, Found([], [], None, table)).verdict == verdict
    assert judged_row(CLAIM, row, Found([], [])).note == "not run yet: vdsr-notes@short in claims/gradients.csv"


def test_a_claim_holds_where_all_of_its_main_rows_do() -> None:
    one = said(*seeds_of(PLAIN, 1.0, 1.0, 1.0), *seeds_of(RECTIFIED, 0.5, 0.5, 0.5))
    other = replace(one, verdict="does not hold")
    beside = replace(other, row=replace(LAST_RECTIFIER, main=False))
    assert answer([one, one, beside]) == "holds"
    assert answer([one, other]) == "in part"
    assert answer([one, replace(one, verdict="undecided")]) == "undecided"


def test_every_row_stands_in_the_table_and_every_claim_on_the_page() -> None:
    rows = judged(Found([], []))
    table = frame(rows)
    assert list(table.columns) == COLUMNS
    assert set(table["verdict"]) == {"undecided"}
    assert table["note"].str.startswith("not run yet").all()
    text = claims_page.page(rows, Found([], []))
    for claim in CLAIMS:
        assert f"{claim.words.en} · {claim.words.zh}" in text
        assert claim.answers["undecided"].zh in text


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two measurements of released weights, made up, and what is generated from them."""
    results = tmp_path / "results"
    for one in (ON_DATA[0].claimed.candidates[0], ON_DATA[0].arms[1].candidates[0]):
        run = run_of(one, 0, 2.0)
        whole = [replace(score, values=score.values | {"ssim": 0.9, "bicubic_ssim": 0.8}) for score in run.scores]
        write(results / "runs", f"{one.name}_x3", run.subject, whole, about={})
    (results / "claims").mkdir()
    report(results, None)
    return results


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a verdict": (lambda r: edit(r / "claims.csv", "holds", "does not hold"), "claims.csv differs from its sources"),
    "an answer": (lambda r: edit(r / "claims.md", "成立", "不成立"), "claims.md differs from its sources"),
    "no page": (lambda r: (r / "claims.md").unlink(), "claims.md differs from its sources"),
}


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize("what", DAMAGE)
def test_the_audit_covers_the_claims(what: str, results: Path) -> None:
    assert not [problem for problem in audit(results, None) if "claims" in problem]
    damage, problem = DAMAGE[what]
    damage(results)
    assert any(problem in found for found in audit(results, None))
