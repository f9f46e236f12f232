"""IMDN: shapes, counts, arithmetic, and the names that its authors gave their arrays."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d

from srrepro.models.imdn import IMDN, Block, MultiDistilling, load_authors

SMALL = MultiDistilling(filters=8, blocks=2, aside=2, squeezed=3)
Arrays = dict[str, Any]


def network_of(shape: MultiDistilling, scale: int) -> IMDN:
    torch.manual_seed(0)
    return shape(scale).eval()


def random_arrays(scale: int) -> Arrays:
    """What a file of the authors holds, for the small network."""
    shapes = {"fea_conv": (8, 3, 3, 3), "c.0": (8, 16, 1, 1), "LR_conv": (8, 8, 3, 3)}
    shapes["upsampler.0"] = (3 * scale**2, 8, 3, 3)
    for block in ("IMDB1", "IMDB2"):
        shapes |= {f"{block}.c1": (8, 8, 3, 3), f"{block}.c2": (8, 6, 3, 3), f"{block}.c3": (8, 6, 3, 3)}
        shapes |= {f"{block}.c4": (2, 6, 3, 3), f"{block}.c5": (8, 8, 1, 1)}
        shapes |= {f"{block}.cca.conv_du.0": (3, 8, 1, 1), f"{block}.cca.conv_du.2": (8, 3, 1, 1)}
    generator = torch.Generator().manual_seed(1)
    arrays = {}
    for name, shape in shapes.items():
        arrays[f"module.{name}.weight"] = 0.3 * torch.randn(shape, generator=generator)
        arrays[f"module.{name}.bias"] = 0.3 * torch.randn(shape[0], generator=generator)
    return arrays


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_output_is_scale_times_as_large(scale: int) -> None:
    with torch.no_grad():
        assert network_of(SMALL, scale)(torch.rand(2, 3, 5, 7)).shape == (2, 3, 5 * scale, 7 * scale)


@pytest.mark.parametrize(("scale", "count"), [(2, 694_404), (3, 703_059), (4, 715_176)])
def test_parameters_are_those_of_the_released_files(scale: int, count: int) -> None:
    assert sum(parameter.numel() for parameter in MultiDistilling()(scale).parameters()) == count


def test_a_pixel_reaches_everywhere() -> None:
    network = network_of(SMALL, 2).double()
    low = torch.rand(1, 3, 60, 60, dtype=torch.float64)
    changed = low.clone()
    changed[..., 0, 0] += 1
    with torch.no_grad():
        assert bool((network(low) != network(changed)).all())
    assert network.radius is None


@pytest.mark.parametrize("scale", [2, 3])
def test_the_whole_network_by_hand(scale: int) -> None:
    arrays = random_arrays(scale)
    network = network_of(SMALL, scale)
    load_authors(network, arrays)

    def layer(planes: Tensor, name: str) -> Tensor:
        weight, bias = (arrays[f"module.{name}.{kind}"].double() for kind in ("weight", "bias"))
        return conv2d(planes, weight, bias, padding=weight.shape[-1] // 2)

    def leaky(planes: Tensor) -> Tensor:
        return torch.where(planes > 0, planes, 0.05 * planes)

    low = torch.rand(2, 3, 6, 5, dtype=torch.float64)
    features = hidden = layer(low, "fea_conv")
    given = []
    for name in ("IMDB1", "IMDB2"):
        one = leaky(layer(hidden, f"{name}.c1"))
        two = leaky(layer(one[:, 2:], f"{name}.c2"))
        three = leaky(layer(two[:, 2:], f"{name}.c3"))
        four = layer(three[:, 2:], f"{name}.c4")
        distilled = torch.cat([one[:, :2], two[:, :2], three[:, :2], four], 1)
        planes = distilled.numpy().reshape(2, 8, -1)
        seen = torch.from_numpy(planes.mean(2) + np.sqrt(((planes - planes.mean(2)[..., None]) ** 2).mean(2)))
        weights = layer(layer(seen[..., None, None], f"{name}.cca.conv_du.0").clamp(min=0), f"{name}.cca.conv_du.2")
        hidden = hidden + layer(distilled / (1 + torch.exp(-weights)), f"{name}.c5")
        given.append(hidden)
    small = layer(layer(leaky(layer(torch.cat(given, 1), "c.0")), "LR_conv") + features, "upsampler.0")
    expected = torch.zeros(2, 3, 6 * scale, 5 * scale, dtype=torch.float64)
    for colour, row, column in np.ndindex(3, scale, scale):
        expected[:, colour, row::scale, column::scale] = small[:, colour * scale**2 + row * scale + column]
    with torch.no_grad():
        torch.testing.assert_close(network.double()(low), expected, atol=1e-10, rtol=0)


def test_attention_sees_contrast_where_the_mean_is_the_same() -> None:
    torch.manual_seed(0)
    block = Block(SMALL)
    flat, rough = torch.full((1, 8, 4, 4), 0.5), torch.full((1, 8, 4, 4), 0.5)
    rough[..., ::2] += 0.5
    rough[..., 1::2] -= 0.5
    with torch.no_grad():
        assert not torch.equal(block._attention(flat), block._attention(rough))


def without(arrays: Arrays, name: str) -> Arrays:
    return {other: array for other, array in arrays.items() if other != name}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: without(arrays, "module.IMDB2.c5.bias"), "IMDB2.c5.bias"),
        (lambda arrays: without(arrays, "module.fea_conv.weight"), "fea_conv.weight"),
        (lambda arrays: arrays | {"module.IMDB3.c1.bias": torch.zeros(8)}, "IMDB3.c1.bias"),
        (lambda arrays: arrays | {"module.IMDB1.c4.weight": torch.zeros(6, 2, 3, 3)}, "IMDB1.c4.weight"),
        (lambda arrays: arrays | {"module.LR_conv.bias": torch.zeros(())}, "LR_conv.bias"),
        (lambda arrays: random_arrays(3), "upsampler.0.weight"),
        (lambda arrays: {name.removeprefix("module."): array for name, array in arrays.items()}, "module.IMDB1"),
    ],
    ids=["no bias", "no weights", "one too many", "transposed", "one number", "another scale", "other names"],
)
def test_wrong_arrays_are_refused(change: Any, message: str) -> None:
    network = network_of(SMALL, 2)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        load_authors(network, change(random_arrays(2)))
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[name])
