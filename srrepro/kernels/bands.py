"""A network that is one convolution after another, over an image of any size: band by band, so that what a layer leaves
is still in the cache when the next one takes it. For images, not for training: see `chain`.

Layer by layer, the planes of a large image go out to memory and come back: for SRCNN that takes longer than computing.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from numpy import ndarray
from torch import Tensor, nn
from torch.nn.functional import pad, relu
from torch.overrides import TorchFunctionMode

from srrepro.kernels.chain import CLayer
from srrepro.kernels.convolution import POINTS, C, in_tiles, known, share
from srrepro.models.recipe import INTERPOLATED, takes

PROBE = 16
"""Pixels of a side of the image that the layers are found out with."""
CACHE = 1 << 19
"""Bytes that the new rows of a layer may take: half of a usual second-level cache."""
ROWS = 12
"""Of a band at most: where nothing fits the cache, more rows only need more room. A multiple of Winograd's 6 and 4."""
NARROWEST = 32
"""Columns of the output that are worth a thread."""


def is_watched() -> bool:
    """Whether somebody looks at PyTorch's calls here, or changes them: then they have to be made."""
    stack: list[object] = torch.overrides._get_current_function_mode_stack()  # type: ignore[no-untyped-call]
    return bool(stack)


@dataclass
class Layer:
    """One convolution that keeps the size: as PyTorch has it, and as the C functions do."""

    weight: Tensor
    bias: Tensor | None
    rectify: bool = False
    taken: list[ndarray] = field(default_factory=list)
    laid_out: list[ndarray] = field(default_factory=list)

    def take(self) -> list[ndarray]:
        """Weights and bias of now, in the layout of the C functions; made anew only where they have changed.

        With NumPy: PyTorch would wake a thread of its own for them, which then is in the way of ours for milliseconds.
        """
        bias = np.zeros(len(self.weight), np.float32) if self.bias is None else self.bias.detach().numpy()
        now = [self.weight.detach().numpy(), bias]
        if not self.taken or not all(map(np.array_equal, now, self.taken)):
            self.taken = [each.copy() for each in now]
            weight = np.ascontiguousarray(now[0].transpose(2, 3, 1, 0))
            kernel, _, inputs, filters = weight.shape
            if in_tiles(kernel, inputs, filters):
                transformed = np.empty((POINTS, inputs, filters), np.float32)
                C().winograd_filters(weight.ctypes.data, kernel, inputs * filters, transformed.ctypes.data)
                weight = transformed
            self.laid_out = [weight, np.ascontiguousarray(bias)]
        return self.laid_out


class _Tracing(TorchFunctionMode):
    """Notes the convolutions that an image goes through, and what is put around it, as long as nothing else is done."""

    def __init__(self, inputs: Tensor) -> None:
        super().__init__()
        self.inputs = self.last = inputs
        self.layers: list[Layer] = []
        self.borders: set[str] = set()
        self.border = 0
        self.residual = False
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
            if found.padding:
                self.borders.add("constant")
            kernel = found.weight.shape[-1]
            self.chained &= kernel % 2 == 1 and self.border + found.padding == kernel // 2
            self.layers.append(Layer(found.weight, found.bias))
            self.border = 0
        elif func is pad and given and not self.border:
            self._note_border(*args, **(kwargs or {}))
        elif func is relu and given and self.layers and not (self.border or self.layers[-1].rectify):
            self.layers[-1].rectify = True
        elif getattr(func, "__name__", "") == "add" and len(args) == 2 and not kwargs and not self.residual:
            self.residual = True  # the input, added to the last layer's output
            self.chained &= {id(args[0]), id(args[1])} == {id(self.inputs), id(self.last)}
        else:
            self.chained = False
        self.last = out
        return out

    def _note_border(
        self, _planes: Tensor, sides: tuple[int, ...], mode: str = "constant", value: float | None = None
    ) -> None:
        self.borders.add(mode)
        self.border = sides[0]
        self.chained &= len(sides) == 4 and len(set(sides)) == 1 and not value


