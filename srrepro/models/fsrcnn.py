"""Chao Dong, Chen Change Loy, Xiaoou Tang: "Accelerating the Super-Resolution Convolutional Neural Network", ECCV 2016,
arXiv 1608.00367. "code" below is the authors' test package (FSRCNN.m, deconv.m, demo_FSRCNN.m, Readme.txt), and copies
of their training package by others (FSRCNN.prototxt; generate_train.m in jnjaby/Quantized-FSRCNN).

Differs from the paper in: the text pads with zeros in every layer; the authors' test code repeats edges, and their
training code leaves the first layer unpadded. Results: results/tables.md.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

from srrepro.models.recipe import (
    LOW,
    SGD,
    SOAP,
    AuthorsWeights,
    Constant,
    Cosine,
    EuclideanLoss,
    MeanSquaredError,
    NewOrder,
    OneRate,
    OwnInit,
    Patches,
    Recipe,
    Training,
    TurnAndFlip,
    layers_of,
)


@dataclass(frozen=True, kw_only=True)
class Hourglass:
    """Feature extraction, shrinking, `mappings` layers, expanding, deconvolution (paper: FSRCNN)."""

    features: int = 56  # paper: Investigation of Different Settings, d; code: Readme.txt, FSRCNN(56,12,4)
    shrunk: int = 12  # paper: as above, s; code: Readme.txt
    mappings: int = 4  # paper: as above, m; code: Readme.txt
    first: int = 5  # paper: FSRCNN, "Conv(5,d,1)"
    mapping: int = 3  # paper: FSRCNN, "m × Conv(3,s,s)"
    last: int = 9  # paper: FSRCNN, "DeConv(9,1,d)"
    trains_as_used: bool = False  # code: FSRCNN.prototxt, conv1, pad 0, and zeros in the layers after it

    def __call__(self, scale: int) -> "FSRCNN":
        return FSRCNN(self, scale)


class FSRCNN(nn.Module):
    """Takes the small luminance of about 0 to 1 and gives the large one.

    In evaluation mode every layer's edges are repeated (code: FSRCNN.m, imfilter; deconv.m, padarray), and the output
    has `scale` times the size of the input. In training mode, unless the network `trains_as_used`, it is what Caffe's
    deconvolution leaves: 14, 11 and 10 pixels become 19, 19 and 21 at x2, x3 and x4. At x3 that is the middle of the
    large patch. `radius` is how far, in pixels of the small image, an input pixel reaches.
    """

    takes = LOW

    def __init__(self, shape: Hourglass, scale: int) -> None:
        super().__init__()
        self.shape, self.scale = shape, scale
        d, s = shape.features, shape.shrunk
        planes = [1, d, s, *[s] * shape.mappings, d]
        self.kernels = [shape.first, 1, *[shape.mapping] * shape.mappings, 1]
        self.convolutions = nn.ModuleList(nn.Conv2d(planes[i], planes[i + 1], k) for i, k in enumerate(self.kernels))
        self.slopes = nn.ModuleList(nn.PReLU() for _ in self.kernels)  # code: FSRCNN.m, prelu_conv, one a layer
        self.deconvolution = nn.ConvTranspose2d(d, 1, shape.last, stride=scale)
        self.shift = 1 if scale == 3 else 0  # code: demo_FSRCNN.m, shave_x3; generate_train.m, locx
        reach = max(-((self.shift - shape.last // 2) // scale), (self.shift + shape.last // 2) // scale)
        self.radius = shape.first // 2 + shape.mappings * (shape.mapping // 2) + reach

    def forward(self, low: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 1 H W"]:
        in_use = not self.training or self.shape.trains_as_used
        hidden = low
        for layer, slope, kernel in zip(self.convolutions, self.slopes, self.kernels, strict=True):
            border = kernel // 2 if in_use or layer is not self.convolutions[0] else 0
            hidden = slope(layer(_padded(hidden, border, "replicate" if in_use else "constant")))
        return self._enlarged(hidden, in_use)

    def _enlarged(self, hidden: Tensor, in_use: bool) -> Tensor:
        """The deconvolution without its rims: its kernels' middles lie on every `scale`-th pixel from `shift` on."""
        middle, border = self.shape.last // 2, 1 if in_use else 0  # code: deconv.m, border = 1
        wide: Tensor = self.deconvolution(_padded(hidden, border, "replicate"))
        if not in_use:
            return wide[..., middle:-middle, middle:-middle]
        start = border * self.scale + middle - self.shift
        height, width = (side * self.scale for side in hidden.shape[-2:])
        return wide[..., start : start + height, start : start + width]

    def in_torch(self) -> str:
        start = self.scale + self.shape.last // 2 - self.shift
        return f"""\
def network(x):
    for layer, border in enumerate({tuple(kernel // 2 for kernel in self.kernels)}):
        x = F.pad(x, (border,) * 4, mode="replicate")
        x = F.conv2d(x, weights[f"convolutions.{{layer}}.weight"], weights[f"convolutions.{{layer}}.bias"])
        x = F.prelu(x, weights[f"slopes.{{layer}}.weight"])
    height, width = ({self.scale} * side for side in x.shape[-2:])
    x = F.pad(x, (1,) * 4, mode="replicate")
    x = F.conv_transpose2d(x, weights["deconvolution.weight"], weights["deconvolution.bias"], stride={self.scale})
    return x[..., {start} : {start} + height, {start} : {start} + width]
"""


