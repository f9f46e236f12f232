"""Weight files of other programs on the networks here: PyTorch's state dicts and plain safetensors.

Names do not matter, shapes and order do: `conv1.weight` of somebody's SRCNN is the first layer's. A file that fits no
network, or more than one paper's, is refused with what was found in it.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from srrepro import models
from srrepro.errors import InputError
from srrepro.evaluation.arrays import read_tensors
from srrepro.evaluation.weights import Subject, given
from srrepro.models.recipe import Recipe
from srrepro.progress import say

Layers = dict[str, dict[str, Tensor]]
_HWIO = (3, 2, 0, 1)
"""How TensorFlow and Keras order the axes of a filter."""


def read_foreign(path: Path, scale: int, model: str | None = None) -> tuple[Subject, nn.Module]:
    """A network of a recipe's, filled from a file of tensors that another program wrote.

    Parameters
    ----------
    path
        `.safetensors`, or `.pth`, `.pt`, `.bin`, `.ckpt` as `torch.save(network.state_dict(), path)` writes it.
    scale
        what the network is made for.
    model
        the recipe whose network it is; None, to find out by the shapes.

    Raises
    ------
    InputError : no such file, one of another kind or damaged, or one that fits no network or several.
    """
    tensors = _tensors(path)
    candidates = [models.recipe(model)] if model else _one_of_each_network(scale)
    fitting = {recipe.name: names for recipe in candidates if (names := matched(recipe.network(scale), tensors))}
    papers = {models.recipe(name).model for name in fitting}
    if not fitting:
        asked = f"the network of {model}" if model else "any network that is known here"
        more = " Without a name, the network is found out." if model else ""
        msg = f"The weights {path} do not fit {asked} at x{scale}. The file has {_shown(tensors)}.{more}"
        raise InputError(msg)
    if len(papers) > 1:
        named = " or ".join(f"{name}={path}" for name in fitting)
        msg = f"The weights {path} fit several networks. Name the right one: {named}."
        raise InputError(msg)
    recipe = models.recipe(next(iter(fitting)))
    names = fitting[recipe.name]
    network = recipe.network(scale)
    own = network.state_dict()
    network.load_state_dict({ours: _in_shape(tensors[theirs], own[ours]) for ours, theirs in names.items()})
    firsts = list(dict.fromkeys(_layer(name) for name in names.values()))
    shown = firsts if len(firsts) < 6 else [*firsts[:2], "...", firsts[-1]]
    say(f"{path.name} is read as the network of {recipe.name} ({recipe.model}), by its layers {' '.join(shown)}")
    return given(path.name, recipe, scale), network


def matched(network: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, str] | None:
    """Which tensor fills which parameter, `{ours: theirs}`; None where one is lacking, too many or of another shape.

    By name, if all names are the network's. Otherwise every layer takes the next layer of the file with its shapes.
    """
    own = network.state_dict()
    for names in _shortened(tensors):
        if own.keys() == names.keys() and all(_fits(tensors[names[name]], own[name]) for name in own):
            return {name: names[name] for name in own}
    theirs = _in_layers(tensors)
    found: dict[str, str] = {}
    for layer, parts in _in_layers(own).items():
        taken = next((name for name, given in theirs.items() if _alike(parts, given)), None)
        if taken is None:
            return None
        for name, part in parts.items():
            found[_joined(layer, name)] = _joined(taken, _partner(name, part, theirs[taken]))
        del theirs[taken]
    return None if theirs else found


def _tensors(path: Path) -> dict[str, Tensor]:
    if path.suffix != ".safetensors":
        return read_tensors(path)
    try:
        tensors = load_file(path)
    except FileNotFoundError as error:
        msg = f"The weights {path} were asked for, but there is no such file."
        raise InputError(msg) from error
    except (SafetensorError, OSError) as error:
        msg = f"The weights {path} were to be read, but are no .safetensors file or cut short ({error})."
        raise InputError(msg) from error
    # The file is in no order of layers: conv10 stands before conv2.
    return {name: tensors[name] for name in sorted(tensors, key=_naturally)}


def _naturally(name: str) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)]


def _shortened(tensors: Mapping[str, Tensor]) -> Iterator[dict[str, str]]:
    """The names of the file, `{name: name}`, and then without `module.` and whatever else stands before all of them."""
    names = {name: name for name in tensors}
    yield names
    while all("." in name for name in names) and len({name.partition(".")[0] for name in names}) == 1:
        names = {name.partition(".")[2]: full for name, full in names.items()}
        yield names


def _one_of_each_network(scale: int) -> list[Recipe]:
    """Of all recipes with the same network, or of the same paper, the one with the shortest name."""
    first: dict[object, Recipe] = {}
    for recipe in sorted(models.recipes().values(), key=lambda recipe: (len(recipe.name), recipe.name)):
        served = recipe.training.scales if recipe.training else None
        fits = recipe.training is not None and scale in (served or (scale,))
        if fits and not {recipe.model, recipe.network} & first.keys():
            first |= {recipe.model: recipe, recipe.network: recipe}
    return list({recipe.name: recipe for recipe in first.values()}.values())


def _layer(name: str) -> str:
    return name.rpartition(".")[0]


def _joined(layer: str, part: str) -> str:
    return f"{layer}.{part}" if layer else part


def _in_layers(tensors: Mapping[str, Tensor]) -> Layers:
    layers: Layers = {}
    for name, tensor in tensors.items():
        layers.setdefault(_layer(name), {})[name.rpartition(".")[2]] = tensor
    return layers


def _alike(parts: dict[str, Tensor], given: dict[str, Tensor]) -> bool:
    """Whether every part has its partner: the filters, and the only one of one axis beside them."""
    if len(parts) != len(given):
        return False
    partners = [_partner(name, part, given) for name, part in parts.items()]
    return "" not in partners and len(set(partners)) == len(given)


def _partner(name: str, part: Tensor, given: dict[str, Tensor]) -> str:
    fitting = [theirs for theirs, tensor in given.items() if _fits(tensor, part)]
    return name if name in fitting else fitting[0] if len(fitting) == 1 else ""


def _fits(tensor: Tensor, own: Tensor) -> bool:
    if tensor.is_complex():  # of which a part would be lost
        return False
    return tensor.shape == own.shape or (tensor.ndim == 4 and tensor.permute(_HWIO).shape == own.shape)


def _in_shape(tensor: Tensor, own: Tensor) -> Tensor:
    return (tensor if tensor.shape == own.shape else tensor.permute(_HWIO)).to(torch.float32).contiguous()


def _shown(tensors: Mapping[str, Tensor]) -> str:
    listed = [f"{name} {tuple(tensor.shape)}" for name, tensor in tensors.items()]
    return ", ".join(listed if len(listed) <= 6 else [*listed[:5], f"and {len(listed) - 5} more"])
