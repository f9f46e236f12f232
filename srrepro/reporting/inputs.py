"""What the report's page is made from, and digests of it, which need neither matplotlib nor a template."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pandas as pd

from srrepro.data.registry import members
from srrepro.evaluation.believed import table
from srrepro.evaluation.weights import PLACE, shipping
from srrepro.reporting.evidence import Evidence, folders, read_all
from srrepro.reporting.speeds import SPEED
from srrepro.reporting.tables import quality

SETTLED = "claims.csv"
_COLUMNS = {
    SPEED: (
        ("model", "task", "device", "machine", "mode", "precision"),
        ("height", "width", "median_ms", "megapixels_per_s"),
    )
}
"""Of words and of numbers, that are read."""
AUTHORS_CURVES, READINGS = "vdsr-authors-curves.csv", "vdsr-forensics.csv"
THETA, AT_START = "vdsr-theta-gradients.csv", "vdsr-notes-gradients.csv"
CHOICES = (AUTHORS_CURVES, READINGS, THETA, AT_START)
PRINTED = ("published.csv", "published_seconds.csv", "published_sizes.csv")
PHOTOGRAPHS = "demo-test"


@dataclass(frozen=True)
class Data:
    """Run folders, the rows of `quality.csv`, and other tables by their file's name, as far as they are there."""

    runs: Sequence[Evidence]
    quality: pd.DataFrame
    others: dict[str, pd.DataFrame]


def read(results: Path) -> Data:
    """Everything that the page shows. Errors as `read_all` and `quality`."""
    runs = read_all(results / "runs")
    return Data(
        runs, quality(runs), {path.name: table(path, *_COLUMNS.get(path.name, ())) for path in _tables(results)}
    )


def digests(results: Path) -> dict[str, str]:
    """A sha256 of every input, by its name: run folders, tables, printed values, weights and photographs."""
    found = {f"runs/{folder.name}": _of(sorted(folder.glob("*.[cj]s*"))) for folder in folders(results / "runs")}
    found |= {str(path.relative_to(results)): _of([path]) for path in _tables(results)}
    printed = files("srrepro.reporting")
    found |= {name: hashlib.sha256((printed / name).read_bytes()).hexdigest() for name in PRINTED}
    found |= {name: _of([PLACE / name]) for name in sorted(shipping())}
    photographs = " ".join(file.sha256 for file in members(PHOTOGRAPHS))
    return found | {PHOTOGRAPHS: hashlib.sha256(photographs.encode()).hexdigest()}


def _tables(results: Path) -> list[Path]:
    wanted = [results / SPEED, results / SETTLED, *(results / "choices" / name for name in CHOICES)]
    return [path for path in wanted if path.is_file()]


def _of(paths: Sequence[Path]) -> str:
    """Of the names and contents of files."""
    whole = hashlib.sha256()
    for path in paths:
        whole.update(f"{path.name}\n".encode())
        whole.update(path.read_bytes())
    return whole.hexdigest()
