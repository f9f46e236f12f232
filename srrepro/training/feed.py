"""From the store to the engine: batches in the order of an epoch, whether the store fits in memory or not."""

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8
from torch import Tensor

from srrepro.data.registry import DataFolder
from srrepro.data.stores import TrainingShape, count_training, read_training, stream_training

Batch = tuple[Float32[Tensor, "n 1 h h"], UInt8[Tensor, "n 1 p p"]]


class Feed:
    """Inputs and the central `label` pixels of every patch, on the device.

    A store of at most `memory` bytes is held there whole. Of a larger one as many batches as fit are gathered at a
    time, by reading the file once from beginning to end, so that the batches are the same in both cases.
    """

    def __init__(
        self, folder: DataFolder, shape: TrainingShape, *, label: int, batch: int, device: str, memory: int
    ) -> None:
        self.folder = folder
        self.shape = shape
        self.label = label
        self.batch = batch
        self.device = device
        self.count = count_training(folder, shape)
        self.order: Int64[Tensor, " n"] | None = None
        side = shape.patch // shape.scales[0] if shape.takes == "low" else shape.patch
        self.fitting = memory // (4 * side**2 + label**2)
        self.whole = self._whole() if self.count <= self.fitting else None
        self.begin, self.window = 0, (torch.empty(0), torch.empty(0))

    @property
    def batches(self) -> int:
        """Of an epoch: whole ones only, as the authors' stores hold them."""
        return self.count // self.batch

    def begin_epoch(self, order: Int64[Tensor, " n"]) -> None:
        """The order in which the patches are visited from now on."""
        self.order = order
        self.begin, self.window = 0, (torch.empty(0), torch.empty(0))

    def take(self, position: int) -> Batch:
        """The batch at a position of the epoch."""
        assert self.order is not None, "no epoch has begun"
        start = position * self.batch
        if self.whole is not None:
            chosen = self.order[start : start + self.batch].to(self.device)
            return self.whole[0][chosen], self.whole[1][chosen]
        if not self.begin <= start < self.begin + len(self.window[0]):
            self.begin, length = start, max(1, self.fitting // self.batch) * self.batch
            self.window = self._gathered(self.order[start : start + length])
        here = slice(start - self.begin, start - self.begin + self.batch)
        return self.window[0][here], self.window[1][here]

    def _whole(self) -> Batch:
        patches = read_training(self.folder, self.shape)
        return self._on_device(patches.inputs, patches.high)

    def _gathered(self, wanted: Int64[Tensor, " n"]) -> Batch:
        """Patches by number, in the order wanted."""
        place = np.full(self.count, -1)
        place[wanted.numpy()] = np.arange(len(wanted))
        parts, begin = [], 0
        for chunk in stream_training(self.folder, self.shape):
            places = place[begin : begin + len(chunk.high)]
            parts.append((places[places >= 0], chunk.inputs[places >= 0], chunk.high[places >= 0]))
            begin += len(chunk.high)
        places, inputs, high = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        back = np.argsort(places)
        return self._on_device(inputs[back], high[back])

    def _on_device(self, inputs: np.ndarray, high: np.ndarray) -> Batch:
        border = (self.shape.patch - self.label) // 2
        inside = slice(border, border + self.label)
        labels = np.ascontiguousarray(high[:, inside, inside])
        return (
            torch.from_numpy(inputs)[:, None].to(self.device),
            torch.from_numpy(labels)[:, None].to(self.device),
        )