def _padded(planes: Tensor, border: int, mode: str) -> Tensor:
    return pad(planes, (border,) * 4, mode=mode) if border else planes


@dataclass(frozen=True)
class InitForPReLU:
    """He et al.: Gaussians of variance 2 / (1 + slope²) / (inputs of a filter); the deconvolution's deviate by `last`.

    Biases start at zero, slopes stay as they are.
    """

    last: float

    @torch.no_grad()
    def __call__(self, network: nn.Module) -> None:
        slopes = [module.weight for module in network.modules() if isinstance(module, nn.PReLU)]
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, a=slopes.pop(0).item(), nonlinearity="leaky_relu")
            elif isinstance(layer, nn.ConvTranspose2d):
                layer.weight.normal_(0, self.last)
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) and layer.bias is not None:
                layer.bias.zero_()


@dataclass(frozen=True, kw_only=True)
class KindRates:
    """Factors on the learning rate: the convolutions' weights and slopes have 1."""

    biases: float
    deconvolution: float

    def __call__(self, network: nn.Module) -> list[dict[str, Any]]:
        """Parameter groups, each with the `factor` that the loop multiplies the schedule's rate by."""
        groups: dict[float, list[nn.Parameter]] = {}
        for name, parameter in network.named_parameters():
            deconvolution, bias = name.startswith("deconvolution"), name.endswith("bias")
            factor = self.deconvolution if deconvolution else self.biases if bias else 1.0
            groups.setdefault(factor, []).append(parameter)
        return [{"params": parameters, "factor": factor} for factor, parameters in groups.items()]


SMALL = Hourglass(features=32, shrunk=5, mappings=1)  # paper: Towards Real-Time SR; code: Readme.txt, FSRCNN(32,5,1)

AS_PUBLISHED = Training(
    set="T91",  # paper: Experiments, trained on T91 from scratch
    validation="val20",  # ours: the paper has 20 other images of the same collection
    logged=("Set5",),  # ours: a test set that papers watch
    protocol="matlab-clamp-y-v1",  # ours: the measurement that gives the paper's numbers
    scales=None,  # paper: a network a scale
    patches=Patches(
        patch=33,  # code: generate_train.m, 11 pixels of the small image
        stride=12,  # code: generate_train.m, 4 pixels of the small image
        label=19,  # code: generate_train.m, size_label
        takes=LOW,  # paper: FSRCNN, the original low-resolution image
    ),
    init=InitForPReLU(
        last=0.001,  # paper: Experiments, the deconvolution's Gaussian
    ),
    loss=EuclideanLoss(),  # paper: FSRCNN, mean squared error; ours: Caffe's, as in SRCNN
    optimiser=SGD(
        momentum=0.9,  # ours: as in SRCNN; the paper does not say
        weight_decay=0.0,  # ours: as in SRCNN; the paper does not say
    ),
    schedule=Constant(lr=1e-4),  # ours: SRCNN's; the paper's 10^-3 diverges, see docs/fsrcnn.md
    rates=KindRates(
        biases=0.1,  # code: FSRCNN.prototxt, lr_mult of every bias
        deconvolution=0.1,  # paper: Experiments, a tenth of the convolutions' rate
    ),
    order=NewOrder(),  # ours: the paper does not say
    augmentation=TurnAndFlip(),  # ours: the paper turns images, and shrinks them to 0.9 to 0.6, which is left out here
    batch=128,  # code: FSRCNN.prototxt
    backprops=4_000_000,  # ours: the paper trains until nothing changes; an hour of two cores here
)

FSRCNN_T91 = Recipe(
    name="fsrcnn",
    model="FSRCNN",
    network=Hourglass(),
    training=AS_PUBLISHED,
    of_the_paper=False,  # ours: its rate, its length, and images that are not shrunk
    note="only x3 can be trained: labels of the other scales do not lie in the middle of their patches",
)

