"""From the logs of the run folders to `training.csv`: when a run first reached each published value, and on what."""

import re
from collections.abc import Iterable
from statistics import median
from typing import Any

import pandas as pd

from srrepro.evaluation.protocol import NAME
from srrepro.reporting.evidence import Evidence
from srrepro.reporting.published import target

LOGGED = re.compile(r"(?P<dataset>.+?)(_x(?P<scale>\d))?_psnr_db")
COLUMNS = [
    *("model", "training_set", "scale", "dataset", "protocol", "seed", "budget", "published_psnr_db", "reached"),
    *("backprops", "seconds", "core_seconds", "seeds", "seconds_median", "seconds_min", "seconds_max", "log_every"),
    *("device", "precision", "mode", "threads", "machine", "run"),
]


def reached(runs: Iterable[Evidence]) -> pd.DataFrame:
    """One row per run, test set and scale with a published value; a run that misses it has a row, too.

    Median and range over the seeds stand in every row of a recipe, where all of them reached the value.
    """
    rows = [row for run in runs for row in _rows(run)]
    frame = pd.DataFrame(rows, columns=COLUMNS)
    same = ["model", "training_set", "scale", "dataset", "protocol", "budget", "precision", "mode", "machine"]
    for _, group in frame.groupby(same, dropna=False):
        seconds = list(group["seconds"].dropna())
        frame.loc[group.index, "seeds"] = len(group)
        if len(seconds) == len(group):
            statistics = [median(seconds), min(seconds), max(seconds)]
            frame.loc[group.index, ["seconds_median", "seconds_min", "seconds_max"]] = statistics
    whole = dict.fromkeys(("scale", "seed", "backprops", "seeds", "log_every", "threads"), "Int64")
    return frame.astype(whole).sort_values(["model", "scale", "dataset", "protocol", "seed", "run"], ignore_index=True)


def _rows(run: Evidence) -> list[dict[str, Any]]:
    subject, log, protocol = run.subject, run.log, _protocol(run)
    rows = []
    for column in log[0] if log else ():
        logged = LOGGED.fullmatch(str(column))
        if logged is None:
            continue
        scale = int(logged["scale"] or subject.scale or 0)
        printed = target(
            subject.model, subject.training_set, logged["dataset"], scale, setting=subject.setting, protocol=protocol
        )
        if printed is None:
            continue
        first = next((row for row in log if row[column] >= printed.psnr_db), None)
        about = {key: run.about.get(key) for key in ("device", "precision", "threads", "machine")}
        rows.append(
            {
                "model": subject.name,
                "training_set": subject.training_set,
                "scale": scale,
                "dataset": logged["dataset"],
                "protocol": protocol,
                "seed": subject.seed,
                "budget": subject.budget,
                "published_psnr_db": printed.psnr_db,
                "reached": first is not None,
                "backprops": first["backprops"] if first else None,
                "seconds": first["seconds"] if first else None,
                "core_seconds": first["seconds"] * about["threads"] if first else None,
                "log_every": log[0]["backprops"],
                "mode": run.about.get("mode", "eager"),
                "run": run.name,
                **about,
            }
        )
    return rows


def _protocol(run: Evidence) -> str:
    """That of the recipe, under which its log was written."""
    training = (run.about.get("recipe") or {}).get("training") or {}
    return str(training.get("protocol") or NAME)
