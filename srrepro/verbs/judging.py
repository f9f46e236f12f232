"""The verbs that judge what was made: `bench`, `check`, `report`."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TextIO, get_args

import click
import pandas as pd

from srrepro import models
from srrepro.data.registry import DataFolder
from srrepro.errors import Failed, InputError
from srrepro.hardware import Hardware
from srrepro.jobs import check as gate
from srrepro.jobs.job import Workspace
from srrepro.options import RECORDED, device_option, leaves_evidence, places, results_option, runs_on, verb
from srrepro.progress import say
from srrepro.reporting import site, speeds, tables
from srrepro.reporting.audit import audit
from srrepro.reporting.evidence import folders, read_all
from srrepro.reporting.provenance import provenance
from srrepro.reporting.tabulated import MARKDOWN, tabulated
from srrepro.timing import speed
from srrepro.timing.compare import compare
from srrepro.timing.speed import Speed, Task

BENCHED = ("srcnn-915", "srcnn-955", "vdsr-t91")
COMPARED = ("srcnn-915", "srcnn-955", "vdsr-t91-muon")
"""VDSR by steps of 16: on a busy machine those of 64 take seconds, and none of them is left alone."""


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
@leaves_evidence
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
    under = speed.conditions(provenance(hardware.device))  # before: later the load is our own
    for name in names or BENCHED:
        jobs: list[Callable[[], list[Speed]]] = []
        if task != "infer":
            jobs.append(partial(speed.training_speed, name, folder, hardware.device))
        if task != "train":
            jobs += [partial(speed.inference_speed, name, size, hardware.device) for size in speed.SIZES]
        for job in jobs:
            measured = job()
            speed.record(measured, results / "speed.csv", under)  # now: the next one may take minutes
            rows += measured
    new = pd.DataFrame([asdict(row) | under for row in rows])
    if as_json:
        click.echo(new.to_json(orient="records", indent=2, double_precision=15))
    else:
        click.echo(speeds.terminal_table(new, tables.quality(read_all(results / "runs"))))
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
        click.echo(tabulated(rows, form=MARKDOWN, formats=".3g"))
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
    help="A results folder, whose runs have the scores to be met.",
)
@click.option(
    "--set",
    "names",
    multiple=True,
    metavar="SET",
    help="Besides the demo photographs. May be repeated. Default: all but Urban100.",
)
@click.option("--full", is_flag=True, help="Measure every image, not only a sample of each set. Urban100 takes hours.")
@click.option("--summary", type=click.File("a", encoding="utf-8", lazy=False), help="Append the outcome as Markdown.")
@click.option("--json", "as_json", is_flag=True, help="Rows as one JSON array.")
@runs_on
@places
def check(
    against: Path,
    names: tuple[str, ...],
    full: bool,
    summary: TextIO | None,
    as_json: bool,
    hardware: Hardware,
    folder: DataFolder,
) -> None:
    """The regression gate: exit 1 unless bicubic, released and shipped weights give the scores of the run folders.

    A few images of each set are measured, each against its own score; which ones, their sizes decide. Besides, one
    small network is trained, and must land in the band that it always lands in. A set that cannot be had is named.
    That quality.csv is made of these scores, `report --check` looks at.
    """
    outcome = gate.check(against, names, Workspace(folder, against, hardware), full=full)
    text = gate.report(outcome)
    if summary is not None:
        summary.write(f"## srrepro check\n\n{text}\n")
    if as_json:
        click.echo(pd.DataFrame(map(asdict, outcome.rows)).to_json(orient="records", indent=2, double_precision=15))
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
@click.option(
    "--full",
    is_flag=True,
    help="Besides, full.html with squares of Set5 and Set14 by the authors' weights, too; not to be handed on.",
)
@places
@results_option
def report(check: bool, full: bool, folder: DataFolder, results: Path) -> None:
    """Make quality.csv, tables.md and the README's table anew from the run folders, and a page to look at.

    The page is RESULTS/report/index.html. It needs the extra `report`; without it, all else is made.
    """
    readme = results.parent / "README.md" if results.name == RECORDED.name else None  # it has the evidence's table
    lacking = site.lacking()
    if check and full:
        msg = "--check writes nothing, --full asks for a page. Give one of them."
        raise InputError(msg)
    if full and lacking:
        msg = f"full.html was asked for, but {' and '.join(lacking)} is lacking. {site.INSTALL}"
        raise InputError(msg)
    if check:
        problems = audit(results, readme)
        if problems:
            msg = "\n".join(problems)
            raise Failed(msg)
        click.echo("every run folder is whole, and every generated file agrees with its sources")
        return
    written = tables.write(results, readme)
    if lacking:
        say(f"report/index.html and its figures were not made: {' and '.join(lacking)} is lacking. {site.INSTALL}")
    elif folders(results / "runs"):
        written += site.write(results, full=folder if full else None)
    click.echo("written: " + ", ".join(str(path) for path in written))
