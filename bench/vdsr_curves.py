"""The figure of docs/experiments/vdsr-authors.md: the authors' learning curves, and those of the nearest readings.

    python bench/vdsr_curves.py results/choices docs/figures/vdsr-curves.svg

Depth 10, x2, Set5; seeds beside the first are dotted. Needs matplotlib (`pip install -e ".[report]"`).
"""

from pathlib import Path

import click
import matplotlib
import pandas as pd

matplotlib.use("svg")
matplotlib.rcParams.update({"svg.hashsalt": "srrepro", "svg.fonttype": "none", "font.size": 12})
import matplotlib.pyplot as plt  # noqa: E402 (after the backend is chosen)

SHOWN = {
    "code": ("#b35900", "the code as it is"),
    "code, four images": ("#0b6e4f", "with four mirror images"),
    "code, eight images": ("#7b3fa0", "with eight images"),
    "code, 291 images": ("#2166ac", "on 291 images"),
}
RATES = (0.1, 0.01, 0.001)
EPOCHS = 21


@click.command()
@click.argument("place", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("figure", type=click.Path(path_type=Path))
def main(place: Path, figure: Path) -> None:
    authors = pd.read_csv(place / "vdsr-authors-curves.csv")
    ours = pd.read_csv(place / "vdsr-forensics.csv")
    drawing, panels = plt.subplots(len(RATES), 1, figsize=(7, 11), sharex=True)
    for panel, rate in zip(panels, RATES, strict=True):
        theirs = authors[(authors["network"] == "residual") & (authors["initial_lr"] == rate)]
        theirs = theirs[theirs["epoch"] <= EPOCHS]
        panel.plot(theirs["epoch"], theirs["psnr_db"], color="black", linewidth=2.5, label="the authors' figure")
        for reading, (colour, label) in SHOWN.items():
            curves = ours[(ours["reading"] == reading) & (ours["initial_lr"] == rate) & (ours["epoch"] <= EPOCHS)]
            for seed, curve in curves[curves["network"] == "residual"].groupby("seed"):
                first = seed == 0
                panel.plot(
                    curve["epoch"],
                    curve["psnr_db"],
                    color=colour,
                    linewidth=1.5 if first else 0.8,
                    linestyle="-" if first else ":",
                    label={0: label, 1: f"{label}, other seeds"}.get(seed),
                )
        panel.set_title(f"initial learning rate {rate:g}", loc="left", fontsize=12)
        panel.set_ylabel("Set5 ×2, dB")
        panel.grid(color="#dddddd")
        panel.legend(loc="lower right", fontsize=10, frameon=True)
    panels[0].set_ylim(35.3, 37.25)
    panels[-1].set_xticks([1, 5, 10, 15, 20])
    panels[-1].set_xlabel("epoch")
    drawing.tight_layout()
    figure.parent.mkdir(parents=True, exist_ok=True)
    drawing.savefig(figure, metadata={"Date": None})
    figure.write_text("\n".join(line.rstrip() for line in figure.read_text(encoding="utf-8").splitlines()) + "\n")


if __name__ == "__main__":
    main()
