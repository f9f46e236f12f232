"""The one training loop: every recipe runs through it, from the store to the last weights.

Over 300 lines: half are what a run is, and what it does when it is stopped.
"""

import math
import signal
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from srrepro.data.registry import DataFolder
from srrepro.data.stores import Example, TrainingShape, digest_of, prepare_training
from srrepro.errors import InputError
from srrepro.evaluation.evaluate import TestSet, mean_psnr
from srrepro.evaluation.protocol import NAME, Protocol, named
from srrepro.evaluation.upscale import MEMORY, Upscaler
from srrepro.evaluation.weights import Subject, of_run
from srrepro.kernels.convolution import Mode
from srrepro.models.recipe import SGD, Recipe, Training, digest
from srrepro.progress import Meter, say
from srrepro.training import checkpoint
from srrepro.training.engine import Engine, Precision, precisions
from srrepro.training.feed import Feed, ahead

SECONDS_BETWEEN_CHECKPOINTS = 60.0


class Stopped(Exception):  # noqa: N818 (no error: somebody asked for it)
    """The run was asked to stop, and left a checkpoint."""


class Diverged(Exception):  # noqa: N818
    """The loss is no longer a number."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A recipe with what is not the paper's.

    `scale` is None where one network serves several scales; `budget` is a factor on the recipe's backprops, and the
    schedule stretches with it; `memory` bounds the bytes that patches, and planes in a measurement, may take.

    Raises
    ------
    InputError : a scale is lacking, or given to a recipe that has its own; device, precision and mode do not fit.
    """

    recipe: Recipe
    scale: int | None = None
    seed: int = 0
    budget: float = 1.0
    device: str = "cpu"
    precision: Precision = "float32"
    mode: Mode = "eager"
    memory: int = MEMORY
    log_points: int = 20

    def __post_init__(self) -> None:
        asked, own = f"{self.recipe.name} was to be trained", self.training.scales
        if own is None and self.scale is None:
            msg = f"{asked}, but for which scale? One network serves one scale: give --scale 2, 3 or 4."
            raise InputError(msg)
        if own is not None and self.scale is not None:
            served = ", ".join(f"x{scale}" for scale in own)
            msg = f"{asked} for x{self.scale}, but one network of it serves {served}: leave out --scale."
            raise InputError(msg)
        if self.precision not in precisions(self.device):
            msg = f"{asked} in {self.precision}, but {self.device} has {', '.join(precisions(self.device))}."
            raise InputError(msg)
        if self.mode == "native" and (self.device, self.precision) != ("cpu", "float32"):
            msg = (
                f"{asked} in mode native on {self.device} in {self.precision}, but native convolutions are float32 on "
                f"a processor. Leave out --mode, or give --device cpu --precision float32."
            )
            raise InputError(msg)
        if self.mode in {"graph", "compiled"} and self.device == "cpu":
            msg = f"{asked} in mode {self.mode} on a processor, but that is for GPUs. Leave out --mode."
            raise InputError(msg)
        if self.mode == "graph" and not isinstance(self.training.optimiser, SGD):
            msg = f"{asked} in mode graph, but only steps of SGD can be recorded. Leave out --mode."
            raise InputError(msg)

    @property
    def training(self) -> Training:
        assert self.recipe.training is not None, f"{self.recipe.name} has nothing to train"
        return self.recipe.training

    @property
    def scales(self) -> tuple[int, ...]:
        """What the network is trained for and measured at."""
        return self.training.scales or tuple(filter(None, (self.scale,)))

    @property
    def protocol(self) -> Protocol:
        return named(self.training.protocol or NAME)

    @property
    def title(self) -> str:
        return self.recipe.name if self.scale is None else f"{self.recipe.name} x{self.scale}"

    @property
    def subject(self) -> Subject:
        return of_run(self.recipe, self.scale, self.seed, self.budget)

    @property
    def steps(self) -> int:
        return max(1, round(self.training.backprops * self.budget / self.training.batch))

    @property
    def backprops(self) -> int:
        return self.steps * self.training.batch

    @property
    def shape(self) -> TrainingShape:
        patches = self.training.patches
        return TrainingShape(
            set=self.training.set,
            scales=self.scales,
            patch=patches.patch,
            stride=patches.stride,
            takes=patches.takes,
        )

    def name(self, folder: DataFolder) -> str:
        """The run's folder: equal exactly where recipe, store content, budget, precision, scale and seed are."""
        recipe, store = self.recipe, digest_of(folder, self.shape)
        parts = digest(recipe.name, recipe.network, self.training, store, self.budget, self.precision)
        scale = "" if self.scale is None else f"_x{self.scale}"
        return f"{recipe.name}{scale}_s{self.seed}_{parts}"


@dataclass
class State:
    """How far a run is. `seconds` counts training only: the clock stands still during measurements.

    On a processor the next batch is made meanwhile; of a streamed store that may be a pass over the file.
    """

    step: int = 0
    seconds: float = 0.0
    losses: float = 0.0
    log: list[dict[str, Any]] = field(default_factory=list)


