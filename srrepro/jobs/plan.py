"""What a suite would do: what each job lacks, whether its evidence is there, and how long it would train here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from time import perf_counter

import torch

from srrepro import claims, models
from srrepro.data.registry import DataFolder, is_present, members
from srrepro.data.stores import EvaluationShape
from srrepro.errors import InputError
from srrepro.evaluation import believed
from srrepro.hardware import Hardware, machine
from srrepro.jobs.carry_out import evidence_there, settled
from srrepro.jobs.job import Job, Measure, Train, Workspace, run_of, title_of
from srrepro.models.recipe import Constant, OwnInit, Recipe, digest
from srrepro.progress import in_words
from srrepro.reporting.evidence import folders, read
from srrepro.reporting.tables import fitting
from srrepro.training import carry
from srrepro.training.engine import Engine
from srrepro.training.run import Run

SECONDS_A_MEASUREMENT = 3.0
WIDTHS = (3, 29, 14, 15, 11)
"""Of the table's columns: 80 characters with what is between them."""


@dataclass(frozen=True, kw_only=True)
class Planned:
    """One job. `seconds` are those of the training that is left, None where they are unknown; `source` says whence.

    `reason` is why it cannot be done.
    """

    title: str
    state: str
    lacks: tuple[str, ...] = ()
    seconds: float | None = 0.0
    source: str = ""
    reason: str = ""


def plan(jobs: Sequence[Job], workspace: Workspace, *, force: bool = False, closely: bool = False) -> list[Planned]:
    """All jobs, as they stand; nothing is fetched, built or written.

    Rates are taken from the rows of `speed.csv` of this machine. `closely` also says what each job lacks, and measures
    the rate of every recipe that has none there, for a few seconds each. `force` plans to repeat what has its evidence.
    """
    return [_planned(job, workspace, force=force, closely=closely) for job in jobs]


def table(planned: Sequence[Planned]) -> str:
    """For people, with the sum."""
    rows = [
        {
            "#": str(number),
            "what": each.title,
            "state": each.state,
            "lacks": ", ".join(each.lacks),
            "training": _length_in_words(each),
        }
        for number, each in enumerate(planned, start=1)
    ]
    known = sum(each.seconds for each in planned if each.seconds is not None)
    unknown = sum(each.seconds is None for each in planned)
    left = [
        *([f"about {in_words(known)}"] if known else []),
        *([f"{unknown} jobs of unknown length"] if unknown else []),
    ]
    reasons = [f"{number}: {each.reason}" for number, each in enumerate(planned, start=1) if each.reason]
    return "\n".join([fitting(rows, WIDTHS), *reasons, "", f"training left: {' and '.join(left) or 'none'}"])


def _length_in_words(planned: Planned) -> str:
    if planned.seconds is None:
        return "unknown"
    source = f" ({planned.source})" if planned.source else ""
    return in_words(planned.seconds) + source if planned.seconds else ""


def _planned(job: Job, workspace: Workspace, *, force: bool, closely: bool) -> Planned:
    title = title_of(job)
    try:
        if not force and (evidence_there(job, workspace) is not None or _evidence_of_such(job, workspace)):
            return Planned(title=title, state="there already")
        if isinstance(job, Measure):
            return Planned(
                title=title, state="to do", lacks=tuple(_lacking(job, (job.scale,), workspace) if closely else ())
            )
        run = run_of(job, workspace)
        done = 0
        if run.shape.path(workspace.folder).exists():
            run = settled(job, workspace)
            copy = carry.newest(workspace.running / run.name, workspace.carried(run.name), run.name)
            done = 0 if copy is None else copy.backprops
        backprops = _length_of(run)
        state = f"{done:,} of {backprops:,} backprops" if done else "to do"
        rate, source = _rate(run, workspace.results / "speed.csv", measures=closely)
        return Planned(
            title=title,
            state=state,
            lacks=tuple(_lacking(job, run.scales, workspace) if closely else ()),
            seconds=(backprops - done) / rate if rate and backprops is not None else None,
            source=source,
        )
    except InputError as error:
        return Planned(title=title, state="cannot be done", seconds=None, reason=str(error))


def _length_of(run: Run) -> int | None:
    """Backprops; those of a length in epochs are known where the store is."""
    known = run.shape.path(run.folder).exists()
    if not known and run.training.epochs is not None:
        return None
    course = run.course if known else run.course_of(run.training.batch)
    return course.seen(course.steps)


