"""Carrying out jobs: train, evaluate, leave evidence; which run a job is, and whether it was carried out already."""

import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any, get_args

from filelock import FileLock, Timeout
from torch import nn

from srrepro import models
from srrepro.data.registry import holding, sha256_of
from srrepro.data.stores import EvaluationShape, prepare_evaluation, prepare_training
from srrepro.errors import Diverged, InputError
from srrepro.evaluation import weights
from srrepro.evaluation.measure import Exploded, Score, TestSet, evaluate, judge
from srrepro.evaluation.upscaler import Upscaler, load
from srrepro.evaluation.weights import Subject
from srrepro.hardware import Hardware, Precision, machine, modes, precisions
from srrepro.jobs.job import Job, Measure, Train, Workspace, run_of
from srrepro.models.recipe import described
from srrepro.progress import say
from srrepro.protocols.protocol import Protocol
from srrepro.reporting import evidence
from srrepro.reporting.provenance import provenance
from srrepro.training import carry
from srrepro.training.loop import State, train
from srrepro.training.run import Run


def carry_out(job: Job, workspace: Workspace, *, force: bool = False, fresh: bool = False) -> tuple[Path, bool]:
    """One job up to its evidence.

    `force` repeats a job that has its evidence, says whether the numbers came out the same, and leaves the evidence
    as it is; `fresh` throws an unfinished run away instead of resuming it.

    Returns
    -------
    The run folder, and whether work was done.

    Raises
    ------
    InputError : data cannot be had, or the same run is under way elsewhere.
    Stopped, OutOfTime, Diverged : see `srrepro.training.loop.train`.
    """
    if isinstance(job, Measure):
        return _measure(job, workspace, force=force)
    prepare_training(workspace.folder, run_of(job, workspace, "float32").shape)
    run = settled(job, workspace)
    if not force and (elsewhere := _made_elsewhere(run, workspace)) is not None:
        return elsewhere, False
    return _train(run, job, workspace, force=force, fresh=fresh)


def evidence_there(job: Job, workspace: Workspace) -> Path | None:
    """The run folder of a job; None where there is none, or where it cannot be told, because a store is lacking."""
    try:
        if isinstance(job, Measure):
            kept = workspace.runs / job.folder
        elif run_of(job, workspace, "float32").shape.path(workspace.folder).exists():
            run = settled(job, workspace)
            kept = _made_elsewhere(run, workspace) or workspace.runs / run.name
        else:
            return None
    except InputError:  # to be told when the job is carried out
        return None
    return kept if kept.exists() else None


def settled(job: Train, workspace: Workspace) -> Run:
    """The run of a job whose store is built, in the precision asked for; without a wish, in any that was begun."""
    run = run_of(job, workspace)
    if workspace.hardware.precision == "auto" and not _begun(run, workspace):
        for precision in precisions(workspace.hardware.device):
            if _begun(other := run_of(job, workspace, precision), workspace):
                return other
    return run


def _made_elsewhere(run: Run, workspace: Workspace) -> Path | None:
    """Evidence of the same run in a precision that this device does not have: it is evidence all the same."""
    if workspace.hardware.precision != "auto":
        return None
    for precision in get_args(Precision):
        if precision not in precisions(run.hardware.device):
            there = Hardware(device="cuda", precision=precision, mode="eager")
            kept = workspace.runs / replace(run, hardware=there).name
            if kept.exists():
                return kept
    return None


def _begun(run: Run, workspace: Workspace) -> bool:
    places = workspace.runs / run.name, workspace.running / run.name, workspace.carried(run.name)
    return any(path.exists() for path in places)


def _as_before(run: Run, last: dict[str, Any]) -> Run:
    """In the mode of its last stretch, if that was on such a device and can be had here."""
    here, mode = run.hardware, last.get("mode")
    if last.get("device") != here.device or mode not in modes(here.device, here.precision):
        return run
    return replace(run, hardware=replace(here, mode=mode))


def _measure(job: Measure, workspace: Workspace, *, force: bool) -> tuple[Path, bool]:
    kept = workspace.runs / job.folder
    if kept.exists() and not force:
        return kept, False
    return keep(job, measured(job, workspace), workspace), True


@dataclass(frozen=True)
class Measured:
    """What a measuring job found, before it is evidence."""

    subject: Subject
    scores: list[Score]
    about: dict[str, Any]


