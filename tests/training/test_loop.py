"""The loop, its step and its checkpoints, on a network and data small enough to train in a second."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
import pytest
import skimage.data
import torch
from torch import Tensor, nn

from srrepro import models
from srrepro.data import registry
from srrepro.data.registry import DataFolder
from srrepro.data.stores import prepare_training, read_training
from srrepro.errors import Diverged, InputError, OutOfTime, Stopped
from srrepro.evaluation import measure as evaluation
from srrepro.evaluation.upscaler import Upscaler
from srrepro.hardware import PLAIN, Hardware, Mode, Precision
from srrepro.models.recipe import (
    LOW,
    SGD,
    SOAP,
    ClearMomentum,
    Constant,
    EveryImage,
    GaussianInit,
    NewOrder,
    NoAugmentation,
    Patches,
    Recipe,
    Steps,
    Training,
    TurnAndFlip,
)
from srrepro.models.srcnn import ThreeLayers
from srrepro.models.vdsr import ClipByRate, VeryDeep
from srrepro.protocols.degradation import MATLAB
from srrepro.training import carry, checkpoint, deadline, engine, feed, loop, portions
from srrepro.training import run as run_module
from srrepro.training.carry import CHECKPOINT
from srrepro.training.deadline import Deadline
from srrepro.training.engine import Engine, plain_step
from srrepro.training.loop import State, train
from srrepro.training.portions import Table
from srrepro.training.run import Run

BATCH, STEPS, LOG_POINTS = 8, 30, 5
FASTEST = Hardware(precision="float32").settled()
MADE_UP = {
    "tiny-train": {"a.png": skimage.data.camera()[40:100, 200:272], "b.png": skimage.data.chelsea()[100:160, 130:202]},
    "tiny-val": {"c.png": skimage.data.coffee()[100:140, 200:245]},
    "tiny-test": {"d.png": skimage.data.astronaut()[60:100, 200:240], "e.png": skimage.data.brick()[:36, :36]},
}


Unbroken = Callable[[Run], tuple[nn.Module, State]]


def tiny(base: str) -> Recipe:
    """The recipe with as small a network, patches, batches and budget; all else stays."""
    recipe = models.recipe(base)
    assert recipe.training is not None
    optimiser = recipe.training.optimiser
    return replace(
        recipe,
        network=ThreeLayers(kernels=(3, 1, 3), filters=(4, 3)),
        training=replace(
            recipe.training,
            set="tiny-train",
            validation="tiny-val",
            logged=("tiny-test",),
            patches=Patches(patch=15, stride=9, label=11),
            optimiser=replace(optimiser, refresh=3) if isinstance(optimiser, SOAP) else optimiser,
            batch=BATCH,
            backprops=BATCH * STEPS,
            epochs=None,
        ),
    )


def at(run: Run, folder: DataFolder) -> Run:
    return replace(run, folder=folder)


def with_training(recipe: Recipe, **changes: Any) -> Recipe:
    assert recipe.training is not None
    return replace(recipe, training=replace(recipe.training, **changes))


def tiny_vdsr(base: str) -> Recipe:
    """Every decision of the recipe but for the sizes: four layers, two scales in every batch."""
    recipe = tiny(base)
    return with_training(
        replace(recipe, network=VeryDeep(depth=4, filters=5)),
        patches=Patches(patch=11, stride=11, label=11),
        scales=(2, 3),
    )


SOAP_RECIPE = tiny("srcnn-915-demo")
SGD_RECIPE = tiny("srcnn-915")
VDSR_RECIPE = with_training(tiny_vdsr("vdsr-t91"), clip=ClipByRate(theta=1e-3))
SOAP_RUN, SGD_RUN = (Run(recipe=recipe, scale=3, log_points=LOG_POINTS) for recipe in (SOAP_RECIPE, SGD_RECIPE))
VDSR_RUN, MUON_RUN = (Run(recipe=r, log_points=LOG_POINTS) for r in (VDSR_RECIPE, tiny_vdsr("vdsr-t91-muon")))
# As many filters as the convolutions in C are made for.
NATIVE_RECIPE = replace(VDSR_RECIPE, name="vdsr-t91-native", network=VeryDeep(depth=4, filters=16))
# Its loss is not of squares, so that its layers are taken one by one.
ABSOLUTE_RECIPE = with_training(replace(NATIVE_RECIPE, name="vdsr-t91-absolute"), loss=torch.nn.functional.l1_loss)
NATIVE_RUN = Run(recipe=NATIVE_RECIPE, hardware=FASTEST, log_points=LOG_POINTS)
# Twenty layers on all of T91, by the recipe as it is but for its length; Set5 stands in for val20, which takes minutes.
WHOLE_VDSR_RUN, WHOLE_MUON_RUN = (
    Run(
        recipe=with_training(models.recipe(name), validation="Set5", logged=()),
        hardware=FASTEST,
        budget=24 * batch / 637_440,
        log_points=2,
    )
    for name, batch in (("vdsr-t91", 64), ("vdsr-t91-muon", 16))
)
# Everything that VDSR's authors' code does otherwise than the text.
CODE_RUN = Run(
    recipe=with_training(
        tiny_vdsr("vdsr-10-residual"),
        backprops=None,
        epochs=4,
        log_points=4,
        validation=None,
        order=NewOrder(held_out=0.11),
        augmentation=EveryImage(8),
    )
)
both_recipes = pytest.mark.parametrize("recipe", [SOAP_RECIPE, SGD_RECIPE], ids=["soap", "sgd"])


@pytest.fixture
def folder(pretend: Callable[..., DataFolder]) -> DataFolder:
    return pretend(MADE_UP)


@pytest.fixture
def workplace(tmp_path: Path) -> Callable[[], Path]:
    """A new empty folder at every call."""
    made: list[Path] = []

    def workplace() -> Path:
        made.append(tmp_path / f"workplace{len(made)}")
        made[-1].mkdir()
        return made[-1]

    return workplace


@pytest.fixture
def two_threads() -> Iterator[int]:
    """As in use: tests have one thread otherwise."""
    usual = torch.get_num_threads()
    torch.set_num_threads(2)
    yield 2
    torch.set_num_threads(usual)


_UNBROKEN: dict[str, tuple[nn.Module, State]] = {}


@pytest.fixture
def unbroken(folder: DataFolder, workplace: Callable[[], Path]) -> Unbroken:
    """The result of a run that nothing disturbs; trained once, for every test has the same data."""

    def unbroken(run: Run) -> tuple[nn.Module, State]:
        key = run.recipe.name
        if key not in _UNBROKEN:
            _UNBROKEN[key] = train(at(run, folder), workplace())
        return _UNBROKEN[key]

    return unbroken


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Have something done after the n-th step of the engine."""
    before = Engine.step

    def at_step(number: int, act: Callable[[], object]) -> None:
        taken = 0

        def step(self: Engine, inputs: Tensor, high: Tensor, *, lr: float) -> Tensor:
            nonlocal taken
            loss = before(self, inputs, high, lr=lr)
            taken += 1
            if taken == number:
                act()
            return loss

        monkeypatch.setattr(Engine, "step", step)

    yield at_step
    monkeypatch.setattr(Engine, "step", before)


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def without_times(state: State) -> list[dict[str, Any]]:
    return [{key: row[key] for key in row if key not in {"seconds", "samples_per_s"}} for row in state.log]


# The run as a whole.


@both_recipes
def test_a_seed_means_one_result(
    recipe: Recipe, folder: DataFolder, workplace: Callable[[], Path], unbroken: Unbroken
) -> None:
    run = Run(recipe=recipe, scale=3, log_points=LOG_POINTS)
    first, log = unbroken(run)
    torch.manual_seed(12345)  # nothing may hang on what ran before
    again, same_log = train(at(run, folder), workplace())
    other, other_log = train(at(replace(run, seed=1), folder), workplace())
    assert same_weights(first, again)
    assert without_times(log) == without_times(same_log)
    assert not same_weights(first, other)
    assert without_times(log) != without_times(other_log)


