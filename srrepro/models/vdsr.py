"""Jiwon Kim, Jung Kwon Lee, Kyoung Mu Lee: "Accurate Image Super-Resolution Using Very Deep Convolutional Networks",
CVPR 2016, arXiv 1511.04587.

The paper's text and its authors' code differ, and a recipe says which it follows: docs/vdsr.md. What both leave open is
marked `# ours:`. Results: results/tables.md. (Over 400 lines: thirteen recipes, each number with its source.)
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import relu

from srrepro.models.recipe import (
    INTERPOLATED,
    SGD,
    AuthorsWeights,
    ClearMomentum,
    Cosine,
    EuclideanLoss,
    EveryImage,
    HeInit,
    MeanSquaredError,
    Muon,
    NewOrder,
    NoAugmentation,
    OneRate,
    OwnInit,
    Patches,
    Recipe,
    SquaredError,
    Steps,
    Training,
    TurnAndFlip,
    layers_of,
)


@dataclass(frozen=True, kw_only=True)
class VeryDeep:
    """`depth` layers of `filters` filters, and the input added to their output (paper: Proposed Network)."""

    depth: int = 20  # paper: Training Parameters
    filters: int = 64  # paper: Proposed Network, "64 filters of the size 3 × 3 × 64"
    kernel: int = 3  # paper: Proposed Network
    residual: bool = True  # paper: Residual-Learning

    def __call__(self, scale: int) -> "VDSR":
        return VDSR(self)


class VDSR(nn.Module):
    """Takes and gives luminance of about 0 to 1, of one size: every layer pads with zeros, in training as in use.

    `radius` is how far, in pixels, an input pixel reaches.
    """

    takes = INTERPOLATED
    chain = True

    def __init__(self, shape: VeryDeep) -> None:
        super().__init__()
        self.shape = shape
        self.radius = shape.depth * (shape.kernel // 2)
        planes = [1, *[shape.filters] * (shape.depth - 1), 1]
        self.layers = nn.ModuleList(
            nn.Conv2d(planes[i], planes[i + 1], shape.kernel, padding=shape.kernel // 2) for i in range(shape.depth)
        )

    def forward(self, interpolated: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 1 h w"]:
        details = _details(self.layers, interpolated)
        return interpolated + details if self.shape.residual else details

    def in_torch(self) -> str:
        return _in_torch(self.layers, "x + hidden" if self.shape.residual else "hidden")


def _details(layers: nn.ModuleList, interpolated: Tensor) -> Tensor:
    """The output of the last layer; a rectifier follows every other one."""
    hidden = interpolated
    for layer in layers[:-1]:
        hidden = relu(layer(hidden), inplace=True)
    details: Tensor = layers[-1](hidden)
    return details


def _in_torch(layers: nn.ModuleList, estimate: str) -> str:
    return f"""\
def network(x):
    hidden = x
    for layer in range({len(layers)}):
        weight, bias = weights[f"layers.{{layer}}.weight"], weights.get(f"layers.{{layer}}.bias")
        hidden = F.conv2d(hidden if layer == 0 else F.relu(hidden), weight, bias, padding="same")
    return {estimate}
"""


@dataclass(frozen=True)
class ClipByRate:
    """Every element of the loss's gradients to ±theta / lr: while the learning rate falls, the bound rises.

    Paper: Training, "Adjustable Gradient Clipping". So a gradient moves a weight by theta at most, whatever the rate;
    momentum and weight decay come after it (the paper does not say; ours).
    """

    theta: float

    def __call__(self, gradients: list[Tensor], lr: float | Tensor) -> None:
        bound: Any = self.theta / lr
        for gradient in gradients:
            gradient.clamp_(-bound, bound)


@dataclass(frozen=True)
class ClipByNorm:
    """All gradients together to a Euclidean norm of theta / lr: what public codes do instead."""

    theta: float

    def __call__(self, gradients: list[Tensor], lr: float | Tensor) -> None:
        norm = torch.stack([gradient.norm() for gradient in gradients]).norm()
        for gradient in gradients:
            gradient.mul_((self.theta / lr / norm).clamp(max=1.0))


@dataclass(frozen=True)
class NotesNetwork:
    """The practice notes' version: one convolution without bias, twenty more layers, one for the output, 22 in all."""

    filters: int = 64  # ours: as in the practice notes
    kernel: int = 3  # ours: as in the practice notes
    hidden: int = 20  # ours: as in the practice notes

    def __call__(self, scale: int) -> "NotesVDSR":
        return NotesVDSR(self)


