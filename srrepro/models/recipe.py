"""The vocabulary that all papers share: what a recipe is, and the peculiarities that it is put together from.

A recipe is frozen data that can act: every peculiarity is a small frozen dataclass with `__call__`, so it runs in the
training loop and also prints, hashes and compares. Numbers belong to the papers' files, with their source beside them.
Over 300 lines, because a paper should find all words in one place.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, is_dataclass
from random import Random
from typing import Any, Literal

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn
from torch.nn.functional import relu
from torch.overrides import handle_torch_function, has_torch_function

from srrepro.models import _muon
from srrepro.models._soap import Soap


def rectified(layer: nn.Module, planes: Float[Tensor, "n i h w"]) -> Float[Tensor, "n o H W"]:
    """A layer and the rectifier after it; one function, so that an engine may do both in one pass."""
    if has_torch_function((planes,)):
        out: Tensor = handle_torch_function(rectified, (planes,), layer, planes)
        return out
    return relu(layer(planes), inplace=True)


@dataclass(frozen=True, kw_only=True)
class Patches:
    """Training pairs: `patch` pixels square, every `stride` pixels; the loss looks at the central `label` pixels."""

    patch: int
    stride: int
    label: int
    takes: Literal["interpolated", "low"] = "interpolated"


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
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, self.std)
            else:
                parameter.zero_()


@dataclass(frozen=True)
class HeInit:
    """He et al.: weights from a Gaussian whose variance is 2 / (inputs of a filter), biases zero."""

    @torch.no_grad()
    def __call__(self, network: nn.Module) -> None:
        for parameter in network.parameters():
            if parameter.ndim > 1:
                nn.init.kaiming_normal_(parameter, mode="fan_in", nonlinearity="relu")
            else:
                parameter.zero_()


@dataclass(frozen=True)
class EuclideanLoss:
    """Caffe's loss: squared errors summed over the pixels, divided by twice the number of patches, not of pixels.

    With a mean over pixels instead, the same learning rate is too small by label² / 2: 220.5 for labels of 21 pixels.
    """

    def __call__(self, estimate: Float[Tensor, "n 1 h w"], high: Float[Tensor, "n 1 h w"]) -> Float[Tensor, ""]:
        return (estimate - high).square().sum() / (2 * len(high))


@dataclass(frozen=True)
class MeanSquaredError:
    """Squared errors averaged over patches and pixels: PyTorch's usual loss, pixels / 2 times smaller than Caffe's."""

    def __call__(self, estimate: Float[Tensor, "n 1 h w"], high: Float[Tensor, "n 1 h w"]) -> Float[Tensor, ""]:
        return (estimate - high).square().mean()


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
        layers = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
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
class FixedOrder:
    """One shuffle for the whole run: every epoch visits the same batches in the same order."""

    def __call__(self, count: int, *, seed: int, epoch: int) -> Tensor:
        return _permutation(count, seed)


@dataclass(frozen=True)
class NewOrder:
    """A new shuffle for every epoch."""

    def __call__(self, count: int, *, seed: int, epoch: int) -> Tensor:
        return _permutation(count, seed * 1_000_003 + epoch)


def _permutation(count: int, seed: int) -> Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


@dataclass(frozen=True)
class NoAugmentation:
    """Patches as they are."""

    def __call__(self, inputs: Tensor, labels: Tensor, *, seed: int, step: int) -> tuple[Tensor, Tensor]:
        return inputs, labels


@dataclass(frozen=True)
class TurnAndFlip:
    """One of the eight turns and mirror images of a square, drawn anew for every batch, for inputs and labels alike.

    The draw depends on seed and step alone, so a resumed run repeats it.
    """

    def __call__(
        self, inputs: Float[Tensor, "n 1 h h"], labels: Shaped[Tensor, "n 1 p p"], *, seed: int, step: int
    ) -> tuple[Float[Tensor, "n 1 h h"], Shaped[Tensor, "n 1 p p"]]:
        which = Random(f"{seed} {step}").randrange(8)
        turns, flipped = which % 4, which >= 4

        def turn(planes: Tensor) -> Tensor:
            return torch.rot90(planes.flip(-1) if flipped else planes, turns, (-2, -1))

        return turn(inputs), turn(labels)


@dataclass(frozen=True, kw_only=True)
class Training:
    """Everything a paper decided about training. A step is one batch; `backprops` counts patches, not steps.

    `validation` is the set that choices are made on; the sets in `logged` are only looked at. `loss` is a mean over the
    patches of a batch. `scales`, where there are any, are mixed in every batch and served by one network; without
    them a network is trained for each scale. `clip` changes the gradients in place; it is told the learning rate.
    `protocol` names the measurement of the paper's tables (`srrepro.evaluation.protocol`); None is `matlab-y-v1`.
    """

    set: str
    validation: str
    logged: tuple[str, ...]
    patches: Patches
    init: OwnInit | GaussianInit | HeInit
    loss: EuclideanLoss | MeanSquaredError
    optimiser: SGD | SOAP | Muon
    schedule: Constant | Steps | Cosine
    rates: LayerRates | OneRate
    order: FixedOrder | NewOrder
    augmentation: NoAugmentation | TurnAndFlip
    batch: int
    backprops: int
    scales: tuple[int, ...] | None = None
    clip: Callable[[list[Tensor], float | Tensor], None] | None = None
    protocol: str | None = None


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One network and how it is trained; interpolation has no training.

    `model` is its name among the published values, and `setting` tells apart those of one network and training set
    (`flips and rotations`; None where there is nothing to tell). It is fixed before the recipe runs.
    `of_the_paper` is true only where every decision comes from the paper's text or from its authors' code, so that the
    result may be called a reproduction; where the two differ, the note says which was taken. A decision that is marked
    `# ours: fits the authors' curve` has no such source: the recipe is not of the paper. `note` stands in every row.
    """

    name: str
    model: str
    network: Callable[[], nn.Module]
    training: Training | None
    of_the_paper: bool
    note: str = ""
    setting: str | None = None


@dataclass(frozen=True, kw_only=True)
class AuthorsWeights:
    """Weight files that the authors of a paper released: a set of the registry and, by scale, the file's name in it.

    `setting`: as that of a recipe.
    """

    name: str
    model: str
    network: Callable[[], nn.Module]
    training_set: str
    set: str
    files: dict[int, str]
    load: Callable[[nn.Module, dict[str, Any]], None]
    setting: str | None = None


def described(value: object) -> Any:
    """A recipe as plain JSON values: dataclasses become objects that name their kind.

    >>> described(Constant(lr=0.1))
    {'kind': 'Constant', 'lr': 0.1}
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {"kind": type(value).__name__, **{f.name: described(getattr(value, f.name)) for f in fields(value)}}
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
