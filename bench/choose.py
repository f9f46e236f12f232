"""What a recipe is compared with: changes, trained for a share of its budget and judged on val20, never on a test set.

    python bench/choose.py srcnn-915-quick --data datasets results/choices/srcnn-915-quick.csv

Every variant trains with seed 0 for a share of the recipe's backprops, over which its schedule runs down. Rows are
written as they come; variants that the file holds already in this precision are skipped. In docs/experiments:
srcnn-quick.md, fsrcnn-s-quick.md, vdsr-t91.md.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, get_args

import click
import pandas as pd
import torch

from srrepro import models
from srrepro.data.registry import DataFolder
from srrepro.errors import Diverged
from srrepro.hardware import Hardware, Precision, machine
from srrepro.models.recipe import (
    SOAP,
    Cosine,
    GaussianInit,
    LayerRates,
    Muon,
    NoAugmentation,
    Recipe,
    Training,
    TurnAndFlip,
)
from srrepro.training.loop import train
from srrepro.training.run import Run

SLOW_LAST = LayerRates(weights=(1, 1, 0.1), biases=(1, 1, 1))


@dataclass(frozen=True, kw_only=True)
class Adam:
    """The optimiser of the first look, for comparison; no recipe uses it."""

    def __call__(self, groups: Iterable[dict[str, Any]]) -> torch.optim.Optimizer:
        return torch.optim.Adam(groups, lr=1.0)


ADAM: Any = Adam()


def of_srcnn(quick: Training) -> dict[str, Training]:
    paper = models.recipe("srcnn-915").training
    assert paper is not None
    return {
        "the recipe": quick,
        "batch 16": replace(quick, batch=16),
        "batch 64": replace(quick, batch=64),
        "peak 2e-3": replace(quick, schedule=Cosine(peak=2e-3, warmup=0.02)),
        "peak 5e-3": replace(quick, schedule=Cosine(peak=5e-3, warmup=0.02)),
        "Adam, peak 2e-3": replace(quick, optimiser=ADAM, schedule=Cosine(peak=2e-3, warmup=0.02)),
        "as the paper, but for the backprops": replace(paper, backprops=quick.backprops),
        "no turns and flips": replace(quick, augmentation=NoAugmentation()),
        "last layer at a tenth": replace(quick, rates=SLOW_LAST),
        "Gaussian of 0.001": replace(quick, init=GaussianInit(std=0.001)),
        "new bases every 3 steps": replace(quick, optimiser=SOAP(momentum=0.95, memory=0.99, refresh=3)),
        "new bases every 30 steps": replace(quick, optimiser=SOAP(momentum=0.95, memory=0.99, refresh=30)),
        "memory 0.98": replace(quick, optimiser=SOAP(momentum=0.95, memory=0.98, refresh=10)),
        "momentum 0.9": replace(quick, optimiser=SOAP(momentum=0.9, memory=0.99, refresh=10)),
    }


def of_vdsr(paper: Training) -> dict[str, Training]:
    """Optimisers that may come sooner to what the paper's is short of; every one with turns and flips."""
    other = replace(paper, clip=None, augmentation=TurnAndFlip(), batch=16)
    soap = replace(other, optimiser=SOAP(momentum=0.95, memory=0.99, refresh=10))
    adam = replace(other, optimiser=ADAM)
    muon = replace(other, optimiser=Muon(momentum=0.95, memory=0.99))
    return {
        "SOAP, peak 1e-3": replace(soap, schedule=Cosine(peak=1e-3, warmup=0.02)),
        "SOAP, peak 3e-4": replace(soap, schedule=Cosine(peak=3e-4, warmup=0.02)),
        "Adam, peak 5e-4": replace(adam, schedule=Cosine(peak=5e-4, warmup=0.02)),
        "SOAP, peak 1e-4": replace(soap, schedule=Cosine(peak=1e-4, warmup=0.02)),
        "Muon, peak 1e-3": replace(muon, schedule=Cosine(peak=1e-3, warmup=0.02)),
        "Muon, peak 1e-3, batch 32": replace(muon, schedule=Cosine(peak=1e-3, warmup=0.02), batch=32),
        "Muon, peak 5e-4": replace(muon, schedule=Cosine(peak=5e-4, warmup=0.02)),
        "Muon, peak 2e-3, batch 64": replace(muon, schedule=Cosine(peak=2e-3, warmup=0.02), batch=64),
        "Adam, peak 2e-4": replace(adam, schedule=Cosine(peak=2e-4, warmup=0.02)),
        "Adam, peak 5e-4, batch 64": replace(adam, schedule=Cosine(peak=5e-4, warmup=0.02), batch=64),
        "the recipe": paper,
    }


