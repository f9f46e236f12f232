"""Speed rows: operations counted by hand, contenders that take known times, the table that keeps them."""

import ctypes
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from srrepro import models
from srrepro.data.registry import DataFolder
from srrepro.data.stores import prepare_training
from srrepro.errors import InputError
from srrepro.evaluation.upscaler import Upscaler
from srrepro.evaluation.weights import of_run
from srrepro.hardware import PLAIN, Mode, fastest_mode, precisions
from srrepro.timing import plain, speed
from srrepro.timing.engines import engines
from srrepro.timing.speed import (
    Contender,
    Speed,
    conditions,
    inference_speed,
    record,
    training_flops,
    training_speed,
)
from srrepro.training import portions
from srrepro.training.engine import Engine
from srrepro.training.run import Run


def test_operations_of_a_training_step() -> None:
    """Outputs of 25, 25 and 21 pixels; nothing is computed for the input of the first layer."""
    first, second, third = 2 * 625 * 81 * 64, 2 * 625 * 64 * 32, 2 * 441 * 32 * 25
    assert training_flops(Run(recipe=models.recipe("srcnn-915"), scale=3)) == 2 * first + 3 * second + 3 * third


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], Callable[[], None]]:
    """Turns that take as long as they say, by a clock of their own."""
    now = 0.0
    monkeypatch.setattr(speed, "perf_counter", lambda: now)
    monkeypatch.setattr(speed, "peak_gflops", lambda device, precision: 100.0)

    def turn(seconds: float) -> Callable[[], None]:
        def take() -> None:
            nonlocal now
            now += seconds

        return take

    return turn


def test_rows_say_what_was_measured(clock: Callable[[float], Callable[[], None]]) -> None:
    contenders = [
        Contender("float32", "nchw", "plain", clock(0.5)),
        Contender("float32", "nhwc", "native", clock(0.125)),
    ]
    plain, fast = speed._rows(contenders, "net", "train", 3, "cpu", 4, (100, 200), 10**9)
    assert (plain.baseline_ratio, fast.baseline_ratio) == (1.0, 4.0)
    assert (fast.median_ms, fast.iqr_ms, fast.samples_per_s, fast.megapixels_per_s) == (125.0, 0.0, 32.0, 0.64)
    assert (fast.gflops, fast.peak_share) == (8.0, 0.08)
    assert (plain.repeats, fast.repeats) == (2 * speed.ROUNDS, 8 * speed.ROUNDS)


def test_of_steps_that_are_recorded_as_one_a_row_says_what_one_takes(
    clock: Callable[[float], Callable[[], None]],
) -> None:
    contenders = [
        Contender("float32", "nchw", "plain", clock(0.5)),
        Contender("float32", "nhwc", "graph", clock(1.25), steps=20),
    ]
    _, fast = speed._rows(contenders, "net", "train", 3, "cpu", 4, (100, 200), 10**9)
    assert (fast.median_ms, fast.samples_per_s, fast.gflops, fast.baseline_ratio) == (62.5, 64.0, 16.0, 8.0)
    assert fast.repeats == 20 * speed.ROUNDS


@pytest.mark.parametrize("steps", [1, 3])
def test_a_turn_is_a_step_or_what_is_recorded_as_one(
    steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portions, "together", lambda run, feed: steps)
    run = Run(recipe=models.recipe("srcnn-915-demo"), scale=3, hardware=PLAIN, folder=DataFolder(tmp_path, None))
    prepare_training(run.folder, run.shape)
    contender = speed._trained(run)
    taken, update = [], Engine.update
    monkeypatch.setattr(Engine, "update", lambda self, *given: taken.append(1) or update(self, *given))
    contender.turn()
    assert (contender.steps, len(taken)) == (steps, steps)


