"""The vocabulary that all papers share: what a recipe is, and the peculiarities that it is put together from.

A recipe is frozen data that can act: every peculiarity is a small frozen dataclass with `__call__`, so it runs in the
training loop and also prints, hashes and compares. Numbers belong to the papers' files, with their source beside them.
Over 400 lines, because a paper should find all words in one place.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from random import Random
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor, nn

from srrepro.models import _muon
from srrepro.models._soap import Soap


@dataclass(frozen=True)
class Input:
    """What a network takes, and with it what it gives: an image of the same colour, in the size of the high one.

    `small`: the low image, which the network enlarges; otherwise the interpolated one. `channels`: 1 is luminance,
    3 is RGB. In a recipe it is its name.
    """

    name: str
    small: bool
    channels: int


INTERPOLATED = Input("interpolated", small=False, channels=1)
LOW = Input("low", small=True, channels=1)
LOW_RGB = Input("low-rgb", small=True, channels=3)
INTERPOLATED_RGB = Input("interpolated-rgb", small=False, channels=3)


Network = Callable[[int], nn.Module]
"""Makes a network for a scale: a module with a class attribute `takes`, its `Input`.

In evaluation mode it gives an image `scale` times as large as a small one, or as large as an interpolated one; in
training mode the central part of that, as large as the labels. Its `radius` is how far, in pixels of its input, a pixel
of it reaches; None, or none at all, where every pixel reaches everywhere: such a network is never tiled.

Its `chain` is true if it is one convolution after another, whatever the image is: then it is computed band by band.

What srrepro trains has a method `in_torch`, too: the code of a function `network` that does the same in PyTorch alone,
with the module's arrays by name in `weights`."""


def takes(network: nn.Module) -> Input:
    """What a network takes; the interpolated luminance if it does not say."""
    found: Input = getattr(network, "takes", INTERPOLATED)
    return found


@dataclass(frozen=True, kw_only=True)
class Patches:
    """Training pairs: `patch` pixels square, every `stride` pixels, both of the high image.

    The loss looks at the central `label` pixels.
    """

    patch: int
    stride: int
    label: int
    takes: Input = INTERPOLATED


def layers_of(network: nn.Module) -> list[nn.Conv2d | nn.ConvTranspose2d]:
    """Convolutions, transposed ones too, first layer first; initialisers mean their weights and biases, not slopes."""
    return [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]


@dataclass(frozen=True)
class OwnInit:
    """Leave the network as PyTorch initialises it."""

    def __call__(self, network: nn.Module) -> None:
        pass


@dataclass(frozen=True)
class GaussianInit:
    """Weights from a Gaussian of mean zero, biases zero."""

    std: float

    @torch.no_grad()
    def __call__(self, network: nn.Module) -> None:
        for layer in layers_of(network):
            layer.weight.normal_(0, self.std)
            if layer.bias is not None:
                layer.bias.zero_()


@dataclass(frozen=True, kw_only=True)
class HeInit:
    """He et al.: weights from a Gaussian whose variance is 2 / (inputs of a filter), biases zero.

    `last` is a factor on the weights of the last layer, `last_bias` what its biases start at.
    """

    last: float | None = None
    last_bias: float | None = None

    @torch.no_grad()
    def __call__(self, network: nn.Module) -> None:
        layers = layers_of(network)
        for layer in layers:
            nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
            if layer.bias is not None:
                layer.bias.zero_()
        if self.last is not None:
            layers[-1].weight *= self.last
        if self.last_bias is not None and layers[-1].bias is not None:
            layers[-1].bias += self.last_bias


@dataclass(frozen=True)
class EuclideanLoss:
    """Caffe's loss: squared errors summed over the pixels, divided by twice the number of patches, not of pixels.

    With a mean over pixels instead, the same learning rate is too small by label² / 2: 220.5 for labels of 21 pixels.
    """

    def __call__(self, estimate: Float[Tensor, "n c h w"], high: Float[Tensor, "n c h w"]) -> Float[Tensor, ""]:
        return (estimate - high).square().sum() / (2 * len(high))

    def factor(self, _pixels: int) -> float:
        return 1 / 2


