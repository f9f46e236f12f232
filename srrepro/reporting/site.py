"""The report's page, `results/report/index.html`, with its figures: made where the extra `report` is installed.

What `report --check` compares is not the page but what it was made from. Another version of matplotlib, or another
font, draws other bytes from the same numbers, and the check must run where neither is installed. So `inputs.json`
beside the page names the sha256 of every input, and of every file that was written from them. The check computes the
inputs' anew, and finds a page that is older than its evidence, and a file that somebody has edited or lost. The code
that draws is no input: a comment in it would make every page old. What the page says in words follows from the
evidence alone, which a test holds the committed page against.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from srrepro import models
from srrepro.data.registry import DataFolder
from srrepro.errors import InputError
from srrepro.evaluation.weights import ships
from srrepro.plain import few
from srrepro.protocols.named import MATLAB_Y
from srrepro.reporting import crops, inputs, papers
from srrepro.reporting.evidence import Evidence, distinct
from srrepro.reporting.inputs import SETTLED, Data
from srrepro.reporting.published import published_seconds
from srrepro.reporting.speeds import PRINTED_OF, SECONDS_NOTE, SPEED
from srrepro.reporting.tables import ORIGINS
from srrepro.reporting.verdict import BOUND_DB, BOUND_OF_WHAT_IS_MEASURED_DB, BOUND_SSIM
from srrepro.whole import written_whole

if TYPE_CHECKING:
    from srrepro.reporting.figures import Figure

NEEDED = ("jinja2", "matplotlib")
INSTALL = "The extra `report` brings it; in the clone: pip install -c constraints.txt '.[report]'."
FOLDER, PAGE, FULL, INPUTS = "report", "index.html", "full.html", "inputs.json"
NOT_RUN = "not run yet"
"""How the note of a row of `claims.csv` begins that lacks a run."""
MEAN_MEGAPIXELS = 0.11
"""Of an image of Set5; the VDSR paper's seconds are of those."""
GLYPHS = {
    "reproduced": ("✔", "reproduced: within the bound, from scratch, by the paper's recipe"),
    "matches": ("✓", "matches: within the bound"),
    "exceeds": ("▲", "exceeds: above the print by more than the bound, in PSNR or in SSIM"),
    "short": ("▼", "short: below the print by more than the bound, in PSNR or in SSIM"),
    "below-bicubic": ("✕", "below bicubic: worse than interpolation"),
    "no-target": ("·", "no printed value to be held against"),
}
TOLD = {
    "gaps-measured": (
        "Released weights, and interpolation",
        "Every mark is one test set at one scale. Marks on the green band have the printed digits. The reason of each "
        'that is off it: <a href="../../docs/neighbours.md">docs/neighbours.md</a>.',
    ),
    "gaps-trained": (
        "Trained here, from scratch",
        "Full budget only. Left of the band is short of the print, right of it above.",
    ),
    "curves-backprops": (
        "Learning, by patches seen",
        "Set5 at ×3 during training; dotted lines are printed values. The last point counts, not the best.",
    ),
    "curves-seconds": (
        "Learning, by time",
        "The same runs. Processors: seconds times cores. GPUs: their seconds, so compare those with each other only.",
    ),
    "readings": (
        "What VDSR's recipe may have been",
        "Grey is the curve of the authors' draft, blue one reading of the recipe. The number is the mean difference of "
        "the last ten epochs. The nearest come first. One run each.",
    ),
    "clipping": (
        "How often gradients are clipped",
        "Share of VDSR's gradients that meet the bound θ / learning rate, in the first 150 iterations. A large bound "
        "hardly acts. The recipes have 1e-4.",
    ),
    "gradients": (
        "Gradients before the first step",
        "PyTorch's default initialisation (vdsr-notes) starves the first layers; He's with the paper's loss (vdsr-t91) "
        "starts far too large, which is what clipping is for.",
    ),
    "parameters": (
        "Quality against size",
        "Authors' weights, each under its own protocol, so differences of some hundredths say nothing.",
    ),
    "speed": (
        "Quality against time",
        "One image of 1280×720, in float32. Left is faster. native is the C code of this project, plain is PyTorch as "
        "most people write it, onnxruntime and openvino are other engines. The decibels are those of the best weights "
        "of a network here. Lines of one network lie beside each other.",
    ),
    "claims": (
        "What the practice notes claim",
        "A dot is the difference, the line its 95 % interval, the stroke the bound. If all of the line is right of the "
        "bound, the statement holds; if all is left of it, it does not. The axis is logarithmic beyond 0.1 dB.",
    ),
}
"""A figure's title, and what one should see."""


