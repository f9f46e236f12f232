"""The figures of the report, drawn by matplotlib: narrow ones, whose words a telephone can still show.

Every function gives one figure, or None where there is nothing to draw. Colours are those of `PALETTE`, which tell
apart by eyes that see no red or green, too; shape or line style always says the same a second time.
"""

import io
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator

from srrepro import models
from srrepro.reporting.curves import Axis, Curve, curve, log_of
from srrepro.reporting.inputs import AT_START, AUTHORS_CURVES, READINGS, SETTLED, THETA, Data
from srrepro.reporting.published import published
from srrepro.reporting.sizes import sizes
from srrepro.reporting.speeds import SPEED
from srrepro.reporting.verdict import bounds

PALETTE = {
    "ink": ("#1b1f24", "#e6e8eb"),
    "quiet": ("#5b6470", "#a3acb8"),
    "grid": ("#d9dde2", "#3a424c"),
    "band": ("#e3ecd9", "#2c3a26"),
    "paper": ("#ffffff", "#14181d"),
    "blue": ("#0068a8", "#5ab4ee"),
    "orange": ("#c24a00", "#ff9447"),
    "green": ("#007a56", "#2fc596"),
    "purple": ("#8a4a93", "#d69be0"),
    "gold": ("#946c00", "#e8b93a"),
    "grey": ("#6b6f76", "#b4b9c1"),
}
"""By name: the colour on a light ground and on a dark one; all have a contrast of 4.5 or more with the ground."""
LIGHT = {name: light for name, (light, _) in PALETTE.items()}
SERIES = ("blue", "orange", "green", "purple", "gold", "grey")
DASHES = ("-", (0, (5, 1.5)), "-.", (0, (1, 1)), (0, (3, 1, 1, 1, 1, 1)), (0, (8, 2)))
ORIGINS = {"interpolation": "grey", "authors": "blue", "trained": "orange"}
SCALES = {2: "o", 3: "^", 4: "s"}
STYLE = {
    "svg.hashsalt": "srrepro",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 11,
    "axes.titlesize": 11,
    "axes.edgecolor": LIGHT["quiet"],
    "axes.labelcolor": LIGHT["ink"],
    "axes.titlecolor": LIGHT["ink"],
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LIGHT["grid"],
    "text.color": LIGHT["ink"],
    "xtick.color": LIGHT["quiet"],
    "ytick.color": LIGHT["quiet"],
    "xtick.labelcolor": LIGHT["ink"],
    "ytick.labelcolor": LIGHT["ink"],
    "legend.frameon": False,
    "legend.fontsize": 9.5,
    "lines.linewidth": 1.8,
    "figure.facecolor": LIGHT["paper"],
    "savefig.facecolor": LIGHT["paper"],
    "figure.constrained_layout.use": True,
}
WIDTH = 4.6
PNG_DPI = 160
FULL_BUDGET = 1.0


@dataclass(frozen=True)
class Figure:
    """One figure. `svg` is for white ground; `inline` is the same for a page, whose colours follow the page's."""

    name: str
    alt: str
    svg: str
    png: bytes

    @property
    def inline(self) -> str:
        text = self.svg[self.svg.index("<svg") :]
        for name, (light, _) in PALETTE.items():
            text = text.replace(light, f"var(--{name})")
        text = re.sub(r'( id="|url\(#|xlink:href="#)', rf"\g<1>{self.name}-", text)
        text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
        return text.replace("<svg ", f'<svg role="img" aria-label="{self.alt}" ', 1)


def drawn(data: Data) -> Iterator[Figure]:
    """All figures that there is something to draw for, in the order of the report."""
    for name, draw in FIGURES.items():
        with matplotlib.rc_context(STYLE):  # type: ignore[arg-type, unused-ignore]
            canvas = Canvas(figsize=(WIDTH, 4))
            alt = draw(canvas, data)
            if alt:
                yield Figure(name, alt, *rendered(canvas))


def rendered(canvas: Canvas) -> tuple[str, bytes]:
    """A drawing as SVG, the same for the same drawing, and as PNG for slides."""
    svg, png = io.BytesIO(), io.BytesIO()
    canvas.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
    canvas.savefig(png, format="png", dpi=PNG_DPI, metadata={"Software": None})
    lines = svg.getvalue().decode().splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n", png.getvalue()


