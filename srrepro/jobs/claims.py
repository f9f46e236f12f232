"""Carrying out the claims: what each needs, in an order that lets val20 choose before further seeds are trained.

Variants are ordinary runs in `results/claims/`, recipes and released weights ordinary evidence in `results/runs/`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import pandas as pd
import torch

from srrepro import models
from srrepro.claims.claim import Candidate, Claim, Comparison, Trained, Weights
from srrepro.claims.srcnn import BATCH_TIMED
from srrepro.claims.suite import CLAIMS, metrics_of, sets_of
from srrepro.data.registry import sha256_of
from srrepro.data.stores import prepare_training
from srrepro.errors import InputError, instead
from srrepro.evaluation import weights
from srrepro.evaluation.upscaler import Upscaler
from srrepro.hardware import Hardware
from srrepro.jobs.carry_out import scores_of, with_metrics
from srrepro.jobs.executing import Attempt, Executor, Suite, in_this_process
from srrepro.jobs.job import LARGE, TEST_SETS, Measure, Train, Workspace, run_of
from srrepro.jobs.plan import Planned, plan
from srrepro.models.recipe import digest
from srrepro.progress import say
from srrepro.protocols.named import MATLAB_Y
from srrepro.reporting import claims as rows
from srrepro.reporting import evidence
from srrepro.reporting.provenance import provenance
from srrepro.reporting.tabulated import as_csv
from srrepro.timing.speed import conditions
from srrepro.training.engine import Engine
from srrepro.training.run import Run
from srrepro.whole import written_whole

ROUNDS, SAMPLES = 12, 1024
"""How often each batch size has its turn, and how many patches a turn has: a fifth of a second or more."""


@dataclass(frozen=True)
class Timing:
    """Steps of every batch size, taken in turns: `results/claims/batch-seconds.csv`."""

    title = "seconds of each batch size"


@dataclass(frozen=True)
class Norms:
    """Norms of weights and gradients at the first batch: rows of `results/claims/gradients.csv`."""

    of: Trained

    @property
    def title(self) -> str:
        return f"gradients of {self.of.name}"


Step = Train | Measure | Weights | Timing | Norms


def named(names: Sequence[str]) -> list[Claim]:
    """Claims by their names; all of them where none is named.

    Raises
    ------
    InputError : there is none of that name.
    """
    known = {claim.name: claim for claim in CLAIMS}
    for name in names:
        if name not in known:
            msg = f"There is no claim {name!r}. {instead(name, known)}"
            raise InputError(msg)
    return [claim for claim in CLAIMS if not names or claim.name in names]


def run_claims(
    claims: Sequence[Claim],
    workspace: Workspace,
    *,
    budget: float,
    force: bool = False,
    executor: Executor = in_this_process,
) -> list[Attempt]:
    """Carry out all that the claims need, claim by claim. After a grid is complete, its finalist gets the other seeds.

    Raises
    ------
    InputError : runs of a claim are there already that were made in another mode than was asked for.
    Stopped : SIGINT or SIGTERM came during a training run.
    """
    attempts: list[Attempt] = []
    tried: set[Step] = set()  # claims share runs
    for claim in claims:
        here = _in_one_mode(claim, workspace)
        while todo := [step for step in steps(claim, rows.read(workspace.results), budget) if step not in tried]:
            say(f"claim {claim.name}: {len(todo)} to do or to look at")
            for place in (here, replace(here, results=here.results / rows.FOLDER)):
                jobs = [step for step in todo if isinstance(step, Train | Measure) and _place(step, here) == place]
                attempts += executor(Suite(jobs, place, force=force)) if jobs else ()
            others = [step for step in todo if not isinstance(step, Train | Measure)]
            attempts += [_carried_out(step, here, force=force) for step in others]
            tried.update(todo)
    return attempts


def steps(claim: Claim, found: rows.Found, budget: float, *, foreseen: bool = False) -> list[Step]:
    """What a claim needs, as far as it is known: who is a finalist is known when its grid is complete.

    `foreseen` counts the first of a grid as its finalist where that is not known, to plan with.
    """
    wanted: list[Step] = []
    for row in claim.comparisons:
        for arm in row.arms:
            if len(arm.candidates) == 1:
                wanted += _of(arm.candidates[0], row, row.seeds, budget)
                continue
            for candidate in arm.candidates:
                wanted += _of(candidate, row, (0,), budget)
            try:
                best, _ = rows.finalist(arm, found, budget)
            except rows.NotThereError:
                if not foreseen:
                    continue
                best = arm.candidates[0]
            wanted += _of(best, row, row.seeds, budget)
        if row.at_equal_seconds:
            wanted.append(Timing())
    wanted += [Norms(variant) for variant in claim.watched]
    return list(dict.fromkeys(wanted))


def _of(candidate: Candidate, row: Comparison, seeds: Sequence[int], budget: float) -> Iterator[Step]:
    if isinstance(candidate, Trained):
        for seed in seeds:
            if candidate.is_variant:
                yield train_of(candidate, seed, budget)
            else:
                yield Train(name=candidate.name, scale=candidate.scale, seed=seed)
    elif candidate.is_variant:
        yield candidate
    else:
        sets = (LARGE,) if LARGE in row.datasets else TEST_SETS
        yield Measure(name=candidate.weights, scale=candidate.scale, test_sets=sets)


def train_of(variant: Trained, seed: int, budget: float) -> Train:
    """A variant's run as a job."""
    return Train(
        name=variant.name,
        scale=variant.scale,
        seed=seed,
        budget=budget,
        test_sets=sets_of(variant.name),
        metrics=metrics_of(variant.name),
        keeps_failure=True,
    )


