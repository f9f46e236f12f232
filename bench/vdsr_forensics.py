"""Which reading of VDSR's text and code gives its authors' own learning curves? Depth 10, x2, Set5.

    python bench/vdsr_forensics.py --data datasets results/choices

The authors' curves are `vdsr-authors-curves.csv`, read off the vector figures of their draft (kjw0612/rcn at 9bcb27c,
paper/figs/residual_exp0.pdf, residual_exp1.pdf, residual_exp2.pdf). `READINGS` were named before anything ran; what has
run is in `vdsr-forensics.csv`, one row an epoch, and docs/experiments/vdsr-authors.md names what has not. This
identifies what the authors did; it is no tuning.

1. Every reading, seed 0, initial rate 0.1, to epoch 21: the first epoch after the first change of rate.
2. Readings within 0.15 dB (root mean square over the printed epochs so far), or else the two nearest: the initial rates
   0.01 and 0.001 and the plain network, to epoch 21, too.
3. The two nearest by all of these: to epoch 80.
4. The same two with seeds 1 and 2.

Each stage goes on from the checkpoints of the one before. With `--minutes` it ends in time, and keeps what there is.
Docs: docs/experiments/vdsr-authors.md.
"""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from time import monotonic
from typing import Any, get_args

import click
import numpy as np
import pandas as pd
import torch
from first_iterations import BeginningOf

from srrepro import models
from srrepro.data.registry import DataFolder
from srrepro.data.stores import EvaluationShape, prepare_evaluation, prepare_training
from srrepro.errors import Diverged
from srrepro.hardware import Auto, Hardware, Mode, Precision, machine
from srrepro.models.recipe import (
    ClearMomentum,
    EveryImage,
    HeInit,
    NewOrder,
    SquaredError,
    Steps,
    Training,
    TurnAndFlip,
    digest,
)
from srrepro.models.vdsr import AT_DEPTH_10, ON_T91, ClipByRate
from srrepro.training import carry, checkpoint
from srrepro.training.loop import train
from srrepro.training.run import Run

