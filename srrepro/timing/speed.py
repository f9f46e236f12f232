"""How fast networks train and run here: contenders take turns in one run, and rows say what each of them reached.

A ratio is the median over the rounds of the plain version's time through the contender's, so that what slows down the
machine for a while slows down both. Absolute times hold for the machine that the row names. Over 300 lines: it counts
operations, measures peaks, memory and time, for training and for inference.
"""

import copy
import ctypes
import gc
import os
import statistics
import tempfile
from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from numpy import ndarray
from torch.utils.flop_counter import FlopCounterMode

from srrepro import models
from srrepro.data.registry import DataFolder
from srrepro.data.stores import prepare_training
from srrepro.errors import InputError
from srrepro.evaluation import believed
from srrepro.evaluation.size import multiply_adds
from srrepro.evaluation.upscaler import Upscaler
from srrepro.evaluation.weights import of_run
from srrepro.hardware import Hardware, Mode, machine, modes, multiplies_bfloat16, precisions
from srrepro.models.recipe import HeInit, Input, takes
from srrepro.progress import say
from srrepro.timing.engines import engines
from srrepro.timing.plain import PlainLoop
from srrepro.training.engine import Engine
from srrepro.training.portions import Table, portions
from srrepro.training.run import Run
from srrepro.whole import written_whole

Task = Literal["train", "infer"]
SCALE = 3
SIZES = ((256, 256), (720, 1280), (1080, 1920))
ROUNDS = 5
SECONDS_A_TURN = 1.0
IDLE = 0.3
"""Load of the minute before, above which somebody else is at work."""
KEY = ["machine", "model", "task", "device", "precision", "layout", "mode", "batch", "height", "width"]


@dataclass(frozen=True, kw_only=True)
class Speed:
    """One row of `speed.csv`; `results/columns.md` explains the columns."""

    model: str
    task: Task
    scale: int | None
    device: str
    precision: str
    layout: str
    mode: str
    batch: int
    height: int
    width: int
    median_ms: float
    iqr_ms: float
    megapixels_per_s: float
    samples_per_s: float
    gflops: float
    peak_share: float
    peak_memory_mib: float | None
    repeats: int
    baseline_ratio: float
    difference: float | None
    machine: str


@dataclass(frozen=True)
class Contender:
    """`turn` does the work once, or `steps` times where they are recorded as one; of an image it gives the estimate."""

    precision: str
    layout: str
    mode: str
    turn: Callable[[], object]
    steps: int = 1


def training_speed(name: str, folder: DataFolder, device: str, only: Container[Mode] | None = None) -> list[Speed]:
    """One training step of a recipe: the plain loop, and every mode of the engine here, or `only` some.

    Raises
    ------
    InputError : it has nothing to train, or the data cannot be had.
    """
    recipe = models.recipe(name)
    if recipe.training is None:
        msg = f"The training of {name} was to be timed, but it has nothing to train."
        raise InputError(msg)
    run = Run(
        recipe=recipe,
        scale=None if recipe.training.scales else SCALE,
        hardware=Hardware(device=device, precision="float32", mode="eager"),
        folder=folder,
    )
    training, label = recipe.training, recipe.training.patches.label
    prepare_training(folder, run.shape)
    with tempfile.TemporaryDirectory() as scratch:
        contenders = [Contender("float32", "nchw", "plain", PlainLoop(run, Path(scratch)).step)]
        contenders += [_trained(other) for other in _modes(run) if only is None or other.hardware.mode in only]
        flops = training_flops(run) * training.batch
        return _rows(contenders, name, "train", run.scale, device, training.batch, (label, label), flops)


