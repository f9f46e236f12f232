"""The verbs: parse, call, print. No logic. (Over 300 lines: eleven verbs, every option of each written out.)"""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TextIO, get_args

import click
import pandas as pd
from tabulate import tabulate

from srrepro import models
from srrepro.data.registry import DataFolder, members, sets
from srrepro.errors import Failed, InputError
from srrepro.evaluation.measure import TestSet
from srrepro.evaluation.measure import evaluate as score
from srrepro.evaluation.upscaler import load
from srrepro.evaluation.weights import Subject, ships
from srrepro.hardware import Hardware
from srrepro.jobs import check as gate
from srrepro.jobs import importing, plan, suites
from srrepro.jobs.carry_out import Became, carry_out, run_suite
from srrepro.jobs.job import SCALES, Train, Workspace, test_sets
from srrepro.jobs.prepare import prepare as prepare_sets
from srrepro.jobs.suites import SUITES
from srrepro.models.recipe import Recipe
from srrepro.options import (
    Verb,
    deadline_option,
    device_option,
    own_scale_option,
    places,
    positive,
    results_option,
    runs_on,
    scale_option,
    trains_on,
)
from srrepro.pixels import images
from srrepro.progress import say
from srrepro.protocols.named import MATLAB_Y, PROTOCOLS, protocol_named
from srrepro.reporting import tables
from srrepro.reporting.audit import audit
from srrepro.reporting.evidence import WEIGHTS, read_all
from srrepro.reporting.evidence import read as read_run
from srrepro.reporting.sheet import sheet
from srrepro.timing import speed
from srrepro.timing.compare import compare
from srrepro.timing.speed import Speed, Task
from srrepro.training.deadline import Deadline

PICTURES = "srcnn-915-quick"
BENCHED = ("srcnn-915", "srcnn-955", "vdsr-t91")
COMPARED = ("srcnn-915", "srcnn-955", "vdsr-t91-muon")
"""VDSR by steps of 16: on a busy machine those of 64 take seconds, and none of them is left alone."""
verb = partial(click.command, cls=Verb)


@verb(epilog="Example: srrepro prepare T91 Set5 --mirror /media/sr-data")
@click.argument("names", metavar="[SET]...", nargs=-1)
@places
def prepare(names: tuple[str, ...], folder: DataFolder) -> None:
    """Fetch, verify and build the stores of the named sets; of every set that can be had if none is named."""
    report = prepare_sets(folder, names)
    for name, what in report.items():
        click.echo(f"{name}: {what}")
    if all(what == "ready already" for what in report.values()):
        click.echo("Nothing to do.")


@verb("list", epilog="Example: srrepro list")
def list_() -> None:
    """Recipes, released weights, protocols, data sets and suites."""
    recipes = [
        {
            "recipe": recipe.name,
            "network": recipe.model,
            "trains on": recipe.training.set if recipe.training else "",
            "scales": _scales_of(recipe),
            "length": _length_of(recipe),
            "the paper's own": "yes" if recipe.of_the_paper else "",
            "weights ship for": " ".join(f"×{s}" for s in SCALES if ships(recipe.name, s)),
        }
        for recipe in models.recipes().values()
    ]
    released = [
        {
            "released weights": weights.name,
            "network": weights.model,
            "trained on": weights.training_set,
            "scales": " ".join(f"×{scale}" for scale in weights.files),
            "protocol": protocol_named(weights.protocol).name,
        }
        for weights in models.authors().values()
    ]
    protocols = [{"protocol": protocol.name, "signature": protocol.signature} for protocol in PROTOCOLS.values()]
    listed = [{"set": name, "files": len(members(name))} for name in sets()]
    for part in (
        recipes,
        released,
        protocols,
        listed,
        [{"suite": name, "jobs": len(list(jobs()))} for name, jobs in SUITES.items()],
    ):
        click.echo(tabulate(part, headers="keys", disable_numparse=True) + "\n")


def _scales_of(recipe: Recipe) -> str:
    if recipe.training is None or recipe.training.scales is None:
        return "--scale"
    return " ".join(f"×{scale}" for scale in recipe.training.scales)


def _length_of(recipe: Recipe) -> str:
    if recipe.training is None:
        return ""
    backprops, epochs = recipe.training.backprops, recipe.training.epochs
    return f"{backprops:,} backprops" if epochs is None else f"{epochs} epochs"