@dataclass(frozen=True)
class Cell:
    """One number in the table of verdicts."""

    run: str
    verdict: str
    glyph: str
    text: str
    told: str


@dataclass(frozen=True)
class Line:
    """One model under one protocol in the table of verdicts; `cells` in the order of the columns, None if empty."""

    model: str
    told: str
    cells: list[Cell | None]


@dataclass(frozen=True)
class Source:
    """Where the numbers of one run folder come from, and the commands that make them again."""

    run: str
    commit: str
    machines: str
    how: str
    versions: str
    commands: list[str]


def lacking() -> list[str]:
    """Which packages of the extra `report` are not installed."""
    return [name for name in NEEDED if find_spec(name) is None]


def write(results: Path, *, full: DataFolder | None = None) -> list[Path]:
    """Write the page and its figures; with `full`, where Set5 and Set14 are, `full.html`, too.

    Raises
    ------
    InputError : evidence is not whole, a set or weights cannot be had, a file cannot be written.
    """
    data = inputs.read(results)
    from srrepro.reporting.figures import drawn  # matplotlib takes a second, and may not be there

    figures = list(drawn(data))
    rows, filters = crops.demo(data.runs), crops.filters("srcnn-915-quick")
    made: dict[str, bytes] = {PAGE: page(data, figures, rows, filters).encode()}
    for one in figures:
        made |= {f"{one.name}.svg": one.svg.encode(), f"{one.name}.png": one.png}
    made |= {f"crops-{Path(row.place.image).stem}.png": crops.montage(row) for row in rows}
    written = dict(made)
    written[INPUTS] = described(results, made).encode()
    if full is not None:
        more = crops.of_papers(data.runs, full)
        written[FULL] = page(data, figures, [*more, *rows], filters).encode()
    return _put(results / FOLDER, written)


def stale(results: Path) -> list[str]:
    """What is wrong with a page that is there, one sentence each; nothing where there is none."""
    folder = results / FOLDER
    if not (folder / INPUTS).is_file():
        wrong = f"{folder / PAGE} has no {INPUTS} beside it. Run `srrepro report`, or delete the page."
        return [wrong] if (folder / PAGE).exists() else []
    try:
        kept = json.loads((folder / INPUTS).read_text(encoding="utf-8"))
        then, made = dict(kept["inputs"]), dict(kept["files"])
        missing = [name for name, sha256 in made.items() if _sha256_of(folder / name) != sha256]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return [f"{folder / INPUTS} is damaged. Run `srrepro report`."]
    problems = [f"{folder / name} is not what `srrepro report` wrote. Run it again." for name in missing]
    now = inputs.digests(results)
    changed = sorted(name for name in then.keys() | now.keys() if then.get(name) != now.get(name))
    if changed:
        advice = "Run `srrepro report`, with the extra `report` installed."
        problems.append(f"{folder / PAGE} was made from another {few(changed)}. {advice}")
    return problems


def described(results: Path, made: dict[str, bytes]) -> str:
    """`inputs.json`: digests of everything that goes in, and of the files that were made from it."""
    written = {name: hashlib.sha256(content).hexdigest() for name, content in sorted(made.items())}
    return json.dumps({"inputs": inputs.digests(results), "files": written}, indent=1) + "\n"


def _sha256_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


def _put(folder: Path, written: dict[str, bytes]) -> list[Path]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in written.items():
            written_whole(folder / name, content)
        for path in folder.glob("*.[ps][nv]g"):  # of a figure that is no longer drawn
            if path.name not in written:
                path.unlink()
    except OSError as error:
        msg = f"The report was to be written to {folder}, but could not be: {error}."
        raise InputError(msg) from error
    return [folder / name for name in (PAGE, FULL) if name in written]


