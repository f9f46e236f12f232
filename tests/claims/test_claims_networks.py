"""The networks that only claims need: what is changed, and nothing else; the same steps in C as in PyTorch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from skimage.data import chelsea
from torch import nn

from srrepro.claims.networks import Coloured, Deep, EuclideanLossOf, Rectified, planes_of
from srrepro.hardware import Hardware, modes
from srrepro.models.recipe import INTERPOLATED_RGB, SGD, EuclideanLoss, HeInit, Network, Patches
from srrepro.models.srcnn import QUICK, SRCNN_915_QUICK, ThreeLayers
from srrepro.models.vdsr import NotesNetwork, VeryDeep
from srrepro.pixels.color import to_ycbcr
from srrepro.training.engine import Engine

SMALL = {"depth": 4, "filters": 16}


def made(shape: Network) -> nn.Module:
    torch.manual_seed(0)
    network = shape(3).eval()
    HeInit()(network)
    return network


@pytest.mark.parametrize(
    ("ours", "papers"),
    [
        (Deep(**SMALL), VeryDeep(**SMALL)),
        (Deep(**SMALL, residual=False), VeryDeep(**SMALL, residual=False)),
        (Deep(depth=4, filters=16, first_bias=False, mean_subtracted=True), NotesNetwork(filters=16, hidden=2)),
    ],
)
def test_without_a_change_it_is_the_papers_network(ours: Network, papers: Network) -> None:
    """Seed by seed, so that a variant differs from the paper's run in its change alone."""
    image = torch.rand(2, 1, 9, 11)
    assert torch.equal(made(ours)(image), made(papers)(image))


def test_each_change_of_vdsr_does_what_it_says() -> None:
    image = torch.rand(2, 1, 9, 11)
    plain = made(Deep(**SMALL))(image)
    assert torch.equal(made(Deep(**SMALL, rectified=True))(image) - image, (plain - image).relu())
    shifted = made(Deep(**SMALL, mean_subtracted=True))(image) - image
    assert shifted.mean((1, 2, 3)).abs().max() < 1e-5
    assert made(Deep(**SMALL, mean_subtracted=True)).radius is None  # a tile has another mean
    assert len([p for p in Deep(**SMALL, first_bias=False)(3).parameters() if p.ndim == 1]) == 3


def test_a_last_rectifier_is_the_network_and_a_rectifier() -> None:
    image = torch.rand(1, 1, 20, 20)
    own, rectified = made(SRCNN_915_QUICK.network), made(Rectified(network=SRCNN_915_QUICK.network))
    rectified.load_state_dict({f"inner.{name}": value for name, value in own.state_dict().items()})
    assert torch.equal(rectified(image), own(image).relu())


def test_y_alone_leaves_the_colour_as_it_was_interpolated() -> None:
    cat = torch.from_numpy(chelsea()[:40, :48] / 255).float().movedim(2, 0)[None]
    for training in (False, True):
        network = made(Coloured(planes="y")).train(training)
        before = planes_of(cat[..., 6:-6, 6:-6] if training else cat, "ycbcr")
        after = planes_of(network(cat), "ycbcr")
        assert torch.allclose(before[:, 1:], after[:, 1:], atol=1e-5)
        assert not torch.allclose(before[:, :1], after[:, :1], atol=1e-2)


def test_y_of_a_tensor_is_that_of_the_measurement() -> None:
    cat = chelsea()[:8, :8]
    found = planes_of(torch.from_numpy(cat / 255).float().movedim(2, 0)[None], "ycbcr")[0].movedim(0, 2).numpy() * 255
    assert np.allclose(found, to_ycbcr(cat.astype(float)), atol=1e-3)


def test_the_loss_of_y_does_not_see_colour() -> None:
    high = torch.rand(2, 3, 5, 5)
    grey = planes_of(high, "y")
    estimate = high + torch.tensor([0.0, 24.966, -128.553]).view(3, 1, 1) / 255  # the same luminance
    assert EuclideanLossOf("y")(estimate, high) < 1e-9
    assert EuclideanLossOf("ycbcr")(estimate, high) > 0.1
    assert EuclideanLossOf("rgb")(estimate, high) == EuclideanLoss()(estimate, high)
    assert grey.shape == (2, 1, 5, 5)


@pytest.mark.parametrize(
    "shape",
    [
        Rectified(network=ThreeLayers(kernels=(9, 1, 5))),
        Deep(**SMALL, rectified=True),
        Deep(**SMALL, mean_subtracted=True),
        Deep(**SMALL, first_bias=False),
        Coloured(planes="rgb"),
        Coloured(planes="y"),
    ],
)
def test_native_steps_are_those_of_pytorch(shape: Network) -> None:
    if "native" not in modes("cpu", "float32"):
        pytest.skip("no C compiler")
    coloured, deep = isinstance(shape, Coloured), isinstance(shape, Deep)
    patches = Patches(patch=33, stride=14, label=33 if deep else 21)
    patches = replace(patches, takes=INTERPOLATED_RGB) if coloured else patches
    training = replace(QUICK, patches=patches, batch=4, optimiser=SGD(momentum=0.9, weight_decay=0.0))
    generator = torch.Generator().manual_seed(1)
    inputs = torch.rand(4, patches.takes.channels, 33, 33, generator=generator)
    high = torch.rand(4, patches.takes.channels, patches.label, patches.label, generator=generator)
    losses, gradients = [], []
    for mode in ("native", "eager"):
        network = made(shape).train()
        with Engine(network, training, Hardware(precision="float32", mode=mode, threads=1)) as engine:
            losses.append(engine.step(inputs, high, lr=1e-6).item())
        gradients.append([parameter.grad for parameter in network.parameters()])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    largest = max(gradient.abs().max() for gradient in gradients[1])
    for ours, theirs in zip(*gradients, strict=True):
        assert (ours - theirs).abs().max() < 1e-4 * theirs.abs().max() + 1e-6 * largest
