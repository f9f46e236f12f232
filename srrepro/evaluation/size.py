"""How large a network is: its parameters, and the multiply-adds of one image."""

from collections.abc import Sequence
from fractions import Fraction
from math import prod
from typing import Any, Literal

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from srrepro.kernels.convolution import on_meta
from srrepro.models.recipe import takes

PRINTED_FOR = (720, 1280)
"""Height and width of the image that papers count multiply-adds for."""
Counted = Literal["input", "output"]


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def multiply_adds(network: nn.Module, scale: int, height: int, width: int, *, counted: Counted = "input") -> int:
    """Of all convolutions, for an image of this size that comes out; of a fraction of a pixel, that fraction.

    `counted` is of transposed convolutions: a weight works once per pixel that goes in, which is what is computed, or,
    as some papers print it, per pixel that comes out.
    """
    what = takes(network)
    factor = scale if what.small else 1
    rows, columns = height // factor * factor, width // factor * factor
    given = torch.empty(1, what.channels, rows // factor, columns // factor, device="meta")
    mapping = {torch.ops.aten.convolution: _per_output_pixel} if counted == "output" else {}
    with FlopCounterMode(display=False, custom_mapping=mapping) as counter:
        on_meta(network).eval()(given)
    return round(Fraction(counter.get_total_flops(), 2) * Fraction(height * width, rows * columns))


def _per_output_pixel(_given: Any, weight: Sequence[int], *_rest: Any, out_shape: Sequence[int]) -> int:
    return 2 * prod(weight) * prod(out_shape[2:]) * out_shape[0]
