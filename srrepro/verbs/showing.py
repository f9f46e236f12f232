"""The verbs that show what there is: `table`, `plot`."""

from pathlib import Path
from typing import get_args

import click

from srrepro.errors import InputError
from srrepro.options import results_option, verb
from srrepro.reporting import curves, papers, site
from srrepro.reporting.evidence import read_all
from srrepro.reporting.tables import quality
from srrepro.reporting.tabulated import tabulated
from srrepro.whole import whole


@verb(epilog="Example: srrepro table vdsr-3")
@click.argument("name", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice(get_args(papers.Form)),
    default="text",
    show_default=True,
    help="text fits 80 columns.",
)
@results_option
def table(name: str | None, form: papers.Form, results: Path) -> None:
    """Show a paper's table in the paper's layout, with ours beside the print. Without NAME: list the tables."""
    if name is None:
        rows = [(one.name, one.title) for one in papers.TABLES]
        click.echo(tabulated(rows, ("table", "what"), widths=[None, 58]))
        return
    click.echo(papers.as_text(papers.table(name), quality(read_all(results / "runs")), form))


@verb(epilog="Example: srrepro plot results/runs/vdsr-t91_s0_59b976b8 --text")
@click.argument("runs", metavar="RUN...", nargs=-1, required=True)
@click.option("--set", "dataset", default="Set5", show_default=True, metavar="SET", help="Which logged set.")
@click.option(
    "--by", "axis", type=click.Choice(curves.AXES), default="backprops", show_default=True, help="Along the x axis."
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Draw here, as .png or .svg."
)
@click.option("--force", is_flag=True, help="Replace FILE.")
@click.option("--text", is_flag=True, help="Draw in letters, here.")
@results_option
def plot(
    runs: tuple[str, ...],
    dataset: str,
    axis: curves.Axis,
    out: Path | None,
    force: bool,
    text: bool,
    results: Path,
) -> None:
    """Draw learning curves: of run folders, of runs that are under way, or of carried ones.

    RUN is a folder, a log.csv, a checkpoint, or the name of a run in RESULTS.
    """
    if out is None and not text:
        msg = "A plot was asked for, but not where to. Give --out FILE.png, FILE.svg, or --text."
        raise InputError(msg)
    if out is not None:
        _check(out, force=force)
    chosen = curves.chosen([curves.read(run, results) for run in runs], dataset, axis)
    if text:
        click.echo(curves.as_text(chosen, axis))
    if out is not None:
        from srrepro.reporting.figures import chosen_curves  # here: matplotlib is an extra

        svg, png = chosen_curves(chosen, axis, dataset)
        with whole(out) as part:
            part.write_bytes(png if out.suffix.lower() == ".png" else svg.encode())
        click.echo(f"written: {out}")


def _check(out: Path, *, force: bool) -> None:
    if out.suffix.lower() not in {".png", ".svg"}:
        msg = f"The plot was to be written to {out}, but this is neither .png nor .svg."
        raise InputError(msg)
    if out.exists() and not force:
        msg = f"The plot was to be written to {out}, but that exists. Name another file, or give --force."
        raise InputError(msg)
    if not out.parent.is_dir():
        msg = f"The plot was to be written to {out}, but there is no folder {out.parent}."
        raise InputError(msg)
    if "matplotlib" in site.lacking():
        asked = f"The plot was to be written to {out}, but matplotlib is lacking"
        msg = f"{asked}. --text works without it. {site.INSTALL}"
        raise InputError(msg)