def planned(claims: Sequence[Claim], workspace: Workspace, *, budget: float, force: bool) -> list[Planned]:
    """Every step as it stands, in order; a step of several claims stands where it comes first."""
    found, table = rows.read(workspace.results), list[Planned]()
    seen: set[Step] = set()
    for claim in claims:
        here = _in_one_mode(claim, workspace)
        for step in steps(claim, found, budget, foreseen=True):
            if step in seen:
                continue
            seen.add(step)
            table.append(_planned(step, claim, here, force=force))
    return table


def _planned(step: Step, claim: Claim, workspace: Workspace, *, force: bool) -> Planned:
    if isinstance(step, Train | Measure):
        (one,) = plan([step], _place(step, workspace), force=force, closely=True)
        return replace(one, title=f"{claim.name}: {one.title}")
    state = "there already" if _is_there(step, workspace) and not force else "to do"
    return Planned(title=f"{claim.name}: {step.name if isinstance(step, Weights) else step.title}", state=state)


def _place(step: Step, workspace: Workspace) -> Workspace:
    """Where the evidence of a step goes."""
    ordinary = isinstance(step, Measure) or (isinstance(step, Train) and "@" not in step.name)
    return workspace if ordinary else replace(workspace, results=workspace.results / rows.FOLDER)


def _in_one_mode(claim: Claim, workspace: Workspace) -> Workspace:
    """In float32 unless asked otherwise, and in the mode that runs of this claim have already.

    Raises
    ------
    InputError : another mode was asked for.
    """
    hardware = workspace.hardware
    if hardware.precision == "auto":
        hardware = replace(hardware, precision="float32")
    names = {step.name for step in steps(claim, rows.Found([], []), 1.0) if isinstance(step, Train)}
    ways = {
        rows.way(run): run for run in rows.read(workspace.results).variants if run.log and run.subject.name in names
    }
    if not ways:
        return replace(workspace, hardware=hardware)
    run = next(iter(ways.values()))
    device, precision, mode = (run.about[key] for key in ("device", "precision", "mode"))
    if hardware.mode == "auto" and device == hardware.device and precision == hardware.precision:
        hardware = replace(hardware, mode=mode)
    settled = hardware.settled()
    if (settled.device, settled.precision, settled.mode) != (device, precision, mode):
        msg = (
            f"The claim {claim.name} was to be run on {settled.device} in {settled.precision}, mode {settled.mode}, "
            f"but has runs on {device} in {precision}, mode {mode}, and runs of one claim are made in one way. Give "
            f"--device {device} --precision {precision} --mode {mode}, or another --results."
        )
        raise InputError(msg)
    return replace(workspace, hardware=hardware)


def _carried_out(step: Weights | Timing | Norms, workspace: Workspace, *, force: bool) -> Attempt:
    """What is no job: seconds of this process, to be done here."""
    place = _place(step, workspace)
    title = step.name if isinstance(step, Weights) else step.title
    if _is_there(step, workspace) and not force:
        return Attempt("there already", title)
    if workspace.deadline.passed:
        return Attempt("not begun", title)
    say(title)
    try:
        if isinstance(step, Weights):
            _measure(step, place)
        elif isinstance(step, Timing):
            _time(place)
        else:
            _take_norms(step.of, place)
    except (InputError, ValueError, RuntimeError, OSError) as error:
        say(f"{title} failed: {error}")
        return Attempt("failed", title)
    return Attempt("done", title)


def _is_there(step: Weights | Timing | Norms, workspace: Workspace) -> bool:
    place = workspace.results / rows.FOLDER
    if isinstance(step, Weights):
        return (place / "runs" / _folder(step)).exists()
    if isinstance(step, Timing):
        return (place / rows.SECONDS).exists()
    table = place / rows.GRADIENTS
    return table.exists() and step.of.name in set(pd.read_csv(table)["variant"])


