"""The verbs that train and leave evidence: `train`, `run-all`, `import`."""

import os
from pathlib import Path
from typing import get_args

import click

from srrepro.data.registry import DataFolder
from srrepro.errors import Failed, InputError, Stopped
from srrepro.hardware import Hardware
from srrepro.jobs import claims, importing, plan, suites
from srrepro.jobs.carry_out import carry_out
from srrepro.jobs.executing import Became, Executor, Suite
from srrepro.jobs.job import SCALES, Train, Workspace, test_sets
from srrepro.jobs.suites import SUITES
from srrepro.options import (
    LAST_SEED,
    Listed,
    OneOf,
    Scale,
    a_budget,
    deadline_option,
    executes,
    leaves_evidence,
    own_scale_option,
    places,
    recipe_argument,
    runs_on,
    seed_option,
    tensorboard_option,
    trains_on,
    verb,
)
from srrepro.protocols.named import PROTOCOLS
from srrepro.reporting import tables
from srrepro.reporting.evidence import WEIGHTS, read_all
from srrepro.reporting.evidence import read as read_run
from srrepro.training.deadline import Deadline

CLAIMS = "claims"
"""The suite whose jobs follow from each other: the best of a grid gets further seeds."""
carry_option = click.option(
    "--carry",
    "carries",
    is_flag=True,
    help="Whenever the run stops, write it to RESULTS/unfinished, from where any clone resumes it.",
)


@verb(epilog="Example: srrepro train srcnn-915-quick --scale 3")
@recipe_argument
@own_scale_option
@seed_option
@click.option("--budget", type=a_budget, default=1.0, show_default=True, help="Factor on the recipe's backprops.")
@click.option("--fresh", is_flag=True, help="Start anew instead of resuming an interrupted run.")
@deadline_option
@tensorboard_option
@carry_option
@trains_on
@places
@leaves_evidence
def train(
    recipe: str,
    scale: int | None,
    seed: int,
    budget: float,
    fresh: bool,
    deadline: Deadline,
    carries: bool,
    tensorboard: Path | None,
    hardware: Hardware,
    folder: DataFolder,
    results: Path,
) -> None:
    """Train a recipe from scratch, measure it, and leave the evidence. An interrupted run is resumed."""
    workspace = Workspace(folder, results, hardware, deadline, carries, tensorboard)
    job = Train(name=recipe, scale=scale, seed=seed, budget=budget, test_sets=test_sets(recipe))
    try:
        kept, done = carry_out(job, workspace, fresh=fresh)
    except Stopped as stopped:
        if fresh:  # again, it would throw away what has just been done
            stopped.again = "give the same command without --fresh"
        raise
    tables.write(results, readme=None)
    click.echo(tables.terminal_table(tables.quality([read_run(kept)])))
    click.echo(f"{'evidence' if done else 'this run has its evidence already'}: {kept}")
    if (kept / WEIGHTS).exists():
        click.echo(f"weights: {kept / WEIGHTS}")


