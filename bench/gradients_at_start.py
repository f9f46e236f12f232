"""What a network's first batch gives every layer to learn from: norms of the weights and of their gradients.

python bench/gradients_at_start.py vdsr-notes vdsr-t91 results/choices/vdsr-notes-gradients.csv
"""

from pathlib import Path

import click
import pandas as pd
import torch

from srrepro import models
from srrepro.data.registry import DataFolder
from srrepro.data.stores import prepare_training
from srrepro.training.run import Run


@click.command()
@click.argument("names", metavar="RECIPE...", nargs=-1, required=True)
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), envvar="SRREPRO_DATA", default=Path("datasets"))
@click.option("--mirror", type=click.Path(path_type=Path), envvar="SRREPRO_MIRROR")
def main(names: tuple[str, ...], table: Path, data: Path, mirror: Path | None) -> None:
    rows = []
    for name in names:
        run = Run(recipe=models.recipe(name), folder=DataFolder(data, mirror))
        training = run.training
        prepare_training(run.folder, run.shape)
        feed = run.feed()
        torch.manual_seed(run.seed)
        network = run.network().train()
        training.init(network)
        feed.begin_epoch(training.order(feed.count, seed=run.seed, epoch=0))
        inputs, labels = feed.take(0)
        loss = training.loss(network(inputs), labels.float() / 255)
        weights = [parameter for parameter in network.parameters() if parameter.ndim > 1]
        gradients = torch.autograd.grad(loss, weights)
        for layer, (weight, gradient) in enumerate(zip(weights, gradients, strict=True), start=1):
            norms = {"weight_norm": weight.norm().item(), "gradient_norm": gradient.norm().item()}
            rows.append({"recipe": name, "loss": loss.item(), "layer": layer, **norms})
    pd.DataFrame(rows).to_csv(table, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
