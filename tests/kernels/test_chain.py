"""Whole networks in C beside autograd in double precision, and which networks are chains at all."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu

from srrepro import models
from srrepro.kernels.chain import Chain
from srrepro.kernels.compiled import library
from srrepro.models.srcnn import ThreeLayers
from srrepro.models.vdsr import VeryDeep

CHAINS = ["srcnn-915", "srcnn-935", "srcnn-955", "srcnn-915-quick", "vdsr-t91", "vdsr-10-residual", "vdsr-10-plain"]
NO_CHAINS = ["srcnn-915-notes", "vdsr-notes"]


def _rectified(layer: nn.Module, planes: Tensor) -> Tensor:
    return relu(layer(planes), inplace=True)


@pytest.fixture(autouse=True)
def _compiled() -> None:
    if library() is None:
        pytest.skip("no C compiler is at hand")


def squares(estimate: Tensor, high: Tensor) -> Tensor:
    return (estimate - high).square().sum() / len(high)


def chain_of(network: nn.Module) -> Chain:
    chain = Chain.of(network, 21)
    assert chain is not None
    return chain


def chained(
    network: nn.Module, inputs: Tensor, high: Tensor, *, weight: float = 1.0, chain: Chain | None = None
) -> tuple[Tensor, list[Tensor]]:
    chain = chain or chain_of(network)
    chain.prepare()
    loss, raw = chain.backward(0, inputs, high, factor=weight / len(high))
    return loss, chain.gradients(raw)


def same(ones: list[Tensor], others: list[Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(ones, others, strict=True))


def exact(network: nn.Module, inputs: Tensor, high: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    double = copy.deepcopy(network).double()
    loss = squares(double(inputs.double()), high.double())
    return loss, torch.autograd.grad(loss, list(double.parameters()))


def assert_close(found: list[Tensor], expected: tuple[Tensor, ...], names: list[str], share: float) -> None:
    """Within `share` of the largest element; deep networks have some rectifiers on the edge, which rounding decides."""
    for name, ours, theirs in zip(names, found, expected, strict=True):
        assert ours.shape == theirs.shape
        assert (ours - theirs).abs().max() < share * theirs.abs().max(), name


@pytest.mark.parametrize("network", [
    ThreeLayers(kernels=(9, 1, 5)), ThreeLayers(kernels=(9, 3, 5)), ThreeLayers(kernels=(9, 5, 5)),
    ThreeLayers(kernels=(5, 5, 3), filters=(16, 48)), VeryDeep(depth=4), VeryDeep(depth=5, residual=False),
    VeryDeep(depth=3, filters=16, kernel=5), VeryDeep(depth=2, filters=32, kernel=7),
], ids=str)  # fmt: skip
@pytest.mark.parametrize("size", [(21, 21), (18, 25)], ids=str)
@pytest.mark.parametrize("images", [1, 5])
def test_loss_and_gradients(network: Callable[[int], nn.Module], size: tuple[int, int], images: int) -> None:
    torch.manual_seed(0)
    made = network(3).train()
    inputs = torch.rand(images, 1, *size)
    high = torch.rand_like(made(inputs))
    loss, gradients = chained(made, inputs, high)
    expected_loss, expected = exact(made, inputs, high)
    assert loss.item() == pytest.approx(expected_loss.item(), rel=1e-6)
    assert_close(gradients, expected, [name for name, _ in made.named_parameters()], 1e-4)


def test_a_share_has_its_weight() -> None:
    torch.manual_seed(0)
    network = VeryDeep(depth=3, filters=16)(3).train()
    inputs, high = (torch.rand(35, 1, 9, 9) for _ in range(2))
    loss, gradients = chained(network, inputs, high, weight=0.25)
    expected_loss, expected = exact(network, inputs, high)
    assert loss.item() == pytest.approx(0.25 * expected_loss.item(), rel=1e-5)
    assert_close([4 * gradient for gradient in gradients], expected, ["?"] * 6, 1e-4)


def test_nothing_is_left_from_one_step_to_the_next() -> None:
    torch.manual_seed(0)
    network = VeryDeep(depth=3, filters=16)(3).train()
    inputs, high = (torch.rand(4, 1, 9, 9) for _ in range(2))
    chain = chain_of(network)
    first, before = chained(network, inputs, high, chain=chain)
    kept = [gradient.clone() for gradient in before]
    chained(network, inputs.flip(0), inputs, chain=chain)
    again, after = chained(network, inputs, high, chain=chain)
    assert first == again
    assert same(kept, after)
    assert same(kept, before), "a later step has written into gradients that were handed out"


@pytest.mark.parametrize("network", [ThreeLayers(kernels=(9, 1, 5)), VeryDeep(depth=3, filters=16)], ids=str)
def test_a_step_may_have_other_sizes_than_the_one_before(network: Callable[[int], nn.Module]) -> None:
    torch.manual_seed(0)
    made = network(3).train()
    chain = chain_of(made)
    for count, height, width in ((4, 21, 21), (19, 18, 25), (1, 21, 21), (35, 17, 17)):
        inputs = torch.rand(count, 1, height, width)
        high = torch.rand_like(made(inputs))
        loss, gradients = chained(made, inputs, high, chain=chain)
        expected_loss, expected = chained(made, inputs, high)
        assert loss == expected_loss
        assert same(gradients, expected)


def test_a_thread_may_take_two_shares() -> None:
    torch.manual_seed(0)
    chain = chain_of(VeryDeep(depth=3, filters=16)(3).train())
    inputs, high = (torch.rand(4, 1, 9, 9) for _ in range(2))
    chain.prepare()
    _, raw = chain.backward(0, inputs[:2], high[:2], factor=0.25)
    kept = [gradient.clone() for gradient in raw]
    chain.backward(1, inputs[2:], high[2:], factor=0.25)
    assert same(raw, kept)


@pytest.mark.parametrize("name", CHAINS + NO_CHAINS)
def test_which_recipes_are_chains(name: str) -> None:
    recipe = models.recipe(name)
    assert recipe.training is not None
    side = recipe.training.patches.patch
    found = Chain.of(recipe.network(3).train(), side)
    assert (found is not None) == (name in CHAINS)


class Odd(nn.Module):
    """Three layers, and something done in between or afterwards."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what
        self.layers = nn.ModuleList(nn.Conv2d(*planes, 3, padding=1) for planes in ((1, 16), (16, 16), (16, 1)))
        self.more = nn.Conv2d(16, 16, 3, padding=1) if what == "a layer that is not used" else None

    def forward(self, inputs: Tensor) -> Tensor:
        what = self.what
        first = _rectified(self.layers[0], inputs * 2 if what == "a scaled input" else inputs)
        second = _rectified(self.layers[1], first)
        if what == "a layer used twice":
            second = _rectified(self.layers[1], second)
        if what == "a skip inside":
            second = second + first
        if what == "a border":
            second = pad(second, (1, 1, 1, 1))[..., 1:-1, 1:-1]
        if what == "another activation":
            second = torch.tanh(second)
        out: Tensor = self.layers[2](first if what == "a layer passed by" else second)
        if what == "a residual":
            return inputs + out
        if what == "a residual, subtracted":
            return inputs - out
        if what == "a residual, twice":
            return inputs + (inputs + out)
        return out.clamp(0, 1) if what == "a clamp at the end" else out


