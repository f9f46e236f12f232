"""Weight files: ours (.safetensors, which name their run) and the authors', see `arrays`; no pickle runs anything."""

import csv
import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from math import inf
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
from safetensors import SafetensorError, safe_open
from torch import nn

from srrepro import models
from srrepro.data.registry import DataFolder, fetch, members, sha256_of
from srrepro.errors import InputError
from srrepro.evaluation.arrays import read_arrays
from srrepro.models.recipe import AuthorsWeights, Recipe
from srrepro.whole import written_whole

_RUN = "srrepro_run"
Origin = Literal["trained", "authors", "interpolation", "given"]
"""`given`: of somebody else, by a training that is not known here."""


@dataclass(frozen=True, kw_only=True)
class Subject:
    """Whose numbers are measured. `model` is its name among the published values; `seed`, `budget` are a run's.

    `scale` is None where one network serves several. `setting` is what published values say of the training beyond the
    set, as it was when the number was made; None in folders from before it was recorded.
    """

    name: str
    model: str
    origin: Origin
    training_set: str
    scale: int | None
    seed: int | None = None
    budget: float | None = None
    of_the_paper: bool = False
    note: str = ""
    setting: str | None = None


def of_interpolation(recipe: Recipe, scale: int) -> Subject:
    return Subject(
        name=recipe.name, model=recipe.model, origin="interpolation", training_set="", scale=scale, setting=""
    )


def of_authors(weights: AuthorsWeights, scale: int) -> Subject:
    return Subject(
        name=weights.name,
        model=weights.model,
        origin="authors",
        training_set=weights.training_set,
        scale=scale,
        setting=weights.setting or "",
        note=weights.note,
    )


def of_run(recipe: Recipe, scale: int | None, seed: int, budget: float) -> Subject:
    assert recipe.training is not None, f"{recipe.name} has nothing to train"
    return Subject(
        name=recipe.name,
        model=recipe.model,
        origin="trained",
        training_set=recipe.training.set,
        scale=scale,
        seed=seed,
        budget=budget,
        of_the_paper=recipe.of_the_paper,
        note=recipe.note,
        setting=recipe.setting or "",
    )


def given(name: str, recipe: Recipe | None, scale: int) -> Subject:
    """What somebody brings: it is held against what is published of a recipe's network, if one is named."""
    training = recipe.training if recipe else None
    return Subject(
        name=name,
        model=recipe.model if recipe else "",
        origin="given",
        training_set=training.set if training else "",
        scale=scale,
        setting=(recipe.setting if recipe else None) or "",
    )


PLACE = Path(str(files("srrepro"))) / "weights"


@cache
def shipping() -> dict[str, str]:
    """The weight files that ship, of seed 0 at full budget, and the precision that each was trained in.

    Source: `shipping.csv` beside them.
    """
    return {row["file"]: row["precision"] for row in _shipping()}


@cache
def _shipping() -> tuple[dict[str, str], ...]:
    with (PLACE / "shipping.csv").open(encoding="utf-8") as text:
        return tuple(csv.DictReader(text))


def ships(recipe: str, scale: int) -> bool:
    """Whether weights of a recipe are part of the package for this scale."""
    training = models.recipe(recipe).training if recipe in models.recipes() else None
    served = training is not None and scale in (training.scales or (scale,))
    return served and shipped(recipe, scale).name in shipping()


def shipped(recipe: str, scale: int) -> Path:
    """Where the weights of a recipe lie when they ship with the package."""
    training = models.recipe(recipe).training
    name = recipe if training and training.scales else f"{recipe}_x{scale}"
    return PLACE / f"{name}.safetensors"


def save(network: nn.Module, path: Path, subject: Subject) -> None:
    """Write the parameters of a run, and which run it was. Errors as `written_whole`."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    about = {"recipe": subject.name, "scale": subject.scale, "seed": subject.seed, "budget": subject.budget}
    # One entry: of several, the order would be random. In one piece: `save_file` has a temporary file of its own.
    written_whole(path, safetensors.torch.save(tensors, {_RUN: json.dumps(about)}))


def _check_sha256(path: Path, asked: str) -> None:
    """Hold a file against what is known of it: nothing where it lies apart from its run and does not ship."""
    sums = {row["file"]: row["sha256"] for row in _shipping()}
    run = path.with_name("run.json")
    if path.resolve().parent == PLACE.resolve() and path.name in sums:
        named, where, do = sums[path.name], PLACE / "shipping.csv", "install srrepro anew"
    elif path.name == "weights.safetensors" and run.is_file():
        try:
            named = json.loads(run.read_text(encoding="utf-8"))["weights_sha256"]
        except (ValueError, KeyError, TypeError) as error:
            msg = f"{asked}, but {run} beside them is damaged. Restore it, or copy the weights to another folder."
            raise InputError(msg) from error
        where, do = run, "train them again"
    else:
        return
    if sha256_of(path) != named:
        msg = f"{asked}, but are not what {where} names by its sha256: the file is damaged. Restore it, or {do}."
        raise InputError(msg)


class FitsNone(InputError):
    """A weight file that fits no network in its authors' layout."""