@dataclass(frozen=True)
class SquaredError:
    """Squared errors summed over the pixels, averaged over the patches: `EuclideanLoss` without its half."""

    def __call__(self, estimate: Float[Tensor, "n c h w"], high: Float[Tensor, "n c h w"]) -> Float[Tensor, ""]:
        return (estimate - high).square().sum() / len(high)

    def factor(self, _pixels: int) -> float:
        return 1.0


@dataclass(frozen=True)
class MeanSquaredError:
    """Squared errors averaged over patches and pixels: PyTorch's usual loss, pixels / 2 times smaller than Caffe's."""

    def __call__(self, estimate: Float[Tensor, "n c h w"], high: Float[Tensor, "n c h w"]) -> Float[Tensor, ""]:
        return (estimate - high).square().mean()

    def factor(self, pixels: int) -> float:
        return 1 / pixels


@dataclass(frozen=True)
class Constant:
    """The same learning rate from the first step to the last."""

    lr: float

    def __call__(self, fraction: float) -> float:
        """Learning rate after `fraction` (0 to 1) of the run."""
        return self.lr


@dataclass(frozen=True, kw_only=True)
class Steps:
    """A learning rate that is multiplied by `factor` after each of the fractions (0 to 1) of the run in `after`."""

    lr: float
    factor: float
    after: tuple[float, ...]

    def __call__(self, fraction: float) -> float:
        """Learning rate after `fraction` (0 to 1) of the run."""
        return self.lr * self.factor ** sum(fraction >= drop for drop in self.after)


@dataclass(frozen=True)
class Cosine:
    """A linear rise over the first `warmup` of the run, times half a cosine that ends at zero."""

    peak: float
    warmup: float

    def __call__(self, fraction: float) -> float:
        """Learning rate after `fraction` (0 to 1) of the run."""
        return self.peak * min(1.0, fraction / self.warmup) * (1 + math.cos(math.pi * fraction)) / 2


@dataclass(frozen=True)
class LayerRates:
    """Factors on the learning rate of each layer's weights and biases, first layer first."""

    weights: tuple[float, ...]
    biases: tuple[float, ...]

    def __call__(self, network: nn.Module) -> list[dict[str, Any]]:
        """Parameter groups, each with the `factor` that the loop multiplies the schedule's rate by."""
        layers = layers_of(network)
        groups = []
        for layer, weight, bias in zip(layers, self.weights, self.biases, strict=True):
            groups.append({"params": [layer.weight], "factor": weight})
            if layer.bias is not None:
                groups.append({"params": [layer.bias], "factor": bias})
        return groups


@dataclass(frozen=True)
class OneRate:
    """The same learning rate for every layer's weights and biases."""

    def __call__(self, network: nn.Module) -> list[dict[str, Any]]:
        return [{"params": list(network.parameters()), "factor": 1.0}]


@dataclass(frozen=True, kw_only=True)
class SGD:
    """Stochastic gradient descent with momentum as Caffe and PyTorch have it."""

    momentum: float
    weight_decay: float

    def __call__(self, groups: Iterable[dict[str, Any]]) -> torch.optim.Optimizer:
        # The first rate is never used: the loop sets every group's rate before every step.
        return torch.optim.SGD(groups, lr=1.0, momentum=self.momentum, weight_decay=self.weight_decay)


@dataclass(frozen=True, kw_only=True)
class SOAP:
    """Adam in the eigenbasis of Shampoo's preconditioner; `refresh` is the number of steps between new bases."""

    momentum: float
    memory: float
    refresh: int

    def __call__(self, groups: Iterable[dict[str, Any]]) -> torch.optim.Optimizer:
        return Soap(groups, momentum=self.momentum, memory=self.memory, refresh=self.refresh)