def test_what_slows_the_machine_slows_both(clock: Callable[[float], Callable[[], None]]) -> None:
    """A ratio is taken within a round; the medians alone would say something else."""
    calls = 0

    def slower_and_slower(seconds: float) -> Callable[[], None]:
        def take() -> None:
            nonlocal calls
            calls += 1
            clock(seconds * (1 + calls // 2))()

        return take

    contenders = [Contender("float32", "", name, slower_and_slower(s)) for name, s in (("plain", 3.0), ("fast", 1.5))]
    _, fast = speed._rows(contenders, "net", "infer", 3, "cpu", 1, (10, 10), 1)
    assert fast.baseline_ratio == pytest.approx(2.0, rel=0.15)


def row(**changes: Any) -> Speed:
    return Speed(
        **{
            "model": "net", "task": "infer", "scale": 3, "device": "cpu", "precision": "float32", "layout": "nhwc",
            "mode": "eager", "batch": 1, "height": 4, "width": 4, "median_ms": 1.0, "iqr_ms": 0.1,
            "megapixels_per_s": 1.0, "samples_per_s": 1.0, "gflops": 1.0, "peak_share": 0.5, "peak_memory_mib": None,
            "repeats": 5, "baseline_ratio": 1.0, "difference": None, "machine": "M",
        }
        | changes
    )  # fmt: skip


def test_a_busy_machine_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    made_with = {"commit": "c", "versions": {"torch": "2"}, "threads": 2}
    monkeypatch.setattr("os.getloadavg", lambda: (1.7, 0.0, 0.0))
    assert conditions(made_with)["load"] == 1.7
    assert "busy (load 1.7)" in capsys.readouterr().err
    monkeypatch.setattr("os.getloadavg", lambda: (0.1, 3.0, 3.0))
    conditions(made_with)
    assert not capsys.readouterr().err


def test_new_rows_replace_those_of_the_same_thing_only(tmp_path: Path) -> None:
    path = tmp_path / "results" / "speed.csv"
    under = conditions({"commit": "c", "versions": {"torch": "2"}, "threads": 2})
    record([row(), row(machine="another"), row(mode="native")], path, under)
    table = record([row(median_ms=2.0)], path, under | {"commit": "d"})
    assert len(table) == 3
    assert sorted(table["commit"]) == ["c", "c", "d"]
    found = pd.read_csv(path).set_index(["machine", "mode"])["median_ms"].to_dict()
    assert found == {("M", "eager"): 2.0, ("M", "native"): 1.0, ("another", "eager"): 1.0}
    assert [file.name for file in path.parent.iterdir()] == ["speed.csv"]


def test_inference_beside_the_eager_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "ROUNDS", 2)
    monkeypatch.setattr(speed, "SECONDS_A_TURN", 0.0)
    rows = inference_speed("srcnn-915", (12, 10), "cpu")
    assert [found.mode for found in rows][:2] == ["plain", "eager"]
    assert all(found.baseline_ratio > 0 and 0 < found.peak_share < 1 for found in rows)
    assert all(found.difference <= 1e-4 for found in rows if found.precision == "float32")


class _Stack(ctypes.Structure):
    _fields_ = (("place", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


def stack_for_signals() -> tuple[Any, ...]:
    """Of this thread; a process whose handlers run on a stack that is gone ends at once."""
    found = _Stack()
    ctypes.CDLL(None).sigaltstack(None, ctypes.byref(found))
    return found.place, found.flags, found.size


def test_engines_take_their_turn_where_they_are_installed() -> None:
    pytest.importorskip("onnxruntime", reason="the extra engines is not installed")
    torch.manual_seed(0)
    network = models.recipe("srcnn-915").network(3).eval()
    image = np.random.default_rng(0).random((20, 31), np.float32)
    upscaler = Upscaler(of_run(models.recipe("srcnn-915"), 3, 0, 1.0), network, 3)
    expected = upscaler.estimate(image)
    before = stack_for_signals() if sys.platform == "linux" else ()
    found = {(name, precision): turn() for name, precision, turn in engines(upscaler, image, 2)}
    assert (stack_for_signals() if sys.platform == "linux" else ()) == before
    assert ("onnxruntime", "float32") in found
    for (_, precision), estimate in found.items():
        np.testing.assert_allclose(estimate, expected, atol=1e-5 if precision == "float32" else 5e-2)


def test_inference_on_a_gpu(cuda: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "ROUNDS", 2)
    monkeypatch.setattr(speed, "SECONDS_A_TURN", 0.0)
    rows = inference_speed("srcnn-915", (12, 10), cuda)
    assert [found.mode for found in rows] == ["plain", "eager"]
    assert all(found.median_ms > 0 and found.device == cuda and found.peak_memory_mib is not None for found in rows)


def test_what_is_not_trained_is_not_timed(pretend: Callable[..., DataFolder]) -> None:
    with pytest.raises(InputError, match="nothing to train"):
        training_speed("bicubic", pretend({}), "cpu")


@pytest.mark.parametrize(("bfloat16", "only"), [(False, None), (True, ("eager",))])
def test_every_contender_trains(
    bfloat16: bool, only: tuple[Mode, ...] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plain loop and the engine's modes, on the demo's patches; bfloat16 where it is multiplied in hardware."""
    monkeypatch.setattr(speed, "multiplies_bfloat16", lambda device: bfloat16)
    # Where bfloat16 is emulated, a large product of it takes minutes; the test of inference measures a peak in float32.
    monkeypatch.setattr(speed, "peak_gflops", lambda device, precision: 1e5)
    monkeypatch.setattr(plain, "WORKERS", 0)  # in this process: no fork among threads
    monkeypatch.setattr(speed, "ROUNDS", 2)
    monkeypatch.setattr(speed, "SECONDS_A_TURN", 0.0)
    rows = training_speed("srcnn-915-demo", DataFolder(tmp_path, None), "cpu", only)
    native = [("float32", "native")] if fastest_mode("cpu", "float32") == "native" and only is None else []
    expected = [("float32", "plain"), *native, ("float32", "eager"), *([("bfloat16", "eager")] if bfloat16 else [])]
    assert [(row.precision, row.mode) for row in rows] == expected
    assert all(row.samples_per_s > 0 and 0 < row.peak_share < 1 for row in rows)
    assert {(row.batch, row.height, row.layout) for row in rows[1:]} == {(rows[0].batch, rows[0].height, "nhwc")}


def test_every_contender_trains_on_a_gpu(cuda: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "ROUNDS", 2)
    monkeypatch.setattr(speed, "SECONDS_A_TURN", 0.0)
    sgd = replace(models.recipe("srcnn-915"), name="of the demo")
    assert sgd.training is not None
    sgd = replace(sgd, training=replace(sgd.training, set="demo-train", validation="demo-test", logged=()))
    monkeypatch.setattr(models, "recipe", lambda name: sgd)
    rows = training_speed("of the demo", DataFolder(tmp_path, None), cuda)
    modes = [(precision, mode) for precision in precisions(cuda) for mode in ("eager", "graph", "compiled")]
    assert sorted((row.precision, row.mode) for row in rows) == sorted([("float32", "plain"), *modes])
    assert all(row.samples_per_s > 0 and row.device == cuda for row in rows)
