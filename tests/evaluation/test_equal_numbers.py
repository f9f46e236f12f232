"""A number must not depend on what it was computed on: threads, convolutions in C or PyTorch's, the memory for tiles.

These differ by rounding, which is not to be seen in a PSNR: 0.001 dB is a hundredth of what papers print.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch

import srrepro
from srrepro import models
from srrepro.data.registry import DataFolder
from srrepro.data.stores import Example
from srrepro.evaluation.measure import TestSet, mean_psnr
from srrepro.evaluation.upscaler import Upscaler, load
from srrepro.evaluation.weights import of_run
from srrepro.hardware import Hardware, modes
from srrepro.models.recipe import Recipe, takes
from srrepro.protocols.named import protocol_named

WITHIN_DB = 0.001
SHIPPED = {
    path.stem.rpartition("_x")[0] or path.stem for path in (Path(srrepro.__file__).parent / "weights").glob("*.sa*")
}
PROTOCOL = protocol_named("matlab-y-v1")
WHOLE = 4 << 30


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def ways(upscaler: Upscaler, *memories: int) -> Iterator[tuple[str, Upscaler]]:
    """The same network on one and two threads, in C and by PyTorch, whole and in tiles; which of these, in words."""
    for threads, mode, memory in product((1, 2), modes("cpu", "float32"), (WHOLE, *memories)):
        hardware = Hardware(precision="float32", mode=mode, memory=memory, threads=threads)
        with torch_threads(threads):
            yield (
                f"{threads} threads, {mode}, {memory >> 20} MiB",
                Upscaler(upscaler.subject, upscaler.network, upscaler.scale, hardware),
            )


def memory_for(upscaler: Upscaler, side: int) -> int:
    """So that a tile gives `side` pixels a side."""
    eager = replace(upscaler, hardware=Hardware(precision="float32", mode="eager"))  # in C a chain has no tiles
    return int((side + 2 * eager._radius) ** 2 * eager._bytes_per_pixel)


def spread(numbers: dict[str, float]) -> float:
    assert len(numbers) == 4 * len(modes("cpu", "float32")) or len(numbers) == 6 * len(modes("cpu", "float32"))
    return max(numbers.values()) - min(numbers.values())


@cache
def photograph(scale: int) -> Example:
    planes = PROTOCOL.degradation(skimage.data.coffee()[150:246, 250:349], scale)
    return Example("coffee", planes)


@pytest.mark.parametrize(
    ("name", "scale"), [*(("srcnn-915-quick", scale) for scale in (2, 3, 4)), ("vdsr-t91-muon-overlap", 3)]
)
def test_shipped_weights_on_a_photograph(name: str, scale: int) -> None:
    given = load(name, scale)
    numbers = {
        way: mean_psnr(upscaler, [photograph(scale)], protocol=PROTOCOL)
        for way, upscaler in ways(given, memory_for(given, 60))
    }
    assert spread(numbers) < WITHIN_DB, numbers


def test_every_set_of_weights_that_ships_is_tried() -> None:
    assert sorted(SHIPPED) == ["srcnn-915-quick", "vdsr-t91-muon-overlap"], "add them to the tests of this file"


TRAINED = {recipe.network: recipe for recipe in map(models.recipe, models.recipes()) if recipe.training is not None}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", TRAINED.values(), ids=lambda recipe: recipe.name)
def test_every_network_that_can_be_trained(recipe: Recipe) -> None:
    """As it is initialised: what it gives differs by less than a hundredth of a level of 255."""
    torch.manual_seed(0)
    network = recipe.network(3)
    recipe.training.init(network)
    given = Upscaler(of_run(recipe, 3, 0, 1.0), network, 3)
    side = 28 if takes(network).small else 84
    image = np.random.default_rng(0).random((side, side + 5), np.float32)
    # VDSR's least tile gives 41 pixels more than its overlap.
    memory = memory_for(given, max(side // 2, 2 * given._radius + 1))
    estimates = [upscaler.estimate(image) for _, upscaler in ways(given, memory)]
    assert max(np.abs(estimate - estimates[0]).max() for estimate in estimates) < 0.01 / 255


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("dataset", ["demo-test", "Set5"])
@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_shipped_weights_on_a_set(
    name: str, scale: int, dataset: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Every image, whole and with tiles of two heights; the smaller is `--memory 8`."""
    mirror = request.getfixturevalue("mirror") if dataset == "Set5" else None
    examples = TestSet(dataset).examples(DataFolder(tmp_path, mirror), scale, PROTOCOL.degradation)
    given, largest = load(name, scale), 0.0
    for example in examples:
        numbers = {
            way: mean_psnr(upscaler, [example], protocol=PROTOCOL) for way, upscaler in ways(given, 8 << 20, 32 << 20)
        }
        assert spread(numbers) < WITHIN_DB, (example.name, numbers)
        largest = max(largest, spread(numbers))
    print(f"{name} x{scale} on {dataset}: {largest:.2g} dB at most")  # noqa: T201
