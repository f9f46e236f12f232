"""From run folders to the rows of `claims.csv`: every claim's rule, applied to its evidence.

Evidence of variants lies in `results/claims/runs`, that of recipes and released weights in `results/runs`. A row
without all of its runs says so. (Over 300 lines: finding the evidence of a row is half of it.)
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from numpy import ndarray

from srrepro.claims.claim import (
    LEAVES_BICUBIC_DB,
    VANISHED,
    Answer,
    Arm,
    Candidate,
    Claim,
    Comparison,
    Row,
    Trained,
    Vanishing,
    Verdict,
)
from srrepro.claims.rule import Estimate, over_images, over_seeds, verdict, verdict_of_diverged
from srrepro.claims.suite import CLAIMS
from srrepro.protocols.named import protocol_named
from srrepro.reporting.evidence import Evidence, distinct, read_all

FOLDER = "claims"
SECONDS, GRADIENTS = "batch-seconds.csv", "gradients.csv"
"""Beside the run folders of claims: how long a step of each batch takes, and norms at the first batch."""
COLUMNS = [
    *("claim", "row", "statement", "condition", "budget", "seeds", "datasets", "images", "metric", "claimed", "other"),
    *("estimate_db", "low_db", "high_db", "by_seed_db", "threshold_db", "verdict", "note", "runs"),
]


class NotThereError(Exception):
    """Evidence that a row needs and that is lacking; the message says which."""


@dataclass(frozen=True)
class Found:
    """All evidence that claims may need, read once."""

    runs: Sequence[Evidence]
    variants: Sequence[Evidence]
    seconds: pd.DataFrame | None = None
    gradients: pd.DataFrame | None = None

    @property
    def budgets(self) -> list[float]:
        """Of the variants that were trained, the largest first; 1 where there are none."""
        trained = {run.subject.budget for run in self.variants if run.subject.origin == "trained" and run.log}
        return sorted({float(budget or 1) for budget in trained}, reverse=True) or [1.0]

    def of(self, candidate: Candidate, seed: int, budget: float) -> list[tuple[str, Evidence]]:
        """The folders of one candidate, by their path below the results.

        Raises
        ------
        NotThereError : there is none.
        """
        place = f"{FOLDER}/runs" if candidate.is_variant else "runs"
        among = self.variants if candidate.is_variant else self.runs
        wanted: tuple[Any, ...] = (candidate.name, candidate.scale)
        found = [run for run in among if (run.subject.name, run.subject.scale) == wanted]
        if isinstance(candidate, Trained):
            length = budget if candidate.is_variant else 1.0
            found = [run for run in found if (run.subject.seed, run.subject.budget) == (seed, length)]
        if not found:
            msg = f"not run yet: {candidate.name}" + (f" seed {seed}" if isinstance(candidate, Trained) else "")
            raise NotThereError(msg)
        return [(f"{place}/{run.name}", run) for run in found]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """A row with its verdict; `estimate` is None where there is no number, `note` says what must be known beside it."""

    claim: Claim
    row: Row
    verdict: Verdict
    budget: float
    threshold_db: float | None = None
    estimate: Estimate | None = None
    images: int = 0
    note: str = ""
    runs: tuple[str, ...] = ()
    names: tuple[str, str] = ("", "")


@dataclass(frozen=True)
class Side:
    """What one arm has: by seed the values of every image (dB) and bicubic's, or that it diverged."""

    name: str
    values: Float[ndarray, "seeds images"]
    bicubic: Float[ndarray, " images"]
    diverged: tuple[bool, ...]
    notes: list[str]
    runs: list[tuple[str, Evidence]] = field(repr=False)


def read(results: Path) -> Found:
    """Everything there is. Errors as `read_all`."""
    place = results / FOLDER
    tables = [pd.read_csv(place / name) if (place / name).is_file() else None for name in (SECONDS, GRADIENTS)]
    return Found(read_all(results / "runs"), read_all(place / "runs"), *tables)


def judged(found: Found) -> list[Judged]:
    """Every row of every claim, in their order."""
    by_claim = ([judged_row(claim, row, found) for row in claim.rows] for claim in CLAIMS)
    return [one for rows in by_claim for one in _of_one_mode(rows, found)]


def answer(rows: Sequence[Judged]) -> Answer:
    """Of a claim: what all of its main rows say, if they say the same."""
    said = {one.verdict for one in rows if one.row.main}
    if len(said) == 1:
        return said.pop()
    return "undecided" if "undecided" in said else "in part"


def frame(rows: Sequence[Judged]) -> pd.DataFrame:
    """`claims.csv`."""
    return pd.DataFrame([_as_row(one) for one in rows], columns=COLUMNS).astype({"images": "Int64"})


