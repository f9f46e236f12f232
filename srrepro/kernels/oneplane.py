"""Gradients by the weights of convolutions from one plane or to one, as matrix products: for GPUs.

A GPU's library takes three quarters of SRCNN's step for them. Within `with OnePlane():` PyTorch's `conv2d` takes this
way where one side has one plane, so no network has to know of it. The mathematics are the same, up to rounding.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import pad
from torch.overrides import TorchFunctionMode

from srrepro.kernels.convolution import plain


class OnePlane(TorchFunctionMode):
    """Where this is entered, by the thread that enters it, such convolutions keep their forward pass."""

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        call = plain(func, args, kwargs)
        if call is None or 1 not in call.weight.shape[:2]:
            return func(*args, **(kwargs or {}))
        return _Convolution.apply(*call)  # type: ignore[no-untyped-call]


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, planes: Tensor, weight: Tensor, bias: Tensor | None, padding: int) -> Tensor:
        ctx.save_for_backward(planes, weight)
        ctx.padding = padding
        return torch.conv2d(planes, weight, bias, padding=padding)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        planes, weight = ctx.saved_tensors
        for_planes, for_weight, for_bias, _ = ctx.needs_input_grad
        by_planes = by_weight = by_bias = None
        if for_planes or for_bias:
            by_planes, _, by_bias = torch.ops.aten.convolution_backward(
                gradient, planes, weight, [len(weight)], (1, 1), (ctx.padding,) * 2, (1, 1), False, (0, 0), 1,
                (for_planes, False, for_bias),
            )  # fmt: skip
        if for_weight:
            by_weight = _by_weight(planes, gradient, weight.shape[-1], ctx.padding)
        return by_planes, by_weight, by_bias, None


def _by_weight(
    planes: Float[Tensor, "n i h w"], gradient: Float[Tensor, "n o H W"], kernel: int, padding: int
) -> Float[Tensor, "o i k k"]:
    if planes.shape[1] == 1:
        product = _product(pad(planes, (padding,) * 4), gradient, kernel)
        return product.permute(2, 0, 1)[:, None]
    # To one plane: the gradient's windows, over the many planes, meet the filter from its other end.
    product = _product(pad(gradient, (kernel - 1 - padding,) * 4), planes, kernel)
    return product.flip(0, 1).permute(2, 0, 1)[None]


def _product(one: Float[Tensor, "n 1 h w"], many: Float[Tensor, "n p H W"], kernel: int) -> Float[Tensor, "k k p"]:
    """The windows of one plane, each times the numbers that the many planes have there; image by image, then summed."""
    windows = one[:, 0].unfold(1, kernel, 1).unfold(2, kernel, 1).reshape(len(one), -1, kernel**2)  # one copy for all
    numbers = many.permute(0, 2, 3, 1).flatten(1, 2)  # no copy of planes that are channels-last
    return (windows.transpose(1, 2) @ numbers).sum(0).view(kernel, kernel, -1)
