"""Pictures at any scale: the right size, nothing hidden that bleeds in, and bands that are equal to the whole."""

import math
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import skimage.data
from PIL import Image

from srrepro.data.registry import DataFolder
from srrepro.evaluation.pictures import Enlarger, factors, reduced, side_by_side
from srrepro.evaluation.upscaler import Upscaler, load
from srrepro.hardware import Hardware
from srrepro.pixels import picture
from srrepro.pixels.picture import Picture

CASES = Path(__file__).parents[1] / "cases"
CHELSEA = skimage.data.chelsea()[100:150, 120:181]
T = TypeVar("T")


def finished(work: Generator[None, None, T]) -> tuple[T, int]:
    """What comes out in the end, and after how many steps."""
    steps = 0
    while True:
        try:
            next(work)
        except StopIteration as end:
            return end.value, steps
        steps += 1


def enlarger(scale: float, model: str = "bicubic", hardware: Hardware | None = None) -> Enlarger:
    return Enlarger.load(model, scale, folder=DataFolder(Path("nowhere")), hardware=hardware or Hardware())


@pytest.mark.parametrize("scale", [1, 1.1, 2, 2.5, 3, 3.01, 4, 4.5, 5, 6, 7, 8, 8.5, 9, 10, 12, 13, 16])
def test_networks_give_as_much_or_the_least_more(scale: float) -> None:
    products = {math.prod(chain) for chain in ((a, b) for a in (1, 2, 3, 4) for b in (1, 2, 3, 4))} - {1}
    assert math.prod(factors(scale)) == min(product for product in products if product >= scale)
    assert factors(scale)[0] == max(factors(scale))


