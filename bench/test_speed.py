"""Speed of the parts, with pytest-benchmark: `tox -e bench`. Compare two commits on one machine, never two machines."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from srrepro import models
from srrepro.data.registry import DataFolder, fetch
from srrepro.data.stores import (
    EvaluationShape,
    TrainingShape,
    prepare_evaluation,
    prepare_training,
    read_evaluation,
    read_training,
)
from srrepro.evaluation.upscaler import Upscaler
from srrepro.evaluation.weights import of_run
from srrepro.hardware import Hardware
from srrepro.jobs.prepare import training_shapes
from srrepro.pixels.color import luminance
from srrepro.pixels.metrics import ssim
from srrepro.pixels.resize import imresize
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


STORES: list[TrainingShape | EvaluationShape] = [
    *training_shapes("demo-train")[:1],
    EvaluationShape("demo-test", 3),
]


@pytest.mark.parametrize("shape", STORES, ids=lambda shape: type(shape).__name__)
def test_writing_a_store(benchmark: Benchmark, shape: TrainingShape | EvaluationShape, tmp_path: Path) -> None:
    """From image files: read, degraded, cut, compressed."""
    folder = DataFolder(tmp_path, None)
    fetch(folder, shape.set)
    prepare = prepare_training if isinstance(shape, TrainingShape) else prepare_evaluation

    def forget() -> None:
        shape.path(folder).unlink(missing_ok=True)

    benchmark.pedantic(prepare, (folder, shape), setup=forget, rounds=5)


@pytest.mark.parametrize("shape", STORES, ids=lambda shape: type(shape).__name__)
def test_reading_a_store(benchmark: Benchmark, shape: TrainingShape | EvaluationShape, tmp_path: Path) -> None:
    folder = DataFolder(tmp_path, None)
    if isinstance(shape, TrainingShape):
        prepare_training(folder, shape)
        benchmark(read_training, folder, shape)
    else:
        prepare_evaluation(folder, shape)
        benchmark(lambda: list(read_evaluation(folder, shape)))


@pytest.mark.parametrize("name", TRAINED)
def test_training_step(benchmark: Benchmark, name: str) -> None:
    recipe = models.recipe(name)
    training = recipe.training
    assert training is not None
    patches = training.patches
    engine = Engine(recipe.network(3).train(), training, Hardware(precision="float32").settled())
    inputs = torch.rand(training.batch, 1, patches.patch, patches.patch)
    labels = torch.rand(training.batch, 1, patches.label, patches.label)
    with engine:
        benchmark(engine.step, inputs, labels, lr=1e-6)


@pytest.mark.parametrize("name", TRAINED)
def test_inference(benchmark: Benchmark, plane: np.ndarray, name: str) -> None:
    recipe = models.recipe(name)
    benchmark(Upscaler(of_run(recipe, 3, 0, 1.0), recipe.network(3), 3).estimate, plane)
