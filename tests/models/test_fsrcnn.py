"""FSRCNN against a plain implementation of the authors' FSRCNN.m and deconv.m, and the layout of their weight files."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy import ndarray
from scipy.ndimage import correlate
from torch import nn

from srrepro.models.fsrcnn import AUTHORS, FSRCNN, SMALL, Hourglass, InitForPReLU, KindRates, load_authors

Arrays = dict[str, Any]
TINY = Hourglass(features=4, shrunk=3, mappings=2)


def cells(arrays: list[ndarray]) -> ndarray:
    column = np.empty((len(arrays), 1), object)
    column[:, 0] = arrays
    return column


def random_arrays(shape: Hourglass, *, std: float = 0.3) -> Arrays:
    """What a .mat file of the authors holds: filters as (planes, pixels, filters), the last as (1, pixels, planes)."""
    random = np.random.default_rng(0)
    d, s = shape.features, shape.shrunk
    sizes = [(1, 25, d), (d, 1, s), *[(s, 9, s)] * shape.mappings, (s, 1, d), (1, 81, d)]
    outs = [*(size[2] for size in sizes[:-1]), 1]
    return {
        "weights_conv": cells([random.normal(0, std, size) for size in sizes]),
        "biases_conv": cells([random.normal(0, std, (out, 1)) for out in outs]),
        "prelu_conv": cells([random.normal(0, 1, (1, 1)) for _ in outs[:-1]] + [np.zeros((1, 0))]),
    }


def square(column: ndarray) -> ndarray:
    side = int(len(column) ** 0.5)
    return column.reshape(side, side, order="F")


def fsrcnn_m(arrays: Arrays, image: ndarray, scale: int) -> ndarray:
    """FSRCNN.m and deconv.m, which pads by one pixel, adds up kernels, and starts at (side + 1) / 2 + scale."""
    weights, biases, slopes = (arrays[name][:, 0] for name in ("weights_conv", "biases_conv", "prelu_conv"))
    planes = [image]
    for filters, bias, slope in zip(weights[:-1], biases[:-1], slopes[:-1], strict=True):
        sums = [
            sum(correlate(plane, square(filters[j, :, i]), mode="nearest") for j, plane in enumerate(planes)) + bias[i]
            for i in range(filters.shape[2])
        ]
        planes = [np.maximum(plane, 0) + slope[0, 0] * np.minimum(plane, 0) for plane in sums]
    height, width = image.shape
    out = np.zeros((height * scale, width * scale)) + biases[-1]
    for number, plane in enumerate(planes):
        padded = np.pad(plane, 1, mode="edge")
        wide = np.zeros((padded.shape[0] * scale + 8, padded.shape[1] * scale + 8))
        for (i, j), value in np.ndenumerate(padded):
            wide[i * scale : i * scale + 9, j * scale : j * scale + 9] += value * square(weights[-1][0, :, number])
        out += wide[4 + scale : 4 + scale + height * scale, 4 + scale : 4 + scale + width * scale]
    return out


def network_of(shape: Hourglass, scale: int) -> FSRCNN:
    network = shape(scale).eval()
    load_authors(network, random_arrays(shape))
    return network


@torch.no_grad()
def run(network: nn.Module, image: ndarray) -> ndarray:
    estimate: ndarray = network(torch.from_numpy(image.astype(np.float32))[None, None])[0, 0].numpy()
    return estimate


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_forward_is_fsrcnn_m_which_lies_a_pixel_too_far_left_and_up_at_x3(scale: int) -> None:
    image = np.random.default_rng(1).random((9, 12))
    expected = fsrcnn_m(random_arrays(TINY), image, scale)
    estimate = run(network_of(TINY, scale), image)
    assert expected.std() > 0.1
    assert estimate.shape == expected.shape
    if scale == 3:
        estimate, expected = estimate[1:, 1:], expected[:-1, :-1]  # demo_FSRCNN.m, shave_x3
    np.testing.assert_allclose(estimate, expected, atol=1e-4)


@pytest.mark.parametrize(("scale", "patch", "label", "start"), [(2, 14, 19, 4), (3, 11, 19, 7), (4, 10, 21, 8)])
def test_training_sees_only_what_is_there(scale: int, patch: int, label: int, start: int) -> None:
    network = FSRCNN(Hourglass(mappings=0), scale).train()  # mapping layers would pad
    wide = torch.rand(1, 1, patch + 8, patch + 8)
    with torch.no_grad():
        inside = network(wide[..., 4:-4, 4:-4])
        around = network.eval()(wide)
    assert inside.shape == (1, 1, label, label)
    first, rim = 4 * scale + start, 4  # the outermost kernels' neighbours are missing in training
    both = around[..., first + rim : first + label - rim, first + rim : first + label - rim]
    torch.testing.assert_close(inside[..., rim:-rim, rim:-rim], both)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_training_as_in_use_gives_the_same_image(scale: int) -> None:
    network = FSRCNN(Hourglass(trains_as_used=True), scale)
    low = torch.rand(2, 1, 12, 13)
    torch.testing.assert_close(network.train()(low), network.eval()(low))


@pytest.mark.parametrize(("shape", "weights", "slopes"), [(Hourglass(), 12_464, 7), (SMALL, 3_937, 4)])
def test_parameters_are_the_papers(shape: Hourglass, weights: int, slopes: int) -> None:
    network = shape(3)
    parameters = dict(network.named_parameters())
    assert sum(array.numel() for name, array in parameters.items() if array.ndim > 1) == weights
    assert sum(array.numel() for name, array in parameters.items() if name.startswith("slopes")) == slopes


@pytest.mark.parametrize("shape", [Hourglass(), SMALL])
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_radius_is_how_far_a_pixel_reaches(shape: Hourglass, scale: int) -> None:
    network = shape(scale).eval().double()
    size, at = 25, 12
    low = torch.rand(1, 1, size, size, dtype=torch.float64)
    changed = low.clone()
    changed[..., at, at] += 1
    with torch.no_grad():
        rows, columns = (network(low) != network(changed))[0, 0].nonzero().div(scale, rounding_mode="floor").T
    for reached in (rows, columns):
        assert max(at - int(reached.min()), int(reached.max()) - at) == network.radius


def test_init_leaves_slopes_alone() -> None:
    network = Hourglass(features=400)(3)
    for layer in [*network.convolutions, network.deconvolution]:
        nn.init.ones_(layer.bias)
    InitForPReLU(last=0.001)(network)
    assert [slope.weight.item() for slope in network.slopes] == [0.25] * 7
    assert not any(layer.bias.any() for layer in [*network.convolutions, network.deconvolution])
    assert network.convolutions[0].weight.std().item() == pytest.approx((2 / (1 + 0.25**2) / 25) ** 0.5, rel=0.05)
    assert network.deconvolution.weight.std().item() == pytest.approx(0.001, rel=0.05)


def test_rates_know_every_parameter_once() -> None:
    network = TINY(3)
    groups = KindRates(biases=0.5, deconvolution=0.1)(network)
    factors = {id(parameter): group["factor"] for group in groups for parameter in group["params"]}
    assert sum(len(group["params"]) for group in groups) == len(factors) == len(list(network.parameters()))
    assert factors[id(network.convolutions[1].weight)] == factors[id(network.slopes[1].weight)] == 1
    assert factors[id(network.convolutions[1].bias)] == 0.5
    assert factors[id(network.deconvolution.weight)] == factors[id(network.deconvolution.bias)] == 0.1


def changed(name: str, cell: int, value: Any) -> Arrays:
    arrays = random_arrays(TINY)
    arrays[name][cell, 0] = value
    return arrays


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "weights_conv"),
        ({"net": {"layers": []}}, "weights_conv"),
        ({name: cell for name, cell in random_arrays(TINY).items() if name != "prelu_conv"}, "prelu_conv"),
        (random_arrays(TINY) | {"biases_conv": np.zeros(6)}, "cells"),
        (random_arrays(TINY) | {"biases_conv": np.array([[1, 2], 3], object)}, "cells"),
        (random_arrays(Hourglass(features=4, shrunk=3, mappings=1)), "cells"),
        (random_arrays(Hourglass(features=5, shrunk=3, mappings=2)), "layer 1"),
        (changed("weights_conv", 1, np.zeros((3, 1, 4))), "layer 2"),
        (changed("weights_conv", 5, np.zeros((4, 81, 1))), "layer 6"),
        (changed("weights_conv", 0, "text"), "layer 1"),
        (changed("biases_conv", 2, np.zeros(4)), "layer 3"),
        (changed("prelu_conv", 3, np.zeros(12)), "layer 4"),
        (changed("prelu_conv", 5, np.zeros(1)), "layer 6"),
    ],
)
def test_wrong_arrays_are_refused(arrays: Arrays, message: str) -> None:
    network = TINY(3)
    before = [parameter.clone() for parameter in network.parameters()]
    with pytest.raises(ValueError, match=message):
        load_authors(network, arrays)
    assert all(torch.equal(*pair) for pair in zip(before, network.parameters(), strict=True))


@pytest.mark.parametrize("authors", AUTHORS, ids=lambda authors: authors.name)
def test_authors_have_a_file_for_every_scale(authors: Any) -> None:
    assert sorted(authors.files) == [2, 3, 4]
    assert all(authors.network(scale).scale == scale for scale in authors.files)
