"""Whether a run still has numbers: looked at before a checkpoint is written, and said so that somebody can go on."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm

from srrepro.errors import Diverged
from srrepro.training.checkpoint import optimiser_state
from srrepro.training.engine import Engine


@dataclass
class Soundness:
    """What was sound last: the step of the last checkpoint (0: there is none), and the norm of the gradient then.

    A resumed run knows no norm until its first checkpoint. Between checkpoints nothing is computed or waited for.
    """

    step: int
    norm: float | None = None

    def check(
        self, engine: Engine, losses: float, *, title: str, step: int, backprops: int, lr: float, kept: Path
    ) -> None:
        """Look at the losses since the last checkpoint, the weights, and what the optimiser remembers.

        `kept` is where that checkpoint lies.

        Raises
        ------
        Diverged : one of them is not finite.
        """
        norm = gradient_norm(engine.parameters)
        fault = "" if math.isfinite(losses) else f"the loss of {title} is no longer a number"
        if not fault and (name := not_finite(engine.network.state_dict())):
            fault = f"the weights of {title} are no longer finite ({name}), though the loss is still a number"
        if not fault and (name := not_finite(optimiser_state(engine.network, engine.optimiser))):
            fault = f"what the optimiser of {title} remembers is no longer finite ({name}), though the loss still is"
        if not fault:
            self.step, self.norm = step, norm
            return
        before = f"; it was {self.norm:.3g} at step {self.step:,}" if self.norm is not None else ""
        again = "give the recipe a smaller learning rate, under a name of its own"
        on = (
            f"The last good checkpoint, of step {self.step:,}, is kept in {kept}. The same command goes on from there, "
            f"and would end the same: {again}."
            if self.step
            else f"No checkpoint was written before. The same command would end the same: {again}."
        )
        msg = (
            f"{fault} at step {step:,} ({backprops:,} backprops, learning rate {lr:g}; the gradient's norm, after any "
            f"clipping, is {norm:.3g}{before}). {on}"
        )
        raise Diverged(msg, step)


def gradient_norm(parameters: Iterable[Tensor]) -> float:
    """Of the last step, over all weights, as the optimiser was given it."""
    return get_total_norm([each.grad for each in parameters if each.grad is not None]).item()


def not_finite(values: Mapping[str, Any], name: str = "") -> str:
    """The name of the first tensor, also of nested mappings, that holds a number that is not finite; or nothing."""
    for key, value in values.items():
        path = f"{name}.{key}" if name else key
        if isinstance(value, Mapping):
            if found := not_finite(value, path):
                return found
        elif isinstance(value, Tensor) and not torch.isfinite(value).all():
            return path
    return ""