def _evidence_of_such(job: Job, workspace: Workspace) -> bool:
    """For a training run whose name is unknown, because its store is not here: one of the same recipe, seed, budget."""
    if isinstance(job, Measure) or run_of(job, workspace, "float32").shape.path(workspace.folder).exists():
        return False
    recipe = digest(claims.recipe(job.name))
    for folder in folders(workspace.runs):
        if not folder.name.startswith(job.name):
            continue
        run = read(folder)
        same = (run.subject.name, run.subject.scale, run.subject.seed, run.subject.budget)
        wanted = workspace.hardware.precision in {"auto", run.about.get("precision")}
        if same == (job.name, job.scale, job.seed, job.budget) and wanted and digest(run.about["recipe"]) == recipe:
            return True
    return False


def _lacking(job: Job, scales: Sequence[int], workspace: Workspace) -> Iterator[str]:
    """Sets, released weights and stores that are not here yet."""
    training = claims.recipe(job.name).training if isinstance(job, Train) else None
    wanted = list(filter(None, (training.set, training.validation, *training.logged))) if training else []
    for name in dict.fromkeys([*wanted, *job.test_sets]):
        if not _present(workspace.folder, name, None):
            yield name
    if isinstance(job, Measure) and job.name in models.authors():
        weights = models.authors()[job.name]
        if not _present(workspace.folder, weights.set, weights.files.get(job.scale)):
            yield weights.set
    measured = dict.fromkeys([*wanted[1:], *job.test_sets])
    how = (job.protocol if isinstance(job, Measure) else run_of(job, workspace, "float32").protocol).degradation
    paths = [EvaluationShape(name, scale, how).path(workspace.folder) for name in measured for scale in scales]
    if isinstance(job, Train):
        paths.append(run_of(job, workspace, "float32").shape.path(workspace.folder))
    if missing := sum(not path.exists() for path in paths):
        yield f"{missing} store{'s' if missing > 1 else ''}"


def _present(folder: DataFolder, name: str, only: str | None) -> bool:
    """Whether a set is here with the right content, or one file of it."""
    return all(is_present(folder, file) for file in members(name) if only in {None, file.name})


def _rate(run: Run, speed: Path, *, measures: bool) -> tuple[float | None, str]:
    """Patches a second, and who says so."""
    if run.hardware.device != "cpu" and not torch.cuda.is_available():  # a GPU of a cluster, which is not here
        return None, ""
    recorded = _recorded(run, speed)
    if recorded is not None:
        return recorded, speed.name
    if not measures:
        return None, ""
    rate = _measured(_as_costly(run.recipe), run.scale, run.hardware)
    return rate, "" if rate is None else "measured now"


def _recorded(run: Run, speed: Path) -> float | None:
    if not speed.is_file():
        return None
    like = {
        "machine": machine(run.hardware.device),
        "task": "train",
        "model": run.recipe.name,
        "device": run.hardware.device,
        "precision": run.hardware.precision,
        "mode": run.hardware.mode,
        "batch": run.training.batch,
    }
    rows = believed.table(speed, [name for name in like if name != "batch"], ["batch", "samples_per_s"])
    for column, value in like.items():
        rows = rows[rows[column] == value]
    return float(rows["samples_per_s"].iloc[-1]) if len(rows) else None


def _as_costly(recipe: Recipe) -> Recipe:
    """The same for all recipes whose steps cost the same: without what only decides where they lead."""
    assert recipe.training is not None, f"{recipe.name} has nothing to train"
    any_other = replace(recipe.training, schedule=Constant(lr=0.0), init=OwnInit(), backprops=1, epochs=None)
    unwatched = replace(any_other, validation=None, logged=(), log_points=None, at_new_rate=None)
    return replace(recipe, name="any", note="", training=unwatched)


@cache
def _measured(recipe: Recipe, scale: int | None, hardware: Hardware) -> float | None:
    """Of steps on patches of noise, which take as long as any; None where they cannot be taken."""
    run, device = Run(recipe=recipe, scale=scale, hardware=hardware), hardware.device
    training, patches = run.training, run.training.patches
    channels, side = patches.takes.channels, run.shape.side
    inputs = torch.rand(training.batch, channels, side, side, device=device)
    high = torch.rand(training.batch, channels, patches.label, patches.label, device=device)
    network = run.network().train()
    training.init(network)
    try:
        with Engine(network, training, hardware) as engine:
            engine.step(inputs, high, lr=1e-9).item()  # the first one allocates
            steps, begun = 0, perf_counter()
            while steps == 0 or perf_counter() - begun < SECONDS_A_MEASUREMENT:
                engine.step(inputs, high, lr=1e-9).item()
                steps += 1
            return steps * training.batch / (perf_counter() - begun)
    except RuntimeError:  # no memory for it, or no such operation
        return None
