"""Run folders: what a finished run leaves under `results/runs/`, written once and never edited."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_args

import pandas as pd

from srrepro.errors import InputError
from srrepro.evaluation import believed
from srrepro.evaluation.measure import BICUBIC, Score
from srrepro.evaluation.weights import Origin, Subject
from srrepro.protocols.named import MATLAB_Y, PROTOCOLS
from srrepro.protocols.protocol import Protocol
from srrepro.reporting import checksums
from srrepro.whole import folder_part, reason

WEIGHTS = "weights.safetensors"  # beside the evidence, not committed; `run.json` holds its sha256
SUMS = "SHA256SUMS"
"""Beside the evidence, of all other files that are committed; `sha256sum -c` reads it. Older folders have none."""


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
    """Write a run folder, with the checksums of its files: it is there whole or not at all.

    Raises
    ------
    InputError : the folder exists already, or cannot be written.
    """
    folder = runs / name
    if folder.exists():
        msg = f"{folder} holds evidence already and is never edited. Delete it first if it is wrong."
        raise InputError(msg)
    signature = PROTOCOLS[scores[0].protocol].signature
    about = {"subject": asdict(subject), "signature": signature, **about}
    files = {
        "log.csv": _in_order(pd.DataFrame(log)).to_csv(index=False, lineterminator="\n") if log else "",
        "scores.csv": _long(scores).to_csv(index=False, lineterminator="\n"),
        "run.json": json.dumps(about, indent=2, ensure_ascii=False) + "\n",
    }
    written = {name: text.encode() for name, text in files.items() if text}
    with _new(folder) as part:
        if weights is not None:
            shutil.copyfile(weights, part / WEIGHTS)
        for file, content in (written | {SUMS: checksums.listed(written)}).items():
            (part / file).write_bytes(content)
    return folder


def copy(folder: Path, runs: Path) -> Path:
    """Put a run folder that was written elsewhere among others, whole or not at all. Errors as `write`."""
    with _new(kept := runs / folder.name) as part:
        for file in folder.iterdir():
            shutil.copyfile(file, part / file.name)
    return kept


@contextmanager
def _new(folder: Path) -> Iterator[Path]:
    """Where to put the files of a run folder.

    Raises
    ------
    InputError : it cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with folder_part(folder) as part:
            yield part
    except OSError as error:
        msg = f"The evidence {folder} was to be written, but could not be: {reason(error)}. Is there room?"
        raise InputError(msg) from error


def read(folder: Path) -> Evidence:
    """One run folder.

    Raises
    ------
    InputError : a file is missing or is not what `write` wrote.
    """
    try:
        if (folder / SUMS).exists() and (wrong := _not_as_listed(folder)):
            problem = f"{' and '.join(wrong)} is not what {SUMS} names by its sha256"
            raise ValueError(problem)
        believed.check_sizes(folder / name for name in ("run.json", "scores.csv", "log.csv"))
        about = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        subject = Subject(**about.pop("subject"))
        scores = _scores(pd.read_csv(folder / "scores.csv"))
        protocols = {score.protocol for score in scores}
        if not scores:
            problem = "no scores"
        elif subject.origin not in get_args(Origin):
            problem = f"an unknown origin, {subject.origin!r}"
        elif len(protocols) > 1 or not protocols <= PROTOCOLS.keys():
            problem = (
                f"scores under {', '.join(sorted(map(str, protocols)))}, not under one protocol that is known here"
            )
        elif lacking := _lacking(scores, protocol := PROTOCOLS[scores[0].protocol]):
            problem = f"no {', '.join(lacking)}"
        elif about.get("signature", protocol.signature) != protocol.signature:
            problem = f"{protocol.name} of another signature than the one here, {about['signature']!r}"
        else:
            problem = ""
        if problem:
            raise ValueError(problem)
        trained = (folder / "log.csv").exists()
        log: Any = pd.read_csv(folder / "log.csv").to_dict("records") if trained else []
        believed.check(folder.name, about, subject, scores, log)
        return Evidence(folder.name, subject, about, scores, log)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        msg = f"The evidence {folder} was to be read, but is not whole: {error}. Restore it, or delete the folder."
        raise InputError(msg) from error


def _in_order(log: pd.DataFrame) -> pd.DataFrame:
    """The columns of a log, which has lost their order in a run that was resumed."""
    first, last = ("backprops", "step", "lr", "loss"), ("seconds", "samples_per_s")
    measured = sorted({str(name) for name in log} - {*first, *last})
    return log[[name for name in (*first, *measured, *last) if name in log]]


def _not_as_listed(folder: Path) -> list[str]:
    """Which files are not what the folder's own list says, or not in it."""
    files = {path.name for path in folder.iterdir()} & {"run.json", "scores.csv", "log.csv"}
    return [*checksums.differing(folder, folder / SUMS), *sorted(files - checksums.read(folder / SUMS).keys())]


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


IMAGE = ["dataset", "scale", "image", "protocol"]
"""The columns that name one image under one protocol."""


def _long(scores: Sequence[Score]) -> pd.DataFrame:
    """One row an image and metric."""
    rows = [
        {key: getattr(score, key) for key in IMAGE} | {"metric": metric, "value": value}
        for score in scores
        for metric, value in score.values.items()
    ]
    return pd.DataFrame(rows, columns=[*IMAGE, "metric", "value"])


def _scores(table: pd.DataFrame) -> list[Score]:
    """From a table of one row an image and metric, or, as folders had it first, of one row an image."""
    if "metric" not in table:
        table = table.assign(protocol=table.get("protocol", MATLAB_Y.name))
        table = table.melt(IMAGE, var_name="metric", ignore_index=False).sort_index(kind="stable")
    found: dict[tuple[Any, ...], dict[str, float]] = {}
    for *image, metric, value in table[[*IMAGE, "metric", "value"]].itertuples(index=False):
        values = found.setdefault(tuple(image), {})
        if metric in values:
            msg = f"{metric} of {image} stands there twice"
            raise ValueError(msg)
        values[metric] = float(value)  # of a column with a word in it, pandas makes words
    return [Score(str(d), int(s), str(i), str(p), values) for (d, s, i, p), values in found.items()]


def _lacking(scores: Sequence[Score], protocol: Protocol) -> list[str]:
    """Metrics of the protocol that an image has not."""
    wanted = {*protocol.metrics, *(BICUBIC + metric for metric in protocol.metrics)}
    return [f"{metric} of {score.image}" for score in scores for metric in sorted(wanted - score.values.keys())]


def read_all(runs: Path) -> list[Evidence]:
    """All run folders, in the order of their names; errors as `read`."""
    return [read(folder) for folder in folders(runs)]


def folders(runs: Path) -> list[Path]:
    """In the order of their names, without those that are being written."""
    if not runs.is_dir():
        return []
    return [folder for folder in sorted(runs.iterdir()) if folder.is_dir() and not folder.name.startswith(".")]
