"""The convolutions of these networks on a processor, faster than PyTorch's; the mathematics are the same.

Within `with Native():` PyTorch's `conv2d` takes this way wherever it can, so no network has to know of it. Float32;
every convolution differs from PyTorch's by rounding only, up to some 1e-5 of the largest value.
"""

import copy
import math
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import relu
from torch.overrides import TorchFunctionMode

from srrepro.kernels.compiled import library

MOST_PLANES = 1024
REACH = 8
"""Sides of a tile of Winograd's algorithm, and below its points; as in convolution.c."""
POINTS = REACH**2
_POOL = ThreadPoolExecutor(thread_name_prefix="convolution")


class Pairs(NamedTuple):
    """Of the convolutions of one forward pass, in their order, those whose planes go through a rectifier next."""

    calls: int
    rectified: frozenset[int]


NO_PAIRS = Pairs(1, frozenset())


class Native(TorchFunctionMode):
    """Where this is entered, by the thread that enters it, convolutions that the C functions know are theirs.

    `threads` share each of them. A rectifier that `pairs` has found after one is computed with it. Where nothing is
    trained, planes that nobody holds any more make room for the next layer's: large planes are slow to map anew.
    """

    def __init__(self, threads: int, pairs: Pairs = NO_PAIRS) -> None:
        super().__init__()
        self.threads = threads
        self.pairs = pairs
        self.calls = 0
        self.rectified: Tensor | None = None
        self.rooms: list[tuple[np.ndarray, weakref.ref[np.ndarray]]] = []

    def room(self, count: int) -> Tensor:
        """A flat tensor of `count` numbers, where some that are no longer wanted lie, if there are any."""
        free = [number for number, (_, used) in enumerate(self.rooms) if used() is None]
        room = self.rooms.pop(free[0])[0] if free else np.empty(count, np.float32)
        if len(room) < count:
            room = np.empty(count, np.float32)
        part = room[:count]  # lives as long as any tensor that lies in it
        self.rooms.append((room, weakref.ref(part)))
        return torch.from_numpy(part)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if self.rectified is not None and _is_given(self.rectified, func, args, kwargs):
            done, self.rectified = self.rectified, None
            if not _rectifies_in_place(func, kwargs):
                msg = "a network did not repeat its layers: what it does depends on what it is given"
                raise RuntimeError(msg)
            return done
        found = known(func, args, kwargs)
        number = self.calls
        self.calls += func is torch.conv2d
        if found is None:
            return func(*args, **(kwargs or {}))
        rectify = number % self.pairs.calls in self.pairs.rectified
        if torch.is_grad_enabled():
            out: Tensor = _Convolution.apply(*found, rectify, self.threads)  # type: ignore[no-untyped-call]
        else:
            out = _forward(*found, rectify, self.threads, self.room)
        self.rectified = out if rectify else None
        return out


def pairs_of(network: nn.Module, channels: int, side: int) -> Pairs:
    """Found by taking an image without numbers through the network, in the mode that it is in.

    Only rectifiers in place count: nothing can see the planes before them afterwards.
    """
    with _Noting() as noting, torch.no_grad():
        on_meta(network)(torch.empty(1, channels, side, side, device="meta"))
    return Pairs(noting.calls, frozenset(noting.rectified))


