"""What a run folder may say: kinds of values, and names that can stand in a table, a path and a page.

Whoever sends a results folder wrote its `run.json`, `scores.csv` and `log.csv`. What is let through here is believed
afterwards.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

from srrepro.errors import InputError
from srrepro.evaluation.measure import Score
from srrepro.evaluation.weights import Subject
from srrepro.plain import in_a_line, is_name, is_words
from srrepro.protocols.named import PROTOCOLS

LARGEST = 16 << 20
"""Bytes of a file of a run folder; those that are committed have 100 KiB at most."""
_NAMES = ("name", "model", "training_set", "precision", "mode", "device", "commit", "protocol")
_WORDS = ("note", "setting", "machine", "finished", "cuda", "driver", "signature", "shipped")
_COUNTS = ("backprops", "threads", "seed", "scale")
_NUMBERS = ("seconds", "samples_per_s", "budget")


def check_sizes(paths: Iterable[Path]) -> None:
    """Find out whether files are small enough to be read.

    Raises
    ------
    ValueError : one is not.
    """
    for path in paths:
        if path.is_file() and path.stat().st_size > LARGEST:
            msg = f"{path.name} has more than {LARGEST >> 20} MiB"
            raise ValueError(msg)


def check(
    name: str, about: dict[str, Any], subject: Subject, scores: Sequence[Score], log: Sequence[dict[str, Any]]
) -> None:
    """Find out whether a run folder can be believed.

    Raises
    ------
    ValueError : something is of another kind, or a name has signs that no name of srrepro's has.
    """
    _check(is_name(name), name, "as the name of a run")
    _check_values(asdict(subject), "subject", needs=("name", "model", "training_set", "note"))
    _check(type(subject.of_the_paper) is bool, subject.of_the_paper, "as of_the_paper")
    _check(subject.scale is None or _is_scale(subject.scale), subject.scale, "as scale")
    check_made_with(about)
    training = (_mapping(about, "recipe")).get("training") or {}
    protocol = training.get("protocol") if isinstance(training, dict) else training
    _check(protocol is None or (isinstance(protocol, str) and protocol in PROTOCOLS), protocol, "as a protocol")
    for key in ("stretches", "begun_with"):
        listed = about.get(key) or []
        _check(isinstance(listed, list) and all(isinstance(each, dict) for each in listed), listed, f"as {key}")
        for stretch in listed:
            check_made_with(stretch)
    for image in {(score.dataset, score.scale, score.image) for score in scores}:
        _check(is_name(image[0]) and is_name(image[2]) and _is_scale(image[1]), image, "as an image")
    numbers = (value for score in scores for value in score.values.values())
    _check("diverged" in about or not any(map(math.isnan, numbers)), "NaN", "as a score")
    check_log(log)


def table(path: Path, words: Sequence[str] = (), numbers: Sequence[str] = ()) -> pd.DataFrame:
    """A CSV file of a results folder, with columns of words and of numbers that are read of it.

    Raises
    ------
    InputError : it is none, is too large, or lacks a column.
    """
    try:
        check_sizes([path])
        found = pd.read_csv(path)
        for name in (*words, *numbers):
            _check(name in found, "a table without it", f"where {name} is read")
        for name in numbers:
            _check(is_numeric_dtype(found[name]), found[name].iloc[0], f"as {name}")
        for name in words:
            _check(all(map(is_words, found[name])), list(found[name]), f"as {name}")
    except (OSError, ValueError) as error:
        msg = f"The table {path} was to be read, but cannot be: {error}. Mend it, or delete it."
        raise InputError(msg) from error
    return found


def check_made_with(about: dict[str, Any]) -> None:
    """What a run, or a stretch of one, was made with. Errors as `check`."""
    _check_values(about, "run.json")
    versions = _mapping(about, "versions")
    _check(all(is_name(key) and is_words(value) for key, value in versions.items()), versions, "as versions")


def check_log(log: Sequence[dict[str, Any]]) -> None:
    """Rows of a learning curve: numbers by name, and how far the run was. Errors as `check`."""
    for row in log:
        for key, value in row.items():
            _check(is_name(key), key, "as a column of the log")
            _check(value is None or _is_number(value), value, f"as {key} in the log")
        backprops: Any = row.get("backprops")
        _check(_is_amount(backprops) and backprops % 1 == 0, backprops, "as backprops")
        logged = any(key.endswith("psnr_db") for key in row)
        _check(not logged or _is_amount(row.get("seconds")), row.get("seconds"), "as seconds")


def _check_values(values: dict[str, Any], where: str, needs: Sequence[str] = ()) -> None:
    for kind, keys in ((_is_name_or_empty, _NAMES), (is_words, _WORDS), (_is_count, _COUNTS), (_is_amount, _NUMBERS)):
        for key in keys:
            value = values.get(key)
            _check(kind(value) or (value is None and key not in needs), value, f"as {key} in {where}")


def _mapping(about: dict[str, Any], key: str) -> dict[str, Any]:
    found = about.get(key)
    _check(found is None or isinstance(found, dict), found, f"as {key}")
    return found or {}


def _is_name_or_empty(value: object) -> bool:
    return value == "" or is_name(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**53


def _is_amount(value: Any) -> bool:
    return _is_number(value) and 0 <= value < 2**53


def _is_scale(value: object) -> bool:
    return type(value) is int and 1 <= value <= 16


def _check(fine: bool, value: object, what: str) -> None:
    if not fine:
        msg = f"{in_a_line(repr(value))[:80]} cannot stand {what}"
        raise ValueError(msg)
