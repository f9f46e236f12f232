"""The vocabulary of recipes: initialisation, loss, rates, schedules, orders, augmentation."""

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import nn

from srrepro import models
from srrepro.models.recipe import (
    SGD,
    SOAP,
    Constant,
    Cosine,
    EuclideanLoss,
    EveryImage,
    FixedOrder,
    GaussianInit,
    HeInit,
    LayerRates,
    MeanSquaredError,
    Muon,
    NewOrder,
    NoAugmentation,
    OfSquares,
    OneRate,
    OwnInit,
    SquaredError,
    TurnAndFlip,
    described,
    digest,
    images_of,
)

AUGMENTATIONS = [NoAugmentation(), TurnAndFlip(), EveryImage(8)]
STEPS = range(200)


def network_955() -> nn.Module:
    return models.recipe("srcnn-955").network(3)


def test_gaussian_init_has_its_std_and_zero_biases() -> None:
    torch.manual_seed(0)
    network = network_955()
    GaussianInit(std=0.001)(network)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name
        else:
            spread = 0.001 / parameter.numel() ** 0.5
            assert abs(parameter.mean().item()) < 4 * spread, name
            assert parameter.std().item() == pytest.approx(0.001, rel=4 / parameter.numel() ** 0.5), name


def test_own_init_leaves_the_network_as_it_is() -> None:
    network = network_955()
    before = [parameter.clone() for parameter in network.parameters()]
    OwnInit()(network)
    assert all(torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True))


def test_euclidean_loss_by_hand() -> None:
    estimate = torch.tensor([[[[1.0, 2.0]]], [[[0.0, -1.0]]]])
    high = torch.tensor([[[[0.0, 4.0]]], [[[0.5, 0.0]]]])
    assert EuclideanLoss()(estimate, high).item() == pytest.approx((1 + 4 + 0.25 + 1) / (2 * 2))


@pytest.mark.parametrize("loss", [EuclideanLoss(), SquaredError(), MeanSquaredError()], ids=str)
def test_losses_of_squares_know_their_factor(loss: OfSquares) -> None:
    assert isinstance(loss, OfSquares)
    estimate, high = (torch.rand(5, 1, 3, 4) for _ in range(2))
    squares = (estimate - high).square().sum().item()
    assert squares * loss.factor(12) / 5 == pytest.approx(loss(estimate, high).item(), rel=1e-6)


def test_euclidean_loss_is_a_mean_over_patches_and_a_sum_over_pixels() -> None:
    estimate, high = torch.rand(3, 1, 21, 21), torch.rand(3, 1, 21, 21)
    loss = EuclideanLoss()(estimate, high).item()
    assert loss == pytest.approx(220.5 * nn.functional.mse_loss(estimate, high).item(), rel=1e-5)
    assert EuclideanLoss()(estimate.tile(4, 1, 1, 1), high.tile(4, 1, 1, 1)).item() == pytest.approx(loss, rel=1e-5)
    assert EuclideanLoss()(estimate.tile(1, 1, 2, 1), high.tile(1, 1, 2, 1)).item() == pytest.approx(2 * loss, rel=1e-5)


def test_layer_rates_of_srcnn_915_are_the_papers() -> None:
    recipe = models.recipe("srcnn-915")
    assert recipe.training is not None
    network = recipe.network(3)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    rates = {
        names[id(parameter)]: recipe.training.schedule(0.7) * group["factor"]
        for group in recipe.training.rates(network)
        for parameter in group["params"]
    }
    assert rates == pytest.approx(
        {
            "layers.0.weight": 1e-4,
            "layers.0.bias": 1e-5,
            "layers.1.weight": 1e-4,
            "layers.1.bias": 1e-5,
            "layers.2.weight": 1e-5,
            "layers.2.bias": 1e-5,
        }
    )


def test_layer_rates_take_one_factor_a_layer() -> None:
    with pytest.raises(ValueError, match="zip"):
        LayerRates(weights=(1.0, 0.1), biases=(0.1, 0.1))(network_955())


def test_layer_rates_leave_out_a_bias_that_is_not_there() -> None:
    layers = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.ReLU(), nn.Conv2d(2, 1, 3))
    groups = LayerRates(weights=(1.0, 0.5), biases=(0.3, 0.2))(layers)
    assert [group["factor"] for group in groups] == [1.0, 0.5, 0.2]


def test_one_rate_holds_every_parameter_once() -> None:
    network = network_955()
    (group,) = OneRate()(network)
    assert [id(parameter) for parameter in group["params"]] == [id(parameter) for parameter in network.parameters()]
    assert group["factor"] == 1.0


def test_optimisers_take_their_numbers_from_the_recipe() -> None:
    groups = OneRate()(network_955())
    sgd = SGD(momentum=0.8, weight_decay=1e-3)(groups).param_groups[0]
    assert (sgd["momentum"], sgd["weight_decay"], sgd["nesterov"], sgd["dampening"]) == (0.8, 1e-3, False, 0)
    soap = SOAP(momentum=0.9, memory=0.98, refresh=7)(OneRate()(network_955())).param_groups[0]
    assert (soap["momentum"], soap["memory"], soap["refresh"]) == (0.9, 0.98, 7)
    muon = Muon(momentum=0.9, memory=0.98)(OneRate()(network_955())).param_groups[0]
    assert (muon["momentum"], muon["memory"]) == (0.9, 0.98)


