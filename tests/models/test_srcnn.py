"""SRCNN against a plain implementation of the authors' SRCNN.m, and the layout of their weight files."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from numpy import ndarray
from scipy.ndimage import correlate
from torch import nn
from torch.nn.functional import conv2d, pad

from srrepro.models.srcnn import SRCNN, ThreeLayers, load_authors

Arrays = dict[str, Any]


def random_arrays(kernels: tuple[int, int, int], filters: tuple[int, int], *, std: float = 0.2) -> Arrays:
    """What a .mat file of the authors holds: (pixels, filters), (planes, pixels, filters), (planes, pixels)."""
    random = np.random.default_rng(0)
    (f1, f2, f3), (n1, n2) = kernels, filters
    shapes = {"weights_conv1": (f1**2, n1), "weights_conv2": (n1, f2**2, n2), "weights_conv3": (n2, f3**2)}
    biases = {"biases_conv1": (n1, 1), "biases_conv2": (n2, 1), "biases_conv3": (1, 1)}
    return {name: random.normal(0, std, shape) for name, shape in (shapes | biases).items()}


def srcnn_m(arrays: Arrays, image: ndarray) -> ndarray:
    """SRCNN.m, line for line: imfilter(..., 'same', 'replicate') is a correlation, reshape goes down the columns."""

    def imfilter(plane: ndarray, column: ndarray) -> ndarray:
        side = int(len(column) ** 0.5)
        return correlate(plane, column.reshape(side, side, order="F"), mode="nearest")

    weights1, weights2, weights3 = (arrays[f"weights_conv{number}"] for number in (1, 2, 3))
    biases1, biases2, biases3 = (arrays[f"biases_conv{number}"].reshape(-1) for number in (1, 2, 3))
    data1 = [np.maximum(imfilter(image, weights1[:, i]) + biases1[i], 0) for i in range(weights1.shape[1])]
    data2 = []
    for i in range(weights2.shape[2]):
        mapped = sum(imfilter(data1[j], weights2[j, :, i]) for j in range(weights2.shape[0]))
        data2.append(np.maximum(mapped + biases2[i], 0))
    return sum(imfilter(data2[i], weights3[i]) for i in range(weights3.shape[0])) + biases3[0]


def network_of(shape: ThreeLayers, arrays: Arrays) -> SRCNN:
    network = shape(3).eval()
    load_authors(network, arrays)
    return network


def run(network: nn.Module, image: ndarray) -> ndarray:
    with torch.no_grad():
        estimate: ndarray = network(torch.from_numpy(image.astype(np.float32))[None, None])[0, 0].numpy()
    return estimate


@pytest.mark.parametrize("kernels", [(9, 1, 5), (9, 3, 5), (9, 5, 5)])
def test_forward_is_srcnn_m(kernels: tuple[int, int, int]) -> None:
    arrays = random_arrays(kernels, (5, 4))
    image = np.random.default_rng(1).random((23, 31))
    expected = srcnn_m(arrays, image)
    assert expected.std() > 0.1
    np.testing.assert_allclose(
        run(network_of(ThreeLayers(kernels=kernels, filters=(5, 4)), arrays), image), expected, atol=1e-5
    )


def delta_arrays(at: dict[int, tuple[int, int]]) -> Arrays:
    """Kernels of 3 pixels that pass their input on, those of the layers in `at` from off-centre."""
    arrays: Arrays = {}
    for number, shape in ((1, (9, 2)), (2, (2, 9, 2)), (3, (2, 9))):
        row, column = at.get(number, (1, 1))
        weights = np.zeros(shape)
        pixel = row + 3 * column  # MATLAB counts down the columns
        if number == 1:
            weights[pixel, 1] = 1
        elif number == 2:
            weights[1, pixel, 0] = 1
        else:
            weights[0, pixel] = 1
        arrays |= {f"weights_conv{number}": weights, f"biases_conv{number}": np.zeros(shape[-1] if number < 3 else 1)}
    return arrays


@pytest.mark.parametrize("layer", [1, 2, 3])
@pytest.mark.parametrize(("row", "column"), [(0, 1), (1, 0), (2, 1), (0, 2)])
def test_a_delta_off_centre_moves_the_pixel_the_other_way(layer: int, row: int, column: int) -> None:
    image = np.zeros((12, 14))
    image[5, 8] = 1
    arrays = delta_arrays({layer: (row, column)})
    estimate = run(network_of(ThreeLayers(kernels=(3, 3, 3), filters=(2, 2)), arrays), image)
    expected = np.zeros_like(image)
    expected[5 - (row - 1), 8 - (column - 1)] = 1
    np.testing.assert_array_equal(estimate, expected)
    np.testing.assert_array_equal(srcnn_m(arrays, image), expected)


def test_every_layer_is_padded_not_the_image_once() -> None:
    shape = ThreeLayers(kernels=(5, 3, 5), filters=(4, 3))
    network = network_of(shape, random_arrays(shape.kernels, shape.filters))
    image = np.random.default_rng(1).random((20, 22))
    ours = run(network, image)
    once = run(network.train(), np.pad(image, 5, mode="edge"))  # training mode pads nothing
    border = np.ones_like(ours, dtype=bool)
    border[5:-5, 5:-5] = False
    assert once.shape == ours.shape
    np.testing.assert_allclose(ours[~border], once[~border], atol=1e-6)
    assert np.abs(ours - once)[border].max() > 0.01


def test_zero_padding_is_that_of_a_usual_convolution() -> None:
    shape = ThreeLayers(kernels=(5, 3, 3), filters=(4, 3), training_padding="zeros", inference_padding="zeros")
    network = network_of(shape, random_arrays(shape.kernels, shape.filters))
    image = torch.rand(2, 1, 13, 11)
    hidden = image
    for layer in network.layers:
        hidden = conv2d(
            torch.relu(hidden) if layer is not network.layers[0] else hidden, layer.weight, layer.bias, padding="same"
        )
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(image), hidden)
        torch.testing.assert_close(network.train()(image), hidden)


def test_training_without_padding_sees_only_what_is_there() -> None:
    shape = ThreeLayers(kernels=(9, 1, 5))
    network = shape(3).train()
    patch = torch.rand(1, 1, 33, 33)
    with torch.no_grad():
        inside = network(patch)
        wider = network(pad(patch, (3, 3, 3, 3)))[..., 3:-3, 3:-3]
    assert inside.shape == (1, 1, 21, 21)
    torch.testing.assert_close(inside, wider)


def test_hidden_layers_are_rectified_and_the_last_is_not() -> None:
    shape = ThreeLayers(kernels=(1, 1, 1), filters=(1, 1))
    arrays: Arrays = {
        f"weights_conv{number}": np.ones(size) for number, size in ((1, (1, 1)), (2, (1, 1, 1)), (3, (1, 1)))
    }
    arrays |= {"biases_conv1": np.array([-0.5]), "biases_conv2": np.array([-0.1]), "biases_conv3": np.array([-3.0])}
    estimate = run(network_of(shape, arrays), np.array([[0.2, 0.55, 1.0]]))
    np.testing.assert_allclose(estimate, [[-3.0, -3.0, -2.6]], atol=1e-6)


def test_layers_follow_the_kernels() -> None:
    shape = ThreeLayers(kernels=(9, 3, 5), filters=(7, 6))
    layers = list(shape(3).layers)
    assert [tuple(layer.weight.shape) for layer in layers] == [(7, 1, 9, 9), (6, 7, 3, 3), (1, 6, 5, 5)]
    assert all(before.out_channels == after.in_channels for before, after in pairwise(layers))


def without(arrays: Arrays, name: str) -> Arrays:
    return {other: array for other, array in arrays.items() if other != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: without(arrays, "weights_conv2"), "weights_conv2"),
        (lambda arrays: without(arrays, "biases_conv3"), "biases_conv3"),
        (lambda arrays: arrays | {"weights_conv1": arrays["weights_conv1"][:-1]}, "weights_conv1"),
        (lambda arrays: arrays | {"biases_conv2": np.zeros(7)}, "conv2"),
        (lambda arrays: random_arrays((9, 5, 5), (6, 4)), "weights_conv2"),
        (lambda arrays: arrays | {"weights_conv1": arrays["weights_conv1"].T}, "weights_conv1"),
        (lambda arrays: arrays | {"weights_conv2": arrays["weights_conv2"].transpose(2, 1, 0)}, "weights_conv2"),
    ],
    ids=[
        "no weights",
        "no biases",
        "too short",
        "biases of another",
        "another network",
        "transposed",
        "swapped planes",
    ],
)
def test_wrong_arrays_are_refused(change: Any, message: str) -> None:
    shape = ThreeLayers(kernels=(9, 3, 5), filters=(6, 4))
    arrays = random_arrays(shape.kernels, shape.filters)
    with pytest.raises(ValueError, match=message):
        load_authors(shape(3), change(arrays))
