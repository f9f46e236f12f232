"""One training step. The loop decides what is trained; here is only how a batch becomes an update."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from srrepro.kernels.convolution import Mode, Native
from srrepro.models.recipe import Training

Precision = Literal["float32", "bfloat16"]
CPUINFO = Path("/proc/cpuinfo")
LEAST_SHARE = 4_000_000_000
"""Multiply-adds of one pass: with less work, starting PyTorch's operations costs a thread more than it gains."""
CHUNK = 16
"""Patches that a thread takes through the whole network at a time in C: enough to be worth a start, few enough that
what one layer leaves is still near when the next one takes it."""


def fastest_precision(device: str) -> Precision:
    """bfloat16 where the processor multiplies it in hardware; elsewhere it is several times slower than float32."""
    if device == "cpu":
        return "bfloat16" if _flags() & {"amx_bf16", "avx512_bf16"} else "float32"
    return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"


def _flags() -> set[str]:
    try:
        return set(CPUINFO.read_text(encoding="utf-8").split())
    except OSError:  # no Linux
        return set()


class Engine:
    """A network and its optimiser, in the layout that convolutions of few channels run fastest in.

    On a processor every thread takes its share of the batch from the first layer to the last and back, so that threads
    wait for each other once a step and not once a layer. `native` convolutions are those of `srrepro.kernels`, `eager`
    ones are PyTorch's. `bfloat16` is autocast with float32 weights, and eager.
    """

    def __init__(
        self, network: nn.Module, training: Training, *, device: str, precision: Precision, mode: Mode = "eager"
    ) -> None:
        self.network: nn.Module = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.loss = training.loss
        self.clip = training.clip
        self.optimiser = training.optimiser(training.rates(self.network))
        self.parameters = list(self.network.parameters())
        self.device = device
        self.precision = precision
        self.mode = mode
        threads = torch.get_num_threads()
        work = training.batch * training.patches.label**2 * sum(map(torch.numel, self.parameters))
        worth = threads if mode == "native" else max(1, work // LEAST_SHARE)
        self.shares = min(threads, training.batch, worth) if device == "cpu" else 1
        if self.shares > 1:
            self.pool = ThreadPoolExecutor(
                self.shares, "share", initializer=torch.set_num_threads, initargs=(threads // self.shares,)
            )

    def step(self, inputs: Float[Tensor, "n 1 h w"], high: Float[Tensor, "n 1 p p"], *, lr: float) -> Float[Tensor, ""]:
        """Update the weights once; the loss before the update."""
        for group in self.optimiser.param_groups:
            group["lr"] = lr * group["factor"]
        loss, gradients = self._backward(inputs, high)
        if self.clip is not None:
            self.clip(gradients, lr)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
        self.optimiser.step()
        return loss

    def _backward(self, inputs: Tensor, high: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The loss of a batch and its gradients; always summed in the same order, so that a run can be repeated."""
        if self.shares == 1:
            return self._backward_share(inputs, high, 1.0)
        parts = list(zip(inputs.chunk(self.shares), high.chunk(self.shares), strict=True))
        weights = [len(part) / len(inputs) for part, _ in parts]
        return _summed(self.pool.map(self._backward_share, *zip(*parts, strict=True), weights))

    def _backward_share(self, inputs: Tensor, high: Tensor, weight: float) -> tuple[Tensor, list[Tensor]]:
        if self.mode == "eager":
            return self._backward_part(inputs, high, weight)
        with Native(threads=1):
            parts = [
                self._backward_part(some, their, weight * len(some) / len(inputs))
                for some, their in zip(torch.split(inputs, CHUNK), torch.split(high, CHUNK), strict=True)
            ]
        return _summed(parts)

    def _backward_part(self, inputs: Tensor, high: Tensor, weight: float) -> tuple[Tensor, list[Tensor]]:
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        # No cache of cast weights: it would be shared by all threads, and emptied by the first to be ready.
        with torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bfloat16", cache_enabled=False):
            estimate = self.network(inputs)
        loss = self.loss(estimate.float(), high) * weight
        return loss.detach(), list(torch.autograd.grad(loss, self.parameters))


def _summed(parts: Iterable[tuple[Tensor, list[Tensor]]]) -> tuple[Tensor, list[Tensor]]:
    """Losses and gradients of parts of a batch, always added in the same order."""
    (loss, gradients), *others = parts
    for more, further in others:
        loss += more
        for gradient, extra in zip(gradients, further, strict=True):
            gradient += extra
    return loss, gradients
