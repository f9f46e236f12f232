"""Convolutions from one plane or to one, whose weights' gradients are matrix products, beside PyTorch's."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd import gradcheck
from torch.nn.functional import conv2d

from srrepro.hardware import Hardware, Mode, Precision
from srrepro.kernels import oneplane
from srrepro.kernels.oneplane import OnePlane
from srrepro.models.srcnn import SRCNN_915
from srrepro.training.engine import Engine


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of the weights whose gradients were taken as matrix products."""
    shapes: list[tuple[int, ...]] = []
    by_weight = oneplane._by_weight

    def noted(*given: Any) -> Tensor:
        shapes.append(tuple(by_weight(*given).shape))
        return by_weight(*given)

    monkeypatch.setattr(oneplane, "_by_weight", noted)
    return shapes


def results(convolve: Callable[..., Tensor], planes: Tensor, weight: Tensor, bias: Tensor | None) -> list[Tensor]:
    """The planes that come out, and the gradients of a loss that looks at each of their pixels."""
    wanted = [each.detach().clone().requires_grad_() for each in (planes, weight, bias) if each is not None]
    out = convolve(*wanted)
    loss = (out * torch.linspace(-1, 1, out.numel(), dtype=out.dtype, device=out.device).view_as(out)).sum()
    return [out.detach(), *torch.autograd.grad(loss, wanted)]


@st.composite
def drawn(draw: st.DrawFn) -> tuple[Tensor, Tensor, Tensor | None, int]:
    kernel = draw(st.integers(1, 9))
    padding = draw(st.integers(0, kernel - 1))
    height, width = (draw(st.integers(max(1, kernel - 2 * padding), 12)) for _ in range(2))
    many, images = draw(st.integers(1, 5)), draw(st.integers(1, 3))
    inputs, filters = draw(st.sampled_from([(1, many), (many, 1)]))
    torch.manual_seed(draw(st.integers(0, 99)))
    planes = torch.randn(images, inputs, height, width, dtype=torch.float64)
    if draw(st.booleans()):
        planes = planes.contiguous(memory_format=torch.channels_last)
    weight = torch.randn(filters, inputs, kernel, kernel, dtype=torch.float64)
    return planes, weight, torch.randn(filters, dtype=torch.float64) if draw(st.booleans()) else None, padding


@settings(max_examples=60)
@given(case=drawn())
def test_values_and_gradients_are_pytorchs(case: tuple[Tensor, Tensor, Tensor | None, int]) -> None:
    planes, weight, bias, padding = case

    def convolve(planes: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return conv2d(planes, weight, bias, (1, 1), (padding, padding))

    expected = results(convolve, planes, weight, bias)
    with OnePlane():
        found = results(convolve, planes, weight, bias)
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shape", [(2, 1, 3, 3), (1, 2, 3, 3)], ids=str)
def test_gradients_are_those_of_the_values(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    planes = torch.randn(2, shape[1], 4, 5, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(shape[0], dtype=torch.float64, requires_grad=True)
    with OnePlane():
        assert gradcheck(lambda *given: conv2d(*given, (1, 1), (1, 1)), (planes, weight, bias))


@pytest.mark.parametrize(
    ("layer", "ours"),
    [
        (nn.Conv2d(1, 4, 3), True),
        (nn.Conv2d(4, 1, 3, padding=1, bias=False), True),
        (nn.Conv2d(4, 4, 3), False),
        (nn.Conv2d(1, 4, 3, stride=2), False),
        (nn.Conv2d(1, 4, 3, dilation=2), False),
        (nn.Conv2d(4, 4, 3, groups=4), False),
        (nn.Conv2d(1, 4, 3, padding="same"), False),
    ],
    ids=str,
)
def test_only_plain_convolutions_of_one_plane_are_taken(
    layer: nn.Conv2d, ours: bool, taken: list[tuple[int, ...]]
) -> None:
    planes = torch.randn(2, layer.in_channels, 7, 8)
    expected = torch.autograd.grad(layer(planes).square().sum(), layer.weight)[0]
    with OnePlane():
        found = torch.autograd.grad(layer(planes).square().sum(), layer.weight)[0]
    assert bool(taken) == ours
    torch.testing.assert_close(found, expected)


def steps(engine: Engine, count: int) -> list[float]:
    torch.manual_seed(1)
    device = engine.hardware.device
    batches = [(torch.rand(8, 1, 33, 33, device=device), torch.rand(8, 1, 21, 21, device=device)) for _ in range(count)]
    return [engine.step(*batch, lr=1e-3).item() for batch in batches]


def engine_of(device: str, precision: Precision, mode: Mode, one_plane: bool | None = None) -> Engine:
    assert SRCNN_915.training is not None
    torch.manual_seed(0)
    network = SRCNN_915.network(3).train()  # PyTorch's first weights: those of the recipe hardly move in some steps
    engine = Engine(network, SRCNN_915.training, Hardware(device=device, precision=precision, mode=mode))
    engine.one_plane = engine.one_plane if one_plane is None else one_plane
    return engine


def test_an_engines_steps_are_the_same_with_it(taken: list[tuple[int, ...]]) -> None:
    plain, ours = engine_of("cpu", "float32", "eager"), engine_of("cpu", "float32", "eager", one_plane=True)
    assert not plain.one_plane
    expected = steps(plain, 4)
    assert not taken
    assert steps(ours, 4) == pytest.approx(expected, rel=1e-5)
    assert sorted(taken) == [(1, 32, 5, 5)] * 4 + [(64, 1, 9, 9)] * 4
    for name, weights in plain.network.state_dict().items():
        torch.testing.assert_close(ours.network.state_dict()[name], weights, atol=1e-6, rtol=1e-4, msg=name)


@pytest.mark.parametrize("precision", ["float32", "tf32"])
@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_a_gpus_steps_are_those_without_it(
    mode: Mode, precision: Precision, cuda: str, taken: list[tuple[int, ...]]
) -> None:
    expected = steps(engine_of(cuda, precision, mode, one_plane=False), 6)
    assert not taken
    first, second = engine_of(cuda, precision, mode), engine_of(cuda, precision, mode)
    assert steps(first, 6) == pytest.approx(expected, rel=1e-4 if precision == "float32" else 2e-2)
    assert taken
    steps(second, 6)
    for name, weights in first.network.state_dict().items():
        assert torch.equal(second.network.state_dict()[name], weights), f"{name} is not the same every time"


def test_a_gpus_other_steps_keep_the_librarys(cuda: str) -> None:
    assert not engine_of(cuda, "bfloat16", "graph").one_plane
    assert not engine_of(cuda, "float32", "compiled").one_plane
