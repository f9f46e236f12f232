"""Bicubic interpolation: the baseline that every table of the field starts with, a recipe without training.

Differs from the papers in nothing known. Results: results/tables.md.
"""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor, nn

from srrepro.models.recipe import INTERPOLATED, Recipe


class Bicubic(nn.Module):
    """Takes the interpolated image, and gives it back."""

    takes = INTERPOLATED
    radius = 0

    def forward(self, interpolated: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 1 h w"]:
        return interpolated


@dataclass(frozen=True)
class Interpolation:
    """The interpolated image is the estimate."""

    def __call__(self, scale: int) -> Bicubic:
        return Bicubic()


BICUBIC = Recipe(name="bicubic", model="bicubic", network=Interpolation(), training=None, of_the_paper=True)

RECIPES = (BICUBIC,)
