"""What the suites ask for can be carried out; how it is carried out is tested through the command line."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skimage.data

from srrepro import models
from srrepro.data.registry import DataFolder, sha256_of
from srrepro.evaluation import weights
from srrepro.evaluation.protocol import PROTOCOLS
from srrepro.evaluation.weights import shipped, ships
from srrepro.reporting import evidence
from srrepro.reporting.tables import quality
from srrepro.suites import SUITES, Measure, Train, Workshop, carry_out
from srrepro.training.loop import Run


@pytest.mark.parametrize("suite", SUITES)
def test_every_job_of_a_suite_can_be_carried_out(suite: str) -> None:
    jobs = list(SUITES[suite]())
    assert jobs
    assert len(set(jobs)) == len(jobs)
    for job in jobs:
        if isinstance(job, Measure):
            released = models.authors().get(job.name)
            assert job.name == "bicubic" or ships(job.name, job.scale) or (released and job.scale in released.files)
            assert job.protocol in PROTOCOLS
        else:
            Run(recipe=models.recipe(job.name), scale=job.scale, seed=job.seed, budget=job.budget)


def test_the_papers_budgets_are_not_shortened() -> None:
    jobs = [job for job in SUITES["paper"]() if not isinstance(job, Measure)]
    assert {job.budget for job in jobs} == {1.0}
    assert {job.seed for job in jobs if job.name == "vdsr-t91"} == {0, 1, 2}
    assert {job.scale for job in jobs if job.name == "srcnn-915"} == {2, 3, 4}


def test_another_protocol_has_a_folder_of_its_own() -> None:
    assert Measure(name="vdsr-authors", scale=2).folder == "vdsr-authors_x2"
    assert Measure(name="vdsr-authors", scale=2, protocol="vdsr-y-v1").folder == "vdsr-authors_x2_vdsr-y-v1"
    folders = [job.folder for job in SUITES["t91"]() if isinstance(job, Measure)]
    assert len(set(folders)) == len(folders)
    assert {f"{name}_x{scale}_vdsr-y-v1" for name in ("bicubic", "vdsr-authors") for scale in (2, 3, 4)} <= {*folders}


def test_weights_that_ship_are_measured_with_the_name_of_their_run(
    pretend: Callable[..., DataFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Workshop(pretend({"demo-test": {"c.png": skimage.data.coffee()[100:140, 200:245]}}), tmp_path / "results")
    job = Measure(name="srcnn-915-quick", scale=3, test_sets=("demo-test",), protocol="vdsr-y-v1")
    sha256 = sha256_of(shipped("srcnn-915-quick", 3))
    alone, _ = carry_out(job, shop)
    assert alone.name == "srcnn-915-quick_x3_vdsr-y-v1"
    run = evidence.read(alone)
    assert (run.about["weights_sha256"], run.about["weights_of"], run.about["precision"]) == (sha256, None, "float32")
    assert {score.protocol for score in run.scores} == {"vdsr-y-v1"}
    assert (run.subject.origin, run.subject.seed, run.subject.budget) == ("trained", 0, 1.0)

    shutil.rmtree(alone)
    log = [{"backprops": 1, "seconds": 1.0}]
    for name, about in (("another", {"weights_sha256": "0" * 64}), ("its-run", {"weights_sha256": sha256})):
        evidence.write(shop.runs, name, run.subject, run.scores, about=about, log=log)
    monkeypatch.setattr(weights, "IN_BFLOAT16", {"srcnn-915-quick"})
    kept, _ = carry_out(job, shop)
    again = evidence.read(kept)
    assert (again.about["weights_of"], again.about["precision"]) == ("its-run", "bfloat16")
    row = quality([again]).iloc[0]
    assert (row["origin"], row["budget"], row["seeds"], row["note"].split("; ")[-1]) == (
        "trained", 1.0, 1, "trained in bfloat16",
    )  # fmt: skip


def test_a_recipe_is_measured_and_logged_under_its_own_protocol(
    pretend: Callable[..., DataFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    squares = np.kron(np.indices((4, 4)).sum(0) % 2, np.ones((15, 15))).astype(np.uint8) * 255
    photograph = skimage.data.camera()[40:160, 200:320]
    shop = Workshop(
        pretend({"demo-train": {"a.png": photograph}, "demo-test": {"c.png": squares}}), tmp_path / "results"
    )
    usual = models.recipe("srcnn-915-demo")
    assert usual.training
    clamped = replace(usual, training=replace(usual.training, protocol="vdsr-y-v1"))
    runs = []
    for recipe in (usual, clamped):
        monkeypatch.setattr(models, "recipe", lambda name, recipe=recipe: recipe)
        kept, _ = carry_out(Train(name=recipe.name, scale=3, budget=160 / 60_000, test_sets=("demo-test",)), shop)
        runs.append(evidence.read(kept))
    for run, expected in zip(runs, PROTOCOLS, strict=True):
        (score,) = run.scores
        assert score.protocol == expected
        assert run.log[-1]["demo-test_psnr_db"] == pytest.approx(score.psnr_db, abs=1e-6)
    assert runs[0].name != runs[1].name
    assert abs(runs[0].scores[0].bicubic_psnr_db - runs[1].scores[0].bicubic_psnr_db) > 0.1