def train(run: Run, folder: DataFolder, workplace: Path) -> tuple[nn.Module, State]:
    """Train from scratch, or go on from the checkpoint in `workplace`, to the last step.

    Returns
    -------
    The network with its last weights (none is ever selected), and the state with the log.

    Raises
    ------
    Stopped : SIGINT or SIGTERM came; the checkpoint is written.
    Diverged : the loss is not finite at a log point.
    InputError : data cannot be had, or the checkpoint is damaged or of another mode.
    """
    training = run.training
    prepare_training(folder, run.shape)
    patches = training.patches
    feed = Feed(folder, run.shape, label=patches.label, batch=training.batch, device=run.device, memory=run.memory)
    torch.manual_seed(run.seed)
    network = run.recipe.network()
    training.init(network)
    watched = _watched(network, run, folder)
    engine = Engine(network, training, device=run.device, precision=run.precision, mode=run.mode)
    state = _resumed(workplace / "checkpoint.pt", engine)

    losses = torch.tensor(state.losses, dtype=torch.float64, device=run.device)
    log_points = {run.steps * point // run.log_points for point in range(1, run.log_points + 1)}
    meter = Meter(f"{run.title} seed {run.seed}", run.backprops, done=state.step * training.batch)
    batches = _batches(run, feed, state.step)
    if run.device == "cpu":  # a GPU is told in order what to do, and works while the next batch is asked for
        batches = ahead(batches)
    with _listening_to_signals() as stop, meter, engine, closing(batches):
        network.train()
        started, saved = perf_counter(), perf_counter()
        for step, (inputs, high) in enumerate(batches, state.step):
            lr = training.schedule(step / run.steps)
            loss = engine.step(inputs, high, lr=lr)

            state.step = step + 1
            losses += loss
            meter.advance(training.batch)
            at_log_point = state.step in log_points
            if not (at_log_point or stop.requested or perf_counter() - saved > SECONDS_BETWEEN_CHECKPOINTS):
                continue

            state.losses = losses.item()
            state.seconds += perf_counter() - started  # the clock stops here
            if at_log_point:
                if not math.isfinite(state.losses):
                    msg = f"the loss of {run.title} is no longer a number at step {state.step}"
                    raise Diverged(msg)
                _log(state, run, lr, _measure(watched, run.protocol))
                losses.zero_()
                meter.report(state.log[-1])
            _save(workplace / "checkpoint.pt", engine, state)
            if stop.requested:
                msg = f"stopped after {state.step * training.batch:,} of {run.backprops:,} backprops"
                raise Stopped(msg)
            network.train()
            started, saved = perf_counter(), perf_counter()
    return network, state


def _batches(run: Run, feed: Feed, begin: int) -> Generator[tuple[Tensor, Tensor], None, None]:
    """What the steps from `begin` on are made with: inputs [n, 1, h, w] and labels [n, 1, p, p], about 0 to 1."""
    training = run.training
    for step in range(begin, run.steps):
        epoch, position = divmod(step, feed.batches)
        if position == 0 or step == begin:
            feed.begin_epoch(training.order(feed.count, seed=run.seed, epoch=epoch))
        inputs, labels = training.augmentation(*feed.take(position), seed=run.seed, step=step)
        yield inputs, labels.float() / 255


Watched = dict[str, tuple[Upscaler, list[Example]]]


def _watched(network: nn.Module, run: Run, folder: DataFolder) -> Watched:
    """What is measured at every log point, by column of the log."""
    watched = {}
    for name in (run.training.validation, *run.training.logged):
        for scale in run.scales:
            column = f"{name}_psnr_db" if run.scale is not None else f"{name}_x{scale}_psnr_db"
            upscaler = Upscaler(run.subject, network, scale, run.device, run.memory, run.mode)
            watched[column] = upscaler, list(TestSet(name).examples(folder, scale))
    return watched


def _measure(watched: Watched, protocol: Protocol) -> dict[str, float]:
    return {column: mean_psnr(*measured, protocol=protocol) for column, measured in watched.items()}


def _log(state: State, run: Run, lr: float, psnr_db: dict[str, float]) -> None:
    last = state.log[-1] if state.log else {"step": 0, "seconds": 0.0}
    steps, seconds = state.step - last["step"], state.seconds - last["seconds"]
    row = {
        "backprops": state.step * run.training.batch,
        "step": state.step,
        "lr": lr,
        "loss": state.losses / steps,
        **psnr_db,
        "seconds": state.seconds,
        "samples_per_s": steps * run.training.batch / seconds,
    }
    state.log.append(row)
    state.losses = 0.0


def _save(path: Path, engine: Engine, state: State) -> None:
    weights, optimiser = engine.network.state_dict(), engine.optimiser.state_dict()
    checkpoint.save(path, {"network": weights, "optimiser": optimiser, "state": vars(state), "mode": engine.mode})


def _resumed(path: Path, engine: Engine) -> State:
    saved = checkpoint.load(path)
    if saved is None:
        return State()
    begun = saved.get("mode", "eager")
    if begun != engine.mode:
        msg = (
            f"The run of {path.parent.name} was to go on in mode {engine.mode}, but was begun in mode {begun}, which "
            f"rounds differently. Give --mode {begun}, or --fresh to start anew."
        )
        raise InputError(msg)
    engine.network.load_state_dict(saved["network"])
    engine.optimiser.load_state_dict(saved["optimiser"])
    state = State(**saved["state"])
    say(f"going on after step {state.step}")
    return state


class _Stop:
    requested = False


@contextmanager
def _listening_to_signals() -> Iterator[_Stop]:
    """The first SIGINT or SIGTERM asks for a clean stop; a second one ends the process as usual.

    Either waits for the batch that is being made; of a streamed store that may be a pass over the file.
    """
    stop = _Stop()
    before: dict[signal.Signals, Any] = {}

    def ask(_number: int, _frame: FrameType | None) -> None:
        stop.requested = True
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, ask)
    except ValueError:  # only the main thread may listen; elsewhere nobody can press Ctrl-C either
        pass
    try:
        yield stop
    finally:
        restore()
