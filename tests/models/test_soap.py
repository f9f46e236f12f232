"""SOAP: what it is for, and what the loop relies on."""

import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from srrepro.models._soap import Soap

Loss = Callable[[Tensor], Tensor]


def soap(parameter: Tensor, *, lr: float, refresh: int = 2, momentum: float = 0.9, memory: float = 0.95) -> Soap:
    optimiser = Soap([{"params": [parameter]}], momentum=momentum, memory=memory, refresh=refresh)
    optimiser.param_groups[0]["lr"] = lr
    return optimiser


def orthogonal(size: int) -> Tensor:
    return torch.linalg.qr(torch.randn(size, size))[0]


def bad_quadratic(rows: int = 24, columns: int = 16) -> Loss:
    """Curvatures from 1 to 10^4 along directions that are no axes."""
    left = orthogonal(rows) @ torch.diag(torch.logspace(0, -1, rows)) @ orthogonal(rows)
    right = orthogonal(columns) @ torch.diag(torch.logspace(0, -1, columns)) @ orthogonal(columns)
    goal = torch.randn(rows, columns)
    return lambda weights: (left @ (weights - goal) @ right).square().sum()


def descend(optimiser: torch.optim.Optimizer, parameter: Tensor, loss: Loss, *, steps: int) -> float:
    """The loss after so many steps, with a rate that falls to zero as a recipe's does."""
    (group,) = optimiser.param_groups
    peak = group["lr"]
    for step in range(steps):
        group["lr"] = peak * (1 - step / steps)
        optimiser.zero_grad()
        loss(parameter).backward()
        optimiser.step()
    return loss(parameter).item()


def test_gets_much_lower_than_adam_on_a_badly_conditioned_quadratic() -> None:
    reached: dict[str, list[float]] = {"adam": [], "soap": []}
    for name, lr in (("adam", 0.1), ("adam", 0.3), ("soap", 0.1)):
        torch.manual_seed(0)
        loss, parameter = bad_quadratic(), nn.Parameter(torch.zeros(24, 16))
        optimiser = soap(parameter, lr=lr) if name == "soap" else torch.optim.Adam([parameter], lr, (0.9, 0.95))
        reached[name].append(descend(optimiser, parameter, loss, steps=400))
    assert reached["soap"][0] < min(reached["adam"]) / 20


def test_does_not_depend_on_the_axes() -> None:
    """With all gradients turned, the run is the same run, turned: that is what the eigenbases are for."""
    torch.manual_seed(0)
    gradients = [torch.randn(5, 4) @ torch.diag(torch.tensor([1.0, 0.5, 0.2, 0.1])) for _ in range(30)]
    rows, columns = orthogonal(5), orthogonal(4)
    plain, turned = nn.Parameter(torch.zeros(5, 4)), nn.Parameter(torch.zeros(5, 4))
    for parameter, given in ((plain, gradients), (turned, [rows @ gradient @ columns for gradient in gradients])):
        optimiser = soap(parameter, lr=0.1, refresh=3)
        for gradient in given:
            parameter.grad = gradient
            optimiser.step()
    assert (plain - turned).abs().max() > 0.1
    torch.testing.assert_close(rows.T @ turned @ columns.T, plain, atol=1e-4, rtol=0)


def test_bases_stay_orthonormal() -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 6, 3)
    optimiser = soap(layer.weight, lr=0.01)
    for _ in range(60):
        optimiser.zero_grad()
        layer(torch.randn(2, 4, 8, 8)).square().sum().backward()
        optimiser.step()
    state = optimiser.state[layer.weight]
    assert {name: tuple(state[name].shape) for name in ("rows_basis", "columns_basis")} == {
        "rows_basis": (6, 6),
        "columns_basis": (36, 36),
    }
    for name in ("rows_basis", "columns_basis"):
        basis = state[name]
        torch.testing.assert_close(basis.T @ basis, torch.eye(len(basis)), atol=1e-5, rtol=0)


def test_bases_follow_the_gradients() -> None:
    """After many steps along one direction, that direction is a column of the basis."""
    torch.manual_seed(0)
    parameter = nn.Parameter(torch.zeros(6, 3))
    optimiser = soap(parameter, lr=0.0, memory=0.5)
    direction = nn.functional.normalize(torch.randn(6), dim=0)
    for step in range(60):
        parameter.grad = torch.randn(6, 3) if step == 0 else direction[:, None] * torch.randn(1, 3)
        optimiser.step()
    overlap = (optimiser.state[parameter]["rows_basis"].T @ direction).abs()
    assert overlap.max().item() == pytest.approx(1, abs=1e-4)


