"""What the suites ask for can be carried out; how it is carried out is tested through the command line."""

import pytest

from srrepro import models
from srrepro.errors import InputError
from srrepro.evaluation.weights import ships
from srrepro.jobs import plan
from srrepro.jobs.job import Measure, Train, title_of
from srrepro.jobs.suites import SUITES, sweep
from srrepro.protocols.named import VDSR_Y
from srrepro.training.run import Run


@pytest.mark.parametrize("suite", SUITES)
def test_every_job_of_a_suite_can_be_carried_out(suite: str) -> None:
    jobs = list(SUITES[suite]())
    assert jobs
    assert len(set(jobs)) == len(jobs)
    for job in jobs:
        if isinstance(job, Measure):
            files = models.authors()[job.name].files if job.name in models.authors() else ()
            assert job.name == "bicubic" or job.scale in files or ships(job.name, job.scale)
        else:
            Run(recipe=models.recipe(job.name), scale=job.scale, seed=job.seed, budget=job.budget)


def test_every_measurement_has_a_folder_of_its_own() -> None:
    jobs = [job for job in SUITES["t91"]() if isinstance(job, Measure)]
    assert len({job.folder for job in jobs}) == len(jobs)
    assert Measure(name="bicubic", scale=3).folder == "bicubic_x3"
    assert Measure(name="vdsr-authors", scale=2, protocol=VDSR_Y).folder == "vdsr-authors_x2_vdsr-y-v1"


def test_the_papers_budgets_are_not_shortened() -> None:
    jobs = [job for job in SUITES["paper"]() if not isinstance(job, Measure)]
    assert {job.budget for job in jobs} == {1.0}
    assert {job.seed for job in jobs if job.name == "vdsr-t91"} == {0, 1, 2}
    assert {job.scale for job in jobs if job.name == "srcnn-915"} == {2, 3, 4}


def test_a_sweep_is_a_list() -> None:
    jobs = sweep(["srcnn-915-quick", "vdsr-t91", "bicubic", "srcnn-955-authors-imagenet"], (2, 3), (0, 1))
    trained = [(job.name, job.scale, job.seed) for job in jobs if isinstance(job, Train)]
    assert trained == [
        *(("srcnn-915-quick", scale, seed) for scale in (2, 3) for seed in (0, 1)),
        *(("vdsr-t91", None, seed) for seed in (0, 1)),  # one network serves all scales
    ]
    measured = [(job.name, job.scale) for job in jobs if isinstance(job, Measure)]
    assert measured == [(name, scale) for name in ("bicubic", "srcnn-955-authors-imagenet") for scale in (2, 3)]
    under = sweep(["vdsr-authors"], (3,), (0,), ["matlab-y-v1", "vdsr-y-v1"])
    assert [job.protocol.name for job in under if isinstance(job, Measure)] == ["matlab-y-v1", "vdsr-y-v1"]


@pytest.mark.parametrize(
    ("names", "scales", "protocols", "message"),
    [
        (["srcnn-95"], (3,), (), "Did you mean"),
        (["srcnn-915-authors-imagenet"], (2,), (), "has none of these"),
        (["srcnn-915"], (3,), ["vdsr-y-v1"], "Leave out --protocols"),
    ],
)
def test_a_sweep_of_nothing_is_refused(
    names: list[str], scales: tuple[int, ...], protocols: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        sweep(names, scales, (0,), protocols)


@pytest.mark.parametrize("suite", SUITES)
def test_every_job_of_a_suite_has_a_title_of_its_own(suite: str) -> None:
    jobs = list(SUITES[suite]())
    assert len(set(map(title_of, jobs))) == len(jobs)


def test_a_plan_fits_80_columns() -> None:
    jobs = list(SUITES["t91"]())
    lacks = ("BSDS200", "Urban100", "weights-fsrcnn", "12 stores")
    planned = [
        plan.Planned(title=title_of(job), state="123,456,789 of 800,000,000 backprops", lacks=lacks, seconds=1e6,
                     source="measured now")
        for job in jobs
    ]  # fmt: skip
    text = plan.table(planned)
    assert max(map(len, text.splitlines())) <= 80
    assert "weights-fsrcnn," in text