def test_constant_stays() -> None:
    assert {Constant(lr=0.25)(fraction) for fraction in (0.0, 0.3, 1.0)} == {0.25}


def test_cosine_rises_peaks_and_ends_at_zero() -> None:
    schedule = Cosine(peak=0.5, warmup=0.1)
    rates = [schedule(thousandth / 1000) for thousandth in range(1001)]
    peak = rates.index(max(rates))
    assert rates[0] == 0
    assert rates[50] == pytest.approx(0.25, rel=0.01)  # half way up
    assert peak == pytest.approx(100, abs=2)
    assert rates[peak] == pytest.approx(0.5, rel=0.03)
    assert rates[500] == pytest.approx(0.25)  # half a cosine is at its middle
    assert rates[:peak] == sorted(rates[:peak])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("order", [FixedOrder(), NewOrder()])
def test_orders_are_permutations_that_depend_on_the_seed(order: FixedOrder | NewOrder) -> None:
    first = order(101, seed=5, epoch=2)
    torch.manual_seed(99)
    assert torch.equal(first, order(101, seed=5, epoch=2))
    assert torch.equal(first.sort().values, torch.arange(101))
    assert not torch.equal(first, torch.arange(101))
    assert not torch.equal(first, order(101, seed=6, epoch=2))


def test_fixed_order_repeats_and_new_order_does_not() -> None:
    fixed = [tuple(FixedOrder()(50, seed=1, epoch=epoch).tolist()) for epoch in range(6)]
    new = [tuple(NewOrder()(50, seed=seed, epoch=epoch).tolist()) for seed in range(3) for epoch in range(6)]
    assert len(set(fixed)) == 1
    assert len(set(new)) == len(new)


@pytest.mark.parametrize("augmentation", AUGMENTATIONS, ids=lambda kind: type(kind).__name__)
def test_augmentation_treats_inputs_and_labels_alike(augmentation: Any) -> None:
    inputs = torch.arange(2 * 9 * 9, dtype=torch.float32).reshape(2, 1, 9, 9)
    labels = inputs[..., 2:-2, 2:-2].to(torch.uint8)
    for step in STEPS:
        turned, turned_labels = augmentation(
            inputs, labels, seed=4, step=step, which=torch.tensor([step % 8, step * 3 % 8])
        )
        assert turned.shape == inputs.shape
        assert turned_labels.dtype == torch.uint8
        assert torch.equal(turned[..., 2:-2, 2:-2].to(torch.uint8), turned_labels)
        assert torch.equal(turned.flatten(1).sort().values, inputs.flatten(1))  # the same pixels, elsewhere


@pytest.mark.parametrize("augmentation", AUGMENTATIONS, ids=lambda kind: type(kind).__name__)
def test_augmentation_depends_on_seed_and_step_alone(augmentation: Any) -> None:
    inputs = torch.rand(2, 1, 5, 5)
    torch.manual_seed(1)
    which = torch.tensor([1, 2])
    first = [augmentation(inputs, inputs, seed=0, step=step, which=which)[0] for step in STEPS]
    torch.manual_seed(2)
    again = [augmentation(inputs, inputs, seed=0, step=step, which=which)[0] for step in reversed(STEPS)]
    assert all(torch.equal(one, other) for one, other in zip(first, reversed(again), strict=True))
    torch.manual_seed(3)
    state = torch.get_rng_state()
    augmentation(inputs, inputs, seed=0, step=0, which=which)
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("augmentation", AUGMENTATIONS, ids=lambda kind: type(kind).__name__)
def test_what_augmentation_shows_can_be_told_beforehand(augmentation: Any) -> None:
    planes, which = torch.rand(8, 3, 5, 5), torch.arange(8)
    for step in STEPS:
        shown, _ = augmentation(planes, planes, seed=5, step=step, which=which)
        assert torch.equal(images_of(planes, augmentation.numbers(which, seed=5, step=step)), shown)


def test_turns_and_flips_give_all_eight_and_differ_by_seed() -> None:
    turn_and_flip = TurnAndFlip()
    inputs = torch.rand(1, 1, 5, 5)
    seen = [tuple(turn_and_flip(inputs, inputs, seed=0, step=step)[0].flatten().tolist()) for step in STEPS]
    other = [tuple(turn_and_flip(inputs, inputs, seed=1, step=step)[0].flatten().tolist()) for step in STEPS]
    assert len(set(seen)) == 8
    assert set(other) == set(seen)
    assert other != seen


