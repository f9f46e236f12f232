"""A GPU for a few minutes: everything that is worth having from one, in the order of its worth per second.

    PYTHONPATH=. SRREPRO_COMMIT=$(git rev-parse HEAD) python bench/gpu_minutes.py --minutes 11 --mirror mirror out

The machine needs Python, PyTorch and the packages of gpu_minutes.txt, and no network: carry the images of T91, Set5 and
val20 along as a mirror. Each part has its share of the time, and what one leaves the next one takes. What is done lies
in `out` at any moment, so the machine may be taken away: `tests.log`, `speed.csv` and a checkpoint for every run.
Here, `srrepro import out/*/checkpoint.safetensors` measures the runs that ended and carries the others on.

1. Stores, from the images.
2. The tests that need a GPU (a tenth of the time).
3. Rows of `speed.csv` (three tenths): training steps and inference of SRCNN 9-1-5, VDSR, SRCNN 9-5-5 and FSRCNN, by
   `gpu_rows.py`; compiled steps last.
4. `vdsr-t91-code` in full, the first of the seeds 0, 1 and 2 that has no row (half of what is left).
5. `srcnn-915` with the rest, carried on from `results/unfinished/`: x3, and beside it on the same GPU x2 and x4, or
   other seeds where these have rows. One of them leaves most of a GPU idle.

On a processor (`--device cpu`) the same happens, slowly: a rehearsal. What would go side by side goes one by one.
"""

import subprocess
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice, product
from pathlib import Path
from time import monotonic

import click
import torch

from srrepro import models
from srrepro.data.registry import DataFolder
from srrepro.data.stores import prepare_training
from srrepro.errors import Diverged, InputError, OutOfTime
from srrepro.hardware import Auto, Hardware, Mode, Precision
from srrepro.reporting.provenance import provenance
from srrepro.training.deadline import Deadline
from srrepro.training.loop import train
from srrepro.training.run import Run

BENCHED = ("srcnn-915", "vdsr-t91", "srcnn-955", "fsrcnn")
SIDE_BY_SIDE = 3
GPU_TESTS = ("tests/kernels/test_oneplane.py", "tests/training/test_loop.py", "tests/evaluation/test_upscaler.py")
LEAST_S = 5.0
"""With less than this left a part is not begun."""


@dataclass
class Minutes:
    """The time there is, and what it went into."""

    seconds: float
    out: Path
    begun: float = field(default_factory=monotonic)

    @property
    def left(self) -> float:
        return self.begun + self.seconds - monotonic()

    def note(self, what: str) -> None:
        """One line on the terminal and in `out/minutes.log`: seconds since the start, and what became of a part."""
        line = f"{monotonic() - self.begun:6.0f} s  {what}"
        click.echo(line)
        with (self.out / "minutes.log").open("a", encoding="utf-8") as log:
            log.write(f"{line}\n")


@click.command()
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), default=11.0, show_default=True)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cuda", show_default=True)
@click.option("--results", type=click.Path(path_type=Path, file_okay=False), default=Path("results"), show_default=True)
@click.option("--data", type=click.Path(path_type=Path), envvar="SRREPRO_DATA", default=Path("datasets"))
@click.option("--mirror", type=click.Path(path_type=Path), envvar="SRREPRO_MIRROR")
def main(out: Path, minutes: float, device: str, results: Path, data: Path, mirror: Path | None) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        msg = "--device cuda was asked for, but PyTorch sees no CUDA device here. Rehearse with --device cpu."
        raise click.UsageError(msg)
    out.mkdir(parents=True, exist_ok=True)
    time, folder = Minutes(60 * minutes, out), DataFolder(data, mirror)
    places = ["--device", device, "--data", str(data), *(["--mirror", str(mirror)] if mirror else [])]
    vdsr, srcnn = vdsr_run(device, folder, results), srcnn_runs(device, folder, results)
    time.note("stores")

    tests(time, 0.1 * time.seconds, device)
    before = time.left
    for model in BENCHED:
        bench(time, 0.25 * time.seconds / len(BENCHED), [model, "steps", "images"], places)
    for model in BENCHED if device == "cuda" else ():
        bench(time, 0.3 * time.seconds - (before - time.left), [model, "compiled"], places)
    if vdsr is not None:
        trained(time, 0.5 * time.left, vdsr, results)
    side_by_side(time, srcnn, results)
    time.note("end")


