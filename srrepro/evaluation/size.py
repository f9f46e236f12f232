"""How large a network is: its parameters, and the multiply-adds of one image."""

from fractions import Fraction

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from srrepro.kernels.convolution import on_meta
from srrepro.models.recipe import takes

PRINTED_FOR = (720, 1280)
"""Height and width of the image that papers count multiply-adds for."""


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def multiply_adds(network: nn.Module, scale: int, height: int, width: int) -> int:
    """Of all convolutions, for an image of this size that comes out; of a fraction of a pixel, that fraction.

    Counted as PyTorch does it: of a transposed convolution, one per weight and pixel that goes in.
    """
    what = takes(network)
    factor = scale if what.small else 1
    counted = height // factor * factor, width // factor * factor
    with FlopCounterMode(display=False) as counter:
        on_meta(network).eval()(torch.empty(1, what.channels, *(side // factor for side in counted), device="meta"))
    return round(Fraction(counter.get_total_flops(), 2) * Fraction(height * width, counted[0] * counted[1]))
