"""Takes drawn shapes through every function in C, beside PyTorch's: for a process whose C checks its own memory.

`test_sanitizers.py` runs this as a program, where each array is a piece of memory by itself: a read or a write beyond
its end, or anything that C does not define, ends the process. Layers, chains, tiles, bands and resizing are called as
srrepro calls them, so the room that Python gives is tested, too. The one argument is the number of examples of each.
"""

import sys

import numpy as np
import torch
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import relu

from srrepro.evaluation.upscaler import Upscaler
from srrepro.evaluation.weights import Subject
from srrepro.hardware import Hardware
from srrepro.kernels.bands import Bands
from srrepro.kernels.chain import Chain
from srrepro.kernels.compiled import library
from srrepro.kernels.convolution import NO_PAIRS, Native, Pairs
from srrepro.models.srcnn import ThreeLayers
from srrepro.models.vdsr import VeryDeep
from srrepro.pixels import resize
from srrepro.pixels.resize import imresize

assert library() is not None, "the convolutions could not be compiled"
assert resize._function() is not None, "resize could not be compiled"
drawn = settings(
    max_examples=int(sys.argv[1]),
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
calls: dict[str, int] = {}


def counted(name: str) -> None:
    calls[name] = calls.get(name, 0) + 1


def same(found: torch.Tensor, expected: torch.Tensor, share: float = 1e-4) -> None:
    assert found.shape == expected.shape
    assert (found - expected).abs().max() <= share * max(1.0, expected.abs().max().item())


PLANES = st.sampled_from([1, 16, 32, 48, 64, 80])
MORE = {"images": 2, "threads": 2, "rectify": True, "bias": True}
SIDE = st.integers(1, 13) | st.sampled_from([17, 18, 25, 32, 41])


@drawn
@given(
    kernel=st.sampled_from([1, 2, 3, 4, 5, 7, 9]),
    planes=PLANES,
    filters=PLANES,
    padding=st.integers(0, 8),
    height=SIDE,
    width=SIDE,
    images=st.integers(1, 3),
    threads=st.sampled_from([1, 2, 5, 1000]),
    rectify=st.booleans(),
    bias=st.booleans(),
)
@example(kernel=3, planes=16, filters=48, padding=1, height=13, width=8, **MORE)
@example(kernel=5, planes=48, filters=16, padding=0, height=10, width=13, **MORE)
@example(kernel=9, planes=1, filters=16, padding=4, height=1, width=10, **MORE)
@example(kernel=5, planes=16, filters=1, padding=2, height=6, width=1, **MORE)
def layers(kernel, planes, filters, padding, height, width, images, threads, rectify, bias):
    padding = max(min(padding, kernel - 1), -(-(kernel - min(height, width)) // 2), 0)
    assume(padding < kernel and planes * filters > 1)  # else it is PyTorch's
    counted("layers")
    torch.manual_seed(0)
    inputs = torch.randn(images, planes, height, width, requires_grad=True)
    layer = nn.Conv2d(planes, filters, kernel, padding=padding, bias=bias)
    expected = layer(inputs)
    expected = relu(expected) if rectify else expected
    pairs = Pairs(1, frozenset({0})) if rectify else NO_PAIRS
    with torch.inference_mode(), Native(threads, pairs):
        out = layer(inputs)
        same(relu(out, inplace=True) if rectify else out, expected)
    with Native(threads, pairs):
        out = layer(inputs)
        out = relu(out, inplace=True) if rectify else out
    assert out.grad_fn is not None
    gradient = torch.randn_like(expected) * (expected.abs() > 1e-4)
    by = [inputs, *layer.parameters()]
    for found, theirs in zip(
        torch.autograd.grad(out, by, gradient), torch.autograd.grad(expected, by, gradient), strict=True
    ):
        same(found, theirs)


NETWORKS = [
    ThreeLayers(kernels=(9, 1, 5)),
    ThreeLayers(kernels=(5, 5, 3), filters=(16, 48)),
    VeryDeep(depth=3, filters=16),
    VeryDeep(depth=3, filters=16, kernel=5),
    VeryDeep(depth=2, filters=32, kernel=7),
]


@drawn
@given(
    network=st.sampled_from(NETWORKS),
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    images=st.integers(1, 3) | st.just(17),
)
def chains(network, height, width, images):
    counted("chains")
    torch.manual_seed(0)
    made = network(3).train()
    smallest = 13 if isinstance(network, ThreeLayers) else 1  # of training, which has no border
    inputs = torch.rand(images, 1, max(height, smallest), max(width, smallest))
    chain = Chain.of(made, 21)
    assert chain is not None
    chain.prepare()
    expected = made(inputs)
    high = torch.rand_like(expected)
    loss, raw = chain.backward(0, inputs, high, factor=1.0)
    assert torch.isfinite(loss)
    assert all(gradient.isfinite().all() for gradient in chain.gradients(raw))


@drawn
@given(
    network=st.sampled_from([VeryDeep(depth=4, filters=16), ThreeLayers(kernels=(9, 5, 5), filters=(16, 16))]),
    height=st.integers(1, 50),
    width=st.integers(1, 50),
    side=st.sampled_from([33, 37, 45]),
    threads=st.sampled_from([1, 2, 3]),
    banded=st.booleans(),
)
def tiles(network, height, width, side, threads, banded):
    counted("tiles")
    torch.manual_seed(0)
    image = np.random.default_rng(0).random((height, width), np.float32)
    made = network(2)
    made.chain = banded
    memory = Bands.of(made.eval()).least() if banded else side * side * 2 * 4 * 32
    hardware = Hardware(precision="float32", mode="native", memory=memory, threads=threads)
    subject = Subject(name="drawn", model="drawn", origin="trained", training_set="", scale=2)
    estimate = Upscaler(subject, made, 2, hardware).estimate(image)
    assert estimate.shape == image.shape
    assert np.isfinite(estimate).all()


@drawn
@given(
    height=st.integers(1, 60),
    width=st.integers(1, 20),
    channels=st.sampled_from([None, 3]),
    scale=st.sampled_from([2, 3, 4]),
)
def bands(height, width, channels, scale):
    counted("bands")
    torch.manual_seed(0)
    shape = (height, width) if channels is None else (height, width, channels)
    picture = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    hardware = Hardware(precision="float32", mode="native", memory=1 << 20, threads=2)
    subject = Subject(name="drawn", model="drawn", origin="trained", training_set="", scale=scale)
    enlarged = Upscaler(subject, VeryDeep(depth=4, filters=16)(scale), scale, hardware).image(picture)
    assert enlarged.shape[:2] == (height * scale, width * scale)


@drawn
@given(
    height=st.integers(1, 70),
    width=st.integers(1, 70),
    planes=st.sampled_from([None, 1, 3]),
    scale=st.sampled_from([1, 2, 3, 4, 5, 8, 16, 1 / 2, 1 / 3, 1 / 4, 1 / 8, 1 / 16]),
    border=st.sampled_from(["mirror", "clamp"]),
    kind=st.sampled_from([np.uint8, np.float64]),
)
def resizing(height, width, planes, scale, border, kind):
    counted("resizing")
    shape = (height, width) if planes is None else (height, width, planes)
    image = (np.random.default_rng(0).random(shape) * 255).astype(kind)
    rows = torch.from_numpy(image.astype(np.float64).reshape(height, width, -1)).movedim(-1, 0)
    factor = round(max(scale, 1 / scale))
    how = {"shrink": scale < 1, "border": border, "rounded": kind is np.uint8}
    same(resize._summed(rows, factor, **how), resize._interpolated(rows, factor, **how), 1e-9)
    imresize(image, scale, border=border)


layers()
chains()
tiles()
bands()
resizing()
print(", ".join(f"{count} {name}" for name, count in calls.items()))  # noqa: T201