def test_the_first_step_only_starts_the_statistics() -> None:
    parameter = nn.Parameter(torch.ones(3, 2))
    optimiser = soap(parameter, lr=1.0)
    parameter.grad = torch.rand(3, 2)
    optimiser.step()
    assert torch.equal(parameter, torch.ones(3, 2))
    optimiser.step()
    assert not torch.equal(parameter, torch.ones(3, 2))


def test_parameters_without_a_gradient_are_left_alone() -> None:
    idle, busy = nn.Parameter(torch.ones(3, 2)), nn.Parameter(torch.ones(3, 2))
    optimiser = Soap([{"params": [idle, busy]}], momentum=0.9, memory=0.9, refresh=1)
    for _ in range(2):
        busy.grad = torch.ones(3, 2)
        optimiser.step()
    assert idle not in optimiser.state
    assert busy in optimiser.state


@pytest.mark.parametrize("shape", [(4, 3), (5, 2, 3, 3), (1, 6, 5, 5), (7,), (1,)])
def test_with_identity_bases_it_is_adam(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    gradients = [torch.randn(shape) for _ in range(12)]
    ours, theirs = nn.Parameter(torch.zeros(shape)), nn.Parameter(torch.zeros(shape))
    optimiser = soap(ours, lr=0.01, refresh=10_000)
    ours.grad = torch.randn(shape)
    optimiser.step()
    state = optimiser.state[ours]
    for name in [name for name in state if name.endswith("_basis")]:
        state[name] = torch.eye(len(state[name]))
    adam = torch.optim.Adam([theirs], lr=0.01, betas=(0.9, 0.95), eps=1e-8)
    for gradient in gradients:
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        optimiser.step()
        adam.step()
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)
    assert theirs.abs().max() > 0.005


def test_a_bias_of_one_number_has_no_basis_and_a_long_side_keeps_its_axes() -> None:
    bases: dict[tuple[int, ...], set[str]] = {}
    for shape in ((1,), (600, 3)):
        parameter = nn.Parameter(torch.zeros(shape))
        optimiser = soap(parameter, lr=0.1)
        for _ in range(3):
            parameter.grad = torch.randn(shape)
            optimiser.step()
        assert parameter.isfinite().all()
        bases[shape] = {name for name in optimiser.state[parameter] if name.endswith("_basis")}
    assert bases == {(1,): set(), (600, 3): {"columns_basis"}}


def saved_and_read(state: dict[str, Any]) -> dict[str, Any]:
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    read: dict[str, Any] = torch.load(file, weights_only=True)
    return read


@pytest.mark.parametrize("done", [1, 6, 7])
def test_goes_on_bit_for_bit_from_its_saved_state(done: int) -> None:
    """Stopped after the first step, at a refresh of the bases (every third) and between two."""
    torch.manual_seed(0)
    gradients = [torch.randn(6, 2, 3, 3).to(memory_format=torch.channels_last) for _ in range(20)]
    start = torch.randn(6, 2, 3, 3).to(memory_format=torch.channels_last)

    def go_on(parameter: nn.Parameter, optimiser: Soap, given: list[Tensor]) -> None:
        for gradient in given:
            parameter.grad = gradient.clone()
            optimiser.step()

    unbroken = nn.Parameter(start.clone())
    straight = soap(unbroken, lr=0.01, refresh=3)
    go_on(unbroken, straight, gradients)

    before = nn.Parameter(start.clone())
    stopped = soap(before, lr=0.01, refresh=3)
    go_on(before, stopped, gradients[:done])
    kept = saved_and_read({"parameter": before.detach(), "optimiser": stopped.state_dict()})
    after = nn.Parameter(start.clone())
    after.data.copy_(kept["parameter"])
    resumed = soap(after, lr=123.0, refresh=5)
    resumed.load_state_dict(kept["optimiser"])
    go_on(after, resumed, gradients[done:])

    assert torch.equal(after, unbroken)


def test_a_closure_is_refused() -> None:
    optimiser = soap(nn.Parameter(torch.ones(2, 2)), lr=0.1)
    with pytest.raises(ValueError, match="no closure"):
        optimiser.step(lambda: 0.0)
