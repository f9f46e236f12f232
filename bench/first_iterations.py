"""How a recipe begins: its first iterations, at the rates that its whole run would have, measured several times.

    python bench/first_iterations.py vdsr-notes --iterations 1500 --set Set5 results/choices/vdsr-notes.csv

A `--budget` would stretch the schedule; this leaves it as it is and stops early. Rows go into the table in place of
those of the same recipe and precision; a run that was interrupted goes on. Nothing is chosen on what is measured here.
"""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import click
import pandas as pd
import torch

from srrepro import models
from srrepro.data.registry import DataFolder
from srrepro.data.stores import prepare_training
from srrepro.hardware import Hardware, Precision, machine
from srrepro.models.recipe import Constant, Cosine, Recipe, Steps
from srrepro.training.loop import train
from srrepro.training.run import Run


@dataclass(frozen=True)
class BeginningOf:
    """The first `share` (0 to 1) of a schedule."""

    schedule: Constant | Steps | Cosine
    share: float

    def __call__(self, fraction: float) -> float:
        return self.schedule(fraction * self.share)


def beginning(recipe: Recipe, iterations: int, watched: str) -> Recipe:
    training = recipe.training
    assert training is not None
    if training.backprops is None:
        msg = f"The first iterations of {recipe.name} were asked for, but its length is in epochs; name another recipe."
        raise click.UsageError(msg)
    backprops = iterations * training.batch
    schedule: Any = BeginningOf(training.schedule, backprops / training.backprops)
    return replace(
        recipe,
        training=replace(training, schedule=schedule, backprops=backprops, validation=watched, logged=()),
    )


@click.command()
@click.argument("name", metavar="RECIPE")
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--iterations", type=click.IntRange(min=1), default=1500, show_default=True)
@click.option("--points", type=click.IntRange(min=1), default=20, show_default=True, help="How often it is measured.")
@click.option("--set", "watched", default="Set5", show_default=True)
@click.option("--precision", type=click.Choice(get_args(Precision)), default="float32", show_default=True)
@click.option("--data", type=click.Path(path_type=Path), envvar="SRREPRO_DATA", default=Path("datasets"))
@click.option("--mirror", type=click.Path(path_type=Path), envvar="SRREPRO_MIRROR")
def main(
    name: str,
    table: Path,
    iterations: int,
    points: int,
    watched: str,
    precision: Precision,
    data: Path,
    mirror: Path | None,
) -> None:
    hardware = Hardware(precision=precision).settled()
    begun = beginning(models.recipe(name), iterations, watched)
    run = Run(recipe=begun, hardware=hardware, folder=DataFolder(data, mirror), log_points=points)
    prepare_training(run.folder, run.shape)
    workplace = Path("results/.running") / f"first-{iterations}-{run.name}"
    workplace.mkdir(parents=True, exist_ok=True)
    _, state = train(run, workplace)
    about = {"recipe": name, "precision": precision, "mode": hardware.mode}
    where = {"threads": torch.get_num_threads(), "machine": machine(hardware.device)}
    rows = pd.DataFrame([about | row | where for row in state.log])
    if table.exists():
        before = pd.read_csv(table)
        rows = pd.concat([before[(before["recipe"] != name) | (before["precision"] != precision)], rows])
    table.parent.mkdir(parents=True, exist_ok=True)
    rows.to_csv(table, index=False, lineterminator="\n")
    shutil.rmtree(workplace)


if __name__ == "__main__":
    main()