# How far numbers are from the printed ones.


def gaps_measured(canvas: Canvas, data: Data) -> str:
    """Interpolation and authors' weights: one line a method, one mark a set and scale."""
    rows = _with_gap(data.quality)
    return _gaps(canvas, rows[rows["origin"].isin(["interpolation", "authors"])], within=bounds("authors").psnr_db)


def gaps_trained(canvas: Canvas, data: Data) -> str:
    """What was trained here, at its full budget."""
    rows = _with_gap(data.quality)
    rows = rows[(rows["origin"] == "trained") & (rows["budget"] >= FULL_BUDGET)]
    return _gaps(canvas, rows, within=bounds("trained").psnr_db)


def _with_gap(quality: pd.DataFrame) -> pd.DataFrame:
    return quality[quality["gap_db"].notna()]


def _gaps(canvas: Canvas, rows: pd.DataFrame, *, within: float) -> str:
    if rows.empty:
        return ""
    names = list(dict.fromkeys(rows["model"]))
    canvas.set_size_inches(WIDTH, 1.6 + 0.42 * len(names))
    axes = canvas.add_subplot()
    axes.axvspan(-within, within, color=LIGHT["band"], zorder=0)
    axes.axvline(0, color=LIGHT["ink"], linewidth=1)
    for place, name in enumerate(names):
        axes.text(0, place - 0.42, f" {name}", transform=axes.get_yaxis_transform(), va="center", fontsize=10.5)
        for row in rows[rows["model"] == name].to_dict("records"):
            colour = LIGHT[ORIGINS[row["origin"]]]
            several = bool({"2", "3+"} & set(str(row["published_conf"]).split()))
            axes.plot(
                *(row["gap_db"], place + 0.08 + 0.1 * (row["scale"] - 3)),
                marker=SCALES[row["scale"]],
                markersize=6,
                color=colour,
                markerfacecolor=colour if several else LIGHT["paper"],
                alpha=0.85,
                linestyle="none",
            )
    axes.set_ylim(len(names) - 0.4, -0.8)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y", visible=False)
    least, most = min(rows["gap_db"].min(), -within), max(rows["gap_db"].max(), within)
    axes.set_xlim(least - 0.08 * (most - least), most + 0.08 * (most - least))
    axes.set_xlabel("measured minus printed, dB")
    _legend(
        axes,
        [
            *(_mark(f"×{scale}", "ink", marker) for scale, marker in SCALES.items()),
            _mark("several sources print it", "ink", "D"),
            _mark("one source, or recalled", "ink", "D", hollow=True),
            _patch(f"± {within:g} dB: counts as the same", "band"),
        ],
        columns=2,
    )
    inside = int((rows["gap_db"].round(9).abs() <= within).sum())
    return (
        f"Dot plot of {len(rows)} gaps to printed PSNR: {inside} lie within {within:g} dB; they go from "
        f"{rows['gap_db'].min():+.3f} to {rows['gap_db'].max():+.3f} dB."
    )


# Learning curves.

SHOWN = ("Set5", 3)
FLIPS = "VDSR, flips"


def curves_backprops(canvas: Canvas, data: Data) -> str:
    """PSNR against patches seen."""
    return _curves_of_runs(canvas, data, "backprops")


def curves_seconds(canvas: Canvas, data: Data) -> str:
    """PSNR against the processor's seconds times its cores; of a GPU, against its seconds."""
    return _curves_of_runs(canvas, data, "core-seconds")