@dataclass(frozen=True, kw_only=True)
class Muon:
    """Momentum made orthogonal, layer by layer; `memory` is for Adam, which moves single filters and biases."""

    momentum: float
    memory: float

    def __call__(self, groups: Iterable[dict[str, Any]]) -> torch.optim.Optimizer:
        return _muon.Muon(groups, momentum=self.momentum, memory=self.memory)


@dataclass(frozen=True)
class ClearMomentum:
    """SGD starts again from standing whenever the learning rate has changed."""

    def __call__(self, optimiser: torch.optim.Optimizer) -> None:
        for state in optimiser.state.values():
            state["momentum_buffer"].zero_()  # SGD's own name for it: `Training` lets no other optimiser in


@dataclass(frozen=True)
class FixedOrder:
    """One shuffle for the whole run: every epoch visits the same batches in the same order."""

    def __call__(self, count: int, *, seed: int, epoch: int) -> Tensor:
        return _permutation(count, seed)


@dataclass(frozen=True, kw_only=True)
class NewOrder:
    """A new shuffle for every epoch; the share `held_out`, drawn once, is never shown."""

    held_out: float | None = None

    def __call__(self, count: int, *, seed: int, epoch: int) -> Tensor:
        shown = count - int(count * (self.held_out or 0))
        order = _permutation(shown, seed * 1_000_003 + epoch)
        return order if shown == count else _permutation(count, seed)[order]


def _permutation(count: int, seed: int) -> Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