def test_log_rows(folder: DataFolder, workplace: Callable[[], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    losses, rates = [], []
    step = Engine.step

    def noted(self: Engine, inputs: Tensor, high: Tensor, *, lr: float) -> Tensor:
        losses.append(step(self, inputs, high, lr=lr))
        rates.append(lr)
        return losses[-1]

    monkeypatch.setattr(Engine, "step", noted)
    run = Run(recipe=SOAP_RECIPE, scale=3, log_points=LOG_POINTS)
    network, state = train(at(run, folder), workplace())

    steps = [row["step"] for row in state.log]
    assert len(losses) == STEPS == state.step
    assert steps == [STEPS * point // LOG_POINTS for point in range(1, LOG_POINTS + 1)]
    assert [row["backprops"] for row in state.log] == [BATCH * step for step in steps]
    for row, begin in zip(state.log, [0, *steps], strict=False):
        since = torch.stack(losses[begin : row["step"]])
        assert row["loss"] == pytest.approx(since.mean().item(), rel=1e-5)
        assert row["lr"] == rates[row["step"] - 1] == run.training.schedule((row["step"] - 1) / STEPS)
        assert list(row) == [
            *("backprops", "step", "lr", "loss", "tiny-val_psnr_db", "tiny-test_psnr_db", "seconds", "samples_per_s"),
        ]
    seconds = [row["seconds"] for row in state.log]
    assert seconds == sorted(seconds)
    assert state.log[-1]["samples_per_s"] == pytest.approx(
        BATCH * (steps[-1] - steps[-2]) / (seconds[-1] - seconds[-2])
    )
    assert state.log[-1]["loss"] < state.log[0]["loss"]

    examples = list(evaluation.TestSet("tiny-test").examples(folder, 3, MATLAB))
    measured = evaluation.mean_psnr(Upscaler(run.subject, network, 3), examples, protocol=run.protocol)
    assert state.log[-1]["tiny-test_psnr_db"] == measured


def test_one_network_for_several_scales(folder: DataFolder, workplace: Callable[[], Path]) -> None:
    run = VDSR_RUN
    assert run.shape.scales == run.scales == (2, 3)
    assert run.subject.scale is None
    network, state = train(at(run, folder), workplace())
    assert re.fullmatch(r"vdsr-t91_s0_[0-9a-f]{8}", at(run, folder).name)
    columns = [f"{name}_x{scale}_psnr_db" for name in ("tiny-val", "tiny-test") for scale in (2, 3)]
    assert list(state.log[-1]) == ["backprops", "step", "lr", "loss", *columns, "seconds", "samples_per_s"]
    for scale in (2, 3):
        examples = list(evaluation.TestSet("tiny-test").examples(folder, scale, MATLAB))
        measured = evaluation.mean_psnr(Upscaler(run.subject, network, scale), examples, protocol=run.protocol)
        assert state.log[-1][f"tiny-test_x{scale}_psnr_db"] == measured
    assert state.log[-1]["loss"] < state.log[0]["loss"]


def test_a_scale_is_given_where_one_is_needed_and_only_there() -> None:
    with pytest.raises(InputError, match=r"but for which scale\?.* give --scale"):
        Run(recipe=SGD_RECIPE)
    with pytest.raises(InputError, match=r"for x3, but one network of it serves x2, x3: leave out --scale"):
        Run(recipe=VDSR_RECIPE, scale=3)


@pytest.mark.parametrize("seed", [-1, run_module.SEEDS, 2**70])
def test_a_seed_that_pytorch_could_not_take_is_refused(seed: int) -> None:
    with pytest.raises(
        InputError, match=rf"with --seed {seed}, but seeds are whole .* 17,592,186,044,415 \(2\^44 - 1\)"
    ):
        replace(SGD_RUN, seed=seed)


def test_the_largest_seed_orders_every_epoch() -> None:
    run = replace(SGD_RUN, seed=run_module.SEEDS - 1)
    orders = [NewOrder()(10, seed=run.seed, epoch=epoch) for epoch in (0, 10**9)]
    assert not torch.equal(*orders)
    with pytest.raises((RuntimeError, ValueError), match="verflow"):
        NewOrder()(10, seed=2 * run_module.SEEDS, epoch=0)


def test_a_network_that_does_not_fit_its_patches_is_refused() -> None:
    """Its training would crop, or its measurement feed another image, and read 10 dB too little without an error."""
    small = with_training(SGD_RECIPE, patches=Patches(patch=15, stride=15, label=15, takes=LOW))
    with pytest.raises(InputError, match="on patches of low, but its network takes interpolated"):
        Run(recipe=small, scale=3)
    other = with_training(SGD_RECIPE, patches=Patches(patch=15, stride=9, label=9))
    with pytest.raises(InputError, match=r"labels \(2, 1, 9, 9\), but its network gives \(2, 1, 11, 11\)"):
        Run(recipe=other, scale=3)
    tiny_patches = with_training(SGD_RECIPE, patches=Patches(patch=3, stride=3, label=3))
    with pytest.raises(InputError, match="does not take them"):
        Run(recipe=tiny_patches, scale=3)


@dataclass(frozen=True)
class TooFew:
    """Forgets the biases."""

    def __call__(self, network: nn.Module) -> list[dict[str, Any]]:
        return [{"params": [layer.weight for layer in network.layers], "factor": 1.0}]


@dataclass(frozen=True)
class Twice:
    """Names the first weight twice."""

    def __call__(self, network: nn.Module) -> list[dict[str, Any]]:
        return [{"params": [*network.parameters(), network.layers[0].weight], "factor": 1.0}]


@pytest.mark.parametrize("rates", [TooFew(), Twice()], ids=["too few", "twice"])
def test_every_parameter_has_exactly_one_rate(rates: Callable[..., Any]) -> None:
    with pytest.raises(InputError, match=r"its rates name \d parameters, not each of 6 once"):
        Run(recipe=with_training(SGD_RECIPE, rates=rates), scale=3)


def test_streamed_patches_change_nothing(
    folder: DataFolder, workplace: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = VDSR_RUN
    whole, log = train(at(run, folder), workplace())
    passes = []
    stream = feed.stream_training
    monkeypatch.setattr(feed, "stream_training", lambda *words: passes.append(words) or stream(*words))
    little = replace(run, hardware=replace(PLAIN, memory=50_000))  # 82 patches, or an image of 22×22
    streamed, same_log = train(at(little, folder), workplace())
    assert len(passes) > 2
    assert same_weights(whole, streamed)
    assert without_times(log) == without_times(same_log)


@pytest.mark.parametrize("base", [SOAP_RUN, VDSR_RUN], ids=["one scale", "two scales"])
def test_the_engine_is_given_the_patches_in_their_order(
    base: Run, folder: DataFolder, workplace: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = 9
    run = replace(base, recipe=with_training(base.recipe, augmentation=NoAugmentation(), batch=batch), seed=4)
    prepare_training(folder, run.shape)
    patches = read_training(folder, run.shape)
    epoch = len(patches.high) // batch
    assert len(patches.high) % batch, "the data should not divide into batches, so that what is left over shows"
    assert 2 * epoch < STEPS

    given: list[tuple[Tensor, Tensor]] = []
    step = Engine.step

    def noted(self: Engine, inputs: Tensor, high: Tensor, *, lr: float) -> Tensor:
        given.append((inputs.clone(), high.clone()))
        return step(self, inputs, high, lr=lr)

    monkeypatch.setattr(Engine, "step", noted)
    train(at(run, folder), workplace())
    border = (run.training.patches.patch - run.training.patches.label) // 2
    inside = slice(border, patches.high.shape[1] - border)
    for number, (inputs, high) in enumerate(given):
        order = run.training.order(len(patches.high), seed=4, epoch=number // epoch).numpy()
        chosen = order[number % epoch * batch :][:batch]
        np.testing.assert_array_equal(inputs[:, 0], patches.inputs[chosen])
        np.testing.assert_allclose(high[:, 0], patches.high[chosen][:, inside, inside] / 255, atol=1e-7)


def test_augmentation_is_given_the_seed_and_the_step(
    folder: DataFolder, workplace: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []
    plain = NoAugmentation.__call__

    def noted(
        self: NoAugmentation, inputs: Tensor, labels: Tensor, *, seed: int, step: int, which: Tensor
    ) -> tuple[Tensor, Tensor]:
        given.append((seed, step))
        assert which.tolist() == [0] * len(inputs)
        return plain(self, inputs, labels, seed=seed, step=step)

    monkeypatch.setattr(NoAugmentation, "__call__", noted)
    train(at(Run(recipe=SGD_RECIPE, scale=3, log_points=LOG_POINTS, seed=6), folder), workplace())
    assert given == [(6, step) for step in range(STEPS)]


def test_epochs_as_the_authors_code_of_vdsr_has_them(
    folder: DataFolder, workplace: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every image of every patch but those held out, once an epoch, in batches of which the last one is smaller."""
    run = CODE_RUN
    prepare_training(folder, run.shape)
    patches = read_training(folder, run.shape)
    shown = 8 * len(patches.high) - int(8 * len(patches.high) * 0.11)
    given: list[Tensor] = []
    step = Engine.step

    def noted(self: Engine, inputs: Tensor, high: Tensor, *, lr: float) -> Tensor:
        given.append(inputs.clone())
        return step(self, inputs, high, lr=lr)

    monkeypatch.setattr(Engine, "step", noted)
    _, state = train(at(run, folder), workplace())
    batches = -(-shown // BATCH)
    assert shown % BATCH
    assert len(given) == 4 * batches == state.step
    assert [row["backprops"] for row in state.log] == [shown * epoch for epoch in (1, 2, 3, 4)]
    assert [len(inputs) for inputs in given[:batches]] == [BATCH] * (batches - 1) + [shown % BATCH]
    stored = run.protocol.admitted(patches.inputs)[:, None]
    images = {image.tobytes() for turns in range(4) for image in np.rot90(stored, turns, (-2, -1))}
    images |= {image.tobytes() for turns in range(4) for image in np.rot90(stored[..., ::-1], turns, (-2, -1))}
    for epoch in range(4):
        seen = [image.tobytes() for inputs in given[epoch * batches :][:batches] for image in inputs.numpy()]
        assert len(set(seen)) == len(seen) == shown
        assert set(seen) < images


def test_momentum_is_cleared_where_the_rate_changes_and_only_there(
    folder: DataFolder, workplace: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    cleared: list[int] = []
    rates: list[float] = []
    clear, step = ClearMomentum.__call__, Engine.step

    def noted(self: ClearMomentum, optimiser: torch.optim.Optimizer) -> None:
        assert any(state["momentum_buffer"].any() for state in optimiser.state.values())
        clear(self, optimiser)
        assert not any(state["momentum_buffer"].any() for state in optimiser.state.values())
        cleared.append(len(rates))

    def at_rate(self: Engine, inputs: Tensor, high: Tensor, *, lr: float) -> Tensor:
        rates.append(lr)
        return step(self, inputs, high, lr=lr)

    monkeypatch.setattr(ClearMomentum, "__call__", noted)
    monkeypatch.setattr(Engine, "step", at_rate)
    _, state = train(at(CODE_RUN, folder), workplace())
    assert cleared == [state.step // 4, state.step // 2, state.step * 3 // 4]
    assert [number for number in range(1, len(rates)) if rates[number] != rates[number - 1]] == cleared


def test_a_budget_stretches_the_schedule(folder: DataFolder, workplace: Callable[[], Path]) -> None:
    whole, half = (
        Run(recipe=SOAP_RECIPE, scale=3, log_points=LOG_POINTS),
        Run(recipe=SOAP_RECIPE, scale=3, log_points=LOG_POINTS, budget=0.5),
    )
    shortest = Run(recipe=SOAP_RECIPE, scale=3, log_points=LOG_POINTS, budget=1e-9)
    assert (half.course_of(100).steps, shortest.course_of(100).steps) == (STEPS // 2, 1)
    _, state = train(at(half, folder), workplace())
    assert (state.step, state.log[-1]["backprops"]) == (STEPS // 2, BATCH * STEPS // 2)
    assert state.log[-1]["lr"] == pytest.approx(whole.training.schedule((STEPS - 2) / STEPS))


def test_a_run_is_named_after_all_that_decides_it(folder: DataFolder, pretend: Callable[..., DataFolder]) -> None:
    run = Run(recipe=SOAP_RECIPE, scale=3, log_points=LOG_POINTS)
    prepare_training(folder, run.shape)
    other_rate = with_training(SOAP_RECIPE, schedule=Constant(lr=1e-3))
    names = [
        at(candidate, folder).name
        for candidate in (
            run,
            replace(run, seed=1),
            replace(run, budget=0.5),
            replace(run, hardware=Hardware(precision="bfloat16", mode="eager")),
            replace(run, recipe=other_rate),
        )
    ]
    assert names[0].startswith("srcnn-915-demo_x3_s0_")
    assert names[1] == names[0].replace("_s0_", "_s1_")
    assert len(set(names)) == len(names)
    assert (
        at(replace(run, hardware=Hardware(device="cuda", precision="float32", mode="eager")), folder).name == names[0]
    )

    darker = {file: pixels // 2 for file, pixels in MADE_UP["tiny-train"].items()}
    other_data = pretend(MADE_UP | {"tiny-train": darker})
    run.shape.path(other_data).unlink()
    for file in darker:
        (other_data.root / "tiny-train" / file).unlink()
    prepare_training(other_data, run.shape)
    assert at(run, other_data).name not in names


def test_fewer_patches_than_a_batch_are_refused(folder: DataFolder, workplace: Callable[[], Path]) -> None:
    with pytest.raises(InputError, match="Batches of 1000"):
        train(at(Run(recipe=with_training(SGD_RECIPE, batch=1000, backprops=5000), scale=3), folder), workplace())
    of_a_part = with_training(SGD_RECIPE, batch=50, backprops=5000, order=NewOrder(held_out=0.9))
    with pytest.raises(InputError, match=r"Batches of 50 .* but it shows \d\."):
        train(at(Run(recipe=of_a_part, scale=3), folder), workplace())


@both_recipes
def test_a_loss_that_is_no_number_ends_the_run(
    recipe: Recipe, folder: DataFolder, workplace: Callable[[], Path]
) -> None:
    hopeless = with_training(recipe, schedule=Constant(lr=1e25))
    place = workplace()
    with pytest.raises(Diverged, match=f"the loss of {recipe.name} x3 is no longer a number at step ") as diverged:
        train(at(Run(recipe=hopeless, scale=3, log_points=LOG_POINTS), folder), place)
    said = str(diverged.value)
    assert "at step 6 (48 backprops, learning rate 1e+25; the gradient's norm, after any clipping, is " in said
    assert said.endswith(
        "No checkpoint was written before. The same command would end the same: give the recipe a smaller learning "
        "rate, under a name of its own."
    )
    assert list(place.iterdir()) == []


@dataclass(frozen=True)
class Cliff:
    """A rate that is good, and from some point of the run on no rate at all."""

    at: float
    good: float = 1e-4
    absurd: float = 1e25

    def __call__(self, fraction: float) -> float:
        return self.good if fraction < self.at else self.absurd


NEAR_ITS_END = 11 / STEPS  # the last step before the log point at 12: the loss is that of the weights before it
LATER = 13 / STEPS


@pytest.mark.parametrize(
    ("recipe", "cliff", "said"),
    [
        (SOAP_RECIPE, Cliff(at=LATER), "loss of {} x3 is no longer a number at step 18 (144 backprops, learning rate "),
        (SGD_RECIPE, Cliff(at=LATER), "loss of {} x3 is no longer a number at step 18 (144 backprops, learning rate "),
        (SGD_RECIPE, Cliff(at=NEAR_ITS_END, absurd=1e300), "weights of {} x3 are no longer finite (layers.0.weight)"),
    ],
    ids=["soap, loss", "sgd, loss", "sgd, weights only"],
)  # fmt: skip
def test_the_last_good_checkpoint_is_kept(
    recipe: Recipe, cliff: Cliff, said: str, folder: DataFolder, workplace: Callable[[], Path]
) -> None:
    place = workplace()
    run = at(Run(recipe=with_training(recipe, schedule=cliff), scale=3, log_points=LOG_POINTS), folder)
    with pytest.raises(Diverged, match=re.escape(said.format(recipe.name))) as diverged:
        train(run, place)
    good = 12 if cliff.at == LATER else 6
    message = str(diverged.value)
    assert re.search(rf"after any clipping, is \S+; it was \d\S* at step {good}\)", message)
    assert (
        f"The last good checkpoint, of step {good}, is kept in {place / CHECKPOINT}. The same command goes" in message
    )
    before = (place / CHECKPOINT).read_bytes()
    kept = checkpoint.load(place / CHECKPOINT)
    assert kept is not None
    assert kept["state"]["step"] == good
    assert all(torch.isfinite(values).all() for values in kept["network"].values())
    with pytest.raises(Diverged, match=f"of step {good}, is kept"):
        train(run, place)
    assert (place / CHECKPOINT).read_bytes() == before


def test_a_memory_that_is_no_number_is_not_kept(
    folder: DataFolder, workplace: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, step = workplace(), Engine.step

    def poisoned(self: Engine, inputs: Tensor, high: Tensor, *, lr: float) -> Tensor:
        loss = step(self, inputs, high, lr=lr)
        self.optimiser.state[self.parameters[1]]["momentum_buffer"][0] = torch.nan
        return loss

    monkeypatch.setattr(Engine, "step", poisoned)
    run = at(replace(SGD_RUN, log_points=STEPS), folder)  # or the next step would spoil the weights
    with pytest.raises(
        Diverged, match=r"optimiser of .* \(layers\.0\.bias\.momentum_buffer\), though the loss still is"
    ):
        train(run, place)
    assert list(place.iterdir()) == []


def test_a_checkpoint_of_weights_that_are_no_numbers_is_refused(
    folder: DataFolder, workplace: Callable[[], Path], at_step: Callable[..., None]
) -> None:
    """Earlier versions looked at the loss only."""
    place = workplace()
    at_step(7, stop_by(signal.SIGTERM))
    with pytest.raises(Stopped):
        train(at(SGD_RUN, folder), place)
    values = checkpoint.load(place / CHECKPOINT)
    assert values is not None
    values["network"]["layers.0.weight"][0] = torch.inf
    checkpoint.save(place / CHECKPOINT, values)
    with pytest.raises(InputError, match=r"layers\.0\.weight in it is not finite.*--fresh"):
        train(at(SGD_RUN, folder), place)


# Stopping and going on.


def stop_by(number: signal.Signals) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


@pytest.mark.parametrize(
    "run", [SOAP_RUN, SGD_RUN, VDSR_RUN, MUON_RUN, NATIVE_RUN], ids=["soap", "sgd", "vdsr", "muon", "native"]
)
@pytest.mark.parametrize(
    "step", [7, 10, 18], ids=["between log points", "where epoch and bases change", "at a log point"]
)
def test_a_stopped_run_goes_on_as_if_nothing_had_happened(
    run: Run,
    step: int,
    folder: DataFolder,
    workplace: Callable[[], Path],
    at_step: Callable[..., None],
    unbroken: Unbroken,
) -> None:
    expected, whole = unbroken(run)

    place, handlers = workplace(), [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    at_step(step, stop_by(signal.SIGTERM))
    with pytest.raises(Stopped, match=f"after {step * BATCH:,} of {STEPS * BATCH:,} backprops"):
        train(at(run, folder), place)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    resumed, state = train(at(run, folder), place)

    assert same_weights(resumed, expected)
    assert without_times(state) == without_times(whole)
    assert [row["seconds"] for row in state.log] == sorted(row["seconds"] for row in state.log)


def test_a_run_resumes_in_another_mode(
    folder: DataFolder, workplace: Callable[[], Path], at_step: Callable[..., None], unbroken: Unbroken
) -> None:
    """As close as the other mode rounds, and it says so."""
    if NATIVE_RUN.hardware.mode != "native":
        pytest.skip("no C compiler is at hand: there is one mode only")
    expected, log = unbroken(NATIVE_RUN)
    place = workplace()
    at_step(13, stop_by(signal.SIGTERM))
    with pytest.raises(Stopped):
        train(at(NATIVE_RUN, folder), place, made_with={"machine": "here"})
    resumed, state = train(at(replace(NATIVE_RUN, hardware=PLAIN), folder), place, made_with={"machine": "there"})
    for name, weights in resumed.state_dict().items():
        torch.testing.assert_close(weights, expected.state_dict()[name], atol=1e-5, rtol=1e-3, msg=name)
    assert state.log[-1]["tiny-test_x2_psnr_db"] == pytest.approx(log.log[-1]["tiny-test_x2_psnr_db"], abs=1e-3)
    first, second = state.stretches
    assert (first.begun_at, first.steps, second.begun_at, second.steps) == (0, 13, 13, STEPS - 13)
    assert first.made_with == {"machine": "here", "device": "cpu", "mode": "native"}
    assert second.made_with == {"machine": "there", "device": "cpu", "mode": "eager"}
    assert first.seconds + second.seconds == pytest.approx(state.seconds)
    assert (first.backprops, second.backprops) == (13 * BATCH, (STEPS - 13) * BATCH)


class Clock:
    """A monotonic clock that stands still until it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr(deadline, "monotonic", lambda: self.now)

    def advance(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize("run", [SOAP_RUN, SGD_RUN, MUON_RUN], ids=["soap", "sgd", "muon"])
def test_a_run_whose_time_is_up_resumes_elsewhere_with_the_same_bits(
    run: Run,
    folder: DataFolder,
    workplace: Callable[[], Path],
    at_step: Callable[..., None],
    unbroken: Unbroken,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    expected, whole = unbroken(run)
    clock = Clock(monkeypatch)
    until = Deadline.after(60)
    carried = workplace() / "unfinished" / "run.safetensors"
    at_step(13, lambda: clock.advance(60))
    with pytest.raises(OutOfTime, match="after 104 of 240 backprops; 136 are left, about .* a second of this stretch"):
        train(at(run, folder), workplace(), deadline=until, carried=carried, carries=True)
    resumed, state = train(at(run, folder), workplace(), carried=carried)
    assert [stretch.steps for stretch in state.stretches] == [13, STEPS - 13]
    assert same_weights(resumed, expected)
    assert without_times(state) == without_times(whole)


def test_a_run_with_time_left_is_not_stopped(
    folder: DataFolder, workplace: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    until = Deadline.after(60)
    clock.advance(59)
    carried = workplace() / "unfinished" / "run.safetensors"
    _, state = train(at(SGD_RUN, folder), workplace(), deadline=until, carried=carried, carries=True)
    assert state.step == STEPS
    assert not carried.exists()  # it is written when a run stops, and only then


def test_a_run_is_carried_only_where_that_is_asked_for(
    folder: DataFolder, workplace: Callable[[], Path], at_step: Callable[..., None]
) -> None:
    carried = workplace() / "unfinished" / "run.safetensors"
    at_step(7, stop_by(signal.SIGTERM))
    with pytest.raises(Stopped):
        train(at(SGD_RUN, folder), workplace(), carried=carried)
    assert not carried.exists()
    place = workplace()
    at_step(7, stop_by(signal.SIGTERM))
    with pytest.raises(Stopped, match=f"carried in {re.escape(str(carried))}"):
        train(at(SGD_RUN, folder), place, carried=carried, carries=True)
    assert carried.read_bytes() == (place / CHECKPOINT).read_bytes()


def test_two_copies_that_were_trained_apart_are_refused(
    folder: DataFolder, workplace: Callable[[], Path], at_step: Callable[..., None]
) -> None:
    here, there, carried = workplace(), workplace(), workplace() / "run.safetensors"

    def train_for(steps: int, place: Path, *, carries: bool) -> None:
        at_step(steps, stop_by(signal.SIGTERM))
        with pytest.raises(Stopped):
            train(at(SGD_RUN, folder), place, carried=carried, carries=carries)

    train_for(5, here, carries=True)
    train_for(
        4, there, carries=True
    )  # the carried file is further along than the checkpoint here, and descends from it
    train_for(2, here, carries=False)
    assert [stretch.steps for stretch in carry.read(here / CHECKPOINT, at(SGD_RUN, folder).name).stretches] == [5, 4, 2]
    train_for(3, there, carries=True)
    with pytest.raises(InputError, match=r"has 88 backprops, .* has 96, and they share 72\..*--fresh"):
        train(at(SGD_RUN, folder), here, carried=carried)
    (here / CHECKPOINT).unlink()
    _, state = train(at(SGD_RUN, folder), here, carried=carried)
    assert [stretch.steps for stretch in state.stretches] == [5, 4, 3, STEPS - 12]


def test_a_file_of_another_run_is_refused(
    folder: DataFolder, workplace: Callable[[], Path], at_step: Callable[..., None]
) -> None:
    carried = workplace() / "run.safetensors"
    at_step(7, stop_by(signal.SIGTERM))
    with pytest.raises(Stopped):
        train(at(SGD_RUN, folder), workplace(), carried=carried, carries=True)
    with pytest.raises(InputError, match=r"run\.safetensors, but that is of the run srcnn-915_x3_s0_.*--fresh"):
        train(at(replace(SGD_RUN, seed=1), folder), workplace(), carried=carried)


def test_a_checkpoint_of_an_older_version_is_refused(folder: DataFolder, workplace: Callable[[], Path]) -> None:
    place = workplace()
    torch.save({"state": {"step": 3}}, place / "checkpoint.pt")
    with pytest.raises(InputError, match=r"checkpoint\.pt, but an older version of srrepro wrote that.*--fresh"):
        train(at(SGD_RUN, folder), place)


def test_rates_and_flags_are_the_engines_when_a_state_comes_from_elsewhere() -> None:
    """On a GPU the rates of a recorded step are tensors, and flags may differ: none of that is carried."""
    torch.manual_seed(0)
    batch = torch.rand(2, 1, 15, 15), torch.rand(2, 1, 11, 11)
    ours, theirs = (Engine(SGD_RECIPE.network(3), SGD_RECIPE.training, PLAIN) for _ in "ab")
    theirs.step(*batch, lr=1e-3)
    for group in theirs.optimiser.param_groups:
        group.update(fused=False, foreach=True, lr=torch.tensor(0.5), factor=9.0, momentum=0.1)
    groups = [{key: value for key, value in group.items() if key != "params"} for group in ours.optimiser.param_groups]
    state = checkpoint.optimiser_state(theirs.network, theirs.optimiser)
    checkpoint.restore_optimiser(ours.network, ours.optimiser, state)
    assert [
        {key: value for key, value in group.items() if key != "params"} for group in ours.optimiser.param_groups
    ] == groups
    momenta = zip(ours.parameters, theirs.parameters, strict=True)
    for mine, other in momenta:
        kept = ours.optimiser.state[mine]["momentum_buffer"]
        assert torch.equal(kept, theirs.optimiser.state[other]["momentum_buffer"])
        assert kept.stride() == mine.stride()
        assert kept.data_ptr() != theirs.optimiser.state[other]["momentum_buffer"].data_ptr()
    ours.step(*batch, lr=1e-3)


@pytest.mark.parametrize(
    "recipe", [SGD_RECIPE, VDSR_RECIPE, NATIVE_RECIPE, ABSOLUTE_RECIPE], ids=lambda recipe: recipe.name
)
@pytest.mark.parametrize("mode", ["eager", FASTEST.mode])
def test_the_engine_takes_the_plain_step(recipe: Recipe, mode: Mode) -> None:
    """In any mode the same mathematics, to float rounding: clipping, layers' rates and momentum included."""
    torch.manual_seed(0)
    training = recipe.training
    assert training is not None
    plainly, ours = (recipe.network(3).train() for _ in range(2))
    training.init(plainly)
    ours.load_state_dict(plainly.state_dict())
    optimiser = training.optimiser(training.rates(plainly))
    fast = Engine(ours, training, Hardware(precision="float32", mode=mode))
    assert (fast.chain is not None) == (recipe is NATIVE_RECIPE and mode == "native")
    patch, label = training.patches.patch, training.patches.label
    for lr in (1e-3, 1e-3, 1e-4):
        batch = torch.rand(6, 1, patch, patch), torch.rand(6, 1, label, label)
        expected = plain_step(plainly, optimiser, training, *batch, lr=lr)
        assert fast.step(*batch, lr=lr).item() == pytest.approx(expected.item(), rel=1e-5)
    for name, weights in plainly.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], weights, atol=1e-6, rtol=1e-4, msg=name)


def test_a_long_run_is_measured_at_least_every_ten_million_backprops() -> None:
    run = Run(recipe=models.recipe("srcnn-915"), scale=3)
    assert [run.points(backprops) for backprops in (800_000_000, 200_080_000, 1_600_000)] == [80, 21, 20]
    assert replace(run, log_points=3).points(800_000_000) == 3
    code = Run(recipe=models.recipe("vdsr-t91-code"))
    assert (code.points(633_040), replace(code, log_points=3).points(633_040)) == (80, 3)


def test_only_sgd_can_be_recorded() -> None:
    recording = Hardware(device="cuda", precision="float32", mode="graph")
    with pytest.raises(InputError, match="only steps of SGD can be recorded"):
        Run(recipe=SOAP_RECIPE, scale=3, hardware=recording)


@pytest.mark.parametrize("precision", ["float32", "tf32", "bfloat16"])
@pytest.mark.parametrize("mode", ["graph", "compiled"])
def test_a_gpus_modes_take_the_eager_steps(mode: Mode, precision: Precision, cuda: str) -> None:
    """The same batches, at rates that fall: a recorded step must not keep the first rate or the first bound."""
    torch.manual_seed(0)
    training: Training = NATIVE_RECIPE.training
    start = NATIVE_RECIPE.network(3).train()
    training.init(start)
    batches = [(torch.rand(8, 1, 11, 11, device=cuda), torch.rand(8, 1, 11, 11, device=cuda)) for _ in range(6)]

    def trained(mode: Mode) -> tuple[list[float], dict[str, Tensor]]:
        network = NATIVE_RECIPE.network(3).train()
        network.load_state_dict(start.state_dict())
        engine = Engine(network, training, Hardware(device=cuda, precision=precision, mode=mode))
        rates = (0.1, 0.1, 0.01, 0.01, 0.001, 0.001)
        return [
            engine.step(*batch, lr=lr).item() for batch, lr in zip(batches, rates, strict=True)
        ], network.state_dict()

    losses, weights = trained("eager")
    same_losses, same_weights = trained(mode)
    tolerance = 1e-4 if precision == "float32" else 2e-2
    assert same_losses == pytest.approx(losses, rel=tolerance)
    for name, expected in weights.items():
        torch.testing.assert_close(same_weights[name], expected, atol=tolerance / 10, rtol=tolerance, msg=name)


@pytest.mark.parametrize(
    ("run", "mode"), [(SOAP_RUN, "eager"), (MUON_RUN, "eager"), (CODE_RUN, "graph")], ids=["soap", "muon", "code"]
)
def test_a_gpu_learns_what_a_processor_does(
    run: Run, mode: Mode, cuda: str, folder: DataFolder, workplace: Callable[[], Path]
) -> None:
    """SGD's steps are compared one by one; these decompose matrices, which every library does in its own order.

    The authors' code of VDSR has smaller batches at the end of epochs, which are recorded apart.
    """
    losses = []
    for device in ("cpu", cuda):
        hardware = Hardware(device=device, precision="float32", mode="eager" if device == "cpu" else mode)
        run_here = replace(run, hardware=hardware)
        _, state = train(at(run_here, folder), workplace())
        losses.append([row["loss"] for row in state.log])
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert losses[1][-1] < losses[1][0]


@pytest.mark.parametrize("base", [NATIVE_RUN, CODE_RUN], ids=["native", "code"])
@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_a_stopped_run_goes_on_on_a_gpu(
    mode: Mode, base: Run, cuda: str, folder: DataFolder, workplace: Callable[[], Path], at_step: Callable[..., None]
) -> None:
    run = replace(base, hardware=Hardware(device=cuda, precision="float32", mode=mode))
    expected, whole = train(at(run, folder), workplace())
    place = workplace()
    at_step(13, stop_by(signal.SIGTERM))
    with pytest.raises(Stopped):
        train(at(run, folder), place)
    resumed, state = train(at(run, folder), place)
    assert same_weights(resumed, expected)
    assert without_times(state) == without_times(whole)


def test_a_run_may_be_stopped_again_and_again(
    folder: DataFolder, workplace: Callable[[], Path], at_step: Callable[..., None], unbroken: Unbroken
) -> None:
    run = Run(recipe=SOAP_RECIPE, scale=3, log_points=LOG_POINTS)
    expected, whole = unbroken(run)
    place = workplace()
    for step, number in ((3, signal.SIGINT), (1, signal.SIGTERM), (11, signal.SIGINT)):
        at_step(step, stop_by(number))
        with pytest.raises(Stopped):
            train(at(run, folder), place)
    resumed, state = train(at(run, folder), place)
    assert same_weights(resumed, expected)
    assert without_times(state) == without_times(whole)


def test_a_finished_run_only_gives_its_result_again(folder: DataFolder, workplace: Callable[[], Path]) -> None:
    run, place = Run(recipe=SGD_RECIPE, scale=3, log_points=LOG_POINTS), workplace()
    first, state = train(at(run, folder), place)
    again, same = train(at(run, folder), place)
    assert same_weights(first, again)
    assert same == state


def test_checkpoints_in_between_change_nothing(
    folder: DataFolder, workplace: Callable[[], Path], monkeypatch: pytest.MonkeyPatch, unbroken: Unbroken
) -> None:
    run = Run(recipe=SOAP_RECIPE, scale=3, log_points=LOG_POINTS)
    seldom, expected = unbroken(run)
    monkeypatch.setattr(loop, "SECONDS_BETWEEN_CHECKPOINTS", 0.0)
    often, state = train(at(run, folder), workplace())
    assert same_weights(often, seldom)
    assert without_times(state) == without_times(expected)


CHILD = """
import json, os, signal, sys
from dataclasses import replace
from pathlib import Path
from srrepro.data import registry
from srrepro.training import loop
from srrepro.training.engine import Engine
sys.path.insert(0, sys.argv[1])
import test_loop

rows = json.loads(Path(sys.argv[2]).read_text(encoding="utf-8"))
registry.registry = lambda: tuple(registry.File(**{**row, "sets": tuple(row["sets"])}) for row in rows)
loop.SECONDS_BETWEEN_CHECKPOINTS = 0.0
step, taken = Engine.step, 0

def die_at_12(self, inputs, high, *, lr):
    global taken
    taken += 1
    if taken == 12:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, inputs, high, lr=lr)

Engine.step = die_at_12
root, workplace, mirror = map(Path, sys.argv[4:])
loop.train(replace(getattr(test_loop, sys.argv[3]), folder=registry.DataFolder(root, mirror)), workplace)
"""


def kill_at_12(name: str, folder: DataFolder, place: Path, tmp_path: Path, *, threads: int = 1) -> None:
    """Begin the run of that name in a process that dies before its 12th step."""
    rows = tmp_path / "registry.json"
    rows.write_text(json.dumps([asdict(file) for file in registry.registry()]), encoding="utf-8")
    here = str(Path(__file__).parent)
    child = subprocess.run(
        [sys.executable, "-c", CHILD, here, str(rows), name, str(folder.root), str(place), str(folder.mirror)],
        env=os.environ | {"OMP_NUM_THREADS": str(threads)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    saved = checkpoint.load(place / CHECKPOINT)
    assert saved is not None
    assert saved["state"]["step"] == 11


@pytest.mark.parametrize("name", ["SOAP_RUN", "NATIVE_RUN", "MUON_RUN"])
def test_a_killed_run_goes_on_from_its_last_checkpoint(
    name: str, folder: DataFolder, workplace: Callable[[], Path], tmp_path: Path, unbroken: Unbroken
) -> None:
    run, place = globals()[name], workplace()
    expected, whole = unbroken(run)
    kill_at_12(name, folder, place, tmp_path)
    resumed, state = train(at(run, folder), place)
    assert same_weights(resumed, expected)
    assert without_times(state) == without_times(whole)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["WHOLE_VDSR_RUN", "WHOLE_MUON_RUN"])
def test_vdsr_itself_goes_on_after_a_kill(
    name: str, mirror: Path, workplace: Callable[[], Path], tmp_path: Path, two_threads: int
) -> None:
    folder = DataFolder(tmp_path / "data", mirror)
    run, place = globals()[name], workplace()
    run = replace(run, hardware=replace(run.hardware, threads=two_threads))  # as the other process finds out for itself
    expected, whole = train(at(run, folder), workplace())
    kill_at_12(name, folder, place, tmp_path, threads=two_threads)
    resumed, state = train(at(run, folder), place)
    assert same_weights(resumed, expected)
    assert without_times(state) == without_times(whole)


@pytest.mark.parametrize(
    "damage",
    [lambda whole: whole[: len(whole) // 2], lambda _: b"", lambda _: b"no checkpoint"],
    ids=["cut short", "empty", "foreign"],
)
def test_a_damaged_checkpoint_is_named(
    damage: Callable[[bytes], bytes], folder: DataFolder, workplace: Callable[[], Path], at_step: Callable[..., None]
) -> None:
    run, place = Run(recipe=SGD_RECIPE, scale=3, log_points=LOG_POINTS), workplace()
    at_step(5, stop_by(signal.SIGTERM))
    with pytest.raises(Stopped):
        train(at(run, folder), place)
    file = place / CHECKPOINT
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(InputError, match=r"checkpoint\.safetensors, but that is damaged.*--fresh"):
        train(at(run, folder), place)


# Several steps as one.

TURNED = with_training(SGD_RECIPE, augmentation=TurnAndFlip(), order=NewOrder())
# Its rate changes where nothing else happens; that of VDSR_RUN does so too, but nothing is cleared then.
FALLING = with_training(
    VDSR_RECIPE, schedule=Steps(lr=0.1, factor=0.3, after=(0.25, 0.55)), at_new_rate=ClearMomentum()
)
TURNED_RUN = Run(recipe=replace(TURNED, name="srcnn-915-turned"), scale=3, log_points=LOG_POINTS)
FALLING_RUN = Run(recipe=replace(FALLING, name="vdsr-t91-falling"), log_points=LOG_POINTS)
several_runs = pytest.mark.parametrize(
    "run", [TURNED_RUN, VDSR_RUN, FALLING_RUN, CODE_RUN], ids=["srcnn", "vdsr", "cleared", "code"]
)


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> list[Table]:
    """The tables that engines are given, of four steps each, also on a processor."""
    given: list[Table] = []
    steps = Engine.steps
    monkeypatch.setattr(portions, "TOGETHER", 4)
    monkeypatch.setattr(portions, "together", lambda run, feed: portions.TOGETHER)

    def noted(self: Engine, store: tuple[Tensor, Tensor], table: Table, losses: Tensor) -> None:
        given.append(table)
        steps(self, store, table, losses)

    monkeypatch.setattr(Engine, "steps", noted)
    return given


@several_runs
def test_several_steps_as_one_are_the_same_to_the_bit(
    run: Run, folder: DataFolder, workplace: Callable[[], Path], unbroken: Unbroken, tables: list[Table]
) -> None:
    """What a GPU records is ordinary PyTorch: losses, rates, clipping, images of patches, stopped and resumed."""
    with pytest.MonkeyPatch.context() as one_by_one:
        one_by_one.setattr(portions, "together", lambda run, feed: 1)
        expected, whole = unbroken(run)
    assert not tables
    steps, place = Engine.steps, workplace()

    def stopping(self: Engine, store: tuple[Tensor, Tensor], table: Table, losses: Tensor) -> None:
        steps(self, store, table, losses)
        if len(tables) == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Engine, "steps", stopping)
        with pytest.raises(Stopped):
            train(at(run, folder), place)
    assert len(tables) == 3
    resumed, state = train(at(run, folder), place)
    assert len(tables) > 3
    assert 4 * len(tables) < state.step, "steps of a smaller batch, or before a log point, should be single"
    assert same_weights(resumed, expected)
    assert without_times(state) == without_times(whole)


@several_runs
@pytest.mark.parametrize("begin", [0, 5])
def test_a_table_lies_between_what_is_done_between_steps(
    run: Run, begin: int, folder: DataFolder, tables: list[Table]
) -> None:
    """Log points, ends of epochs, a clearing of momenta; every step is there once, whichever step comes first."""
    run = at(run, folder)
    prepare_training(folder, run.shape)
    course, training = run.course, run.training
    log_points = {course.steps * point // run.points(0) for point in range(1, run.points(0) + 1)}
    step, found = begin, set()
    for part in portions.portions(run, run.feed(), course, begin, log_points):
        length = len(part.lrs) if isinstance(part, Table) else 1
        found.add(length)
        taken = range(step, step + length)
        rates = [training.schedule(number / course.steps) for number in taken]
        if isinstance(part, Table):
            assert part.lrs.tolist() == rates
            assert training.at_new_rate is None or len(set(rates)) == 1
            assert part.patches.shape == part.images.shape == (4, BATCH)
            assert taken[0] // course.batches == taken[-1] // course.batches
            assert not log_points & set(taken[1:])
        step += length
    assert step == course.steps
    assert found == {1, 4}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, portions.TOGETHER),
        ({"mode": "eager"}, 1),
        ({"memory": 50_000}, 1),
        ({"augmentation": EveryImage(8)}, portions.TOGETHER),
    ],
    ids=str,
)
def test_steps_are_recorded_together_only_where_all_is_on_the_device(
    changes: dict[str, Any], expected: int, folder: DataFolder
) -> None:
    run = at(VDSR_RUN, folder)
    prepare_training(folder, run.shape)
    feed = replace(run, hardware=replace(PLAIN, memory=changes.get("memory", PLAIN.memory))).feed()
    hardware = Hardware(device="cuda", precision="float32", mode=changes.get("mode", "graph"))
    augmentation = changes.get("augmentation", NoAugmentation())
    recipe = with_training(run.recipe, augmentation=augmentation)
    assert portions.together(replace(run, recipe=recipe, hardware=hardware), feed) == expected


@several_runs
def test_a_gpus_recorded_tables_are_its_single_steps(
    run: Run, cuda: str, folder: DataFolder, workplace: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after a table and resumed, a run ends with the same bits."""
    run = replace(run, hardware=Hardware(device=cuda, precision="float32", mode="graph"))
    monkeypatch.setattr(portions, "TOGETHER", 1)
    expected, single = train(at(run, folder), workplace())
    monkeypatch.setattr(portions, "TOGETHER", 4)
    together, whole = train(at(run, folder), workplace())
    assert [row["loss"] for row in whole.log] == pytest.approx([row["loss"] for row in single.log], rel=1e-4)
    for name, weights in together.state_dict().items():
        torch.testing.assert_close(weights, expected.state_dict()[name], atol=1e-6, rtol=1e-4, msg=name)
    steps, place, taken = Engine.steps, workplace(), 0

    def stopping(self: Engine, store: tuple[Tensor, Tensor], table: Table, losses: Tensor) -> None:
        nonlocal taken
        steps(self, store, table, losses)
        taken += 1
        if taken == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr(Engine, "steps", stopping)
    with pytest.raises(Stopped):
        train(at(run, folder), place)
    resumed, state = train(at(run, folder), place)
    assert taken > 3
    assert same_weights(resumed, together)
    assert without_times(state) == without_times(whole)


# Two runs at once.


@dataclass(frozen=True)
class SlowInit:
    """Draws after a while, in which another thread might seed the generator."""

    def __call__(self, network: nn.Module) -> None:
        sleep(0.2)
        GaussianInit(std=0.1)(network)


def test_runs_in_threads_are_those_one_after_the_other(folder: DataFolder, workplace: Callable[[], Path]) -> None:
    slow = Run(recipe=with_training(SGD_RECIPE, init=SlowInit()), scale=3, log_points=LOG_POINTS)
    runs = [at(run, folder) for run in (replace(slow, seed=7), NATIVE_RUN, slow)]
    in_turn = [train(run, workplace()) for run in runs]
    with ThreadPoolExecutor(len(runs)) as pool:
        at_once = list(pool.map(train, runs, [workplace() for _ in runs]))
    for (expected, log), (found, same_log) in zip(in_turn, at_once, strict=True):
        assert same_weights(found, expected)
        assert without_times(log) == without_times(same_log)
    assert not same_weights(in_turn[0][0], in_turn[2][0])


def test_an_engine_has_its_threads_in_whichever_thread_it_is(two_threads: int) -> None:
    """Elsewhere a thread of a pool asked PyTorch for one, and that is what new threads begin with."""
    engine = Engine(SGD_RECIPE.network(3), SGD_RECIPE.training, PLAIN.settled())

    def threads_within() -> int:
        with engine:
            return torch.get_num_threads()

    with ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        assert pool.submit(threads_within).result() == two_threads
        assert pool.submit(torch.get_num_threads).result() == 1


@pytest.mark.parametrize("base", [TURNED_RUN, FALLING_RUN], ids=["srcnn", "vdsr"])
def test_runs_side_by_side_on_a_gpu_are_those_alone(
    base: Run, cuda: str, folder: DataFolder, workplace: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portions, "TOGETHER", 4)
    hardware = Hardware(device=cuda, precision="float32", mode="graph")
    runs = [at(replace(base, hardware=hardware, seed=seed), folder) for seed in (0, 1, 2)]

    def on_a_stream(run: Run, place: Path) -> nn.Module:
        with torch.cuda.stream(torch.cuda.Stream()):
            return train(run, place)[0]

    in_turn = [on_a_stream(run, workplace()) for run in runs]
    with ThreadPoolExecutor(len(runs)) as pool:
        at_once = list(pool.map(on_a_stream, runs, [workplace() for _ in runs]))
    assert all(same_weights(found, expected) for found, expected in zip(at_once, in_turn, strict=True))


# One step.


def plain_steps(network: nn.Module, batches: list[tuple[Tensor, Tensor]], *, lr: float, momentum: float) -> list[float]:
    """Momentum as Caffe has it, the Euclidean loss, the rates of SRCNN's layers: only autograd and arithmetic."""
    parameters = dict(network.named_parameters())
    velocity = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
    losses = []
    for inputs, high in batches:
        loss = ((network(inputs) - high) ** 2).sum() / (2 * len(inputs))
        gradients = torch.autograd.grad(loss, list(parameters.values()))
        losses.append(loss.item())
        with torch.no_grad():
            for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True):
                slow = name.endswith("bias") or name == "layers.2.weight"
                velocity[name] = momentum * velocity[name] + gradient
                parameter -= lr * (0.1 if slow else 1) * velocity[name]
    return losses


@pytest.mark.parametrize("mode", ["eager", FASTEST.mode])
@pytest.mark.parametrize("name", ["srcnn-915", "srcnn-955"])
def test_the_engines_steps_are_those_written_by_hand(name: str, mode: Mode) -> None:
    torch.manual_seed(0)
    recipe = models.recipe(name)
    training: Training = recipe.training
    label = training.patches.label
    batches = [(torch.rand(4, 1, 33, 33), torch.rand(4, 1, label, label)) for _ in range(4)]
    ours, theirs = recipe.network(3).train(), recipe.network(3).train()
    theirs.load_state_dict(ours.state_dict())
    start = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    engine = Engine(ours, training, Hardware(precision="float32", mode=mode))
    losses = [engine.step(*batch, lr=1e-4).item() for batch in batches]
    assert losses == pytest.approx(plain_steps(theirs, batches, lr=1e-4, momentum=0.9), rel=1e-5)
    for name, expected in theirs.state_dict().items():
        moved = (expected - start[name]).abs().max().item()
        assert moved > 1e-6, name
        torch.testing.assert_close(ours.state_dict()[name], expected, atol=1e-3 * moved, rtol=0, msg=name)


def test_the_engine_takes_the_rate_of_every_step() -> None:
    torch.manual_seed(0)
    training = with_training(SGD_RECIPE, optimiser=SGD(momentum=0.0, weight_decay=0.0)).training
    network = SGD_RECIPE.network(3).train()
    engine = Engine(network, training, PLAIN)
    batch = torch.rand(2, 1, 15, 15), torch.rand(2, 1, 11, 11)
    moved = []
    for lr in (0.0, 1e-6, 2e-6):
        before = network.layers[0].weight.clone()
        engine.step(*batch, lr=lr)
        moved.append((network.layers[0].weight - before).norm().item())
    assert moved[0] == 0
    assert moved[2] == pytest.approx(2 * moved[1], rel=0.05)


def test_gradients_are_clipped_before_the_optimiser_sees_them() -> None:
    """The plain step: clip what the loss gives, then decay and momentum."""
    torch.manual_seed(0)
    training: Training = VDSR_RECIPE.training
    network = VDSR_RECIPE.network(3).train()
    training.init(network)
    weights = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    velocity = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    engine = Engine(network, training, PLAIN)
    clipped = []
    for lr in (0.1, 0.01):
        inputs, high = torch.rand(6, 1, 11, 11), torch.rand(6, 1, 11, 11)
        parameters = {name: weight.clone().requires_grad_() for name, weight in weights.items()}
        loss = (torch.func.functional_call(network, parameters, inputs) - high).square().sum() / (2 * len(inputs))
        gradients = torch.autograd.grad(loss, list(parameters.values()))
        for (name, weight), gradient in zip(weights.items(), gradients, strict=True):
            bound = 1e-3 / lr
            clipped.append((gradient.abs() > bound).float().mean().item())
            velocity[name] = 0.9 * velocity[name] + gradient.clamp(-bound, bound) + 1e-4 * weight
            weights[name] = weight - lr * velocity[name]
        assert engine.step(inputs, high, lr=lr).item() == pytest.approx(loss.item(), rel=1e-5)
    assert 0.05 < sum(clipped) / len(clipped) < 0.99, "some elements should be clipped, and some not"
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(parameter.detach(), weights[name], atol=1e-6, rtol=1e-5, msg=name)


def test_a_run_may_go_on_with_other_memory(
    folder: DataFolder, workplace: Callable[[], Path], at_step: Callable[..., None], unbroken: Unbroken
) -> None:
    expected, log = unbroken(VDSR_RUN)
    place = workplace()
    at_step(13, stop_by(signal.SIGTERM))
    with pytest.raises(Stopped):
        train(at(replace(VDSR_RUN, hardware=replace(PLAIN, memory=50_000)), folder), place)
    resumed, same_log = train(at(VDSR_RUN, folder), place)
    assert same_weights(resumed, expected)
    assert without_times(log) == without_times(same_log)


@pytest.mark.parametrize(
    ("precision", "mode"), [("float32", "eager"), ("bfloat16", "eager"), ("float32", FASTEST.mode)]
)
@pytest.mark.parametrize("shares", [2, 3])
def test_threads_share_a_batch(shares: int, precision: Precision, mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one alone, to float rounding; and the same every time, whichever thread is ready first."""
    monkeypatch.setattr(engine, "LEAST_SHARE", 1)
    monkeypatch.setattr(engine, "IMAGES", 2)
    training = replace(VDSR_RECIPE.training, batch=7)  # shares need not be alike
    torch.manual_seed(0)
    batch = torch.rand(7, 1, 11, 11), torch.rand(7, 1, 11, 11)
    start = NATIVE_RECIPE.network(3)
    training.init(start)

    def trained(threads: int) -> tuple[float, dict[str, Tensor]]:
        monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
        network = NATIVE_RECIPE.network(3).train()
        network.load_state_dict(start.state_dict())
        sharing = Engine(network, training, Hardware(precision=precision, mode=mode))
        assert sharing.shares == threads
        loss = [sharing.step(*batch, lr=0.1).item() for _ in range(3)][-1]
        return loss, network.state_dict()

    loss, alone = trained(1)
    shared_loss, shared = trained(shares)
    again_loss, again = trained(shares)
    tolerance = 1e-5 if precision == "float32" else 1e-2
    assert shared_loss == again_loss == pytest.approx(loss, rel=tolerance)
    for name, expected in alone.items():
        assert torch.equal(shared[name], again[name])
        torch.testing.assert_close(shared[name], expected, atol=tolerance / 10, rtol=10 * tolerance, msg=name)


@pytest.mark.parametrize(
    ("name", "threads", "shares"),
    [("srcnn-915-quick", 64, 1), ("srcnn-955", 64, 1), ("vdsr-t91", 1, 1), ("vdsr-t91", 2, 2), ("vdsr-t91", 64, 17)],
)
def test_only_batches_of_much_work_are_shared(
    name: str, threads: int, shares: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    recipe = models.recipe(name)
    assert recipe.training is not None
    assert Engine(recipe.network(3), recipe.training, PLAIN).shares == shares


def test_bfloat16_is_for_the_forward_pass_only() -> None:
    torch.manual_seed(0)
    network = SOAP_RECIPE.network(3).train()
    engine = Engine(network, SOAP_RECIPE.training, Hardware(precision="bfloat16", mode="eager"))
    batch = torch.rand(2, 1, 15, 15), torch.rand(2, 1, 11, 11)
    with torch.no_grad():
        exact = SOAP_RECIPE.training.loss(network(batch[0]), batch[1]).item()
    loss = engine.step(*batch, lr=1e-3)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(exact, rel=0.02)
    assert loss.item() != exact
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