EPOCHS, FIRST = 80, 21
PRINTED = (1, 5, 10, 15, 20, 21, 25, 30, 40, 60, 80)
WITHIN_DB = 0.15
TEXT = replace(
    ON_T91,
    scales=(2,),
    patches=AT_DEPTH_10.patches,
    backprops=None,
    epochs=EPOCHS,
    validation=None,
)
CODE = AT_DEPTH_10
READINGS: dict[str, Training] = {
    "code": CODE,
    "code, four images": replace(CODE, augmentation=EveryImage(4)),
    "code, eight images": replace(CODE, augmentation=EveryImage(8)),
    "code, one of eight a batch": replace(CODE, augmentation=TurnAndFlip()),
    "code, x2 x3 x4": replace(CODE, scales=(2, 3, 4)),
    "code, 291 images": replace(CODE, set="291"),
    "text": TEXT,
    "text, small last layer": replace(TEXT, init=HeInit(last=0.001)),
    "text, loss without its half": replace(TEXT, loss=SquaredError()),
    "text, momentum cleared": replace(TEXT, at_new_rate=ClearMomentum()),
    "text, clamped inputs": replace(TEXT, protocol="vdsr-y-v1"),
    "text, epochs of the code": replace(TEXT, order=NewOrder(held_out=0.01), incomplete=True),
    "code, theta 1e-3": replace(CODE, clip=ClipByRate(theta=1e-3)),
    "code, theta 1e-5": replace(CODE, clip=ClipByRate(theta=1e-5)),
    "text, four images": replace(TEXT, augmentation=EveryImage(4)),
    "code, He's last layer, four images": replace(CODE, init=HeInit(), augmentation=EveryImage(4)),
}
CURVE = ["reading", "network", "initial_lr", "seed"]
"""The columns that name a curve."""
NETWORKS = {"residual": "vdsr-10-residual", "plain": "vdsr-10-plain"}
Row = dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One curve of a reading, to an epoch."""

    reading: str
    network: str
    initial_lr: float
    seed: int
    to: int

    @property
    def curve(self) -> tuple[str, str, float, int]:
        return self.reading, self.network, self.initial_lr, self.seed

    @property
    def training(self) -> Training:
        training = READINGS[self.reading]
        init = training.init
        if self.network == "plain" and isinstance(init, HeInit) and init.last is not None:
            init = replace(init, last_bias=0.5)  # code: rcn.m
        steps = Steps(lr=self.initial_lr, factor=0.1, after=(0.25, 0.5, 0.75))
        schedule: Any = steps if self.to == EPOCHS else BeginningOf(steps, self.to / EPOCHS)
        return replace(training, init=init, schedule=schedule, epochs=self.to, log_points=self.to)


@dataclass(frozen=True)
class Place:
    """Where and with what the jobs are done."""

    folder: DataFolder
    running: Path
    hardware: Hardware

    def workplace(self, job: Job) -> Path:
        name = "_".join(str(part) for part in (*job.curve, self.hardware.precision, digest(READINGS[job.reading])))
        return self.running / "".join(c if c.isalnum() or c in "._-" else "-" for c in name)


def carried_out(job: Job, place: Place) -> list[Row]:
    """The curve, one row an epoch; of one that diverged, its last row alone, without a number."""
    recipe = replace(models.recipe(NETWORKS[job.network]), training=job.training)
    run = Run(recipe=recipe, seed=job.seed, hardware=place.hardware, folder=place.folder)
    workplace = place.workplace(job)
    workplace.mkdir(parents=True, exist_ok=True)
    about = dict(zip(CURVE, job.curve, strict=True))
    on = place.hardware
    where = {"precision": on.precision, "mode": on.mode, "machine": machine(on.device)}
    _hand_on(workplace / carry.CHECKPOINT, run.name)
    try:
        _, state = train(run, workplace)
    except Diverged:
        return [about | {"epoch": job.to, "psnr_db": float("nan")} | where]
    return [
        about
        | {"epoch": epoch, "step": row["step"], "lr": row["lr"], "loss": row["loss"]}
        | {"psnr_db": row["Set5_x2_psnr_db"], "seconds": row["seconds"]}
        | where
        for epoch, row in enumerate(state.log, start=1)
    ]


def _hand_on(path: Path, run: str) -> None:
    """Give the checkpoint of a curve's beginning to the run of all of it: the steps are the same ones."""
    values = checkpoint.load(path)
    if values is not None:
        checkpoint.write(path, checkpoint.packed(values | {"run": run}))


def authors(place: Path) -> dict[tuple[str, float, int], float]:
    """The authors' curves, by network, initial rate and epoch."""
    rows = pd.read_csv(place / "vdsr-authors-curves.csv").to_dict("records")
    return {(row["network"], row["initial_lr"], row["epoch"]): row["psnr_db"] for row in rows}


def distance_db(table: pd.DataFrame, printed: dict[tuple[str, float, int], float], reading: str) -> float:
    """Root mean square over all printed epochs of the residual network that seed 0 of a reading has; inf without any.

    The plain network's curves jump by several dB from epoch to epoch, theirs as ours: they are looked at, not fitted.
    """
    rows = table[(table["reading"] == reading) & (table["seed"] == 0) & (table["network"] == "residual")]
    rows = rows[rows["epoch"].isin(PRINTED)]
    if rows["psnr_db"].isna().any():  # it diverged
        return float("inf")
    gaps = [row["psnr_db"] - printed["residual", row["initial_lr"], row["epoch"]] for row in rows.to_dict("records")]
    return float(np.sqrt(np.mean(np.square(gaps)))) if gaps else float("inf")


def stages(place: Path, table: Path) -> Iterator[list[Job]]:
    """Jobs of one stage after another; each looks at the rows of those before it."""
    yield [Job(reading, "residual", 0.1, 0, FIRST) for reading in READINGS]
    printed = authors(place)

    def nearest() -> list[str]:
        rows = pd.read_csv(table)
        return sorted(READINGS, key=lambda reading: distance_db(rows, printed, reading))

    near = nearest()
    rows = pd.read_csv(table)
    within = [reading for reading in near if distance_db(rows, printed, reading) <= WITHIN_DB]
    others = (("residual", 0.01), ("residual", 0.001), ("plain", 0.1))
    yield [Job(reading, network, lr, 0, FIRST) for network, lr in others for reading in within or near[:2]]
    two = [reading for reading in nearest() if reading in (within or near[:2])][:2]
    curves = (("residual", 0.1), *others)
    yield [Job(reading, network, lr, 0, EPOCHS) for network, lr in curves for reading in two]
    yield [Job(reading, network, lr, seed, EPOCHS) for seed in (1, 2) for network, lr in curves for reading in two]


