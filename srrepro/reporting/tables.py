"""From run folders to `quality.csv`, `training.csv`, `tables.md` and the table of the README, which are all generated.

So is `unfinished.csv`, from the files of runs that are carried.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pandas as pd

from srrepro.data.registry import sets
from srrepro.errors import InputError
from srrepro.evaluation.measure import Score
from srrepro.evaluation.weights import Subject
from srrepro.protocols.named import PROTOCOLS
from srrepro.reporting import claims_page
from srrepro.reporting.evidence import Evidence, distinct, folders, read_all
from srrepro.reporting.published import setting_of, target
from srrepro.reporting.reached import reached
from srrepro.reporting.sizes import sizes
from srrepro.reporting.speeds import SPEED, known, pages
from srrepro.reporting.tabulated import MARKDOWN, as_csv, tabulated
from srrepro.reporting.unfinished import unfinished
from srrepro.reporting.verdict import BOUND_SSIM, bounds, verdict
from srrepro.whole import written_whole

DEMO = "demo scenes: comparable with no paper"
COLUMNS = [
    *("model", "origin", "training_set", "scale", "dataset", "images", "psnr_db", "ssim", "bicubic_psnr_db"),
    *("published_psnr_db", "published_ssim", "gap_db", "verdict", "budget", "seeds", "psnr_db_mean", "psnr_db_std"),
    *("protocol", "signature", "run", "precision", "published_as", "published_conf", "setting", "note"),
]
ORIGINS = ("interpolation", "authors", "trained", "given")
NETWORKS_NOTE = (
    "Multiply-adds are those of the convolutions for an image of 1280×720 that comes out. Some papers count transposed "
    "convolutions once per pixel that comes out, not once per pixel that goes in; the second number is by their way."
)
ENGLISH, CHINESE = ("model", "trained on"), ("模型", "训练集")
"""Heads of the first page's table."""

Row = dict[str, Any]


def quality_row(
    subject: Subject, scores: Sequence[Score], *, run: str = "", precision: str = "", made_on: str = ""
) -> Row:
    """One model on one set at one scale: means over its images, the published value, the verdict."""
    dataset, scale, protocol = scores[0].dataset, scores[0].scale, scores[0].protocol
    by = PROTOCOLS[protocol]
    psnr_dbs, ssims, bicubics = (
        [score.values[name] for score in scores] for name in ("psnr_db", by.similarity, "bicubic_psnr_db")
    )
    psnr_db, ssim, bicubic = mean(psnr_dbs), mean(ssims), mean(bicubics)
    setting = setting_of(subject)
    printed = target(subject.model, subject.training_set, dataset, scale, setting=setting, protocol=protocol)
    published_db = printed.psnr_db if printed else None
    notes = [
        subject.note,
        DEMO if dataset.startswith("demo") else "",
        _about_infinite(psnr_dbs, "the mean"),
        "" if math.isinf(psnr_db) else _about_infinite(bicubics, "bicubic's mean"),
        f"trained in {precision}" if precision not in {"", "float32"} else "",
        made_on,
    ]
    return {
        "model": subject.name,
        "origin": subject.origin,
        "training_set": "" if subject.origin == "given" else subject.training_set,
        "scale": scale,
        "dataset": dataset,
        "images": len(scores),
        "psnr_db": psnr_db,
        "ssim": ssim,
        "bicubic_psnr_db": bicubic,
        "published_psnr_db": published_db,
        "published_ssim": printed.ssim if printed else None,
        "gap_db": psnr_db - published_db if published_db is not None else None,
        "verdict": verdict(
            psnr_db,
            ssim,
            bicubic_psnr_db=bicubic,
            published_psnr_db=published_db,
            published_ssim=printed.ssim if printed else None,
            within=bounds(subject.origin, printed.ssim_within if printed else BOUND_SSIM),
            reproduction=subject.of_the_paper and subject.origin == "trained" and (subject.budget or 0) >= 1,
        ),
        "budget": subject.budget,
        "seeds": 1 if subject.seed is not None else None,
        "psnr_db_mean": None,
        "psnr_db_std": None,
        "protocol": protocol,
        "signature": by.signature,
        "run": run,
        "precision": precision,
        "published_as": subject.model,
        "published_conf": printed.conf if printed else "",
        "setting": setting,
        "note": "; ".join(dict.fromkeys(filter(None, notes))),
    }


