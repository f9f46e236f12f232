"""The regression gate, `srrepro check`: whether what is cheap and certain still gives the numbers of `quality.csv`.

Bicubic, released weights and weights that ship are measured anew on the sets at hand; the demo photographs are always
at hand. One small network is trained, so that a loop that no longer learns cannot pass.
"""

import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

from srrepro.data.registry import DataFolder, fetch
from srrepro.data.stores import Example
from srrepro.errors import Diverged, InputError, Lacking, Stopped
from srrepro.evaluation import weights
from srrepro.evaluation.measure import evaluate
from srrepro.evaluation.upscaler import load
from srrepro.jobs.carry_out import carry_out
from srrepro.jobs.job import DEMO_TEST_SETS, LARGE, Train, Workspace
from srrepro.pixels import images
from srrepro.protocols.degradation import Degradation, degrade
from srrepro.protocols.named import MATLAB_Y, PROTOCOLS
from srrepro.reporting import tables
from srrepro.reporting.evidence import read
from srrepro.reporting.tabulated import MARKDOWN, tabulated

ALWAYS = ("model", "origin", "scale", "dataset", "protocol")
KEYS = (*ALWAYS, "budget", "precision")
EXPECTED = ("images", "psnr_db", "ssim")
PSNR_DB, SSIM = 0.001, 0.0001
"""How far a number may be from the committed one; rounding on another processor moves it far less."""
DEMO, SCALE = "srcnn-915-demo", 3
BAND_DB = (30.43, 30.63)
"""Of the demo run on the demo photographs; seeds, modes and threads in `results/choices/demo-band.csv`."""

Row = dict[str, Any]


@dataclass
class Outcome:
    """`rows` are measured now; each says what was `expected` and whether it is the `same`. `lacking` has reasons."""

    rows: list[Row] = field(default_factory=list)
    lacking: dict[str, str] = field(default_factory=dict)

    @property
    def differing(self) -> list[Row]:
        return [row for row in self.rows if not row["same"]]

    @property
    def measured_anew(self) -> int:
        """The demo run alone compares nothing."""
        return sum(row["model"] != DEMO for row in self.rows)


def check(committed: Path, names: Sequence[str], workspace: Workspace) -> Outcome:
    """Measure the rows of the table `committed` anew, of all but its large set or of the named ones; train the demo.

    Nothing is taken from stores, which an older version may have built: images are degraded here and now.

    Raises
    ------
    InputError : there is no such table, or it is no `quality.csv`; a named set is not in it or cannot be had.
    """
    outcome = Outcome()
    for (dataset, scale), rows in groupby(_cheap_and_certain(committed, names), key=_set_and_scale):
        try:
            paths = fetch(workspace.folder, dataset)
        except Lacking as error:
            if dataset in names:
                raise
            outcome.lacking[dataset] = str(error)
            continue
        degraded: dict[Degradation, list[Example]] = {}
        for row in rows:
            protocol = PROTOCOLS[row["protocol"]]
            how = protocol.degradation
            try:
                upscaler = load(row["model"], scale, folder=workspace.folder, hardware=workspace.hardware.for_numbers())
            except Lacking as error:
                outcome.lacking[row["model"]] = str(error)
                continue
            if how not in degraded:
                degraded[how] = [Example(path.name, degrade(images.read(path), scale, how)) for path in paths]
            scores = evaluate(upscaler, dataset, degraded[how], protocol=protocol)
            outcome.rows.append(_compared(tables.quality_row(upscaler.subject, scores), row))
    outcome.rows.append(_demo(workspace))
    return outcome


def report(outcome: Outcome) -> str:
    """Every difference as a table in Markdown, what was compared, and what could not be."""
    parts = []
    if outcome.differing:
        differences = [
            {
                "model": row["model"],
                "scale": f"×{row['scale']}",
                "set": row["dataset"],
                "protocol": row["protocol"],
                "PSNR, dB": f"{row['psnr_db']:.4f}",
                "expected, dB": row["expected"],
                "SSIM": f"{row['ssim']:.5f}",
                "expected": row["expected_ssim"],
            }
            for row in outcome.differing
        ]
        parts.append(tabulated(differences, form=MARKDOWN))
    sets = dict.fromkeys(row["dataset"] for row in outcome.rows if row["model"] != DEMO)
    parts.append(f"{outcome.measured_anew} rows measured anew ({', '.join(sets) or 'no set'}) and {DEMO} trained: ")
    parts[-1] += f"{len(outcome.differing)} differ." if outcome.differing else "all as expected."
    parts += [f"Not compared: {what}. {why}" for what, why in outcome.lacking.items()]
    return "\n\n".join(parts)