def inference_speed(name: str, size: tuple[int, int], device: str) -> list[Speed]:
    """One image of `size` (height, width) through a network: PyTorch's eager default layout, and every mode here.

    On a processor the engines that people deploy networks with take turns with them, where they are installed.
    """
    recipe = models.recipe(name)
    torch.manual_seed(0)
    network = recipe.network(SCALE).to(device).eval()
    HeInit()(network)  # estimates of about 1, whose differences say something
    image = _noise(takes(network), size)
    tensor = torch.from_numpy(np.atleast_3d(image)).movedim(2, 0)[None].to(device)
    subject = of_run(recipe, None if recipe.training and recipe.training.scales else SCALE, 0, 1.0)
    plainly = copy.deepcopy(network)  # its own: a network is kept in one layout

    @torch.inference_mode()
    def plain() -> ndarray:
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):  # the row says float32
            out = plainly(tensor)[0].cpu().numpy()
        return np.asarray(out[0] if image.ndim == 2 else np.moveaxis(out, 0, 2))

    contenders = [Contender("float32", "nchw", "plain", plain)]
    for mode in reversed([mode for mode in modes(device, "float32") if mode in {"eager", "native"}]):
        hardware = Hardware(device=device, precision="float32", mode=mode)
        upscaler = Upscaler(subject, network, SCALE, hardware)
        contenders.append(Contender("float32", "nhwc", mode, lambda upscaler=upscaler: upscaler.estimate(image)))  # type: ignore[misc]
    if device == "cpu":
        for engine, precision, turn in engines(Upscaler(subject, network, SCALE), image, torch.get_num_threads()):
            contenders.append(Contender(precision, "nchw", engine, turn))
    flops = multiply_adds(network, SCALE, *size) * 2
    return _rows(contenders, name, "infer", subject.scale, device, 1, size, flops)


