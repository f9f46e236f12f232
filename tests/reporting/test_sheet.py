"""`srrepro show`: sources are followed through assignments, `replace` and the defaults of classes."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from srrepro import models
from srrepro.models.recipe import Recipe
from srrepro.reporting import sheet as module
from srrepro.reporting.sheet import sheet

Sources = dict[str, tuple[str, str]]


def rows(recipe: Recipe) -> Sources:
    return {path: (value, source) for path, value, source in sheet(recipe)}


PAPER = """
from dataclasses import dataclass, replace
from torch import nn
from srrepro.models.recipe import *

@dataclass(frozen=True, kw_only=True)
class Net:
    kernels: tuple[int, ...]
    filters: int = 64  # paper: Experiments
    depth: int = 3  # paper: Network

    def __call__(self):
        return nn.Identity()

TRAINING = Training(
    set="T91",  # paper: Data
    validation="val20",  # ours: no test set
    logged=("Set5", "Set14"),
    patches=Patches(patch=33, stride=14, label=21),  # code: generate_train.m
    init=GaussianInit(std=0.001),  # paper: Training
    loss=EuclideanLoss(),  # code: net.prototxt
    optimiser=SGD(
        momentum=0.9,  # paper: Momentum
        weight_decay=0.0,  # code: solver.prototxt
    ),
    schedule=Constant(lr=1e-4),  # paper: Rate
    rates=OneRate(),
    order=FixedOrder(),
    augmentation=NoAugmentation(),
    batch=128,  # a comment that names no source
    backprops=800_000_000,  # paper: Backprops
)
BASE = Recipe(
    name="fake",
    model="Fake",
    network=Net(kernels=(9, 1, 5)),  # paper: Filters
    training=TRAINING,
    of_the_paper=True,
)
VARIANT = replace(
    BASE,
    name="fake-variant",
    network=Net(
        kernels=(9, 5, 5),  # ours: wider
        depth=4,  # ours: deeper
    ),
    training=replace(
        TRAINING,
        patches=Patches(patch=33, stride=14, label=17),  # ours: 33 - 8 - 4 - 4
        optimiser=SGD(
            momentum=0.95,  # ours: tried
            weight_decay=0.0,
        ),
        batch=64,  # ours: smaller
    ),
)
LOAN = replace(BASE, name="fake-loan", network=VARIANT.network)
RECIPES = (BASE, VARIANT, LOAN)
"""


@pytest.fixture
def paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    path = tmp_path / "fake.py"
    path.write_text(PAPER, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("fake_paper_of_test_sheet", path)
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    monkeypatch.setattr(module, "papers", lambda: {"fake": made})
    yield made
    del sys.modules[spec.name]


def test_fields_values_and_sources(paper: ModuleType) -> None:
    found = rows(paper.BASE)
    assert found["name"] == ("fake", "")
    assert found["network"] == ("Net", "paper: Filters")
    assert found["network.kernels"] == ("9, 1, 5", "paper: Filters")
    assert found["training.patches.stride"] == ("14", "code: generate_train.m")
    assert found["training.optimiser.momentum"] == ("0.9", "paper: Momentum")
    assert found["training.optimiser.weight_decay"] == ("0.0", "code: solver.prototxt")
    assert found["training.schedule"] == ("Constant", "paper: Rate")
    assert found["training.schedule.lr"] == ("0.0001", "paper: Rate")
    assert found["training.logged"] == ("Set5, Set14", "")
    assert found["training.backprops"] == ("800,000,000", "paper: Backprops")
    assert found["of_the_paper"] == ("True", "")


def test_a_comment_that_names_no_source_is_none(paper: ModuleType) -> None:
    assert rows(paper.BASE)["training.batch"] == ("128", "")


def test_defaults_of_a_class_have_the_sources_of_the_class(paper: ModuleType) -> None:
    assert rows(paper.BASE)["network.filters"] == ("64", "paper: Experiments")
    assert rows(paper.BASE)["network.depth"] == ("3", "paper: Network")


def test_replace_brings_new_sources_and_keeps_the_rest(paper: ModuleType) -> None:
    found = rows(paper.VARIANT)
    assert found["network.kernels"] == ("9, 5, 5", "ours: wider")
    assert found["network.depth"] == ("4", "ours: deeper")
    assert found["network.filters"] == ("64", "paper: Experiments")
    assert found["training.patches.label"] == ("17", "ours: 33 - 8 - 4 - 4")
    assert found["training.batch"] == ("64", "ours: smaller")
    assert found["training.optimiser.momentum"] == ("0.95", "ours: tried")
    assert found["training.optimiser.weight_decay"] == ("0.0", "")  # what was replaced takes its source with it
    assert found["training.backprops"] == ("800,000,000", "paper: Backprops")
    assert found["training.set"] == ("T91", "paper: Data")


def test_the_part_of_another_recipe_has_its_sources(paper: ModuleType) -> None:
    assert rows(paper.LOAN)["network.kernels"] == ("9, 5, 5", "ours: wider")
    assert rows(paper.LOAN)["network.filters"] == ("64", "paper: Experiments")
    assert rows(paper.LOAN)["training.batch"] == rows(paper.BASE)["training.batch"]


@pytest.mark.parametrize("name", models.recipes())
def test_every_recipe_has_a_sheet(name: str) -> None:
    recipe = models.recipe(name)
    found = rows(recipe)
    assert found["name"] == (name, "")
    assert found["network"][0] == type(recipe.network).__name__
    assert len(found) == len(sheet(recipe))  # no field twice


def test_the_papers_own_recipe_stands_on_paper_and_code() -> None:
    found = rows(models.recipe("srcnn-915"))
    assert found["training.batch"][1].startswith("code: SRCNN_net.prototxt")
    assert found["training.backprops"][1].startswith("paper: ")
    assert found["training.rates.weights"][1].startswith("paper: ")
    assert found["training.rates.biases"][1].startswith("code: ")
    assert found["network.filters"][1].startswith("paper: ")
    assert found["network.inference_padding"][1].startswith("code: SRCNN.m")


def test_a_variant_says_what_is_ours() -> None:
    found = rows(models.recipe("srcnn-935"))
    assert found["training.patches.label"] == ("19", found["training.patches.label"][1])
    assert found["training.patches.label"][1].startswith("ours: by analogy")
    quick = rows(models.recipe("srcnn-915-quick"))
    assert quick["training.optimiser.refresh"][1].startswith("ours: ")
    assert quick["training.patches.label"][1].startswith("code: generate_train.m")