@verb(epilog="Example: srrepro show srcnn-915")
@click.argument("recipe")
def show(recipe: str) -> None:
    """Every number of a recipe, with its source: the paper, the authors' code, or a choice of ours and why."""
    click.echo(tabulate(sheet(models.recipe(recipe)), headers=("field", "value", "source"), disable_numparse=True))


@verb(epilog="Example: srrepro train srcnn-915-quick --scale 3")
@click.argument("recipe")
@own_scale_option
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--budget", type=positive, default=1.0, show_default=True, help="Factor on the recipe's backprops.")
@click.option("--fresh", is_flag=True, help="Start anew instead of going on with an interrupted run.")
@deadline_option
@click.option(
    "--carry",
    "carries",
    is_flag=True,
    help="Whenever the run stops, write it to RESULTS/unfinished, from where any clone resumes it.",
)
@trains_on
@places
@results_option
def train(
    recipe: str,
    scale: int | None,
    seed: int,
    budget: float,
    fresh: bool,
    deadline: Deadline,
    carries: bool,
    hardware: Hardware,
    folder: DataFolder,
    results: Path,
) -> None:
    """Train a recipe from scratch, measure it, and leave the evidence. An interrupted run goes on where it stopped."""
    workspace = Workspace(folder, results, hardware, deadline, carries)
    job = Train(name=recipe, scale=scale, seed=seed, budget=budget, test_sets=test_sets(recipe))
    kept, done = carry_out(job, workspace, fresh=fresh)
    click.echo(tables.terminal_table(tables.quality([read_run(kept)])))
    click.echo(f"{'evidence' if done else 'this run has its evidence already'}: {kept}")
    if (kept / WEIGHTS).exists():
        click.echo(f"weights: {kept / WEIGHTS}")


def _protocol_of(subject: Subject) -> str | None:
    """What a recipe is trained for, or what the authors of released weights measured by, if that is named."""
    if subject.origin == "authors":
        released = models.authors().get(subject.name)
        return released.protocol if released else None
    recipe = models.recipes().get(subject.name)
    return recipe.training.protocol if recipe and recipe.training else None


@verb(epilog="Example: srrepro evaluate srcnn-915-quick --scale 3 --set Set5 --set mine=~/photos")
@click.argument("subject", metavar="RECIPE|WEIGHTS")
@scale_option
@click.option("--set", "names", multiple=True, required=True, metavar="SET|NAME=DIR", help="May be repeated.")
@click.option(
    "--protocol",
    "protocol_name",
    type=click.Choice(list(PROTOCOLS)),
    default=MATLAB_Y.name,
    show_default=True,
    help="The measurement. vdsr-y-v1 is that of the VDSR paper's tables: the interpolated luminance is clamped.",
)
@click.option("--json", "as_json", is_flag=True, help="Rows as one JSON array.")
@runs_on
@places
def evaluate(
    subject: str,
    scale: int,
    names: tuple[str, ...],
    protocol_name: str,
    as_json: bool,
    hardware: Hardware,
    folder: DataFolder,
) -> None:
    """Measure shipped weights, a weight file (.safetensors, or the authors') or released weights on test sets."""
    upscaler = load(subject, scale, folder=folder, hardware=hardware)
    made_for = _protocol_of(upscaler.subject)
    if made_for not in {None, protocol_name}:
        say(f"the numbers of {upscaler.subject.name} are those of another protocol: --protocol {made_for}")
    rows, protocol = [], PROTOCOLS[protocol_name]
    for test_set in [TestSet.parse(name) for name in names]:
        examples = test_set.examples(folder, scale, protocol.degradation)
        scores = score(upscaler, test_set.name, examples, protocol=protocol)
        rows.append(tables.quality_row(upscaler.subject, scores))
    if as_json:
        click.echo(pd.DataFrame(rows).to_json(orient="records", indent=2, double_precision=15))
    else:
        click.echo(tables.terminal_table(pd.DataFrame(rows)))


