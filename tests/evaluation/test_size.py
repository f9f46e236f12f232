"""Parameters and multiply-adds, counted by hand."""

import pytest
from torch import Tensor, nn

from srrepro import models
from srrepro.evaluation.size import PRINTED_FOR, multiply_adds, parameters
from srrepro.models.recipe import LOW


class Enlarging(nn.Module):
    """One filter of 3×3 on the small image, then a transposed one of 9×9."""

    takes = LOW

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, padding=1)
        self.last = nn.ConvTranspose2d(4, 1, 9, scale, padding=4, output_padding=scale - 1)

    def forward(self, low: Tensor) -> Tensor:
        out: Tensor = self.last(self.first(low))
        return out


def test_multiply_adds_of_networks_at_full_size() -> None:
    """SRCNN 9-1-5 in inference: 8,032 multiply-adds a pixel; VDSR has 664,704."""
    srcnn, vdsr = models.recipe("srcnn-915").network(3), models.recipe("vdsr-t91").network(3)
    assert multiply_adds(srcnn, 3, 10, 20) == 200 * (81 * 64 + 64 * 32 + 32 * 25)
    assert multiply_adds(vdsr, 3, 10, 20) == 200 * 9 * (64 + 18 * 64 * 64 + 64)


@pytest.mark.parametrize("scale", [2, 4])
def test_multiply_adds_of_a_network_that_enlarges(scale: int) -> None:
    height, width = PRINTED_FOR
    pixels = height * width // scale**2
    assert multiply_adds(Enlarging(scale), scale, height, width) == pixels * (9 * 4 + 81 * 4)


def test_a_size_that_the_scale_does_not_divide_counts_fractions() -> None:
    assert multiply_adds(Enlarging(3), 3, 720, 1280) == round(720 * 1280 / 9 * 4 * 90)


def test_parameters() -> None:
    assert parameters(models.recipe("srcnn-915").network(3)) == 8032 + 64 + 32 + 1
    assert parameters(Enlarging(3)) == 36 + 4 + 324 + 1


def test_counting_leaves_the_network_as_it_was() -> None:
    network = models.recipe("srcnn-915").network(3)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    multiply_adds(network, 3, 15, 15)
    assert network.training
    assert all((network.state_dict()[name] == tensor).all() for name, tensor in before.items())
    assert not any(module._forward_hooks for module in network.modules())