def page(data: Data, figures: Sequence["Figure"], rows: Sequence[crops.Row], filters: bytes) -> str:
    """The page as text: the same for the same evidence, figures and crops."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    folder = files("srrepro.reporting") / "page"
    template = environment.from_string((folder / "index.html.jinja").read_text(encoding="utf-8"))
    rated = data.quality[data.quality["published_psnr_db"].notna()]
    text: str = template.render(
        style=Markup(_with_colours((folder / "style.css").read_text(encoding="utf-8"))),
        figures={one.name: Markup(one.inline) for one in figures},
        told=TOLD,
        counts=_counts(rated),
        rated=len(rated),
        columns=_columns(data.quality),
        groups=list(Counter(dataset for dataset, _ in _columns(data.quality)).items()),
        lines=_lines(data.quality),
        glyphs=GLYPHS,
        bounds={"trained": BOUND_DB, "measured": BOUND_OF_WHAT_IS_MEASURED_DB, "ssim": BOUND_SSIM},
        tables=[(one, papers.blocks(one, data.quality)) for one in papers.TABLES],
        papers=papers,
        claims=_claims(data),
        speeds=_speeds(data),
        seconds_note=SECONDS_NOTE.partition(": ")[2],
        megapixels=MEAN_MEGAPIXELS,
        crops=rows,
        zoom=crops.ZOOM,
        side=crops.SIDE,
        filters=crops.as_uri(filters),
        sources=[_source(run) for run in data.runs],
    )
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def _with_colours(style: str) -> str:
    from srrepro.reporting.figures import PALETTE

    for place, word in enumerate(("light", "dark")):
        colours = "; ".join(f"--{name}: {pair[place]}" for name, pair in PALETTE.items())
        style = style.replace(f"/* {word} colours */", f"{colours};")
    return style


def _counts(rated: pd.DataFrame) -> list[tuple[str, int]]:
    counted = Counter(rated["verdict"])
    return [(verdict, counted[verdict]) for verdict in GLYPHS if counted[verdict]]


def _columns(quality: pd.DataFrame) -> list[tuple[str, int]]:
    """Sets and scales, without photographs that no paper has."""
    pairs = dict.fromkeys(zip(quality["dataset"], quality["scale"], strict=True))
    return [(str(dataset), int(scale)) for dataset, scale in pairs if not str(dataset).startswith("demo")]


def _lines(quality: pd.DataFrame) -> list[Line]:
    columns = _columns(quality)
    found: dict[tuple[Any, ...], Line] = {}
    models_of = list(dict.fromkeys(zip(quality["origin"], quality["model"], strict=True)))
    models_of.sort(key=lambda pair: ORIGINS.index(pair[0]))
    order = {pair: number for number, pair in enumerate(models_of)}  # what one model has by several protocols: together
    for row in sorted(quality.to_dict("records"), key=lambda row: order[row["origin"], row["model"]]):
        place = row["dataset"], row["scale"]
        if place not in columns or pd.isna(row["psnr_db"]):
            continue
        budget = 1.0 if pd.isna(row["budget"]) else row["budget"]
        key = row["origin"], row["model"], row["training_set"], budget, row["precision"], row["protocol"]
        if key not in found:
            trained = f"on {row['training_set']}" if row["training_set"] else ""
            short = f"{budget:g} of the budget" if budget != 1 else ""
            told = ", ".join(filter(None, [trained, short, row["protocol"]]))
            found[key] = Line(row["model"], told, [None] * len(columns))
        found[key].cells[columns.index(place)] = _cell(row)
    return list(found.values())


def _cell(row: dict[Any, Any]) -> Cell:
    glyph, told = GLYPHS[row["verdict"]]
    gap = row["gap_db"]
    text = f"{row['psnr_db']:.2f}" if pd.isna(gap) else f"{gap:+.3f}".replace("-", "−")
    printed = "" if pd.isna(gap) else f", printed {row['published_psnr_db']:.2f}"
    whole = f"{row['model']}, {row['dataset']} ×{row['scale']}: {row['psnr_db']:.3f} dB{printed}; {told}"
    return Cell(row["run"], row["verdict"], glyph, text, whole)


def _claims(data: Data) -> dict[str, list[dict[str, str]]]:
    """Rows of `claims.csv` for people, by claim."""
    table = data.others.get(SETTLED)
    rows: list[dict[Any, Any]] = (
        [] if table is None else table.astype(object).where(table.notna(), "").to_dict("records")
    )
    found: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        lacking = str(row["note"]).startswith(NOT_RUN)
        measured = row["estimate_db"] != ""
        found.setdefault(row["claim"], []).append(
            {
                "what would be true": row["statement"],
                "verdict": NOT_RUN if lacking else row["verdict"],
                "ahead, dB": _signed(row["estimate_db"]),
                "95 %": f"{_signed(row['low_db'])} to {_signed(row['high_db'])}" if measured else "",
                "bound": _signed(row["threshold_db"]),
                "note": "" if lacking else row["note"],
            }
        )
    return found


def _signed(decibels: float | str) -> str:
    return decibels if isinstance(decibels, str) else f"{decibels:+.3f}".replace("-", "−")


def _speeds(data: Data) -> dict[str, list[dict[str, str]]]:
    """Inference, by device: milliseconds of two sizes, and seconds of a mean image of Set5 beside the printed ones."""
    table = data.others.get(SPEED)
    found: dict[str, list[dict[str, str]]] = {}
    if table is None:
        return found
    table = table[table["task"] == "infer"]
    by = ["device", "machine", "model", "mode", "precision"]
    for (device, machine, model, mode, precision), rows in table.groupby(by, sort=False):
        small = rows[rows["height"] == 256]
        large = rows[rows["height"] == 720]
        printed = published_seconds().get((models.recipe(str(model)).model, *PRINTED_OF))
        found.setdefault(str(device), []).append(
            {
                "model": str(model),
                "mode": f"{mode}, {precision}",
                "256×256, ms": f"{small['median_ms'].iloc[0]:.3g}" if len(small) else "",
                "1280×720, ms": f"{large['median_ms'].iloc[0]:,.0f}" if len(large) else "",
                "Set5, s": f"{MEAN_MEGAPIXELS / small['megapixels_per_s'].iloc[0]:.2g}" if len(small) else "",
                "printed, s": "" if printed is None else f"{printed:.2f}",
                "machine": str(machine),
            }
        )
    return dict(sorted(found.items(), reverse=True))  # a GPU, whose seconds the paper prints, first


def _source(run: Evidence) -> Source:
    about, trained = run.about, run.subject.origin == "trained"
    commits = [str(commit)[:10] for commit in distinct(about, "commit") if commit]
    machines = [str(machine) for machine in distinct(about, "machine") if machine]
    how = [str(about[key]) for key in ("device", "precision", "mode") if about.get(key)] if trained else []
    versions = about.get("versions") or {}
    kept = [f"{name} {versions[name]}" for name in ("python", "torch", "numpy") if name in versions]
    return Source(run.name, ", ".join(commits), " + ".join(machines), ", ".join(how), ", ".join(kept), commands(run))


def commands(run: Evidence) -> list[str]:
    """What makes the numbers of a run folder again: a measurement, where weights can be had, else a training."""
    subject, scales = run.subject, sorted({score.scale for score in run.scores})
    whole = subject.seed in (0, None) and subject.budget in (1, None)
    if subject.origin != "trained" or (whole and all(ships(subject.name, scale) for scale in scales)):
        sets = "".join(f" --set {name}" for name in dict.fromkeys(score.dataset for score in run.scores))
        protocol = run.scores[0].protocol
        under = "" if protocol == MATLAB_Y.name else f" --protocol {protocol}"
        return [f"srrepro evaluate {subject.name} --scale {scale}{sets}{under}" for scale in scales]
    words = [f"srrepro train {subject.name}"]
    words += [] if subject.scale is None else [f"--scale {subject.scale}"]
    words += [f"--seed {subject.seed}"]
    words += [] if subject.budget in (1, None) else [f"--budget {subject.budget:g}"]
    words += ["--device cuda"] if run.about.get("device") == "cuda" else []
    words += [f"--precision {run.about['precision']}"] if run.about.get("precision") else []
    return [" ".join(words)]
