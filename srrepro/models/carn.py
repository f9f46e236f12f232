"""Namhyuk Ahn, Byungkon Kang, Kyung-Ah Sohn: "Fast, Accurate, and Lightweight Super-Resolution with Cascading Residual
Network", ECCV 2018, arXiv 1803.08664. "code" below is the authors' repository, nmhkahn/CARN-pytorch.

Differs from the paper in: nothing known. The printed 412K parameters leave out all biases, and count the enlargements
of all three scales; a network here holds the enlargement of its own scale.

The released weights (2018-07-25) fall 0.01 to 0.10 dB short of the printed Set5, Set14 and B100, but reach Urban100.
Probably those columns were made with other weights. The README's table of 2018-08-07 corrects Urban100 alone, because
early copies of its images had wrong sizes at x2 and x3. At x4 none is known to be wrong, and the row of CARN stays as
it was on 2018-07-25, but that of CARN-M changes from 25.63 to 25.62. Neither another border of the low images nor
another rounding gives the printed Set5 at all scales. Results: results/tables.md.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, relu

from srrepro.models.recipe import LOW_RGB, AuthorsWeights, check_names

_FACTORS = {2: (2,), 3: (3,), 4: (2, 2)}
"""Code: ops.py. A scale is reached in one enlargement or in two; the released file holds these three scales."""


@dataclass(frozen=True, kw_only=True)
class Cascading:
    """CARN-M: units of three layers, the first two in `groups`, in cascades of `stages`, in a cascade of `stages`.

    Raises
    ------
    ValueError : the scale is not 2, 3 or 4.
    """

    filters: int = 64  # code: carn_m.py
    groups: int = 4  # code: README.md, --group 4
    stages: int = 3  # code: carn_m.py, c1 to c3
    mean: tuple[float, float, float] = (0.4488, 0.4371, 0.4040)  # code: carn_m.py, MeanShift: red, green and blue

    def __call__(self, scale: int) -> "CARN":
        if scale not in _FACTORS:
            msg = f"CARN-M has no scale {scale}, but {', '.join(map(str, _FACTORS))}"
            raise ValueError(msg)
        return CARN(self, scale)


class CARN(nn.Module):
    """Takes RGB of about 0 to 1 of the low size, gives that of the high size. Zeros surround every layer's input.

    `radius` is how far, in pixels of its input, an input pixel reaches.
    """

    takes = LOW_RGB
    mean: Tensor

    def __init__(self, shape: Cascading, scale: int) -> None:
        super().__init__()
        self.shape = shape
        self.scale = scale
        # First layer, two in every unit, the first enlargement; all that follows reaches less than one pixel.
        self.radius = 1 + 2 * shape.stages**2 + 1 + 1
        filters = shape.filters
        self.register_buffer("mean", torch.tensor(shape.mean).reshape(3, 1, 1), persistent=False)
        self.first = nn.Conv2d(3, filters, 3, padding=1)
        blocks = [Cascade([Unit(shape)], shape) for _ in range(shape.stages)]
        self.cascade = Cascade(blocks, shape)
        self.enlarge = nn.ModuleList(
            nn.Conv2d(filters, filters * factor**2, 3, padding=1, groups=shape.groups) for factor in _FACTORS[scale]
        )
        self.last = nn.Conv2d(filters, 3, 3, padding=1)

    def forward(self, low: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 H W"]:
        features = self.cascade(self.first(low - self.mean))
        for layer, factor in zip(self.enlarge, _FACTORS[self.scale], strict=True):
            features = pixel_shuffle(relu(layer(features), inplace=True), factor)
        out: Tensor = self.last(features) + self.mean
        return out


class Cascade(nn.Module):
    """Stages, each a unit and a layer that fuses the input with what all units so far have given.

    A single unit serves all stages (code: carn_m.py, b1 of Block).
    """

    def __init__(self, units: "list[Unit] | list[Cascade]", shape: Cascading) -> None:
        super().__init__()
        self.units = nn.ModuleList(units)
        self.fuse = nn.ModuleList(
            nn.Conv2d(shape.filters * (stage + 2), shape.filters, 1) for stage in range(shape.stages)
        )

    def forward(self, features: Float[Tensor, "n f h w"]) -> Float[Tensor, "n f h w"]:
        given = fused = features
        for stage, fuse in enumerate(self.fuse):
            given = torch.cat([given, self.units[stage % len(self.units)](fused)], 1)
            fused = relu(fuse(given), inplace=True)
        return fused


class Unit(nn.Module):
    """An efficient residual unit: two layers in groups, one that mixes the groups, and the input added."""

    def __init__(self, shape: Cascading) -> None:
        super().__init__()
        filters, groups = shape.filters, shape.groups
        self.first = nn.Conv2d(filters, filters, 3, padding=1, groups=groups)
        self.second = nn.Conv2d(filters, filters, 3, padding=1, groups=groups)
        self.mix = nn.Conv2d(filters, filters, 1)

    def forward(self, features: Float[Tensor, "n f h w"]) -> Float[Tensor, "n f h w"]:
        hidden = relu(self.first(features), inplace=True)
        hidden = relu(self.second(hidden), inplace=True)
        return relu(self.mix(hidden) + features, inplace=True)


def load_authors(network: nn.Module, arrays: dict[str, Any]) -> None:
    """Put the authors' arrays, as PyTorch saved them, into a network of the same shape.

    Their file serves all scales; the enlargements of the other scales are only checked.

    Raises
    ------
    ValueError : the arrays are not those of such a network.
    """
    assert isinstance(network, CARN), type(network)
    with torch.device("meta"):  # shapes alone
        wanted = {name: array for scale in _FACTORS for name, array in _by_their_names(network.shape(scale)).items()}
    wanted |= _shifts(network)
    check_names(arrays, wanted)
    for name, array in wanted.items():
        if arrays[name].shape != array.shape:
            msg = f"{name} holds {tuple(arrays[name].shape)}, not {tuple(array.shape)}"
            raise ValueError(msg)
    for name, array in _shifts(network).items():
        if not torch.equal(arrays[name].float(), array):
            msg = f"{name} is to subtract or add the mean {network.shape.mean}, and holds something else"
            raise ValueError(msg)
    for name, array in _by_their_names(network).items():
        array.copy_(arrays[name])


def _shifts(network: CARN) -> dict[str, Tensor]:
    """What stands in the file for the subtraction and the addition of the mean: layers that are not trained."""
    mean = torch.tensor(network.shape.mean)
    shifts: dict[str, Tensor] = {}
    for name, bias in (("sub_mean", -mean), ("add_mean", mean)):
        shifts |= {f"{name}.shifter.weight": torch.eye(3).reshape(3, 3, 1, 1), f"{name}.shifter.bias": bias}
    return shifts


def _by_their_names(network: CARN) -> dict[str, Tensor]:
    """The network's arrays under the authors' names."""
    layers = {"entry": "first", "exit": "last"}
    blocks = {"": "cascade"} | {f"b{index + 1}.": f"cascade.units.{index}" for index in range(network.shape.stages)}
    for theirs, ours in blocks.items():
        layers |= {f"{theirs}c{stage + 1}.body.0": f"{ours}.fuse.{stage}" for stage in range(network.shape.stages)}
        if theirs:
            names = ("first", "second", "mix")
            layers |= {f"{theirs}b1.body.{2 * index}": f"{ours}.units.0.{name}" for index, name in enumerate(names)}
    up = f"upsample.up{network.scale}.body"
    layers |= {f"{up}.{3 * index}": f"enlarge.{index}" for index in range(len(network.enlarge))}
    own = network.state_dict()
    return {f"{theirs}.{kind}": own[f"{ours}.{kind}"] for theirs, ours in layers.items() for kind in ("weight", "bias")}


AUTHORS = (
    AuthorsWeights(
        name="carn-m-authors",
        model="CARN-M",
        network=Cascading(),
        training_set="DIV2K",
        set="weights-carn",
        files=dict.fromkeys((2, 3, 4), "carn_m.pth"),
        load=load_authors,
        protocol="carn-y-v1",
        note="other weights, it seems, than those of the printed Set5, Set14 and B100",
    ),
)