def _noise(what: Input, size: tuple[int, int]) -> ndarray:
    """An image that a network takes, so that its output is of about that size."""
    height, width = (side // SCALE for side in size) if what.small else size
    channels = () if what.channels == 1 else (what.channels,)
    return np.random.default_rng(0).random((height, width, *channels), np.float32)


def training_flops(run: Run) -> int:
    """Of one patch: forward, and the gradients by weights and planes that a step needs."""
    patches = run.training.patches
    network = run.network().to("meta").train()
    with FlopCounterMode(display=False) as counter:
        network(torch.empty(1, patches.takes.channels, run.shape.side, run.shape.side, device="meta")).sum().backward()
    return int(counter.get_total_flops())


def peak_gflops(device: str, precision: str) -> float:
    """What a large matrix product reaches here: the share of peak of everything else is measured against it."""
    side = 2048 if device == "cpu" else 8192
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    a, b = (torch.rand(side, side, device=device, dtype=dtype) for _ in range(2))
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    times = [_timed(lambda: a @ b, device, 1) for _ in range(7)]
    torch.backends.cuda.matmul.allow_tf32 = before
    return 2 * side**3 / min(times) / 1e9


def conditions(made_with: dict[str, Any]) -> dict[str, Any]:
    """What rows that are timed now must say besides, from what this runs with; says so if the machine is busy."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    if load is not None and load > IDLE:
        say(f"this machine is busy (load {load:.1f}): ratios hold roughly, absolute times do not")
    return {
        "measured": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": made_with["commit"],
        "torch": made_with["versions"]["torch"],
        "threads": made_with["threads"],
        "load": load,
    }


def record(rows: list[Speed], path: Path, under: dict[str, Any]) -> pd.DataFrame:
    """Put rows into `speed.csv` in place of those of the same machine, model, task, mode and size; the whole table.

    `under` are the `conditions` that they were timed under.
    """
    new = pd.DataFrame([asdict(row) | under for row in rows])
    table = new
    if path.exists():
        before = believed.table(path, KEY[:7], KEY[7:])
        if "threads" in before:  # rows from before it was noted have none
            before["threads"] = before["threads"].astype("Int64")
        table = pd.concat([before, new]).drop_duplicates(KEY, keep="last").sort_values(KEY, kind="stable")
    path.parent.mkdir(parents=True, exist_ok=True)
    written_whole(path, table.to_csv(index=False, lineterminator="\n"))
    return table


def _modes(run: Run) -> Iterator[Run]:
    """Everything that may be fastest here; bfloat16 only where it is made for."""
    device = run.hardware.device
    for precision in precisions(device):
        if precision == "bfloat16" and not multiplies_bfloat16(device):
            continue
        for mode in modes(device, precision):
            with suppress(InputError):
                yield replace(run, hardware=Hardware(device=device, precision=precision, mode=mode))


def _trained(run: Run) -> Contender:
    """The body of the training loop: a turn is a step, or what is recorded as one."""
    training, hardware = run.training, run.hardware
    feed = run.feed()
    network = run.network().train()
    training.init(network)
    engine = Engine(network, training, hardware)
    first = next(portions(run, feed, run.course, 0, frozenset()))
    batches, steps = feed.count // training.batch, count()
    losses = torch.zeros((), dtype=torch.float64, device=hardware.device)
    which = torch.zeros(training.batch, dtype=torch.int64, device=hardware.device)  # every image takes as long

    def step() -> None:
        number = next(steps)
        with engine:
            inputs, labels = training.augmentation(*feed.take(number % batches), seed=0, step=number, which=which)
            engine.step(inputs, labels.float() / 255, lr=training.schedule(0.0))

    def several() -> None:
        assert isinstance(first, Table)
        assert feed.whole is not None
        with engine:
            engine.steps(feed.whole, first, losses)

    if isinstance(first, Table):
        return Contender(hardware.precision, "nhwc", hardware.mode, several, len(first.lrs))
    return Contender(hardware.precision, "nhwc", hardware.mode, step)


def _rows(
    contenders: list[Contender],
    name: str,
    task: Task,
    scale: int | None,
    device: str,
    batch: int,
    size: tuple[int, int],
    flops: int,
) -> list[Speed]:
    say(f"{name}, {task}, {size[1]}×{size[0]}: {', '.join(c.mode for c in contenders)} take turns")
    peaks = {precision: peak_gflops(device, precision) for precision in {c.precision for c in contenders}}
    memory = [_peak_memory_mib(c.turn, device) for c in contenders]
    found = [c.turn() for c in contenders]
    repeats = [max(1, round(SECONDS_A_TURN / _timed(c.turn, device, 1))) for c in contenders]
    rounds = [
        [_timed(c.turn, device, times) for c, times in zip(contenders, repeats, strict=True)] for _ in range(ROUNDS)
    ]
    rows = []
    for number, contender in enumerate(contenders):
        seconds = [times[number] / contender.steps for times in rounds]
        median = statistics.median(seconds)
        low, _, high = statistics.quantiles(seconds, n=4, method="inclusive")
        rows.append(
            Speed(
                model=name,
                task=task,
                scale=scale,
                device=device,
                precision=contender.precision,
                layout=contender.layout,
                mode=contender.mode,
                batch=batch,
                height=size[0],
                width=size[1],
                median_ms=median * 1e3,
                iqr_ms=(high - low) * 1e3,
                megapixels_per_s=batch * size[0] * size[1] / median / 1e6,
                samples_per_s=batch / median,
                gflops=flops / median / 1e9,
                peak_share=flops / median / 1e9 / peaks[contender.precision],
                peak_memory_mib=memory[number],
                repeats=ROUNDS * repeats[number] * contender.steps,
                baseline_ratio=statistics.median(times[0] / times[number] * contender.steps for times in rounds),
                difference=_difference(found[0], found[number]),
                machine=machine(device),
            )
        )
    return rows


def _difference(expected: object, found: object) -> float | None:
    """The largest of two estimates; None where a turn gives none."""
    if not isinstance(expected, ndarray) or not isinstance(found, ndarray):
        return None
    return float(np.abs(found - expected).max())


def _timed(turn: Callable[[], object], device: str, times: int) -> float:
    """Seconds of one of several turns in a row."""
    if device == "cpu":
        started = perf_counter()
        for _ in range(times):
            turn()
        return (perf_counter() - started) / times
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    begin.record()
    for _ in range(times):
        turn()
    end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / 1e3 / times


def _peak_memory_mib(turn: Callable[[], object], device: str) -> float | None:
    """What the first two turns take at most beyond what was taken before them; None where the system does not tell.

    The first ones, so that what is kept from turn to turn counts.
    """
    gc.collect()
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        turn()
        turn()
        torch.cuda.synchronize()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with _high_water() as taken:
        turn()
        turn()
    return taken[0] if taken else None


@contextmanager
def _high_water() -> Iterator[list[float]]:
    """Linux keeps the most memory that a process ever had, and forgets it when told to."""
    taken: list[float] = []
    status, forget = Path("/proc/self/status"), Path("/proc/self/clear_refs")

    def mib(line: str) -> float:
        return next(int(row.split()[1]) / 1024 for row in status.read_text().splitlines() if row.startswith(line))

    before = None
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)  # what earlier turns left is given back, or it would not be counted again
        forget.write_text("5")
        before = mib("VmRSS")
    yield taken
    if before is not None:
        taken.append(mib("VmHWM") - before)
