"""What the papers say, each value with how well it is confirmed.

Sources: `published.csv` and `published_seconds.csv` beside this file.
"""

import csv
from dataclasses import dataclass
from functools import cache
from importlib.resources import files


@dataclass(frozen=True)
class Published:
    """One printed value. `conf`: V re-measured with the authors' weights, 1/2/3+ independent sources, M recalled."""

    model: str
    training_set: str
    dataset: str
    scale: int
    psnr_db: float
    ssim: float | None
    conf: str
    source: str
    note: str

    @property
    def is_target(self) -> bool:
        """A value that is only recalled is shown, but never a target."""
        return any(mark in {"V", "1", "2", "3+"} for mark in self.conf.split())


@cache
def published() -> dict[tuple[str, str, str, int], Published]:
    """All values, by model, training set, test set and scale."""
    with (files("srrepro.reporting") / "published.csv").open(encoding="utf-8") as text:
        values = [
            Published(
                model=row["model"],
                training_set=row["training_set"],
                dataset=row["dataset"],
                scale=int(row["scale"]),
                psnr_db=float(row["psnr_db"]),
                ssim=float(row["ssim"]) if row["ssim"] else None,
                conf=row["conf"],
                source=row["source"],
                note=row["note"],
            )
            for row in csv.DictReader(text)
        ]
    return {(value.model, value.training_set, value.dataset, value.scale): value for value in values}


def target(model: str, training_set: str, dataset: str, scale: int) -> Published | None:
    """The published value that a result of the same model and training set is held against, if there is one."""
    value = published().get((model, training_set, dataset, scale))
    return value if value is not None and value.is_target else None


@cache
def published_seconds() -> dict[tuple[str, str, int], float]:
    """Seconds an image that the VDSR paper prints, by model, test set and scale; recalled, on machines of 2015."""
    with (files("srrepro.reporting") / "published_seconds.csv").open(encoding="utf-8") as text:
        return {
            (row["model"], row["dataset"], int(row["scale"])): float(row["seconds"]) for row in csv.DictReader(text)
        }
