"""Crops for the eye: a photograph, interpolated and by networks, pixel for pixel, with maps of their errors.

A network sees the crop and as much around it as reaches in, so the pixels are those of the whole image's estimate.
"""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from PIL import Image, ImageDraw, ImageFont

from srrepro.data.registry import DataFolder
from srrepro.errors import InputError
from srrepro.evaluation.measure import TestSet
from srrepro.evaluation.saving import error_map
from srrepro.evaluation.upscaler import Upscaler, load
from srrepro.pixels import images
from srrepro.pixels.resize import imresize
from srrepro.protocols.degradation import degrade, modcrop
from srrepro.protocols.named import MATLAB_Y
from srrepro.protocols.protocol import LEVELS, quantise, with_chroma
from srrepro.reporting.evidence import Evidence

SIDE = 56
"""Pixels of a crop's side: at three pixels for one, two of them fit beside each other on a telephone."""
ZOOM = 3
SCALE = 3
Shown = tuple[str, str, str]
"""What a picture is called, the network that made it (empty for the photograph), and what is said of it."""
OURS: tuple[Shown, ...] = (
    ("original", "", "what the others should give"),
    ("bicubic", "bicubic", "interpolation"),
    ("SRCNN, trained here", "srcnn-915-quick", "srcnn-915-quick"),
    ("VDSR, trained here", "vdsr-t91-muon-overlap", "vdsr-t91-muon-overlap"),
)
WITH_AUTHORS: tuple[Shown, ...] = (
    *OURS[:2],
    ("SRCNN, authors", "srcnn-955-authors-imagenet", "9-5-5, on ImageNet"),
    OURS[2],
    ("VDSR, authors", "vdsr-authors", "on 291 images"),
    OURS[3],
)


@dataclass(frozen=True)
class Place:
    """A square of a photograph: its upper left corner, and what one should look at."""

    dataset: str
    image: str
    row: int
    column: int
    look: str


DEMO = (
    Place("demo-test", "chelsea.png", 86, 152, "The rim of the eye."),
    Place("demo-test", "coffee.png", 262, 335, "Reflections in the spoon."),
    Place("demo-test", "camera.png", 132, 258, "The camera's edges."),
)
PAPERS = (
    Place("Set5", "butterfly_GT.bmp", 70, 100, "The wing's lines, which papers like to show."),
    Place("Set14", "zebra.bmp", 110, 185, "Stripes."),
    Place("Set14", "ppt3.bmp", 240, 36, "Letters: luminance is the network's, colour stays bicubic."),
    Place("Set14", "comic.bmp", 100, 110, "Ornaments, some finer than the pixels of the small image."),
    Place(
        "Set14",
        "barbara.bmp",
        465,
        400,
        "Stripes too fine for the small image: gone in all. On this image VDSR is below bicubic.",
    ),
)


@dataclass(frozen=True)
class Picture:
    """One square as a PNG, with the PSNR of the whole image where a run has measured it."""

    title: str
    told: str
    png: bytes
    psnr_db: float | None = None

    @property
    def uri(self) -> str:
        return as_uri(self.png)


@dataclass(frozen=True)
class Row:
    """A place, its pictures, and below them the maps of their errors (none of the original)."""

    place: Place
    pictures: list[Picture]
    errors: list[Picture]


def demo(runs: Sequence[Evidence]) -> list[Row]:
    """Of photographs that may be handed on, by weights that ship. Errors as `images.read`."""
    packaged = Path(str(files("skimage"))) / "data"  # where the registry has them from; no data folder is needed
    return rows(DEMO, OURS, runs, {place.image: images.read(packaged / place.image) for place in DEMO})


def of_papers(runs: Sequence[Evidence], folder: DataFolder) -> list[Row]:
    """Of photographs that papers show, by the authors' weights, too. Errors as `load` and `fetch`."""
    sets = dict.fromkeys(place.dataset for place in PAPERS)
    photographs = {name: pixels for each in sets for name, pixels in TestSet.parse(each).photographs(folder)}
    return rows(PAPERS, WITH_AUTHORS, runs, photographs, folder)


def rows(
    places: Sequence[Place],
    shown: Sequence[Shown],
    runs: Sequence[Evidence],
    photographs: Mapping[str, ndarray],
    folder: DataFolder | None = None,
) -> list[Row]:
    """The crops of all places; `folder` is where released weights are. Errors as `load`."""
    networks = {name: load(name, SCALE, folder=folder) for _, name, _ in shown if name}
    measured = _measured(runs)
    return [_row(place, photographs[place.image], shown, networks, measured) for place in places]


