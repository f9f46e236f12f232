"""Recipes of the papers with one thing changed, under names of their own: `srcnn-915-quick@adam-0.001`."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch

from srrepro.claims.claim import Trained
from srrepro.models.recipe import Network, Recipe, Steps, Training

SCALE = 3  # ours: the SRCNN paper's main scale; one network of one scale is measured in half a minute


@dataclass(frozen=True, kw_only=True)
class Adam:
    """Adam as PyTorch has it: memories 0.9 and 0.999."""

    def __call__(self, groups: Iterable[dict[str, Any]]) -> torch.optim.Optimizer:
        return torch.optim.Adam(groups, lr=1.0)  # the loop sets every group's rate before every step


def staged(lr: float) -> Steps:
    """A rate in stages, for every optimiser alike."""
    return Steps(
        lr=lr,
        factor=0.1,  # ours: as VDSR's stages
        after=(0.5, 0.8),  # ours: long enough at the first rate, and twice a chance to settle
    )


def variant(base: Recipe, name: str, training: Training, network: Network | None = None) -> Trained:
    """A recipe with another training, and perhaps another network; never of the paper."""
    return Trained(
        recipe=replace(
            base,
            name=f"{base.name}@{name}",
            network=network or base.network,
            training=training,
            of_the_paper=False,
            note="a variant that settles a claim of the practice notes",
        ),
        scale=SCALE,
    )
