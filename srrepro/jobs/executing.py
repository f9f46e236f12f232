"""A suite is carried out: what becomes of each of its jobs, and who does the work."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from srrepro.errors import Diverged, InputError, OutOfTime, Stopped, is_out_of_memory, out_of_memory
from srrepro.jobs.carry_out import carry_out, evidence_there
from srrepro.jobs.job import Job, Workspace, title_of
from srrepro.progress import in_words, say

Became = Literal["done", "there already", "failed", "unfinished", "not begun"]


@dataclass(frozen=True)
class Attempt:
    """What became of a job, and the `words` for it; `name` is its run folder's, or the job's title if it has none."""

    became: Became
    name: str
    words: str = ""


@dataclass(frozen=True)
class Suite:
    """Jobs that depend on each other in nothing, and where their evidence goes.

    `force` repeats those that have it. `seconds` is what each is expected to take, None where that is unknown.
    """

    jobs: Sequence[Job]
    workspace: Workspace
    force: bool = False
    seconds: Sequence[float | None] = ()

    def left(self, number: int) -> str:
        """How long the jobs from that one on will take, in words, where it is known."""
        after = self.seconds[number:]
        known = [each for each in after if each is not None]
        return f", about {in_words(sum(known))} left" if known and len(known) == len(after) and sum(known) else ""


Executor = Callable[[Suite], Iterator[Attempt]]
"""Carries out the jobs of a suite, in any order and anywhere, and gives what became of each. It says so, too.

Raises
------
Stopped : SIGINT or SIGTERM came.
"""


def in_this_process(suite: Suite) -> Iterator[Attempt]:
    """One job after the other; one that fails does not stop the others."""
    for number, job in enumerate(suite.jobs):
        if not suite.workspace.deadline.passed:
            say(f"job {number + 1} of {len(suite.jobs)}{suite.left(number)}: {title_of(job)}")
        attempt = attempted(job, suite.workspace, force=suite.force)
        if attempt.words:
            say(attempt.words)
        yield attempt


def attempted(job: Job, workspace: Workspace, *, force: bool) -> Attempt:
    """Carry out one job, unless the deadline has passed; whatever goes wrong in it is told.

    Raises
    ------
    Stopped : SIGINT or SIGTERM came during a training run.
    """
    title = title_of(job)
    if workspace.deadline.passed and (force or evidence_there(job, workspace) is None):
        return Attempt("not begun", title)
    try:
        kept, worked = carry_out(job, workspace, force=force)
    except OutOfTime as stopped:
        return Attempt("unfinished", title, str(stopped))
    except Stopped:
        raise
    except (InputError, Diverged, ValueError, RuntimeError, OSError, MemoryError) as error:
        return failed(title, error)
    became: Became = "done" if worked else "there already"
    return Attempt(became, kept.name, f"{title}: {became}")


def failed(title: str, error: BaseException) -> Attempt:
    """What to say of a job that could not be carried out."""
    return Attempt("failed", title, f"{title} failed: {out_of_memory(error) if is_out_of_memory(error) else error}")
