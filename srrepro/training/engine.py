"""One training step: `plain_step` is what it means, `Engine` does the same faster. The loop decides what is trained."""

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import partial

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from srrepro.hardware import ALONE, Hardware
from srrepro.kernels.chain import Chain
from srrepro.kernels.convolution import Native, pairs_of
from srrepro.kernels.oneplane import OnePlane
from srrepro.models.recipe import OfSquares, Training, images_of
from srrepro.training.portions import Table

Part = tuple[Tensor, list[Tensor]]
"""A loss and its gradients."""
IMAGES = 16
"""That a thread takes through a network at a time, layer by layer: enough to be worth a start, few enough that what one
layer leaves is still near when the next one takes it."""
LEAST_SHARE = 4_000_000_000
"""Multiply-adds of one pass: with less work, starting PyTorch's operations costs a thread more than it gains."""


def plain_step(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    training: Training,
    inputs: Float[Tensor, "n c h w"],
    high: Float[Tensor, "n c p p"],
    *,
    lr: float,
) -> Float[Tensor, ""]:
    """Update the weights once, as a textbook does; the loss before that. A test holds `Engine.step` against it."""
    for group in optimiser.param_groups:
        group["lr"] = lr * group["factor"]
    optimiser.zero_grad(set_to_none=True)
    loss: Tensor = training.loss(network(inputs), high)
    loss.backward()  # type: ignore[no-untyped-call]
    if training.clip is not None:
        training.clip([parameter.grad for parameter in network.parameters() if parameter.grad is not None], lr)
    optimiser.step()
    return loss.detach()


