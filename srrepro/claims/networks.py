"""Networks that only claims need: a last rectifier, colours, and VDSR with one thing of the notes' changed."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad, relu

from srrepro.models.recipe import INTERPOLATED, INTERPOLATED_RGB, EuclideanLoss, Network, takes
from srrepro.pixels.color import WEIGHTS

Planes = Literal["y", "rgb", "ycbcr"]
TO_YCBCR = (WEIGHTS, (-37.797, -74.203, 112.0), (112.0, -93.786, -18.214))
"""ITU-R BT.601: from RGB of 0 to 1 to levels, but for the offsets 16, 128 and 128."""


@dataclass(frozen=True, kw_only=True)
class Rectified:
    """A network whose output goes through one more rectifier."""

    network: Network

    def __call__(self, scale: int) -> nn.Module:
        return _Rectified(self.network(scale))


class _Rectified(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.takes = takes(inner)
        self.radius = inner.radius

    def forward(self, interpolated: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c H W"]:
        return relu(self.inner(interpolated))


@dataclass(frozen=True, kw_only=True)
class Deep:
    """VDSR, with what the notes' version has otherwise, and more, each by itself.

    The layers and the order in which they are initialised are those of `VeryDeep`.
    """

    depth: int = 20
    filters: int = 64
    residual: bool = True
    first_bias: bool = True
    mean_subtracted: bool = False
    rectified: bool = False

    def __call__(self, scale: int) -> nn.Module:
        return _Deep(self)


class _Deep(nn.Module):
    """Takes and gives luminance of about 0 to 1. With its mean subtracted, no tile of it can be computed alone."""

    takes = INTERPOLATED

    def __init__(self, shape: Deep) -> None:
        super().__init__()
        self.shape = shape
        self.radius = None if shape.mean_subtracted else shape.depth
        planes = [1, *[shape.filters] * (shape.depth - 1), 1]
        self.layers = nn.ModuleList(
            nn.Conv2d(planes[i], planes[i + 1], 3, padding=1, bias=shape.first_bias or i > 0)
            for i in range(shape.depth)
        )

    def forward(self, interpolated: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 1 h w"]:
        details = interpolated
        for layer in self.layers[:-1]:
            details = relu(layer(details), inplace=True)
        details = self.layers[-1](details)
        if self.shape.rectified:
            details = relu(details)
        estimate = interpolated + details if self.shape.residual else details
        return estimate - details.mean((1, 2, 3), keepdim=True) if self.shape.mean_subtracted else estimate


@dataclass(frozen=True, kw_only=True)
class Coloured:
    """SRCNN 9-1-5 on `planes` of an RGB image: on Y alone with Cb and Cr of the interpolated one, RGB, or YCbCr."""

    planes: Planes
    kernels: tuple[int, int, int] = (9, 1, 5)
    filters: tuple[int, int] = (64, 32)

    def __call__(self, scale: int) -> nn.Module:
        return _Coloured(self)


class _Coloured(nn.Module):
    """Takes and gives RGB of about 0 to 1; smaller in training, of one size in use, where edges are repeated."""

    takes = INTERPOLATED_RGB

    def __init__(self, shape: Coloured) -> None:
        super().__init__()
        self.shape = shape
        self.radius = sum(kernel // 2 for kernel in shape.kernels)
        channels, (first, second), (f1, f2, f3) = 1 if shape.planes == "y" else 3, shape.filters, shape.kernels
        self.layers = nn.ModuleList(
            [nn.Conv2d(channels, first, f1), nn.Conv2d(first, second, f2), nn.Conv2d(second, channels, f3)]
        )

    def forward(self, interpolated: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 H W"]:
        given = planes_of(interpolated, "rgb" if self.shape.planes == "rgb" else "ycbcr")
        hidden = given[:, :1] if self.shape.planes == "y" else given
        for layer, kernel in zip(self.layers, self.shape.kernels, strict=True):
            if not self.training:
                hidden = pad(hidden, (kernel // 2,) * 4, mode="replicate")
            hidden = layer(hidden) if layer is self.layers[-1] else relu(layer(hidden), inplace=True)
        if self.shape.planes == "rgb":
            return hidden
        border = (given.shape[-1] - hidden.shape[-1]) // 2
        inside = given[:, 1:, border : given.shape[-2] - border, border : given.shape[-1] - border]
        return _rgb_of(torch.cat([hidden, inside], dim=1) if self.shape.planes == "y" else hidden)


@dataclass(frozen=True)
class EuclideanLossOf:
    """Caffe's loss of Y alone, of RGB or of YCbCr, of images that are RGB."""

    planes: Planes

    def __call__(self, estimate: Float[Tensor, "n 3 h w"], high: Float[Tensor, "n 3 h w"]) -> Float[Tensor, ""]:
        return EuclideanLoss()(planes_of(estimate, self.planes), planes_of(high, self.planes))


def planes_of(rgb: Float[Tensor, "n 3 h w"], planes: Planes) -> Float[Tensor, "n c h w"]:
    """Y, RGB or YCbCr of RGB, all about 0 to 1."""
    if planes == "rgb":
        return rgb
    matrix = torch.tensor(TO_YCBCR, dtype=rgb.dtype, device=rgb.device) / 255
    offset = rgb.new_tensor([16.0, 128.0, 128.0]).view(3, 1, 1) / 255
    ycbcr = torch.einsum("pc,nchw->nphw", matrix, rgb) + offset
    return ycbcr[:, :1] if planes == "y" else ycbcr


def _rgb_of(ycbcr: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    matrix = torch.linalg.inv(torch.tensor(TO_YCBCR, dtype=torch.float64)) * 255
    offset = ycbcr.new_tensor([16.0, 128.0, 128.0]).view(3, 1, 1) / 255
    return torch.einsum("cp,nphw->nchw", matrix.to(ycbcr), ycbcr - offset)
