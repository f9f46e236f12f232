"""How the quick recipes were chosen: one change at a time, judged on val20, never on a test set.

    python bench/choose_quick.py srcnn-915-quick results/choices/srcnn-915-quick.csv
    python bench/choose_quick.py vdsr-t91-quick results/choices/vdsr-t91-quick.csv

Every variant trains with seed 0 (SRCNN at x3) for a part of the recipe's backprops. Rows are written as they come;
variants that the file holds already are skipped. Docs: docs/srcnn-quick.md, docs/vdsr-t91.md.
"""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import pandas as pd
import torch

from srrepro import models
from srrepro.data.registry import DataFolder
from srrepro.models.recipe import SOAP, Adam, Cosine, GaussianInit, LayerRates, NoAugmentation, Recipe, Training
from srrepro.reporting.provenance import machine
from srrepro.training.loop import Diverged, Run, train

SLOW_LAST = LayerRates(weights=(1, 1, 0.1), biases=(1, 1, 1))


def of_srcnn(quick: Training, paper: Training) -> dict[str, Training]:
    """What is compared, by what differs from the recipe."""
    adam = Adam(momentum=0.9, memory=0.999)
    return {
        "the recipe": quick,
        "batch 16": replace(quick, batch=16),
        "batch 64": replace(quick, batch=64),
        "peak 2e-3": replace(quick, schedule=Cosine(peak=2e-3, warmup=0.02)),
        "peak 5e-3": replace(quick, schedule=Cosine(peak=5e-3, warmup=0.02)),
        "Adam, peak 2e-3": replace(quick, optimiser=adam, schedule=Cosine(peak=2e-3, warmup=0.02)),
        "as the paper, but for the backprops": replace(paper, backprops=quick.backprops),
        "no turns and flips": replace(quick, augmentation=NoAugmentation()),
        "last layer at a tenth": replace(quick, rates=SLOW_LAST),
        "Gaussian of 0.001": replace(quick, init=GaussianInit(std=0.001)),
        "new bases every 3 steps": replace(quick, optimiser=SOAP(momentum=0.95, memory=0.99, refresh=3)),
        "new bases every 30 steps": replace(quick, optimiser=SOAP(momentum=0.95, memory=0.99, refresh=30)),
        "memory 0.98": replace(quick, optimiser=SOAP(momentum=0.95, memory=0.98, refresh=10)),
        "momentum 0.9": replace(quick, optimiser=SOAP(momentum=0.9, memory=0.99, refresh=10)),
    }


def of_vdsr(quick: Training, paper: Training) -> dict[str, Training]:
    """As `of_srcnn`, without a test set in the log: a look at one takes as long as twenty steps."""
    quick = replace(quick, logged=())
    soap = SOAP(momentum=0.95, memory=0.99, refresh=10)
    return {
        "the recipe": quick,
        "batch 32": replace(quick, batch=32),
        "batch 8": replace(quick, batch=8),
        "peak 1e-3": replace(quick, schedule=Cosine(peak=1e-3, warmup=0.02)),
        "SOAP, peak 1e-3": replace(quick, optimiser=soap, schedule=Cosine(peak=1e-3, warmup=0.02)),
        "SOAP, peak 3e-4": replace(quick, optimiser=soap, schedule=Cosine(peak=3e-4, warmup=0.02)),
        "as the paper, but for the backprops": replace(paper, logged=(), backprops=quick.backprops),
    }


# Variants, the part of the backprops that they get, and the scale.
COMPARED = {
    "srcnn-915-quick": (of_srcnn, "srcnn-915", 0.5, 3),
    "vdsr-t91-quick": (of_vdsr, "vdsr-t91", 0.1, None),
}


def measured(recipe: Recipe, budget: float, scale: int | None, folder: DataFolder) -> dict[str, Any]:
    run = Run(recipe=recipe, scale=scale, budget=budget, log_points=2)
    row: dict[str, Any] = {"backprops": run.backprops}
    try:
        with TemporaryDirectory() as workplace:
            _, state = train(run, folder, Path(workplace))
    except Diverged:
        return row
    last = state.log[-1]
    row |= {column: last[column] for column in last if column.startswith("val20")}
    row |= {f"{column}_logged_only": last[column] for column in last if column.startswith("Set5")}
    return row | {"seconds": last["seconds"], "threads": torch.get_num_threads(), "machine": machine(run.device)}


@click.command()
@click.argument("name", metavar="RECIPE", type=click.Choice(list(COMPARED)))
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), envvar="SRREPRO_DATA", default=Path("datasets"))
@click.option("--mirror", type=click.Path(path_type=Path), envvar="SRREPRO_MIRROR")
def main(name: str, table: Path, data: Path, mirror: Path | None) -> None:
    variants, paper, budget, scale = COMPARED[name]
    quick, published = models.recipe(name), models.recipe(paper).training
    assert quick.training is not None
    assert published is not None
    rows: list[Any] = pd.read_csv(table).to_dict("records") if table.exists() else []
    for variant, training in variants(quick.training, published).items():
        if variant not in {row["variant"] for row in rows}:
            row = measured(replace(quick, training=training), budget, scale, DataFolder(data, mirror))
            rows.append({"variant": variant} | row)
            table.parent.mkdir(parents=True, exist_ok=True)
            pd.DataFrame(rows).to_csv(table, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