@pytest.mark.parametrize("scale", [1, 1.5, 2, 2.5, 3, 4, 5, 8, 16])
@pytest.mark.parametrize("wide", [False, True], ids=["8", "16"])
def test_every_scale_gives_its_size_and_the_same_picture(scale: float, wide: bool) -> None:
    small, times = CHELSEA[:12, :17], 257 if wide else 1
    levels = small.astype(np.uint16) * 257 if wide else small
    given = Picture(levels, np.full_like(levels[..., 0], 255 * times))
    big, steps = finished(enlarger(scale).enlarge(given))
    assert big.size == (round(17 * scale), round(12 * scale))
    assert steps == enlarger(scale).steps(17, 12, alpha=True, compare=False)
    assert big.levels.dtype == given.levels.dtype
    assert big.alpha is not None
    assert (big.alpha == 255 * times).all()
    back = Image.fromarray((big.levels // times).astype(np.uint8)).resize((17, 12), Image.Resampling.BOX)
    assert np.abs(np.asarray(back).astype(int) - small).mean() < 4


def test_what_is_hidden_beneath_transparency_does_not_bleed_in() -> None:
    given = picture.read(CASES / "alpha.png")
    assert given.alpha is not None
    hidden = given.alpha == 0
    assert (given.levels[hidden] == (255, 0, 0)).all()
    big, _ = finished(enlarger(3, "srcnn-915-quick").enlarge(given))
    blue = replace(given, levels=np.where(hidden[..., None], (0, 0, 255), given.levels).astype(np.uint8))
    other, _ = finished(enlarger(3, "srcnn-915-quick").enlarge(blue))
    np.testing.assert_array_equal(big.levels, other.levels)
    assert big.alpha is not None
    edge = hidden.argmax(axis=1)[0] * 3
    assert (big.alpha[:, : edge - 6] == 255).all()
    assert (big.alpha[:, edge + 6 :] == 0).all()


def test_a_picture_that_is_all_hidden_is_enlarged_as_it_is() -> None:
    given = Picture(CHELSEA, np.zeros(CHELSEA.shape[:2], np.uint8))
    np.testing.assert_array_equal(
        finished(enlarger(2).enlarge(given))[0].levels, finished(enlarger(2).enlarge(Picture(CHELSEA)))[0].levels
    )


def test_black_of_a_grey_picture_stays_black() -> None:
    given = picture.read(CASES / "grey_black.png").levels
    big = load("srcnn-915-quick", 3).image(given)
    assert (given < 13).mean() > 0.7
    assert big.min() == 0
    assert np.abs((big < 13).mean() - (given < 13).mean()) < 0.02


@pytest.mark.parametrize("level", [0, 1, 5, 128, 254, 255])
def test_flat_grey_is_as_flat_colour(level: int) -> None:
    upscaler = load("srcnn-915-quick", 3)
    grey = upscaler.image(np.full((20, 20), level, np.uint8))
    colour = upscaler.image(np.full((20, 20, 3), level, np.uint8))
    assert np.abs(grey[..., None].astype(int) - colour).max() <= 1


def test_16_bits_are_more_than_8() -> None:
    upscaler = load("srcnn-915-quick", 3)
    fine = upscaler.image(CHELSEA.astype(np.uint16) * 257)
    assert len(np.unique(fine)) > 256 * 4
    np.testing.assert_allclose(fine / 257, upscaler.image(CHELSEA), atol=0.51)


@pytest.mark.parametrize(
    ("model", "scale", "memory"),
    [
        *(("srcnn-915-quick", scale, 2 << 20) for scale in (2, 3, 4)),
        *(("bicubic", scale, 1 << 20) for scale in (2, 3, 4)),
        ("vdsr-t91-muon-overlap", 3, 3 << 20),
    ],
)
@pytest.mark.parametrize("colour", [True, False], ids=["colour", "grey"])
def test_bands_are_the_whole_but_for_rounding(model: str, scale: int, memory: int, colour: bool) -> None:
    given = CHELSEA if colour else CHELSEA[..., 1]
    upscaler = load(model, scale)
    assert len(upscaler.bands(*given.shape[:2])) == 1
    whole = upscaler.image(given).astype(int)
    banded = load(model, scale, hardware=Hardware(memory=memory))
    assert len(banded.bands(*given.shape[:2])) > 1
    difference = np.abs(banded.image(given) - whole)
    assert difference.max() <= 1
    assert difference.mean() < 1e-3
    if model == "bicubic" and scale != 3:
        assert not difference.any()


def test_bands_get_smaller_with_the_memory_and_cover_every_row() -> None:
    for memory in (1 << 20, 16 << 20, 1 << 30):
        upscaler = load("srcnn-915-quick", 3, hardware=Hardware(memory=memory))
        bands = upscaler.bands(3000, 4000)
        assert [inside.start for inside, _, _ in bands[1:]] == [inside.stop for inside, _, _ in bands[:-1]]
        assert (bands[0][0].start, bands[-1][0].stop) == (0, 3000)
    assert len(load("srcnn-915-quick", 3).bands(3000, 4000)) > 5  # so that progress is seen


def test_a_network_that_looks_at_all_of_an_image_gets_it(tmp_path: Path) -> None:
    network = load("bicubic", 2).network
    network.radius = None  # type: ignore[assignment]
    everywhere = Upscaler(load("bicubic", 2).subject, network, 2, Hardware(memory=1 << 20))
    assert len(everywhere.bands(3000, 4000)) == 1


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [(), (3,)])
def test_reducing_keeps_kind_and_flat_levels(kind: type[np.generic], channels: tuple[int, ...]) -> None:
    white = np.iinfo(kind).max
    for level in (0, 7, white):
        small = reduced(np.full((30, 40, *channels), level, kind), (25, 17))
        assert small.shape == (17, 25, *channels)
        assert small.dtype == kind
        assert (small == level).all()


@pytest.mark.parametrize("alpha", [None, np.full((50, 61), 90, np.uint8)], ids=["opaque", "alpha"])
@pytest.mark.parametrize("colour", [True, False], ids=["colour", "grey"])
def test_both_pictures_are_shown_whole_beside_each_other(colour: bool, alpha: np.ndarray | None) -> None:
    left, right = (Picture(pixels if colour else pixels[..., 0], alpha) for pixels in (CHELSEA, 255 - CHELSEA))
    both = side_by_side(left, right, ("bicubic", "network"))
    shown = both.levels if colour else both.levels[..., 0]
    np.testing.assert_array_equal(shown[-50:, :61], left.levels)
    np.testing.assert_array_equal(shown[-50:, -61:], right.levels)
    assert both.size[0] > 2 * 61
    assert both.levels[:-50].min() < 100  # something is written there
    assert (both.alpha is None) == (alpha is None)
