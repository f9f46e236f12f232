"""IDN: shapes, counts, reach, the enlarged image, and where the authors' values stand."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy import ndarray

from srrepro.models.idn import IDN, Distilling, _interpolated, load_authors
from srrepro.pixels.resize import imresize

SMALL = Distilling(filters=4, units=2, planes=(4, 4, 8, 8, 4, 6), aside=2, groups=2)


def random_arrays(shape: Distilling) -> dict[str, ndarray]:
    random = np.random.default_rng(0)
    filters, planes, kernel = shape.filters, shape.planes, shape.kernel
    shapes: dict[str, tuple[int, ...]] = {
        "conv1": (filters, 1, 3, 3),
        "conv2": (filters, filters, 3, 3),
        "upsample": (filters, 1, kernel, kernel),
    }
    for unit in range(1, shape.units + 1):
        given = (filters, *planes[:2], planes[2] - shape.aside, *planes[3:5])
        for number in range(1, 7):
            groups = shape.groups if number in (2, 5) else 1
            shapes[f"conv{unit + 2}_{number}"] = (planes[number - 1], given[number - 1] // groups, 3, 3)
        shapes[f"down{unit}"] = (filters, planes[5], 1, 1)
    arrays = {f"{name}.0": random.normal(0, 0.2, sides) for name, sides in shapes.items()}
    biases = {f"{name}.1": random.normal(0, 0.2, 1 if name == "upsample" else s[0]) for name, s in shapes.items()}
    return {name: array.astype(np.float32) for name, array in (arrays | biases).items()}


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_output_is_scale_times_as_large(scale: int) -> None:
    with torch.no_grad():
        assert SMALL(scale)(torch.rand(2, 1, 5, 7)).shape == (2, 1, 5 * scale, 7 * scale)
        assert SMALL(scale)(torch.rand(1, 1, 1, 1)).shape == (1, 1, scale, scale)


@pytest.mark.parametrize(("scale", "radius"), [(2, 30), (3, 29), (4, 28)])
def test_parameters_are_those_of_the_authors_table(scale: int, radius: int) -> None:
    network = Distilling()(scale)
    assert sum(parameter.numel() for parameter in network.parameters()) == 552_769
    assert network.radius == radius


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_pixel_reaches_as_far_as_the_radius(scale: int) -> None:
    torch.manual_seed(0)
    network = SMALL(scale).double()
    side, middle = 4 * network.radius + 1, 2 * network.radius
    low = torch.rand(1, 1, side, side, dtype=torch.float64)
    changed = low.clone()
    changed[0, 0, middle, middle] += 100
    with torch.no_grad():
        rows = torch.nonzero((network(low) - network(changed))[0, 0])[:, 0] // scale
    assert max(middle - int(rows.min()), int(rows.max()) - middle) == network.radius


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 3), (20, 31), (3, 1000)])
def test_the_image_is_enlarged_as_by_an_older_matlab(scale: int, size: tuple[int, int]) -> None:
    plane = np.random.default_rng(0).random(size, np.float32)
    enlarged = _interpolated(torch.from_numpy(plane)[None, None], scale)[0, 0].numpy()
    np.testing.assert_allclose(enlarged, imresize(plane.astype(np.float64), scale, border="clamp"), atol=1e-6)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_filter_stands_on_the_last_pixel_of_its_block(scale: int) -> None:
    """As test_IDN.m adds Caffe's output, 17 × 17 filters with 8 pixels cut off, to the image without its first rows."""
    network = SMALL(scale)
    seen: list[torch.Tensor] = []
    network.enlarge.register_forward_hook(lambda layer, inputs, output: seen.append(inputs[0]))
    low = torch.rand(1, 1, 6, 5)
    with torch.no_grad():
        estimate = network(low)
        caffe = torch.nn.functional.conv_transpose2d(
            seen[0], network.enlarge.weight, network.enlarge.bias, stride=scale, padding=8
        )
        cropped = _interpolated(low, scale)[..., scale - 1 :, scale - 1 :]
    torch.testing.assert_close(estimate[..., scale - 1 :, scale - 1 :], cropped + caffe)


def network_of(arrays: dict[str, Any]) -> IDN:
    network = SMALL(2)
    load_authors(network, arrays)
    return network


def test_arrays_are_put_where_they_belong() -> None:
    arrays = random_arrays(SMALL)
    state = network_of(arrays).state_dict()
    np.testing.assert_array_equal(state["units.1.layers.4.weight"].numpy(), arrays["conv4_5.0"])
    np.testing.assert_array_equal(state["units.0.down.bias"].numpy(), arrays["down1.1"])
    np.testing.assert_array_equal(state["enlarge.weight"].numpy(), arrays["upsample.0"])
    assert len(state) == len(arrays)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: {name: array for name, array in arrays.items() if name != "down2.1"}, "down2.1"),
        (lambda arrays: arrays | {"conv9.0": np.zeros(1)}, "conv9.0"),
        (lambda arrays: arrays | {"conv1.0": np.zeros((4, 1, 5, 5))}, "conv1.0"),
        (lambda arrays: arrays | {"conv3_2.0": np.zeros((4, 4, 3, 3))}, "conv3_2.0"),
        (lambda arrays: arrays | {"upsample.1": np.zeros(2)}, "upsample.1"),
        (lambda arrays: {}, "conv1.0"),
    ],
    ids=["lacking", "beyond", "kernel", "groups", "biases", "nothing"],
)
def test_wrong_arrays_are_refused(change: Any, message: str) -> None:
    network = SMALL(2)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        load_authors(network, change(random_arrays(SMALL)))
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])
