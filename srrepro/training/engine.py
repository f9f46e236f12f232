"""One training step. The loop decides what is trained; here is only how a batch becomes an update."""

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from srrepro.models.recipe import Training

Precision = Literal["float32", "bfloat16"]


class Engine:
    """A network and its optimiser, in the layout that convolutions of few channels run fastest in.

    `bfloat16` is autocast with float32 weights: faster only on processors that have instructions for it.
    """

    def __init__(self, network: nn.Module, training: Training, *, device: str, precision: Precision) -> None:
        self.network: nn.Module = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.loss = training.loss
        self.optimiser = training.optimiser(training.rates(self.network))
        self.device = device
        self.precision = precision

    def step(self, inputs: Float[Tensor, "n 1 h w"], high: Float[Tensor, "n 1 p p"], *, lr: float) -> Float[Tensor, ""]:
        """Update the weights once; the loss before the update."""
        for group in self.optimiser.param_groups:
            group["lr"] = lr * group["factor"]
        self.optimiser.zero_grad()
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bfloat16"):
            estimate = self.network(inputs)
        loss = self.loss(estimate.float(), high)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimiser.step()
        return loss.detach()
