"""How a job is carried out where the command line does not show it: jobs that fail, the mode that is resumed in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from srrepro import hardware, models
from srrepro.data.registry import DataFolder
from srrepro.hardware import Hardware
from srrepro.jobs.carry_out import _as_before
from srrepro.jobs.executing import Suite, in_this_process
from srrepro.jobs.job import Measure, Workspace
from srrepro.training.run import Run


def test_a_job_that_fails_does_not_stop_the_others(pretend: Callable[..., DataFolder], tmp_path: Path) -> None:
    """In any order: a job depends on no other, and it is said what became of it."""
    folder = pretend({})
    workspace = Workspace(folder, tmp_path / "results")
    jobs = [Measure(name=name, scale=3, test_sets=("demo-test",)) for name in ("bicubic", "no-such-weights")]

    attempts = list(in_this_process(Suite(jobs[::-1], workspace)))
    assert [attempt.became for attempt in attempts] == ["failed", "failed"]  # there is no demo set either
    assert [attempt.name for attempt in attempts] == ["no-such-weights x3", "bicubic x3"]


@pytest.mark.parametrize(
    ("last", "compiler", "mode"),
    [
        ({"device": "cpu", "mode": "eager"}, True, "eager"),
        ({"device": "cpu", "mode": "native"}, True, "native"),
        ({"device": "cpu", "mode": "native"}, False, "eager"),
        ({"device": "cuda", "mode": "graph"}, True, "native"),
        ({"device": "cuda", "mode": "eager"}, True, "native"),  # the slow mode here
    ],
)
def test_a_run_resumes_in_the_mode_of_its_last_stretch_where_that_can_be_had(
    last: dict[str, Any], compiler: bool, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "_compiles", lambda: compiler)
    run = Run(recipe=models.recipe("srcnn-915"), scale=3, hardware=Hardware(precision="float32").settled())
    assert _as_before(run, last).hardware.mode == mode
