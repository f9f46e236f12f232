"""CARN-M: shapes, counts, reach, arithmetic, and a file that serves three scales."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from srrepro.models.carn import CARN, Cascading, load_authors

SMALL = Cascading(filters=4, groups=2)
Arrays = dict[str, Any]
MEAN = torch.tensor([0.4488, 0.4371, 0.4040])


def network_of(shape: Cascading, scale: int) -> CARN:
    torch.manual_seed(0)
    return shape(scale).eval()


def random_arrays() -> Arrays:
    """What the authors' file holds, for the small network."""
    shapes: dict[str, tuple[int, ...]] = {"entry": (4, 3, 3, 3), "exit": (3, 4, 3, 3)}
    for cascade in ("", "b1.", "b2.", "b3."):
        shapes |= {f"{cascade}c{stage}.body.0": (4, 4 * (stage + 1), 1, 1) for stage in (1, 2, 3)}
    for block in ("b1", "b2", "b3"):
        shapes |= {f"{block}.b1.body.0": (4, 2, 3, 3), f"{block}.b1.body.2": (4, 2, 3, 3)}
        shapes[f"{block}.b1.body.4"] = (4, 4, 1, 1)
    shapes |= {"upsample.up2.body.0": (16, 2, 3, 3), "upsample.up3.body.0": (36, 2, 3, 3)}
    shapes |= {"upsample.up4.body.0": (16, 2, 3, 3), "upsample.up4.body.3": (16, 2, 3, 3)}
    generator = torch.Generator().manual_seed(1)
    arrays: Arrays = {}
    for name, shape in shapes.items():
        arrays[f"{name}.weight"] = 0.4 * torch.randn(shape, generator=generator)
        arrays[f"{name}.bias"] = 0.4 * torch.randn(shape[0], generator=generator)
    for name, bias in (("sub_mean", -MEAN), ("add_mean", MEAN)):
        arrays |= {f"{name}.shifter.weight": torch.eye(3)[:, :, None, None], f"{name}.shifter.bias": bias}
    return arrays


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_output_is_scale_times_as_large(scale: int) -> None:
    with torch.no_grad():
        assert network_of(SMALL, scale)(torch.rand(2, 3, 5, 7)).shape == (2, 3, 5 * scale, 7 * scale)


@pytest.mark.parametrize("scale", [1, 5, 8])
def test_other_scales_are_no_networks(scale: int) -> None:
    with pytest.raises(ValueError, match="2, 3, 4"):
        SMALL(scale)


@pytest.mark.parametrize(("scale", "count"), [(2, 257_027), (3, 303_427), (4, 294_147)])
def test_parameters_of_a_scale(scale: int, count: int) -> None:
    assert sum(parameter.numel() for parameter in Cascading()(scale).parameters()) == count


