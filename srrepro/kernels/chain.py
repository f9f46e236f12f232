"""Training a network that is one convolution after another, image by image in C: loss and gradients of a batch.

Layer by layer, what a layer leaves of a batch has long left the cache when the next layer wants it, and every layer is
a hundred small operations of Python. Here a thread takes an image through all layers and back.
"""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from srrepro.kernels.convolution import POINTS, C, in_tiles, known, transformed_for_tiles
from srrepro.models.recipe import rectified

IMAGES = 16
"""That a thread takes through a network at a time: enough to be worth a start, few enough that what one layer leaves is
still near when the next one takes it."""


@dataclass(frozen=True)
class Layer:
    """One convolution, as PyTorch has it, and whether a rectifier follows."""

    weight: Tensor
    bias: Tensor | None
    padding: int
    rectify: bool


class _Layer(ctypes.Structure):
    """`layer` of convolution.c."""

    _fields_ = (
        *((name, ctypes.c_long) for name in ("kernel", "planes", "filters", "padding", "rectify")),
        *((name, ctypes.c_void_p) for name in ("weights", "turned", "bias", "for_weights", "for_bias")),
    )


class _Tracing(TorchFunctionMode):
    """Notes the convolutions that an input goes through, as long as nothing else is done to it."""

    def __init__(self, inputs: Tensor) -> None:
        super().__init__()
        self.inputs = self.last = inputs
        self.layers: list[Layer] = []
        self.residual = False
        self.chained = True

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if not isinstance(out, Tensor):
            return out
        found = known(func, args, kwargs)
        if found is not None and found.planes is self.last and not self.residual:
            self.layers.append(Layer(found.weight, found.bias, found.padding, func is rectified))
        elif getattr(func, "__name__", "") == "add" and len(args) == 2 and not kwargs and not self.residual:
            self.residual = True  # the input, added to the last layer's output
            self.chained &= {id(args[0]), id(args[1])} == {id(self.inputs), id(self.last)}
        else:
            self.chained = False
        self.last = out
        return out


class Chain:
    """The layers of a network, and whether its input is added to what the last of them makes."""

    def __init__(self, layers: list[Layer], residual: bool) -> None:
        self.layers = layers
        self.residual = residual

    @classmethod
    @torch.no_grad()
    def of(cls, network: nn.Module, image: Tensor) -> "Chain | None":
        """The network as a chain, found by taking an image [1, 1, h, w] through it; None if it is more than that."""
        with _Tracing(image) as trace:
            out = network(trace.inputs)
        own = [id(tensor) for layer in trace.layers for tensor in (layer.weight, layer.bias) if tensor is not None]
        whole = sorted(own) == sorted(map(id, network.parameters()))
        if not (trace.chained and whole and out is trace.last and out.shape[1] == 1):
            return None
        return cls(trace.layers, trace.residual)

    @torch.no_grad()
    def prepared(self) -> list["Weights"]:
        """The weights of now, as the C functions take them; for one step, and for all threads."""
        return [Weights(layer) for layer in self.layers]

    def backward(
        self,
        prepared: list["Weights"],
        inputs: Tensor,
        high: Tensor,
        *,
        loss: Callable[[Tensor, Tensor], Tensor],
        weight: float,
    ) -> tuple[Tensor, list[Tensor]]:
        """`weight` times the loss of some images [n, 1, h, w], and its gradients as the C functions leave them."""
        count, _, height, width = inputs.shape
        inputs = inputs.contiguous()  # of one plane all layouts are one
        gradients: list[Tensor] = []
        array = (_Layer * len(prepared))()
        for c_layer, weights in zip(array, prepared, strict=True):
            gradients += weights.fill(c_layer)
        work = torch.empty(C().chain_room(array, len(array), height, width))
        planes = self._room(min(count, IMAGES), height, width)
        pointers = (ctypes.c_void_p * len(planes))(*(plane.data_ptr() for plane in planes))
        total = torch.zeros(())
        for some, their in zip(torch.split(inputs, IMAGES), torch.split(high, IMAGES), strict=True):
            shape = some.data_ptr(), len(some), height, width
            C().chain_forward(array, len(array), *shape, pointers, work.data_ptr())
            details = planes[-1][: len(some)]
            estimate = (some + details if self.residual else details).detach().requires_grad_()
            part = loss(estimate, their) * (weight * len(some) / count)
            by_estimate = torch.autograd.grad(part, estimate)[0].contiguous()
            C().chain_back(array, len(array), *shape, pointers, by_estimate.data_ptr(), work.data_ptr())
            total += part.detach()
        return total, gradients

    def gradients(self, prepared: list["Weights"], raw: list[Tensor]) -> list[Tensor]:
        """What `backward` left, as gradients of the network's parameters in their order."""
        return [
            gradient
            for number, weights in enumerate(prepared)
            for gradient in weights.gradients(raw[2 * number], raw[2 * number + 1])
        ]

    def _room(self, count: int, height: int, width: int) -> list[Tensor]:
        """For what every layer makes; of the last one, with its one plane, as PyTorch has images."""
        planes = []
        for layer in self.layers:
            filters, _, kernel, _ = layer.weight.shape
            height, width = height + 2 * layer.padding - kernel + 1, width + 2 * layer.padding - kernel + 1
            planes.append(torch.empty(count, filters, height, width))
        return planes


class Weights:
    """One layer's weights in the layouts of the C functions."""

    def __init__(self, layer: Layer) -> None:
        weight = layer.weight.detach()
        self.layer = layer
        self.filters, self.inputs, self.kernel, _ = weight.shape
        self.tiled = in_tiles(self.kernel, self.inputs, self.filters)
        self.weights = self._laid_out(weight.permute(2, 3, 1, 0))
        self.turned = self._laid_out(weight.flip(2, 3).permute(2, 3, 0, 1))
        self.bias = torch.zeros(self.filters) if layer.bias is None else layer.bias.detach().contiguous()

    def _laid_out(self, weight: Tensor) -> Tensor:
        weight = weight.contiguous()
        return transformed_for_tiles(weight) if self.tiled else weight

    def fill(self, c_layer: _Layer) -> tuple[Tensor, Tensor]:
        """Describe the layer to the C functions; the gradients that they will add to, zero so far."""
        gradient = torch.zeros(POINTS if self.tiled else self.kernel**2, self.inputs, self.filters)
        by_bias = torch.zeros(self.filters)
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
            by_weight = gradient.view(kernel, kernel, inputs, filters)
        by_weight = by_weight.permute(3, 2, 0, 1)
        return (by_weight,) if self.layer.bias is None else (by_weight, by_bias)
