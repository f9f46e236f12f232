"""Zheng Hui, Xiumei Wang, Xinbo Gao: "Fast and Accurate Single Image Super-Resolution via Information Distillation
Network", CVPR 2018, arXiv 1803.09454. "code" below is the authors' repository, Zheng222/IDN-Caffe.

Differs from the paper in: nothing known. The authors enlarge the image outside of their network, in MATLAB; here the
network does it. Results: results/tables.md.
"""

from dataclasses import dataclass
from operator import mul
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pad

from srrepro.models.recipe import LOW, AuthorsWeights, load_by_name


@dataclass(frozen=True, kw_only=True)
class Distilling:
    """Two layers, units that each set some planes aside and go on with the rest, one enlargement.

    `planes` are those of a unit's six layers; the second and fifth are in `groups`. Every layer is rectified.
    """

    filters: int = 64  # code: IDN_x2_deploy.prototxt, conv1, conv2, down1 to down4
    units: int = 4  # code: IDN_x2_deploy.prototxt, conv3 to conv6
    planes: tuple[int, int, int, int, int, int] = (48, 32, 64, 64, 48, 80)  # code: as units, num_output
    aside: int = 16  # code: as units, slice_point
    groups: int = 4  # code: as units, group
    leak: float = 0.05  # code: as units, negative_slope
    kernel: int = 17  # code: as units, upsample

    def __call__(self, scale: int) -> "IDN":
        return IDN(self, scale)


class IDN(nn.Module):
    """Takes luminance of about 0 to 1 of the low size, gives that of the high size. Zeros surround every layer's input.

    `radius` is how far, in pixels of its input, an input pixel reaches.
    """

    takes = LOW

    def __init__(self, shape: Distilling, scale: int) -> None:
        super().__init__()
        self.shape = shape
        self.scale = scale
        self.radius = 2 + len(shape.planes) * shape.units + (shape.kernel // 2 + scale - 1) // scale
        self.first = nn.Conv2d(1, shape.filters, 3, padding=1)  # code: IDN_x2_deploy.prototxt, conv1
        self.second = nn.Conv2d(shape.filters, shape.filters, 3, padding=1)  # code: IDN_x2_deploy.prototxt, conv2
        self.units = nn.ModuleList(Unit(shape) for _ in range(shape.units))
        around = shape.kernel // 2 + 1 - scale  # see forward
        self.enlarge = nn.ConvTranspose2d(shape.filters, 1, shape.kernel, stride=scale, padding=around)

    def forward(self, low: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 1 H W"]:
        features = leaky_relu(self.first(low), self.shape.leak, inplace=True)
        features = leaky_relu(self.second(features), self.shape.leak, inplace=True)
        for unit in self.units:
            features = unit(features)
        interpolated = _interpolated(low, self.scale)
        # code: mycrop.m. A filter's centre lies on the last of the `scale` pixels that an input pixel becomes, in both
        # directions. The authors have no values above and left of the first centre, and do not measure there.
        h, w = interpolated.shape[-2:]
        details: Tensor = self.enlarge(features)[..., :h, :w]
        return interpolated + details


class Unit(nn.Module):
    """An enhancement unit, whose first three layers feed the last three and the output, and a compression unit."""

    def __init__(self, shape: Distilling) -> None:
        super().__init__()
        self.shape = shape
        given = (shape.filters, *shape.planes[:2], shape.planes[2] - shape.aside, *shape.planes[3:5])
        self.layers = nn.ModuleList(
            nn.Conv2d(planes, made, 3, padding=1, groups=shape.groups if index in (1, 4) else 1)
            for index, (planes, made) in enumerate(zip(given, shape.planes, strict=True))
        )
        self.down = nn.Conv2d(shape.planes[-1], shape.filters, 1)

    def forward(self, features: Float[Tensor, "n f h w"]) -> Float[Tensor, "n f h w"]:
        hidden = self._through(self.layers[:3], features)
        aside, rest = hidden[:, : self.shape.aside], hidden[:, self.shape.aside :]
        enhanced = self._through(self.layers[3:], rest) + torch.cat([features, aside], 1)
        return leaky_relu(self.down(enhanced), self.shape.leak, inplace=True)

    def _through(self, layers: nn.ModuleList, planes: Tensor) -> Tensor:
        for layer in layers:
            planes = leaky_relu(layer(planes), self.shape.leak, inplace=True)
        return planes


def _interpolated(low: Float[Tensor, "n 1 h w"], scale: int) -> Float[Tensor, "n 1 H W"]:
    """As `imresize` of an older MATLAB (border `clamp` of srrepro.pixels.resize): the edge repeats beyond the image.

    Weights that are written out are exact where PyTorch's `interpolate` in single precision is off by 6e-5 in wide
    images, and every program that reads ONNX can do them.
    """
    return _lengthened(_lengthened(low, scale, -2), scale, -1)


def _lengthened(planes: Tensor, scale: int, axis: Literal[-2, -1]) -> Tensor:
    """A pixel becomes `scale` of them, each with its own weights of the pixel and two on either side."""
    length = planes.shape[axis]
    padded = pad(planes, (2, 2, 0, 0) if axis == -1 else (0, 0, 2, 2), mode="replicate")
    taps = [padded.narrow(axis, tap, length) for tap in range(5)]
    made = [torch.stack([*map(mul, taps, _cubic(phase, scale))]).sum(0) for phase in range(scale)]
    return torch.stack(made, axis).flatten(axis - 1, axis)


def _cubic(phase: int, scale: int) -> list[float]:
    """Keys' cubic with a = -0.5, MATLAB's, from one of the pixels that a pixel becomes to it and two on either side."""
    middle = (phase + 0.5) / scale - 0.5
    far = [abs(middle - tap) for tap in range(-2, 3)]
    return [
        1.5 * x**3 - 2.5 * x**2 + 1 if x <= 1 else -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0 for x in far
    ]


def load_authors(network: nn.Module, arrays: dict[str, Any]) -> None:
    """Put the authors' arrays, as Caffe saved them, into a network of the same shape.

    The arrays of all scales have the same shapes, so that no mistake between them is noticed here.

    Raises
    ------
    ValueError : the arrays are not those of such a network.
    """
    assert isinstance(network, IDN), type(network)
    names = {
        f"{theirs}.{number}": f"{ours}.{kind}"
        for theirs, ours in _layers(network.shape).items()
        for number, kind in enumerate(("weight", "bias"))
    }
    load_by_name(network, arrays, names)


def _layers(shape: Distilling) -> dict[str, str]:
    """The authors' name of every layer, and ours."""
    layers = {"conv1": "first", "conv2": "second", "upsample": "enlarge"}
    for unit in range(shape.units):
        layers |= {f"conv{unit + 3}_{index + 1}": f"units.{unit}.layers.{index}" for index in range(len(shape.planes))}
        layers[f"down{unit + 1}"] = f"units.{unit}.down"
    return layers


AUTHORS = (
    AuthorsWeights(
        name="idn-authors",
        model="IDN",
        network=Distilling(),
        training_set="291",
        set="weights-idn",
        files={scale: f"IDN_x{scale}.caffemodel" for scale in (2, 3, 4)},
        load=load_authors,
        protocol="matlab-clamp-y-v1",
    ),
)
