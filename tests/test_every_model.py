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
from torch import Tensor, nn

from srrepro import models
from srrepro.data.stores import take_patches
from srrepro.models.recipe import Input, Recipe, Training, described, digest, takes
from srrepro.protocols.named import PROTOCOLS
from srrepro.reporting.published import published
from srrepro.reporting.sheet import sheet
from srrepro.training.engine import Engine
from srrepro.training.feed import channels_first
from srrepro.training.loop import Run

ALL = list(models.recipes().values())
TRAINED = [recipe for recipe in ALL if recipe.training is not None]
every_trained_recipe = pytest.mark.parametrize("recipe", TRAINED, ids=lambda recipe: recipe.name)


def made() -> Iterator[tuple[str, int, nn.Module]]:
    """Every different network, the authors' too, for the scales that it is made for."""
    owners: dict[tuple[Any, int], str] = {}
    for recipe in ALL:
        for scale in scales_of(recipe):
            owners.setdefault((recipe.network, scale), recipe.name)
    for weights in models.authors().values():
        for scale in weights.files:
            owners.setdefault((weights.network, scale), weights.name)
    for (network, scale), name in owners.items():
        torch.manual_seed(0)
        yield f"{name} x{scale}", scale, network(scale)


def scales_of(recipe: Recipe) -> tuple[int, ...]:
    return (recipe.training.scales if recipe.training else None) or (2, 3, 4)


def training_of(recipe: Recipe) -> Training:
    assert recipe.training is not None
    return recipe.training


