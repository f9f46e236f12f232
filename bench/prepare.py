"""Preparing data beside the same done plainly: every image of T91 and the test sets shrunk and enlarged.

Plainly: MATLAB's algorithm as people write it in NumPy, in float64, image by image: the contributing pixels of every
output row or column gathered, multiplied by their weights, and summed. Both take turns at all images: taking turns at
every image, either would find the caches and the memory that the other left.

    python bench/prepare.py --mirror DIR
"""

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import click
import numpy as np

from srrepro.data.registry import DataFolder, fetch
from srrepro.jobs.job import SCALES
from srrepro.jobs.prepare import prepare
from srrepro.pixels import images
from srrepro.pixels.color import luminance
from srrepro.pixels.resize import imresize
from srrepro.protocols.degradation import modcrop

SETS = ("T91", "Set5", "Set14", "B100")
ROUNDS = 3
Resize = Callable[[np.ndarray, float], np.ndarray]


def cubic(x: np.ndarray) -> np.ndarray:
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0))


def plain_resize(plane: np.ndarray, scale: float) -> np.ndarray:
    """MATLAB's contributions, first of the rows, then of the columns."""
    for axis in (0, 1):
        size = plane.shape[axis]
        length = int(np.ceil(size * scale))
        stretch = min(scale, 1.0)
        width = 4 / stretch
        centre = (np.arange(length) + 0.5) / scale - 0.5
        first = np.floor(centre - width / 2).astype(int)
        at = first[:, None] + np.arange(int(np.ceil(width)) + 2)
        weights = stretch * cubic(stretch * (centre[:, None] - at))
        weights /= weights.sum(1, keepdims=True)
        at = at % (2 * size)
        at = np.minimum(at, 2 * size - 1 - at)
        gathered = np.moveaxis(plane, axis, 0)[at]
        plane = np.moveaxis((gathered * weights[..., None]).sum(1), 0, axis)
    return plane


def there_and_back(resize: Resize, plane: np.ndarray, scale: int) -> np.ndarray:
    return resize(resize(plane, 1 / scale), scale)


def timed(resize: Resize, todo: list[tuple[np.ndarray, int]]) -> float:
    begun = perf_counter()
    for plane, scale in todo:
        there_and_back(resize, plane, scale)
    return perf_counter() - begun


@click.command()
@click.option("--data", type=click.Path(path_type=Path), envvar="SRREPRO_DATA", default=Path("datasets"))
@click.option("--mirror", type=click.Path(path_type=Path), envvar="SRREPRO_MIRROR")
def main(data: Path, mirror: Path | None) -> None:
    folder = DataFolder(data, mirror)
    todo = [
        (luminance(modcrop(image, scale)) / 255.0, scale)
        for name in SETS
        for image in map(images.read, fetch(folder, name))
        for scale in SCALES
    ]
    largest = 0.0
    for plane, scale in todo:
        differing = there_and_back(imresize, plane, scale) - there_and_back(plain_resize, plane, scale)
        largest = max(largest, float(np.abs(differing).max()))
    seconds = [(timed(imresize, todo), timed(plain_resize, todo)) for _ in range(ROUNDS)]
    ours_s, plain_s = (statistics.median(times) for times in zip(*seconds, strict=True))
    ratio = statistics.median(plain / ours for ours, plain in seconds)
    click.echo(
        f"{len(todo)} planes shrunk and enlarged: {ours_s:.2f} s, plainly {plain_s:.2f} s, "
        f"{ratio:.1f} times as fast; differing by {largest:.1e}"
    )
    for names in (("T91",), ("291",), SETS):
        with tempfile.TemporaryDirectory() as empty:
            started = perf_counter()
            prepare(DataFolder(Path(empty), mirror), names, tell=click.echo)
            took = perf_counter() - started
        click.echo(f"srrepro prepare {' '.join(names)}, from the mirror, into an empty folder: {took:.1f} s")


if __name__ == "__main__":
    main()
