"""Bits that flip, bytes that change places, files that are cut: noticed, or without any effect on what is read."""

import itertools
import json
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import Tensor

from srrepro import models
from srrepro.data import stores
from srrepro.data.registry import DataFolder, fetch, members
from srrepro.data.stores import EvaluationShape, TrainingShape, prepare_evaluation, prepare_training
from srrepro.errors import InputError
from srrepro.evaluation import weights
from srrepro.evaluation.measure import Score
from srrepro.evaluation.weights import of_run
from srrepro.pixels import images
from srrepro.reporting import evidence
from srrepro.training import carry, checkpoint
from srrepro.training.carry import Stretch

SEED = 0
CASES = 90
"""Of each kind of file: a third flipped bits, a third swapped bytes, a third cut short."""


def harmed(whole: bytes, count: int = CASES) -> Iterator[tuple[str, bytes]]:
    """Each with what was done; denser where a file describes itself."""
    chance = random.Random(SEED)
    for number in range(count):
        at = min(int(len(whole) ** chance.random()), len(whole) - 1) if number % 2 else chance.randrange(len(whole))
        content = bytearray(whole)
        if number % 3 == 0:
            bit = chance.randrange(8)
            content[at] ^= 1 << bit
            what = f"bit {bit} of byte {at} flipped"
        elif number % 3 == 1:
            other = next(place for place in itertools.count(at) if whole[place % len(whole)] != whole[at]) % len(whole)
            content[at], content[other] = content[other], content[at]
            what = f"bytes {at} and {other} swapped"
        else:
            del content[at:]
            what = f"cut after {at} bytes"
        yield f"seed {SEED}, case {number}: {what}", bytes(content)


def same(one: Any, other: Any) -> bool:
    """Exactly, whatever holds the values."""
    if isinstance(one, Tensor):
        return isinstance(other, Tensor) and one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and one.dtype == other.dtype and np.array_equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(itertools.starmap(same, zip(one, other, strict=True)))
    return bool(one == other)


def hold(path: Path, read: Callable[[], Any], *, count: int = CASES, harmless: int = 0) -> None:
    """Harm a file in many ways; at most so many may go unnoticed, and these may change nothing."""
    whole, expected, unnoticed, said = path.read_bytes(), read(), 0, ""
    for what, content in harmed(whole, count):
        path.unlink()  # a new file: HDF5 would know the old one again
        path.write_bytes(content)
        try:
            found = read()
        except InputError as error:
            said += f"{error}\n"
            continue
        unnoticed += 1
        assert same(found, expected), what
    path.write_bytes(whole)
    assert same(read(), expected)
    print(f"{path.name}: {count} cases, {unnoticed} without effect")  # noqa: T201
    assert unnoticed <= harmless
    assert said.count("\n") == count - unnoticed, "a message of several lines"


_rng = np.random.default_rng(0)
SIZES = {"a.png": (31, 40, 3), "b.png": (26, 23)}
PHOTOGRAPHS = {name: _rng.integers(0, 256, size, np.uint8) for name, size in SIZES.items()}
TRAINING = TrainingShape(set="photographs", scales=(2, 3), patch=12, stride=6)
EVALUATION = EvaluationShape("photographs", 3)


@pytest.fixture
def folder(pretend: Callable[..., DataFolder]) -> DataFolder:
    return pretend({"photographs": PHOTOGRAPHS})


def content_of(folder: DataFolder, shape: TrainingShape | EvaluationShape) -> Any:
    stores._SOUND.clear()  # as in a new process
    if isinstance(shape, TrainingShape):
        return tuple(stores.read_training(folder, shape))
    examples = [(name, tuple(planes)) for name, planes in stores.read_evaluation(folder, shape)]
    return examples, stores.digest_of(folder, shape)


