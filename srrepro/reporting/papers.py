"""The papers' own tables in the papers' own layout, ours beside the print in every cell.

A table names columns; what is printed comes from `published.csv`, what was measured from the rows of `quality.csv`.
"""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pandas as pd

from srrepro.errors import InputError
from srrepro.protocols.named import MATLAB_CLAMP_Y, MATLAB_Y, PROTOCOLS, VDSR_Y
from srrepro.reporting.published import Published, published
from srrepro.reporting.tabulated import tabulated
from srrepro.reporting.verdict import BOUND_SSIM

Form = Literal["text", "markdown", "latex"]
Metric = Literal["PSNR", "SSIM", "PSNR/SSIM"]

WIDTH = 80
MARKS = {"exceeds": "▲", "short": "▼", "below-bicubic": "▼"}
"""After a number that is not the printed one, by its verdict."""
MARKS_NOTE = "▲ above the print, ▼ below it, by more than the bound; no mark: the same, or nothing to be held against."
RECALLED = "°"
RECALLED_NOTE = "° recalled, not looked up in the paper."
MEASURED = "measured here"
MEASURED_NOTE = f"{MEASURED}: with the authors' released weights; bicubic needs none. Other rows: trained here."
PRINTED = "printed"
SETS = ("Set5", "Set14", "B100", "Urban100")
SCALES = (2, 3, 4)
FLIPS = "flips and rotations"


@dataclass(frozen=True)
class Column:
    """A method of a paper's table, by the names that `published.csv` has for it."""

    head: str
    model: str
    training_set: str = ""
    setting: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """One table of a paper.

    `by_metric`: PSNR of all scales stands above SSIM of all scales, as SRCNN's paper has it.
    """

    name: str
    title: str
    protocol: str
    columns: tuple[Column, ...]
    sets: tuple[str, ...] = ("Set5",)
    scales: tuple[int, ...] = SCALES
    ssim: bool = True
    by_metric: bool = False
    note: str = ""


BICUBIC = Column("bicubic", "bicubic")
SRCNN = Column("SRCNN", "SRCNN 9-5-5", "ImageNet")


def _of_its_own(name: str, title: str, column: Column, protocol: str, scales: tuple[int, ...] = SCALES) -> Table:
    return Table(name=name, title=title, protocol=protocol, columns=(column,), sets=SETS, scales=scales)


