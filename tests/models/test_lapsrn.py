"""LapSRN: shapes, counts, reach, and the layout of a network that MatConvNet saved."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy import ndarray

from srrepro.models.lapsrn import LapSRN, Pyramid, load_authors

SMALL = Pyramid(depth=2, filters=3)
Arrays = dict[str, Any]


def network_of(shape: Pyramid, scale: int) -> LapSRN:
    torch.manual_seed(0)
    return shape(scale).eval()


def saved(parameters: dict[str, ndarray]) -> Arrays:
    """As scipy.io.loadmat gives a DagNN: structures of one element, arrays of objects."""
    params = np.empty((1, len(parameters)), [("name", "O"), ("value", "O")])
    for index, (name, value) in enumerate(parameters.items()):
        params[0, index] = (np.array([name]), value)
    net = np.empty((1, 1), [("params", "O")])
    net[0, 0] = (params,)
    return {"net": net}


def random_parameters(levels: int, *, depth: int = 2, filters: int = 3) -> dict[str, ndarray]:
    random = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {"input_conv_f": (3, 3, 1, filters), "input_conv_b": (1, filters)}
    for level in range(levels, 0, -1):
        for name in [f"conv{number + 1}" for number in range(depth)] + ["upconv"]:
            shapes |= {f"level{level}_{name}_f": (3, 3, filters, filters), f"level{level}_{name}_b": (1, filters)}
        shapes |= {f"level{level}_residual_conv_f": (3, 3, filters), f"level{level}_residual_conv_b": (1, 1)}
        shapes[f"level{level}_img_up_f"] = (4, 4)
    return {name: random.normal(0, 0.3, shape).astype(np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_the_output_is_scale_times_as_large(scale: int) -> None:
    with torch.no_grad():
        assert network_of(SMALL, scale)(torch.rand(2, 1, 5, 7)).shape == (2, 1, 5 * scale, 7 * scale)


@pytest.mark.parametrize("scale", [1, 3, 6])
def test_only_doublings_are_networks(scale: int) -> None:
    with pytest.raises(ValueError, match="2, 4, 8"):
        SMALL(scale)


@pytest.mark.parametrize(("scale", "count"), [(2, 407_441), (4, 814_242)])
def test_parameters_are_those_of_the_released_files(scale: int, count: int) -> None:
    assert sum(parameter.numel() for parameter in Pyramid()(scale).parameters()) == count


@pytest.mark.parametrize(("scale", "radius"), [(2, 12), (4, 17)])
def test_radius_of_the_paper(scale: int, radius: int) -> None:
    assert Pyramid()(scale).radius == radius


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("kernel", [3, 5])
def test_a_pixel_reaches_as_far_as_the_radius(scale: int, kernel: int) -> None:
    network = network_of(Pyramid(depth=2, filters=3, kernel=kernel), scale).double()
    side, middle = 4 * network.radius + 1, 2 * network.radius
    low = torch.rand(1, 1, side, side, dtype=torch.float64)
    changed = low.clone()
    changed[0, 0, middle, middle] += 1
    with torch.no_grad():
        rows = torch.nonzero((network(low) - network(changed))[0, 0])[:, 0] // scale
    assert max(middle - int(rows.min()), int(rows.max()) - middle) == network.radius


def test_layers_are_those_of_matconvnet() -> None:
    """Correlations, and transposed ones cropped below and at the right, summed pixel by pixel."""
    parameters = random_parameters(1, depth=1, filters=2)
    network = Pyramid(depth=1, filters=2)(2)
    load_authors(network, saved(parameters))
    image = np.random.default_rng(1).random((4, 5))

    def leaky(planes: ndarray) -> ndarray:
        rectified: ndarray = np.where(planes > 0, planes, 0.2 * planes)
        return rectified

    def vl_nnconv(planes: ndarray, name: str) -> ndarray:
        filters = parameters[f"{name}_f"].reshape(3, 3, planes.shape[2], -1).astype(np.float64)
        padded = np.pad(planes, ((1, 1), (1, 1), (0, 0)))
        out: ndarray = np.zeros((*planes.shape[:2], filters.shape[3])) + parameters[f"{name}_b"].reshape(-1)
        for row, column in np.ndindex(3, 3):
            seen = padded[row : row + planes.shape[0], column : column + planes.shape[1]]
            out += seen @ filters[row, column]
        return out

    def vl_nnconvt(planes: ndarray, filters: ndarray, before: int, after: int) -> ndarray:
        (h, w, _), side = planes.shape, len(filters)
        full = np.zeros((2 * h + side - 2, 2 * w + side - 2, filters.shape[2]))
        for row, column in np.ndindex(h, w):
            at = full[2 * row : 2 * row + side, 2 * column : 2 * column + side]
            at += filters @ planes[row, column]
        cropped: ndarray = full[before : len(full) - after, before : full.shape[1] - after]
        return cropped

    features = leaky(vl_nnconv(leaky(vl_nnconv(image[:, :, None], "input_conv")), "level1_conv1"))
    features = leaky(vl_nnconvt(features, parameters["level1_upconv_f"], 0, 1) + parameters["level1_upconv_b"])
    enlarged = vl_nnconvt(image[:, :, None], parameters["level1_img_up_f"][:, :, None, None], 1, 1)
    expected = enlarged + vl_nnconv(features, "level1_residual_conv")
    with torch.no_grad():
        estimate = network.double()(torch.from_numpy(image)[None, None])[0, 0].numpy()
    np.testing.assert_allclose(estimate, expected[:, :, 0], atol=1e-12)


def test_the_authors_count_levels_from_the_last() -> None:
    parameters = random_parameters(2)
    network = SMALL(4)
    load_authors(network, saved(parameters))
    first = parameters["level2_conv1_f"].transpose(3, 2, 0, 1)
    np.testing.assert_array_equal(network.state_dict()["levels.0.layers.0.weight"].numpy(), first)


def without(parameters: dict[str, ndarray], name: str) -> dict[str, ndarray]:
    return {other: array for other, array in parameters.items() if other != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda parameters: saved(without(parameters, "level1_conv2_b")), "level1_conv2_b"),
        (lambda parameters: saved(parameters | {"level1_img_up_f": np.zeros((3, 3))}), "level1_img_up_f"),
        (lambda parameters: saved(parameters | {"input_conv_f": np.zeros((3, 3, 3))}), "input_conv_f"),
        (lambda parameters: saved(parameters | {"level1_upconv_b": np.zeros(4)}), "level1_upconv_b"),
        (lambda parameters: saved(parameters | {"level1_upconv_b": np.array(["a", "b", "c"])}), "net"),
        (lambda parameters: saved(random_parameters(2)), "level2_conv1_b"),
        (lambda parameters: {"weights_conv1": np.zeros(3)}, "weights_conv1"),
        (lambda parameters: {"net": np.zeros((1, 1))}, "net"),
    ],
    ids=["no bias", "kernel", "no filters", "biases", "text", "two levels", "another paper", "no structure"],
)
def test_wrong_arrays_are_refused(change: Any, message: str) -> None:
    network = network_of(SMALL, 2)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        load_authors(network, change(random_parameters(1)))
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])
