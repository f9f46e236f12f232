"""The usual public training loop, written well: what `srrepro bench` compares the engine with.

A `Dataset` that opens its HDF5 file once per worker and reads one item at a time, a shuffling `DataLoader` with
persistent workers, float32, PyTorch's default layout, autograd, an optimiser of PyTorch's. Network, loss, clipping,
batch and data are the recipe's. Run alone, it states what share of the processor's speed it reaches:

    python bench/plain.py srcnn-915 --scale 3
"""

import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import click
import h5py
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from srrepro import models
from srrepro.data.registry import DataFolder
from srrepro.data.stores import prepare_training, read_training
from srrepro.timing.speed import peak_gflops, training_flops
from srrepro.training.loop import Run

WORKERS = 2


class Pairs(Dataset[tuple[Tensor, Tensor]]):
    """Items of an HDF5 file whose data sets are contiguous, so that an item is read without its neighbours."""

    def __init__(self, path: Path, border: int) -> None:
        self.path = path
        self.inside = slice(border, -border or None)
        self.file: Any = None
        with h5py.File(path, "r") as file:
            self.count = len(file["high"])

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if self.file is None:  # once in every worker
            self.file = h5py.File(self.path, "r")
        inputs = torch.from_numpy(self.file["inputs"][index])
        high = torch.from_numpy(self.file["high"][index][self.inside, self.inside])
        return inputs[None], high[None].float() / 255


class PlainLoop:
    """`step()` is one batch: loaded, forward, backward, clipped, updated."""

    def __init__(self, run: Run, folder: DataFolder, scratch: Path) -> None:
        training, patches = run.training, run.training.patches
        prepare_training(folder, run.shape)
        store = read_training(folder, run.shape)
        path = scratch / "plain.h5"
        with h5py.File(path, "w") as file:
            file["inputs"], file["high"] = store.inputs, store.high
        self.device = run.device
        self.training = training
        self.network = run.network()
        training.init(self.network)
        self.network.to(run.device).train()
        self.optimiser = training.optimiser(training.rates(self.network))
        self.loader = DataLoader(
            Pairs(path, (patches.patch - patches.label) // 2),
            batch_size=training.batch,
            shuffle=True,
            drop_last=True,
            num_workers=WORKERS,
            persistent_workers=WORKERS > 0,
            pin_memory=run.device != "cpu",
        )
        self.batches = iter(self.loader)

    def step(self) -> None:
        try:
            inputs, high = next(self.batches)
        except StopIteration:
            self.batches = iter(self.loader)
            inputs, high = next(self.batches)
        inputs, high = inputs.to(self.device, non_blocking=True), high.to(self.device, non_blocking=True)
        lr = self.training.schedule(0.0)
        for group in self.optimiser.param_groups:
            group["lr"] = lr * group["factor"]
        self.optimiser.zero_grad(set_to_none=True)
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # float32 is what its row says
            self.training.loss(self.network(inputs), high).backward()
        if self.training.clip is not None:
            self.training.clip([p.grad for p in self.network.parameters() if p.grad is not None], lr)
        self.optimiser.step()


@click.command()
@click.argument("name", metavar="RECIPE")
@click.option("--scale", type=click.IntRange(2, 4), help="Not where one network serves all.")
@click.option("--steps", type=click.IntRange(min=1), default=20, show_default=True)
@click.option("--data", type=click.Path(path_type=Path), envvar="SRREPRO_DATA", default=Path("datasets"))
@click.option("--mirror", type=click.Path(path_type=Path), envvar="SRREPRO_MIRROR")
def main(name: str, scale: int | None, steps: int, data: Path, mirror: Path | None) -> None:
    run = Run(recipe=models.recipe(name), scale=scale)
    peak = peak_gflops("cpu", "float32")
    with tempfile.TemporaryDirectory() as scratch:
        loop = PlainLoop(run, DataFolder(data, mirror), Path(scratch))
        loop.step()
        started = perf_counter()
        for _ in range(steps):
            loop.step()
        seconds = (perf_counter() - started) / steps
    gflops = training_flops(run) * run.training.batch / seconds / 1e9
    speed = f"{seconds * 1e3:.1f} ms a step of {run.training.batch}, {run.training.batch / seconds:.0f} patches/s"
    click.echo(f"{name}: {speed}, {gflops:.0f} GFLOP/s, {gflops / peak:.0%} of a large matrix product's {peak:.0f}")


if __name__ == "__main__":
    main()
