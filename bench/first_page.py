"""The picture of the README: a demo photograph, bicubic, SRCNN and VDSR beside it, with what each scores.

    python bench/first_page.py docs/figures/first-page.png --data datasets

Weights are those that ship; scores are of the whole photograph, `matlab-y-v1`. Needs matplotlib.
"""

from pathlib import Path

import click
import matplotlib.pyplot as plt
import numpy as np
from numpy import ndarray

from srrepro.data.registry import DataFolder
from srrepro.evaluation.measure import TestSet
from srrepro.evaluation.upscaler import Upscaler, load
from srrepro.pixels.resize import imresize
from srrepro.protocols.degradation import modcrop
from srrepro.protocols.named import MATLAB_Y
from srrepro.protocols.protocol import LEVELS, quantise, with_chroma

SCALE = 3
NAME = "coffee.png"
CROP = (slice(60, 150), slice(330, 450))
"""Rows and columns: the rim of the cup and the spoon."""
SHOWN = {"bicubic": "bicubic", "SRCNN": "srcnn-915-quick", "VDSR": "vdsr-t91-muon-overlap"}
ZOOM = 3


def enlarged(upscaler: Upscaler, photograph: ndarray) -> tuple[ndarray, float]:
    """In colour, and its PSNR in dB."""
    planes = MATLAB_Y.degradation(photograph, SCALE)
    estimate = upscaler.estimate(MATLAB_Y.fed(planes, upscaler.takes))
    small = imresize(modcrop(photograph, SCALE) / LEVELS, 1 / SCALE)
    return quantise(with_chroma(estimate, imresize(small, SCALE))), MATLAB_Y.scores(estimate, planes, SCALE)["psnr_db"]


@click.command()
@click.argument("out", type=click.Path(path_type=Path))
@click.option("--data", type=click.Path(path_type=Path), default=Path("datasets"))
def main(out: Path, data: Path) -> None:
    """Draw it."""
    photograph = dict(TestSet("demo-test").photographs(DataFolder(data)))[NAME]
    panels = {"original": photograph[CROP]}
    for title, name in SHOWN.items():
        picture, psnr_db = enlarged(load(name, SCALE), photograph)
        panels[f"{title}, {psnr_db:.2f} dB"] = picture[CROP]
    height, width = (side * ZOOM for side in next(iter(panels.values())).shape[:2])
    figure, axes = plt.subplots(2, 2, figsize=((2 * width + 12) / 100, (2 * height + 88) / 100), dpi=100)
    for axis, (title, pixels) in zip(axes.flat, panels.items(), strict=True):
        axis.imshow(np.kron(pixels, np.ones((ZOOM, ZOOM, 1), np.uint8)), interpolation="none")
        axis.set_title(title, fontsize=15, y=-0.15)
        axis.axis("off")
    figure.subplots_adjust(left=0.005, right=0.995, top=0.995, bottom=0.07, wspace=0.015, hspace=0.16)
    figure.savefig(out, facecolor="white", metadata={"Software": None})


if __name__ == "__main__":
    main()
