"""Rows of `speed.csv` from a machine that is there for minutes, a network at a time; `gpu_minutes.py` calls it.

    PYTHONPATH=. python bench/gpu_rows.py --device cuda --mirror mirror out srcnn-915 steps images

`steps` are training steps: the plain loop and every mode but `compiled`, in every precision. `images` are images of
256×256, 1280×720 and 1920×1080. `compiled` takes minutes to begin, so it is asked for by itself. Turns are shorter than
those of `srrepro bench`: nobody else is at work there.
"""

from functools import partial
from pathlib import Path

import click

from srrepro.data.registry import DataFolder
from srrepro.reporting.provenance import provenance
from srrepro.timing import speed

SECONDS_A_TURN = 0.25


@click.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.argument("name")
@click.argument("tasks", nargs=-1, required=True, type=click.Choice(["steps", "images", "compiled"]))
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cuda", show_default=True)
@click.option("--data", type=click.Path(path_type=Path), envvar="SRREPRO_DATA", default=Path("datasets"))
@click.option("--mirror", type=click.Path(path_type=Path), envvar="SRREPRO_MIRROR")
def main(out: Path, name: str, tasks: tuple[str, ...], device: str, data: Path, mirror: Path | None) -> None:
    speed.SECONDS_A_TURN = SECONDS_A_TURN
    under = speed.conditions(provenance(device))
    train = partial(speed.training_speed, name, DataFolder(data, mirror), device)
    jobs = {
        "steps": [partial(train, only=("native", "eager", "graph"))],
        "images": [partial(speed.inference_speed, name, size, device) for size in speed.SIZES],
        "compiled": [partial(train, only=("compiled",))],
    }
    for task in tasks:
        for job in jobs[task]:
            speed.record(job(), out / "speed.csv", under)  # now: the machine may be taken away


if __name__ == "__main__":
    main()