def _folder(step: Weights) -> str:
    return f"{step.name}_x{step.scale}"


def _measure(step: Weights, place: Workspace) -> None:
    """Weights in a network that is changed, under the first protocol."""
    hardware, scale = place.hardware.for_numbers(), step.scale
    assert step.network is not None, f"{step.name} is measured as it is by an ordinary job"
    about = {"network": repr(step.network), "device": hardware.device, "mode": hardware.mode}
    if step.weights in models.authors():
        released = replace(models.authors()[step.weights], name=step.name, network=step.network)
        subject, network = weights.fetch_authors(place.folder, released, scale)
    else:
        shipped = weights.shipped(step.weights, scale)
        subject, filled = weights.read_ours(shipped, scale)
        subject, network = replace(subject, name=step.name), step.network(scale)
        network.load_state_dict(filled.state_dict())
        about["weights_sha256"] = sha256_of(shipped)
    protocol = with_metrics(MATLAB_Y, metrics_of(step.name))
    scores = scores_of(Upscaler(subject, network, scale, hardware), sets_of(step.name), place, protocol)
    if (kept := place.runs / _folder(step)).exists():
        before = {(one.dataset, one.image): one.values["psnr_db"] for one in evidence.read(kept).scores}
        largest = max(abs(before[one.dataset, one.image] - one.values["psnr_db"]) for one in scores)
        say(f"{kept.name}, repeated: differs by up to {largest:.6f} dB on an image; the evidence stays as it was")
        return
    evidence.write(place.runs, kept.name, subject, scores, about=about | provenance(hardware.device))


def _time(place: Workspace) -> None:
    """Seconds of steps of every batch size, in turns, on noise: of the wall, and of the processor, all cores together.

    Comparisons take the processor's: other work on the machine costs the wall's only.
    """
    hardware = place.hardware.settled()
    under = conditions(provenance(hardware.device))
    engines, walls, cores = {}, dict[int, list[float]](), dict[int, list[float]]()
    for batch, variant in BATCH_TIMED.items():
        run = run_of(train_of(variant, 0, 1.0), replace(place, hardware=hardware))
        network = run.network().train()
        run.training.init(network)
        engines[batch] = Engine(network, run.training, run.hardware)
    patch, label = run.training.patches.patch, run.training.patches.label
    for turn in range(ROUNDS + 1):
        for batch, engine in engines.items():
            inputs, high = torch.rand(batch, 1, patch, patch), torch.rand(batch, 1, label, label)
            with engine:
                wall, core = perf_counter(), process_time()
                for _ in range(SAMPLES // batch):
                    engine.step(inputs, high, lr=1e-9)
                wall, core = perf_counter() - wall, process_time() - core
            if turn:  # the first one allocates
                walls.setdefault(batch, []).append(wall)
                cores.setdefault(batch, []).append(core)
    table = [
        {
            "batch": batch,
            "samples_per_second": SAMPLES / median(walls[batch]),
            "samples_per_core_second": SAMPLES / median(cores[batch]),
            "rounds": ROUNDS,
            "mode": hardware.mode,
            "precision": hardware.precision,
        }
        | under
        for batch in engines
    ]
    _write(pd.DataFrame(table), place.results / rows.SECONDS)


def norms_at_start(run: Run) -> list[dict[str, float]]:
    """Norms of every layer's weights and gradients at the first batch of a run, before any step; and the loss."""
    training = run.training
    prepare_training(run.folder, run.shape)
    feed = run.feed()
    torch.manual_seed(run.seed)
    network = run.network().train()
    training.init(network)
    feed.begin_epoch(training.order(feed.count, seed=run.seed, epoch=0))
    inputs, labels = feed.take(0)
    loss = training.loss(network(inputs), labels.float() / 255)
    layers = [parameter for parameter in network.parameters() if parameter.ndim > 1]
    gradients = torch.autograd.grad(loss, layers)
    return [
        {"layer": number, "loss": loss.item()}
        | {"weight_norm": weight.norm().item(), "gradient_norm": gradient.norm().item()}
        for number, (weight, gradient) in enumerate(zip(layers, gradients, strict=True), start=1)
    ]


def _take_norms(variant: Trained, place: Workspace) -> None:
    """Those of seed 0."""
    run = run_of(train_of(variant, 0, 1.0), replace(place, hardware=Hardware(precision="float32", mode="eager")))
    about = {"variant": variant.name, "recipe": digest(variant.recipe), "lr": run.training.schedule(0.0)}
    table = pd.DataFrame(about | norms for norms in norms_at_start(run))
    path = place.results / rows.GRADIENTS
    if path.exists():
        before = pd.read_csv(path)
        table = pd.concat([before[before["variant"] != variant.name], table])
    _write(table, path)


def _write(table: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    written_whole(path, as_csv(table))