class NotesVDSR(nn.Module):
    """As `VDSR`, but the mean of every output image is subtracted from it, so that no tile can be computed alone.

    The notes add the residual in the loss; adding it here is the same mathematics, and gives an image to measure.
    """

    takes = INTERPOLATED
    radius = None

    def __init__(self, shape: NotesNetwork) -> None:
        super().__init__()
        filters, kernel = shape.filters, shape.kernel
        self.layers = nn.ModuleList(
            [
                nn.Conv2d(1, filters, kernel, padding=kernel // 2, bias=False),
                *(nn.Conv2d(filters, filters, kernel, padding=kernel // 2) for _ in range(shape.hidden)),
                nn.Conv2d(filters, 1, kernel, padding=kernel // 2),
            ]
        )

    def forward(self, interpolated: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 1 h w"]:
        details = _details(self.layers, interpolated)
        return interpolated + details - details.mean((1, 2, 3), keepdim=True)

    def in_torch(self) -> str:
        return _in_torch(self.layers, "x + hidden - hidden.mean((1, 2, 3), keepdim=True)")


FLIPPED = "flips and rotations"
"""What the authors' tables call a training whose patches are turned and mirrored."""

ON_T91 = Training(
    set="T91",  # paper: Datasets for Training and Testing, the 91 images in all comparisons of settings
    validation="val20",  # ours: 20 images of BSDS200, none of them in T91
    logged=("Set5",),  # paper: Understanding Properties, the set of its curves and tables
    patches=Patches(
        patch=41,  # paper: Multi-Scale, patches of the size of the receptive field
        stride=41,  # paper: Multi-Scale, "with no overlap"
        label=41,  # paper: Proposed Network, zero padding keeps the size
    ),
    scales=(2, 3, 4),  # paper: Multi-Scale, sub-images of different scales in the same batch
    init=HeInit(),  # paper: Training Parameters
    loss=EuclideanLoss(),  # paper: Training, 1/2 ||y - f(x)||^2 averaged over the training set
    optimiser=SGD(
        momentum=0.9,  # paper: Training Parameters
        weight_decay=1e-4,  # paper: Training Parameters
    ),
    schedule=Steps(
        lr=0.1,  # paper: Training Parameters
        factor=0.1,  # paper: Training Parameters, "decreased by a factor of 10 every 20 epochs"
        after=(0.25, 0.5, 0.75),  # paper: Training Parameters, after 20, 40 and 60 of 80 epochs
    ),
    clip=ClipByRate(theta=1e-4),  # ours: not published; chosen on val20, see docs/experiments/vdsr-clipping.md
    rates=OneRate(),  # paper: Training Parameters name one rate
    order=NewOrder(),  # ours: MatConvNet, which the authors used, shuffles every epoch
    augmentation=NoAugmentation(),  # ours: 9,960 batches are 80 epochs of T91 only without any
    batch=64,  # paper: Training Parameters
    backprops=9_960 * 64,  # paper: Training Parameters, "all experiments over 80 epochs (9960 iterations ...)"
)

VDSR_T91 = Recipe(
    name="vdsr-t91",
    model="VDSR",
    network=VeryDeep(),
    training=ON_T91,
    of_the_paper=True,
)

# The first author's own code, github.com/kjw0612/rcn at d12694b (rcn.m, rcn_train.m) with his MatConvNet,
# kjw0612/snudeep at d55351a (vl_simplenn.m). It differs from the text in five decisions: docs/vdsr.md.
BY_CODE = Training(
    set="T91",  # code: rcn.m, data/91
    validation=None,  # ours: nothing is chosen on it; the authors' code watches Set5 alone
    logged=("Set5",),  # code: rcn_train.m
    log_points=80,  # code: rcn_train.m, after every epoch
    protocol="vdsr-y-v1",  # code: rcn.m, the interpolated luminance is clamped to [16, 235] / 255; the text: nothing
    patches=Patches(
        patch=41,  # code: rcn.m, 2 × depth + 1
        stride=41,  # code: rcn.m
        label=41,  # code: rcn.m
    ),
    scales=(2, 3, 4),  # paper: Multi-Scale, sub-images of different scales in the same batch
    init=HeInit(
        last=0.001,  # code: rcn.m; the text: He et al. for every layer
    ),
    loss=SquaredError(),  # code: vl_simplenn.m, its gradient is 2 (estimate - high); the text has a half
    optimiser=SGD(
        momentum=0.9,  # code: rcn_train.m
        weight_decay=1e-4,  # code: rcn.m
    ),
    schedule=Steps(
        lr=0.1,  # code: rcn.m
        factor=0.1,  # code: rcn.m
        after=(0.25, 0.5, 0.75),  # code: rcn.m, every rate for 20 of 80 epochs
    ),
    at_new_rate=ClearMomentum(),  # code: rcn_train.m; the text: nothing
    clip=ClipByRate(
        theta=1e-4,  # code: rcn.m, gradRange; the text gives no value
    ),
    rates=OneRate(),  # code: rcn_train.m
    order=NewOrder(
        held_out=0.01,  # code: rcn.m; the text: nothing
    ),
    augmentation=NoAugmentation(),  # code: rcn.m, a loop over four mirror images is set to one
    batch=64,  # code: rcn.m
    incomplete=True,  # code: rcn_train.m; the text: 9,960 iterations, which are 124.5 an epoch
    epochs=80,  # code: rcn.m
)

VDSR_T91_CODE = replace(
    VDSR_T91,
    name="vdsr-t91-code",
    training=BY_CODE,
)

# What the authors' own curves at depth 10 say: an epoch shows every patch and its mirror images. A loop over these four
# stands in their code, set to one; it mirrors the images before they are cut, here the patches are mirrored. It reads
# their training on T91 without "+", and is held against that.
VDSR_T91_CODE_MIRRORED = replace(
    VDSR_T91_CODE,
    name="vdsr-t91-code-mirrored",
    training=replace(
        BY_CODE,
        augmentation=EveryImage(
            images=4,  # ours: fits the authors' curve, see docs/experiments/vdsr-authors.md
        ),
    ),
    of_the_paper=False,  # ours: inferred
)

# Their tables' other training on T91, with "+": flips and rotations.
VDSR_T91_CODE_AUGMENTED = replace(
    VDSR_T91_CODE,
    name="vdsr-t91-code-augmented",
    setting=FLIPPED,
    training=replace(
        BY_CODE,
        augmentation=EveryImage(
            images=8,  # ours: as the mirrored one, with rotations; the draft says "flips and 90 deg. rotations"
        ),
    ),
    of_the_paper=False,  # ours: what an epoch was is inferred
)

VDSR_291 = replace(
    VDSR_T91_CODE,
    name="vdsr",
    setting=FLIPPED,
    training=replace(
        BY_CODE,
        set="291",  # paper: Datasets for Training and Testing
        augmentation=TurnAndFlip(),  # ours: the paper says "rotation or flip"; here a new one for every batch
    ),
    of_the_paper=False,  # ours: how often a patch is turned is not known
)

VDSR_T91_SINGLE = replace(
    VDSR_T91_CODE,
    name="vdsr-t91-single",
    model="VDSR-single",
    training=replace(
        BY_CODE,
        scales=None,  # paper: Single Model for Multiple Scales, one network for each scale
    ),
)

# The paper's first table: depth 10, one scale; patches again of the size of the receptive field.
AT_DEPTH_10 = replace(
    BY_CODE,
    scales=(2,),  # paper: Residual-Learning, "scale factor 2"
    patches=Patches(
        patch=21,  # code: rcn.m, 2 × depth + 1
        stride=21,  # code: rcn.m
        label=21,  # code: rcn.m
    ),
)

VDSR_10_RESIDUAL = replace(
    VDSR_T91_CODE,
    name="vdsr-10-residual",
    model="VDSR-10-residual",
    network=VeryDeep(
        depth=10,  # paper: Residual-Learning, "the number of weight layers is 10"
    ),
    training=AT_DEPTH_10,
)

VDSR_10_PLAIN = replace(
    VDSR_10_RESIDUAL,
    name="vdsr-10-plain",
    model="VDSR-10-plain",
    network=VeryDeep(
        depth=10,  # paper: Residual-Learning
        residual=False,  # paper: Residual-Learning, "the standard network"
    ),
    training=replace(
        AT_DEPTH_10,
        init=HeInit(
            last=0.001,  # code: rcn.m
            last_bias=0.5,  # code: rcn.m, "the average DC"
        ),
    ),
)

# Public codes bound the norm of all gradients together instead, each by another number.
VDSR_T91_NORM = replace(
    VDSR_T91,
    name="vdsr-t91-norm",
    training=replace(
        ON_T91,
        clip=ClipByNorm(theta=1e-2),  # ours: as one of those codes, Lornatang/VDSR-PyTorch
    ),
    of_the_paper=False,  # ours: the paper bounds every element
)

# Another optimiser matches the paper's numbers on two cores, and with more patches reaches them:
# docs/experiments/vdsr-t91.md.
BY_MUON = replace(
    ON_T91,
    optimiser=Muon(
        momentum=0.95,  # ours: as its authors have it
        memory=0.99,  # ours: as in srcnn-915-quick
    ),
    schedule=Cosine(
        peak=1e-3,  # ours: the better of 5e-4 and 1e-3 on val20 after 30,000 backprops
        warmup=0.02,  # ours: as in srcnn-915-quick
    ),
    clip=None,  # ours: the size of an orthogonal update is bounded by itself
    augmentation=TurnAndFlip(),  # ours: T91 is small, and every patch can be seen in eight ways
    batch=16,  # ours: the better of 16 and 32 on val20 after 30,000 backprops
    backprops=9_960 * 64,  # ours: as many as the paper's 9,960 iterations of 64; two hours on two cores
)

VDSR_T91_MUON = replace(
    VDSR_T91,
    name="vdsr-t91-muon",
    training=BY_MUON,
    of_the_paper=False,  # ours: another optimiser
)

# The same with patches that overlap: 27,954 of them instead of 7,992, nearer to the images' right and lower edges.
VDSR_T91_MUON_OVERLAP = replace(
    VDSR_T91_MUON,
    name="vdsr-t91-muon-overlap",
    training=replace(
        BY_MUON,
        patches=Patches(
            patch=41,  # paper: Multi-Scale, patches of the size of the receptive field
            stride=21,  # ours: half a patch; the paper's are "with no overlap"
            label=41,  # paper: Proposed Network, zero padding keeps the size
        ),
    ),
)

# The paper's recipe with more to see, for a GPU: does its own optimiser come there too?
VDSR_T91_LONG = replace(
    VDSR_T91,
    name="vdsr-t91-long",
    setting=FLIPPED,
    training=replace(
        ON_T91,
        augmentation=TurnAndFlip(),  # ours: T91 is small, and every patch can be seen in eight ways
        backprops=39_840 * 64,  # ours: four times the paper's
    ),
    of_the_paper=False,  # ours: the paper states 9,960 iterations
)

# The practice notes' version; what they leave open is as in vdsr-t91.
VDSR_NOTES = replace(
    VDSR_T91,
    name="vdsr-notes",
    network=NotesNetwork(),
    training=replace(
        ON_T91,
        init=OwnInit(),  # ours: as in the practice notes, PyTorch's default
        loss=MeanSquaredError(),  # ours: as in the practice notes
        clip=None,  # ours: the practice notes name no clipping
        set="T91",  # ours: the practice notes leave it open
        logged=("Set5",),  # ours: left open
        patches=Patches(
            patch=41,  # ours: left open
            stride=41,  # ours: left open
            label=41,  # ours: left open
        ),
        scales=(2, 3, 4),  # ours: left open
        rates=OneRate(),  # ours: left open
        schedule=Steps(
            lr=0.1,  # ours: the practice notes say "in steps" and leave the numbers open
            factor=0.1,  # ours: left open
            after=(0.25, 0.5, 0.75),  # ours: left open
        ),
        optimiser=SGD(
            momentum=0.9,  # ours: the practice notes say "momentum"
            weight_decay=1e-4,  # ours: left open
        ),
        batch=64,  # ours: left open
        backprops=9_960 * 64,  # ours: left open
    ),
    of_the_paper=False,  # ours: the practice notes' own network and loss
    note="22 layers: the practice notes' network, not the paper's",
)

RECIPES = (
    VDSR_T91,
    VDSR_T91_CODE,
    VDSR_T91_CODE_MIRRORED,
    VDSR_T91_CODE_AUGMENTED,
    VDSR_291,
    VDSR_T91_SINGLE,
    VDSR_10_RESIDUAL,
    VDSR_10_PLAIN,
    VDSR_T91_NORM,
    VDSR_T91_MUON,
    VDSR_T91_MUON_OVERLAP,
    VDSR_T91_LONG,
    VDSR_NOTES,
)


def load_authors(network: nn.Module, arrays: dict[str, Any]) -> None:
    """Put the authors' weights, as MATLAB saved them, into a network of the same layers.

    Raises
    ------
    ValueError : the arrays are not those of such a network.
    """
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    try:
        weights, biases = (list(arrays["model"][field][0, 0].ravel()) for field in ("weight", "bias"))
    except (KeyError, ValueError, IndexError) as error:
        msg = f"no `model` with `weight` and `bias` among {sorted(arrays)}"
        raise ValueError(msg) from error
    if len(weights) != len(layers) or len(biases) != len(layers):
        msg = f"`model` has {len(weights)} layers, not {len(layers)}"
        raise ValueError(msg)
    for number, (layer, weight, bias) in enumerate(zip(layers, weights, biases, strict=True), start=1):
        # MATLAB: rows, columns, planes, filters; its last sides of one are dropped.
        filters = np.asarray(weight, np.float32)
        filters = filters.reshape(filters.shape + (1,) * (4 - filters.ndim)).transpose(3, 2, 0, 1)
        if filters.shape != layer.weight.shape or np.size(bias) != len(layer.weight):
            msg = (
                f"layer {number} holds filters of {filters.shape} and {np.size(bias)} biases, "
                f"not {tuple(layer.weight.shape)} and {len(layer.weight)}"
            )
            raise ValueError(msg)
        layer.load_state_dict(
            {
                "weight": torch.from_numpy(np.ascontiguousarray(filters)),
                "bias": torch.from_numpy(np.asarray(bias, np.float32).reshape(-1)),
            }
        )


def save_authors(network: nn.Module) -> dict[str, Any]:
    """The reverse of `load_authors`."""
    layers = layers_of(network)
    cells = {field: np.empty((1, len(layers)), object) for field in ("weight", "bias")}
    for number, layer in enumerate(layers):
        assert layer.bias is not None
        filters = layer.weight.detach().cpu().numpy().transpose(2, 3, 1, 0)
        cells["weight"][0, number] = filters[..., 0] if filters.shape[-1] == 1 else filters
        cells["bias"][0, number] = layer.bias.detach().cpu().numpy().reshape(-1, 1)
    return {"model": cells}


AUTHORS = (
    AuthorsWeights(
        name="vdsr-authors",
        model=VDSR_291.model,
        network=VDSR_291.network,
        training_set="291",
        set="weights-vdsr",
        files=dict.fromkeys((2, 3, 4), "VDSR_Official.mat"),
        load=load_authors,
        save=save_authors,
        setting=FLIPPED,
    ),
)
