"""What the suites ask for can be carried out; how it is carried out is tested through the command line."""

import pytest

from srrepro import models
from srrepro.evaluation.protocol import PROTOCOLS
from srrepro.evaluation.weights import ships
from srrepro.suites import SUITES, Measure
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
