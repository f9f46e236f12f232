"""VDSR against plain arithmetic: network, clipping, schedule, the notes' version, the authors' weight file."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy import ndarray
from scipy.ndimage import correlate
from torch import nn

from srrepro import models
from srrepro.models.recipe import HeInit, described
from srrepro.models.vdsr import VDSR, ClipByNorm, ClipByRate, NotesNetwork, VeryDeep, load_authors

LEARNING_RATES = (0.1, 0.01, 0.001, 0.0001)


def random_arrays(depth: int, filters: int) -> dict[str, Any]:
    """What the authors' .mat file holds, read by SciPy: a struct of two lists of arrays, rows first."""
    random = np.random.default_rng(0)
    planes = [1, *[filters] * (depth - 1), 1]
    weights, biases = np.empty((1, depth), object), np.empty((1, depth), object)
    for layer in range(depth):
        filters_of_layer = random.normal(0, 0.2, (3, 3, planes[layer], planes[layer + 1]))
        weights[0, layer] = filters_of_layer[..., 0] if planes[layer + 1] == 1 else filters_of_layer
        biases[0, layer] = random.normal(0, 0.2, (planes[layer + 1], 1))
    model = np.empty((1, 1), [("weight", object), ("bias", object)])
    model[0, 0] = (weights, biases)
    return {"model": model}


def by_hand(arrays: dict[str, Any], image: ndarray, *, residual: bool) -> ndarray:
    """Zero-padded correlations and rectifiers, plane by plane."""
    weights, biases = (arrays["model"][field][0, 0].ravel() for field in ("weight", "bias"))
    hidden = [image]
    for layer, (filters, bias) in enumerate(zip(weights, biases, strict=True)):
        filters = filters if filters.ndim == 4 else filters[..., None]
        hidden = [
            sum(correlate(plane, filters[:, :, j, i], mode="constant") for j, plane in enumerate(hidden)) + bias[i, 0]
            for i in range(filters.shape[3])
        ]
        if layer < len(weights) - 1:
            hidden = [np.maximum(plane, 0) for plane in hidden]
    return hidden[0] + image if residual else hidden[0]


def run(network: nn.Module, image: ndarray) -> ndarray:
    with torch.no_grad():
        estimate: ndarray = network(torch.from_numpy(image.astype(np.float32))[None, None])[0, 0].numpy()
    return estimate


@pytest.mark.parametrize("residual", [True, False], ids=["residual", "plain"])
@pytest.mark.parametrize("mode", [True, False], ids=["training", "evaluation"])
def test_forward_by_hand(residual: bool, mode: bool) -> None:
    arrays, image = random_arrays(4, 5), np.random.default_rng(1).random((13, 17))
    network = VeryDeep(depth=4, filters=5, residual=residual)(3).train(mode)
    load_authors(network, arrays)
    expected = by_hand(arrays, image, residual=residual)
    np.testing.assert_allclose(run(network, image), expected, atol=1e-5 * abs(expected).max())


def test_an_input_pixel_reaches_as_far_as_the_radius() -> None:
    network = VDSR(VeryDeep(depth=5, filters=4))
    for layer in network.layers:
        nn.init.constant_(layer.weight, 0.1)
    before, after = np.zeros((31, 31)), np.zeros((31, 31))
    after[15, 15] = 1
    changed = np.argwhere(run(network, before) != run(network, after))
    assert network.radius == 5
    assert (changed.min(), changed.max()) == (15 - 5, 15 + 5)
    twenty = models.recipe("vdsr").network(3)
    assert 2 * twenty.radius + 1 == 41  # paper: the receptive field, the size of the patches


def test_twenty_layers_of_sixty_four_filters() -> None:
    layers = list(models.recipe("vdsr").network(3).layers)
    shapes = [(layer.in_channels, layer.out_channels, layer.kernel_size, layer.padding) for layer in layers]
    assert shapes[0] == (1, 64, (3, 3), (1, 1))
    assert shapes[-1] == (64, 1, (3, 3), (1, 1))
    assert shapes[1:-1] == [(64, 64, (3, 3), (1, 1))] * 18


