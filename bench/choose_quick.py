"""How `srcnn-915-quick` was chosen: one change at a time from the recipe, judged on val20, never on a test set.

    python bench/choose_quick.py --data datasets results/choices/srcnn-915-quick.csv

Every variant trains at x3 with seed 0 for half of the recipe's backprops. Rows are written as they come; variants that
the file holds already are skipped. Docs: docs/srcnn-quick.md.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import pandas as pd
import torch

from srrepro import models
from srrepro.data.registry import DataFolder
from srrepro.models.recipe import SOAP, Cosine, GaussianInit, LayerRates, NoAugmentation, Recipe, Training
from srrepro.reporting.provenance import machine
from srrepro.training.loop import Diverged, Run, train

SLOW_LAST = LayerRates(weights=(1, 1, 0.1), biases=(1, 1, 1))


@dataclass(frozen=True, kw_only=True)
class Adam:
    """The optimiser of the first look, for comparison; no recipe uses it."""

    def __call__(self, groups: Iterable[dict[str, Any]]) -> torch.optim.Optimizer:
        return torch.optim.Adam(groups, lr=1.0)


def variants(quick: Training, paper: Training) -> dict[str, Training]:
    """What is compared, by what differs from the recipe."""
    adam: Any = Adam()
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


def measured(name: str, recipe: Recipe, folder: DataFolder) -> dict[str, Any]:
    run = Run(recipe=recipe, scale=3, budget=0.5)
    row: dict[str, Any] = {"variant": name, "backprops": run.backprops}
    try:
        with TemporaryDirectory() as workplace:
            _, state = train(run, folder, Path(workplace))
    except Diverged:
        return row
    last = state.log[-1]
    row |= {"val20_psnr_db": last["val20_psnr_db"], "Set5_psnr_db_logged_only": last["Set5_psnr_db"]}
    return row | {"seconds": last["seconds"], "threads": torch.get_num_threads(), "machine": machine(run.device)}


@click.command()
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), envvar="SRREPRO_DATA", default=Path("datasets"))
@click.option("--mirror", type=click.Path(path_type=Path), envvar="SRREPRO_MIRROR")
def main(table: Path, data: Path, mirror: Path | None) -> None:
    quick, paper = models.recipe("srcnn-915-quick"), models.recipe("srcnn-915")
    assert quick.training is not None
    assert paper.training is not None
    rows = pd.read_csv(table).to_dict("records") if table.exists() else []
    for name, training in variants(quick.training, paper.training).items():
        if name not in {row["variant"] for row in rows}:
            rows.append(measured(name, replace(quick, training=training), DataFolder(data, mirror)))
            table.parent.mkdir(parents=True, exist_ok=True)
            pd.DataFrame(rows).to_csv(table, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
