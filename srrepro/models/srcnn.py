"""Chao Dong, Chen Change Loy, Kaiming He, Xiaoou Tang: "Learning a Deep Convolutional Network for Image
Super-Resolution", ECCV 2014; journal version "Image Super-Resolution Using Deep Convolutional Networks", TPAMI 2016,
arXiv 1501.00092. "code" below is the authors' training and test package.

Differs from the paper in: the text says 24,800 sub-images and a Gaussian blur before sub-sampling; the authors' code
makes 21,884 (at x3) and does not blur, and their released weights fit the code. Results: results/tables.md.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad, relu

from srrepro.models.recipe import (
    INTERPOLATED,
    SGD,
    SOAP,
    AuthorsWeights,
    Constant,
    Cosine,
    EuclideanLoss,
    FixedOrder,
    GaussianInit,
    LayerRates,
    NewOrder,
    NoAugmentation,
    OneRate,
    OwnInit,
    Patches,
    Recipe,
    Training,
    TurnAndFlip,
    layers_of,
)


@dataclass(frozen=True, kw_only=True)
class ThreeLayers:
    """Patch extraction, non-linear mapping, reconstruction (paper: "Convolutional Neural Networks for SR")."""

    kernels: tuple[int, int, int]
    filters: tuple[int, int] = (64, 32)  # paper: Experiments, "n1 = 64 and n2 = 32"
    training_padding: Literal["none", "zeros"] = "none"  # paper: Training; code: SRCNN_net.prototxt, pad 0
    inference_padding: Literal["replicate", "zeros"] = "replicate"  # code: SRCNN.m, imfilter(..., 'same', 'replicate')

    def __call__(self, scale: int) -> "SRCNN":
        return SRCNN(self)


class SRCNN(nn.Module):
    """Takes and gives luminance of about 0 to 1.

    In training mode without padding the output is smaller by the sum of (kernel - 1); in evaluation mode it has the
    size of the input, and every layer is padded before it, not the image once: the paddings of hidden layers differ.
    `radius` is how far, in pixels, an input pixel reaches.
    """

    takes = INTERPOLATED
    chain = True

    def __init__(self, shape: ThreeLayers) -> None:
        super().__init__()
        self.shape = shape
        self.radius = sum(kernel // 2 for kernel in shape.kernels)
        first, second = shape.filters
        f1, f2, f3 = shape.kernels
        self.layers = nn.ModuleList([nn.Conv2d(1, first, f1), nn.Conv2d(first, second, f2), nn.Conv2d(second, 1, f3)])

    def forward(self, interpolated: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 1 H W"]:
        padding = self.shape.training_padding if self.training else self.shape.inference_padding
        hidden = interpolated
        for layer, kernel in zip(self.layers, self.shape.kernels, strict=True):
            hidden = _padded(hidden, kernel // 2, padding)
            hidden = layer(hidden) if layer is self.layers[-1] else relu(layer(hidden), inplace=True)
        return hidden

    def in_torch(self) -> str:
        mode = "constant" if self.shape.inference_padding == "zeros" else "replicate"
        return f"""\