def test_the_print_counts_weights_of_all_enlargements() -> None:
    def weights(module: nn.Module) -> int:
        return sum(parameter.numel() for parameter in module.parameters() if parameter.ndim > 1)

    networks = [Cascading()(scale) for scale in (2, 3, 4)]
    trunk = weights(networks[0]) - weights(networks[0].enlarge)
    assert trunk + sum(weights(network.enlarge) for network in networks) == 412_032  # paper: 412K


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("stages", [2, 3])
def test_a_pixel_reaches_as_far_as_the_radius(scale: int, stages: int) -> None:
    network = Cascading(filters=4, groups=2, stages=stages)(scale).double().eval()
    for parameter in network.parameters():
        nn.init.constant_(parameter, 0.1)  # nothing cancels, no rectifier hides anything
    side, middle = 4 * network.radius + 1, 2 * network.radius
    low = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    for row in (0, scale - 1):  # the first and the last pixel that the one in the middle becomes
        (gradient,) = torch.autograd.grad(network(low)[0, 0, middle * scale + row, middle * scale + row], low)
        seen = torch.nonzero(gradient[0, 0])
        assert max(middle - int(seen.min()), int(seen.max()) - middle) == network.radius
    assert Cascading()(scale).radius == 21


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_whole_network_by_hand(scale: int) -> None:
    arrays = random_arrays()
    network = network_of(SMALL, scale)
    load_authors(network, arrays)

    def layer(planes: Tensor, name: str) -> Tensor:
        weight, bias = (arrays[f"{name}.{kind}"].double() for kind in ("weight", "bias"))
        each = weight.shape[1]  # planes that a filter sees: those of its own group
        inputs, filters = planes.split(each, 1), weight.chunk(planes.shape[1] // each)
        out = [conv2d(x, w, padding=w.shape[-1] // 2) for x, w in zip(inputs, filters, strict=True)]
        return torch.cat(out, 1) + bias[:, None, None]

    def rectified(planes: Tensor) -> Tensor:
        return planes.clamp(min=0)

    def block(planes: Tensor, name: str) -> Tensor:
        def unit(given: Tensor) -> Tensor:
            hidden = rectified(layer(rectified(layer(given, f"{name}.b1.body.0")), f"{name}.b1.body.2"))
            return rectified(layer(hidden, f"{name}.b1.body.4") + given)

        one = unit(planes)
        fused = rectified(layer(torch.cat([planes, one], 1), f"{name}.c1.body.0"))
        two = unit(fused)
        fused = rectified(layer(torch.cat([planes, one, two], 1), f"{name}.c2.body.0"))
        return rectified(layer(torch.cat([planes, one, two, unit(fused)], 1), f"{name}.c3.body.0"))

    def shuffled(planes: Tensor, factor: int) -> Tensor:
        n, many, h, w = planes.shape
        out = torch.zeros(n, many // factor**2, h * factor, w * factor, dtype=planes.dtype)
        for plane, row, column in np.ndindex(many // factor**2, factor, factor):
            out[:, plane, row::factor, column::factor] = planes[:, plane * factor**2 + row * factor + column]
        return out

    low = torch.rand(2, 3, 5, 6, dtype=torch.float64)
    mean = MEAN.double()[:, None, None]
    first = layer(low - mean, "entry")
    one = block(first, "b1")
    fused = rectified(layer(torch.cat([first, one], 1), "c1.body.0"))
    two = block(fused, "b2")
    fused = rectified(layer(torch.cat([first, one, two], 1), "c2.body.0"))
    three = block(fused, "b3")
    hidden = rectified(layer(torch.cat([first, one, two, three], 1), "c3.body.0"))
    for number, factor in {2: [(0, 2)], 3: [(0, 3)], 4: [(0, 2), (3, 2)]}[scale]:
        hidden = shuffled(rectified(layer(hidden, f"upsample.up{scale}.body.{number}")), factor)
    expected = layer(hidden, "exit") + mean
    assert expected.std() > 0.1
    with torch.no_grad():
        estimate = network.double()(low)
    torch.testing.assert_close(estimate, expected, atol=1e-10 * float(expected.abs().max()), rtol=0)


def without(arrays: Arrays, name: str) -> Arrays:
    return {other: array for other, array in arrays.items() if other != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: without(arrays, "b2.b1.body.4.bias"), "b2.b1.body.4.bias"),
        (lambda arrays: without(arrays, "upsample.up3.body.0.weight"), "upsample.up3.body.0.weight"),
        (lambda arrays: without(arrays, "sub_mean.shifter.bias"), "sub_mean.shifter.bias"),
        (lambda arrays: arrays | {"b4.c1.body.0.bias": torch.zeros(4)}, "b4.c1.body.0.bias"),
        (lambda arrays: arrays | {"c2.body.0.weight": torch.zeros(12, 4, 1, 1)}, "c2.body.0.weight"),
        (lambda arrays: arrays | {"upsample.up4.body.3.bias": torch.zeros(4)}, "upsample.up4.body.3.bias"),
        (lambda arrays: arrays | {"entry.bias": torch.zeros(())}, "entry.bias"),
        (lambda arrays: arrays | {"add_mean.shifter.bias": -MEAN}, "add_mean.shifter.bias"),
        (lambda arrays: arrays | {"sub_mean.shifter.weight": torch.ones(3, 3, 1, 1)}, "sub_mean.shifter.weight"),
    ],
    ids=[
        "no bias",
        "no weights of another scale",
        "no mean",
        "one too many",
        "transposed",
        "biases of another scale",
        "one number",
        "mean subtracted twice",
        "colours mixed",
    ],
)
def test_wrong_arrays_are_refused(change: Any, message: str) -> None:
    network = network_of(SMALL, 2)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        load_authors(network, change(random_arrays()))
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])