def _curves_of_runs(canvas: Canvas, data: Data, axis: Axis) -> str:
    lines: dict[str, list[Curve]] = {}
    for run in data.runs:
        if run.log and (run.subject.budget or 0) >= FULL_BUDGET:
            found = curve(log_of(run), *SHOWN, axis, run.subject.name)
            if found is not None:
                lines.setdefault(run.subject.name, []).append(found)
    if not lines:
        return ""
    canvas.set_size_inches(WIDTH, 5.8)
    axes = canvas.add_subplot()
    for place, (name, curves) in enumerate(lines.items()):
        for number, one in enumerate(curves):
            label = name + (" (GPU)" if one.device != "cpu" else "") if number == 0 else "_"
            axes.plot(one.x, one.psnr_db, color=_series(place), linestyle=DASHES[place % len(DASHES)], label=label)
    for value, text in _printed_lines():
        axes.axhline(value, color=LIGHT["quiet"], linewidth=1, linestyle=(0, (2, 2)))
        axes.annotate(
            *(f"{text}\n{value:.2f}", (1, value)),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            fontsize=8.5,
            va="bottom" if text == FLIPS else "center",  # another line is just below
        )
    axes.set_xscale("log")
    axes.set_ylabel("Set5 ×3, dB")
    axes.set_xlabel("patches seen (backprops)" if axis == "backprops" else "core-seconds of training; GPU: seconds")
    _legend(axes, columns=1)
    highest = max(one.psnr_db[-1] for curves in lines.values() for one in curves)
    return (
        f"Learning curves on Set5 at x3 of {len(lines)} recipes against {axis}, with the printed values as dotted "
        f"lines. The highest ends at {highest:.2f} dB."
    )


def _printed_lines() -> list[tuple[float, str]]:
    wanted = (
        ("bicubic", "", "", "bicubic"),
        ("SRCNN 9-1-5", "T91", "", "SRCNN"),
        ("VDSR", "T91", "", "VDSR"),
        ("VDSR", "T91", "flips and rotations", FLIPS),
    )
    return [
        (published()[model, training_set, setting, *SHOWN, "matlab-y-v1"].psnr_db, text)
        for model, training_set, setting, text in wanted
    ]


def chosen_curves(curves: Sequence[Curve], axis: Axis, dataset: str) -> tuple[str, bytes]:
    """For `srrepro plot`: the curves of any runs, as SVG and PNG."""
    with matplotlib.rc_context(STYLE):  # type: ignore[arg-type, unused-ignore]
        canvas = Canvas(figsize=(WIDTH, 4.2))
        axes = canvas.add_subplot()
        for place, one in enumerate(curves):
            style = DASHES[place % len(DASHES)]
            axes.plot(one.x, one.psnr_db, color=_series(place), linestyle=style, marker=".", label=one.label)
        axes.locator_params(axis="x", nbins=5)
        axes.set_xlabel(axis)
        axes.set_ylabel(f"{dataset}, dB")
        _legend(axes, columns=1)
        return rendered(canvas)


# What VDSR's recipe may have been.

RATE = 0.1
EPOCHS = 20


