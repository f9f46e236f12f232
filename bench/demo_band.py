"""What the demo run of `srrepro check` may score: the same recipe with other seeds, modes and numbers of threads.

python bench/demo_band.py results/choices/demo-band.csv
"""

import tempfile
from pathlib import Path
from statistics import mean

import click
import pandas as pd
import torch

from srrepro.data.registry import DataFolder
from srrepro.jobs import suites
from srrepro.jobs.check import DEMO, SCALE
from srrepro.jobs.suites import Train, Workshop
from srrepro.kernels.convolution import Mode
from srrepro.reporting.evidence import read

RUNS: list[tuple[int, Mode, int]] = [
    *((seed, "native", 2) for seed in range(10)),
    (0, "native", 1),
    (0, "native", 4),
    (0, "eager", 1),
    (0, "eager", 2),
    (1, "eager", 1),
]


@click.command()
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), envvar="SRREPRO_DATA", default=Path("datasets"))
def main(table: Path, data: Path) -> None:
    rows = []
    for seed, mode, threads in RUNS:
        torch.set_num_threads(threads)
        with tempfile.TemporaryDirectory() as scratch:
            shop = Workshop(DataFolder(data, None), Path(scratch), precision="float32", mode=mode)
            kept, _ = suites.carry_out(Train(name=DEMO, scale=SCALE, seed=seed, test_sets=("demo-test",)), shop)
            psnr_db = mean(score.psnr_db for score in read(kept).scores)
        rows.append({"seed": seed, "mode": mode, "threads": threads, "psnr_db": psnr_db})
        click.echo(rows[-1])
        pd.DataFrame(rows).to_csv(table, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