class Engine:
    """A network and its optimiser, in the layout that convolutions of few channels run fastest in.

    On a processor every thread takes its share of the batch from the first layer to the last and back, so that threads
    wait for each other once a step and not once a layer. `native` convolutions are those of `srrepro.kernels`, `eager`
    ones are PyTorch's. `bfloat16` is autocast with float32 weights.

    On a GPU `graph` records a step, or several, and replays them, so that the processor starts one thing instead of
    hundreds; the learning rate, and with it the clipping bound, are values on the device, so a schedule survives.
    `compiled` is `torch.compile`. The other modes take gradients by the weights of one plane as matrix products.
    """

    def __init__(self, network: nn.Module, training: Training, hardware: Hardware) -> None:
        self.hardware = hardware
        device, mode = hardware.device, hardware.mode
        self.network: nn.Module = network.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.forward: Callable[[Tensor], Tensor] = torch.compile(network) if mode == "compiled" else network
        self.loss = training.loss
        self.clip = training.clip
        self.optimiser = training.optimiser(training.rates(self.network))
        if isinstance(self.optimiser, torch.optim.SGD):  # one pass over weights, gradients and momenta
            for group in self.optimiser.param_groups:
                group.update(fused=True, foreach=False)
        self.parameters = list(self.network.parameters())
        side, channels = training.patches.patch, training.patches.takes.channels
        self.chain = Chain.of(network, side) if mode == "native" and isinstance(self.loss, OfSquares) else None
        self.pairs = pairs_of(network, channels, side) if mode == "native" else None
        # bfloat16 keeps the library's: of a matrix product each image's sum would be rounded to 8 bits.
        self.one_plane = device != "cpu" and mode in {"eager", "graph"} and hardware.precision != "bfloat16"
        self.recorded: dict[int, _Recorded] = {}  # by the number of patches: an epoch's last batch may be smaller
        self.several: _Recorded | None = None
        self.under_way: deque[torch.cuda.Event] = deque()
        self.factors = torch.tensor([group["factor"] for group in self.optimiser.param_groups], dtype=torch.float64)
        # Its own for all that it records: on the one that PyTorch has for this, another thread's steps might be.
        self.aside = torch.cuda.Stream() if mode == "graph" else None  # type: ignore[no-untyped-call]
        self.own_threads = threads = hardware.shared_by
        work = training.batch * training.patches.label**2 * sum(map(torch.numel, self.parameters))
        worth = threads if mode == "native" else max(1, work // LEAST_SHARE)
        self.shares = min(threads, training.batch, worth) if device == "cpu" else 1
        if self.shares > 1:
            self.pool = ThreadPoolExecutor(
                self.shares, "share", initializer=torch.set_num_threads, initargs=(threads // self.shares,)
            )

    def __enter__(self) -> "Engine":
        """For the time of many steps, PyTorch's own threads stay out of the way of those that share a batch.

        Their number is the hardware's otherwise: a new thread begins with what any thread asked for last.
        """
        self.threads = torch.get_num_threads()
        torch.set_num_threads(1 if self.hardware.mode == "native" else self.own_threads)
        return self

    def __exit__(self, *_error: object) -> None:
        torch.set_num_threads(self.threads)

    def step(self, inputs: Float[Tensor, "n c h w"], high: Float[Tensor, "n c p p"], *, lr: float) -> Float[Tensor, ""]:
        """Update the weights once; the loss before the update."""
        if self.hardware.mode == "graph":
            lrs = torch.tensor(lr, dtype=torch.float64)
            given = inputs, high, lrs, self._rates(lrs)
            if len(inputs) not in self.recorded:
                self.recorded[len(inputs)] = _Recorded(self, self._at_rates, given)
            return self.recorded[len(inputs)].replay(given)
        for group in self.optimiser.param_groups:
            group["lr"] = lr * group["factor"]
        return self.update(inputs, high, lr)

    def steps(
        self, store: tuple[Float[Tensor, "s c h h"], UInt8[Tensor, "s c p p"]], table: Table, losses: Tensor
    ) -> None:
        """Take the steps of a table on the patches of a store, and add their losses.

        Recorded as one, with the store and the losses of the first call; the GPU is never more than two tables behind,
        so that a stop is soon heeded. Without a graph the same is done step by step.
        """
        given = table.patches, table.images, table.lrs, self._rates(table.lrs)
        if self.hardware.mode != "graph":
            self._several(store, losses, *given)
            return
        if self.several is None:
            self.several = _Recorded(self, partial(self._several, store, losses), given, changed=losses)
        if len(self.under_way) == 2:
            self.under_way.popleft().synchronize()
        self.several.replay(given)
        self.under_way.append(torch.cuda.Event(blocking=True))  # type: ignore[no-untyped-call]
        self.under_way[-1].record()

    def _several(
        self, store: tuple[Tensor, Tensor], losses: Tensor, patches: Tensor, images: Tensor, lrs: Tensor, rates: Tensor
    ) -> Tensor:
        """The steps of a table whose parts lie on the device, in ordinary PyTorch."""
        for chosen, shown, lr, own in zip(patches, images, lrs, rates, strict=True):
            inputs, high = (images_of(part[chosen], shown) for part in store)
            losses += self._at_rates(inputs, high.float() / 255, lr, own)
        return losses

    def _at_rates(self, inputs: Tensor, high: Tensor, lr: Tensor, rates: Tensor) -> Tensor:
        """One step at a learning rate on the device, and those of the groups."""
        for group, rate in zip(self.optimiser.param_groups, rates, strict=True):
            group["lr"] = rate
        return self.update(inputs, high, lr)

    def _rates(self, lrs: Tensor) -> Tensor:
        """Of the optimiser's groups, in float32, which a fused step takes on the device."""
        return (lrs[..., None] * self.factors).float()

    def update(self, inputs: Tensor, high: Tensor, lr: float | Tensor) -> Tensor:
        """One step at the rates that the optimiser has."""
        loss, gradients = self._backward(inputs, high)
        if self.clip is not None:
            self.clip(gradients, lr)
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            # A fused step goes through memory from end to end: what is laid out otherwise would move other weights.
            alike = gradient.stride() == parameter.stride()
            parameter.grad = gradient if alike else torch.empty_like(parameter).copy_(gradient)
        self.optimiser.step()
        return loss

    def _backward(self, inputs: Tensor, high: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The loss of a batch and its gradients; always summed in the same order, so that a run can be repeated."""
        if self.chain is None:
            return self._shared(self._backward_share, inputs, high)
        self.chain.prepare()
        loss, gradients = self._shared(self._chained, inputs, high)
        return loss, self.chain.gradients(gradients)

    def _chained(self, share: int, inputs: Tensor, high: Tensor, *, weight: float) -> Part:
        assert self.chain is not None, "only a chain is taken through at once"
        assert isinstance(self.loss, OfSquares), "only squared errors are"
        factor = self.loss.factor(high[0].numel()) * weight / len(high)
        return self.chain.backward(share, inputs, high, factor=factor)

    def _shared(self, share: Callable[..., Part], inputs: Tensor, high: Tensor) -> Part:
        if self.shares == 1:
            return share(0, inputs, high, weight=1.0)
        parts = enumerate(zip(inputs.chunk(self.shares), high.chunk(self.shares), strict=True))
        jobs = [self.pool.submit(share, n, some, their, weight=len(some) / len(inputs)) for n, (some, their) in parts]
        return _summed(job.result() for job in jobs)

    def _backward_share(self, _share: int, inputs: Tensor, high: Tensor, *, weight: float) -> Part:
        if self.pairs is None:
            return self._backward_part(inputs, high, weight)
        with Native(1, self.pairs):
            return _summed(
                self._backward_part(some, their, weight * len(some) / len(inputs))
                for some, their in zip(torch.split(inputs, IMAGES), torch.split(high, IMAGES), strict=True)
            )

    def _backward_part(self, inputs: Tensor, high: Tensor, weight: float) -> Part:
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        in_bfloat16 = self.hardware.precision == "bfloat16"
        # No cache of cast weights: it would be shared by all threads, and emptied by the first to be ready.
        with (
            torch.autocast(self.hardware.device, torch.bfloat16, enabled=in_bfloat16, cache_enabled=False),
            self.hardware.flags(),
            OnePlane() if self.one_plane else nullcontext(),
        ):
            estimate = self.forward(inputs)
        loss = self.loss(estimate.float(), high) * weight
        with self.hardware.flags():
            return loss.detach(), list(torch.autograd.grad(loss, self.parameters))


def _summed(parts: Iterable[Part]) -> Part:
    """Losses and gradients of parts of a batch, always added in the same order."""
    (loss, gradients), *others = parts
    for more, further in others:
        loss += more
        for gradient, extra in zip(gradients, further, strict=True):
            gradient += extra
    return loss, gradients


class _Recorded:
    """Steps of an engine as a CUDA graph, on tensors that stay where they are: what they are given, and a loss.

    `work` does them; what it changes besides weights and momenta is `changed`.
    """

    def __init__(
        self, engine: Engine, work: Callable[..., Tensor], given: tuple[Tensor, ...], changed: Tensor | None = None
    ) -> None:
        self.given = tuple(each.to(engine.hardware.device, copy=True) for each in given)
        kept = [*engine.parameters, *([] if changed is None else [changed])]
        before = [each.detach().clone() for each in kept]
        momenta = {p: state["momentum_buffer"].clone() for p, state in engine.optimiser.state.items()}
        self.graph = torch.cuda.CUDAGraph()
        now, aside = torch.cuda.current_stream(), engine.aside
        assert aside is not None, "steps are recorded in mode graph only"
        with ALONE:
            aside.wait_stream(now)
            with torch.cuda.stream(aside):
                for _ in range(3):  # libraries choose and allocate in the first steps, which a graph may not
                    work(*self.given)
            now.wait_stream(aside)
            # Other threads may go on with what they have recorded.
            with torch.cuda.graph(self.graph, stream=aside, capture_error_mode="thread_local"):
                self.loss = work(*self.given)
        self.parameters = engine.parameters
        self.gradients = [parameter.grad for parameter in engine.parameters]
        with torch.no_grad():  # as if none of these steps had been taken
            for each, values in zip(kept, before, strict=True):
                each.copy_(values)
            for parameter in engine.parameters:
                momentum = engine.optimiser.state[parameter]["momentum_buffer"]
                momentum.copy_(momenta.get(parameter, torch.zeros_like(momentum)))

    def replay(self, given: tuple[Tensor, ...]) -> Tensor:
        """The same with other values; nobody waits for it."""
        for own, new in zip(self.given, given, strict=True):
            own.copy_(new if new.is_cuda else new.pin_memory(), non_blocking=True)
        self.graph.replay()
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            parameter.grad = gradient  # of these steps, not of those that were recorded last
        return self.loss
