"""Rows of `speed.csv` for people: at the end of `srrepro bench`, and in docs/speed.md."""

import textwrap
from typing import Any

import pandas as pd

from srrepro import models
from srrepro.protocols.named import MATLAB_Y
from srrepro.reporting.published import published_seconds
from srrepro.reporting.tabulated import MARKDOWN, tabulated

SPEED = "speed.csv"
COLUMNS = 80
"""Of a terminal."""
PRINTED_OF = ("Set5", 3)
SECONDS_NOTE = (
    "published, s: an image of Set5 (0.11 megapixels in the mean) at x3, as the VDSR paper prints it, SRCNN on a CPU "
    "and VDSR on a GPU of 2015; recalled, not confirmed."
)

MODES = ("plain", "eager", "native", "onnxruntime", "openvino", "openvino, bfloat16")
"""Columns of inference, in order."""

Row = dict[str, Any]


def terminal_table(speed: pd.DataFrame, quality: pd.DataFrame) -> str:
    """Rows of `speed.csv` for people, in 80 columns; above each network's, what it scores, and the print.

    All columns are in the file.
    """
    parts, timed = [], False
    for model, same in speed.groupby("model", sort=False):
        timed_rows: list[Row] = same.to_dict("records")  # type: ignore[assignment]
        score = _best_known(str(model), quality)
        seconds = published_seconds().get((models.recipe(str(model)).model, *PRINTED_OF))
        timed |= seconds is not None and bool((same["task"] == "infer").any())
        printed_db = known(score.get("published_psnr_db"), ".2f")
        printed = [printed_db and f"{printed_db} dB", f"{seconds:.2f} s an image" if seconds else ""]
        scored = f"Set5 ×3 {score['psnr_db']:.2f} dB, SSIM {score['ssim']:.4f} by {score['model']}" if score else ""
        published = f"published {', '.join(filter(None, printed))}" if any(printed) else ""
        rows = [
            {
                "task": row["task"],
                "output": f"{row['width']}×{row['height']}" + (f" ×{row['batch']}" if row["batch"] > 1 else ""),
                "mode": _mode(row),
                "ms": f"{row['median_ms']:.4g}",
                "per s": f"{row['samples_per_s']:.4g}",
                "peak": f"{row['peak_share']:.0%}",
                "MiB": known(row["peak_memory_mib"], ".0f"),
                "× plain": f"{row['baseline_ratio']:.2f}",
            }
            for row in timed_rows
        ]
        about = "; ".join(filter(None, [f"{model}: {scored or 'not measured here'}", published]))
        table = tabulated(rows)
        parts.append("\n".join([*textwrap.wrap(about, COLUMNS), "", table]))
    note = ["\n".join(textwrap.wrap(SECONDS_NOTE, COLUMNS))] if timed else []
    return "\n\n".join(parts + note)


def _best_known(recipe: str, quality: pd.DataFrame) -> Row:
    """The full row of a recipe's network: of that recipe, else of another one, else of the authors' weights."""
    rows: list[Row] = quality.to_dict("records")  # type: ignore[assignment]
    whole = [
        row
        for row in rows
        if (row["dataset"], row["scale"], row["protocol"]) == (*PRINTED_OF, MATLAB_Y.name)
        and row["published_as"] == models.recipe(recipe).model
        and pd.notna(row["psnr_db"])
        and (row["origin"] != "trained" or ((row["budget"] or 0) >= 1 and row["precision"] == "float32"))
    ]
    return max(whole, key=lambda row: (row["model"] == recipe, row["origin"] == "trained", row["psnr_db"]), default={})


def pages(speed: pd.DataFrame) -> dict[str, str]:
    """The tables of docs/speed.md in Markdown, by the word of their marks: of the processor that was timed last."""
    here = speed[speed["device"] == "cpu"]
    here = here[here["machine"] == here.sort_values("measured", na_position="first")["machine"].iloc[-1]]
    return {"training": _training(here), "inference": _inference(here)}


def _training(here: pd.DataFrame) -> str:
    timed = here[here["task"] == "train"].sort_values("baseline_ratio", kind="stable")
    ordered: list[Row] = timed.sort_values("model", kind="stable").to_dict("records")  # type: ignore[assignment]
    rows = [
        {
            "network, batch": f"{row['model']}, {row['batch']}",
            "mode": _mode(row),
            "ms a step": _spread(row, ".1f"),
            "patches/s": f"{row['samples_per_s']:.0f}",
            "GFLOP/s": f"{row['gflops']:.0f}",
            "of peak": f"{row['peak_share']:.0%}",
            "× plain": f"{row['baseline_ratio']:.2f}",
        }
        for row in ordered
    ]
    return f"{_measured(timed)}\n\n{_markdown(rows)}"


def _inference(here: pd.DataFrame) -> str:
    """A row a size, a column a mode."""
    timed = here[here["task"] == "infer"]
    found: list[Row] = timed.to_dict("records")  # type: ignore[assignment]
    modes = [mode for mode in MODES if mode in set(map(_mode, found))]
    rows = []
    for (model, height, width), same in timed.groupby(["model", "height", "width"], sort=False):
        alike: list[Row] = same.to_dict("records")  # type: ignore[assignment]
        by = {_mode(row): row for row in alike}
        cells = {mode: _spread(by[mode], ".0f") if mode in by else "" for mode in modes}
        named = {f"{mode}, ms": cell for mode, cell in cells.items()}
        best = by.get("native")
        rows.append(
            {"network": str(model), "output": f"{width}×{height}"}
            | named
            | {
                "native, × plain": f"{best['baseline_ratio']:.2f}" if best else "",
                "of peak": f"{best['peak_share']:.0%}" if best else "",
                "MiB": known(best["peak_memory_mib"], ".0f") if best else "",
            }
            | ({"commit": str(same["commit"].iloc[0])[:7]} if timed["commit"].nunique() > 1 else {})
        )
    return f"{_measured(timed)}\n\n{_markdown(rows)}"


def _measured(rows: pd.DataFrame) -> str:
    """Where and when, and how busy the machine was."""
    newest = rows.sort_values("measured", na_position="first").iloc[-1]
    if pd.isna(newest["measured"]):
        return f"{newest['machine']}."
    return (
        f"{newest['machine']}, PyTorch {newest['torch']}, {str(newest['measured'])[:10]}, commit "
        f"{str(newest['commit'])[:7]}, load {newest['load']:.1f} before."
    )


def _mode(row: Row) -> str:
    return str(row["mode"]) if row["precision"] == "float32" else f"{row['mode']}, {row['precision']}"


def _spread(row: Row, form: str) -> str:
    return f"{row['median_ms']:{form}} ± {row['iqr_ms']:{form}}"


def _markdown(rows: list[dict[str, str]]) -> str:
    return tabulated(rows, form=MARKDOWN)


def known(value: Any, form: str) -> str:
    """A number in a form; nothing where there is none."""
    return "" if value is None or pd.isna(value) else format(value, form)
