"""Learning curves: from the logs of finished, running and carried runs; as a drawing in letters for a terminal."""

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd
from safetensors import SafetensorError, safe_open

from srrepro.errors import InputError
from srrepro.evaluation import believed
from srrepro.reporting.evidence import Evidence, distinct, stretches
from srrepro.reporting.reached import LOGGED
from srrepro.training.carry import CHECKPOINT

Axis = Literal["backprops", "seconds", "core-seconds"]
AXES = get_args(Axis)
_ENTRY = "srrepro_checkpoint"
SCALE_IN_NAME = re.compile(r"_x(\d)_s\d")
LETTERS = "abcdefghijklmnopqrstuvwxyz"
WIDTH, HEIGHT = 79, 20


@dataclass(frozen=True)
class Log:
    """What a run wrote down so far. `threads` is None where they differ; `device` is that of the run's end."""

    name: str
    rows: list[dict[str, Any]]
    scale: int | None
    threads: int | None
    device: str = "cpu"
    budget: float | None = None

    @property
    def logged(self) -> dict[tuple[str, int], str]:
        """Test sets and scales that it was measured on, and the columns that hold it."""
        found = {}
        for column in dict.fromkeys(column for row in self.rows for column in row):
            match = LOGGED.fullmatch(str(column))
            if match is not None:
                found[match["dataset"], int(match["scale"] or self.scale or 0)] = str(column)
        return found


@dataclass(frozen=True)
class Curve:
    """One line of a plot: PSNR in dB of a test set, by backprops or seconds."""

    label: str
    x: list[float]
    psnr_db: list[float]
    device: str = "cpu"


def log_of(run: Evidence) -> Log:
    """The log of a finished run."""
    threads = distinct(run.about, "threads")
    return Log(
        run.name,
        run.log,
        run.subject.scale,
        threads[0] if len(threads) == 1 else None,
        run.about.get("device") or "cpu",
        run.subject.budget,
    )


def curve(log: Log, dataset: str, scale: int, axis: Axis, label: str = "") -> Curve | None:
    """The curve of a log on one set and scale; None where it has none there.

    Core-seconds of a GPU are its seconds: its cores are no processor's.
    """
    column = log.logged.get((dataset, scale))
    if column is None:
        return None
    times = 1
    if axis == "core-seconds" and log.device == "cpu":
        if log.threads is None:  # of several machines they say nothing
            return None
        times = log.threads
    by = "backprops" if axis == "backprops" else "seconds"
    points = [(row[by] * times, row[column]) for row in log.rows if row.get(column) is not None]
    points = [(x, y) for x, y in points if math.isfinite(y)]
    return Curve(label or log.name, [x for x, _ in points], [y for _, y in points], log.device)


def read(run: str, results: Path) -> Log:
    """The log of a run: a folder or a file, or the name of a run that is finished, running or carried.

    Raises
    ------
    InputError : there is no such run, or it has logged nothing yet.
    """
    places = [Path(run).expanduser(), results / "runs" / run, results / ".running" / run]
    places.append(results / "unfinished" / f"{run}.safetensors")
    found = next((place for place in places if place.exists()), None)
    if found is None:
        msg = (
            f"The curve of {run!r} was asked for, but there is no such folder or file, and {results} has no run of "
            "that name: not in runs/, .running/ or unfinished/."
        )
        raise InputError(msg)
    for inside in ("log.csv", CHECKPOINT):
        if found.is_dir() and (found / inside).is_file():
            found = found / inside
    if found.is_dir():
        msg = f"The curve of {found} was asked for, but it has no log.csv and no checkpoint: nothing was trained there."
        raise InputError(msg)
    log = _of_checkpoint(found) if found.suffix == ".safetensors" else _of_csv(found)
    if not log.logged:
        msg = f"The curve of {found} was asked for, but no PSNR was logged there yet."
        raise InputError(msg)
    return log