@verb(epilog="Example: srrepro upscale photo.jpg photo_x3.png --scale 3")
@click.argument("source", metavar="IN", type=click.Path(path_type=Path))
@click.argument("target", metavar="OUT", type=click.Path(path_type=Path))
@scale_option
@click.option(
    "--model", default=PICTURES, show_default=True, metavar="RECIPE|WEIGHTS", help="As for `srrepro evaluate`."
)
@click.option("--force", is_flag=True, help="Replace OUT.")
@click.option(
    "--precision",
    type=click.Choice(["float32", "bfloat16"]),
    default="float32",
    show_default=True,
    help="bfloat16 costs about 0.1 dB. On a processor float32 in mode native may be twice as fast.",
)
@runs_on
@places
def upscale(
    source: Path,
    target: Path,
    scale: int,
    model: str,
    force: bool,
    hardware: Hardware,
    folder: DataFolder,
) -> None:
    """Enlarge a picture of your own: luminance by the network, colour by bicubic.

    Transparency and colour profiles are dropped.
    """
    images.check_target(target, force=force)
    low = images.read(source, upright=True)
    upscaler = load(model, scale, folder=folder, hardware=hardware)
    estimate = upscaler.image(low)
    images.write(target, estimate)
    height, width = estimate.shape[:2]
    click.echo(f"written: {target}, {width}×{height}, by {upscaler.subject.name}")


@verb("run-all", epilog="Example: srrepro run-all --suite demo")
@click.option("--suite", type=click.Choice(list(SUITES)), default="t91", show_default=True)
@click.option("--budget", type=positive, default=1.0, show_default=True, help="Factor on every training budget.")
@click.option("--force", is_flag=True, help="Repeat what has its evidence, and say whether the numbers are the same.")
@click.option(
    "--plan", "only_plan", is_flag=True, help="Say what each job lacks and how long it will take; do nothing."
)
@deadline_option
@trains_on
@places
@click.option(
    "--results", type=click.Path(path_type=Path, file_okay=False), help="Default: ./results, for demo ./results/demo."
)
def run_all(
    suite: str,
    budget: float,
    force: bool,
    only_plan: bool,
    deadline: Deadline,
    hardware: Hardware,
    folder: DataFolder,
    results: Path | None,
) -> None:
    """Prepare, train, evaluate and report everything in a suite. What has its evidence is skipped."""
    place = results or (Path("results/demo") if suite == "demo" else Path("results"))
    jobs = suites.with_budget(list(SUITES[suite]()), budget)
    workspace = Workspace(folder, place, hardware, deadline)
    planned = plan.plan(jobs, workspace, force=force, closely=only_plan)
    if only_plan:
        click.echo(plan.table(planned))
        return
    attempts = run_suite(jobs, workspace, force=force, seconds=[each.seconds for each in planned])
    written = tables.write(place, readme=None)
    click.echo(tables.terminal_table(tables.quality(read_all(place / "runs"))))
    names: dict[Became, list[str]] = {became: [] for became in get_args(Became)}
    for attempt in attempts:
        names[attempt.became].append(attempt.name)
    counts = ", ".join(f"{len(names[became])} {became}" for became in ("done", "there already", "failed"))
    click.echo(f"\n{counts}\nwritten: {', '.join(map(str, written))}; evidence: {place / 'runs'}{os.sep}")
    if names["unfinished"]:
        click.echo(f"out of time, the same command resumes: {', '.join(names['unfinished'])}")
    if names["not begun"]:
        click.echo(f"out of time, not begun: {', '.join(names['not begun'])}")
    if names["failed"]:
        msg = "failed: " + ", ".join(names["failed"])
        raise Failed(msg)


@verb("import", epilog="Example: srrepro import from-the-gpu/*.safetensors")
@click.argument("files", metavar="CHECKPOINT...", type=click.Path(path_type=Path), nargs=-1, required=True)
@runs_on
@places
@results_option
def import_(
    files: tuple[Path, ...],
    hardware: Hardware,
    folder: DataFolder,
    results: Path,
) -> None:
    """Take in runs that another machine trained: ended ones are measured here, unfinished ones are carried on."""
    workspace = Workspace(folder, results, hardware)
    for file in files:
        click.echo(f"{file}: {importing.take(file, workspace)}")


