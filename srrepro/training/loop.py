"""The one training loop: every recipe runs through it, from the store to the last weights.

Over 300 lines: half are what a run is, and what it does when it is stopped.
"""

import math
import signal
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from secrets import token_hex
from time import perf_counter
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from srrepro.data.registry import DataFolder
from srrepro.data.stores import Example, TrainingShape, digest_of, prepare_training
from srrepro.errors import InputError
from srrepro.evaluation.measure import TestSet, mean_psnr
from srrepro.evaluation.upscaler import MEMORY, Upscaler
from srrepro.evaluation.weights import Subject, of_run
from srrepro.kernels.convolution import Mode
from srrepro.models.recipe import SGD, Recipe, Training, digest, takes
from srrepro.progress import Meter, in_words, say
from srrepro.protocols.named import protocol_named
from srrepro.protocols.protocol import Protocol
from srrepro.training import carry, checkpoint
from srrepro.training.carry import Stretch
from srrepro.training.deadline import NEVER, Deadline
from srrepro.training.engine import Engine, Precision, precisions
from srrepro.training.feed import Course, Feed, ahead

SECONDS_BETWEEN_CHECKPOINTS = 60.0
LOG_EVERY = 10**7
"""Backprops between log points at most, of a run of more than twenty times as many."""


class Stopped(Exception):  # noqa: N818 (no error: somebody asked for it)
    """The run was asked to stop, and left a checkpoint."""


class OutOfTime(Stopped):
    """The run has stopped because its time was up, as planned."""