def is_ours(path: Path) -> bool:
    """Whether a .safetensors file names the run that it is of; False for a file that is none."""
    try:
        with safe_open(path, framework="pt") as file:
            return _RUN in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def read_ours(path: Path, scale: int) -> tuple[Subject, nn.Module]:
    """A network filled from a file that `save` wrote.

    Raises
    ------
    InputError : not such a file, of another scale, or of a recipe that is not known here; or not what the run beside it
        or the list of those that ship names by its sha256.
    """
    asked = f"The weights {path} were to be read for x{scale}"
    try:
        _check_sha256(path, asked)
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
    except FileNotFoundError as error:
        msg = f"{asked}, but there is no such file."
        raise InputError(msg) from error
    except (SafetensorError, OSError) as error:
        msg = f"{asked}, but the file is no .safetensors file or is cut short ({error})."
        raise InputError(msg) from error
    try:
        run = json.loads(about[_RUN])
        recipe = models.recipe(str(run["recipe"]))
        served = recipe.training.scales if recipe.training else None
        trained_for = None if served else int(run["scale"])
        seed, budget = int(run["seed"]), float(run["budget"])
        if not 0 < budget < inf:
            raise ValueError(budget)
    except (KeyError, ValueError, TypeError, OverflowError, RecursionError) as error:
        msg = f"{asked}, but the file does not name its run. Name a file that srrepro wrote."
        raise InputError(msg) from error
    if scale not in (served or (trained_for,)):
        msg = f"{asked}, but they were trained for {', '.join(f'x{known}' for known in served or (trained_for,))}."
        raise InputError(msg)
    network = recipe.network(scale)
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        msg = f"{asked}, but they do not fit the network of {recipe.name}: {error}"
        raise InputError(msg) from error
    return of_run(recipe, trained_for, seed, budget), network


def read_authors(path: Path, scale: int) -> tuple[Subject, nn.Module]:
    """A network filled from a file in the authors' layout; a file of the registry is known by its sha256.

    Raises
    ------
    InputError : no such file, or a known one of another scale.
    FitsNone : it fits no network.
    """
    arrays = read_arrays(path)
    known = {file.sha256: (file.sets[0], file.name) for file in _released()}.get(sha256_of(path))
    problems = []
    for weights in models.authors().values():
        alike = {Path(name).suffix for name in weights.files.values()} == {path.suffix}
        if not alike or (known is not None and (weights.set != known[0] or known[1] not in weights.files.values())):
            continue
        try:
            network = weights.network(scale)
            weights.load(network, arrays)
        except ValueError as error:
            problems.append(f"{weights.model}: {error}")
            continue
        if known is None:
            return Subject(name=path.name, model=weights.model, origin="authors", training_set="", scale=scale), network
        if weights.files.get(scale) != known[1]:
            msg = f"The weights {path} were to be read for x{scale}, but are the authors' {known[1]}."
            raise InputError(msg)
        return of_authors(weights, scale), network
    msg = f"The weights {path} were to be read, but fit no network: {'; '.join(dict.fromkeys(problems))}."
    raise FitsNone(msg)


def fetch_authors(folder: DataFolder, weights: AuthorsWeights, scale: int) -> tuple[Subject, nn.Module]:
    """The network of released weights at one scale, fetched if lacking.

    Raises
    ------
    InputError : the authors released none for this scale, or the file cannot be had.
    """
    if scale not in weights.files:
        scales = ", ".join(f"x{known}" for known in weights.files)
        msg = f"{weights.name} was asked for at x{scale}, but the authors released {scales}."
        raise InputError(msg)
    fetch(folder, weights.set)
    file = next(file for file in members(weights.set) if file.name == weights.files[scale])
    network = weights.network(scale)
    weights.load(network, read_arrays(folder.root / file.path))
    return of_authors(weights, scale), network


def _released() -> list[Any]:
    return [file for name in {weights.set for weights in models.authors().values()} for file in members(name)]
