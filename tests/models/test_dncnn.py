"""DnCNN-3: what it computes, and the layout of the authors' weight file."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d

from srrepro.models.dncnn import AUTHORS, Denoiser, load_authors

Arrays = dict[str, Any]
TINY = Denoiser(depth=3, filters=4)


def random_arrays(shape: Denoiser) -> Arrays:
    """What the reader makes of DnCNN3.mat: (row, column, plane, filter), without a last axis of one."""
    random = np.random.default_rng(0)
    planes = [1, *[shape.filters] * (shape.depth - 1), 1]
    layers: list[Any] = []
    for number, (before, after) in enumerate(zip(planes, planes[1:], strict=False), start=1):
        filters = random.normal(0, 0.3, (3, 3, before, after))
        weights = [filters[..., 0] if after == 1 else filters, random.normal(0, 0.3, (after, 1))]
        layers += [{"type": "conv", "name": f"layer{number}", "weights": weights}, {"type": "relu"}]
    return {"net": {"layers": layers[:-1]}}


def test_output_is_the_input_less_the_last_layer() -> None:
    arrays = random_arrays(TINY)
    network = TINY(3)
    load_authors(network, arrays)
    image = torch.rand(2, 1, 9, 11)
    hidden = image
    for layer in arrays["net"]["layers"]:
        if layer["type"] == "relu":
            hidden = hidden.relu()
            continue
        filters, biases = (torch.from_numpy(array.astype(np.float32)) for array in layer["weights"])
        filters = filters if filters.ndim == 4 else filters[..., None]
        hidden = conv2d(hidden, filters.permute(3, 2, 0, 1), biases[:, 0], padding=1)
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(image), image - hidden)


def test_parameters_are_the_files() -> None:
    assert sum(parameter.numel() for parameter in Denoiser()(2).parameters()) == 665_921


def test_radius_is_how_far_a_pixel_reaches() -> None:
    network = Denoiser()(4).double()
    size, at = 51, 25
    image = torch.rand(1, 1, size, size, dtype=torch.float64, requires_grad=True)
    network(image)[0, 0, at, at].backward()
    assert image.grad is not None
    rows, columns = image.grad[0, 0].nonzero().T
    assert network.radius == 20
    assert [int(rows.min()), int(rows.max())] == [int(columns.min()), int(columns.max())] == [at - 20, at + 20]


def without(arrays: Arrays, key: str) -> Arrays:
    del arrays["net"]["layers"][2][key]
    return arrays


def with_weights(*weights: Any) -> Arrays:
    arrays = random_arrays(TINY)
    arrays["net"]["layers"][2]["weights"] = list(weights)
    return arrays


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({}, "net.layers"),
        ({"weights_conv": np.zeros(3)}, "net.layers"),
        ({"net": np.zeros(3)}, "net.layers"),
        ({"net": {"layers": [np.zeros(3)]}}, "net.layers"),
        (random_arrays(Denoiser(depth=4, filters=4)), "layers"),
        (random_arrays(Denoiser(depth=3, filters=5)), "layer1"),
        (without(random_arrays(TINY), "type"), "layers"),
        (without(random_arrays(TINY), "weights"), "layer2"),
        (with_weights(np.zeros((3, 3, 4, 4))), "layer2"),
        (with_weights("filters", "biases"), "layer2"),
        (with_weights(np.zeros((3, 3, 4, 4)), np.zeros(3)), "layer2"),
        (with_weights(np.zeros((4, 4, 3, 3)), np.zeros(4)), "layer2"),
    ],
)
def test_wrong_arrays_are_refused(arrays: Arrays, message: str) -> None:
    network = TINY(2)
    before = [parameter.clone() for parameter in network.parameters()]
    with pytest.raises(ValueError, match=message):
        load_authors(network, arrays)
    assert all(torch.equal(*pair) for pair in zip(before, network.parameters(), strict=True))


def test_one_file_serves_every_scale() -> None:
    assert AUTHORS[0].files == {2: "DnCNN3.mat", 3: "DnCNN3.mat", 4: "DnCNN3.mat"}