class Diverged(Exception):  # noqa: N818
    """The loss is no longer a number."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A recipe with what is not the paper's.

    `scale` is None where one network serves several scales; `budget` is a factor on the recipe's backprops, and the
    schedule stretches with it; `memory` bounds the bytes that patches, and planes in a measurement, may take.
    `log_points` is how often a run is measured: None is as the recipe says, else 20 times, and at least once every 10^7
    backprops.

    Raises
    ------
    InputError : a scale is lacking, or given to a recipe that has its own; device, precision and mode do not fit; the
        network takes something else than its patches hold, or gives something else than labels.
    """

    recipe: Recipe
    scale: int | None = None
    seed: int = 0
    budget: float = 1.0
    device: str = "cpu"
    precision: Precision = "float32"
    mode: Mode = "eager"
    memory: int = MEMORY
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
        self._check_network()
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

    def _check_network(self) -> None:
        """What the network says that it takes, and what it gives in training, found out without computing anything."""
        patches, shape = self.training.patches, self.shape
        network = self.network().to("meta").train()
        asked = f"{self.recipe.name} was to be trained"
        if takes(network) != patches.takes:
            msg = f"{asked} on patches of {patches.takes.name}, but its network takes {takes(network).name}."
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

    def course(self, count: int) -> Course:
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

    @property
    def protocol(self) -> Protocol:
        return protocol_named(self.training.protocol)

    def feed(self, folder: DataFolder) -> Feed:
        """The patches of its store, as it is trained on them. Errors as `Feed`."""
        return Feed(
            folder,
            self.shape,
            label=self.training.patches.label,
            batch=self.training.batch,
            device=self.device,
            memory=self.memory,
            protocol=self.protocol,
        )

    def points(self, backprops: int) -> int:
        """How often a run of so many backprops is measured."""
        return self.log_points or self.training.log_points or max(20, -(-backprops // LOG_EVERY))

    @property
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
    `stretches` are what each process trained of it, the one that is at work last.
    """

    step: int = 0
    seconds: float = 0.0
    losses: float = 0.0
    log: list[dict[str, Any]] = field(default_factory=list)
    stretches: list[Stretch] = field(default_factory=list)


def train(
    run: Run,
    folder: DataFolder,
    workplace: Path,
    *,
    made_with: dict[str, Any] | None = None,
    deadline: Deadline = NEVER,
    carried: Path | None = None,
    carries: bool = False,
) -> tuple[nn.Module, State]:
    """Train from scratch, or resume from the checkpoint in `workplace` or the `carried` file, to the last step.

    `made_with` describes the stretch that begins now (machine, threads, commit); device and mode are added. `carried`
    is where an unfinished run may lie that comes from another machine; with `carries` it is written whenever the run
    stops. The run stops at the `deadline`.

    Returns
    -------
    The network with its last weights (none is ever selected), and the state with the log.

    Raises
    ------
    Stopped : SIGINT or SIGTERM came; the checkpoint is written. OutOfTime, which is one: the deadline has passed.
    Diverged : the loss is not finite at a log point or a checkpoint.
    InputError : data cannot be had; the checkpoint is damaged or of another run, or the carried file has gone apart
        from it.
    """
    training = run.training
    prepare_training(folder, run.shape)
    feed = run.feed(folder)
    course = run.course(feed.count)
    if course.batches == 0:
        msg = f"Batches of {course.batch} patches were to be taken from {training.set}, but it shows {course.size}."
        raise InputError(msg)
    steps, backprops = course.steps, course.seen(course.steps)
    torch.manual_seed(run.seed)
    network = run.network()
    training.init(network)
    watched = _watched(network, run, folder)
    engine = Engine(network, training, device=run.device, precision=run.precision, mode=run.mode)
    name = run.name(folder)
    state = _resumed(carry.newest(workplace, carried, name, says=True), engine)
    before, begun, earlier_s, here = state.stretches, state.step, state.seconds, token_hex(8)

    losses = torch.tensor(state.losses, dtype=torch.float64, device=run.device)
    points = run.points(backprops)
    log_points = {steps * point // points for point in range(1, points + 1)}
    meter = Meter(f"{run.title} seed {run.seed}", backprops, done=course.seen(state.step))
    batches = _batches(run, feed, course, state.step)
    if run.device == "cpu":  # a GPU is told in order what to do, and works while the next batch is asked for
        batches = ahead(batches)
    with _listening_to_signals() as stop, meter, engine, closing(batches):
        network.train()
        started, saved = perf_counter(), perf_counter()
        for step, (inputs, high) in enumerate(batches, state.step):
            lr = training.schedule(step / steps)
            if training.at_new_rate is not None and step and lr != training.schedule((step - 1) / steps):
                training.at_new_rate(engine.optimiser)
            loss = engine.step(inputs, high, lr=lr)

            state.step = step + 1
            losses += loss
            meter.advance(len(inputs))
            at_log_point = state.step in log_points
            due = perf_counter() - saved > SECONDS_BETWEEN_CHECKPOINTS
            if not (at_log_point or stop.requested or deadline.passed or due):
                continue

            state.losses = losses.item()
            state.seconds += perf_counter() - started  # the clock stops here
            if not math.isfinite(state.losses):
                msg = f"the loss of {run.title} is no longer a number at step {state.step}"
                raise Diverged(msg)
            if at_log_point:
                _log(state, course, lr, _measure(watched, run.protocol))
                losses.zero_()
                meter.report(state.log[-1])
            stretch = Stretch(
                id=here,
                begun_at=begun,
                steps=state.step - begun,
                backprops=course.seen(state.step) - course.seen(begun),
                seconds=state.seconds - earlier_s,
                made_with=(made_with or {}) | {"device": run.device, "mode": run.mode},
            )
            state.stretches = [*before, stretch]
            late = deadline.passed  # also of a measurement that took long
            stops = stop.requested or late
            _save(
                [workplace / carry.CHECKPOINT, *([carried] if carried and carries and stops else [])],
                name,
                run,
                engine,
                state,
            )
            if stops:
                how_far = f"after {course.seen(state.step):,} of {backprops:,} backprops"
                where = f"; carried in {carried}" if carried and carries else ""
                if stop.requested:
                    msg = f"stopped {how_far}{where}"
                    raise Stopped(msg)
                left, rate = backprops - course.seen(state.step), stretch.backprops / stretch.seconds
                msg = (
                    f"{run.title} seed {run.seed} stopped as planned {how_far}; {left:,} are left, about "
                    f"{in_words(left / rate)} of training at the {rate:,.0f} a second of this stretch{where}"
                )
                raise OutOfTime(msg)
            network.train()
            started, saved = perf_counter(), perf_counter()
    return network, state


def _batches(run: Run, feed: Feed, course: Course, begin: int) -> Generator[tuple[Tensor, Tensor], None, None]:
    """What the steps from `begin` on are made with: inputs [n, c, h, w] and labels [n, c, p, p], about 0 to 1."""
    training, images = run.training, run.training.augmentation.images
    which = torch.empty(0, dtype=torch.int64)
    for step in range(begin, course.steps):
        epoch, position = divmod(step, course.batches)
        if position == 0 or step == begin:
            order = training.order(feed.count * images, seed=run.seed, epoch=epoch)
            feed.begin_epoch(order % feed.count)
            which = (order // feed.count).to(run.device)
        shown = which[position * course.batch :][: course.batch]
        inputs, labels = training.augmentation(*feed.take(position), seed=run.seed, step=step, which=shown)
        yield inputs, labels.float() / 255


Watched = dict[str, tuple[Upscaler, list[Example]]]


def _watched(network: nn.Module, run: Run, folder: DataFolder) -> Watched:
    """What is measured at every log point, by column of the log."""
    watched = {}
    for name in filter(None, (run.training.validation, *run.training.logged)):
        for scale in run.scales:
            column = f"{name}_psnr_db" if run.scale is not None else f"{name}_x{scale}_psnr_db"
            upscaler = Upscaler(run.subject, network, scale, run.device, run.memory, run.mode)
            watched[column] = upscaler, list(TestSet(name).examples(folder, scale, run.protocol.degradation))
    return watched


def _measure(watched: Watched, protocol: Protocol) -> dict[str, float]:
    return {
        column: mean_psnr(upscaler, examples, protocol=protocol) for column, (upscaler, examples) in watched.items()
    }


def _log(state: State, course: Course, lr: float, psnr_db: dict[str, float]) -> None:
    last = state.log[-1] if state.log else {"backprops": 0, "step": 0, "seconds": 0.0}
    seen, steps = course.seen(state.step), state.step - last["step"]
    row = {
        "backprops": seen,
        "step": state.step,
        "lr": lr,
        "loss": state.losses / steps,
        **psnr_db,
        "seconds": state.seconds,
        "samples_per_s": (seen - last["backprops"]) / (state.seconds - last["seconds"]),
    }
    state.log.append(row)
    state.losses = 0.0


def _save(paths: list[Path], name: str, run: Run, engine: Engine, state: State) -> None:
    values = {
        "run": name,
        "about": {"recipe": run.recipe.name}
        | {key: getattr(run, key) for key in ("scale", "seed", "budget", "precision")},
        "state": asdict(state),
        "network": engine.network.state_dict(),
        "optimiser": checkpoint.optimiser_state(engine.network, engine.optimiser),
    }
    data = checkpoint.packed(values)
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.write(path, data)


def _resumed(copy: carry.Copy | None, engine: Engine) -> State:
    if copy is None:
        return State()
    try:
        engine.network.load_state_dict(copy.values["network"])
        checkpoint.restore_optimiser(engine.network, engine.optimiser, copy.values["optimiser"])
        state = State(**copy.values["state"] | {"stretches": list(copy.stretches)})
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise checkpoint.damaged(copy.path) from error
    say(f"going on after step {state.step}, from {copy.path}")
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