# Chosen on val20 to reach its quality soonest on two cores: docs/experiments/fsrcnn-s-quick.md.
FSRCNN_S_QUICK = Recipe(
    name="fsrcnn-s-quick",
    model="FSRCNN-s",
    network=replace(
        SMALL,
        trains_as_used=True,  # ours: so that all of a patch can be its label, at every scale
    ),
    training=replace(
        AS_PUBLISHED,
        patches=Patches(
            patch=48,  # ours: what all three scales divide
            stride=24,  # ours: half a patch
            label=48,  # ours: all of the patch
            takes=LOW,  # paper: FSRCNN, the original low-resolution image
        ),
        init=OwnInit(),  # ours: PyTorch's default
        loss=MeanSquaredError(),  # paper: FSRCNN, mean squared error
        optimiser=SOAP(
            momentum=0.95,  # ours: as in srcnn-915-quick
            memory=0.99,  # ours: as in srcnn-915-quick
            refresh=10,  # ours: as in srcnn-915-quick
        ),
        schedule=Cosine(
            peak=1e-2,  # ours: 3e-3 ends 0.03 dB lower
            warmup=0.02,  # ours: as in srcnn-915-quick
        ),
        rates=OneRate(),  # ours: as in srcnn-915-quick
        batch=16,  # ours: 32 ends 0.03 dB lower
        backprops=400_000,  # ours: minutes on two cores
    ),
    of_the_paper=False,  # ours: only the network and the training set are the paper's
)

RECIPES = (FSRCNN_T91, FSRCNN_S_QUICK)


def load_authors(network: nn.Module, arrays: dict[str, Any]) -> None:
    """Put the authors' arrays, as MATLAB saved them, into a network of the same shape.

    Raises
    ------
    ValueError : the arrays are not those of such a network.
    """
    assert isinstance(network, FSRCNN)
    try:
        cells = [np.asarray(arrays[name]).reshape(-1) for name in ("weights_conv", "biases_conv", "prelu_conv")]
    except KeyError as error:
        msg = f"no {error.args[0]} among {sorted(arrays)}"
        raise ValueError(msg) from error
    layers = [*network.convolutions, network.deconvolution]
    if any(cell.dtype != object or len(cell) != len(layers) for cell in cells):
        msg = f"weights_conv, biases_conv and prelu_conv hold {[len(cell) for cell in cells]} cells, not {len(layers)}"
        raise ValueError(msg)
    state: dict[str, Tensor] = {}
    for number, layer in enumerate(layers):
        last = layer is network.deconvolution
        weights, biases, slope = (_numbers(cell[number], f"layer {number + 1}") for cell in cells)
        planes, out, kernel = layer.in_channels, layer.out_channels, layer.kernel_size[0]
        # code: FSRCNN.m. Filters are (planes, pixels, filters), the deconvolution's (filters, pixels, planes); MATLAB
        # counts pixels down the columns.
        wanted = (out, kernel**2, planes) if last else (planes, kernel**2, out)
        if weights.shape != wanted or (biases.size, slope.size) != (out, 0 if last else 1):
            held = f"{weights.shape}, {biases.size} biases and {slope.size} slopes"
            msg = f"layer {number + 1} of weights_conv holds {held}, not {wanted}"
            raise ValueError(msg)
        columns = weights.reshape(wanted[0], kernel, kernel, wanted[2])
        name = "deconvolution" if last else f"convolutions.{number}"
        state[f"{name}.weight"] = torch.from_numpy(np.ascontiguousarray(columns.transpose(3, 0, 2, 1)))
        state[f"{name}.bias"] = torch.from_numpy(biases.reshape(-1))
        if not last:
            state[f"slopes.{number}.weight"] = torch.from_numpy(slope.reshape(-1))
    network.load_state_dict(state)


def save_authors(network: nn.Module) -> dict[str, Any]:
    """The reverse of `load_authors`."""
    layers = layers_of(network)
    slopes = [module.weight.detach().cpu().numpy() for module in network.modules() if isinstance(module, nn.PReLU)]
    cells = {name: np.empty((len(layers), 1), object) for name in ("weights_conv", "biases_conv", "prelu_conv")}
    for number, (layer, slope) in enumerate(zip(layers, [*slopes, np.empty(0)], strict=True)):  # the last has none
        assert layer.bias is not None
        columns = layer.weight.detach().double().cpu().numpy().transpose(1, 3, 2, 0)
        cells["weights_conv"][number, 0] = columns.reshape(columns.shape[0], -1, columns.shape[3])
        cells["biases_conv"][number, 0] = layer.bias.detach().cpu().numpy().reshape(-1, 1)
        cells["prelu_conv"][number, 0] = slope.reshape(1, -1)
    return cells


def _numbers(array: Any, where: str) -> np.ndarray:
    try:
        return np.array(array, np.float32)
    except (TypeError, ValueError) as error:
        msg = f"{where} holds no numbers"
        raise ValueError(msg) from error


def _authors(name: str, model: str, shape: Hourglass, folder: str) -> AuthorsWeights:
    return AuthorsWeights(
        name=name,
        model=model,
        network=shape,
        training_set="General-100 + T91",  # code: Readme.txt, for both
        set="weights-fsrcnn",
        files={scale: f"{folder}/x{scale}.mat" for scale in (2, 3, 4)},
        load=load_authors,
        save=save_authors,
        protocol="matlab-clamp-y-v1",
    )


AUTHORS = (
    _authors("fsrcnn-authors", "FSRCNN", Hourglass(), "FSRCNN"),
    _authors("fsrcnn-s-authors", "FSRCNN-s", SMALL, "FSRCNN-s"),
)
