"""Bicubic interpolation: the baseline that every table of the field starts with, a recipe without training.

Differs from the papers in nothing known. Results: results/tables.md.
"""

from dataclasses import dataclass

from torch import nn

from srrepro.models.recipe import Recipe


@dataclass(frozen=True)
class Interpolation:
    """The interpolated image is the estimate."""

    def __call__(self) -> nn.Module:
        return nn.Identity()


BICUBIC = Recipe(name="bicubic", model="bicubic", network=Interpolation(), training=None, of_the_paper=True)

RECIPES = (BICUBIC,)
