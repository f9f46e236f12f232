"""What every recipe must hold to, whoever wrote it: a new file in `srrepro/models` is tested the moment it exists."""

import json
import re
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, fields, is_dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import skimage.data
import torch
from torch import Tensor

from srrepro import models
from srrepro.data.degrade import degrade
from srrepro.data.stores import take_patches
from srrepro.models.recipe import HeInit, Recipe, Training, described, digest
from srrepro.protocols.protocol import PROTOCOLS
from srrepro.reporting.published import published
from srrepro.reporting.sheet import sheet
from srrepro.training.engine import Engine

SCALE = 3
PARAMETERS = {
    "bicubic": 0,
    "SRCNN 9-1-5": 8129,
    "SRCNN 9-3-5": 24513,
    "SRCNN 9-5-5": 57281,
    "VDSR": 665_921,
    "VDSR-single": 665_921,
    "VDSR-10-residual": 296_641,
    "VDSR-10-plain": 296_641,
    "vdsr-notes": 739_713,
}
"""By `Recipe.model`, or `Recipe.name` where a network is not the paper's: counted by hand; a new one needs its line."""

ALL = list(models.recipes().values())
TRAINED = [recipe for recipe in ALL if recipe.training is not None]
every_recipe = pytest.mark.parametrize("recipe", ALL, ids=lambda recipe: recipe.name)
every_trained_recipe = pytest.mark.parametrize("recipe", TRAINED, ids=lambda recipe: recipe.name)


def training_of(recipe: Recipe) -> Training:
    assert recipe.training is not None
    return recipe.training