def judged_row(claim: Claim, row: Row, found: Found) -> Judged:
    """One row, of the largest budget for which all of its runs are there."""
    lacking = ""
    for budget in found.budgets:
        try:
            return _vanishing(claim, row, found) if isinstance(row, Vanishing) else _compared(claim, row, found, budget)
        except NotThereError as error:
            lacking = lacking or str(error)
    return Judged(claim=claim, row=row, verdict="undecided", budget=found.budgets[0], note=lacking)


def finalist(side: Arm, found: Found, budget: float) -> tuple[Candidate, str]:
    """The candidate that stands for an arm: the best of seed 0 on val20 where there are several; and what to note.

    Raises
    ------
    NotThereError : one of them has not been run.
    """
    if len(side.candidates) == 1:
        return side.candidates[0], ""
    reached = [_on_val20(found.of(each, 0, budget)[0][1]) for each in side.candidates]
    place = int(np.argmax(reached))
    diverged = [each.name for each, value in zip(side.candidates, reached, strict=True) if math.isinf(value)]
    rates = [each for each, value in zip(side.candidates, reached, strict=True) if not math.isinf(value)]
    edge = side.candidates[place] in {side.candidates[0], side.candidates[-1]} and len(rates) == len(reached)
    notes = [
        f"{side.candidates[place].name} is at the end of its grid" if edge else "",
        f"diverged in the grid: {', '.join(diverged)}" if diverged else "",
    ]
    return side.candidates[place], "; ".join(filter(None, notes))


def _on_val20(run: Evidence) -> float:
    """What a run reached in the end on the set that choices are made on; minus infinity of one that diverged."""
    chosen_on = f"{run.about['recipe']['training']['validation']}_psnr_db"
    return -math.inf if "diverged" in run.about else float(run.log[-1][chosen_on])


def _compared(claim: Claim, row: Comparison, found: Found, budget: float) -> Judged:
    sides = [_side(arm, row, found, budget) for arm in row.arms]
    first, second = sides[0], sides[1] if row.other is not None else None
    runs = tuple(dict.fromkeys(name for side in sides for name, _ in side.runs))
    notes = [note for side in sides for note in side.notes]
    threshold = row.bound_db
    one = Judged(
        claim=claim,
        row=row,
        verdict="undecided",
        budget=budget,
        threshold_db=threshold,
        images=len(first.bicubic),
        runs=runs,
        names=(first.name, second.name if second else "bicubic"),
    )
    other = second.values if second else first.bicubic[None]
    if any(first.diverged) or (second and any(second.diverged)):
        said = verdict_of_diverged(first.diverged, second.diverged if second else (False,))
        return replace(one, verdict=said, note="; ".join(notes))
    if row.at_equal_seconds:
        assert second is not None, "curves are compared with curves"
        seconds = _seconds(found, [first, second])
        estimate = over_seeds(_at(first, seconds) - _at(second, seconds))
    else:
        estimate = over_images(first.values - other)
    if row.share is not None:
        threshold = -row.share * float((other.mean(axis=0) - first.bicubic).mean())
    said = verdict(estimate, threshold)
    gains = [float((side.values.mean(axis=0) - side.bicubic).mean()) for side in sides]
    if second is not None and max(gains) <= LEAVES_BICUBIC_DB:
        said = "undecided"
        notes.append(f"no side is more than {LEAVES_BICUBIC_DB} dB above bicubic")
    return replace(one, verdict=said, note="; ".join(notes), threshold_db=threshold, estimate=estimate)


def _side(arm: Arm, row: Comparison, found: Found, budget: float) -> Side:
    candidate, note = finalist(arm, found, budget)
    seeds = row.seeds if isinstance(candidate, Trained) else (0,)
    each = [found.of(candidate, seed, budget) for seed in seeds]
    diverged = tuple(any("diverged" in run.about for _, run in folders) for folders in each)
    ours, bicubic = zip(*(_images(folders, candidate, row) for folders in each), strict=True)
    notes = [note] if note else []
    notes += [
        f"{candidate.name} seed {seed} diverged at step {run.about['diverged']['step']}"
        for seed, folders in zip(seeds, each, strict=True)
        for _, run in folders
        if "diverged" in run.about
    ]
    runs = [one for folders in each for one in folders]
    if len(arm.candidates) > 1:  # those that were not chosen are evidence of the choice
        runs += [one for other in arm.candidates if other != candidate for one in found.of(other, 0, budget)]
    return Side(candidate.name, np.stack(ours), bicubic[0], diverged, notes, runs)


