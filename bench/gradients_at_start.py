"""What a network's first batch gives every layer to learn from: norms of the weights and of their gradients.

python bench/gradients_at_start.py vdsr-notes vdsr-t91 results/choices/vdsr-notes-gradients.csv
"""

from pathlib import Path

import click
import pandas as pd

from srrepro import models
from srrepro.data.registry import DataFolder
from srrepro.jobs.claims import norms_at_start
from srrepro.training.run import Run


@click.command()
@click.argument("names", metavar="RECIPE...", nargs=-1, required=True)
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), envvar="SRREPRO_DATA", default=Path("datasets"))
@click.option("--mirror", type=click.Path(path_type=Path), envvar="SRREPRO_MIRROR")
def main(names: tuple[str, ...], table: Path, data: Path, mirror: Path | None) -> None:
    rows = [
        {"recipe": name, **{key: norms[key] for key in ("loss", "layer", "weight_norm", "gradient_norm")}}
        for name in names
        for norms in norms_at_start(Run(recipe=models.recipe(name), folder=DataFolder(data, mirror)))
    ]
    pd.DataFrame(rows).to_csv(table, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
