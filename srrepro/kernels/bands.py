"""A network that is one convolution after another, over an image of any size: band by band, so that what a layer leaves
is still in the cache when the next one takes it. For images, not for training: see `chain`.

Layer by layer, the planes of a large image go out to memory and come back: for SRCNN that takes longer than computing.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from numpy import ndarray
from torch import nn

from srrepro.kernels.chain import CLayer
from srrepro.kernels.convolution import POINTS, C, in_tiles, share
from srrepro.kernels.tracing import Layer, Sign, traced
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


class Weights:
    """Those of one layer, in the layout of the C functions."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.taken: list[ndarray] = []
        self.laid_out: list[ndarray] = []

    def take(self) -> list[ndarray]:
        """Weights and bias of now; laid out anew only where they have changed.

        With NumPy: PyTorch would wake a thread of its own for them, which then is in the way of ours for milliseconds.
        """
        layer = self.layer
        bias = np.zeros(len(layer.weight), np.float32) if layer.bias is None else layer.bias.detach().numpy()
        now = [layer.weight.detach().numpy(), bias]
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


class Bands:
    """The layers of a network, how what they make is added to its input, and what is around an image."""

    def __init__(self, layers: list[Layer], *, residual: Sign, repeated: bool) -> None:
        self.layers = layers
        self.weights = [Weights(layer) for layer in layers]
        self.residual = residual
        self.repeated = repeated
        self.shapes = self._described()

    @classmethod
    def of(cls, network: nn.Module) -> "Bands | None":
        """The network as such a chain, in the mode that it is in; None if it is none, or takes RGB.

        It is found by taking a small image through it. So the network must promise to do the same with any image: it
        has a `chain` that is true.
        """
        if not getattr(network, "chain", False) or takes(network) != INTERPOLATED:
            return None
        if any(each.device.type != "cpu" for each in network.parameters()):
            return None
        found = traced(network, PROBE)
        if found is None or found.shape != (1, 1, PROBE, PROBE) or not all(map(_keeps_the_size, found.layers)):
            return None
        borders = {layer.mode for layer in found.layers if layer.border}
        borders |= {"constant" for layer in found.layers if layer.padding}
        if borders not in ({"constant"}, {"replicate"}):
            return None
        return cls(found.layers, residual=found.residual, repeated=borders == {"replicate"})

    def __call__(
        self, image: Float32[ndarray, "h w"], *, threads: int, memory: int | None = None
    ) -> Float32[ndarray, "h w"]:
        """What the network makes of an image. Beside it no more than `memory` bytes are taken, if the least fits."""
        image = np.ascontiguousarray(image)
        height, width = image.shape
        out = np.empty_like(image)
        taken = [weights.take() for weights in self.weights]
        layers = self._described()
        for each, (weight, bias) in zip(layers, taken, strict=True):
            each.weights, each.bias = weight.ctypes.data, bias.ctypes.data
        if memory is not None:
            threads = max(1, min(threads, memory // self.least()))
        stripes = self._stripes(width, threads, memory)
        rows = min(self._rows(-(-width // stripes)), max(height, 1))

        def some(begin: int, end: int) -> None:
            for stripe in range(begin, end):
                first, last = width * stripe // stripes, width * (stripe + 1) // stripes
                work = np.empty(self._room(width, first, last, rows), np.float32)
                C().chain_bands(
                    layers, len(layers), image.ctypes.data, height, width, first, last, rows, self.repeated,
                    out.ctypes.data, work.ctypes.data,
                )  # fmt: skip

        share(threads, stripes, some)
        return image + self.residual * out if self.residual else out

    def least(self) -> int:
        """Bytes that even the narrowest stripe takes."""
        reach = sum(layer.weight.shape[-1] // 2 for layer in self.layers)
        wide = 2 * reach + NARROWEST
        return 4 * self._room(wide, reach, reach + NARROWEST, self._rows(NARROWEST))

    def _stripes(self, width: int, threads: int, memory: int | None) -> int:
        """Each thread has columns of its own; more stripes take less. Where they meet, columns are computed twice."""
        stripes = max(1, min(threads, width // NARROWEST))
        while memory is not None and width // (2 * stripes) >= NARROWEST:
            columns = -(-width // stripes)
            first = (width - columns) // 2
            room = self._room(width, first, first + columns, self._rows(columns))
            if 4 * room * min(threads, stripes) <= memory:
                break
            stripes *= 2
        return stripes

    def _room(self, width: int, first: int, last: int, rows: int) -> int:
        """Floats that the C function works in, for these columns of an image."""
        return int(C().bands_room(self.shapes, len(self.shapes), width, first, last, rows))

    def _rows(self, columns: int) -> int:
        """Of a band: as many as fit the cache, up to a number beyond which more do not help."""
        planes = max(layer.weight.shape[0] for layer in self.layers)
        tiled = any(in_tiles(layer.weight.shape[-1], *layer.weight.shape[1::-1]) for layer in self.layers)
        return ROWS if tiled else max(1, min(ROWS, CACHE // (4 * planes * columns)))

    def _described(self) -> Any:
        """The layers to the C functions, without weights."""
        described = (CLayer * len(self.layers))()
        for each, layer in zip(described, self.layers, strict=True):
            each.filters, each.planes, each.kernel, _ = layer.weight.shape
            each.rectify = layer.rectify
        return described


def _keeps_the_size(layer: Layer) -> bool:
    kernel = layer.weight.shape[-1]
    return kernel % 2 == 1 and layer.border + layer.padding == kernel // 2
