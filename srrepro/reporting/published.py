"""What the papers say, each value with how well it is confirmed.

Sources: `published.csv` and `published_seconds.csv` beside this file.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from srrepro import models
from srrepro.evaluation.weights import Subject
from srrepro.protocols.named import MATLAB_Y, PROTOCOLS
from srrepro.reporting.verdict import BOUND_SSIM


@dataclass(frozen=True)
class Published:
    """One printed value. `conf`: V re-measured with the authors' weights, 1/2/3+ independent sources, M recalled.

    `setting` is what the paper says of the training beyond the set. `protocols` are the measurements under which the
    digits come out; of a value that cannot be tried, that of its paper, and on Set5, where they hardly differ, both.
    """

    model: str
    training_set: str
    setting: str
    dataset: str
    scale: int
    protocols: tuple[str, ...]
    psnr_db: float
    ssim: float | None
    ssim_within: float
    conf: str
    source: str
    note: str

    @property
    def is_target(self) -> bool:
        """A value that is only recalled is shown, but never a target."""
        return any(mark in {"V", "1", "2", "3+"} for mark in self.conf.split())


Key = tuple[str, str, str, str, int, str]


@cache
def published() -> dict[Key, Published]:
    """All values, by model, training set, setting, test set, scale and protocol.

    Raises
    ------
    ValueError : a key is given twice, or a protocol is not known.
    """
    with (files("srrepro.reporting") / "published.csv").open(encoding="utf-8") as text:
        return keyed(csv.DictReader(text))


def keyed(rows: Iterable[dict[str, str]]) -> dict[Key, Published]:
    """Rows of `published.csv` by what they are values of. Errors as `published`."""
    values: dict[Key, Published] = {}
    for row in rows:
        value = Published(
            model=row["model"],
            training_set=row["training_set"],
            setting=row["setting"],
            dataset=row["dataset"],
            scale=int(row["scale"]),
            protocols=tuple(row["protocols"].split()),
            psnr_db=float(row["psnr_db"]),
            ssim=float(row["ssim"]) if row["ssim"] else None,
            ssim_within=max(BOUND_SSIM, 0.5 * 0.1 ** len(row["ssim"].partition(".")[2])),
            conf=row["conf"],
            source=row["source"],
            note=row["note"],
        )
        for protocol in value.protocols or ("",):
            key = value.model, value.training_set, value.setting, value.dataset, value.scale, protocol
            if protocol not in PROTOCOLS or key in values:
                problem = "is given twice" if key in values else "names no protocol that is known here"
                msg = f"the published value of {key} {problem}"
                raise ValueError(msg)
            values[key] = value
    return values


def target(
    model: str, training_set: str, dataset: str, scale: int, *, setting: str = "", protocol: str = MATLAB_Y.name
) -> Published | None:
    """The published value that a result of the same model, training and protocol is held against, if there is one."""
    value = published().get((model, training_set, setting, dataset, scale, protocol))
    return value if value is not None and value.is_target else None


def setting_of(subject: Subject) -> str:
    """What is said of a subject's training beyond the set; older folders did not record what was known already."""
    if subject.setting is not None:
        return subject.setting
    known = models.authors() if subject.origin == "authors" else models.recipes()
    return known[subject.name].setting or "" if subject.name in known else ""


@cache
def published_seconds() -> dict[tuple[str, str, int], float]:
    """Seconds an image that the VDSR paper prints, by model, test set and scale; recalled, on machines of 2015."""
    with (files("srrepro.reporting") / "published_seconds.csv").open(encoding="utf-8") as text:
        return {
            (row["model"], row["dataset"], int(row["scale"])): float(row["seconds"]) for row in csv.DictReader(text)
        }