def measured(job: Measure, workspace: Workspace) -> Measured:
    """The scores of a job, and what they were made with. Errors as `load` and `evaluate`."""
    hardware = workspace.hardware.for_numbers()
    upscaler = load(job.name, job.scale, folder=workspace.folder, hardware=hardware)
    scores = scores_of(upscaler, job.test_sets, workspace, job.protocol)
    about = {"device": hardware.device, "mode": hardware.mode, "finished": _now(), **provenance(hardware.device)}
    if upscaler.subject.origin == "trained":
        about |= _about_shipped(job)
    return Measured(upscaler.subject, scores, about)


def keep(job: Measure, found: Measured, workspace: Workspace) -> Path:
    """Write the folder of what was measured; compare where there is one already."""
    kept = workspace.runs / job.folder
    if kept.exists():
        compare(kept, found.scores)
        return kept
    return evidence.write(workspace.runs, job.folder, found.subject, found.scores, about=found.about)


def _about_shipped(job: Measure) -> dict[str, Any]:
    """Which weights were measured; the run that they come from names the same sha256."""
    return {
        "shipped": weights.shipped(job.name, job.scale).name,
        "recipe": described(models.recipe(job.name)),
        "precision": weights.shipping()[weights.shipped(job.name, job.scale).name],
        "weights_sha256": sha256_of(weights.shipped(job.name, job.scale)),
    }


def _train(run: Run, job: Train, workspace: Workspace, *, force: bool, fresh: bool) -> tuple[Path, bool]:
    name = run.name
    kept, carried = workspace.runs / name, workspace.carried(name)
    if kept.exists() and not force:
        tidy(name, workspace)
        return kept, False
    with alone(name, workspace) as workplace:
        if fresh:  # the lock is held: nobody else is at work here
            carry.remove(workplace, carried)
        begun = carry.newest(workplace, carried, name)
        if begun is not None and workspace.hardware.mode == "auto":
            run = _as_before(run, begun.stretches[-1].made_with)
        for test_set in job.test_sets:  # before the long work, not after it
            for scale in run.scales:
                prepare_evaluation(workspace.folder, EvaluationShape(test_set, scale, run.protocol.degradation))
        made_with = provenance(run.hardware.device)  # now: the clone may change while this process runs what it read
        say(f"{run.title} seed {run.seed}: mode {run.hardware.mode}, {run.hardware.precision}, {made_with['machine']}")
        try:
            network, state = train(
                run,
                workplace,
                made_with=made_with,
                deadline=workspace.deadline,
                carried=carried,
                carries=workspace.carries,
                tensorboard=workspace.tensorboard,
            )
            sets, more = job.test_sets, job.metrics
            leave_evidence(run, network, state, workspace, test_sets=sets, made_with=made_with, metrics=more)
        except (Diverged, Exploded) as error:
            if not job.keeps_failure:
                raise
            _leave_failure(run, job, workspace, error, made_with)
    tidy(name, workspace)
    return kept, True


def tidy(name: str, workspace: Workspace) -> None:
    """Throw away what is left of a run that has its evidence: it ended here or elsewhere, or was killed just then.

    Where somebody repeats it, the folder where it is under way stays.
    """
    carry.discard(workspace.carried(name))
    if (workspace.running / name).exists():
        with suppress(InputError):
            with alone(name, workspace) as workplace:
                pass
            shutil.rmtree(workplace)


@contextmanager
def alone(name: str, workspace: Workspace) -> Iterator[Path]:
    """The folder where a run is under way, made if lacking; no other process may enter it meanwhile.

    Raises
    ------
    InputError : one is in it.
    """
    workplace = workspace.running / name
    workplace.mkdir(parents=True, exist_ok=True)
    local = "Name a folder on a local disk with --results."
    try:
        with holding(FileLock(workplace / "lock", timeout=0), f"The run {name}", local):
            yield workplace
    except Timeout as error:
        msg = f"The run {name} is under way in another process. Wait for it, or stop it."
        raise InputError(msg) from error