@dataclass(frozen=True)
class NoAugmentation:
    """Patches as they are."""

    images = 1

    def __call__(
        self, inputs: Tensor, labels: Tensor, *, seed: int, step: int, which: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        return inputs, labels

    def numbers(self, which: Tensor, *, seed: int, step: int) -> Tensor:
        return torch.zeros_like(which)


@dataclass(frozen=True)
class TurnAndFlip:
    """One of the eight turns and mirror images of a square, drawn anew for every batch, for inputs and labels alike.

    The draw depends on seed and step alone, so a resumed run repeats it.
    """

    images = 1

    def __call__(
        self,
        inputs: Float[Tensor, "n c h h"],
        labels: Shaped[Tensor, "n c p p"],
        *,
        seed: int,
        step: int,
        which: Tensor | None = None,
    ) -> tuple[Float[Tensor, "n c h h"], Shaped[Tensor, "n c p p"]]:
        number = Random(f"{seed} {step}").randrange(8)
        return _turned(inputs, number), _turned(labels, number)

    def numbers(self, which: Tensor, *, seed: int, step: int) -> Tensor:
        return torch.full_like(which, _IMAGES.index(Random(f"{seed} {step}").randrange(8)))


@dataclass(frozen=True)
class EveryImage:
    """An epoch shows every patch in `images` ways: 4 for itself and its mirror images, 8 for the turns of these, too.

    `which` says for every patch of a batch which of them it is, 0 being the patch itself.
    """

    images: int

    def __call__(
        self,
        inputs: Float[Tensor, "n c h h"],
        labels: Shaped[Tensor, "n c p p"],
        *,
        seed: int,
        step: int,
        which: Int64[Tensor, " n"] | None = None,
    ) -> tuple[Float[Tensor, "n c h h"], Shaped[Tensor, "n c p p"]]:
        if which is None:
            msg = "which image of every patch is to be shown? Without that, no patch would ever be turned."
            raise ValueError(msg)
        return images_of(inputs, which), images_of(labels, which)

    def numbers(self, which: Tensor, *, seed: int, step: int) -> Tensor:
        return which


def images_of(planes: Shaped[Tensor, "n c h h"], numbers: Int64[Tensor, " n"]) -> Shaped[Tensor, "n c h h"]:
    """Of each square the one of its eight images; 0 is the square itself.

    Pixels are gathered in the order of their image: nothing depends on a value, so a GPU never waits.
    """
    table = _pixels_of_images(planes.shape[-1], planes.device)
    return planes.flatten(2).gather(2, table[numbers][:, None].expand(-1, planes.shape[1], -1)).view_as(planes)


_IMAGES = (0, 4, 2, 6, 1, 5, 3, 7)
"""The images of a square by number, as `_turned` calls them; the first four are mirrored in rows, columns or both."""


@cache
def _pixels_of_images(side: int, device: torch.device) -> Int64[Tensor, "i p"]:
    """For each image of a square, where its pixels are found."""
    square = torch.arange(side**2).view(1, 1, side, side)
    return torch.stack([_turned(square, number).flatten() for number in _IMAGES]).to(device)


def _turned(planes: Tensor, number: int) -> Tensor:
    """One of the eight images of a square: `number` % 4 quarter turns, mirrored before from 4 on."""
    return torch.rot90(planes.flip(-1) if number >= 4 else planes, number % 4, (-2, -1))


Init = Callable[[nn.Module], None]
"""Gives a network its first parameters."""
Loss = Callable[[Tensor, Tensor], Tensor]
"""Of an estimate and the labels, both [n, c, p, p] of about 0 to 1: a scalar, the mean over the patches of a batch."""
Optimiser = Callable[[Iterable[dict[str, Any]]], torch.optim.Optimizer]
"""From groups of parameters, an optimiser whose rates the loop sets before every step."""
Schedule = Callable[[float], float]
"""The learning rate after a fraction, 0 to 1, of the run."""
Rates = Callable[[nn.Module], list[dict[str, Any]]]
"""Groups of parameters (`params`), each with the `factor` on the learning rate; every parameter is in exactly one."""
Clip = Callable[[list[Tensor], float | Tensor], None]
"""Changes gradients in place; it is told the learning rate."""


@runtime_checkable
class OfSquares(Protocol):
    """A loss that is squared errors times a factor: in C a network is taken forth and back at once for it."""

    def factor(self, pixels: int, /) -> float:
        """Of a patch of so many pixels, in a batch of one."""


@runtime_checkable
class Order(Protocol):
    """The numbers of the patches that an epoch shows, in their order; of 0 to `count`."""

    def __call__(self, count: int, *, seed: int, epoch: int) -> Tensor: ...


@runtime_checkable
class Augmentation(Protocol):
    """Inputs and labels of a batch, turned or changed alike. An epoch shows every patch in `images` ways.

    `which` says for every patch which of them it is; what is drawn may depend on seed and step only.
    """

    @property
    def images(self) -> int: ...

    def __call__(
        self, inputs: Tensor, labels: Tensor, *, seed: int, step: int, which: Tensor | None = None
    ) -> tuple[Tensor, Tensor]: ...


@runtime_checkable
class Numbered(Protocol):
    """An augmentation that can be told beforehand: `images_of` these numbers is what it shows in a step."""

    def numbers(self, which: Tensor, *, seed: int, step: int) -> Tensor: ...


@dataclass(frozen=True, kw_only=True)
class Training:
    """Everything a paper decided about training. A step is one batch.

    What is called (`init` to `augmentation`, `clip`, `at_new_rate`) may be any frozen dataclass of the paper's own file
    with the signature of its type above.

    The length is given as `backprops`, which counts patches, not steps, or as `epochs`, passes over all patches.

    `validation` is the set that choices are made on, if any are; the sets in `logged` are only looked at, at
    `log_points` moments of the run. `scales`, where there are any, are mixed in every batch and served by one network;
    without them a network is trained for each scale. `incomplete` uses the last batch of an epoch though it may be
    smaller than the others; without it what is left over waits for another epoch's order. `at_new_rate` is done to the
    optimiser between two steps of different learning rates. `protocol` names the measurement, and decides the images
    that the network is trained on; None is `matlab-y-v1`.
    """

    set: str
    validation: str | None
    logged: tuple[str, ...]
    patches: Patches
    init: Init
    loss: Loss
    optimiser: Optimiser
    schedule: Schedule
    rates: Rates
    order: Order
    augmentation: Augmentation
    batch: int
    backprops: int | None = None
    epochs: int | None = None
    scales: tuple[int, ...] | None = None
    clip: Clip | None = None
    protocol: str | None = None
    at_new_rate: Callable[[torch.optim.Optimizer], None] | None = None
    incomplete: Literal[True] | None = None
    log_points: int | None = None

    def __post_init__(self) -> None:
        if (self.backprops is None) == (self.epochs is None):
            msg = f"a run has a length in backprops ({self.backprops}) or in epochs ({self.epochs}), one of the two"
            raise ValueError(msg)
        if isinstance(self.at_new_rate, ClearMomentum) and not isinstance(self.optimiser, SGD):
            msg = f"only SGD's momentum can be cleared, not that of {self.optimiser}"
            raise ValueError(msg)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One network and how it is trained; interpolation has no training.

    `model` is its name among the published values, `setting` what those say of the training beyond the set.
    `of_the_paper` is true only where every decision is the text's or the authors' code's, so that its result may be
    called a reproduction; where the two differ, the recipe says at each number which it follows. `note` stands in
    every row that it makes.
    """

    name: str
    model: str
    network: Network
    training: Training | None
    of_the_paper: bool
    note: str = ""
    setting: str | None = None


@dataclass(frozen=True, kw_only=True)
class AuthorsWeights:
    """Weight files that the authors of a paper released: a set of the registry and, by scale, the file's name in it.

    `setting` is what the paper says of their training beyond the set; `protocol` names the measurement that its
    numbers were made by, None is `matlab-y-v1`. `note` stands in every row that they make. `save` is the reverse of
    `load`, where the file is MATLAB's and holds nothing but weights.
    """

    name: str
    model: str
    network: Network
    training_set: str
    set: str
    files: dict[int, str]
    load: Callable[[nn.Module, dict[str, Any]], None]
    save: Callable[[nn.Module], dict[str, Any]] | None = None
    setting: str | None = None
    protocol: str | None = None
    note: str = ""


def check_names(arrays: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """That a weight file has the arrays of a network, and no others.

    Raises
    ------
    ValueError : it has not.
    """
    if arrays.keys() != wanted.keys():
        lacking, beyond = sorted(wanted.keys() - arrays.keys()), sorted(arrays.keys() - wanted.keys())
        msg = f"the arrays are those of another network: it lacks {lacking[:3]}, and has no use for {beyond[:3]}"
        raise ValueError(msg)


def load_by_name(network: nn.Module, arrays: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """Put arrays of a network's own shapes into it; `names` has the file's name of every array, and ours.

    Raises
    ------
    ValueError : an array is lacking, beyond them, or of another shape.
    """
    check_names(arrays, names)
    own, values = network.state_dict(), {}
    for name, ours in names.items():
        array = arrays[name]
        values[ours] = array if isinstance(array, Tensor) else torch.from_numpy(np.array(array, np.float32))
        given, shape = tuple(values[ours].shape), tuple(own[ours].shape)
        if given != shape:
            msg = f"{name} holds {given}, not {shape}"
            raise ValueError(msg)
    network.load_state_dict(values)


def described(value: object) -> Any:
    """A recipe as plain JSON values: dataclasses become objects that name their kind.

    These names are in evidence, and runs are named by a digest of them. A class that is called otherwise one day keeps
    its old name here by a class attribute `WIRE`, a field by `field(metadata={"wire": ...})`.

    >>> described(Constant(lr=0.1))
    {'kind': 'Constant', 'lr': 0.1}
    """
    if isinstance(value, Input):
        return value.name
    if is_dataclass(value) and not isinstance(value, type):
        kind = getattr(value, "WIRE", type(value).__name__)
        return {"kind": kind} | {
            f.metadata.get("wire", f.name): described(getattr(value, f.name)) for f in fields(value)
        }
    if isinstance(value, tuple):
        return [described(item) for item in value]
    return value


def digest(*parts: object) -> str:
    """The first 8 hex digits of a sha256 over the parts, in JSON: what tells two runs apart.

    A field that is None does not count, so that a peculiarity added to the vocabulary leaves older runs what they are.
    """
    text = json.dumps([_without_none(described(part)) for part in parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_none(part) for key, part in value.items() if part is not None}
    return [_without_none(part) for part in value] if isinstance(value, list) else value