def _about_infinite(psnr_dbs: Sequence[float], what: str) -> str:
    """What must be said of a mean that some images make infinite, which JSON cannot hold; nothing of any other."""
    finite = [value for value in psnr_dbs if not math.isinf(value)]
    equal = len(psnr_dbs) - len(finite)
    if not equal:
        return ""
    others = f", without {'it' if equal == 1 else 'them'} {mean(finite):.3f} dB" if finite else ""
    count = f"{equal} of {len(psnr_dbs)} images {'equals its' if equal == 1 else 'equal their'}"
    return f"{count} reference: {what} is infinite{others}"


def quality(runs: Sequence[Evidence]) -> pd.DataFrame:
    """One row per model, budget, precision, scale, test set and protocol.

    Seed 0 carries it, the other seeds stand beside it.

    Raises
    ------
    InputError : two folders claim the same row.
    """
    rows = [
        quality_row(
            run.subject,
            list(scores),
            run=run.name,
            precision=run.about.get("precision") or "",
            made_on=_made_on(run.about),
        )
        | {"seed": run.subject.seed}
        for run in runs
        for _, scores in groupby(run.scores, key=lambda score: (score.scale, score.dataset, score.protocol))
    ]
    rows.sort(key=_place)
    frame = pd.DataFrame([_with_seeds(list(same)) for _, same in groupby(rows, key=_place)], columns=COLUMNS)
    return frame.astype({"images": "Int64", "seeds": "Int64"})  # whole numbers, though some rows have none


def _made_on(about: Row) -> str:
    """What must be said of a run that was resumed on another machine or in another mode; nothing of any other."""
    machines, modes = distinct(about, "machine"), distinct(about, "mode", "eager")
    notes = [
        f"made on {len(machines)} machines" if len(machines) > 1 else "",
        f"in modes {', '.join(modes)}" if len(modes) > 1 else "",
    ]
    return "; ".join(filter(None, notes))


def tables(frame: pd.DataFrame) -> str:
    """`tables.md`: one table a test set."""
    parts = ["# Results", "", "Generated by `srrepro report`; [README.md](README.md) explains the columns."]
    for dataset, rows in frame.groupby("dataset", sort=False):
        demo = f" ({DEMO})" if str(dataset).startswith("demo") else ""
        parts += ["", f"## {dataset}{demo}", "", _markdown(rows)]
    return "\n".join([*parts, "", "## Networks", "", NETWORKS_NOTE, "", _networks()]) + "\n"


def _networks() -> str:
    rows = [
        {
            "network": size.model,
            "scale": f"×{size.scale}",
            "takes": size.takes,
            "parameters": f"{size.parameters:,}",
            "published": size.printed_parameters.text if size.printed_parameters else "",
            "multiply-adds": f"{size.multiply_adds / 1e9:.1f}G",
            "counted as published": f"{(size.as_printed or 0) / 1e9:.1f}G" if size.printed_multiply_adds else "",
            "published ": size.printed_multiply_adds.text if size.printed_multiply_adds else "",
            "note": size.note,
        }
        for size in sizes()
    ]
    merged: dict[tuple[str, ...], Row] = {}  # scales of which all else is the same share a row
    for row in rows:
        same = merged.setdefault(tuple(value for key, value in row.items() if key != "scale"), row)
        if same is not row:
            same["scale"] += f" {row['scale']}"
    return tabulated(merged.values(), form=MARKDOWN)


def readme_table(frame: pd.DataFrame, heads: Sequence[str] = ENGLISH) -> str:
    """The first page's table, of Set5: a row a network for what its authors released, and for the best trained here.

    A cell is PSNR in dB as `ours / paper / gap` with the verdict, under the first protocol that it was measured under.
    """
    rows: list[Row] = frame[(frame["dataset"] == "Set5") & frame["psnr_db"].notna()].to_dict("records")  # type: ignore[assignment]
    found: dict[str, list[Row]] = {}
    for row in rows:
        if not any(known["scale"] == row["scale"] for known in found.setdefault(row["model"], [])):
            found[row["model"]].append(row)
    best: dict[tuple[str, str], list[Row]] = {}
    for same in found.values():
        trained_on = "here" if same[0]["origin"] == "trained" else same[0]["training_set"]
        place = same[0]["published_as"], trained_on
        best[place] = max(best.get(place, same), same, key=_rank)
    fewest = min(2, max(map(len, best.values()), default=0))  # a single scale is for tables.md
    table = [
        {heads[0]: each[0]["model"], heads[1]: each[0]["training_set"]}
        | {f"×{scale}": next((_cell(row) for row in each if row["scale"] == scale), "") for scale in (2, 3, 4)}
        for each in sorted(best.values(), key=lambda each: ORIGINS.index(each[0]["origin"]))
        if len(each) >= fewest
    ]
    return tabulated(table, form=MARKDOWN)


