"""A network band by band, beside PyTorch's own convolutions."""

from typing import Any, Literal

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import pad, relu

from srrepro import models
from srrepro.kernels.bands import Bands
from srrepro.kernels.compiled import library
from srrepro.models.dncnn import Denoiser
from srrepro.models.recipe import INTERPOLATED

pytestmark = pytest.mark.skipif(library() is None, reason="no C compiler")


class Chain(nn.Module):
    """Layers that keep the size, with zeros or the edge around an image, and large enough weights to see an error."""

    takes, chain = INTERPOLATED, True

    def __init__(
        self, kernels: list[int], planes: list[int], *, border: Literal["zeros", "replicate"], residual: int = 0
    ) -> None:
        super().__init__()
        self.border, self.residual = border, residual
        inside = kernels if border == "zeros" else [1] * len(kernels)
        self.layers = nn.ModuleList(
            nn.Conv2d(planes[i], planes[i + 1], kernel, padding=inside[i] // 2, bias=i != 1)
            for i, kernel in enumerate(kernels)
        )
        for layer in self.layers:
            nn.init.kaiming_normal_(layer.weight)

    def forward(self, image: Tensor) -> Tensor:
        hidden = image
        for layer in self.layers:
            side = layer.kernel_size[0] // 2 - layer.padding[0]
            hidden = layer(pad(hidden, (side,) * 4, mode="replicate") if side else hidden)
            hidden = hidden if layer is self.layers[-1] else relu(hidden)
        if self.residual == 0:
            return hidden
        return image + hidden if self.residual == 1 else image - hidden


def bands_of(network: nn.Module) -> Bands:
    found = Bands.of(network.eval())
    assert found is not None
    return found


def beside(network: nn.Module, shape: tuple[int, int], *, tolerance: float = 2e-5, **how: Any) -> None:
    image = np.random.default_rng(0).random(shape, np.float32)
    with torch.inference_mode():
        expected = network(torch.from_numpy(image)[None, None])[0, 0].numpy()
    found = bands_of(network)(image, **how)
    np.testing.assert_allclose(found, expected, atol=tolerance * max(1, np.abs(expected).max()))


@settings(max_examples=40, deadline=None)
@given(
    kernels=st.lists(st.sampled_from([1, 3, 5, 9]), min_size=2, max_size=5),
    planes=st.lists(st.sampled_from([16, 32]), min_size=4, max_size=4),
    border=st.sampled_from(["zeros", "replicate"]),
    residual=st.sampled_from([0, 1, -1]),
    shape=st.tuples(st.integers(1, 60), st.integers(1, 150)),
    threads=st.integers(1, 3),
    memory=st.sampled_from([None, 1, 1 << 20]),
)
def test_bands_give_what_the_network_gives(
    kernels: list[int],
    planes: list[int],
    border: Literal["zeros", "replicate"],
    residual: int,
    shape: tuple[int, int],
    threads: int,
    memory: int | None,
) -> None:
    if max(kernels) == 1:
        kernels[0] = 3  # without any border there is nothing to be told about it
    network = Chain(kernels, [1, *planes[: len(kernels) - 1], 1], border=border, residual=residual)
    beside(network, shape, threads=threads, memory=memory)


@pytest.mark.parametrize("name", ["srcnn-915", "srcnn-935", "srcnn-955", "srcnn-915-notes", "vdsr-10-residual"])
def test_networks_of_the_house_are_computed_in_bands(name: str) -> None:
    torch.manual_seed(0)
    network = models.recipe(name).network(3).eval()
    for layer in network.layers:
        nn.init.kaiming_normal_(layer.weight)
    beside(network, (40, 90), threads=2)


def test_what_subtracts_its_layers_is_computed_in_bands() -> None:
    torch.manual_seed(0)
    beside(Denoiser(depth=4)(3).eval(), (40, 90), threads=2)


def test_weights_of_now_are_used() -> None:
    network = Chain([3, 3], [1, 16, 1], border="zeros").eval()
    image = np.ones((8, 8), np.float32)
    bands = bands_of(network)
    before = bands(image, threads=1)
    network.layers[1].weight.data.mul_(2)  # which no version counter notices
    np.testing.assert_allclose(bands(image, threads=1), 2 * before, atol=1e-5)


class _RectifiedLast(Chain):
    def forward(self, image: Tensor) -> Tensor:
        return relu(super().forward(image))


class _AddedTo(Chain):
    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image) + image


class _Halved(Chain):
    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image) / 2


class _LessTheImage(Chain):
    def forward(self, image: Tensor) -> Tensor:
        return super().forward(image) - image


class _Valid(Chain):
    def forward(self, image: Tensor) -> Tensor:
        return pad(self.layers[1](relu(self.layers[0](pad(image, (2,) * 4)))), (-1,) * 4)


def test_a_last_rectifier_belongs_to_its_layer() -> None:
    beside(_RectifiedLast([3, 5], [1, 16, 1], border="replicate").eval(), (20, 40), threads=1)


def test_a_sum_has_no_order() -> None:
    beside(_AddedTo([3, 5], [1, 16, 1], border="zeros").eval(), (20, 40), threads=1)


@pytest.mark.parametrize("kind", [_Halved, _LessTheImage, _Valid])
def test_what_is_more_than_a_chain_is_none(kind: type[Chain]) -> None:
    assert Bands.of(kind([3, 3], [1, 16, 1], border="zeros").eval()) is None


def test_only_what_promises_to_be_a_chain_is_one() -> None:
    network = Chain([3, 3], [1, 16, 1], border="zeros").eval()
    network.chain = False
    assert Bands.of(network) is None
    assert Bands.of(nn.Identity()) is None


def test_less_memory_means_more_and_narrower_stripes() -> None:
    bands = bands_of(models.recipe("srcnn-915").network(3).eval())
    assert bands._stripes(4096, 2, None) == 2
    assert bands._stripes(4096, 2, 2 << 20) > 8