def first_batch(training: Training, count: int = 16) -> tuple[Tensor, Tensor]:
    """Real patches as the loop hands them to the engine: cut, ordered, augmented, the label's border dropped."""
    shape = training.patches
    planes = degrade(skimage.data.camera()[:120, 150:270], SCALE)
    ratio = SCALE if shape.takes == "low" else 1
    inputs = take_patches(getattr(planes, shape.takes), patch=shape.patch // ratio, stride=shape.stride // ratio)
    border = (shape.patch - shape.label) // 2
    high = take_patches(planes.reference, patch=shape.patch, stride=shape.stride)
    labels = high[:, border : border + shape.label, border : border + shape.label]
    order = training.order(len(inputs), seed=0, epoch=0)[:count]
    chosen = torch.from_numpy(inputs.copy())[order, None], torch.from_numpy(labels.copy())[order, None]
    planes_in, labels_out = training.augmentation(*chosen, seed=0, step=0, which=order // len(inputs))
    return planes_in, labels_out.float() / 255


def numbers(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every number of a recipe by the path that `sheet` gives it, with a copy of the whole in which it differs."""
    if is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            inner = f"{path}.{field.name}" if path else field.name
            for leaf, changed in numbers(getattr(value, field.name), inner):
                yield leaf, replace(value, **{field.name: changed})
    elif isinstance(value, tuple):
        for index, item in enumerate(value):
            for leaf, changed in numbers(item, path):
                yield leaf, (*value[:index], changed, *value[index + 1 :])
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value + 1


def parts(value: Any) -> Iterator[Any]:
    """A recipe and all dataclasses that it is put together from."""
    if is_dataclass(value) and not isinstance(value, type):
        yield value
        for field in fields(value):
            yield from parts(getattr(value, field.name))


@every_recipe
def test_network_has_the_known_number_of_parameters(recipe: Recipe) -> None:
    known = PARAMETERS.get(recipe.name, PARAMETERS.get(recipe.model))
    assert known is not None, f"count the parameters of {recipe.model} by hand and add them to PARAMETERS"
    assert sum(parameter.numel() for parameter in recipe.network().parameters()) == known


@every_recipe
def test_every_call_builds_a_network_of_its_own(recipe: Recipe) -> None:
    first, second = recipe.network(), recipe.network()
    shared = {id(parameter) for parameter in first.parameters()} & {id(parameter) for parameter in second.parameters()}
    assert first is not second
    assert not shared


@every_recipe
def test_a_pixel_reaches_as_far_as_the_radius(recipe: Recipe) -> None:
    """What tiles overlap by; a network of convolutions without one is never tiled, so it must say so itself."""
    torch.manual_seed(0)
    network = recipe.network().eval()
    HeInit()(network)
    if not list(network.parameters()):
        return
    radius = network.radius
    if radius is None:
        return
    side = 2 * radius + 5
    image = torch.rand(1, 1, side, side)
    other = image.clone()
    other[0, 0, radius + 2, radius + 2] += 1
    with torch.no_grad():
        changed = (network(image) != network(other))[0, 0].nonzero() - (radius + 2)
    assert changed.abs().max() <= radius


@every_trained_recipe
def test_training_mode_gives_the_label_size(recipe: Recipe) -> None:
    training = training_of(recipe)
    inputs, labels = first_batch(training, count=2)
    with torch.no_grad():
        estimate = recipe.network().train()(inputs)
    assert estimate.shape == labels.shape == (2, 1, training.patches.label, training.patches.label)


@every_recipe
def test_evaluation_mode_gives_the_size_of_the_image(recipe: Recipe) -> None:
    takes = recipe.training.patches.takes if recipe.training else "interpolated"
    grows = SCALE if takes == "low" else 1
    with torch.no_grad():
        estimate = recipe.network().eval()(torch.rand(1, 1, 21, 34))
    assert estimate.shape == (1, 1, 21 * grows, 34 * grows)


@every_trained_recipe
def test_label_lies_in_the_middle_of_the_patch(recipe: Recipe) -> None:
    patches = training_of(recipe).patches
    assert 0 < patches.label <= patches.patch
    assert (patches.patch - patches.label) % 2 == 0


@every_trained_recipe
def test_a_step_of_the_engine_lowers_the_loss(recipe: Recipe) -> None:
    training = training_of(recipe)
    torch.manual_seed(0)
    network = recipe.network()
    training.init(network)
    engine = Engine(network.train(), training, device="cpu", precision="float32")
    batch = first_batch(training)
    lr = training.schedule(0.002)  # within every warm-up, which is there because the first steps bear little
    if training.clip is not None:  # a gradient that its bound cuts is no longer the loss's
        lr = 1e-6
    losses = [engine.step(*batch, lr=lr).item() for _ in range(3)]  # a first step may only start the statistics
    assert losses[2] < losses[0]


@every_trained_recipe
def test_the_bound_on_the_gradients_holds(recipe: Recipe) -> None:
    clip = training_of(recipe).clip
    if clip is None:
        return
    for lr in (training_of(recipe).schedule(tenth / 10) for tenth in range(10)):
        gradients = [torch.randn(50, 50) * 1e4 / lr, torch.randn(7) * 1e4 / lr]
        before = [gradient.clone() for gradient in gradients]
        clip(gradients, lr)
        largest = max(gradient.abs().max().item() for gradient in gradients)
        assert 0 < largest * lr < 0.1, "a gradient alone must not move a weight by more than weights are wide"
        assert all(torch.equal(new.sign(), old.sign()) for new, old in zip(gradients, before, strict=True))


@every_trained_recipe
def test_schedule_never_goes_below_zero(recipe: Recipe) -> None:
    rates = [training_of(recipe).schedule(thousandth / 1000) for thousandth in range(1000)]
    assert min(rates) >= 0
    assert max(rates) > 0


@every_recipe
def test_recipe_survives_json(recipe: Recipe) -> None:
    plain = described(recipe)
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain == described(recipe)
    assert plain["name"] == recipe.name


@every_recipe
def test_every_number_tells_two_recipes_apart(recipe: Recipe) -> None:
    assert digest(recipe) == digest(replace(recipe))
    changed = dict.fromkeys((path for path, _ in numbers(recipe)), 0)
    for path, other in numbers(recipe):
        changed[path] += digest(other) != digest(recipe)
    expected = dict.fromkeys(changed, 0)
    for path, _ in numbers(recipe):
        expected[path] += 1
    assert changed == expected


@every_recipe
def test_recipe_is_frozen_and_hashable(recipe: Recipe) -> None:
    for part in parts(recipe):
        with pytest.raises(FrozenInstanceError):
            part.name = "another"
    assert hash(recipe) == hash(replace(recipe))


@every_recipe
def test_every_number_has_a_source(recipe: Recipe) -> None:
    sources = {path: source for path, _, source in sheet(recipe)}
    lacking = sorted(
        {path for path, _ in numbers(recipe) if not sources[path].startswith(("paper:", "code:", "ours:"))}
    )
    assert not lacking, f"{recipe.name}: write `# paper:`, `# code:` or `# ours:` beside {', '.join(lacking)}"


@every_recipe
def test_documents_named_as_sources_exist(recipe: Recipe) -> None:
    clone = Path(__file__).parents[1]
    if not (clone / "docs").is_dir():
        pytest.skip("no docs/: this is no clone")
    named = {document for _, _, source in sheet(recipe) for document in re.findall(r"docs/[\w.-]+\.md", source)}
    assert not [document for document in named if not (clone / document).is_file()]


@every_recipe
def test_model_is_a_name_among_the_published_values(recipe: Recipe) -> None:
    assert recipe.model in {key[0] for key in published()}


@every_recipe
def test_its_protocol_and_setting_are_known(recipe: Recipe) -> None:
    """A setting that no published value has would never be held against anything."""
    if recipe.setting is not None:
        assert (recipe.model, recipe.setting) in {(key[0], key[2]) for key in published()}
    if recipe.training is not None and recipe.training.protocol is not None:
        assert recipe.training.protocol in PROTOCOLS


def test_names_are_unique_and_start_with_their_file() -> None:
    names = [(file, recipe.name) for file, module in models.papers().items() for recipe in module.RECIPES]
    assert len({name for _, name in names}) == len(names)
    assert all(name == file or name.startswith(f"{file}-") for file, name in names)


def listed_from(monkeypatch: pytest.MonkeyPatch, **recipes: tuple[Recipe, ...]) -> dict[str, Recipe]:
    files = {file: SimpleNamespace(RECIPES=found, __name__=file) for file, found in recipes.items()}
    monkeypatch.setattr(models, "papers", lambda: files)
    return models.recipes.__wrapped__()


def test_a_name_given_twice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="two recipes are called 'srcnn-915'"):
        listed_from(monkeypatch, srcnn=(models.recipe("srcnn-915"), models.recipe("srcnn-915")))


def test_a_name_of_another_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="must start with 'vdsr'"):
        listed_from(monkeypatch, vdsr=(models.recipe("srcnn-915"),))
    assert list(listed_from(monkeypatch, srcnn=(models.recipe("srcnn-915"),))) == ["srcnn-915"]
