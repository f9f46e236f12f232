"""Run folders: what a finished run leaves under `results/runs/`, written once and never edited."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from srrepro.errors import InputError
from srrepro.evaluation.measure import Score
from srrepro.evaluation.weights import Origin, Subject
from srrepro.protocols.protocol import PROTOCOLS

WEIGHTS = "weights.safetensors"  # beside the evidence, not committed; `run.json` holds its sha256


@dataclass(frozen=True)
class Evidence:
    """One run folder, read back; `log` is empty where nothing was trained."""

    name: str
    subject: Subject
    about: dict[str, Any]
    scores: list[Score]
    log: list[dict[str, Any]] = field(default_factory=list)


def write(
    runs: Path,
    name: str,
    subject: Subject,
    scores: Sequence[Score],
    *,
    about: dict[str, Any],
    log: Sequence[dict[str, Any]] = (),
    weights: Path | None = None,
) -> Path:
    """Write a run folder under a temporary name, then give it its own: it is there whole or not at all.

    Raises
    ------
    InputError : the folder exists already, or cannot be written.
    """
    folder, part = runs / name, runs / f".{name}.part"
    if folder.exists():
        msg = f"{folder} holds evidence already and is never edited. Delete it first if it is wrong."
        raise InputError(msg)
    try:
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        if weights is not None:
            shutil.copyfile(weights, part / WEIGHTS)
        if log:
            pd.DataFrame(log).to_csv(part / "log.csv", index=False, lineterminator="\n")
        pd.DataFrame([asdict(score) for score in scores]).to_csv(part / "scores.csv", index=False, lineterminator="\n")
        text = json.dumps({"subject": asdict(subject), **about}, indent=2, ensure_ascii=False)
        (part / "run.json").write_text(text + "\n", encoding="utf-8")
        os.replace(part, folder)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        msg = f"The evidence {folder} was to be written, but could not be: {error}."
        raise InputError(msg) from error
    return folder


def read(folder: Path) -> Evidence:
    """One run folder.

    Raises
    ------
    InputError : a file is missing or is not what `write` wrote.
    """
    try:
        about = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        rows = pd.read_csv(folder / "scores.csv").to_dict("records")
        subject = Subject(**about.pop("subject"))
        scores = [_score({str(key): value for key, value in row.items()}) for row in rows]
        protocols = {score.protocol for score in scores}
        if not scores:
            problem = "no scores"
        elif subject.origin not in get_args(Origin):
            problem = f"an unknown origin, {subject.origin!r}"
        elif len(protocols) > 1 or not protocols <= PROTOCOLS.keys():
            problem = (
                f"scores under {', '.join(sorted(map(str, protocols)))}, not under one protocol that is known here"
            )
        else:
            problem = ""
        if problem:
            raise ValueError(problem)
        trained = (folder / "log.csv").exists()
        log: Any = pd.read_csv(folder / "log.csv").to_dict("records") if trained else []
        return Evidence(folder.name, subject, about, scores, log)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"The evidence {folder} was to be read, but is not whole: {error}."
        raise InputError(msg) from error


def stretches(about: dict[str, Any]) -> list[dict[str, Any]]:
    """What each process trained of a run, with its machine, device, mode and threads.

    Older folders have only `begun_with`, or nothing where one process trained all of it.
    """
    listed: list[dict[str, Any]] = about.get("stretches") or [*about.get("begun_with", []), about]
    return listed


def distinct(about: dict[str, Any], key: str, otherwise: str | None = None) -> list[Any]:
    """The different values that the stretches of a run have of something, in the order of training."""
    ended = about.get(key, otherwise)  # `begun_with` names no device or mode: these could not change
    return list(dict.fromkeys(stretch.get(key, ended) for stretch in stretches(about)))


def _score(row: dict[str, Any]) -> Score:
    for column in ("psnr_db", "ssim", "bicubic_psnr_db", "bicubic_ssim"):
        row[column] = float(row[column])  # of a column with a word in it, pandas makes words
    return Score(**row | {"scale": int(row["scale"])})


def read_all(runs: Path) -> list[Evidence]:
    """All run folders, in the order of their names; errors as `read`."""
    return [read(folder) for folder in folders(runs)]


def folders(runs: Path) -> list[Path]:
    """In the order of their names, without those that are being written."""
    if not runs.is_dir():
        return []
    return [folder for folder in sorted(runs.iterdir()) if folder.is_dir() and not folder.name.startswith(".")]
