"""Finding out whether a network is one convolution after another, by taking a small image through it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu
from torch.overrides import TorchFunctionMode

from srrepro.kernels.convolution import known


@dataclass
class Layer:
    """One convolution, as PyTorch has it, and whether a rectifier follows.

    It pads with `padding` zeros itself; before that, its planes were given a `border` of so many pixels, in that mode.
    """

    weight: Tensor
    bias: Tensor | None
    padding: int
    border: int = 0
    mode: str = ""
    rectify: bool = False


Sign = Literal[-1, 0, 1]
"""With which what the layers make is added to their input; 0 where it stands alone."""


@dataclass(frozen=True)
class Trace:
    """The layers that an image goes through, how what they make is added to it, and the shape that comes out."""

    layers: list[Layer]
    residual: Sign
    shape: tuple[int, ...]


@torch.no_grad()
def traced(network: nn.Module, side: int) -> Trace | None:
    """What a network does to an image of that side, in the mode that it is in; None if that is more than a chain."""
    with _Tracing(torch.zeros(1, 1, side, side)) as trace:
        out = network(trace.inputs)
    own = [id(tensor) for layer in trace.layers for tensor in (layer.weight, layer.bias) if tensor is not None]
    whole = sorted(own) == sorted(map(id, network.parameters()))
    if not (trace.chained and whole and out is trace.last and not trace.border):
        return None
    return Trace(trace.layers, trace.residual, tuple(out.shape))


class _Tracing(TorchFunctionMode):
    """Notes the convolutions that an input goes through, as long as nothing else is done to it."""

    def __init__(self, inputs: Tensor) -> None:
        super().__init__()
        self.inputs = self.last = inputs
        self.layers: list[Layer] = []
        self.border, self.mode = 0, ""
        self.residual: Sign = 0
        self.chained = True

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if not isinstance(out, Tensor):
            return out
        given = bool(args) and args[0] is self.last and not self.residual
        found = known(func, args, kwargs)
        if found is not None and found.planes is self.last and not self.residual:
            self.layers.append(Layer(found.weight, found.bias, found.padding, self.border, self.mode))
            self.border, self.mode = 0, ""
        elif func is pad and given and not self.border:
            self._note_border(*args, **(kwargs or {}))
        elif func is relu and given and self.layers and not (self.border or self.layers[-1].rectify):
            self.layers[-1].rectify = True
        elif getattr(func, "__name__", "") in {"add", "sub"} and len(args) == 2 and not kwargs and not self.residual:
            self._note_sum(*args, subtracted=func.__name__ == "sub")
        else:
            self.chained = False
        self.last = out
        return out

    def _note_sum(self, one: Any, other: Any, *, subtracted: bool) -> None:
        """The last layer's output, added to the input or, behind it, subtracted from it."""
        self.residual = -1 if subtracted else 1
        swapped = one is self.last and other is self.inputs and not subtracted
        self.chained &= swapped or (one is self.inputs and other is self.last)

    def _note_border(
        self, _planes: Tensor, sides: tuple[int, ...], mode: str = "constant", value: float | None = None
    ) -> None:
        self.border, self.mode = sides[0], mode
        self.chained &= len(sides) == 4 and len(set(sides)) == 1 and sides[0] > 0 and not value