TABLES = (
    Table(
        name="srcnn-eccv-1",
        title="SRCNN (ECCV 2014), Table 1: the averages of Set5",
        protocol=MATLAB_Y.name,
        columns=(BICUBIC, Column("SRCNN", "SRCNN 9-1-5", "T91")),
        ssim=False,
        note="The paper has every image and five older methods, too.",
    ),
    Table(
        name="srcnn-tpami-2",
        title="SRCNN (TPAMI 2016), Table 2: Set5",
        protocol=MATLAB_Y.name,
        columns=(BICUBIC, SRCNN),
        by_metric=True,
        note="The paper has five older methods and four more metrics, too.",
    ),
    Table(
        name="srcnn-tpami-3",
        title="SRCNN (TPAMI 2016), Table 3: Set14",
        protocol=MATLAB_Y.name,
        columns=(BICUBIC, SRCNN),
        sets=("Set14",),
        by_metric=True,
        note="The paper has five older methods and four more metrics, too.",
    ),
    Table(
        name="srcnn-tpami-sizes",
        title="SRCNN (TPAMI 2016), Section 4.2: the size of the second layer's filters",
        protocol=MATLAB_Y.name,
        columns=tuple(Column(size, f"SRCNN {size}", "ImageNet") for size in ("9-1-5", "9-3-5", "9-5-5")),
        scales=(3,),
        ssim=False,
    ),
    Table(
        name="vdsr-2",
        title="VDSR (CVPR 2016), Table 2: networks for one scale, and one for all three; Set5",
        protocol=VDSR_Y.name,
        columns=(
            Column("one scale", "VDSR-single", "T91"),
            Column("×2, ×3, ×4", "VDSR", "T91"),
            BICUBIC,
        ),
        ssim=False,
        note="The paper has networks for two of the scales, too. None for one scale was trained here.",
    ),
    Table(
        name="vdsr-3",
        title="VDSR (CVPR 2016), Table 3",
        protocol=VDSR_Y.name,
        columns=(BICUBIC, SRCNN, Column("VDSR", "VDSR", "291", FLIPS)),
        sets=SETS,
        note="The paper has A+, RFL and SelfEx, and seconds, too.",
    ),
    Table(
        name="vdsr-draft",
        title="VDSR, the authors' draft: what the training set and its flips and rotations do",
        protocol=VDSR_Y.name,
        columns=(
            Column("T91", "VDSR", "T91"),
            Column("T91, fl.", "VDSR", "T91", FLIPS),
            Column("291", "VDSR", "291"),
            Column("291, fl.", "VDSR", "291", FLIPS),
        ),
        sets=("Set5", "Set14"),
        ssim=False,
        note="fl.: with flips and rotations.",
    ),
    Table(
        name="fsrcnn",
        title="FSRCNN (ECCV 2016), as CARN's paper prints it, and FSRCNN-s",
        protocol=MATLAB_CLAMP_Y.name,
        columns=tuple(Column(model, model, "General-100 + T91") for model in ("FSRCNN-s", "FSRCNN")),
        sets=SETS,
    ),
    _of_its_own("dncnn-3", "DnCNN-3, README of its authors", Column("DnCNN-3", "DnCNN-3", "291"), "dncnn-y-v1"),
    _of_its_own("lapsrn", "LapSRN, README of its authors", Column("LapSRN", "LapSRN", "291"), "lapsrn-v1", (2, 4)),
    _of_its_own("idn", "IDN (CVPR 2018), by tables of IMDN and SMSR", Column("IDN", "IDN", "291"), MATLAB_CLAMP_Y.name),
    _of_its_own("carn-m", "CARN-M, README of its authors", Column("CARN-M", "CARN-M", "DIV2K"), "carn-y-v1"),
    _of_its_own("imdn", "IMDN, README of its authors", Column("IMDN", "IMDN", "DIV2K"), "rgb8-y-v1"),
)  # fmt: skip


@dataclass(frozen=True)
class Value:
    """What stands in a cell for one `who`: digits, and of ours the evidence and its verdict."""

    text: str
    run: str = ""
    verdict: str = ""

    @property
    def marked(self) -> str:
        return " ".join(filter(None, [self.text, MARKS.get(self.verdict, "")]))


@dataclass(frozen=True)
class Block:
    """A row of a paper's table: for every `who`, what each column has; at first what is printed."""

    dataset: str
    scale: int
    metric: Metric
    lines: dict[str, list[Value | None]]


def table(name: str) -> Table:
    """One table.

    Raises
    ------
    InputError : there is none of this name.
    """
    for one in TABLES:
        if one.name == name:
            return one
    msg = f"There is no table {name!r}. The tables are: {', '.join(one.name for one in TABLES)}."
    raise InputError(msg)


def blocks(of: Table, quality: pd.DataFrame) -> list[Block]:
    """The rows that have something printed, in the order of the paper; shortened runs are left out."""
    rows: list[dict[str, Any]] = quality.to_dict("records")  # type: ignore[assignment]
    rows = [row for row in rows if row["protocol"] == of.protocol and pd.notna(row["psnr_db"]) and _whole(row)]
    return [
        block
        for metric, dataset, scale in _order(of)
        if (block := _block(of, metric, dataset, scale, rows)).lines.get(PRINTED)
    ]


def _order(of: Table) -> Iterator[tuple[Metric, str, int]]:
    metrics: tuple[Metric, ...] = ("PSNR",) if not of.ssim else ("PSNR", "SSIM") if of.by_metric else ("PSNR/SSIM",)
    return ((metric, dataset, scale) for metric in metrics for dataset in of.sets for scale in of.scales)


def _whole(row: dict[str, Any]) -> bool:
    return bool(pd.isna(row["budget"]) or row["budget"] >= 1)


