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
from srrepro.hardware import Hardware, Mode
from srrepro.jobs.carry_out import carry_out
from srrepro.jobs.check import DEMO, SCALE
from srrepro.jobs.job import Train, Workspace
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
            hardware = Hardware(precision="float32", mode=mode)
            workspace = Workspace(DataFolder(data, None), Path(scratch), hardware)
            kept, _ = carry_out(Train(name=DEMO, scale=SCALE, seed=seed, test_sets=("demo-test",)), workspace)
            psnr_db = mean(score.values["psnr_db"] for score in read(kept).scores)
        rows.append({"seed": seed, "mode": mode, "threads": threads, "psnr_db": psnr_db})
        click.echo(rows[-1])
        pd.DataFrame(rows).to_csv(table, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