def _measured(runs: Sequence[Evidence]) -> dict[tuple[str, str, str], float]:
    """PSNR by network, set and image, of seed 0 at full budget."""
    return {
        (run.subject.name, score.dataset, score.image): score.values["psnr_db"]
        for run in runs
        if run.subject.seed in (0, None) and (run.subject.budget or 1) >= 1
        for score in run.scores
        if (score.scale, score.protocol) == (SCALE, MATLAB_Y.name)
    }


def _row(
    place: Place,
    photograph: UInt8[ndarray, "h w *c"],
    shown: Sequence[Shown],
    networks: Mapping[str, Upscaler],
    measured: Mapping[tuple[str, str, str], float],
) -> Row:
    whole = modcrop(photograph, SCALE)
    inside = _square(whole, place)
    planes = degrade(photograph, SCALE)
    colours = imresize(imresize(whole / LEVELS, 1 / SCALE), SCALE)[inside]
    reference = planes.reference[inside].astype(np.float64)
    pictures, errors = [], []
    for title, name, told in shown:
        if not name:
            pictures.append(Picture(title, told, _png(whole[inside])))
            continue
        estimate = estimate_of(networks[name], planes.interpolated, inside)
        psnr_db = measured.get((name, place.dataset, place.image))
        pictures.append(Picture(title, told, _png(quantise(with_chroma(estimate, colours))), psnr_db))
        errors.append(Picture(title, told, _png(error_map(estimate * LEVELS - reference))))
    return Row(place, pictures, errors)


def _square(image: UInt8[ndarray, "h w *c"], place: Place) -> tuple[slice, slice]:
    """Where it lies; moved inside where the image ends."""
    corner = (min(start, length - SIDE) for start, length in zip((place.row, place.column), image.shape, strict=False))
    row, column = corner
    if row < 0 or column < 0:
        msg = f"{place.dataset}/{place.image} is smaller than a crop of {SIDE} pixels."
        raise InputError(msg)
    return slice(row, row + SIDE), slice(column, column + SIDE)


def estimate_of(
    network: Upscaler, interpolated: Float[ndarray, "h w"], inside: tuple[slice, slice]
) -> Float[ndarray, "p q"]:
    """A part of the estimate of an interpolated image, computed from as much of it as reaches in."""
    radius = getattr(network.network, "radius", None)
    if radius is None:
        return network.estimate(interpolated)[inside]
    around = tuple(slice(max(0, part.start - radius), part.stop + radius) for part in inside)
    rows, columns = (
        slice(part.start - outer.start, part.stop - outer.start) for part, outer in zip(inside, around, strict=True)
    )
    return network.estimate(interpolated[around])[rows, columns]


def filters(name: str) -> bytes:
    """The filters of a network's first layer, those that differ most first, eight a row, as SRCNN's paper shows them.

    Each is stretched to its own range: grey is zero, white the largest positive weight, black as far below.
    """
    weights = next(load(name, SCALE).network.parameters()).detach().numpy()[:, 0]
    weights = weights[np.argsort(-weights.var(axis=(1, 2)), kind="stable")]
    count, side = len(weights), weights.shape[1]
    across = 8
    down = -(-count // across)
    mosaic = np.full((down * (side + 1) + 1, across * (side + 1) + 1), 255, np.uint8)
    for number, one in enumerate(weights):
        top, left = (1 + part * (side + 1) for part in divmod(number, across))
        mosaic[top : top + side, left : left + side] = np.rint(127.5 + 127.5 * one / (np.abs(one).max() or 1))
    return _png(mosaic)


def montage(row: Row) -> bytes:
    """A row as one picture for slides: names and PSNR of the whole image above, each pixel as a square."""
    side, edge, line = SIDE * ZOOM, 12, 16
    sheet = Image.new("RGB", (len(row.pictures) * (side + edge) - edge, 2 * line + 2 * side + 2 * edge), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for across, picture in enumerate(row.pictures):
        left = across * (side + edge)
        said = "PSNR of all of it:" if picture.psnr_db is None else f"{picture.psnr_db:.2f} dB"
        draw.text((left, 0), f"{picture.title}\n{said}", "black", font)
        sheet.paste(_zoomed(picture), (left, 2 * line + edge // 2))
    top = 2 * line + side + edge + edge // 2
    for across, error in enumerate(row.errors, start=len(row.pictures) - len(row.errors)):
        sheet.paste(_zoomed(error), (across * (side + edge), top))
    draw.text(
        (0, top), f"{row.place.image}, x{SCALE}\n\nErrors beside:\nred is too bright,\nblue too dark.", "black", font
    )
    return _png(np.asarray(sheet))


def _zoomed(picture: Picture) -> Image.Image:
    return (
        Image.open(io.BytesIO(picture.png)).convert("RGB").resize((SIDE * ZOOM, SIDE * ZOOM), Image.Resampling.NEAREST)
    )


def _png(pixels: UInt8[ndarray, "h w *c"]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", optimize=True)
    return stream.getvalue()


def as_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
