"""SOAP, an optimiser: Adam run in the eigenbasis of Shampoo's preconditioner.

Nikhil Vyas, Depen Morwani, Rosie Zhao, Mujin Kwun, Itai Shapira, David Brandfonbrener, Lucas Janson, Sham Kakade:
"SOAP: Improving and Stabilizing Shampoo using Adam", ICLR 2025, arXiv 2409.11321, Algorithm 3.

The small networks of this field are badly conditioned (that is why SRCNN needs 8e8 backprops of plain SGD) and have so
few parameters that second-order statistics cost next to nothing: the largest basis of SRCNN 9-1-5 has 81 × 81 numbers.
"""

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from jaxtyping import Float
from torch import Tensor

_LARGEST_SIDE = 512  # a longer side keeps its own axes: the basis would cost more than it gains
_EPSILON = 1e-8


class Soap(torch.optim.Optimizer):
    """`momentum` and `memory` are Adam's two decay rates (`memory` is also Shampoo's).

    `refresh` is the number of steps between updates of the eigenbases. The first step only starts the statistics.
    """

    def __init__(self, params: Iterable[dict[str, Any]], *, momentum: float, memory: float, refresh: int) -> None:
        super().__init__(params, {"lr": 0.0, "momentum": momentum, "memory": memory, "refresh": refresh})

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        if closure is not None:
            msg = "Soap takes no closure: compute the gradients, then call step()"
            raise ValueError(msg)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                gradient = _as_matrix(parameter.grad).float()
                state = self.state[parameter]
                if state:
                    update = _update(state, gradient, group["momentum"], group["memory"], group["refresh"])
                    parameter.add_(update.reshape(parameter.shape), alpha=-group["lr"])
                else:
                    state.update(_first_state(gradient))
        return None


def _as_matrix(gradient: Tensor) -> Float[Tensor, "r c"]:
    """Filters as rows; the planes of a single filter as rows; a bias as one row."""
    if gradient.ndim == 1:
        return gradient[None]
    rows = gradient.shape[0] if gradient.shape[0] > 1 else gradient.shape[1]
    return gradient.reshape(rows, -1)


def _covariances(gradient: Float[Tensor, "r c"]) -> dict[str, Float[Tensor, "s s"]]:
    """Of rows and columns, where a basis is worth having."""
    sides = {"rows": gradient, "columns": gradient.T}
    return {name: side @ side.T for name, side in sides.items() if 1 < side.shape[0] <= _LARGEST_SIDE}


def _first_state(gradient: Float[Tensor, "r c"]) -> dict[str, Any]:
    covariances = _covariances(gradient)
    return {
        "steps": 0,
        "mean": torch.zeros_like(gradient),
        "square": torch.zeros_like(gradient),  # in the eigenbasis, like Adam's second moment
        **{f"{name}_covariance": covariance for name, covariance in covariances.items()},
        **{f"{name}_basis": torch.linalg.eigh(covariance)[1] for name, covariance in covariances.items()},
    }


def _update(
    state: dict[str, Any], gradient: Float[Tensor, "r c"], momentum: float, memory: float, refresh: int
) -> Float[Tensor, "r c"]:
    rows, columns = state.get("rows_basis"), state.get("columns_basis")

    def turn(matrix: Tensor) -> Tensor:
        matrix = matrix if rows is None else rows.T @ matrix
        return matrix if columns is None else matrix @ columns

    def turn_back(matrix: Tensor) -> Tensor:
        matrix = matrix if rows is None else rows @ matrix
        return matrix if columns is None else matrix @ columns.T

    state["steps"] += 1
    state["mean"].lerp_(gradient, 1 - momentum)
    state["square"].lerp_(turn(gradient).square(), 1 - memory)
    mean = turn(state["mean"]) / (1 - momentum ** state["steps"])
    spread = (state["square"] / (1 - memory ** state["steps"])).sqrt()
    update = turn_back(mean / (spread + _EPSILON))
    for name, covariance in _covariances(gradient).items():
        state[f"{name}_covariance"].lerp_(covariance, 1 - memory)
        if state["steps"] % refresh == 0:  # one power iteration keeps up with a basis that turns slowly
            state[f"{name}_basis"] = torch.linalg.qr(state[f"{name}_covariance"] @ state[f"{name}_basis"])[0]
    return update
