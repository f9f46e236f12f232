"""From the store to the engine: batches in the order of an epoch, whether the store fits in memory or not."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float32, Int64, UInt8
from numpy import ndarray
from torch import Tensor

from srrepro.data.registry import DataFolder
from srrepro.data.stores import TrainingShape, count_training, stream_training
from srrepro.errors import InputError
from srrepro.hardware import Hardware
from srrepro.protocols.protocol import Protocol

Batch = tuple[Float32[Tensor, "n c h h"], UInt8[Tensor, "n c p p"]]


def sent(tensor: Tensor, device: str) -> Tensor:
    """On the device, without waiting until that has done what it was told before."""
    return tensor if device == "cpu" else tensor.pin_memory().to(device, non_blocking=True)


@dataclass(frozen=True, kw_only=True)
class Course:
    """How a run of about `backprops` patches walks through epochs of `size` patches, in batches of `batch`.

    An epoch has whole batches only, as the authors' stores of SRCNN hold them; or, if `incomplete`, one more of what is
    left over.
    """

    size: int
    batch: int
    backprops: float
    incomplete: bool = False

    @property
    def batches(self) -> int:
        """Of an epoch."""
        return math.ceil(self.size / self.batch) if self.incomplete else self.size // self.batch

    @property
    def steps(self) -> int:
        if not self.incomplete:
            return max(1, round(self.backprops / self.batch))
        epochs, rest = divmod(round(self.backprops), self.size)
        return max(1, epochs * self.batches + math.ceil(rest / self.batch))

    def seen(self, step: int) -> int:
        """Patches after that many steps."""
        epochs, position = divmod(step, self.batches)
        ended = min(self.size, self.batches * self.batch)
        return epochs * ended + position * self.batch


class Feed:
    """Inputs and the central `label` pixels of every patch, on the device.

    A store of at most the hardware's memory is held there whole. Of a larger one as many batches as fit are gathered at
    a time, by reading the file once from beginning to end, so that the batches are the same in both cases. A few
    batches lie beside them.

    Raises
    ------
    InputError : the store cannot be read, has less than a batch, or the memory does not hold one.
    """

    def __init__(
        self,
        folder: DataFolder,
        shape: TrainingShape,
        *,
        label: int,
        batch: int,
        hardware: Hardware,
        protocol: Protocol,
    ) -> None:
        self.folder = folder
        self.shape = shape
        self.label = label
        self.protocol = protocol
        self.batch = batch
        self.device = hardware.device
        self.count = count_training(folder, shape)
        fitting = hardware.memory // (shape.takes.channels * (4 * shape.side**2 + label**2))
        if self.count < batch:
            msg = f"Batches of {batch} patches were to be taken from {shape.set}, but it has {self.count}."
            raise InputError(msg)
        if fitting < batch:
            asked = f"A batch was to be held in {hardware.memory} bytes"
            msg = f"{asked}, but these are {fitting} patches of {batch}. Allow more."
            raise InputError(msg)
        self.order: Int64[Tensor, " n"] | None = None
        self.whole = self._gathered(torch.arange(self.count)) if self.count <= fitting else None
        self.window: Batch | None = None
        self.begin, self.length = 0, fitting // batch * batch

    def begin_epoch(self, order: Int64[Tensor, " n"]) -> None:
        """The order in which the patches are visited from now on; one may come several times."""
        self.order = order if self.whole is None else sent(order, self.device)
        self.window = None

    def take(self, position: int) -> Batch:
        """The batch at a position of the epoch."""
        assert self.order is not None, "no epoch has begun"
        start = position * self.batch
        if self.whole is not None:
            chosen = self.order[start : start + self.batch]
            return self.whole[0][chosen], self.whole[1][chosen]
        if self.window is None or not self.begin <= start < self.begin + self.length:
            self.window = None  # before the next one: there is memory for one
            self.begin = start
            self.window = self._gathered(self.order[start : start + self.length])
        here = slice(start - self.begin, start - self.begin + self.batch)
        return self.window[0][here].clone(), self.window[1][here].clone()  # views would keep the whole window

    def _gathered(self, wanted: Int64[Tensor, " n"]) -> Batch:
        """Patches by number, in the order wanted."""
        places = np.argsort(wanted.numpy(), kind="stable")
        numbers = wanted.numpy()[places]
        channels = self.shape.takes.channels
        inputs = np.empty((len(wanted), channels, self.shape.side, self.shape.side), np.float32)
        labels = np.empty((len(wanted), channels, self.label, self.label), np.uint8)
        border = (self.shape.patch - self.label) // 2
        inside = slice(border, border + self.label)
        begin = 0
        for chunk in stream_training(self.folder, self.shape):
            here = slice(*np.searchsorted(numbers, (begin, begin + len(chunk.high))))
            chosen = numbers[here] - begin
            inputs[places[here]] = channels_first(chunk.inputs[chosen])
            labels[places[here]] = channels_first(chunk.high[chosen][:, inside, inside])
            begin += len(chunk.high)
        if not self.shape.takes.small:
            inputs = self.protocol.admitted(inputs)
        return torch.from_numpy(inputs).to(self.device), torch.from_numpy(labels).to(self.device)


def channels_first(patches: ndarray) -> ndarray:
    """[n, c, h, w], from patches whose channels, if they have several, come last."""
    return patches[:, None] if patches.ndim == 3 else np.moveaxis(patches, -1, 1)
