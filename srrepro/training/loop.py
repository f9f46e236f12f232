"""The one training loop: every recipe runs through it, from the store to the last weights.

Over 300 lines: half are what it does when it is stopped.
"""

import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from secrets import token_hex
from time import perf_counter
from types import FrameType
from typing import Any

import torch
from torch import nn

from srrepro.aside import ahead
from srrepro.data.stores import Example, prepare_training
from srrepro.errors import InputError, OutOfTime, Stopped
from srrepro.evaluation.measure import TestSet, mean_psnr
from srrepro.evaluation.upscaler import Upscaler
from srrepro.hardware import ALONE
from srrepro.progress import Meter, in_words, say
from srrepro.protocols.protocol import Protocol
from srrepro.training import carry, checkpoint
from srrepro.training.carry import Stretch
from srrepro.training.deadline import NEVER, Deadline
from srrepro.training.engine import Engine
from srrepro.training.feed import Course
from srrepro.training.following import following
from srrepro.training.portions import Table, portions
from srrepro.training.run import Run
from srrepro.training.soundness import Soundness, not_finite

SECONDS_BETWEEN_CHECKPOINTS = 60.0


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
    workplace: Path,
    *,
    made_with: dict[str, Any] | None = None,
    deadline: Deadline = NEVER,
    carried: Path | None = None,
    carries: bool = False,
    tensorboard: Path | None = None,
) -> tuple[nn.Module, State]:
    """Train from scratch, or resume from the checkpoint in `workplace` or the `carried` file, to the last step.

    `made_with` describes the stretch that begins now (machine, threads, commit); device and mode are added. `carried`
    is where an unfinished run may lie that comes from another machine; with `carries` it is written whenever the run
    stops. The run stops at the `deadline`. Threads may train a run each; on a GPU, each on a stream of its own.
    `tensorboard` is a folder where the log is followed, row by row.

    Returns
    -------
    The network with its last weights (none is ever selected), and the state with the log.

    Raises
    ------
    Stopped : SIGINT or SIGTERM came; the checkpoint is written. OutOfTime, which is one: the deadline has passed.
    Diverged : at a log point or a checkpoint the loss, the weights or what the optimiser remembers are not finite; the
        checkpoint before stays as it is.
    InputError : data cannot be had; the checkpoint is damaged or of another run, or the carried file has gone apart
        from it.
    """
    training, device = run.training, run.hardware.device
    prepare_training(run.folder, run.shape)
    feed, course = run.feed(), run.course
    if course.batches == 0:
        msg = f"Batches of {course.batch} patches were to be taken from {training.set}, but it shows {course.size}."
        raise InputError(msg)
    steps, backprops = course.steps, course.seen(course.steps)
    with ALONE:  # first parameters come from the one generator that a process has
        torch.manual_seed(run.seed)
        network = run.network()
        training.init(network)
    watched = _watched(network, run)
    engine = Engine(network, training, run.hardware)
    state = _resumed(carry.newest(workplace, carried, run.name, says=True), engine)
    soundness = Soundness(state.step)
    before, begun, earlier_s, here = state.stretches, state.step, state.seconds, token_hex(8)

    losses = torch.tensor(state.losses, dtype=torch.float64, device=device)
    points = run.points(backprops)
    log_points = {steps * point // points for point in range(1, points + 1)}
    meter = Meter(f"{run.title} seed {run.seed}", backprops, done=course.seen(state.step))
    steps_made_with = portions(run, feed, course, state.step, log_points)
    if device == "cpu":  # a GPU is told in order what to do, and works while the next batch is asked for
        steps_made_with = ahead(steps_made_with)
    follows = following(tensorboard, run.name, state.log)
    with _listening_to_signals() as stop, meter, engine, closing(steps_made_with), follows as follow:
        network.train()
        started, saved = perf_counter(), perf_counter()
        for portion in steps_made_with:
            first, lr = state.step, training.schedule(state.step / steps)
            if training.at_new_rate is not None and first and lr != training.schedule((first - 1) / steps):
                training.at_new_rate(engine.optimiser)
            if isinstance(portion, Table):
                assert feed.whole is not None, "a table is for a store that is on the device"
                engine.steps(feed.whole, portion, losses)
                state.step += len(portion.lrs)
                lr = training.schedule((state.step - 1) / steps)
            else:
                losses += engine.step(*portion, lr=lr)
                state.step += 1

            meter.advance(course.seen(state.step) - course.seen(first))
            at_log_point = state.step in log_points
            due = perf_counter() - saved > SECONDS_BETWEEN_CHECKPOINTS
            if not (at_log_point or stop.requested or deadline.passed or due):
                continue

            state.losses = losses.item()
            state.seconds += perf_counter() - started  # the clock stops here
            soundness.check(
                engine,
                state.losses,
                title=run.title,
                step=state.step,
                backprops=course.seen(state.step),
                lr=lr,
                kept=workplace / carry.CHECKPOINT,
            )
            if at_log_point:
                _log(state, course, lr, _measure(watched, run.protocol))
                losses.zero_()
                meter.report(state.log[-1])
                follow(state.log[-1])
            stretch = Stretch(
                id=here,
                begun_at=begun,
                steps=state.step - begun,
                backprops=course.seen(state.step) - course.seen(begun),
                seconds=state.seconds - earlier_s,
                made_with=(made_with or {}) | {"device": device, "mode": run.hardware.mode},
            )
            state.stretches = [*before, stretch]
            late = deadline.passed  # also of a measurement that took long
            stops = stop.requested or late
            _save(
                [workplace / carry.CHECKPOINT, *([carried] if carried and carries and stops else [])],
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


Watched = dict[str, tuple[Upscaler, list[Example]]]


def _watched(network: nn.Module, run: Run) -> Watched:
    """What is measured at every log point, by column of the log."""
    watched = {}
    for name in filter(None, (run.training.validation, *run.training.logged)):
        for scale in run.scales:
            column = f"{name}_psnr_db" if run.scale is not None else f"{name}_x{scale}_psnr_db"
            upscaler = Upscaler(run.subject, network, scale, run.hardware.for_numbers())
            watched[column] = upscaler, list(TestSet(name).examples(run.folder, scale, run.protocol.degradation))
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


def _save(paths: list[Path], run: Run, engine: Engine, state: State) -> None:
    about = {"recipe": run.recipe.name, "scale": run.scale, "seed": run.seed, "budget": run.budget}
    values = {
        "run": run.name,
        "about": about | {"precision": run.hardware.precision},
        "state": asdict(state),
        "network": engine.network.state_dict(),
        "optimiser": checkpoint.optimiser_state(engine.network, engine.optimiser),
    }
    data = checkpoint.packed(values)
    for path in paths:
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
    if name := not_finite(engine.network.state_dict()) or not_finite(copy.values["optimiser"]):
        msg = (
            f"The run was to be resumed from {copy.path}, but {name} in it is not finite: the run had come apart "
            "before. Start anew: --fresh."
        )
        raise InputError(msg)
    say(f"resumed after {copy.backprops:,} backprops, from {copy.path}")
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
