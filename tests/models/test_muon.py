"""Muon: what makes it one, and what the loop relies on."""

import pytest
import torch
from torch import Tensor, nn

from srrepro.models._muon import Muon, orthogonalised


def muon(*parameters: Tensor, lr: float, momentum: float = 0.9, memory: float = 0.95) -> Muon:
    optimiser = Muon([{"params": list(parameters)}], momentum=momentum, memory=memory)
    optimiser.param_groups[0]["lr"] = lr
    return optimiser


@pytest.mark.parametrize("shape", [(3, 64, 576), (2, 9, 9), (1, 64, 9), (2, 1, 5)], ids=str)
def test_orthogonalised_keeps_the_directions_and_makes_them_equal(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    matrices = torch.randn(shape) * 10.0 ** torch.arange(-shape[0], 0)[:, None, None]
    found = orthogonalised(matrices)
    left, values, right = torch.linalg.svd(matrices, full_matrices=False)
    assert found.shape == shape
    exact = left @ right
    # Of all singular values, those above a hundredth of the norm are taken to between 0.65 and 1.25.
    kept = (left.mT @ found @ right.mT).diagonal(dim1=1, dim2=2)[values > 0.01 * values.norm(dim=1, keepdim=True)]
    assert kept.min() > 0.65
    assert kept.max() < 1.25
    assert (found * exact).sum() / (found.norm() * exact.norm()) > 0.95


def test_the_step_does_not_depend_on_the_size_of_the_gradient() -> None:
    torch.manual_seed(0)
    gradient = torch.randn(8, 4, 3, 3)
    moved = []
    for size in (1e-4, 1e4):
        parameter = nn.Parameter(torch.zeros(8, 4, 3, 3))
        optimiser = muon(parameter, lr=0.5)
        parameter.grad = size * gradient
        optimiser.step()
        moved.append(parameter.detach())
    torch.testing.assert_close(*moved, rtol=1e-3, atol=1e-4)


def test_an_update_is_as_large_as_adams() -> None:
    """Root mean square about 0.2 at a rate of 1, whatever the shape; singular values near 1 leave it a range."""
    torch.manual_seed(0)
    for shape in ((64, 64, 1, 1), (64, 64, 3, 3), (64, 1, 3, 3)):
        parameter = nn.Parameter(torch.zeros(shape))
        optimiser = muon(parameter, lr=1.0)
        parameter.grad = torch.randn(shape)
        optimiser.step()
        assert 0.13 < parameter.square().mean().sqrt() < 0.25


def test_single_filters_and_biases_are_adams() -> None:
    torch.manual_seed(0)
    for shape in ((5,), (1, 4, 3, 3)):
        ours, adams = nn.Parameter(torch.ones(shape)), nn.Parameter(torch.ones(shape))
        optimiser = muon(ours, lr=0.01)
        adam = torch.optim.Adam([adams], 0.01, (0.9, 0.95))
        for _ in range(5):
            ours.grad = torch.randn(shape)
            adams.grad = ours.grad.clone()
            optimiser.step()
            adam.step()
        torch.testing.assert_close(ours, adams)


def test_does_not_depend_on_the_axes() -> None:
    """With all gradients turned, the run is the same run, turned."""
    torch.manual_seed(0)
    rows, columns = (torch.linalg.qr(torch.randn(size, size))[0] for size in (5, 4))
    plain, turned = nn.Parameter(torch.zeros(5, 4)), nn.Parameter(torch.zeros(5, 4))
    optimiser = muon(plain, turned, lr=0.1)
    for _ in range(10):
        plain.grad = torch.randn(5, 4)
        turned.grad = rows @ plain.grad @ columns
        optimiser.step()
    assert (plain - turned).abs().max() > 0.1
    torch.testing.assert_close(rows.T @ turned @ columns.T, plain, atol=1e-4, rtol=0)


def test_layers_of_one_shape_do_not_mix() -> None:
    torch.manual_seed(0)
    gradients = torch.randn(3, 6, 4, 3, 3)
    together = [nn.Parameter(torch.zeros(6, 4, 3, 3)) for _ in gradients]
    alone = [nn.Parameter(torch.zeros(6, 4, 3, 3)) for _ in gradients]
    for parameter, lonely, gradient in zip(together, alone, gradients, strict=True):
        parameter.grad = gradient
        lonely.grad = gradient.contiguous(memory_format=torch.channels_last)  # the layout does not matter
        muon(lonely, lr=1.0).step()
    muon(*together, lr=1.0).step()
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_parameters_without_a_gradient_are_left_alone() -> None:
    idle, busy = nn.Parameter(torch.ones(3, 2)), nn.Parameter(torch.ones(3, 2))
    optimiser = muon(idle, busy, lr=0.1)
    busy.grad = torch.ones(3, 2)
    optimiser.step()
    assert idle not in optimiser.state
    assert not torch.equal(busy, torch.ones(3, 2))


def test_takes_no_closure() -> None:
    with pytest.raises(ValueError, match="no closure"):
        muon(nn.Parameter(torch.ones(2, 2)), lr=0.1).step(lambda: 0.0)