@verb(epilog="Example: srrepro bench --task infer --model srcnn-915")
@click.option("--task", type=click.Choice(get_args(Task)), help="Default: both.")
@click.option(
    "--model",
    "names",
    multiple=True,
    metavar="RECIPE",
    help=f"May be repeated. Default: {', '.join(BENCHED)}; with --compare {', '.join(COMPARED)}.",
)
@click.option(
    "--compare", "revision", metavar="REV", help="Time this commit and REV in turns instead; exit 1 if it is slower."
)
@click.option("--json", "as_json", is_flag=True, help="Rows as one JSON array.")
@device_option
@places
@results_option
def bench(
    task: Task | None,
    names: tuple[str, ...],
    revision: str | None,
    as_json: bool,
    hardware: Hardware,
    folder: DataFolder,
    results: Path,
) -> None:
    """Time training steps and inference beside the plain public loop, taking turns, and write speed.csv.

    Leave the machine alone meanwhile. `--compare` works beside
    other work, too: it takes more rounds where times scatter, and times on the processor only.
    """
    if revision is not None:
        if task is not None or hardware.device != "cpu":
            msg = "--compare times training and inference, on a processor only. Leave out --task, give --device cpu."
            raise InputError(msg)
        _compare(revision, names or COMPARED, as_json)
        return
    rows: list[Speed] = []
    for name in names or BENCHED:
        jobs: list[Callable[[], list[Speed]]] = []
        if task != "infer":
            jobs.append(partial(speed.training_speed, name, folder, hardware.device))
        if task != "train":
            jobs += [partial(speed.inference_speed, name, size, hardware.device) for size in speed.SIZES]
        for job in jobs:
            measured = job()
            speed.record(measured, results / "speed.csv")  # now: the next one may take minutes
            rows += measured
    new = pd.DataFrame([asdict(row) for row in rows])
    if as_json:
        click.echo(new.to_json(orient="records", indent=2, double_precision=15))
    else:
        click.echo(tables.speed_table(new, tables.quality(read_all(results / "runs"))))
        click.echo(f"written: {results / 'speed.csv'}")


def _compare(revision: str, names: Sequence[str], as_json: bool) -> None:
    for name in names:
        if models.recipe(name).training is None:
            msg = f"The training of {name} was to be timed, but it has nothing to train. Leave it out."
            raise InputError(msg)
    found = compare(revision, names)
    rows = [asdict(one) | {"verdict": one.verdict} for one in found]
    if as_json:
        click.echo(pd.DataFrame(rows).to_json(orient="records", indent=2, double_precision=15))
    else:
        click.echo(tabulate(rows, headers="keys", tablefmt="github", floatfmt=".3g"))
    slower, undecided = ([one.task for one in found if one.verdict == verdict] for verdict in ("slower", "undecided"))
    if slower:
        msg = f"slower than {revision}: {'; '.join(slower)}"
        raise Failed(msg)
    if len(undecided) == len(found):
        msg = "nothing was compared: times scatter too much here for any verdict"
        raise Failed(msg)
    if undecided:
        say(f"undecided, times scatter too much here: {'; '.join(undecided)}")


@verb(epilog="Example: srrepro check --set Set5")
@click.option(
    "--against",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results"),
    show_default=True,
    help="A results folder, whose quality.csv has the numbers to be met.",
)
@click.option(
    "--set",
    "names",
    multiple=True,
    metavar="SET",
    help="Besides the demo photographs. May be repeated. Default: all but Urban100, which takes hours.",
)
@click.option("--summary", type=click.File("a", encoding="utf-8", lazy=False), help="Append the outcome as Markdown.")
@click.option("--json", "as_json", is_flag=True, help="Rows as one JSON array.")
@runs_on
@places
def check(
    against: Path,
    names: tuple[str, ...],
    summary: TextIO | None,
    as_json: bool,
    hardware: Hardware,
    folder: DataFolder,
) -> None:
    """The regression gate: exit 1 unless bicubic, released and shipped weights give the numbers of quality.csv.

    Besides, one small network is trained, and must land in the band that it always lands in. A set that cannot be had
    is named.
    """
    workspace = Workspace(folder, against, hardware)
    outcome = gate.check(against / "quality.csv", names, workspace)
    text = gate.report(outcome)
    if summary is not None:
        summary.write(f"## srrepro check\n\n{text}\n")
    if as_json:
        click.echo(pd.DataFrame(outcome.rows).to_json(orient="records", indent=2, double_precision=15))
        click.echo(text, err=True)
    else:
        click.echo(text)
    if not outcome.measured_anew:
        msg = "nothing was compared"
        raise Failed(msg)
    if outcome.differing:
        msg = f"{len(outcome.differing)} of {len(outcome.rows)} numbers are not what they were"
        raise Failed(msg)


@verb(epilog="Example: srrepro report --check")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 if anything is wrong with the evidence.")
@results_option
def report(check: bool, results: Path) -> None:
    """Make quality.csv, tables.md and the README's table anew from the run folders."""
    readme = results.parent / "README.md"
    if check:
        problems = audit(results, readme)
        if problems:
            msg = "\n".join(problems)
            raise Failed(msg)
        click.echo("every run folder is whole, and every generated file agrees with its sources")
    else:
        click.echo("written: " + ", ".join(str(path) for path in tables.write(results, readme)))
