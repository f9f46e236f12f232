"""The convolutions in C beside PyTorch's in double precision: values, gradients, and what they leave to PyTorch."""

import signal
import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, relu

from srrepro.kernels import convolution
from srrepro.kernels.compiled import library
from srrepro.kernels.convolution import NO_PAIRS, Native, Pairs, pairs_of

PAIRED = Pairs(1, frozenset({0}))
"""One convolution, and a rectifier after it."""


def rectified(layer: nn.Module, planes: Tensor) -> Tensor:
    return relu(layer(planes), inplace=True)


@pytest.fixture(autouse=True)
def _compiled() -> None:
    if library() is None:
        pytest.skip("no C compiler is at hand")


# Kernel, planes, filters, padding, height, width: every layer of SRCNN and VDSR, and what is odd about a walk through
# an image: fewer rows than a tile, sides that no tile fits, more columns than a register block, one pixel of output.
SHAPES = [
    (9, 1, 64, 0, 33, 33),
    (9, 1, 64, 4, 20, 31),
    (1, 64, 32, 0, 25, 25),
    (3, 64, 32, 0, 25, 25),
    (5, 64, 32, 0, 25, 25),
    (5, 64, 32, 2, 10, 11),
    (5, 32, 1, 0, 25, 25),
    (5, 32, 1, 2, 9, 8),
    (3, 1, 64, 1, 41, 41),
    (3, 64, 64, 1, 41, 41),
    (3, 64, 1, 1, 41, 41),
    (3, 16, 48, 1, 1, 2),
    (3, 48, 16, 2, 3, 1),
    (3, 16, 16, 1, 4, 4),
    (3, 80, 160, 1, 9, 7),
    (5, 16, 16, 0, 5, 5),
    (5, 16, 16, 4, 6, 7),
    (1, 16, 1, 0, 3, 50),
    (7, 1, 16, 3, 7, 13),
]


def case(
    kernel: int, inputs: int, filters: int, height: int, width: int, images: int = 3
) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    planes = torch.randn(images, inputs, height, width).contiguous(memory_format=torch.channels_last)
    return planes, torch.randn(filters, inputs, kernel, kernel) / (inputs * kernel**2) ** 0.5, torch.randn(filters)