def _of_csv(path: Path) -> Log:
    beside = path.parent / "run.json"
    try:
        believed.check_sizes([path, beside])
        rows: Any = pd.read_csv(path).to_dict("records")
        about = json.loads(beside.read_text(encoding="utf-8")) if beside.is_file() else {}
        if not rows or "backprops" not in rows[0]:
            msg = "it has no rows, or no column backprops"
            raise ValueError(msg)
        believed.check_log(rows)
        subject = about.get("subject") or {}
        believed.check_made_with({**about, "scale": subject.get("scale")})
        for stretch in stretches(about):
            believed.check_made_with(stretch)
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        msg = f"The log {path} was to be read, but is no log of a run: {error}."
        raise InputError(msg) from error
    threads = distinct(about, "threads")
    name = path.parent.name if path.name == "log.csv" else path.stem
    return Log(
        name, rows, subject.get("scale"), threads[0] if len(threads) == 1 else None, about.get("device") or "cpu"
    )


def _of_checkpoint(path: Path) -> Log:
    """Only the words of it are read, not the tensors."""
    try:
        with safe_open(path, framework="np") as file:
            values = json.loads((file.metadata() or {})[_ENTRY])["values"]
        rows, made_with = values["state"]["log"], [one["made_with"] for one in values["state"].get("stretches", [])]
        believed.check_log(rows)
        for one in made_with:
            believed.check_made_with(one)
    except (SafetensorError, OSError, KeyError, ValueError, TypeError, AttributeError, RecursionError) as error:
        msg = f"{path} was to be read, but is no checkpoint of a run."
        raise InputError(msg) from error
    threads = {one.get("threads") for one in made_with}
    name = path.parent.name if path.name == CHECKPOINT else path.stem
    last = made_with[-1] if made_with else {}
    scale = SCALE_IN_NAME.search(name)
    return Log(
        name,
        rows,
        int(scale[1]) if scale else None,
        threads.pop() if len(threads) == 1 else None,
        last.get("device") or "cpu",
    )


def chosen(logs: Sequence[Log], dataset: str, axis: Axis) -> list[Curve]:
    """All curves of the logs on one set, each scale its own.

    Raises
    ------
    InputError : a run has not logged the set, or its core-seconds are not known.
    """
    curves = []
    for log in logs:
        scales = [scale for name, scale in log.logged if name == dataset]
        if not scales:
            known = ", ".join(dict.fromkeys(name for name, _ in log.logged))
            msg = f"The curve of {log.name} on {dataset} was asked for, but it logged: {known}. Name one with --set."
            raise InputError(msg)
        for scale in scales:
            label = f"{log.name} ×{scale}" if len(scales) > 1 else log.name
            found = curve(log, dataset, scale, axis, label)
            if found is None:
                msg = f"Core-seconds of {log.name} were asked for, but its threads are not known. Take seconds."
                raise InputError(msg)
            curves.append(found)
    return curves


def as_text(curves: Sequence[Curve], axis: Axis) -> str:
    """The curves as letters in 79 columns: `a` is the first; where two meet, the first is seen.

    >>> print(as_text([Curve("one", [1, 2, 3], [30.0, 31.0, 32.0])], "backprops").splitlines()[0])
      32.00 |                                                                      a
    """
    ys = [y for one in curves for y in one.psnr_db]
    xs = [x for one in curves for x in one.x]
    low, high, first, last = min(ys), max(ys), min(xs), max(xs)
    width = WIDTH - 9
    grid = [[" "] * width for _ in range(HEIGHT)]
    for letter, one in reversed(list(zip(_letters(len(curves)), curves, strict=True))):
        for x, y in zip(one.x, one.psnr_db, strict=True):
            column = round((x - first) / ((last - first) or 1) * (width - 1))
            row = round((high - y) / ((high - low) or 1) * (HEIGHT - 1))
            grid[row][column] = letter
    lines = []
    for number, cells in enumerate(grid):
        value = high - (high - low) * number / (HEIGHT - 1)
        mark = f"{value:7.2f}" if number % 5 == 0 or number == HEIGHT - 1 else " " * 7
        lines.append(f"{mark} |{''.join(cells)}".rstrip())
    ends = f"{first:,.0f}", f"{axis}, PSNR in dB", f"{last:,.0f}"
    lines.append(" " * 8 + "+" + "-" * width)
    lines.append(" " * 9 + ends[0] + ends[1].center(width - len(ends[0]) - len(ends[2])) + ends[2])
    for letter, one in zip(_letters(len(curves)), curves, strict=True):
        lines.append(f"{letter}  {one.label}: {one.psnr_db[-1]:.3f} dB at last")
    return "\n".join(lines)


def _letters(count: int) -> Iterable[str]:
    return (LETTERS * (count // len(LETTERS) + 1))[:count]
