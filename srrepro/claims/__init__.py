"""The practice notes' claims as data: what each says, what is compared, and the rule, fixed before anything runs."""

from srrepro import models
from srrepro.claims.suite import variants
from srrepro.models.recipe import Recipe


def recipe(name: str) -> Recipe:
    """A paper's recipe, or a variant of one that settles a claim (its name has an "@").

    Raises
    ------
    InputError : there is none of this name.
    """
    return variants()[name].recipe if name in variants() else models.recipe(name)