def worst(found: Tensor, expected: Tensor) -> float:
    """The largest difference, as a share of the largest value."""
    return ((found - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize("rectify", [False, True], ids=["plain", "rectified"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_and_gradients(shape: tuple[int, ...], rectify: bool) -> None:
    kernel, inputs, filters, padding, height, width = shape
    planes, weight, bias = case(kernel, inputs, filters, height, width)
    layer = nn.Conv2d(inputs, filters, kernel, padding=padding)
    layer.load_state_dict({"weight": weight, "bias": bias})
    planes.requires_grad_()
    with Native(1, PAIRED if rectify else NO_PAIRS):
        out = rectified(layer, planes) if rectify else layer(planes)
    assert type(out.grad_fn).__name__ == "_ConvolutionBackward", "PyTorch's own was used"

    exact_planes = planes.detach().double().requires_grad_()
    layer_exact = nn.Conv2d(inputs, filters, kernel, padding=padding).double()
    layer_exact.load_state_dict(layer.state_dict())
    exact = layer_exact(exact_planes)
    assert worst(out, exact.clamp(min=0) if rectify else exact) < 1e-5

    # Where rounding could decide which side of the rectifier a value is on, the gradient is left out of account.
    gradient = torch.randn_like(exact) * (exact.abs() > 1e-4)
    found = torch.autograd.grad(out, [planes, layer.weight, layer.bias], gradient.float())
    exact = exact.clamp(min=0) if rectify else exact
    expected = torch.autograd.grad(exact, [exact_planes, layer_exact.weight, layer_exact.bias], gradient)
    for name, ours, theirs in zip(("planes", "weight", "bias"), found, expected, strict=True):
        assert ours.shape == theirs.shape
        assert worst(ours, theirs) < 3e-5, name


@pytest.mark.parametrize("images", [1, 2, 5])
@pytest.mark.parametrize("shape", [(9, 1, 64, 4), (3, 64, 64, 1), (5, 64, 32, 2), (5, 32, 1, 2)], ids=str)
def test_threads_change_nothing(shape: tuple[int, ...], images: int) -> None:
    kernel, inputs, filters, padding = shape
    planes, weight, bias = case(kernel, inputs, filters, 17, 19, images)
    outs = []
    for threads in (1, 2, 3, 1000):
        with Native(threads), torch.inference_mode():
            outs.append(conv2d(planes, weight, bias, (1, 1), (padding, padding)))
    assert all(torch.equal(out, outs[0]) for out in outs)


def test_layouts_and_views_are_taken_as_they_come() -> None:
    planes, weight, _ = case(3, 16, 32, 8, 12)
    with Native(threads=1):
        expected = conv2d(planes, weight, None, (1, 1), (1, 1))
        for same in (planes.contiguous(), torch.cat([planes, planes])[:3], planes.repeat(1, 1, 1, 2)[..., :12]):
            assert torch.equal(conv2d(same, weight, None, (1, 1), (1, 1)), expected)
        turned = conv2d(planes.transpose(2, 3), weight.transpose(2, 3), None, (1, 1), (1, 1)).transpose(2, 3)
    assert worst(turned, expected) < 1e-5


def test_a_layer_without_bias_and_one_that_is_not_trained() -> None:
    planes, weight, bias = case(3, 16, 16, 8, 8)
    weight.requires_grad_()
    with Native(threads=1):
        out = conv2d(planes, weight, None, (1, 1), (1, 1))
    assert worst(out, conv2d(planes, weight, None, 1, 1)) < 1e-5
    assert torch.autograd.grad(out.sum(), weight)[0].shape == weight.shape
    with Native(threads=1):
        frozen = conv2d(planes.requires_grad_(), weight.detach(), bias, (1, 1), (1, 1))
    expected = torch.autograd.grad(conv2d(planes, weight.detach(), bias, 1, 1).sum(), planes)[0]
    assert worst(torch.autograd.grad(frozen.sum(), planes)[0], expected) < 1e-5


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(16, 16, 3, stride=2),
        nn.Conv2d(16, 16, 3, dilation=2),
        nn.Conv2d(16, 16, 3, groups=16),
        nn.Conv2d(16, 16, 3, padding="same"),
        nn.Conv2d(16, 16, 3, padding=3),
        nn.Conv2d(16, 16, (3, 1)),
        nn.Conv2d(16, 12, 3),
        nn.Conv2d(1, 1, 3),
        nn.Conv2d(16, 16, 3).double(),
        nn.Conv2d(16, 16, 3).to(torch.bfloat16),
    ],
    ids=str,
)
def test_other_convolutions_stay_pytorchs(layer: nn.Conv2d) -> None:
    planes = torch.randn(2, layer.in_channels, 9, 9, dtype=layer.weight.dtype)
    expected = layer(planes)
    with Native(1, PAIRED):
        found, through_rectifier = layer(planes), rectified(layer, planes)
    assert type(found.grad_fn).__name__ != "_ConvolutionBackward"
    assert torch.equal(found, expected)
    assert torch.equal(through_rectifier, expected.clamp(min=0))


@pytest.mark.parametrize(
    ("planes", "weight", "bias"),
    [
        (torch.zeros(2, 16, 9, 9), torch.zeros(16, 32, 3, 3), None),
        (torch.zeros(2, 16, 9, 9), torch.zeros(32, 16, 3, 3), torch.zeros(16)),
        (torch.zeros(2, 16, 9, 9), torch.zeros(32, 16, 3, 3), torch.zeros(32, dtype=torch.float64)),
        (torch.zeros(2, 16, 2, 9), torch.zeros(16, 16, 3, 3), None),
        (torch.zeros(2, 16, 0, 9), torch.zeros(16, 16, 1, 1), None),
    ],
    ids=["planes", "bias", "type of bias", "smaller than the kernel", "no rows"],
)
def test_what_does_not_fit_is_pytorchs_error(planes: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """In C it would be read beyond its end."""
    with pytest.raises(RuntimeError) as expected:
        conv2d(planes, weight, bias)
    with pytest.raises(RuntimeError) as found, Native(1):
        conv2d(planes, weight, bias)
    assert str(found.value) == str(expected.value)


def test_no_images_give_none() -> None:
    planes, weight = torch.zeros(0, 16, 5, 6), torch.zeros(16, 16, 3, 3)
    with Native(2):
        assert conv2d(planes, weight, None, (1, 1), (2, 2)).shape == (0, 16, 7, 8)


def test_elsewhere_nothing_changes() -> None:
    planes, weight, bias = case(3, 16, 16, 8, 8)
    with Native(threads=1):
        pass
    assert type(conv2d(planes, weight.requires_grad_(), bias).grad_fn).__name__ == "ConvolutionBackward0"


class Skips(nn.Module):
    """Holds on to what its layers make: sums, a slice, and the layer before last."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(16, 16, 3, padding=1) for _ in range(6))

    def forward(self, planes: Tensor) -> Tensor:
        made = [planes]
        for layer in self.layers:
            made.append(rectified(layer, made[-1] + made[-2][:, :, :1] if len(made) > 1 else made[-1]))
        return torch.cat(made[1:]) + made[3]


class Odd(nn.Module):
    """One layer after another; what comes after each is told."""

    def __init__(self, *after: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.after = after
        self.layers = nn.ModuleList(nn.Conv2d(16, 16, 3, padding=1) for _ in after)

    def forward(self, planes: Tensor) -> Tensor:
        for layer, after in zip(self.layers, self.after, strict=True):
            planes = after(layer(planes))
        return planes


def at_once(planes: Tensor) -> Tensor:
    return relu(planes, inplace=True)


def later(planes: Tensor) -> Tensor:
    """Something sees the planes before they are rectified."""
    before = planes + 1
    return relu(planes, inplace=True) + before


def looked_at(planes: Tensor) -> Tensor:
    assert planes.shape[1] == 16
    return torch.relu_(planes)


def test_rectifiers_that_nothing_comes_before_are_found() -> None:
    network = Odd(at_once, relu, later, lambda planes: planes, looked_at, nn.ReLU(inplace=True))
    assert pairs_of(network, 16, 9) == Pairs(6, frozenset({0, 4, 5}))
    assert not network.layers[0].weight.is_meta


@pytest.mark.parametrize("training", [False, True])
def test_pairs_change_nothing_but_the_time(training: bool) -> None:
    torch.manual_seed(0)
    network, planes = Odd(at_once, relu, later, lambda planes: planes, looked_at), torch.randn(2, 16, 9, 10)
    pairs = pairs_of(network, 16, 9)
    with torch.inference_mode(not training):
        expected = network(planes)
        with Native(1, pairs):
            first, again = network(planes), network(planes)
    assert worst(first, expected) < 3e-5
    assert torch.equal(first, again)
    if training:
        theirs = torch.autograd.grad(expected.square().sum(), list(network.parameters()))
        ours = torch.autograd.grad(first.square().sum(), list(network.parameters()))
        assert all(worst(one, other) < 3e-5 for one, other in zip(ours, theirs, strict=True))


def test_a_network_that_goes_another_way_is_an_error() -> None:
    """Rectified planes would be taken for others, and give a wrong image without a word."""
    network, planes = Odd(at_once, at_once), torch.randn(1, 16, 9, 10)
    pairs = pairs_of(network, 16, 9)
    network.after = (at_once, later)
    with pytest.raises(RuntimeError, match="did not repeat its layers"), Native(1, pairs), torch.inference_mode():
        network(planes)


def test_planes_that_are_still_wanted_are_not_written_over() -> None:
    torch.manual_seed(0)
    network, planes = Skips(), torch.randn(1, 16, 20, 30)
    with torch.inference_mode():
        expected = network(planes)
        with Native(threads=2) as native:
            first = network(planes)
            again = network(planes)
    assert worst(first, expected) < 3e-5
    assert torch.equal(first, again)
    assert len(native.rooms) > 2


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_planes_that_nobody_wants_make_room(threads: int) -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(16, 16, 3), *(nn.Conv2d(16, 32, 3), nn.Conv2d(32, 16, 3)) * 3, nn.Conv2d(16, 64, 3, padding=2)]
    planes = torch.randn(1, 16, 20, 30)
    with torch.inference_mode():
        expected = nn.Sequential(*layers)(planes)
        with Native(threads) as native:
            found = nn.Sequential(*layers)(planes)
    assert worst(found, expected) < 3e-5
    assert len(native.rooms) == 2


def test_a_border_takes_the_room_of_what_nobody_wants() -> None:
    """The last layer of VDSR: one filter, so no tiles, and a border around 64 planes."""
    torch.manual_seed(0)
    layers = nn.Sequential(*(nn.Conv2d(16, 16, 3, padding=1) for _ in range(3)), nn.Conv2d(16, 1, 3, padding=1))
    planes = torch.randn(1, 16, 20, 30)
    with torch.inference_mode():
        expected = layers(planes)
        with Native(threads=2) as native:
            found = layers(planes)
    assert worst(found, expected) < 3e-5
    assert sorted(len(room) for room, _ in native.rooms) == [20 * 30, 20 * 30 * 16, 22 * 32 * 16]


def test_results_may_be_changed_in_place_while_training() -> None:
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(16, 16, 3), nn.ReLU(inplace=True), nn.Conv2d(16, 16, 3))
    planes = torch.randn(2, 16, 9, 9)
    expected = torch.autograd.grad(layers(planes).square().sum(), list(layers.parameters()))
    with Native(threads=1):
        found = torch.autograd.grad(layers(planes).square().sum(), list(layers.parameters()))
    for ours, theirs in zip(found, expected, strict=True):
        assert worst(ours, theirs) < 3e-5


def test_what_is_trained_keeps_its_planes() -> None:
    layers = nn.Sequential(*(nn.Conv2d(16, 16, 3) for _ in range(4)))
    with Native(threads=1) as native:
        layers(torch.randn(1, 16, 20, 30))
    assert native.rooms == []


def test_ctrl_c_waits_for_the_threads() -> None:
    """They write into arrays of the stack that is left; without the wait the process crashes."""
    ended: list[int] = []

    def work(begin: int, _end: int) -> None:
        time.sleep(0.4)
        ended.append(begin)

    def interrupted(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupted)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
        with pytest.raises(KeyboardInterrupt):
            convolution.share(2, 2, work)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert sorted(ended) == [0, 1]
