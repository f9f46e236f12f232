"""One turn of `srrepro bench --compare`: times whichever srrepro it finds, and prints JSON.

By task, the milliseconds that passed and the milliseconds that the processors worked; of several repetitions the
fastest counts, because other work on the machine only ever slows one down.

    python srrepro/timing/turn.py srcnn-915 vdsr-t91 --without "vdsr-t91, inference"
"""

import json
from collections.abc import Callable, Iterable, Iterator
from time import perf_counter, process_time

import click
import numpy as np
import torch

import srrepro
from srrepro import models
from srrepro.evaluation.upscaler import Upscaler
from srrepro.hardware import Hardware
from srrepro.protocols.degradation import degrade
from srrepro.training.engine import Engine
from srrepro.training.run import Run

SCALE = 3
SECONDS, PART = 8.0, 0.1
"""All tasks together, and one until the next has its turn: other work comes and goes within seconds."""
IMAGE = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)


def fastest_ms(tasks: dict[str, Callable[[], object]]) -> dict[str, list[float]]:
    times: dict[str, list[tuple[float, float]]] = {task: [] for task in tasks}
    for turn in tasks.values():
        turn()  # what only the first has to do
    end = perf_counter() + SECONDS
    while perf_counter() < end:
        for task, turn in tasks.items():
            enough = perf_counter() + PART
            while perf_counter() < enough:
                passed, worked = perf_counter(), process_time()
                turn()
                times[task].append((perf_counter() - passed, process_time() - worked))
    return {task: [min(clock) * 1e3 for clock in zip(*rows, strict=True)] for task, rows in times.items()}


def turns(name: str) -> Iterator[tuple[str, Callable[[], object]]]:
    recipe = models.recipe(name)
    training = recipe.training
    assert training is not None, f"{name} has nothing to train"
    torch.manual_seed(0)
    run = Run(recipe=recipe, scale=None if training.scales else SCALE, hardware=Hardware().settled())
    engine = Engine(run.network().train(), training, run.hardware)
    batch = max(1, training.batch // 4)  # short work is sooner left alone for once
    channels, side, label = training.patches.takes.channels, run.shape.side, training.patches.label
    inputs, labels = torch.rand(batch, channels, side, side), torch.rand(batch, channels, label, label)

    def step() -> None:
        with engine:
            engine.step(inputs, labels, lr=1e-9)

    yield f"{name}, training step", step
    upscaler = Upscaler(run.subject, recipe.network(SCALE), SCALE)
    image = run.protocol.fed(run.protocol.degradation(IMAGE, SCALE), upscaler.takes)
    yield f"{name}, inference", lambda: upscaler.estimate(image)


def tasks(names: Iterable[str]) -> Iterator[tuple[str, Callable[[], object]]]:
    for name in names:
        yield from turns(name)
    yield "degradation", lambda: degrade(IMAGE, SCALE)


@click.command()
@click.argument("names", nargs=-1, metavar="RECIPE...")
@click.option("--without", multiple=True, metavar="TASK")
def main(names: tuple[str, ...], without: tuple[str, ...]) -> None:
    timed = fastest_ms({task: turn for task, turn in tasks(names) if task not in without})
    click.echo(json.dumps({"srrepro": srrepro.__file__, "ms": timed}))


if __name__ == "__main__":
    main()