def test_he_init_has_its_spread_and_zero_biases() -> None:
    torch.manual_seed(0)
    network = models.recipe("vdsr").network(3)
    HeInit()(network)
    for layer in network.layers:
        count = layer.weight.numel()
        assert layer.weight.std().item() == pytest.approx((2 / (9 * layer.in_channels)) ** 0.5, rel=4 / count**0.5)
        assert not layer.bias.any()


@pytest.mark.parametrize("lr", LEARNING_RATES)
def test_every_element_is_clipped_to_theta_over_the_rate(lr: float) -> None:
    gradients = [torch.tensor([-3e4, -0.5, 0.0, 1e-4, 3e4]), torch.tensor([[2.0]])]
    expected = [gradient.clamp(-0.02 / lr, 0.02 / lr) for gradient in gradients]
    ClipByRate(theta=0.02)(gradients, lr)
    for gradient, bound in zip(gradients, expected, strict=True):
        torch.testing.assert_close(gradient, bound)
    assert gradients[0].abs().max().item() * lr == pytest.approx(0.02)


@pytest.mark.parametrize("lr", LEARNING_RATES)
def test_the_norm_of_all_gradients_is_clipped_and_the_direction_kept(lr: float) -> None:
    gradients = [torch.tensor([3e3, 0.0]), torch.tensor([[-4e3]])]
    ClipByNorm(theta=0.01)(gradients, lr)
    torch.testing.assert_close(gradients, [torch.tensor([0.6, 0.0]) * 0.01 / lr, torch.tensor([[-0.8]]) * 0.01 / lr])
    small = [torch.tensor([1e-3]), torch.tensor([-1e-3])]
    ClipByNorm(theta=0.01)(small, lr)
    torch.testing.assert_close(small, [torch.tensor([1e-3]), torch.tensor([-1e-3])])


def test_the_rate_falls_after_the_iterations_that_the_paper_names() -> None:
    training = models.recipe("vdsr-t91").training
    assert training is not None
    steps = training.backprops // training.batch
    rates = [training.schedule(step / steps) for step in range(steps)]
    drops = [step for step in range(1, steps) if rates[step] != rates[step - 1]]
    assert steps == 9_960
    assert drops == [2_490, 4_980, 7_470]
    assert [rates[0], *(rates[drop] for drop in drops)] == pytest.approx([0.1, 0.01, 0.001, 0.0001])


def test_the_notes_network_subtracts_the_mean_of_every_image() -> None:
    torch.manual_seed(0)
    network = NotesNetwork(hidden=2, filters=3)(3)
    layers = list(network.layers)
    assert [layer.bias is None for layer in layers] == [True, False, False, False]
    assert [layer.out_channels for layer in layers] == [3, 3, 3, 1]
    images = torch.rand(2, 1, 9, 9)
    hidden = images
    for layer in layers[:-1]:
        hidden = torch.relu(layer(hidden))
    details = layers[-1](hidden)
    for image, detail, estimate in zip(images, details, network(images), strict=True):
        torch.testing.assert_close(estimate, image + detail - detail.mean())


def test_the_notes_differ_from_the_paper_in_what_the_notes_say() -> None:
    paper, notes = (described(models.recipe(name).training) for name in ("vdsr-t91", "vdsr-notes"))
    assert {field for field in paper if paper[field] != notes[field]} == {"init", "loss", "clip"}
    assert models.recipe("vdsr-notes").note


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"weights_conv1": np.zeros((3, 3))}, "no `model`"),
        ({"model": np.zeros((2, 2))}, "no `model`"),
        (random_arrays(5, 4), "5 layers, not 4"),
        (random_arrays(4, 6), r"layer 1 holds filters of \(6, 1, 3, 3\) and 6 biases, not \(4, 1, 3, 3\) and 4"),
    ],
    ids=["of another paper", "no struct", "too deep", "too wide"],
)
def test_arrays_that_do_not_fit_are_named(arrays: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_authors(VeryDeep(depth=4, filters=4)(3), arrays)
