"""Claims are carried out: a tiny one on demo photographs, from the first run to its verdict."""

from dataclasses import replace
from pathlib import Path

import pytest

from srrepro import claims as package
from srrepro.claims import suite
from srrepro.claims.claim import Claim, Comparison, Text, Trained, arm
from srrepro.claims.suite import CLAIMS
from srrepro.claims.variants import Adam, variant
from srrepro.data.registry import DataFolder
from srrepro.errors import InputError
from srrepro.hardware import Hardware
from srrepro.jobs import claims as jobs
from srrepro.jobs.job import Train, Workspace
from srrepro.models.recipe import SGD, Constant
from srrepro.models.srcnn import DEMO, SRCNN_915_DEMO
from srrepro.reporting import claims as rows
from srrepro.reporting import claims_page
from srrepro.reporting.audit import audit
from srrepro.reporting.evidence import folders, read
from srrepro.reporting.tables import write

TINY = replace(DEMO, backprops=64, batch=32, log_points=1)
WORDS = Text("words", "话")


def of_sgd(lr: float) -> Trained:
    training = replace(TINY, optimiser=SGD(momentum=0.9, weight_decay=0.0), schedule=Constant(lr=lr))
    return variant(SRCNN_915_DEMO, f"sgd-{lr:g}", training)


CLAIM = Claim(
    name="tiny",
    words=WORDS,
    question=WORDS,
    budget=WORDS,
    rule=WORDS,
    rows=(
        Comparison(
            name="row",
            statement=WORDS,
            claimed=arm("SGD", "SGD", of_sgd(1e-6), of_sgd(1e9)),
            other=arm("Adam", "Adam", variant(SRCNN_915_DEMO, "adam", replace(TINY, optimiser=Adam()))),
            condition=WORDS,
            bound_db=0.05,
            datasets=("demo-test",),
            seeds=(0, 1),
        ),
    ),
    answers=CLAIMS[0].answers,
    metrics=("psnr_db_edge",),
)


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for module in (suite, rows, claims_page, jobs):
        monkeypatch.setattr(module, "CLAIMS", (CLAIM,))
    suite.variants.cache_clear()
    yield Workspace(DataFolder(tmp_path / "data"), tmp_path / "results", Hardware(mode="eager"))
    monkeypatch.undo()
    suite.variants.cache_clear()


def test_a_claim_runs_from_its_grid_to_its_verdict(workspace: Workspace) -> None:
    """One rate of SGD is absurd: its run diverges and is kept as evidence, and the other one is the finalist."""
    attempts = jobs.run_claims([CLAIM], workspace, budget=1.0)
    assert [attempt.became for attempt in attempts] == ["done"] * 5
    found = {folder.name.rsplit("_", 1)[0]: read(folder) for folder in folders(workspace.results / "claims" / "runs")}
    assert set(found) == {
        *("srcnn-915-demo@sgd-1e-06_x3_s0", "srcnn-915-demo@sgd-1e-06_x3_s1", "srcnn-915-demo@sgd-1e+09_x3_s0"),
        *("srcnn-915-demo@adam_x3_s0", "srcnn-915-demo@adam_x3_s1"),
    }
    lost = found["srcnn-915-demo@sgd-1e+09_x3_s0"]
    assert lost.about["diverged"]["step"] == 2
    assert all("psnr_db_edge" in score.values for run in found.values() for score in run.scores)
    write(workspace.results, None)
    (one,) = rows.judged(rows.read(workspace.results))
    assert one.names == ("srcnn-915-demo@sgd-1e-06", "srcnn-915-demo@adam")
    assert one.verdict == "undecided"
    assert one.note == ("diverged in the grid: srcnn-915-demo@sgd-1e+09; no side is more than 0.05 dB above bicubic")
    assert not [problem for problem in audit(workspace.results, None) if "claims" in problem]
    again = jobs.run_claims([CLAIM], workspace, budget=1.0)
    assert {attempt.became for attempt in again} == {"there already"}

    with pytest.raises(InputError, match="has runs on cpu in float32, mode eager, and runs of one claim"):
        jobs.run_claims([CLAIM], replace(workspace, hardware=Hardware(precision="bfloat16")), budget=1.0)


def test_finalists_are_foreseen_for_a_plan_only() -> None:
    known = jobs.steps(CLAIM, rows.Found([], []), 1.0)
    foreseen = jobs.steps(CLAIM, rows.Found([], []), 1.0, foreseen=True)
    assert [step.seed for step in known if isinstance(step, Train)] == [0, 0, 0, 1]
    assert len(foreseen) == len(known) + 1


def test_a_claim_is_asked_for_by_its_name() -> None:
    assert jobs.named([]) == list(CLAIMS)
    assert [claim.name for claim in jobs.named(["colours", "padding"])] == ["padding", "colours"]
    with pytest.raises(InputError, match="There is no claim 'colors'. Did you mean colours?"):
        jobs.named(["colors"])


def test_every_step_of_every_claim_is_known_by_name() -> None:
    for claim in CLAIMS:
        for step in jobs.steps(claim, rows.Found([], []), 0.1, foreseen=True):
            if isinstance(step, Train):
                assert package.recipe(step.name).training is not None
                assert step.budget == (0.1 if "@" in step.name else 1.0)