@pytest.mark.parametrize("what", ["nothing", "a residual"])
def test_a_plain_network_is_a_chain(what: str) -> None:
    torch.manual_seed(0)
    network = Odd(what).train()
    inputs, high = (torch.rand(2, 1, 9, 9) for _ in range(2))
    loss, gradients = chained(network, inputs, high)
    expected_loss, expected = exact(network, inputs, high)
    assert loss.item() == pytest.approx(expected_loss.item(), rel=1e-6)
    assert_close(gradients, expected, ["?"] * 6, 1e-5)


@pytest.mark.parametrize(
    "what",
    [
        "a scaled input", "a layer used twice", "a skip inside", "a border", "another activation", "a layer passed by",
        "a residual, subtracted", "a residual, twice", "a clamp at the end", "a layer that is not used",
    ],
)  # fmt: skip
def test_what_is_more_than_a_chain_is_left_to_autograd(what: str) -> None:
    assert Chain.of(Odd(what).train(), 9) is None


def test_layers_that_the_c_functions_do_not_know_are_left_to_autograd() -> None:
    assert Chain.of(VeryDeep(depth=3, filters=12)(3).train(), 9) is None


@pytest.mark.parametrize(
    "inputs",
    [
        torch.zeros(2, 1, 12, 13),
        torch.zeros(0, 1, 21, 21),
        torch.zeros(2, 2, 21, 21),
        torch.zeros(2, 1, 21, 21).double(),
        torch.zeros(2, 1, 21, 21),
    ],
    ids=["small", "none", "planes", "double", "labels as large as the images"],
)
def test_what_a_chain_makes_nothing_of_is_refused(inputs: Tensor) -> None:
    """In C it would be read beyond its end."""
    chain = chain_of(ThreeLayers(kernels=(9, 1, 5))(3).train())
    chain.prepare()
    with pytest.raises(ValueError, match="chain"):
        chain.backward(0, inputs, inputs, factor=1.0)


def test_no_images_are_refused_though_their_labels_would_fit() -> None:
    chain = chain_of(ThreeLayers(kernels=(9, 1, 5))(3).train())
    chain.prepare()
    with pytest.raises(ValueError, match="a chain takes images"):
        chain.backward(0, torch.zeros(0, 1, 21, 21), torch.zeros(0, 1, 9, 9), factor=1.0)
