"""What is trained, on what and how far: a recipe, settled once and then only read."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import nn

from srrepro.data.registry import DataFolder
from srrepro.data.stores import TrainingShape, count_training, digest_of
from srrepro.errors import InputError
from srrepro.evaluation.weights import Subject, of_run
from srrepro.hardware import PLAIN, Hardware
from srrepro.models.recipe import SGD, Recipe, Training, digest, takes
from srrepro.protocols.named import protocol_named
from srrepro.protocols.protocol import Protocol
from srrepro.training.feed import Course, Feed

SEEDS = 2**44
"""Seeds are smaller: PyTorch's generators take 64 bits, of which an epoch's order needs 20 (`NewOrder`)."""
LOG_EVERY = 10**7
"""Backprops between log points at most, of a run of more than twenty times as many."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A recipe with what is not the paper's; settled once, then only read.

    `scale` is None where one network serves several scales; `budget` is a factor on the recipe's backprops, and the
    schedule stretches with it. `log_points` is how often a run is measured: None is as the recipe says, else 20 times,
    and at least once every 10^7 backprops.

    Raises
    ------
    InputError : a scale is lacking, or given to a recipe that has its own; the seed is no number from 0 to 2^44 - 1;
        the mode cannot train it; the network takes something else than its patches hold, or gives something else than
        labels.
    """

    recipe: Recipe
    scale: int | None = None
    seed: int = 0
    budget: float = 1.0
    hardware: Hardware = PLAIN
    folder: DataFolder = DataFolder(Path("datasets"))
    log_points: int | None = None

    def __post_init__(self) -> None:
        asked, own = f"{self.recipe.name} was to be trained", self.training.scales
        if own is None and self.scale is None:
            msg = f"{asked}, but for which scale? One network serves one scale: give --scale 2, 3 or 4."
            raise InputError(msg)
        if own is not None and self.scale is not None:
            served = ", ".join(f"x{scale}" for scale in own)
            msg = f"{asked} for x{self.scale}, but one network of it serves {served}: leave out --scale."
            raise InputError(msg)
        if not 0 <= self.seed < SEEDS:
            msg = f"{asked} with --seed {self.seed}, but seeds are whole numbers from 0 to {SEEDS - 1:,} (2^44 - 1)."
            raise InputError(msg)
        self._check_network()
        assert self.hardware.is_settled, f"{self.hardware} is to be settled before anything runs on it"
        if self.hardware.mode == "graph" and not isinstance(self.training.optimiser, SGD):
            msg = f"{asked} in mode graph, but only steps of SGD can be recorded. Leave out --mode."
            raise InputError(msg)

    def _check_network(self) -> None:
        """What the network says that it takes, and what it gives in training, found out without computing anything."""
        patches, shape = self.training.patches, self.shape
        with torch.device("meta"):
            network = self.network().to("meta").train()
        asked = f"{self.recipe.name} was to be trained"
        if takes(network) != patches.takes:
            msg = f"{asked} on patches of {patches.takes.name}, but its network takes {takes(network).name}."
            raise InputError(msg)
        grouped = [id(parameter) for group in self.training.rates(network) for parameter in group["params"]]
        if sorted(grouped) != sorted(map(id, network.parameters())):
            every = len(list(network.parameters()))
            msg = f"{asked}, but its rates name {len(grouped)} parameters, not each of {every} once. Mend its rates."
            raise InputError(msg)
        given = (2, patches.takes.channels, shape.side, shape.side)
        wanted = (2, patches.takes.channels, patches.label, patches.label)
        try:
            found = tuple(network(torch.empty(given, device="meta")).shape)
        except RuntimeError as error:
            msg = f"{asked} on patches {given}, but its network does not take them: {error}"
            raise InputError(msg) from error
        if found != wanted:
            msg = f"{asked} on patches {given} and labels {wanted}, but its network gives {found}. Mend its patches."
            raise InputError(msg)

    def network(self) -> nn.Module:
        """A new one, as PyTorch initialises it."""
        return self.recipe.network(self.scales[0])

    @property
    def training(self) -> Training:
        assert self.recipe.training is not None, f"{self.recipe.name} has nothing to train"
        return self.recipe.training

    @property
    def scales(self) -> tuple[int, ...]:
        """What the network is trained for and measured at."""
        return self.training.scales or tuple(filter(None, (self.scale,)))

    @property
    def title(self) -> str:
        return self.recipe.name if self.scale is None else f"{self.recipe.name} x{self.scale}"

    @property
    def subject(self) -> Subject:
        return of_run(self.recipe, self.scale, self.seed, self.budget)

    @cached_property
    def course(self) -> Course:
        """The way through its store. Errors as `count_training`."""
        return self.course_of(count_training(self.folder, self.shape))

    def course_of(self, count: int) -> Course:
        """The way through a store of `count` patches."""
        training = self.training
        size = len(training.order(count * training.augmentation.images, seed=self.seed, epoch=0))
        backprops = training.backprops or (training.epochs or 0) * size
        return Course(
            size=size,
            batch=training.batch,
            backprops=backprops * self.budget,
            incomplete=training.incomplete or False,
        )

    @cached_property
    def protocol(self) -> Protocol:
        return protocol_named(self.training.protocol)

    def feed(self) -> Feed:
        """The patches of its store, as it is trained on them. Errors as `Feed`."""
        training = self.training
        return Feed(
            self.folder,
            self.shape,
            label=training.patches.label,
            batch=training.batch,
            hardware=self.hardware,
            protocol=self.protocol,
        )

    def points(self, backprops: int) -> int:
        """How often a run of so many backprops is measured."""
        return self.log_points or self.training.log_points or max(20, -(-backprops // LOG_EVERY))

    @cached_property
    def shape(self) -> TrainingShape:
        patches = self.training.patches
        return TrainingShape(
            set=self.training.set,
            scales=self.scales,
            patch=patches.patch,
            stride=patches.stride,
            takes=patches.takes,
            degradation=self.protocol.degradation,
        )

    @cached_property
    def store(self) -> str:
        """The digest of what it is trained on. Errors as `digest_of`."""
        return digest_of(self.folder, self.shape)

    @cached_property
    def name(self) -> str:
        """The run's folder: equal exactly where recipe, store, budget, precision, scale and seed are."""
        recipe = self.recipe
        parts = digest(recipe.name, recipe.network, self.training, self.store, self.budget, self.hardware.precision)
        scale = "" if self.scale is None else f"_x{self.scale}"
        return f"{recipe.name}{scale}_s{self.seed}_{parts}"