def _images(
    folders: Sequence[tuple[str, Evidence]], candidate: Candidate, row: Comparison
) -> tuple[Float[ndarray, " images"], Float[ndarray, " images"]]:
    """The row's metric of every image of its sets, and bicubic's, in one order."""
    training = candidate.recipe.training if isinstance(candidate, Trained) else None
    protocol = protocol_named(training.protocol if training else None).name
    scores = {
        (score.dataset, score.image): score.values
        for _, run in folders
        for score in run.scores
        if score.protocol == protocol and score.dataset in row.datasets and score.scale == candidate.scale
    }
    lacking = [dataset for dataset in row.datasets if dataset not in {dataset for dataset, _ in scores}]
    if lacking:
        msg = f"not run yet: {candidate.name} on {', '.join(lacking)}"
        raise NotThereError(msg)
    rows = [scores[image] for image in sorted(scores)]
    return np.array([each[row.metric] for each in rows]), np.array([each[f"bicubic_{row.metric}"] for each in rows])


def _seconds(found: Found, sides: Sequence[Side]) -> dict[str, float]:
    """By a side's name, the share of its samples that it has had when the fastest batch size has had all of them."""
    if found.seconds is None:
        msg = f"not run yet: {FOLDER}/{SECONDS}"
        raise NotThereError(msg)
    rate = dict(zip(found.seconds["batch"], found.seconds["samples_per_core_second"], strict=True))
    shares = {}
    for side in sides:
        batch = side.runs[0][1].about["recipe"]["training"]["batch"]
        if batch not in rate:
            msg = f"not run yet: batches of {batch} in {FOLDER}/{SECONDS}"
            raise NotThereError(msg)
        shares[side.name] = rate[batch] / max(rate.values())
    return shares


def _at(side: Side, shares: dict[str, float]) -> Float[ndarray, " seeds"]:
    """Set5 on the curve of each seed, in dB, between two log points on a straight line."""
    curves = [run.log for _, run in side.runs if run.subject.name == side.name]
    curves = curves[: len(side.values)]
    read = [
        np.interp(
            shares[side.name] * curve[-1]["backprops"],
            [point["backprops"] for point in curve],
            [point["Set5_psnr_db"] for point in curve],
        )
        for curve in curves
    ]
    return np.array(read, np.float64)


def _vanishing(claim: Claim, row: Vanishing, found: Found) -> Judged:
    if found.gradients is None or row.of.name not in set(found.gradients["variant"]):
        msg = f"not run yet: {row.of.name} in {FOLDER}/{GRADIENTS}"
        raise NotThereError(msg)
    first = found.gradients[found.gradients["variant"] == row.of.name].iloc[0]
    moved = first["lr"] * first["gradient_norm"] / first["weight_norm"]
    said: Verdict = "holds" if moved < VANISHED else "does not hold"
    note = f"first layer: rate × gradient is {moved:.1e} of the weights; the bound is {VANISHED:.1e}"
    return Judged(
        claim=claim,
        row=row,
        verdict=said,
        budget=1.0,
        note=note,
        runs=(f"{FOLDER}/{GRADIENTS}",),
        names=(row.of.name, ""),
    )


def _of_one_mode(rows: Sequence[Judged], found: Found) -> list[Judged]:
    """The rows of a claim; undecided where their runs differ in device, precision or mode."""
    known = {f"{FOLDER}/runs/{run.name}": run for run in found.variants}
    ways = {way(known[name]) for one in rows for name in one.runs if name in known and known[name].log}
    if len(ways) <= 1:
        return list(rows)
    note = f"runs of one claim must be made in one way, but these are {', '.join(sorted(ways))}"
    return [replace(one, verdict="undecided", note="; ".join(filter(None, [one.note, note]))) for one in rows]


def way(run: Evidence) -> str:
    """Device, precision and mode that a run was trained in; several where it was resumed in another."""
    parts = distinct(run.about, "device"), distinct(run.about, "precision"), distinct(run.about, "mode", "eager")
    return " ".join(str(part) for each in parts for part in each)


def _as_row(one: Judged) -> dict[str, Any]:
    row, estimate = one.row, one.estimate
    compared = isinstance(row, Comparison)
    return {
        "claim": one.claim.name,
        "row": row.name,
        "statement": row.statement.en,
        "condition": row.condition.en,
        "budget": one.budget,
        "seeds": len(estimate.by_seed) if estimate else None,
        "datasets": " ".join(row.datasets) if isinstance(row, Comparison) else "",
        "images": one.images or None,
        "metric": row.metric if isinstance(row, Comparison) else "",
        "claimed": one.names[0] or (row.claimed.name.en if isinstance(row, Comparison) else ""),
        "other": one.names[1] if compared else "",
        "estimate_db": estimate.value if estimate else None,
        "low_db": estimate.low if estimate else None,
        "high_db": estimate.high if estimate else None,
        "by_seed_db": f"[{', '.join(f'{value:.4f}' for value in estimate.by_seed)}]" if estimate else "",
        "threshold_db": one.threshold_db,
        "verdict": one.verdict,
        "note": one.note,
        "runs": " ".join(one.runs),
    }