def _rank(rows: Sequence[Row]) -> tuple[int, float]:
    """More scales first, then the higher mean."""
    return len(rows), mean(row["psnr_db"] for row in rows)


def _cell(row: Row) -> str:
    if pd.isna(row["published_psnr_db"]):
        return f"{row['psnr_db']:.2f}"
    gap = f"{row['gap_db']:+.2f}" if abs(row["gap_db"]) >= 0.005 else "0.00"
    return f"{row['psnr_db']:.2f} / {row['published_psnr_db']:.2f} / {gap} {row['verdict']}"


def generated(results: Path, readme: Path | None) -> dict[Path, str]:
    """Every generated file and what it should hold now; the README counts where it has the two marks."""
    runs = read_all(results / "runs")
    frame = quality(runs)
    files = {
        results / "quality.csv": as_csv(frame),
        results / "training.csv": as_csv(reached(runs)),
        results / "tables.md": tables(frame),
    }
    if (results / "unfinished").is_dir() or (results / "unfinished.csv").exists():
        carried = unfinished(results / "unfinished")
        files[results / "unfinished.csv"] = as_csv(carried)
    if (results / claims_page.FOLDER).is_dir() or (results / claims_page.CSV).exists():
        files |= claims_page.generated(results)
    if readme is not None:
        for page, heads in ((readme, ENGLISH), (readme.with_suffix(".zh.md"), CHINESE)):
            files |= _with_tables(page, {"results": readme_table(frame, heads)})
        if (results / SPEED).exists():
            files |= _with_tables(readme.parent / "docs" / "speed.md", pages(pd.read_csv(results / SPEED)))
    return files


def marks(name: str) -> tuple[str, str]:
    """What a generated part of a page stands between: of the README, its Chinese version, or docs/speed.md."""
    return f"<!-- {name}: written by `srrepro report` -->", f"<!-- end of {name} -->"


def _with_tables(page: Path, parts: Mapping[str, str]) -> dict[Path, str]:
    """A page with the parts between their marks, or nothing where there is no page or not all of the marks."""
    text = page.read_text(encoding="utf-8") if page.is_file() else ""
    for name, part in parts.items():
        begin, end = marks(name)
        before, found, rest = text.partition(begin)
        _, ended, after = rest.partition(end)
        if not (found and ended):
            return {}
        text = f"{before}{begin}\n\n{part}\n\n{end}{after}"
    return {page: text}


def write(results: Path, readme: Path | None) -> list[Path]:
    """Write what `generated` gives; the files written.

    Raises
    ------
    InputError : there are tables, but no run folder that they could be made of: they stay. Or somebody else's file has
        the name of one, or one cannot be written.
    """
    lost = not folders(results / "runs") and (results / "quality.csv").exists()
    if lost and (results / "quality.csv").read_bytes().count(b"\n") > 1:
        msg = f"Tables were to be made of {results / 'runs'}, but there is no run folder; {results} keeps what it has."
        raise InputError(msg)
    files = generated(results, readme)
    for path, text in files.items():
        if path.is_file() and not _is_ours(path, text):
            msg = f"{path} was to be written, but what is there is not srrepro's. Move it, or name another --results."
            raise InputError(msg)
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        written_whole(path, text)
    return list(files)


def _is_ours(path: Path, text: str) -> bool:
    """Whether a file begins as what srrepro would write there, in this version or another; an empty one is nobody's."""
    with path.open(encoding="utf-8", errors="replace") as file:
        found = file.readline().strip()
    wanted = text.partition("\n")[0].strip()
    return not found or found.split(",")[:2] == wanted.split(",")[:2]


def differing(results: Path, readme: Path | None) -> list[Path]:
    """Generated files that are missing or hold something else than they should."""
    files = generated(results, readme)
    return [path for path, text in files.items() if not path.is_file() or _text_of(path) != text]


def _text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def terminal_table(rows: pd.DataFrame, *, wide: bool = False) -> str:
    """For the end of a command: in 80 columns, what all rows share above it and notes below; or all columns."""
    if wide or rows.empty:
        return tabulated(_readable(rows))
    shared, narrow = [], []
    alone = rows["model"].nunique() == 1
    if alone:
        shared.append(str(rows["model"].iloc[0]))
    if rows["protocol"].nunique() == 1:
        shared.append(str(rows["protocol"].iloc[0]))
    for row in rows.to_dict("records"):
        cells = {"model": "" if alone else row["model"], "set": row["dataset"], "scale": f"×{row['scale']}"}
        cells["protocol"] = "" if len(shared) == 1 + alone else row["protocol"]
        cells["PSNR, dB"] = known(row["psnr_db"], ".3f" if alone else ".2f")
        if alone:
            cells |= {"SSIM": known(row["ssim"], ".4f"), "bicubic": known(row["bicubic_psnr_db"], ".3f")}
        cells |= {"paper": known(row["published_psnr_db"], ".2f"), "gap": known(row["gap_db"], "+.2f")}
        narrow.append(cells | {"verdict": known(row["verdict"], "")})
    used = [column for column in narrow[0] if any(row[column] for row in narrow)]
    table = tabulated([{key: row[key] for key in used} for row in narrow])
    notes = dict.fromkeys(note for note in map(str, rows["note"]) if note)
    return "\n".join([*([", ".join(shared), ""] if shared else []), table, *(f"note: {note}" for note in notes)])


