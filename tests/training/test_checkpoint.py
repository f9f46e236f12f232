"""The format of a checkpoint: exact, whole or not at all, and never code."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from srrepro import models
from srrepro.errors import InputError
from srrepro.hardware import PLAIN
from srrepro.training import checkpoint
from srrepro.training.engine import Engine

EVERYTHING = {
    "nested": {"layers.0.weight": torch.rand(2, 3, 3, 3), "steps": 3, "none": None},
    "list": [torch.arange(4), {"loss": 0.1 + 0.2, "tiny": 5e-324, "large": 2**60 + 1}, [True, "word"]],
    "double": torch.rand(3, dtype=torch.float64),
    "half": torch.rand(2, 2).bfloat16(),
    "channels last": torch.rand(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
    "transposed": torch.rand(3, 4).T,
    "a part": torch.rand(4, 4)[::2, ::2],
    "scalar": torch.tensor(1.5),
    "empty": torch.rand(0, 3),
}


def flat(value: Any, name: str = "") -> dict[str, Any]:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if parts is None:
        return {name: value}
    return {key: leaf for part, inner in parts for key, leaf in flat(inner, f"{name}/{part}").items()}


def test_everything_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    assert checkpoint.load(path) is None
    checkpoint.save(path, EVERYTHING)
    wanted, found = flat(EVERYTHING), flat(checkpoint.load(path))
    assert list(wanted) == sorted(found, key=list(wanted).index)
    for name, value in wanted.items():
        if isinstance(value, Tensor):
            assert torch.equal(found[name], value), name
            assert found[name].dtype == value.dtype
            assert found[name].stride() == (value.contiguous().stride() if name == "/a part" else value.stride()), name
        else:
            assert found[name] == value
            assert type(found[name]) is type(value)


def test_the_same_content_is_the_same_bytes() -> None:
    turned = dict(reversed(EVERYTHING.items()))
    assert checkpoint.packed(turned) == checkpoint.packed(EVERYTHING)


def test_a_log_can_be_read_without_the_tensors(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "run", {"state": {"log": [{"step": 3}]}, "network": {"a": torch.rand(3)}})
    with safe_open(tmp_path / "run", framework="pt") as file:
        ((_, text),) = file.metadata().items()
    assert json.loads(text)["values"]["state"] == {"log": [{"step": 3}]}


@pytest.mark.parametrize("values", [{"a": {1: 2}}, {"$tensor": 1}, {"a": {3}}], ids=str)
def test_what_json_cannot_keep_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        checkpoint.packed(values)


@pytest.mark.parametrize("name", ["srcnn-915", "vdsr"])
def test_a_file_is_small_enough_to_be_committed(name: str) -> None:
    recipe = models.recipe(name)
    assert recipe.training is not None
    network = recipe.network(3).train()
    engine = Engine(network, recipe.training, PLAIN)
    for parameter in engine.parameters:
        parameter.grad = torch.zeros_like(parameter)
    engine.optimiser.step()
    state = checkpoint.optimiser_state(network, engine.optimiser)
    assert all("momentum_buffer" in remembered for remembered in state.values())
    size = len(checkpoint.packed({"network": network.state_dict(), "optimiser": state}))
    assert size < {"srcnn-915": 100_000, "vdsr": 5_500_000}[name]


@pytest.mark.parametrize("fails", ["fsync", "replace"])
def test_a_file_that_cannot_be_written_leaves_the_old_one(
    fails: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoint.safetensors"
    checkpoint.save(path, {"step": 1})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(*((os, "fsync") if fails == "fsync" else (Path, "replace")), full)
        with pytest.raises(InputError, match=r"No space left .* The one from before is kept.* without --fresh"):
            checkpoint.save(path, {"step": 2})
    assert checkpoint.load(path) == {"step": 1}
    checkpoint.save(path, {"step": 3})
    assert checkpoint.load(path) == {"step": 3}
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.safetensors"]


def foreign(path: Path) -> None:
    save_file({"a": torch.rand(2)}, path)


def newer(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'{\\"format\\": 2,', b'{\\"format\\": 9,'))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-10]), "damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:20]), "damaged"),
        (lambda path: path.write_bytes(b""), "damaged"),
        (lambda path: path.write_bytes(b"no checkpoint"), "damaged"),
        (lambda path: path.write_bytes(path.read_bytes().replace(b'tensor\\":', b'tensor\\"!')), "damaged"),
        (foreign, "is no checkpoint of a run"),
        (newer, "has format 9, and this version of srrepro reads up to 2"),
    ],
    ids=["cut short", "cut in the header", "empty", "no safetensors", "no JSON", "weights", "newer"],
)
def test_what_is_no_whole_checkpoint_is_one_message(
    spoil: Callable[[Path], None], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "run.safetensors"
    checkpoint.save(path, {"a": torch.rand(3)})
    spoil(path)
    with pytest.raises(
        InputError, match=rf"from .*run\.safetensors, but that .*{message}.*--fresh|but that is {message}"
    ):
        checkpoint.load(path)


def test_a_checkpoint_runs_no_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(tmp_path / "ran"),)

    torch.save({"state": Evil()}, tmp_path / "run.safetensors")
    with pytest.raises(InputError, match="damaged"):
        checkpoint.load(tmp_path / "run.safetensors")
    assert not (tmp_path / "ran").exists()