@pytest.mark.parametrize("count", [CASES, pytest.param(1000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("shape", [TRAINING, EVALUATION], ids=["training", "evaluation"])
def test_a_store(shape: TrainingShape | EvaluationShape, count: int, folder: DataFolder) -> None:
    (prepare_training if isinstance(shape, TrainingShape) else prepare_evaluation)(folder, shape)
    hold(shape.path(folder), lambda: content_of(folder, shape), count=count)


@pytest.mark.parametrize("shape", [TRAINING, EVALUATION], ids=["training", "evaluation"])
def test_what_hdf5_lets_pass(shape: TrainingShape | EvaluationShape, folder: DataFolder) -> None:
    """Its texts have no checksum, and its sum of a chunk takes a word of zeros for one of ones."""
    (prepare_training if isinstance(shape, TrainingShape) else prepare_evaluation)(folder, shape)
    path, digest = shape.path(folder), stores.digest_of(folder, shape).encode()
    whole = path.read_bytes()
    assert whole.count(digest) == 1
    path.unlink()
    path.write_bytes(whole.replace(digest, b"0" * 64))
    with pytest.raises(InputError, match=r"is damaged or no store\. Delete it; the next call builds it again"):
        content_of(folder, shape)
    path.unlink()
    path.write_bytes(whole[stores.SEAL :].replace(digest, b"0" * 64))
    content_of(folder, shape)  # a store of the version before, without a seal: this is what the seal is for


@pytest.mark.parametrize("shape", [TRAINING, EVALUATION], ids=["training", "evaluation"])
def test_a_store_of_the_version_before_is_read(shape: TrainingShape | EvaluationShape, folder: DataFolder) -> None:
    (prepare_training if isinstance(shape, TrainingShape) else prepare_evaluation)(folder, shape)
    expected, path = content_of(folder, shape), shape.path(folder)
    whole = path.read_bytes()
    path.unlink()
    path.write_bytes(whole[stores.SEAL :])
    assert same(content_of(folder, shape), expected)


def test_a_store_is_read_for_its_seal_once_a_process(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare_training(folder, TRAINING)
    stores._SOUND.clear()
    read, seal_of = [], stores._seal_of
    monkeypatch.setattr(stores, "_seal_of", lambda path: read.append(path) or seal_of(path))
    for _ in range(3):
        stores.digest_of(folder, TRAINING)
    assert read == [TRAINING.path(folder)]


def copy_of_a_run() -> dict[str, Any]:
    network = models.recipe("srcnn-915").network(3).state_dict()
    stretch = Stretch(id="a", begun_at=0, steps=3, backprops=24, seconds=1.5, made_with={"machine": "M"})
    log = [{"backprops": 24, "step": 3, "loss": 0.25, "seconds": 1.5}]
    state = {"step": 3, "seconds": 1.5, "losses": 0.5, "log": log, "stretches": [vars(stretch)]}
    return {"run": "a-run", "network": network, "state": state, "optimiser": {"a": {"momentum": torch.rand(9, 9).T}}}


@pytest.mark.parametrize("count", [3 * CASES, pytest.param(3000, marks=pytest.mark.slow)])
def test_a_checkpoint_and_a_carried_run(count: int, tmp_path: Path) -> None:
    path = tmp_path / "a-run.safetensors"
    checkpoint.save(path, copy_of_a_run())

    def read() -> Any:
        copy = carry.read(path, "a-run")
        assert copy is not None
        return copy.values

    hold(path, read, count=count)


def test_a_checkpoint_of_the_first_format_is_read(tmp_path: Path) -> None:
    """It has no sha256."""
    path, values = tmp_path / "a-run.safetensors", {"run": "a-run", "network": {"a": {"$tensor": "network.a"}}}
    text = json.dumps({"format": 1, "values": values}, sort_keys=True)
    path.write_bytes(safetensors.torch.save({"network.a": torch.arange(3)}, {"srrepro_checkpoint": text}))
    assert same(checkpoint.load(path), {"run": "a-run", "network": {"a": torch.arange(3)}})


def test_every_committed_run_that_is_carried_is_read() -> None:
    for path in (Path(__file__).parents[2] / "results" / "unfinished").glob("*.safetensors"):
        assert carry.read(path, path.stem) is not None


def test_a_first_format_cannot_be_feigned(tmp_path: Path) -> None:
    path = tmp_path / "a-run.safetensors"
    checkpoint.save(path, copy_of_a_run())
    path.write_bytes(path.read_bytes().replace(b'\\"format\\": 2', b'\\"format\\": 1').replace(b"0.25", b"0.35"))
    with pytest.raises(InputError, match="that is damaged"):
        checkpoint.load(path)


def run_folder(place: Path) -> Path:
    network = models.recipe("srcnn-915").network(3)
    made = place / "made.safetensors"
    subject = of_run(models.recipe("srcnn-915"), 3, 0, 1.0)
    weights.save(network, made, subject)
    numbers = {"psnr_db": 32.5, "ssim": 0.9, "bicubic_psnr_db": 30.25, "bicubic_ssim": 0.8}
    scores = [Score("Set5", 3, name, "matlab-y-v1", numbers) for name in ("baby.bmp", "bird.bmp")]
    log = [{"backprops": 8, "step": 1, "lr": 0.1, "loss": 1.0, "seconds": 1.0, "samples_per_s": 8.0}]
    about = {"weights_sha256": stores.hashlib.sha256(made.read_bytes()).hexdigest(), "threads": 2}
    return evidence.write(place / "runs", "a-run", subject, scores, about=about, log=log, weights=made)


@pytest.mark.parametrize("name", ["run.json", "scores.csv", "log.csv", evidence.SUMS])
def test_run_evidence(name: str, tmp_path: Path) -> None:
    kept = run_folder(tmp_path)
    hold(kept / name, lambda: vars(evidence.read(kept)))


def test_weights_of_a_run(tmp_path: Path) -> None:
    path = run_folder(tmp_path) / evidence.WEIGHTS
    hold(path, lambda: weights.read_ours(path, 3)[1].state_dict())


def test_a_run_json_that_no_longer_names_its_weights(tmp_path: Path) -> None:
    kept = run_folder(tmp_path)
    for content in (b"{", b"[]", b"{}"):
        (kept / "run.json").write_bytes(content)
        with pytest.raises(InputError, match=r"run\.json beside them is damaged\. Restore it, or copy the weights"):
            weights.read_ours(kept / evidence.WEIGHTS, 3)


def test_weights_that_ship(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(weights.PLACE, tmp_path / "weights")
    monkeypatch.setattr(weights, "PLACE", tmp_path / "weights")
    path = weights.shipped("srcnn-915-quick", 3)
    hold(path, lambda: weights.read_ours(path, 3)[1].state_dict())
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    with pytest.raises(
        InputError, match=r"not what .*shipping\.csv names by its sha256: the file is damaged\. Restore"
    ):
        weights.read_ours(path, 3)


def test_photographs(pretend: Callable[..., DataFolder]) -> None:
    """One that is damaged is brought again, and kept aside. A BMP has no checksum of its own."""
    folder = pretend({"photographs": {"a.bmp": PHOTOGRAPHS["a.png"]}})
    (path,) = fetch(folder, "photographs")

    def read() -> Any:
        fetch(folder, "photographs")
        for aside in path.parent.glob("*.kept-*"):
            aside.unlink()
        return images.read(path)

    assert path.name == members("photographs")[0].name
    hold(path, read, count=30, harmless=30)
