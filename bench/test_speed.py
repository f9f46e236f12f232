"""Speed of the parts, with pytest-benchmark: `tox -e bench`. Compare two commits on one machine, never two machines."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from srrepro import models
from srrepro.data.color import luminance
from srrepro.data.resize import imresize
from srrepro.evaluation.metrics import ssim
from srrepro.evaluation.upscale import Upscaler
from srrepro.evaluation.weights import of_run
from srrepro.training.engine import Engine

TRAINED = [name for name, recipe in models.recipes().items() if recipe.training is not None]
Benchmark = Callable[..., Any]


@pytest.fixture
def plane() -> np.ndarray:
    return np.random.default_rng(0).random((510, 510))


def test_shrink(benchmark: Benchmark, plane: np.ndarray) -> None:
    benchmark(imresize, plane, 1 / 3)


def test_enlarge(benchmark: Benchmark, plane: np.ndarray) -> None:
    benchmark(imresize, plane, 3)


def test_luminance(benchmark: Benchmark) -> None:
    benchmark(luminance, np.random.default_rng(0).integers(0, 256, (510, 510, 3), np.uint8))


def test_ssim(benchmark: Benchmark, plane: np.ndarray) -> None:
    benchmark(ssim, plane, plane**2, shave=3, peak=1.0)


@pytest.mark.parametrize("name", TRAINED)
def test_training_step(benchmark: Benchmark, name: str) -> None:
    recipe = models.recipe(name)
    training = recipe.training
    assert training is not None
    patches = training.patches
    engine = Engine(recipe.network().train(), training, device="cpu", precision="float32")
    inputs = torch.rand(training.batch, 1, patches.patch, patches.patch)
    labels = torch.rand(training.batch, 1, patches.label, patches.label)
    benchmark(engine.step, inputs, labels, lr=1e-6)


@pytest.mark.parametrize("name", TRAINED)
def test_inference(benchmark: Benchmark, plane: np.ndarray, name: str) -> None:
    recipe = models.recipe(name)
    benchmark(Upscaler(of_run(recipe, 3, 0, 1.0), recipe.network(), 3).luminance, plane)
