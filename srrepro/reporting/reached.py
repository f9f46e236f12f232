"""From the logs of the run folders to `training.csv`: when a run first reached each published value, and on what."""

import re
from collections.abc import Iterable
from statistics import median
from typing import Any

import pandas as pd

from srrepro.protocols.named import protocol_named
from srrepro.reporting.evidence import Evidence, distinct
from srrepro.reporting.published import setting_of, target

LOGGED = re.compile(r"(?P<dataset>.+?)(_x(?P<scale>\d))?_psnr_db")
COLUMNS = [
    *("model", "training_set", "scale", "dataset", "seed", "budget", "protocol", "published_psnr_db", "reached"),
    *("backprops", "seconds", "core_seconds", "seeds", "seconds_median", "seconds_min", "seconds_max", "log_every"),
    *("device", "precision", "mode", "threads", "machine", "run"),
]


def reached(runs: Iterable[Evidence]) -> pd.DataFrame:
    """One row per run, test set and scale with a published value; a run that misses it has a row, too.

    Median and range over the seeds stand in every row of a recipe, where all of them reached the value.
    """
    rows = [row for run in runs for row in _rows(run)]
    frame = pd.DataFrame(rows, columns=COLUMNS)
    same = ["model", "training_set", "scale", "dataset", "budget", "protocol", "precision", "mode", "machine"]
    for _, group in frame.groupby(same, dropna=False):
        seconds = list(group["seconds"].dropna())
        frame.loc[group.index, "seeds"] = len(group)
        if len(seconds) == len(group):
            statistics = [median(seconds), min(seconds), max(seconds)]
            frame.loc[group.index, ["seconds_median", "seconds_min", "seconds_max"]] = statistics
    whole = dict.fromkeys(("scale", "seed", "backprops", "seeds", "log_every", "threads"), "Int64")
    return frame.astype(whole).sort_values(["model", "scale", "dataset", "seed", "run"], ignore_index=True)


def _rows(run: Evidence) -> list[dict[str, Any]]:
    subject, log = run.subject, run.log
    training = (run.about.get("recipe") or {}).get("training") or {}
    protocol = protocol_named(training.get("protocol")).name
    rows = []
    for column in log[0] if log else ():
        logged = LOGGED.fullmatch(str(column))
        if logged is None:
            continue
        scale = int(logged["scale"] or subject.scale or 0)
        printed = target(
            subject.model,
            subject.training_set,
            logged["dataset"],
            scale,
            setting=setting_of(subject),
            protocol=protocol,
        )
        if printed is None:
            continue
        first = next((row for row in log if row[column] >= printed.psnr_db), None)
        otherwise = {"device": None, "mode": "eager", "machine": None}
        made_on = {key: " + ".join(filter(None, distinct(run.about, key, usual))) for key, usual in otherwise.items()}
        threads = distinct(run.about, "threads")
        one = threads[0] if len(threads) == 1 else None  # core seconds of several machines say nothing
        rows.append(
            {
                "model": subject.name,
                "training_set": subject.training_set,
                "scale": scale,
                "dataset": logged["dataset"],
                "seed": subject.seed,
                "budget": subject.budget,
                "protocol": protocol,
                "published_psnr_db": printed.psnr_db,
                "reached": first is not None,
                "backprops": first["backprops"] if first else None,
                "seconds": first["seconds"] if first else None,
                "core_seconds": first["seconds"] * one if first and one else None,
                "log_every": log[0]["backprops"],
                "precision": run.about.get("precision"),
                "threads": one,
                "run": run.name,
                **made_on,
            }
        )
    return rows