def _cheap_and_certain(committed: Path, names: Sequence[str]) -> list[Row]:
    """Rows whose weights ship or were released, and bicubic; the demo photographs in any case."""
    asked = f"{committed} was to be compared with, but"
    try:
        table = pd.read_csv(committed)
        rows: list[Row] = table[[*KEYS, *EXPECTED]].to_dict("records")  # type: ignore[assignment]
        named = bool(table[list(ALWAYS)].notna().all(axis=None))
        numbers = not rows or all(is_numeric_dtype(table[name]) for name in ("scale", "budget", "psnr_db", "ssim"))
    except (OSError, ValueError, KeyError) as error:
        msg = f"{asked} it is no quality.csv ({error}). Name a results folder."
        raise InputError(msg) from error
    msg = f"{asked} it has gaps, or words for numbers. Make it anew: srrepro report."
    if not named or not numbers:
        raise InputError(msg)
    chosen = [row for row in rows if row["origin"] != "trained" or _is_what_ships(row)]
    if any(pd.isna(row[column]) for row in chosen for column in EXPECTED):
        raise InputError(msg)
    unknown = {row["protocol"] for row in chosen} - PROTOCOLS.keys()
    if unknown:
        msg = f"{asked} it names protocols that are not known here: {', '.join(sorted(map(str, unknown)))}."
        raise InputError(msg)
    known = {row["dataset"] for row in rows}
    for name in names:
        if name not in known:
            msg = f"{name} was to be measured anew, but {committed} has only {', '.join(sorted(known)) or 'no rows'}."
            raise InputError(msg)
    wanted = {*names, "demo-test"} if names else known - {LARGE}
    return [row for row in chosen if row["dataset"] in wanted]


def _is_what_ships(row: Row) -> bool:
    """Whether a row of something trained is that of the run whose weights ship."""
    if not weights.ships(row["model"], row["scale"]):
        return False
    name = weights.shipped(row["model"], row["scale"]).name
    return bool(row["budget"] == 1) and row["precision"] == weights.shipping()[name]


def _set_and_scale(row: Row) -> tuple[str, int]:
    return row["dataset"], row["scale"]


def _compared(now: Row, before: Row) -> Row:
    alike = now["images"] == before["images"]
    near = abs(now["psnr_db"] - before["psnr_db"]) <= PSNR_DB and abs(now["ssim"] - before["ssim"]) <= SSIM
    other = "" if alike else f", {before['images']} images"
    expected = {"expected": f"{before['psnr_db']:.4f}{other}", "expected_ssim": f"{before['ssim']:.5f}"}
    return now | expected | {"same": alike and near}


def _demo(workspace: Workspace) -> Row:
    """The demo run, seed 0, on a processor in float32, from image files on: it must land where it always does."""
    with tempfile.TemporaryDirectory() as scratch:
        hardware = replace(workspace.hardware, device="cpu", precision="float32")
        apart = Workspace(DataFolder(Path(scratch), None), Path(scratch), hardware)
        job = Train(name=DEMO, scale=SCALE, test_sets=DEMO_TEST_SETS)
        try:
            kept, _ = carry_out(job, apart)
            run = read(kept)
            row = tables.quality_row(run.subject, run.scores)
        except Diverged:
            row = dict.fromkeys(tables.COLUMNS) | {"model": DEMO, "scale": SCALE, "dataset": "demo-test"}
            row |= {"psnr_db": math.nan, "ssim": math.nan, "protocol": MATLAB_Y.name}
        except Stopped as stopped:  # its checkpoint goes with the scratch folder: there is nothing to go on with
            raise KeyboardInterrupt from stopped
    low, high = BAND_DB
    expected = {"expected": f"{low} to {high}", "expected_ssim": ""}
    return row | expected | {"same": low <= row["psnr_db"] <= high}