class _Noting(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.rectified: set[int] = set()
        self.last: Tensor | None = None

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if self.last is not None and _is_given(self.last, func, args, kwargs):
            self.last = None
            if _rectifies_in_place(func, kwargs):
                self.rectified.add(self.calls - 1)
        out = func(*args, **(kwargs or {}))
        if func is torch.conv2d:
            self.calls += 1
            self.last = out
        return out


def _rectifies_in_place(func: Callable[..., Any], kwargs: dict[str, Any] | None) -> bool:
    return func is torch.relu_ or (func is relu and bool((kwargs or {}).get("inplace")))


def _is_given(planes: Tensor, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> bool:
    """Whether a call takes these planes; a look at their shape or type is no call."""
    if getattr(func, "__name__", "") == "__get__":
        return False
    given = (*args, *(kwargs or {}).values())
    parts = [part for each in given for part in (each if isinstance(each, list | tuple) else [each])]
    return any(part is planes for part in parts)


def on_meta(network: nn.Module) -> nn.Module:
    """A copy without numbers, which only says which shapes come out."""
    return copy.deepcopy(network).to("meta")


class Call(NamedTuple):
    """A convolution with square filters that moves by one pixel, over planes with `padding` zeros around."""

    planes: Tensor
    weight: Tensor
    bias: Tensor | None
    padding: int


def plain(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> Call | None:
    """What a call asks for, if it is PyTorch's `conv2d` with nothing but filters and fewer zeros than they reach."""
    if func is not torch.conv2d or kwargs:
        return None
    defaults: tuple[Any, ...] = None, (1, 1), (0, 0), (1, 1), 1
    planes, weight, bias, stride, padding, dilation, groups = args + defaults[len(args) - 2 :]
    filters, inputs, height, width = weight.shape
    fits = bias is None or bias.shape == (filters,)
    possible = (
        planes.ndim == 4
        and planes.shape[1] == inputs
        and fits  # what does not fit would be read beyond its end; PyTorch says so
        and planes.numel() > 0
        and height == width
        and (stride, dilation, groups) == ((1, 1), (1, 1), 1)
        and padding in [(border, border) for border in range(height)]
        and min(planes.shape[2:]) + 2 * padding[0] >= height
    )
    return Call(planes, weight, bias, padding[0]) if possible else None


def known(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any] | None) -> Call | None:
    """What a call of PyTorch's `conv2d` asks for, if the C functions can do it; else None."""
    call = plain(func, args, kwargs)
    if call is None:
        return None
    filters, inputs = call.weight.shape[:2]
    possible = (
        all(
            each.dtype is torch.float32 and each.device.type == "cpu"
            for each in (call.planes, call.weight, call.bias)
            if each is not None
        )
        and filters * inputs > 1
        and all(count == 1 or count % 16 == 0 and count <= MOST_PLANES for count in (filters, inputs))
    )
    return call if possible else None


class _Convolution(torch.autograd.Function):
    """Planes and gradients are held as [image][row][column][plane], PyTorch's channels-last."""

    @staticmethod
    def forward(
        ctx: Any, planes: Tensor, weight: Tensor, bias: Tensor | None, padding: int, rectify: bool, threads: int
    ) -> Tensor:
        # Detached: as a view it could not be changed in place, as PyTorch's own results can.
        out = _forward(planes, weight, bias, padding, rectify, threads, torch.empty).detach()
        ctx.save_for_backward(planes, weight, out if rectify else None)
        ctx.padding, ctx.threads = padding, threads
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        planes, weight, out = ctx.saved_tensors
        gradient, kernel = _laid_out(gradients[0]), weight.shape[-1]
        for_planes = for_weight = None
        for_bias = torch.zeros(len(weight))
        before = gradient if out is None else torch.empty_like(gradient)
        C().rectify_back(
            gradient.data_ptr(), None if out is None else out.data_ptr(), gradient[..., 0].numel(), len(weight),
            before.data_ptr(), for_bias.data_ptr(),
        )  # fmt: skip
        if ctx.needs_input_grad[0]:
            turned, start = weight.detach().flip(2, 3).permute(2, 3, 0, 1), torch.zeros(weight.shape[1])
            for_planes = _convolved(before, turned, start, kernel - 1 - ctx.padding, False, ctx.threads, torch.empty)
        if ctx.needs_input_grad[1]:
            for_weight = _gradient(_laid_out(planes.detach()), before, kernel, ctx.padding).permute(3, 2, 0, 1)
        return for_planes, for_weight, for_bias if ctx.needs_input_grad[2] else None, None, None, None


Allocate = Callable[[int], Tensor]
"""Makes a flat tensor of so many numbers, whatever they are."""


def _forward(
    planes: Tensor, weight: Tensor, bias: Tensor | None, padding: int, rectify: bool, threads: int, room: Allocate
) -> Tensor:
    start = torch.zeros(len(weight)) if bias is None else bias.detach().contiguous()
    return _convolved(_laid_out(planes), weight.detach().permute(2, 3, 1, 0), start, padding, rectify, threads, room)


def _convolved(
    planes: Tensor, weight: Tensor, start: Tensor, padding: int, rectify: bool, threads: int, room: Allocate
) -> Tensor:
    """[n, o, H, W] from `planes` [n, h, w, i] by `weight` [k, k, i, o], with `padding` zeros around."""
    # By NumPy: a copy by PyTorch's own threads leaves one of them waiting busily, in the way of ours, for milliseconds.
    weight = torch.from_numpy(np.ascontiguousarray(weight.numpy()))
    kernel, _, inputs, filters = weight.shape
    count, height, width, _ = planes.shape
    rows, columns = height + 2 * padding - kernel + 1, width + 2 * padding - kernel + 1
    tiled = in_tiles(kernel, inputs, filters)
    if not tiled:
        planes = _bordered(planes, padding, room)
        _, height, width, _ = planes.shape
    out = room(count * rows * columns * filters).view(count, rows, columns, filters).permute(0, 3, 1, 2)
    of, into, bias = planes.data_ptr(), out.data_ptr(), start.data_ptr()
    # Threads are told where tensors lie: one that held them a moment longer would keep their room from the next layer.
    if tiled:
        transformed = transformed_for_tiles(weight)
        by = transformed.data_ptr()

        def some_tiles(begin: int, end: int) -> None:
            work = torch.empty(C().winograd_room(inputs, filters))
            C().winograd(
                of, begin, end, height, width, inputs, by, bias, kernel, padding, filters, rectify, into,
                work.data_ptr(),
            )  # fmt: skip

        share(threads, count * _tiles(rows, columns, kernel), some_tiles)
        return out
    by = weight.data_ptr()

    def some_rows(begin: int, end: int) -> None:
        C().convolve(of, begin, end, height, width, inputs, by, bias, kernel, filters, rectify, into)

    share(threads, count * rows, some_rows)
    return out


def _gradient(planes: Tensor, out: Tensor, kernel: int, padding: int) -> Tensor:
    """The gradient by the weight, [k, k, i, o]."""
    inputs, filters = planes.shape[-1], out.shape[-1]
    if in_tiles(kernel, inputs, filters):
        count, height, width, _ = planes.shape
        transformed, weight = torch.zeros(POINTS, inputs, filters), torch.empty(kernel, kernel, inputs, filters)
        work = torch.empty(C().winograd_room(inputs, filters))
        C().winograd_weights(
            planes.data_ptr(), 0, count * _tiles(out.shape[1], out.shape[2], kernel), height, width, inputs,
            out.data_ptr(), kernel, padding, filters, transformed.data_ptr(), work.data_ptr(),
        )  # fmt: skip
        C().winograd_filters_back(transformed.data_ptr(), kernel, inputs * filters, weight.data_ptr())
        return weight
    if filters == 1:  # the wide side last: the gradient's one plane is moved over the many
        return _gradient(out, planes, kernel, kernel - 1 - padding).flip(0, 1).transpose(2, 3)
    planes = _bordered(planes, padding, torch.empty)
    count, height, width, _ = planes.shape
    weight = torch.zeros(kernel, kernel, inputs, filters)
    C().convolve_weights(
        planes.data_ptr(), 0, count * out.shape[1], height, width, inputs, out.data_ptr(), kernel, filters,
        weight.data_ptr(),
    )  # fmt: skip
    return weight


def in_tiles(kernel: int, inputs: int, filters: int) -> bool:
    """Whether Winograd's algorithm is used; `in_tiles` of convolution.c."""
    return kernel in (3, 5) and inputs > 1 and filters > 1


def transformed_for_tiles(weight: Tensor, into: Tensor | None = None) -> Tensor:
    """[POINTS, i, o] from a contiguous `weight` [k, k, i, o]."""
    kernel, _, inputs, filters = weight.shape
    transformed = torch.empty(POINTS, inputs, filters) if into is None else into
    C().winograd_filters(weight.data_ptr(), kernel, inputs * filters, transformed.data_ptr())
    return transformed


def _tiles(rows: int, columns: int, kernel: int) -> int:
    side = REACH + 1 - kernel
    return -(-rows // side) * -(-columns // side)


def _bordered(planes: Tensor, border: int, room: Allocate) -> Tensor:
    if border == 0:
        return planes
    count, height, width, inputs = planes.shape
    shape = count, height + 2 * border, width + 2 * border, inputs
    wider = room(math.prod(shape)).view(shape).zero_()
    wider[:, border : border + height, border : border + width] = planes
    return wider


def _laid_out(planes: Tensor) -> Tensor:
    return planes.permute(0, 2, 3, 1).contiguous()


def share(threads: int, count: int, work: Callable[[int, int], None]) -> None:
    """Parts of the work to threads; while they are in the C functions, Python lets others run."""
    threads = min(threads, count)
    if threads == 1:
        work(0, count)
        return
    ends = [count * part // threads for part in range(threads + 1)]
    futures = [_POOL.submit(work, begin, end) for begin, end in zip(ends, ends[1:], strict=False)]
    try:
        for future in futures:
            future.result()
    finally:
        _let_end(futures)


def _let_end(futures: list[Future[None]]) -> None:
    """Wait, however often Ctrl-C is pressed: the threads write into arrays that are freed when this stack is left."""
    interrupted: KeyboardInterrupt | None = None
    while True:
        try:
            wait(futures)
            break
        except KeyboardInterrupt as error:
            interrupted = error
    if interrupted is not None:
        raise interrupted


def C() -> Any:
    """The C functions."""
    functions = library()
    assert functions is not None, "Native was entered where nothing was compiled"
    return functions