@click.command()
@click.argument("place", type=click.Path(path_type=Path, file_okay=False))
@click.option("--minutes", type=float, default=float("inf"), help="End after this time, with what there is.")
@click.option("--workers", type=click.IntRange(min=1), default=1, show_default=True, help="Curves at a time.")
@click.option("--first-stage", type=click.IntRange(1, 4), default=1, show_default=True)
@click.option("--last-stage", type=click.IntRange(1, 4), default=4, show_default=True)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option("--precision", type=click.Choice(get_args(Precision)), default="float32", show_default=True)
@click.option("--mode", type=click.Choice(get_args(Mode)), help="Default: the fastest.")
@click.option("--data", type=click.Path(path_type=Path), envvar="SRREPRO_DATA", default=Path("datasets"))
@click.option("--mirror", type=click.Path(path_type=Path), envvar="SRREPRO_MIRROR")
def main(
    place: Path,
    minutes: float,
    workers: int,
    first_stage: int,
    last_stage: int,
    device: str,
    precision: Precision,
    mode: Mode | None,
    data: Path,
    mirror: Path | None,
) -> None:
    deadline = monotonic() + 60 * minutes
    table = place / "vdsr-forensics.csv"
    fastest: Mode | Auto = "graph" if device == "cuda" else "auto"
    hardware = Hardware(device=device, precision=precision, mode=mode or fastest).settled()
    work = Place(DataFolder(data, mirror), Path("results/.running/forensics"), hardware)
    prepare_evaluation(work.folder, EvaluationShape("Set5", 2))
    for training in READINGS.values():
        prepare_training(work.folder, Run(recipe=replace(models.recipe("vdsr-10-residual"), training=training)).shape)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin_quietly) as pool:
        for number, jobs in enumerate(stages(place, table), start=1):
            if number < first_stage:
                continue
            if number > last_stage or not done(jobs, work, table, pool, deadline):
                break


def done(jobs: list[Job], work: Place, table: Path, pool: ProcessPoolExecutor, deadline: float) -> bool:
    """Carry out what the table lacks, and add it as it comes; whether all of it was there in time."""
    under_way = {pool.submit(carried_out, job, work): job for job in jobs if not _has(table, job)}
    while under_way:
        ended, _ = wait(under_way, timeout=max(0.0, min(deadline - monotonic(), 1e6)), return_when=FIRST_COMPLETED)
        for future in ended:
            job = under_way.pop(future)
            if (error := future.exception()) is not None:  # the others are worth having all the same
                click.echo(f"{job.curve} failed: {error}")
            else:
                _add(table, job, future.result())
        if under_way and monotonic() > deadline:
            for process in list(pool._processes.values()):
                process.terminate()
            return False
    return monotonic() < deadline


def _begin_quietly() -> None:
    torch.set_num_threads(2)
    sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (for as long as the worker lives)


def _has(table: Path, job: Job) -> bool:
    if not table.exists():
        return False
    rows = pd.read_csv(table)
    return bool((rows[_of_the_curve(rows, job)]["epoch"] >= job.to).any())


def _of_the_curve(rows: pd.DataFrame, job: Job) -> "pd.Series[bool]":
    return (rows[CURVE] == job.curve).all(axis=1)


def _add(table: Path, job: Job, curve: list[Row]) -> None:
    new = pd.DataFrame(curve)
    if table.exists():
        rows = pd.read_csv(table)
        new = pd.concat([rows[~_of_the_curve(rows, job)], new])
    table.parent.mkdir(parents=True, exist_ok=True)
    part = table.with_suffix(".part")
    new.to_csv(part, index=False, lineterminator="\n", float_format="%.6g")
    part.replace(table)
    reached = f"{curve[-1]['psnr_db']:.3f} dB"
    click.echo(f"{job.reading}, {job.network}, {job.initial_lr:g}, seed {job.seed}, to epoch {job.to}: {reached}")


if __name__ == "__main__":
    main()