def run_of(
    name: str, device: str, precision: Precision, folder: DataFolder, *, scale: int | None = None, seed: int = 0
) -> Run:
    """In the fastest mode of the device; what only a GPU can do is float32 on a processor."""
    if device == "cpu":
        precision = "float32"
    mode: Mode | Auto = "graph" if device == "cuda" else "auto"
    hardware = Hardware(device=device, precision=precision, mode=mode).settled()
    return Run(recipe=models.recipe(name), scale=scale, seed=seed, hardware=hardware, folder=folder)


def vdsr_run(device: str, folder: DataFolder, results: Path) -> Run | None:
    """The first seed of three without a row; None where all have one."""
    runs = (run_of("vdsr-t91-code", device, "tf32", folder, seed=seed) for seed in (0, 1, 2))
    return next(without_rows(runs, results), None)


def srcnn_runs(device: str, folder: DataFolder, results: Path) -> list[Run]:
    """Those to go side by side: scales of the first seed that have no row, x3 first, then those of other seeds."""
    places = product((0, 1, 2), (3, 2, 4))
    runs = (run_of("srcnn-915", device, "float32", folder, scale=scale, seed=seed) for seed, scale in places)
    return list(islice(without_rows(runs, results), SIDE_BY_SIDE))


def without_rows(runs: Iterable[Run], results: Path) -> Iterator[Run]:
    for run in runs:
        prepare_training(run.folder, run.shape)
        if not (results / "runs" / run.name).exists():
            yield run


def tests(time: Minutes, share: float, device: str) -> None:
    """Those that a machine without a GPU skips; options that name plugins which may be lacking are left out."""
    if device == "cpu":
        time.note("tests: none, they need a GPU")
        return
    plain = ["-o", "addopts=", "-o", "filterwarnings=", "-p", "no:cacheprovider", "-v", "-k", "gpu and not compiled"]
    time.note(f"tests: {in_time([sys.executable, '-m', 'pytest', *plain, *GPU_TESTS], share, time.out / 'tests.log')}")


def bench(time: Minutes, share: float, what: list[str], places: list[str]) -> None:
    """Rows of one network; they are in the table as soon as they are measured."""
    name = "-".join(what)
    command = [sys.executable, str(Path(__file__).with_name("gpu_rows.py")), *places, str(time.out), *what]
    time.note(f"bench {name}: {in_time(command, min(share, time.left), time.out / f'bench-{name}.log')}")


def in_time(command: list[str], seconds: float, log: Path) -> str:
    """A process that may take so long and no longer; how it ended."""
    if seconds < LEAST_S:
        return "no time"
    with log.open("w", encoding="utf-8") as stream:
        try:
            done = subprocess.run(command, stdout=stream, stderr=subprocess.STDOUT, timeout=seconds)
        except subprocess.TimeoutExpired:
            return f"cut off after {seconds:.0f} s"
    return "done" if done.returncode == 0 else f"failed, see {log.name}"


def side_by_side(time: Minutes, runs: list[Run], results: Path) -> None:
    """All of them for what time is left; on a GPU at once, each in a thread and a stream of its own."""
    if not runs or runs[0].hardware.device == "cpu":
        for number, run in enumerate(runs):
            trained(time, time.left / (len(runs) - number), run, results)
        return

    def on_a_stream(run: Run) -> None:
        with torch.cuda.stream(torch.cuda.Stream()):  # type: ignore[no-untyped-call]
            trained(time, time.left, run, results)

    with ThreadPoolExecutor(len(runs)) as pool:
        list(pool.map(on_a_stream, runs))


def trained(time: Minutes, share: float, run: Run, results: Path) -> None:
    """A run from where its copies are, until it ends or its share is over."""
    name = run.name
    workplace = time.out / name
    workplace.mkdir(exist_ok=True)
    if share < LEAST_S:
        time.note(f"{name}: no time")
        return
    try:
        _, state = train(
            run,
            workplace,
            made_with=provenance(run.hardware.device),
            deadline=Deadline.after(share),
            carried=results / "unfinished" / f"{name}.safetensors",
        )
    except OutOfTime as stopped:
        time.note(str(stopped))
    except (Diverged, InputError, RuntimeError) as error:  # the parts after it are worth having all the same
        time.note(f"{name} failed: {error}")
    else:
        time.note(f"{name}: ended, {state.log[-1]}")


if __name__ == "__main__":
    main()
