"""The regression gate, `srrepro check`: whether what is cheap and certain still gives the numbers of `quality.csv`.

Bicubic, released weights and weights that ship are measured anew on the sets at hand; the demo photographs are always
at hand. One small network is trained, so that a loop that no longer learns cannot pass.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd
from tabulate import tabulate

from srrepro import suites
from srrepro.errors import InputError
from srrepro.evaluation.evaluate import TestSet, evaluate
from srrepro.evaluation.upscale import load
from srrepro.evaluation.weights import shipped
from srrepro.reporting import tables
from srrepro.reporting.evidence import read
from srrepro.suites import Train, Workshop

PSNR_DB, SSIM = 0.001, 0.0001
"""How far a number may be from the committed one; rounding on another processor moves it far less."""
DEMO, SCALE = "srcnn-915-demo", 3
BAND_DB = (30.44, 30.60)
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


def check(committed: Path, names: Sequence[str], shop: Workshop) -> Outcome:
    """Measure the rows of the table `committed` anew, of all its sets or of the named ones, and train the demo.

    Raises
    ------
    InputError : there is no such table, or it is no `quality.csv`; a named set is not in it.
    """
    outcome = Outcome()
    for row in _cheap_and_certain(committed, names):
        model, dataset, scale = row["model"], row["dataset"], row["scale"]
        if model in outcome.lacking or dataset in outcome.lacking:
            continue
        try:
            upscaler = load(model, scale, device=shop.device, folder=shop.folder, memory=shop.memory, mode=shop.mode)
        except InputError as error:
            outcome.lacking[model] = str(error)
            continue
        try:
            examples = TestSet(dataset).examples(shop.folder, scale)
        except InputError as error:
            outcome.lacking[dataset] = str(error)
            continue
        outcome.rows.append(_compared(tables.quality_row(upscaler.subject, evaluate(upscaler, dataset, examples)), row))
    outcome.rows.append(_demo(shop))
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
                "PSNR, dB": f"{row['psnr_db']:.4f}",
                "expected, dB": row["expected"],
                "SSIM": f"{row['ssim']:.5f}",
                "expected": row["expected_ssim"],
            }
            for row in outcome.differing
        ]
        parts.append(tabulate(differences, headers="keys", tablefmt="github", disable_numparse=True))
    sets = dict.fromkeys(row["dataset"] for row in outcome.rows if row["model"] != DEMO)
    parts.append(f"{outcome.measured_anew} rows measured anew ({', '.join(sets) or 'no set'}) and {DEMO} trained: ")
    parts[-1] += f"{len(outcome.differing)} differ." if outcome.differing else "all as expected."
    parts += [f"Not compared: {what}. {why}" for what, why in outcome.lacking.items()]
    return "\n\n".join(parts)


def _cheap_and_certain(committed: Path, names: Sequence[str]) -> list[Row]:
    """Rows whose weights are at hand or can be fetched; a set after the other, the demo photographs in any case."""
    try:
        rows: list[Row] = pd.read_csv(committed).to_dict("records")  # type: ignore[assignment]
        rows = [row for row in rows if row["origin"] != "trained" or _ships(row)]
        known = {row["dataset"] for row in rows}
    except (OSError, ValueError, KeyError) as error:
        msg = f"{committed} was to be compared with, but it is no quality.csv ({error!r}). Name a results folder."
        raise InputError(msg) from error
    for name in names:
        if name not in known:
            msg = f"{name} was to be measured anew, but {committed} has only {', '.join(sorted(known)) or 'no rows'}."
            raise InputError(msg)
    return [row for row in rows if not names or row["dataset"] in {*names, "demo-test"}]


def _ships(row: Row) -> bool:
    return bool(row["budget"] == 1) and shipped(row["model"], row["scale"]).exists()


def _compared(now: Row, before: Row) -> Row:
    alike = all(now[key] == before[key] for key in ("images", "protocol"))
    near = abs(now["psnr_db"] - before["psnr_db"]) <= PSNR_DB and abs(now["ssim"] - before["ssim"]) <= SSIM
    other = "" if alike else f", {before['images']} images, {before['protocol']}"
    expected = {"expected": f"{before['psnr_db']:.4f}{other}", "expected_ssim": f"{before['ssim']:.5f}"}
    return now | expected | {"same": alike and near}


def _demo(shop: Workshop) -> Row:
    """The demo run, seed 0, in float32: learned from nothing, it must land where it always does."""
    with tempfile.TemporaryDirectory() as scratch:
        apart = replace(shop, results=Path(scratch), precision="float32")
        kept, _ = suites.carry_out(Train(name=DEMO, scale=SCALE, test_sets=suites.DEMO_TEST_SETS), apart)
        run = read(kept)
    row = tables.quality_row(run.subject, run.scores)
    low, high = BAND_DB
    expected = {"expected": f"{low} to {high}", "expected_ssim": ""}
    return row | expected | {"same": low <= row["psnr_db"] <= high}
