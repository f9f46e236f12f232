"""Batches come in the order of the epoch, and are the same whether the store fits in memory or is streamed."""

from collections.abc import Callable

import numpy as np
import pytest
import skimage.data
import torch

from srrepro.data import stores
from srrepro.data.registry import DataFolder
from srrepro.data.stores import TrainingShape, prepare_training, read_training
from srrepro.errors import InputError
from srrepro.hardware import PLAIN, Hardware
from srrepro.protocols.named import MATLAB_Y
from srrepro.protocols.protocol import Protocol
from srrepro.training import feed as feeding
from srrepro.training.feed import Course, Feed

SHAPE = TrainingShape(set="tiny", scales=(2, 3), patch=9, stride=6)
LABEL, BATCH = 5, 7
PATCH_BYTES = 4 * 9 * 9 + LABEL * LABEL


@pytest.fixture
def folder(pretend: Callable[..., DataFolder], monkeypatch: pytest.MonkeyPatch) -> DataFolder:
    monkeypatch.setattr(stores, "CHUNK", 16)  # several chunks, the last one not full
    folder = pretend({"tiny": {"a.png": skimage.data.camera()[40:100, 200:272]}})
    prepare_training(folder, SHAPE)
    return folder


def feed_of(folder: DataFolder, memory: int) -> Feed:
    return Feed(folder, SHAPE, label=LABEL, batch=BATCH, hardware=Hardware(memory=memory), protocol=MATLAB_Y)


def order_of(count: int, seed: int) -> torch.Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "patches", [10**6, 3 * BATCH, BATCH + 1, BATCH], ids=["whole", "three batches", "more than one", "one"]
)
def test_batches_follow_the_order(patches: int, folder: DataFolder) -> None:
    stored = read_training(folder, SHAPE)
    feed = feed_of(folder, patches * PATCH_BYTES)
    assert feed.count == len(stored.high) > 9 * BATCH
    assert feed.count // BATCH == len(stored.high) // BATCH
    for seed in (0, 1):  # two epochs
        order = order_of(feed.count, seed)
        feed.begin_epoch(order)
        for position in range(feed.count // BATCH):
            inputs, labels = feed.take(position)
            chosen = order[position * BATCH :][:BATCH].numpy()
            np.testing.assert_array_equal(inputs[:, 0], stored.inputs[chosen])
            np.testing.assert_array_equal(labels[:, 0], stored.high[chosen, 2:-2, 2:-2])


def test_a_patch_may_come_several_times_and_the_last_batch_be_smaller(folder: DataFolder) -> None:
    stored = read_training(folder, SHAPE)
    order = torch.cat([order_of(len(stored.high), 0), order_of(len(stored.high), 1)])
    last = len(order) // BATCH
    assert len(order) % BATCH
    for patches in (10**6, 3 * BATCH):
        feed = feed_of(folder, patches * PATCH_BYTES)
        feed.begin_epoch(order)
        for position in (0, last // 2, last):
            inputs, labels = feed.take(position)
            chosen = order[position * BATCH :][:BATCH].numpy()
            np.testing.assert_array_equal(inputs[:, 0], stored.inputs[chosen])
            np.testing.assert_array_equal(labels[:, 0], stored.high[chosen, 2:-2, 2:-2])


def test_the_protocol_decides_what_is_shown(folder: DataFolder) -> None:
    protocol = Protocol(name="narrow", clamp=(100, 120))
    stored = read_training(folder, SHAPE)
    count = len(stored.high)
    feed = Feed(folder, SHAPE, label=LABEL, batch=count, hardware=PLAIN, protocol=protocol)
    feed.begin_epoch(torch.arange(count))
    inputs, labels = feed.take(0)
    assert stored.inputs.max() > 120 / 255 > 100 / 255 > stored.inputs.min()
    np.testing.assert_allclose(inputs[:, 0], stored.inputs.clip(100 / 255, 120 / 255), atol=1e-7)
    np.testing.assert_array_equal(labels[:, 0], stored.high[:, 2:-2, 2:-2])


@pytest.mark.parametrize(
    ("course", "batches", "steps", "seen"),
    [
        (Course(size=10, batch=4, backprops=24), 2, 6, {0: 0, 1: 4, 2: 8, 3: 12, 6: 24}),
        (Course(size=10, batch=4, backprops=25.9), 2, 6, {6: 24}),
        (Course(size=10, batch=4, backprops=0.1), 2, 1, {1: 4}),
        (Course(size=10, batch=4, backprops=30, incomplete=True), 3, 9, {1: 4, 2: 8, 3: 10, 4: 14, 9: 30}),
        (Course(size=10, batch=4, backprops=15, incomplete=True), 3, 5, {5: 18}),
        (Course(size=8, batch=4, backprops=16, incomplete=True), 2, 4, {2: 8, 4: 16}),
        (Course(size=7_913, batch=64, backprops=80 * 7_913, incomplete=True), 124, 9_920, {9_920: 633_040}),
    ],
    ids=str,
)
def test_a_course(course: Course, batches: int, steps: int, seen: dict[int, int]) -> None:
    assert (course.batches, course.steps) == (batches, steps)
    assert {step: course.seen(step) for step in seen} == seen


def test_an_epoch_may_be_entered_anywhere(folder: DataFolder) -> None:
    whole, streamed = feed_of(folder, 10**9), feed_of(folder, 3 * BATCH * PATCH_BYTES)
    for feed in (whole, streamed):
        feed.begin_epoch(order_of(feed.count, 5))
    for ours, theirs in zip(whole.take(4), streamed.take(4), strict=True):
        assert torch.equal(ours, theirs)


def test_a_store_that_fits_to_the_byte_is_read_once(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[object] = []
    stream = feeding.stream_training
    monkeypatch.setattr(feeding, "stream_training", lambda *words: passes.append(words) or stream(*words))
    count = len(read_training(folder, SHAPE).high)
    for patches, expected in ((count, 1), (count - 1, 2), (3 * BATCH, 2 * -(-(count // BATCH) // 3))):
        passes.clear()
        feed = feed_of(folder, patches * PATCH_BYTES)
        for seed in (0, 1):
            feed.begin_epoch(order_of(count, seed))
            for position in range(feed.count // BATCH):
                feed.take(position)
        assert len(passes) == expected


def test_a_window_stays_within_its_memory(folder: DataFolder) -> None:
    memory = 4 * BATCH * PATCH_BYTES + PATCH_BYTES
    feed = feed_of(folder, memory)
    feed.begin_epoch(order_of(feed.count, 0))
    for position in range(feed.count // BATCH):
        feed.take(position)
        assert feed.window is not None
        assert sum(part.numel() * part.element_size() for part in feed.window) <= memory


def test_a_batch_does_not_keep_its_window(folder: DataFolder) -> None:
    feed = feed_of(folder, 4 * BATCH * PATCH_BYTES)
    feed.begin_epoch(order_of(feed.count, 0))
    for part in feed.take(1):
        assert part.untyped_storage().nbytes() == part.numel() * part.element_size()


def test_memory_for_less_than_a_batch_is_refused(folder: DataFolder) -> None:
    with pytest.raises(InputError, match=r"these are 6 patches of 7\. Allow more"):
        feed_of(folder, BATCH * PATCH_BYTES - 1)
