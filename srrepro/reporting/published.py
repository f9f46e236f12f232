"""What the papers say, each value with how well it is confirmed.

Sources: `published.csv` and `published_seconds.csv` beside this file.
"""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from srrepro.evaluation.protocol import PROTOCOLS


@dataclass(frozen=True)
class Published:
    """One printed value. `conf`: V re-measured with the authors' weights, 1/2/3+ independent sources, M recalled.

    `setting` tells apart the values of one network and training set; empty where the paper prints only one.
    `protocol` is that of the table it stands in.
    """

    model: str
    training_set: str
    dataset: str
    scale: int
    setting: str
    protocol: str
    psnr_db: float
    ssim: float | None
    conf: str
    source: str
    note: str

    @property
    def key(self) -> "Key":
        return self.model, self.training_set, self.dataset, self.scale, self.setting, self.protocol

    @property
    def is_target(self) -> bool:
        """A value that is only recalled is shown, but never a target."""
        return any(mark in {"V", "1", "2", "3+"} for mark in self.conf.split())


Key = tuple[str, str, str, int, str, str]
"""Model, training set, test set, scale, setting and protocol."""


@cache
def published() -> dict[Key, Published]:
    """All values; one whose row names two protocols, because its digits come out under both, is there twice.

    Raises
    ------
    ValueError : two rows speak of the same cell, or one of a protocol that does not exist.
    """
    with (files("srrepro.reporting") / "published.csv").open(encoding="utf-8") as text:
        return _read(text)


def _read(text: Iterable[str]) -> dict[Key, Published]:
    found: dict[Key, Published] = {}
    for row in csv.DictReader(text):
        for protocol in row["protocol"].split():
            if protocol not in PROTOCOLS:
                msg = f"a published value is of the protocol {protocol!r}, which does not exist: {row}"
                raise ValueError(msg)
            value = _value(row, protocol)
            if value.key in found:
                msg = f"two published values share the key {value.key}"
                raise ValueError(msg)
            found[value.key] = value
    return found


def _value(row: dict[str, str], protocol: str) -> Published:
    return Published(
        model=row["model"],
        training_set=row["training_set"],
        dataset=row["dataset"],
        scale=int(row["scale"]),
        setting=row["setting"],
        protocol=protocol,
        psnr_db=float(row["psnr_db"]),
        ssim=float(row["ssim"]) if row["ssim"] else None,
        conf=row["conf"],
        source=row["source"],
        note=row["note"],
    )


def target(model: str, training_set: str, dataset: str, scale: int, *, setting: str, protocol: str) -> Published | None:
    """The published value of the same model, training set, setting and protocol, if one may be a target."""
    value = published().get((model, training_set, dataset, scale, setting, protocol))
    return value if value is not None and value.is_target else None


@cache
def published_seconds() -> dict[tuple[str, str, int], float]:
    """Seconds an image that the VDSR paper prints, by model, test set and scale; recalled, on machines of 2015."""
    with (files("srrepro.reporting") / "published_seconds.csv").open(encoding="utf-8") as text:
        return {
            (row["model"], row["dataset"], int(row["scale"])): float(row["seconds"]) for row in csv.DictReader(text)
        }