def fitting(rows: Sequence[Mapping[str, object]], widths: Sequence[int] | None = None) -> str:
    """Rows of words as a table whose cells go on below where they are wider than their column may be."""
    if widths is not None:
        rows = [
            {
                key: "\n".join(textwrap.wrap(str(cell), width, break_on_hyphens=False))
                for (key, cell), width in zip(row.items(), widths, strict=True)
            }
            for row in rows
        ]
    return tabulated(rows)


def image_table(scores: Sequence[Score]) -> str:
    """One row an image, and their mean."""
    by = PROTOCOLS[scores[0].protocol]
    names = ("psnr_db", by.similarity, "bicubic_psnr_db")
    rows = [(score.image, *(score.values[name] for name in names)) for score in scores]
    rows.append(("mean", *(mean(score.values[name] for score in scores) for name in names)))
    heads = ("image", "PSNR, dB", "SSIM", "bicubic")
    return tabulated(rows, heads, formats=("", ".3f", ".4f", ".3f"))


def image_rows(subject: Subject, scores: Sequence[Score]) -> pd.DataFrame:
    """One row an image, all digits: for `--csv`."""
    return pd.DataFrame(
        {"model": subject.name, "dataset": score.dataset, "scale": score.scale, "image": score.image}
        | {"protocol": score.protocol}
        | score.values
        for score in scores
    )


def _markdown(rows: pd.DataFrame) -> str:
    return tabulated(_readable(rows), form=MARKDOWN)


def _readable(rows: pd.DataFrame) -> list[dict[str, str]]:
    """Rounded for people; the CSV file holds the full numbers."""
    readable = [
        {
            "model": row["model"],
            "trained on": row["training_set"],
            "scale": f"×{row['scale']}",
            "set": row["dataset"],
            "protocol": row["protocol"],
            "PSNR, dB": known(row["psnr_db"], ".3f"),
            "SSIM": known(row["ssim"], ".4f"),
            "bicubic, dB": known(row["bicubic_psnr_db"], ".3f"),
            "published, dB": known(row["published_psnr_db"], ".2f"),
            "gap, dB": known(row["gap_db"], "+.3f"),
            "verdict": known(row["verdict"], ""),
            "budget": known(row["budget"], ".4g"),
            "seeds": known(row["seeds"], ".0f"),
            "mean": known(row["psnr_db_mean"], ".3f"),
            "std": known(row["psnr_db_std"], ".3f"),
            "note": known(row["note"], ""),
        }
        for row in rows.to_dict("records")
    ]
    used = [column for column in readable[0] if any(row[column] for row in readable)] if readable else []
    return [{column: row[column] for column in used} for row in readable]


def _place(row: Row) -> tuple[Any, ...]:
    """Where a row stands in the table; rows of one place differ in the seed only."""
    known = sets()
    order = known.index(row["dataset"]) if row["dataset"] in known else len(known)
    origin = ORIGINS.index(row["origin"])
    protocol = list(PROTOCOLS).index(row["protocol"])
    who = row["model"], row["training_set"], -(row["budget"] or 1), row["precision"]
    return order, row["dataset"], row["scale"], protocol, origin, *who


def _with_seeds(same: list[Row]) -> Row:
    seeds = [row["seed"] for row in same]
    if len(set(seeds)) != len(seeds):
        claims = " and ".join(row["run"] for row in same)
        msg = f"{claims} claim the same row of quality.csv. Delete the one that no longer holds."
        raise InputError(msg)
    first = next((row for row in same if row["seed"] in (0, None)), None)
    if first is None:  # the declared seed is still to come: only mean and spread are known
        empty = ("images", "psnr_db", "ssim", "gap_db", "verdict", "run")
        first = same[0] | dict.fromkeys(empty)
    values = [row["psnr_db"] for row in same]
    spread = {"psnr_db_mean": mean(values), "psnr_db_std": stdev(values) if len(values) > 1 else None}
    return first | {"seeds": len(same)} | spread if first["seed"] is not None else first
