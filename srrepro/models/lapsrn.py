"""Wei-Sheng Lai, Jia-Bin Huang, Narendra Ahuja, Ming-Hsuan Yang: "Deep Laplacian Pyramid Networks for Fast and
Accurate Super-Resolution", CVPR 2017, arXiv 1704.03915. "code" below is the authors' repository, phoenix104104/LapSRN.

Differs from the paper in: features are enlarged by filters of 3 × 3, as in the authors' code and their released
weights; the text has 4 × 4 for every enlargement (recalled). Results: results/tables.md.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from srrepro.models.recipe import LOW, AuthorsWeights, check_names


@dataclass(frozen=True, kw_only=True)
class Pyramid:
    """A level for every doubling: `depth` layers of `filters` filters, then the features and the image twice as large.

    Raises
    ------
    ValueError : the scale is no power of two.
    """

    depth: int = 10  # code: README.md, "depth = 10"; the released weights
    filters: int = 64  # code: init_LapSRN_opts.m, conv_n
    kernel: int = 3  # code: init_LapSRN_opts.m, conv_f
    leak: float = 0.2  # code: init_LapSRN_model.m, dagnn.ReLU
    image_kernel: int = 4  # code: init_LapSRN_model.m, bilinear_kernel(4, 1, 1), which training changes

    def __call__(self, scale: int) -> "LapSRN":
        if scale < 2 or scale & (scale - 1):
            msg = f"LapSRN doubles an image once or several times: it has no scale {scale}, but 2, 4, 8 ..."
            raise ValueError(msg)
        return LapSRN(self, levels=scale.bit_length() - 1)


class LapSRN(nn.Module):
    """Takes luminance of about 0 to 1 of the low size, gives that of the high size. Zeros surround every layer's input.

    `radius` is how far, in pixels of its input, an input pixel reaches.
    """

    takes = LOW

    def __init__(self, shape: Pyramid, *, levels: int) -> None:
        super().__init__()
        self.shape = shape
        self.radius = _radius(shape, levels)
        self.first = nn.Conv2d(1, shape.filters, shape.kernel, padding=shape.kernel // 2)
        self.levels = nn.ModuleList(Level(shape) for _ in range(levels))

    def forward(self, low: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 1 H W"]:
        features, image = leaky_relu(self.first(low), self.shape.leak, inplace=True), low
        for level in self.levels:
            features, image = level(features, image)
        return image


class Level(nn.Module):
    """Features and image of one size to those of twice the size."""

    def __init__(self, shape: Pyramid) -> None:
        super().__init__()
        self.shape = shape
        filters, border = shape.filters, shape.kernel // 2
        self.layers = nn.ModuleList(
            nn.Conv2d(filters, filters, shape.kernel, padding=border) for _ in range(shape.depth)
        )
        self.enlarge = nn.ConvTranspose2d(filters, filters, shape.kernel, stride=2, padding=border - 1)
        self.residual = nn.Conv2d(filters, 1, shape.kernel, padding=border)
        around = shape.image_kernel // 2 - 1  # code: init_LapSRN_model.m, crop 1 of filters of 4 pixels
        self.enlarge_image = nn.ConvTranspose2d(1, 1, shape.image_kernel, stride=2, padding=around, bias=False)

    def forward(
        self, features: Float[Tensor, "n f h w"], image: Float[Tensor, "n 1 h w"]
    ) -> tuple[Float[Tensor, "n f H W"], Float[Tensor, "n 1 H W"]]:
        for layer in self.layers:
            features = leaky_relu(layer(features), self.shape.leak, inplace=True)
        # code: init_LapSRN_model.m, crop [0, 1, 0, 1]: below and at the right one pixel more than PyTorch can be told
        features = leaky_relu(self.enlarge(features)[..., :-1, :-1], self.shape.leak, inplace=True)
        return features, self.enlarge_image(image) + self.residual(features)


def _radius(shape: Pyramid, levels: int) -> int:
    """From pixel 0 to the first and last pixel of the output that it changes, in pixels of the input."""
    border = shape.kernel // 2
    before = after = border
    for _ in range(levels):
        before = 2 * (before + shape.depth * border) + border - 1
        after = 2 * (after + shape.depth * border) + border + 1
    scale = 1 << levels
    return max(-(-(before + border) // scale), (after + border) // scale)


def load_authors(network: nn.Module, arrays: dict[str, Any]) -> None:
    """Put the authors' arrays, a network that MatConvNet saved, into one of the same shape.

    Raises
    ------
    ValueError : the arrays are not those of such a network.
    """
    assert isinstance(network, LapSRN), type(network)
    saved = _saved(arrays)
    wanted = _names(network)
    check_names(saved, wanted)
    values = {}
    for name, ours in wanted.items():
        given, tensor = saved[name], network.state_dict()[ours]
        # MatConvNet: rows, columns, planes, filters of a convolution, in reverse of ours. MATLAB drops last sides of 1.
        columns = (1, len(tensor)) if tensor.ndim == 1 else tuple(tensor.shape[side] for side in (2, 3, 1, 0))
        if given.shape + (1,) * (len(columns) - given.ndim) != columns:
            msg = f"{name} holds {given.shape}, not {columns}"
            raise ValueError(msg)
        turned = given.reshape(-1) if tensor.ndim == 1 else given.reshape(columns).transpose(3, 2, 0, 1)
        values[ours] = torch.from_numpy(np.ascontiguousarray(turned))
    network.load_state_dict(values)


def _saved(arrays: dict[str, Any]) -> dict[str, ndarray]:
    try:
        parameters = arrays["net"]["params"].item()
        names, values = parameters["name"].ravel(), parameters["value"].ravel()
        return {str(name.item()): value.astype(np.float32) for name, value in zip(names, values, strict=True)}
    except (KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
        msg = f"no `net` with `params` of MatConvNet among {sorted(arrays)}"
        raise ValueError(msg) from error


def _names(network: LapSRN) -> dict[str, str]:
    """The authors' name of every array, and ours. They count levels from the last."""
    layers = {"input_conv": "first"}
    for index, number in enumerate(range(len(network.levels), 0, -1)):
        theirs, ours = f"level{number}", f"levels.{index}"
        layers |= {f"{theirs}_conv{depth + 1}": f"{ours}.layers.{depth}" for depth in range(network.shape.depth)}
        layers |= {f"{theirs}_upconv": f"{ours}.enlarge", f"{theirs}_residual_conv": f"{ours}.residual"}
        layers[f"{theirs}_img_up"] = f"{ours}.enlarge_image"
    names = {f"{theirs}_f": f"{ours}.weight" for theirs, ours in layers.items()}
    return names | {f"{theirs}_b": f"{ours}.bias" for theirs, ours in layers.items() if not theirs.endswith("_img_up")}


AUTHORS = (
    AuthorsWeights(
        name="lapsrn-authors",
        model="LapSRN",
        network=Pyramid(),
        training_set="291",
        set="weights-lapsrn",
        files={2: "LapSRN_x2.mat", 4: "LapSRN_x4.mat"},
        load=load_authors,
        protocol="lapsrn-v1",
    ),
)
