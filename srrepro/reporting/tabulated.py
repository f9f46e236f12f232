"""Rows as tables and as CSV. Every table of srrepro is made here, so that no name in a cell can break one."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd
from tabulate import tabulate

from srrepro.plain import in_a_line, in_a_sheet, in_markdown, plain

MARKDOWN = "github"


def tabulated(
    rows: Iterable[Mapping[str, object] | Sequence[object]],
    headers: Sequence[str] | str = "keys",
    *,
    form: str = "simple",
    align: Sequence[str] | None = None,
    widths: Sequence[int | None] | None = None,
    formats: Sequence[str] | None = None,
) -> str:
    """A table of text, by tabulate, whose names those of `form`, `align` and `widths` are.

    `rows` are mappings, whose keys are the heads, or sequences. In the form `simple`, cells may have several lines.
    `formats` are those of the numbers of every column; without them everything is text, also what looks like a number.
    """
    clean = in_markdown if form == MARKDOWN else plain if form == "simple" else in_a_line
    cleaned = [_cells(row, clean) for row in rows]
    return str(
        tabulate(
            cleaned,
            headers=headers,
            tablefmt=form,
            disable_numparse=formats is None,
            floatfmt=formats or "g",
            colalign=align,
            maxcolwidths=widths,
        )
    )


def _cells(row: Mapping[str, object] | Sequence[object], clean: Any) -> dict[str, object] | list[object]:
    if isinstance(row, Mapping):
        return {clean(key): clean(cell) if isinstance(cell, str) else cell for key, cell in row.items()}
    return [clean(cell) if isinstance(cell, str) else cell for cell in row]


def as_csv(frame: pd.DataFrame) -> str:
    """All columns and digits, as a spreadsheet may open it."""
    words = frame.select_dtypes(include=["object", "string"]).columns
    safe = {name: frame[name].map(lambda cell: in_a_sheet(cell) if isinstance(cell, str) else cell) for name in words}
    named = frame.assign(**safe).rename(columns=lambda name: in_a_sheet(str(name)))
    return str(named.to_csv(index=False, lineterminator="\n"))