def _block(of: Table, metric: Metric, dataset: str, scale: int, rows: Sequence[dict[str, Any]]) -> Block:
    lines: dict[str, list[Value | None]] = {}

    def put(who: str, column: int, value: Value) -> None:
        lines.setdefault(who, [None] * len(of.columns))[column] = value

    for number, column in enumerate(of.columns):
        printed = published().get((column.model, column.training_set, column.setting, dataset, scale, of.protocol))
        if printed is not None and (text := _printed(printed, metric)):
            put(PRINTED, number, Value(text))
    for number, column in enumerate(of.columns):
        for row in rows:
            whose = row["published_as"], row["training_set"] or "", row["setting"] or "", row["dataset"], row["scale"]
            if whose == (column.model, column.training_set, column.setting, dataset, scale):
                here = row["model"] if row["origin"] == "trained" else MEASURED
                put(here, number, Value(_measured(row, metric), row["run"], row["verdict"]))
    return Block(dataset, scale, metric, lines)


def _printed(value: Published, metric: Metric) -> str:
    digits = 4 if value.ssim_within <= BOUND_SSIM else 3
    psnr, ssim = f"{value.psnr_db:.2f}", "" if value.ssim is None else f"{value.ssim:.{digits}f}"
    text = {"PSNR": psnr, "SSIM": ssim, "PSNR/SSIM": "/".join(filter(None, [psnr, ssim]))}[metric]
    return text + RECALLED if text and "M" in value.conf.split() else text


def _measured(row: dict[str, Any], metric: Metric) -> str:
    psnr, ssim = f"{row['psnr_db']:.3f}", f"{row['ssim']:.4f}"
    return {"PSNR": psnr, "SSIM": ssim, "PSNR/SSIM": f"{psnr}/{ssim}"}[metric]


def as_text(of: Table, quality: pd.DataFrame, form: Form = "text") -> str:
    """A table for a terminal of 80 columns, or as Markdown or LaTeX."""
    latex = form == "latex"
    rows = list(_rows(blocks(of, quality), latex=latex))
    heads = ["set", "scale", "", *(column.head for column in of.columns)]
    if len({block.metric for block in blocks(of, quality)}) > 1:
        heads.insert(2, "metric")
    else:
        rows = [[*row[:2], *row[3:]] for row in rows]
    heads = [_for_latex(head) if latex else head for head in heads]
    kind = {"text": "simple", "markdown": "github", "latex": "latex_raw"}[form]
    body = tabulated(rows, heads, form=kind)
    notes = [of.note, f"Measured under {of.protocol}.", MEASURED_NOTE]
    notes += [note for marks, note in ((MARKS.values(), MARKS_NOTE), (RECALLED, RECALLED_NOTE)) if _any(marks, body)]
    title, told = of.title, "\n".join(line for note in filter(None, notes) for line in textwrap.wrap(note, WIDTH))
    if latex:
        body = body.replace(RECALLED, r"$^\circ$")
        return "\n".join([f"% {title}", *(f"% {line}" for line in told.splitlines()), body])
    return f"## {title}\n\n{body}\n\n{told}" if form == "markdown" else f"{title}\n\n{body}\n\n{told}"


def _any(marks: Iterable[str], text: str) -> bool:
    return any(mark in text for mark in marks)


def _rows(found: Iterable[Block], *, latex: bool) -> Iterator[list[str]]:
    for block in found:
        first = [block.dataset, f"$\\times{block.scale}$" if latex else f"×{block.scale}", block.metric]
        for who, values in block.lines.items():
            cells = ["" if value is None else value.marked for value in values]
            yield [*first, *(_for_latex(cell) if latex else cell for cell in [who, *cells])]
            first = ["", "", ""]


def _for_latex(text: str) -> str:
    for character, code in (("_", r"\_"), ("&", r"\&"), ("%", r"\%"), ("×", r"$\times$")):
        text = text.replace(character, code)
    return text.replace("▲", r"$\uparrow$").replace("▼", r"$\downarrow$")


assert {one.protocol for one in TABLES} <= PROTOCOLS.keys()