def network(x):
    for layer, border in enumerate({tuple(kernel // 2 for kernel in self.shape.kernels)}):
        x = F.pad(x if layer == 0 else F.relu(x), (border,) * 4, mode="{mode}")
        x = F.conv2d(x, weights[f"layers.{{layer}}.weight"], weights[f"layers.{{layer}}.bias"])
    return x
"""


def _padded(planes: Tensor, border: int, padding: Literal["none", "zeros", "replicate"]) -> Tensor:
    if padding == "none" or border == 0:
        return planes
    return pad(planes, (border,) * 4, mode="constant" if padding == "zeros" else "replicate")


AS_PUBLISHED = Training(
    set="T91",  # paper: Experiments, "91 images"
    validation="val20",  # ours: the paper watched Set5, which is a test set
    logged=("Set5",),  # code: generate_test.m
    patches=Patches(patch=33, stride=14, label=21),  # code: generate_train.m, size_input, stride, size_label
    init=GaussianInit(std=0.001),  # paper: Training; code: SRCNN_net.prototxt
    loss=EuclideanLoss(),  # code: SRCNN_net.prototxt, EuclideanLoss
    optimiser=SGD(momentum=0.9, weight_decay=0.0),  # code: SRCNN_solver.prototxt
    schedule=Constant(lr=1e-4),  # paper: Training; code: SRCNN_solver.prototxt, base_lr, lr_policy "fixed"
    rates=LayerRates(
        weights=(1, 1, 0.1),  # paper: Training, 1e-5 in the last layer; code: SRCNN_net.prototxt, lr_mult
        biases=(0.1, 0.1, 0.1),  # code: SRCNN_net.prototxt, lr_mult of every bias
    ),
    order=FixedOrder(),  # code: generate_train.m shuffles once and stores whole batches only
    augmentation=NoAugmentation(),  # code: generate_train.m
    batch=128,  # code: SRCNN_net.prototxt; generate_train.m, chunksz
    backprops=800_000_000,  # paper: Experiments, 8 × 10^8 backpropagations
)

SRCNN_915 = Recipe(
    name="srcnn-915",
    model="SRCNN 9-1-5",
    network=ThreeLayers(kernels=(9, 1, 5)),  # paper: Experiments, "f1 = 9, f2 = 1 and f3 = 5"; code: SRCNN_net.prototxt
    training=AS_PUBLISHED,
    of_the_paper=True,
)

SRCNN_935 = replace(
    SRCNN_915,
    name="srcnn-935",
    model="SRCNN 9-3-5",
    network=ThreeLayers(kernels=(9, 3, 5)),  # paper: Filter size
    training=replace(
        AS_PUBLISHED,
        patches=Patches(patch=33, stride=14, label=19),  # ours: by analogy, 33 - 8 - 2 - 4
    ),
    of_the_paper=False,  # ours: the authors' training package is the 9-1-5 network; all else follows by analogy
)

SRCNN_955 = replace(
    SRCNN_915,
    name="srcnn-955",
    model="SRCNN 9-5-5",
    network=ThreeLayers(kernels=(9, 5, 5)),  # paper: Filter size
    training=replace(
        AS_PUBLISHED,
        patches=Patches(patch=33, stride=14, label=17),  # ours: by analogy, 33 - 8 - 4 - 4
    ),
    of_the_paper=False,  # ours: as for srcnn-935
)

# Between T91 and the paper's ImageNet: do more photographs help this network?
SRCNN_955_291 = replace(
    SRCNN_955,
    name="srcnn-955-291",
    training=replace(
        AS_PUBLISHED,
        set="291",  # ours: the images of VDSR; the paper has T91 or 395,909 of ImageNet
        scales=(3,),  # paper: Filter size, upscaling factor 3; a store of each further scale would take 0.9 GB
        validation="val20",  # ours: its images are among the 291, so it is only watched; nothing is chosen on it here
        patches=Patches(patch=33, stride=14, label=17),  # ours: as for srcnn-955
    ),
)

# The practice notes' version: "no padding in the original, I padded".
SRCNN_915_NOTES = replace(
    SRCNN_915,
    name="srcnn-915-notes",
    network=ThreeLayers(
        kernels=(9, 1, 5),  # paper: Experiments
        training_padding="zeros",  # ours: as in the practice notes
        inference_padding="zeros",  # ours: as in the practice notes
    ),
    training=replace(
        AS_PUBLISHED,
        patches=Patches(patch=33, stride=14, label=33),  # ours: as in the practice notes, 33 to 33
        init=OwnInit(),  # ours: as in the practice notes, PyTorch's default
    ),
    of_the_paper=False,
)

# The paper's network, data and loss; the rest was chosen on val20 to reach its quality soonest on two CPU cores.
# What it was compared with: docs/experiments/srcnn-quick.md.
QUICK = replace(
    AS_PUBLISHED,
    init=OwnInit(),  # ours: PyTorch's default; the paper's Gaussian ends alike with SOAP
    optimiser=SOAP(
        momentum=0.95,  # ours: 0.9 ends alike
        memory=0.99,  # ours: 0.98 ends alike
        refresh=10,  # ours: every 3 steps ends alike, every 30 0.11 dB lower
    ),
    schedule=Cosine(
        peak=3e-3,  # ours: 2e-3 and 5e-3 end alike
        warmup=0.02,  # ours: the first bases are estimates from single batches
    ),
    rates=OneRate(),  # ours: a last layer at a tenth ends 0.03 dB lower
    order=NewOrder(),  # ours: the usual choice, and no batch is ever seen twice
    augmentation=TurnAndFlip(),  # ours: without it 0.03 dB lower
    batch=32,  # ours: 64 ends 0.03 dB lower, 16 alike
    backprops=300_000,  # ours: minutes on two cores; see docs/experiments/srcnn-quick.md
)

SRCNN_915_QUICK = replace(
    SRCNN_915,
    name="srcnn-915-quick",
    training=QUICK,
    of_the_paper=False,  # ours: only network, patches and loss are the paper's
)

DEMO = replace(
    QUICK,
    set="demo-train",  # ours: photographs that ship with scikit-image, so no download
    validation="demo-test",  # ours: nothing is chosen in the demo
    logged=(),  # ours: the demo needs no download
    backprops=60_000,  # ours: about a minute on two cores
)

SRCNN_915_DEMO = replace(
    SRCNN_915_QUICK,
    name="srcnn-915-demo",
    training=DEMO,
    note="demo scenes: comparable with no paper",
)

SRCNN_915_DEMO_PADDED = replace(
    SRCNN_915_DEMO,
    name="srcnn-915-demo-padded",
    network=SRCNN_915_NOTES.network,  # ours: what zero padding in every layer changes, all else equal
    training=replace(
        DEMO,
        patches=Patches(patch=33, stride=14, label=33),  # ours: as in the practice notes, 33 to 33
    ),
)

RECIPES = (
    SRCNN_915,
    SRCNN_935,
    SRCNN_955,
    SRCNN_955_291,
    SRCNN_915_QUICK,
    SRCNN_915_NOTES,
    SRCNN_915_DEMO,
    SRCNN_915_DEMO_PADDED,
)


def load_authors(network: nn.Module, arrays: dict[str, Any]) -> None:
    """Put the authors' arrays, as MATLAB saved them, into a network of the same kernels.

    Raises
    ------
    ValueError : the arrays are not those of such a network.
    """
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    for number, layer in enumerate(layers, start=1):
        try:
            weights = np.asarray(arrays[f"weights_conv{number}"], np.float32)
            biases = np.asarray(arrays[f"biases_conv{number}"], np.float32)
        except KeyError as error:
            msg = f"no {error.args[0]} among {sorted(arrays)}"
            raise ValueError(msg) from error
        out, planes, kernel, _ = layer.weight.shape
        # code: SRCNN.m. Filters are columns of pixels for the first layer (pixels, filters), for the second
        # (planes, pixels, filters), for the last (planes, pixels); MATLAB counts pixels down the columns.
        columns = tuple(side for side in (planes, kernel * kernel, out) if side > 1)  # MATLAB drops sides of one
        if tuple(side for side in weights.shape if side > 1) != columns or biases.size != out:
            wanted = f"{out} filters of {planes}×{kernel}×{kernel}"
            msg = f"weights_conv{number} holds {weights.shape}, not {wanted}"
            raise ValueError(msg)
        by_column = weights.reshape(planes, kernel, kernel, out).transpose(3, 0, 2, 1)
        layer.load_state_dict(
            {
                "weight": torch.from_numpy(np.ascontiguousarray(by_column)),
                "bias": torch.from_numpy(biases.reshape(-1)),
            }
        )


def save_authors(network: nn.Module) -> dict[str, Any]:
    """The reverse of `load_authors`."""
    arrays = {}
    for number, layer in enumerate(layers_of(network), start=1):
        out, planes, kernel, _ = layer.weight.shape
        columns = layer.weight.detach().double().cpu().numpy().transpose(1, 3, 2, 0)
        shape = (kernel * kernel, out) if planes == 1 else (planes, kernel * kernel) + ((out,) if out > 1 else ())
        arrays[f"weights_conv{number}"] = columns.reshape(shape)
        assert layer.bias is not None
        arrays[f"biases_conv{number}"] = layer.bias.detach().double().cpu().numpy().reshape(-1, 1)
    return arrays


def _authors(name: str, recipe: Recipe, training_set: str, folder: str, scales: tuple[int, ...]) -> AuthorsWeights:
    return AuthorsWeights(
        name=name,
        model=recipe.model,
        network=recipe.network,
        training_set=training_set,
        set="weights-srcnn",
        files={scale: f"{folder}/x{scale}.mat" for scale in scales},
        load=load_authors,
        save=save_authors,
    )


AUTHORS = (
    _authors("srcnn-915-authors-t91", SRCNN_915, "T91", "9-1-5(91 images)", (2, 3, 4)),
    _authors("srcnn-915-authors-imagenet", SRCNN_915, "ImageNet", "9-1-5(ImageNet)", (3,)),
    _authors("srcnn-935-authors-imagenet", SRCNN_935, "ImageNet", "9-3-5(ImageNet)", (3,)),
    _authors("srcnn-955-authors-imagenet", SRCNN_955, "ImageNet", "9-5-5(ImageNet)", (2, 3, 4)),
)