def first_batch(recipe: Recipe, count: int = 16) -> tuple[Tensor, Tensor]:
    """Real patches as the loop hands them to the engine: cut, ordered, augmented, the label's border dropped."""
    training = training_of(recipe)
    patches, run = training.patches, run_of(recipe)
    photograph = skimage.data.astronaut() if patches.takes.channels == 3 else skimage.data.camera()
    planes = run.protocol.degradation(photograph[:120, 150:270], run.scales[-1])
    plane = planes.low if patches.takes.small else planes.interpolated
    shape = run.shape
    inputs = take_patches(plane, patch=shape.side, stride=shape.stride // shape.ratio)
    border = (patches.patch - patches.label) // 2
    high = take_patches(planes.reference, patch=shape.patch, stride=shape.stride)
    labels = high[:, border : border + patches.label, border : border + patches.label]
    order = training.order(len(inputs), seed=0, epoch=0)[:count]
    chosen = (torch.from_numpy(channels_first(part))[order] for part in (inputs, labels))
    planes_in, labels_out = training.augmentation(*chosen, seed=0, step=0, which=order // len(inputs))
    return planes_in, labels_out.float() / 255


def run_of(recipe: Recipe) -> Run:
    return Run(recipe=recipe, scale=None if training_of(recipe).scales else 3)


def numbers(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every number of a recipe by the path that `sheet` gives it, with a copy of the whole in which it differs."""
    if isinstance(value, Input):  # in a recipe it is its name
        return
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


def test_every_call_builds_a_network_of_its_own() -> None:
    for recipe in ALL:
        first, second = recipe.network(3), recipe.network(3)
        shared = set(map(id, first.parameters())) & set(map(id, second.parameters()))
        assert first is not second, recipe.name
        assert not shared, recipe.name


def test_a_pixel_reaches_as_far_as_the_radius() -> None:
    """What tiles overlap by; a network without one is never tiled, so it must say so itself."""
    for name, _, network in made():
        if network.radius is None:
            continue
        reach, side = network.radius, 2 * network.radius + 5
        image = torch.rand(1, takes(network).channels, side, side + 1)
        other = image.clone()
        other[..., reach + 2, reach + 2] += 1
        with torch.no_grad():
            before, after = network.eval()(image), network(other)
        ratio = before.shape[-2] // side
        changed = (before != after).any(dim=1)[0].nonzero() // ratio - (reach + 2)
        assert changed.abs().max() <= reach, name


def test_networks_give_what_they_say_at_every_scale() -> None:
    """In evaluation mode, at sizes that nothing divides; the colour of what they take, and the scale's size."""
    for name, scale, network in made():
        what = takes(network)
        grows = scale if what.small else 1
        out = network.to("meta").eval()(torch.empty(1, what.channels, 21, 34, device="meta"))
        assert out.shape == (1, what.channels, 21 * grows, 34 * grows), name


def test_training_mode_gives_the_label_size() -> None:
    """A run refuses anything else; of real patches."""
    for recipe in TRAINED:
        inputs, labels = first_batch(recipe, count=2)
        network = run_of(recipe).network().to("meta").train()
        assert network(inputs.to("meta")).shape == labels.shape, recipe.name


def test_label_lies_in_the_middle_of_the_patch() -> None:
    for recipe in TRAINED:
        patches = training_of(recipe).patches
        assert 0 < patches.label <= patches.patch, recipe.name
        assert (patches.patch - patches.label) % 2 == 0, recipe.name


@every_trained_recipe
def test_a_step_of_the_engine_lowers_the_loss(recipe: Recipe) -> None:
    training = training_of(recipe)
    torch.manual_seed(0)
    network = run_of(recipe).network()
    training.init(network)
    engine = Engine(network.train(), training, device="cpu", precision="float32")
    batch = first_batch(recipe)
    lr = training.schedule(0.002)  # within every warm-up, which is there because the first steps bear little
    if training.clip is not None:  # a gradient that its bound cuts is no longer the loss's
        lr = 1e-6
    losses = [engine.step(*batch, lr=lr).item() for _ in range(3)]  # a first step may only start the statistics
    assert losses[2] < losses[0]


def test_the_bound_on_the_gradients_holds() -> None:
    for recipe in TRAINED:
        clip, schedule = training_of(recipe).clip, training_of(recipe).schedule
        for lr in (schedule(tenth / 10) for tenth in range(10)) if clip is not None else ():
            gradients = [torch.randn(50, 50) * 1e4 / lr, torch.randn(7) * 1e4 / lr]
            before = [gradient.clone() for gradient in gradients]
            clip(gradients, lr)
            largest = max(gradient.abs().max().item() for gradient in gradients)
            assert 0 < largest * lr < 0.1, f"{recipe.name}: one gradient must not move a weight by more than its size"
            assert all(torch.equal(new.sign(), old.sign()) for new, old in zip(gradients, before, strict=True))


def test_schedule_never_goes_below_zero() -> None:
    for recipe in TRAINED:
        rates = [training_of(recipe).schedule(thousandth / 1000) for thousandth in range(1000)]
        assert min(rates) >= 0, recipe.name
        assert max(rates) > 0, recipe.name


def test_recipes_survive_json() -> None:
    for recipe in ALL:
        plain = described(recipe)
        assert json.loads(json.dumps(plain, allow_nan=False)) == plain == described(recipe)
        assert plain["name"] == recipe.name


def test_every_number_tells_two_recipes_apart() -> None:
    for recipe in ALL:
        assert digest(recipe) == digest(replace(recipe))
        for path, other in numbers(recipe):
            assert digest(other) != digest(recipe), f"{recipe.name}: {path}"


def test_recipes_are_frozen_and_hashable() -> None:
    for recipe in ALL:
        for part in parts(recipe):
            with pytest.raises(FrozenInstanceError):
                part.name = "another"
        assert hash(recipe) == hash(replace(recipe))


def test_every_number_has_a_source() -> None:
    for recipe in ALL:
        sources = {path: source for path, _, source in sheet(recipe)}
        marks = ("paper:", "code:", "ours:")
        lacking = sorted({path for path, _ in numbers(recipe) if not sources[path].startswith(marks)})
        assert not lacking, f"{recipe.name}: write `# paper:`, `# code:` or `# ours:` beside {', '.join(lacking)}"


def test_documents_named_as_sources_exist() -> None:
    clone = Path(__file__).parents[1]
    if not (clone / "docs").is_dir():
        pytest.skip("no docs/: this is no clone")
    sources = [source for recipe in ALL for _, _, source in sheet(recipe)]
    named = {document for source in sources for document in re.findall(r"docs/[\w./-]+\.md", source)}
    assert not [document for document in named if not (clone / document).is_file()]


def test_models_are_names_among_the_published_values() -> None:
    known = {key[0] for key in published()}
    assert not [recipe.name for recipe in ALL if recipe.model not in known]
    assert not [weights.name for weights in models.authors().values() if weights.model not in known]


def test_protocols_and_settings_are_known() -> None:
    """A setting that no published value has would never be held against anything."""
    settings = {(key[0], key[2]) for key in published()}
    for each in [*ALL, *models.authors().values()]:
        assert each.setting is None or (each.model, each.setting) in settings, each.name
    protocols = {training_of(recipe).protocol for recipe in TRAINED} | {w.protocol for w in models.authors().values()}
    assert protocols - {None} <= PROTOCOLS.keys()


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