def readings(canvas: Canvas, data: Data) -> str:
    """A panel for every reading of the recipe, beside the authors' curve; the nearest first."""
    if not {AUTHORS_CURVES, READINGS} <= data.others.keys():
        return ""
    theirs, ours = (
        table[(table["network"] == "residual") & (table["initial_lr"] == RATE) & (table["epoch"] <= EPOCHS)]
        for table in (data.others[AUTHORS_CURVES], data.others[READINGS])
    )
    printed = theirs.set_index("epoch")["psnr_db"]
    found = {str(name): one.set_index("epoch")["psnr_db"] for name, one in ours[ours["seed"] == 0].groupby("reading")}
    off = {name: float((one - printed).dropna().tail(10).mean()) for name, one in found.items()}
    order = sorted(found, key=lambda name: abs(off[name]))
    lines = -(-len(order) // 3)
    canvas.set_size_inches(WIDTH, 0.6 + 1.28 * lines)
    panels: Any = canvas.subplots(lines, 3, sharex=True, sharey=True, squeeze=False)
    for number, panel in enumerate(panels.flat):
        if number >= len(order):
            panel.set_visible(False)
            continue
        name = order[number]
        panel.plot(printed.index, printed, color=LIGHT["ink"], linewidth=2.2, alpha=0.55)
        panel.plot(found[name].index, found[name], color=LIGHT["blue"], linewidth=1.6)
        panel.set_title(_broken(name), loc="left", fontsize=8.5, pad=3)
        panel.text(
            *(0.96, 0.05, f"{off[name]:+.2f} dB".replace("-", "−")),
            transform=panel.transAxes,
            ha="right",
            fontsize=9,
            bbox={"facecolor": LIGHT["paper"], "edgecolor": "none", "pad": 1},
        )
        panel.set_ylim(34.1, 37.3)
        panel.set_xticks([1, 10, 20])
        panel.tick_params(labelsize=9)
    canvas.supxlabel("epoch", fontsize=10)
    canvas.supylabel("Set5 ×2, dB", fontsize=10)
    return (
        f"Small plots of {len(order)} readings of VDSR's recipe beside the authors' own curve, depth 10, x2. The "
        f"nearest is '{order[0]}', {off[order[0]]:+.2f} dB over its last ten epochs; "
        f"the farthest '{order[-1]}', {off[order[-1]]:+.2f} dB."
    )


def _broken(name: str, longest: int = 20) -> str:
    """A name in at most two lines."""
    first, _, rest = name.partition(", ")
    return name if len(name) <= longest else f"{first},\n{rest}"


# Gradients.


def clipping(canvas: Canvas, data: Data) -> str:
    """The share of weights whose gradient was clipped, over the first iterations, for every bound."""
    if THETA not in data.others:
        return ""
    table = data.others[THETA]
    table = table[(table["clipping"] == "ClipByRate") & (table["loss_kind"] == "sum / 2N")]
    share = table.groupby(["theta", "call"])["clipped_share"].mean().unstack("theta")
    canvas.set_size_inches(WIDTH, 3.6)
    axes = canvas.add_subplot()
    for place, theta in enumerate(share):
        axes.plot(
            *(share.index, 100 * share[theta]),
            color=_series(place),
            linestyle=DASHES[place],
            label=f"θ = {float(str(theta)):.0e}".replace("e-0", "e-"),
        )
    axes.set_xlabel("iteration")
    axes.set_ylabel("gradients clipped, %")
    axes.set_ylim(0)
    _legend(axes, columns=3)
    last = 100 * share.iloc[-1]
    told = ", ".join(f"{value:.0f} % at {float(str(theta)):.0e}" for theta, value in last.items())
    return f"Share of gradients that are clipped, by bound theta; after 150 iterations {told}."


def gradients(canvas: Canvas, data: Data) -> str:
    """The norm of every layer's gradient before the first step, of two initialisations."""
    if AT_START not in data.others:
        return ""
    table = data.others[AT_START]
    canvas.set_size_inches(WIDTH, 3.6)
    axes = canvas.add_subplot()
    ends = []
    for place, (name, one) in enumerate(table.groupby("recipe", sort=False)):
        axes.semilogy(one["layer"], one["gradient_norm"], color=_series(place), marker="os"[place % 2], label=name)
        ends.append(f"{name} from {one['gradient_norm'].min():.0e} to {one['gradient_norm'].max():.0e}")
    axes.set_xlabel("layer")
    axes.set_ylabel("norm of the gradient")
    _legend(axes, columns=2)
    return f"Norms of the gradients by layer before the first step: {'; '.join(ends)}."


# Speed and size.

PLACE = {"height": 720, "width": 1280}
MODES = {
    "plain": "o",
    "eager": "^",
    "native": "s",
    "graph": "D",
    "compiled": "v",
    "onnxruntime": "x",
    "openvino": "+",
}


def speed(canvas: Canvas, data: Data) -> str:
    """PSNR against the time that an image takes; one mark a mode, lines join those of a network and machine."""
    if SPEED not in data.others:
        return ""
    table = data.others[SPEED]
    at_size = (table["task"] == "infer") & (table["height"] == PLACE["height"])
    table = table[at_size & (table["precision"] == "float32")]
    rows = [(row, quality) for row in table.to_dict("records") if (quality := best_known(row["model"], data.quality))]
    if not rows:
        return ""
    canvas.set_size_inches(WIDTH, 4.2)
    axes = canvas.add_subplot()
    machines = list(dict.fromkeys(row["machine"] for row, _ in rows))
    longest = max(row["median_ms"] for row, _ in rows) / 1000
    for place, machine in enumerate(machines):
        colour = _series(place)
        for model in dict.fromkeys(row["model"] for row, _ in rows):
            same = [(row, value) for row, value in rows if (row["machine"], row["model"]) == (machine, model)]
            if not same:
                continue
            level = same[0][1] + 0.045 * place  # beside each other, not on top
            times = [row["median_ms"] / 1000 for row, _ in same]
            axes.plot(times, [level] * len(times), color=colour, linewidth=1)
            for row, _ in same:
                axes.plot(row["median_ms"] / 1000, level, marker=MODES[row["mode"]], color=colour)
            if place == 0:
                text, right = f"{model}, {same[0][1]:.2f} dB", max(times) < longest / 8
                at, offset = (max(times), (9, -4)) if right else (min(times), (0, -14))
                axes.annotate(text, (at, level), xytext=offset, textcoords="offset points", fontsize=10)
    axes.set_xscale("log")
    axes.set_xlabel("seconds for 1280×720")
    axes.set_ylabel("Set5 ×3, dB")
    axes.margins(y=0.2, x=0.1)
    used = [mode for mode in MODES if any(row["mode"] == mode for row, _ in rows)]
    legend = [_mark(mode, "ink", MODES[mode]) for mode in used]
    legend += [_line(_short_machine(machine), place) for place, machine in enumerate(machines)]
    _legend(axes, legend, columns=2)
    shortest = min(row["median_ms"] for row, _ in rows) / 1000
    return (
        f"Quality against time for an image of 1280x720 on {len(machines)} machines: from {shortest:.2g} to "
        f"{longest:.2g} seconds."
    )


def best_known(recipe: str, quality: pd.DataFrame) -> float:
    """What the best weights of a recipe's network score on Set5 at x3; 0 where none were measured."""
    rows = quality[(quality["dataset"] == SHOWN[0]) & (quality["scale"] == SHOWN[1])]
    rows = rows[rows["published_as"] == models.recipe(recipe).model]
    return float(rows["psnr_db"].max()) if len(rows) else 0.0


def _short_machine(name: str) -> str:
    return name.partition(" (family")[0].replace("(R)", "").replace(" Processor", "")


BESIDE = {
    "FSRCNN": (8, 0, "left"),
    "FSRCNN-s": (0, 12, "center"),
    "SRCNN 9-1-5": (0, -13, "center"),
    "SRCNN 9-3-5": (0, 12, "center"),
    "SRCNN 9-5-5": (8, 0, "left"),
    "DnCNN-3": (-8, -1, "right"),
    "VDSR": (0, -13, "center"),
}
"""Where the name of a network stands beside its mark, in points, where the left of it is taken."""


def parameters(canvas: Canvas, data: Data) -> str:
    """PSNR of the authors' weights against the size of the network."""
    rows = data.quality[(data.quality["dataset"] == SHOWN[0]) & (data.quality["scale"] == SHOWN[1])]
    rows = rows[rows["origin"] == "authors"].sort_values("psnr_db").drop_duplicates("published_as", keep="last")
    count = {size.model: size.parameters for size in sizes() if size.scale == SHOWN[1]} if len(rows) else {}
    points = [
        (name, count[name], value)
        for name, value in zip(rows["published_as"], rows["psnr_db"], strict=True)
        if name in count
    ]
    if not points:
        return ""
    canvas.set_size_inches(WIDTH, 4.2)
    axes = canvas.add_subplot()
    for name, size, value in points:
        axes.plot(size, value, marker="o", color=LIGHT["blue"], markersize=7)
        x, y, aligned = BESIDE.get(name, (-8, 0, "right"))
        axes.annotate(
            *(name, (size, value)),
            xytext=(x, y),
            textcoords="offset points",
            ha=aligned,
            va="center",
            fontsize=10,
        )
    bicubic = data.quality[(data.quality["model"] == "bicubic") & (data.quality["dataset"] == SHOWN[0])]
    bicubic = bicubic[bicubic["scale"] == SHOWN[1]]
    if len(bicubic):
        level = float(bicubic["psnr_db"].iloc[0])
        axes.axhline(level, color=LIGHT["quiet"], linewidth=1, linestyle=(0, (2, 2)))
        axes.text(0.99, level, "bicubic: none", transform=axes.get_yaxis_transform(), ha="right", va="bottom")
    axes.set_xscale("log")
    axes.margins(x=0.14, y=0.08)
    axes.set_xlabel("parameters")
    axes.set_ylabel("Set5 ×3, dB")
    largest = max(points, key=lambda point: point[2])
    return f"Quality against size of {len(points)} networks at x3: the best is {largest[0]}, {largest[2]:.2f} dB, {largest[1]:,} parameters."  # noqa: E501


# The practice notes' claims.

TICKS = (-10, -1, -0.1, 0, 0.1, 1, 10)
"""Decibels. Those that matplotlib chooses overlap where the axis goes over to logarithms."""


def claims(canvas: Canvas, data: Data) -> str:
    """One dot and its interval a row that has a number, beside the bound that it was held against."""
    if SETTLED not in data.others:
        return ""
    table = data.others[SETTLED]
    table = table[table["estimate_db"].notna()].iloc[::-1]
    if table.empty:
        return ""
    canvas.set_size_inches(WIDTH, 0.9 + 0.27 * len(table))
    axes = canvas.add_subplot()
    for place, row in enumerate(table.to_dict("records")):
        colour, marker = VERDICTS[row["verdict"]]
        ends = [[row["low_db"]], [row["high_db"]]]
        axes.plot(ends, [[place], [place]], color=LIGHT[colour], linewidth=1.4)
        axes.plot([row["estimate_db"]], [place], linestyle="none", marker=marker, color=LIGHT[colour])
        axes.plot([row["threshold_db"]], [place], linestyle="none", marker="|", markersize=11, color=LIGHT["ink"])
    axes.set_xscale("symlog", linthresh=0.1)
    least, most = axes.get_xlim()
    shown = [decibels for decibels in TICKS if least <= decibels <= most]
    axes.set_xticks(shown, [f"{decibels:g}".replace("-", "−") for decibels in shown], fontsize=9)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.axvline(0, color=LIGHT["quiet"], linewidth=0.8)
    names = [f"{row['claim']}: {row['row']}" for row in table.to_dict("records")]
    axes.set_yticks(range(len(table)), names, fontsize=9)
    axes.set_ylim(-0.7, len(table) - 0.3)  # a margin of a share would grow with the rows
    axes.set_xlabel("ahead, dB")
    said = table["verdict"].value_counts()
    handles = [_mark(verdict, *VERDICTS[verdict]) for verdict in VERDICTS if verdict in said]
    _legend(axes, [*handles, _mark("bound", "ink", "|")], columns=2)
    counted = ", ".join(f"{said[verdict]} {verdict}" for verdict in VERDICTS if verdict in said)
    return f"Differences with their intervals of {len(table)} rows: {counted}."


VERDICTS = {"holds": ("green", "o"), "does not hold": ("orange", "s"), "undecided": ("grey", "D")}
FIGURES: dict[str, Callable[[Canvas, Data], str]] = {
    "gaps-measured": gaps_measured,
    "gaps-trained": gaps_trained,
    "curves-backprops": curves_backprops,
    "curves-seconds": curves_seconds,
    "readings": readings,
    "clipping": clipping,
    "gradients": gradients,
    "parameters": parameters,
    "speed": speed,
    "claims": claims,
}


def _series(place: int) -> str:
    return LIGHT[SERIES[place % len(SERIES)]]


def _mark(label: str, colour: str, marker: str, *, hollow: bool = False) -> Any:
    face = LIGHT["paper"] if hollow else LIGHT[colour]
    return Line2D([], [], linestyle="none", marker=marker, color=LIGHT[colour], markerfacecolor=face, label=label)


def _line(label: str, place: int) -> Any:
    return Line2D([], [], color=_series(place), label=label)


def _patch(label: str, colour: str) -> Any:
    return Patch(color=LIGHT[colour], label=label)


def _legend(axes: Axes, handles: Sequence[Any] | None = None, *, columns: int) -> None:
    """Below the axes, where it hides nothing."""
    canvas: Any = axes.figure
    canvas.legend(
        handles=axes.get_legend_handles_labels()[0] if handles is None else list(handles),
        loc="outside lower center",
        ncol=columns,
        columnspacing=1.2,
        handletextpad=0.5,
        handlelength=2.2,
    )


assert len({light for light, _ in PALETTE.values()}) == len(PALETTE), "colours are found by their value"
