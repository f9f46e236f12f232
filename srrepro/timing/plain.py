"""The usual public training loop, written well: what `srrepro bench` compares the engine with.

A `Dataset` that opens its HDF5 file once per worker and reads one item at a time, a shuffling `DataLoader` with
persistent workers, float32, PyTorch's default layout, autograd, an optimiser of PyTorch's. Network, loss, clipping,
batch and data are the recipe's. A step is `plain_step`, the textbook's.
"""

from pathlib import Path
from typing import Any

import h5py
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from srrepro.data.stores import prepare_training, read_training
from srrepro.training.engine import plain_step
from srrepro.training.feed import channels_first
from srrepro.training.run import Run

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
        high = torch.from_numpy(self.file["high"][index][:, self.inside, self.inside])
        return inputs, high.float() / 255


class PlainLoop:
    """`step()` is one batch: loaded, forward, backward, clipped, updated."""

    def __init__(self, run: Run, scratch: Path) -> None:
        training, patches = run.training, run.training.patches
        prepare_training(run.folder, run.shape)
        store = read_training(run.folder, run.shape)
        path = scratch / "plain.h5"
        with h5py.File(path, "w") as file:
            file["inputs"], file["high"] = channels_first(store.inputs), channels_first(store.high)
        self.device = run.hardware.device
        self.training = training
        self.network = run.network()
        training.init(self.network)
        self.network.to(self.device).train()
        self.optimiser = training.optimiser(training.rates(self.network))
        self.loader = DataLoader(
            Pairs(path, (patches.patch - patches.label) // 2),
            batch_size=training.batch,
            shuffle=True,
            drop_last=True,
            num_workers=WORKERS,
            persistent_workers=WORKERS > 0,
            pin_memory=self.device != "cpu",
        )
        self.batches = iter(self.loader)

    def step(self) -> None:
        try:
            inputs, high = next(self.batches)
        except StopIteration:
            self.batches = iter(self.loader)
            inputs, high = next(self.batches)
        inputs, high = inputs.to(self.device, non_blocking=True), high.to(self.device, non_blocking=True)
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # float32 is what its row says
            plain_step(self.network, self.optimiser, self.training, inputs, high, lr=self.training.schedule(0.0))
