"""Training a network that is one convolution after another, image by image in C: squared errors and their gradients.

Layer by layer, what a layer leaves of a batch has long left the cache when the next layer wants it, and every layer is
a hundred small operations of Python. Here a thread takes an image through all layers and back before the next one.
"""

import ctypes

import torch
from torch import Tensor, nn

from srrepro.kernels.convolution import POINTS, C, in_tiles, transformed_for_tiles
from srrepro.kernels.tracing import Layer, traced
from srrepro.models.recipe import takes


class CLayer(ctypes.Structure):
    """`layer` of convolution.c."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("kernel", "planes", "filters", "padding", "rectify")),
        *((name, ctypes.c_void_p) for name in ("weights", "turned", "bias", "for_weights", "for_bias")),
    )


class Chain:
    """The layers of a network, and whether its input is added to what the last of them makes."""

    def __init__(self, layers: list[Layer], *, residual: bool) -> None:
        self.weights = [Weights(layer) for layer in layers]
        self.residual = residual
        self.rooms: dict[int, Room] = {}

    @classmethod
    def of(cls, network: nn.Module, side: int) -> "Chain | None":
        """The network as a chain, found by taking an image of that side through it; None if it is more than that.

        Only luminance is chained, and nothing that subtracts what its layers make.
        """
        found = traced(network, side) if takes(network).channels == 1 else None
        if found is None or found.shape[1] != 1 or any(layer.border for layer in found.layers) or found.residual < 0:
            return None
        return cls(found.layers, residual=found.residual == 1)

    def prepare(self) -> None:
        """Take the weights of now, for one step of all threads."""
        for weights in self.weights:
            weights.prepare()

    def backward(self, share: int, inputs: Tensor, high: Tensor, *, factor: float) -> tuple[Tensor, list[Tensor]]:
        """`factor` times the squared errors of images [n, 1, h, w], and its gradients as the C functions leave them.

        Each share of a batch has buffers of its own, whichever thread takes it; there the gradients lie until the next
        step.

        Raises
        ------
        ValueError : no images; images of other numbers, of several planes, or smaller than the network makes something
            of; labels of another size than it makes. In C they would be read beyond their end.
        """
        count, planes, height, width = inputs.shape
        if inputs.dtype is not torch.float32 or planes != 1 or count < 1:
            msg = f"a chain takes images of one plane in float32, not {tuple(inputs.shape)} in {inputs.dtype}"
            raise ValueError(msg)
        room = self._room(share, height, width)
        if high.shape != (count, 1, *room.made) or high.dtype is not torch.float32:
            msg = (
                f"a chain makes {room.made} of {height}×{width}, but the labels are {tuple(high.shape)} in {high.dtype}"
            )
            raise ValueError(msg)
        inputs, high = inputs.contiguous(), high.contiguous()  # of one plane all layouts are one
        for gradient in room.gradients:
            gradient.zero_()
        squares = C().chain_squares(
            room.layers, len(room.layers), inputs.data_ptr(), high.data_ptr(), count, height, width, self.residual,
            factor, room.pointers, room.work.data_ptr(),
        )  # fmt: skip
        return torch.tensor(squares * factor), room.gradients

    def gradients(self, raw: list[Tensor]) -> list[Tensor]:
        """What `backward` left, as gradients of the network's parameters in their order."""
        return [
            gradient
            for weights, by_weight, by_bias in zip(self.weights, raw[::2], raw[1::2], strict=True)
            for gradient in weights.gradients(by_weight, by_bias)
        ]

    def _room(self, share: int, height: int, width: int) -> "Room":
        """The same from step to step: memory that the system hands out anew is slow."""
        room = self.rooms.get(share)
        if room is None or room.taken != (height, width):
            room = self.rooms[share] = Room(self.weights, height, width)
        return room


class Room:
    """For what every layer makes of an image, and for the gradients by its weight and its bias."""

    def __init__(self, weights: list["Weights"], height: int, width: int) -> None:
        self.taken = height, width
        self.layers = (CLayer * len(weights))()
        self.planes: list[Tensor] = []
        self.gradients: list[Tensor] = []
        rows, columns = height, width
        for layer, own in zip(self.layers, weights, strict=True):
            grown = 2 * own.layer.padding - own.kernel + 1
            rows, columns = rows + grown, columns + grown
            if min(rows, columns) < 1:
                msg = f"an image of {height}×{width} was given to a chain, which makes nothing of it"
                raise ValueError(msg)
            self.planes.append(torch.empty(rows, columns, own.filters))
            self.gradients += own.describe(layer)
        self.made = rows, columns
        self.pointers = (ctypes.c_void_p * len(weights))(*(plane.data_ptr() for plane in self.planes))
        self.work = torch.empty(C().chain_room(self.layers, len(self.layers), height, width))


class Weights:
    """One layer's weights in the layouts of the C functions."""

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        self.filters, self.inputs, self.kernel, _ = layer.weight.shape
        self.tiled = in_tiles(self.kernel, self.inputs, self.filters)
        self.points = POINTS if self.tiled else self.kernel**2
        self.weights = torch.empty(self.points, self.inputs, self.filters)
        self.turned = torch.empty(self.points, self.filters, self.inputs)
        self.bias = torch.zeros(self.filters)

    @torch.no_grad()
    def prepare(self) -> None:
        """Take the weights of now."""
        weight = self.layer.weight
        self._lay_out(weight.permute(2, 3, 1, 0), self.weights)
        self._lay_out(weight.flip(2, 3).permute(2, 3, 0, 1), self.turned)
        if self.layer.bias is not None:
            self.bias.copy_(self.layer.bias)

    def _lay_out(self, weight: Tensor, into: Tensor) -> None:
        if self.tiled:
            transformed_for_tiles(weight.contiguous(), into)
        else:
            into.view(weight.shape).copy_(weight)

    def describe(self, c_layer: CLayer) -> tuple[Tensor, Tensor]:
        """The layer to the C functions; where they will add its gradients to."""
        gradient, by_bias = torch.empty(self.points, self.inputs, self.filters), torch.empty(self.filters)
        c_layer.kernel, c_layer.planes, c_layer.filters = self.kernel, self.inputs, self.filters
        c_layer.padding, c_layer.rectify = self.layer.padding, self.layer.rectify
        c_layer.weights, c_layer.turned, c_layer.bias = (
            tensor.data_ptr() for tensor in (self.weights, self.turned, self.bias)
        )
        c_layer.for_weights, c_layer.for_bias = gradient.data_ptr(), by_bias.data_ptr()
        return gradient, by_bias

    def gradients(self, gradient: Tensor, by_bias: Tensor) -> tuple[Tensor, ...]:
        """By the weight and, if there is one, by the bias, as PyTorch has them."""
        kernel, inputs, filters = self.kernel, self.inputs, self.filters
        if self.tiled:
            by_weight = torch.empty(kernel, kernel, inputs, filters)
            C().winograd_filters_back(gradient.data_ptr(), kernel, inputs * filters, by_weight.data_ptr())
        elif filters == 1:
            by_weight = gradient.view(kernel, kernel, filters, inputs).flip(0, 1).transpose(2, 3)
        else:
            by_weight = gradient.view(kernel, kernel, inputs, filters).clone()
        by_weight = by_weight.permute(3, 2, 0, 1)
        return (by_weight,) if self.layer.bias is None else (by_weight, by_bias.clone())