def test_every_image_is_shown_and_the_first_four_are_mirror_images() -> None:
    plane = torch.rand(1, 1, 5, 5)
    eight = [EveryImage(8)(plane, plane, seed=0, step=0, which=torch.tensor([n]))[0] for n in range(8)]
    assert len({tuple(image.flatten().tolist()) for image in eight}) == 8
    mirrored = [plane, plane.flip(-1), plane.flip(-1, -2), plane.flip(-2)]
    assert all(torch.equal(image, expected) for image, expected in zip(eight[:4], mirrored, strict=True))
    with pytest.raises(ValueError, match="which image"):
        EveryImage(4)(plane, plane, seed=0, step=0)


def test_what_is_held_out_is_never_shown_and_all_else_once_an_epoch() -> None:
    order = NewOrder(held_out=0.1)
    epochs = [order(105, seed=3, epoch=epoch).tolist() for epoch in range(4)]
    assert all(len(set(epoch)) == len(epoch) == 95 for epoch in epochs)  # the tenth, rounded down, is out
    assert len({frozenset(epoch) for epoch in epochs}) == 1
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert set(order(105, seed=4, epoch=0).tolist()) != set(epochs[0])


def test_squared_error_is_twice_the_euclidean_loss() -> None:
    estimate, high = torch.rand(2, 3, 1, 4, 4)
    assert torch.equal(SquaredError()(estimate, high), 2 * EuclideanLoss()(estimate, high))


def test_the_last_layer_starts_smaller_and_at_its_bias() -> None:
    networks = [models.recipe("vdsr-10-plain").network(3) for _ in range(2)]
    for network, init in zip(networks, (HeInit(), HeInit(last=0.001, last_bias=0.5)), strict=True):
        torch.manual_seed(0)
        init(network)
    usual, small = ([m for m in network.modules() if isinstance(m, nn.Conv2d)] for network in networks)
    assert torch.equal(small[-1].weight, usual[-1].weight * 0.001)
    assert small[-1].bias is not None
    assert torch.equal(small[-1].bias, torch.tensor([0.5]))
    assert all(torch.equal(one.weight, other.weight) for one, other in zip(usual[:-1], small[:-1], strict=True))


def test_a_run_has_one_length() -> None:
    training = models.recipe("vdsr-t91-code").training
    assert training is not None
    for lengths in ({"backprops": 64}, {"epochs": None}):
        with pytest.raises(ValueError, match="a length in backprops .* or in epochs"):
            replace(training, **lengths)
    with pytest.raises(ValueError, match="only SGD's momentum can be cleared"):
        replace(training, optimiser=Muon(momentum=0.9, memory=0.9))


def test_described_names_kinds_and_keeps_values() -> None:
    assert described(LayerRates(weights=(1.0, 0.1), biases=(0.5,))) == {
        "kind": "LayerRates",
        "weights": [1.0, 0.1],
        "biases": [0.5],
    }


def test_digest_is_the_same_on_every_machine() -> None:
    assert digest(Constant(lr=0.1), "store", 1.0) == "9e79b556"  # evidence folders carry such digits: they must stay
    assert digest(Constant(lr=0.1), "store", 0.5) != "9e79b556"
    assert digest(Constant(lr=0.1)) != digest(Cosine(peak=0.1, warmup=0.1))


def test_a_field_that_is_none_leaves_older_digests_alone() -> None:
    @dataclass(frozen=True)
    class Old:
        lr: float

    @dataclass(frozen=True)
    class New:
        lr: float
        clip: float | None = None

    New.__name__ = "Old"
    assert digest(Old(0.1)) == digest(New(0.1))
    assert digest(New(0.1, clip=0.0)) != digest(New(0.1))


@pytest.mark.parametrize("init", [GaussianInit(std=0.5), HeInit()], ids=["gaussian", "he"])
def test_a_slope_is_no_bias(init: GaussianInit | HeInit) -> None:
    """It would be set to zero, and the layer would be a plain rectifier."""
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.PReLU(4), nn.ConvTranspose2d(4, 1, 3))
    init(network)
    assert (network[1].weight == 0.25).all()
    assert not network[0].bias.any()
    assert not network[2].bias.any()
    assert network[2].weight.std() > 0.1


def test_a_class_and_a_field_may_be_renamed() -> None:
    """What was trained before keeps its name: the digest of the recipe is the same."""

    @dataclass(frozen=True)
    class Fixed:
        WIRE = "Constant"
        rate: float = field(metadata={"wire": "lr"})

    assert described(Fixed(0.1)) == described(Constant(lr=0.1))
    assert digest(Fixed(0.1)) == digest(Constant(lr=0.1))


def test_rgb_is_turned_channel_by_channel() -> None:
    inputs, labels = torch.rand(8, 3, 4, 4), torch.rand(8, 3, 8, 8)
    every, which = EveryImage(images=8), torch.arange(8)
    turned, turned_labels = every(inputs, labels, seed=0, step=0, which=which)
    for channel in range(3):
        plane = slice(channel, channel + 1)
        alone = every(inputs[:, plane], labels[:, plane], seed=0, step=0, which=which)
        assert torch.equal(turned[:, plane], alone[0])
        assert torch.equal(turned_labels[:, plane], alone[1])
