"""The verb that measures: `evaluate`."""

import click
import pandas as pd

from srrepro import models
from srrepro.data.registry import DataFolder
from srrepro.evaluation.measure import TestSet
from srrepro.evaluation.measure import evaluate as score
from srrepro.evaluation.upscaler import load
from srrepro.evaluation.weights import Subject
from srrepro.hardware import Hardware
from srrepro.options import places, runs_on, scale_option, verb
from srrepro.progress import say
from srrepro.protocols.named import MATLAB_Y, PROTOCOLS
from srrepro.reporting import tables


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