def of_fsrcnn(quick: Training) -> dict[str, Training]:
    """The optimiser, rates and batch around those of srcnn-915-quick."""
    return {
        "peak 3e-3": replace(quick, schedule=Cosine(peak=3e-3, warmup=0.02)),
        "peak 1e-2": replace(quick, schedule=Cosine(peak=1e-2, warmup=0.02)),
        "peak 2e-2": replace(quick, schedule=Cosine(peak=2e-2, warmup=0.02)),
        "peak 3e-3, batch 16": replace(quick, schedule=Cosine(peak=3e-3, warmup=0.02), batch=16),
        "peak 1e-2, batch 16": replace(quick, schedule=Cosine(peak=1e-2, warmup=0.02), batch=16),
        "Adam, peak 5e-3, batch 16": replace(quick, optimiser=ADAM, schedule=Cosine(peak=5e-3, warmup=0.02), batch=16),
        "no turns and flips": replace(quick, augmentation=NoAugmentation()),
    }


COMPARED = {
    "srcnn-915-quick": (3, 150_000, of_srcnn),
    "vdsr-t91": (None, 30_000, of_vdsr),
    "fsrcnn-s-quick": (3, 100_000, of_fsrcnn),
}
"""By recipe: the scale, the backprops of every variant, and what is compared, by what differs from the recipe."""


def measured(
    recipe: Recipe, scale: int | None, backprops: int, precision: Precision, folder: DataFolder
) -> dict[str, Any]:
    assert recipe.training is not None
    assert recipe.training.backprops is not None, "recipes of a length in epochs are not compared here"
    budget = backprops / recipe.training.backprops
    hardware = Hardware(precision=precision).settled()
    run = Run(recipe=recipe, scale=scale, budget=budget, hardware=hardware, folder=folder, log_points=1)
    row: dict[str, Any] = {"backprops": run.course_of(recipe.training.batch).steps * recipe.training.batch}
    row["precision"] = precision
    try:
        with TemporaryDirectory() as workplace:
            _, state = train(run, Path(workplace))
    except Diverged:
        return row
    for name, value in state.log[-1].items():
        if name.endswith("psnr_db"):
            row[name if name.startswith("val20") else f"{name}_logged_only"] = value
    row |= {"seconds": state.log[-1]["seconds"], "mode": hardware.mode}
    return row | {"threads": torch.get_num_threads(), "machine": machine(hardware.device)}


@click.command()
@click.argument("name", metavar="RECIPE", type=click.Choice(list(COMPARED)))
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--variant", "wanted", multiple=True, help="May be repeated; all of them otherwise.")
@click.option("--precision", type=click.Choice(get_args(Precision)), default="float32", show_default=True)
@click.option("--data", type=click.Path(path_type=Path), envvar="SRREPRO_DATA", default=Path("datasets"))
@click.option("--mirror", type=click.Path(path_type=Path), envvar="SRREPRO_MIRROR")
def main(
    name: str, table: Path, wanted: tuple[str, ...], precision: Precision, data: Path, mirror: Path | None
) -> None:
    recipe = models.recipe(name)
    assert recipe.training is not None
    scale, backprops, variants = COMPARED[name]
    rows = pd.read_csv(table).to_dict("records") if table.exists() else []
    for variant, training in variants(recipe.training).items():
        if (variant, precision) in {(row["variant"], row["precision"]) for row in rows}:
            continue
        if not wanted or variant in wanted:
            row = measured(replace(recipe, training=training), scale, backprops, precision, DataFolder(data, mirror))
            rows.append({"variant": variant} | row)
            table.parent.mkdir(parents=True, exist_ok=True)
            pd.DataFrame(rows).to_csv(table, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
