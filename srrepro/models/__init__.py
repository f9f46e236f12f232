"""One paper per file. Every public sibling's RECIPES are listed, trained, tested and reported, its AUTHORS measured."""

from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from srrepro.errors import InputError, instead
from srrepro.models.recipe import AuthorsWeights, Recipe


@cache
def papers() -> dict[str, ModuleType]:
    """The models' files by name: public siblings, without the vocabulary that they share."""
    names = sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_"))
    return {name: import_module(f"{__name__}.{name}") for name in names if name != "recipe"}


@cache
def recipes() -> dict[str, Recipe]:
    """All recipes by name.

    Raises
    ------
    ValueError : two recipes share a name, or a name does not start with its file's.
    """
    found: dict[str, Recipe] = {}
    for file, module in papers().items():
        for recipe in getattr(module, "RECIPES", ()):
            if recipe.name in found:
                msg = f"two recipes are called {recipe.name!r}; the second is in {module.__name__}"
                raise ValueError(msg)
            if recipe.name.split("-")[0] != file:
                msg = f"the recipe {recipe.name!r} of {module.__name__} must start with {file!r}"
                raise ValueError(msg)
            found[recipe.name] = recipe
    return found


@cache
def authors() -> dict[str, AuthorsWeights]:
    """All weights that authors released, by name."""
    return {weights.name: weights for module in papers().values() for weights in getattr(module, "AUTHORS", ())}


def recipe(name: str) -> Recipe:
    """One recipe.

    Raises
    ------
    InputError : there is none of this name.
    """
    if name in authors():
        msg = f"{name} are released weights, and no recipe: `srrepro evaluate` and `srrepro upscale` take them."
        raise InputError(msg)
    if name not in recipes():
        msg = f"There is no recipe {name!r}. {instead(name, recipes())}"
        raise InputError(msg)
    return recipes()[name]