class Bands:
    """The layers of a network, whether its input is added to what they make, and what is around an image."""

    def __init__(self, layers: list[Layer], *, residual: bool, repeated: bool) -> None:
        self.layers = layers
        self.residual = residual
        self.repeated = repeated

    @classmethod
    @torch.no_grad()
    def of(cls, network: nn.Module) -> "Bands | None":
        """The network as such a chain, in the mode that it is in; None if it is none, or takes RGB.

        It is found by taking a small image through it. So the network must promise to do the same with any image: it
        has a `chain` that is true.
        """
        if not getattr(network, "chain", False) or takes(network) != INTERPOLATED:
            return None
        if any(each.device.type != "cpu" for each in network.parameters()):
            return None
        with _Tracing(torch.zeros(1, 1, PROBE, PROBE)) as trace:
            out = network(trace.inputs)
        own = [id(tensor) for layer in trace.layers for tensor in (layer.weight, layer.bias) if tensor is not None]
        whole = sorted(own) == sorted(map(id, network.parameters()))
        if not (trace.layers and trace.chained and whole and out is trace.last and not trace.border):
            return None
        if out.shape != trace.inputs.shape or trace.borders not in ({"constant"}, {"replicate"}):
            return None
        return cls(trace.layers, residual=trace.residual, repeated=trace.borders == {"replicate"})

    def __call__(
        self, image: Float32[ndarray, "h w"], *, threads: int, memory: int | None = None
    ) -> Float32[ndarray, "h w"]:
        """What the network makes of an image. Beside it no more than `memory` bytes are taken, if the least fits."""
        image = np.ascontiguousarray(image)
        height, width = image.shape
        out = np.empty_like(image)
        taken = [layer.take() for layer in self.layers]
        layers = self._described(taken)
        if memory is not None:
            threads = max(1, min(threads, memory // self.least()))
        stripes = self._stripes(layers, width, threads, memory)
        rows = min(self._rows(-(-width // stripes)), max(height, 1))

        def some(begin: int, end: int) -> None:
            for stripe in range(begin, end):
                first, last = width * stripe // stripes, width * (stripe + 1) // stripes
                work = np.empty(C().bands_room(layers, len(layers), width, first, last, rows), np.float32)
                C().chain_bands(
                    layers, len(layers), image.ctypes.data, height, width, first, last, rows, self.repeated,
                    out.ctypes.data, work.ctypes.data,
                )  # fmt: skip

        share(threads, stripes, some)
        return image + out if self.residual else out

    def least(self) -> int:
        """Bytes that even the narrowest stripe takes."""
        layers = self._described([layer.take() for layer in self.layers])
        reach = sum(layer.weight.shape[-1] // 2 for layer in self.layers)
        wide = 2 * reach + NARROWEST
        return 4 * int(C().bands_room(layers, len(layers), wide, reach, reach + NARROWEST, self._rows(NARROWEST)))

    def _stripes(self, layers: Any, width: int, threads: int, memory: int | None) -> int:
        """Each thread has columns of its own; more stripes take less. Where they meet, columns are computed twice."""
        stripes = max(1, min(threads, width // NARROWEST))
        while memory is not None and width // (2 * stripes) >= NARROWEST:
            columns = -(-width // stripes)
            first = (width - columns) // 2
            room = C().bands_room(layers, len(layers), width, first, first + columns, self._rows(columns))
            if 4 * room * min(threads, stripes) <= memory:
                break
            stripes *= 2
        return stripes

    def _rows(self, columns: int) -> int:
        """Of a band: as many as fit the cache, up to a number beyond which more do not help."""
        planes = max(layer.weight.shape[0] for layer in self.layers)
        tiled = any(in_tiles(layer.weight.shape[-1], *layer.weight.shape[1::-1]) for layer in self.layers)
        return ROWS if tiled else max(1, min(ROWS, CACHE // (4 * planes * columns)))

    def _described(self, taken: list[list[ndarray]]) -> Any:
        """The layers to the C functions."""
        described = (CLayer * len(self.layers))()
        for each, layer, (weight, bias) in zip(described, self.layers, taken, strict=True):
            each.filters, each.planes, each.kernel, _ = layer.weight.shape
            each.rectify, each.weights, each.bias = layer.rectify, weight.ctypes.data, bias.ctypes.data
        return described
