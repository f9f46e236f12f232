"""Zheng Hui, Xinbo Gao, Yunchu Yang, Xiumei Wang: "Lightweight Image Super-Resolution with Information
Multi-distillation Network", ACM MM 2019, arXiv 1909.11856. "code" below is the authors' repository, Zheng222/IMDN.

Differs from the paper in: nothing known. The printed numbers come from MATLAB (README.md, "Results"), which leaves
luminance unrounded; the authors' test_IMDN.py rounds it, and gives others. Results: results/tables.md.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import leaky_relu, pixel_shuffle, relu

from srrepro.models.recipe import LOW_RGB, AuthorsWeights, load_by_name


@dataclass(frozen=True, kw_only=True)
class MultiDistilling:
    """Blocks of four layers; each of the first three sets `aside` planes aside, the next goes on with the others.

    Attention to the planes that were set aside passes through `squeezed` values.
    """

    filters: int = 64  # code: architecture.py, nf
    blocks: int = 6  # code: architecture.py, num_modules
    aside: int = 16  # code: block.py, distillation_rate 0.25 of 64; the last layer gives as many
    squeezed: int = 4  # code: block.py, reduction 16 of 64
    leak: float = 0.05  # code: block.py, neg_slope

    def __call__(self, scale: int) -> "IMDN":
        return IMDN(self, scale)


class IMDN(nn.Module):
    """Takes RGB of about 0 to 1 of the low size, gives that of the high size. Zeros surround every layer's input.

    There is no `radius`: attention looks at mean and contrast of the whole image.
    """

    takes = LOW_RGB
    radius = None

    def __init__(self, shape: MultiDistilling, scale: int) -> None:
        super().__init__()
        self.shape = shape
        self.scale = scale
        filters = shape.filters
        self.first = nn.Conv2d(3, filters, 3, padding=1)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.blocks))
        self.fuse = nn.Conv2d(filters * shape.blocks, filters, 1)
        self.last = nn.Conv2d(filters, filters, 3, padding=1)
        self.enlarge = nn.Conv2d(filters, 3 * scale**2, 3, padding=1)

    def forward(self, low: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 H W"]:
        features = self.first(low)
        hidden, given = features, []
        for block in self.blocks:
            hidden = block(hidden)
            given.append(hidden)
        fused = leaky_relu(self.fuse(torch.cat(given, 1)), self.shape.leak, inplace=True)
        return pixel_shuffle(self.enlarge(self.last(fused) + features), self.scale)


class Block(nn.Module):
    """An information multi-distillation block: what its layers set aside, weighed plane by plane, fused and added."""

    def __init__(self, shape: MultiDistilling) -> None:
        super().__init__()
        self.shape = shape
        filters, rest = shape.filters, shape.filters - shape.aside
        sizes = ((filters, filters), (rest, filters), (rest, filters), (rest, shape.aside))
        self.layers = nn.ModuleList(nn.Conv2d(planes, made, 3, padding=1) for planes, made in sizes)
        together = shape.aside * len(sizes)
        self.squeeze = nn.Conv2d(together, shape.squeezed, 1)
        self.weigh = nn.Conv2d(shape.squeezed, together, 1)
        self.fuse = nn.Conv2d(together, filters, 1)

    def forward(self, features: Float[Tensor, "n f h w"]) -> Float[Tensor, "n f h w"]:
        rest, aside = features, []
        for layer in self.layers[:-1]:
            hidden = leaky_relu(layer(rest), self.shape.leak, inplace=True)
            aside.append(hidden[:, : self.shape.aside])
            rest = hidden[:, self.shape.aside :]
        distilled = torch.cat([*aside, self.layers[-1](rest)], 1)
        out: Tensor = features + self.fuse(distilled * self._attention(distilled))
        return out

    def _attention(self, planes: Float[Tensor, "n p h w"]) -> Float[Tensor, "n p 1 1"]:
        """Contrast-aware: the standard deviation of every plane counts as well as its mean."""
        seen = planes.std((2, 3), correction=0, keepdim=True) + planes.mean((2, 3), keepdim=True)
        return torch.sigmoid(self.weigh(relu(self.squeeze(seen), inplace=True)))


def load_authors(network: nn.Module, arrays: dict[str, Any]) -> None:
    """Put the authors' arrays, as PyTorch saved them, into a network of the same shape and scale.

    Raises
    ------
    ValueError : the arrays are not those of such a network.
    """
    assert isinstance(network, IMDN), type(network)
    names = {
        f"module.{theirs}.{kind}": f"{ours}.{kind}"  # "module": the authors trained with torch.nn.DataParallel
        for theirs, ours in _layers(network).items()
        for kind in ("weight", "bias")
    }
    load_by_name(network, arrays, names)


def _layers(network: IMDN) -> dict[str, str]:
    """The authors' name of every layer, and ours."""
    layers = {"fea_conv": "first", "c.0": "fuse", "LR_conv": "last", "upsampler.0": "enlarge"}
    for index, block in enumerate(network.blocks):
        theirs, ours = f"IMDB{index + 1}", f"blocks.{index}"
        assert isinstance(block, Block), type(block)
        layers |= {f"{theirs}.c{number + 1}": f"{ours}.layers.{number}" for number in range(len(block.layers))}
        layers[f"{theirs}.c5"] = f"{ours}.fuse"
        layers |= {f"{theirs}.cca.conv_du.0": f"{ours}.squeeze", f"{theirs}.cca.conv_du.2": f"{ours}.weigh"}
    return layers


AUTHORS = (
    AuthorsWeights(
        name="imdn-authors",
        model="IMDN",
        network=MultiDistilling(),
        training_set="DIV2K",
        set="weights-imdn",
        files={scale: f"IMDN_x{scale}.pth" for scale in (2, 3, 4)},
        load=load_authors,
        protocol="rgb8-y-v1",
    ),
)