def leave_evidence(
    run: Run,
    network: nn.Module,
    state: State,
    workspace: Workspace,
    *,
    test_sets: Sequence[str],
    made_with: dict[str, Any],
    metrics: Sequence[str] = (),
) -> Path:
    """Measure a run that has ended, and write its folder; compare where there is one already.

    `made_with` is the provenance of its last stretch. What was trained elsewhere is measured on the workspace's device.
    `metrics` are taken besides those of its protocol.
    """
    kept, workplace = workspace.runs / run.name, workspace.running / run.name
    alike = run.hardware.device == workspace.hardware.device and workspace.hardware.mode == "auto"
    hardware = (run.hardware if alike else workspace.hardware).for_numbers()
    scores = []
    for scale in run.scales:
        upscaler = Upscaler(run.subject, network, scale, hardware)
        scores += scores_of(upscaler, test_sets, workspace, with_metrics(run.protocol, metrics))
    if kept.exists():
        compare(kept, scores)
        return kept
    workplace.mkdir(parents=True, exist_ok=True)
    weights.save(network, workplace / evidence.WEIGHTS, run.subject)
    about = _about(run, state) | {"weights_sha256": sha256_of(workplace / evidence.WEIGHTS)} | made_with
    about["measured_on"] = {"device": hardware.device, "mode": hardware.mode, "machine": machine(hardware.device)}
    return evidence.write(
        workspace.runs,
        run.name,
        run.subject,
        scores,
        about=about | {"stretches": carry.evidence_of(state.stretches, made_with["versions"])},
        log=state.log,
        weights=workplace / evidence.WEIGHTS,
    )


def _about(run: Run, state: State) -> dict[str, Any]:
    backprops = state.log[-1]["backprops"]
    return {
        "recipe": described(run.recipe),
        "backprops": backprops,
        "seconds": state.seconds,
        "samples_per_s": backprops / state.seconds,
        **_how(run),
    }


def _how(run: Run) -> dict[str, Any]:
    return {
        "device": run.hardware.device,
        "precision": run.hardware.precision,
        "mode": run.hardware.mode,
        "store": {"shape": run.shape.as_evidence(), "digest": run.store},
        "finished": _now(),
    }


def with_metrics(protocol: Protocol, metrics: Sequence[str]) -> Protocol:
    """The same measurement, of which more metrics are written down."""
    return replace(protocol, metrics=tuple(dict.fromkeys([*protocol.metrics, *metrics])))


def _leave_failure(
    run: Run, job: Train, workspace: Workspace, error: Diverged | Exploded, made_with: dict[str, Any]
) -> None:
    """The folder of a run that diverged: its log up to there, bicubic's numbers, and none of its own."""
    kept, workplace = workspace.runs / run.name, workspace.running / run.name
    copy = carry.newest(workplace, workspace.carried(run.name), run.name)
    log = copy.values["state"]["log"] if copy else []
    step = error.step if isinstance(error, Diverged) else run.course.steps
    if kept.exists():
        before = evidence.read(kept).about.get("diverged", {}).get("step")
        say(f"{kept.name}, repeated: diverged at step {step}, before at {before}; the evidence stays as it was")
        return
    protocol, scores = with_metrics(run.protocol, job.metrics), list[Score]()
    for scale, name in product(run.scales, job.test_sets):
        examples = TestSet(name).examples(workspace.folder, scale, protocol.degradation)
        bicubic = judge(
            ((image, planes, protocol.admitted(planes.interpolated)) for image, planes in examples),
            name,
            scale,
            protocol=protocol,
        )
        scores += [replace(one, values=one.values | dict.fromkeys(protocol.metrics, math.nan)) for one in bicubic]
    about = {
        "recipe": described(run.recipe),
        "diverged": {"step": step, "message": str(error)},
        **_how(run),
    }
    evidence.write(workspace.runs, run.name, run.subject, scores, about=about | made_with, log=log)


def scores_of(upscaler: Upscaler, test_sets: Sequence[str], workspace: Workspace, protocol: Protocol) -> list[Score]:
    scale, how = upscaler.scale, protocol.degradation
    return [
        score
        for name in test_sets
        for score in evaluate(upscaler, name, TestSet(name).examples(workspace.folder, scale, how), protocol=protocol)
    ]


def compare(kept: Path, scores: Sequence[Score]) -> None:
    """Say whether scores are those of a run folder, which stays as it is."""
    before, again = (
        {(score.dataset, score.scale, score.image): score.values["psnr_db"] for score in some}
        for some in (evidence.read(kept).scores, scores)
    )
    if before.keys() != again.keys():
        say(f"{kept.name}, repeated: not on the same images as before")
        return
    largest = max(abs(before[image] - again[image]) for image in before)
    verdict = "the same numbers" if largest == 0 else f"differs by up to {largest:.6f} dB on an image"
    say(f"{kept.name}, repeated: {verdict}; the evidence stays as it was")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
