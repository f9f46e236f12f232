"""The verbs that show what there is: `table`."""

from pathlib import Path
from typing import get_args

import click
from tabulate import tabulate

from srrepro.options import results_option, verb
from srrepro.reporting import papers
from srrepro.reporting.evidence import read_all
from srrepro.reporting.tables import quality


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
        click.echo(tabulate(rows, headers=("table", "what"), maxcolwidths=[None, 58]))
        return
    click.echo(papers.as_text(papers.table(name), quality(read_all(results / "runs")), form))
