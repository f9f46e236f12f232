"""Kai Zhang, Wangmeng Zuo, Yunjin Chen, Deyu Meng, Lei Zhang: "Beyond a Gaussian Denoiser: Residual Learning of Deep
CNN for Image Denoising", TIP 2017, arXiv 1608.03981. "code" below is the authors' repository, cszn/DnCNN.

Differs from the paper in: batch normalisation, which the authors' file holds merged into the convolutions, so that
none is left here. Results: results/tables.md.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu

from srrepro.models.recipe import INTERPOLATED, AuthorsWeights


@dataclass(frozen=True, kw_only=True)
class Denoiser:
    """`depth` layers of `filters` filters, whose output is the noise (paper: Network Architecture (recalled))."""

    depth: int = 20  # code: DnCNN3.mat, net.layers, 20 "conv" with "relu" between
    filters: int = 64  # code: DnCNN3.mat, weights
    kernel: int = 3  # code: DnCNN3.mat, weights

    def __call__(self, scale: int) -> "DnCNN":
        return DnCNN(self)  # one network serves all scales


class DnCNN(nn.Module):
    """Takes and gives luminance of about 0 to 1, of one size: every layer pads with zeros (code: DnCNN3.mat, pad).

    `radius` is how far, in pixels, an input pixel reaches.
    """

    takes = INTERPOLATED
    chain = True

    def __init__(self, shape: Denoiser) -> None:
        super().__init__()
        self.shape = shape
        self.radius = shape.depth * (shape.kernel // 2)
        planes = [1, *[shape.filters] * (shape.depth - 1), 1]
        self.layers = nn.ModuleList(
            nn.Conv2d(planes[i], planes[i + 1], shape.kernel, padding=shape.kernel // 2) for i in range(shape.depth)
        )

    def forward(self, interpolated: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 1 h w"]:
        hidden = interpolated
        for layer in self.layers[:-1]:
            hidden = relu(layer(hidden), inplace=True)
        noise: Tensor = self.layers[-1](hidden)
        return interpolated - noise  # code: Demo_test_DnCNN3.m, output = input - im


def load_authors(network: nn.Module, arrays: dict[str, Any]) -> None:
    """Put the authors' layers, `net.layers` of their MATLAB file, into a network of the same shape.

    Raises
    ------
    ValueError : the arrays are not those of such a network.
    """
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    net = arrays.get("net")
    found = net.get("layers") if isinstance(net, dict) else None
    if not isinstance(found, list) or not all(isinstance(given, dict) for given in found):
        msg = f"no net.layers among {sorted(arrays)}"
        raise ValueError(msg)
    kinds = [str(given.get("type")) for given in found]
    if kinds != ["conv", "relu"] * (len(layers) - 1) + ["conv"]:
        msg = f"net.layers holds {len(kinds)} layers of {sorted(set(kinds))}, not {len(layers)} conv with relu between"
        raise ValueError(msg)
    states = [_state(layer, given) for layer, given in zip(layers, found[::2], strict=True)]
    for layer, state in zip(layers, states, strict=True):
        layer.load_state_dict(state)


def _state(layer: nn.Conv2d, given: dict[str, Any]) -> dict[str, Tensor]:
    name = given.get("name")
    try:
        filters, biases = (np.array(array, np.float32) for array in given["weights"])
    except (KeyError, TypeError, ValueError) as error:
        msg = f"{name} of net.layers has no pair of weights and biases"
        raise ValueError(msg) from error
    if filters.ndim == 3:  # MATLAB drops a last axis of one
        filters = filters[..., None]
    out, planes, kernel, _ = layer.weight.shape
    if filters.shape != (kernel, kernel, planes, out) or biases.size != out:
        wanted = f"{out} filters of {planes}×{kernel}×{kernel}"
        msg = f"{name} of net.layers holds {filters.shape} and {biases.size} biases, not {wanted}"
        raise ValueError(msg)
    weight = np.ascontiguousarray(filters.transpose(3, 2, 0, 1))  # code: MatConvNet, (row, column, plane, filter)
    return {"weight": torch.from_numpy(weight), "bias": torch.from_numpy(biases.reshape(-1))}


AUTHORS = (
    AuthorsWeights(
        name="dncnn-3-authors",
        model="DnCNN-3",
        network=Denoiser(),
        training_set="291",
        set="weights-dncnn",
        files=dict.fromkeys((2, 3, 4), "DnCNN3.mat"),
        load=load_authors,
        protocol="dncnn-y-v1",
    ),
)