@verb("run-all", epilog="Example: srrepro run-all --suite demo")
@click.option("--suite", type=OneOf([*SUITES, CLAIMS]), help="Default: t91.")
@click.option(
    "--claim", "names", multiple=True, metavar="CLAIM", help="Of the suite claims: this one. May be repeated."
)
@click.option("--recipes", type=Listed(str), metavar="A,B", help="Instead of a suite: these recipes or weights.")
@click.option(
    "--protocols",
    type=Listed(OneOf(list(PROTOCOLS))),
    metavar="A,B",
    help="Of weights among the recipes. Default: their own.",
)
@click.option("--scales", type=Listed(Scale()), metavar="2,3,4", help="Of the recipes. Default: all.")
@click.option("--seeds", type=Listed(click.IntRange(0, LAST_SEED)), metavar="0-9", help="Of the recipes. Default: 0.")
@click.option("--budget", type=a_budget, default=1.0, show_default=True, help="Factor on every training budget.")
@click.option("--force", is_flag=True, help="Repeat what has its evidence, and say whether the numbers are the same.")
@click.option(
    "--plan", "only_plan", is_flag=True, help="Say what each job lacks and how long it will take; do nothing."
)
@deadline_option
@tensorboard_option
@carry_option
@executes
@trains_on
@places
@leaves_evidence
def run_all(
    suite: str | None,
    names: tuple[str, ...],
    recipes: tuple[str, ...] | None,
    scales: tuple[int, ...] | None,
    seeds: tuple[int, ...] | None,
    protocols: tuple[str, ...] | None,
    budget: float,
    force: bool,
    only_plan: bool,
    deadline: Deadline,
    tensorboard: Path | None,
    carries: bool,
    executor: Executor,
    hardware: Hardware,
    folder: DataFolder,
    results: Path,
) -> None:
    """Prepare, train, evaluate and report everything in a suite. What has its evidence is skipped.

    The suite claims settles what the practice notes claim: RESULTS/claims.md. A suite of one's own is a sweep:
    --recipes A,B --scales 2,3,4 --seeds 0-9.
    """
    workspace = Workspace(folder, results, hardware, deadline, carries, tensorboard)
    if recipes is None and (scales or seeds or protocols):
        msg = "Scales, seeds or protocols were given, but a suite has its own. Give --recipes, too, or leave them out."
        raise InputError(msg)
    if recipes is not None and suite is not None:
        msg = f"The suite {suite} was asked for, and the recipes {', '.join(recipes)}. Give one of them."
        raise InputError(msg)
    if names and suite != CLAIMS:
        msg = f"The claim {names[0]} was asked for, but only the suite {CLAIMS} has claims. Give --suite {CLAIMS}."
        raise InputError(msg)
    if suite == CLAIMS:
        chosen = claims.named(names)
        if only_plan:
            click.echo(plan.table(claims.planned(chosen, workspace, budget=budget, force=force)))
            return
        attempts = claims.run_claims(chosen, workspace, budget=budget, force=force, executor=executor)
    else:
        if recipes is None:
            jobs = list(SUITES[suite or "t91"]())
        else:
            jobs = suites.sweep(recipes, scales or SCALES, seeds or (0,), protocols or ())
        jobs = suites.with_budget(jobs, budget)
        planned = plan.plan(jobs, workspace, force=force, closely=only_plan)
        if only_plan:
            click.echo(plan.table(planned))
            return
        attempts = list(executor(Suite(jobs, workspace, force=force, seconds=[each.seconds for each in planned])))
    written = tables.write(results, readme=None)
    click.echo(tables.terminal_table(tables.quality(read_all(results / "runs"))))
    ended: dict[Became, list[str]] = {became: [] for became in get_args(Became)}
    for attempt in attempts:
        ended[attempt.became].append(attempt.name)
    counts = ", ".join(f"{len(ended[became])} {became}" for became in ("done", "there already", "failed"))
    click.echo(f"\n{counts}\nwritten: {', '.join(map(str, written))}; evidence: {results / 'runs'}{os.sep}")
    if ended["unfinished"]:
        click.echo(f"out of time, the same command resumes: {', '.join(ended['unfinished'])}")
    if ended["not begun"]:
        click.echo(f"out of time, not begun: {', '.join(ended['not begun'])}")
    if ended["failed"]:
        msg = "failed: " + ", ".join(ended["failed"])
        raise Failed(msg)


@verb("import", epilog="Example: srrepro import from-the-gpu/*.safetensors")
@click.argument("files", metavar="CHECKPOINT...", type=click.Path(path_type=Path), nargs=-1, required=True)
@runs_on
@places
@leaves_evidence
def import_(
    files: tuple[Path, ...],
    hardware: Hardware,
    folder: DataFolder,
    results: Path,
) -> None:
    """Take in runs that another machine trained: ended ones are measured here, unfinished ones can be resumed."""
    workspace = Workspace(folder, results, hardware)
    for file in files:
        click.echo(f"{file}: {importing.take(file, workspace)}")
