"""Batches come in the order of the epoch, and are the same whether the store fits in memory or is streamed."""

from collections.abc import Callable

import numpy as np
import pytest
import skimage.data
import torch

from srrepro.data import stores
from srrepro.data.registry import DataFolder
from srrepro.data.stores import TrainingShape, prepare_training, read_training
from srrepro.training import feed as feeding
from srrepro.training.feed import Feed

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
    return Feed(folder, SHAPE, label=LABEL, batch=BATCH, device="cpu", memory=memory)


def order_of(count: int, seed: int) -> torch.Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("patches", [10**6, 3 * BATCH, BATCH + 1, 1], ids=["whole", "three batches", "one", "less"])
def test_batches_follow_the_order(patches: int, folder: DataFolder) -> None:
    stored = read_training(folder, SHAPE)
    feed = feed_of(folder, patches * PATCH_BYTES)
    assert feed.count == len(stored.high) > 9 * BATCH
    assert feed.batches == len(stored.high) // BATCH
    for seed in (0, 1):  # two epochs
        order = order_of(feed.count, seed)
        feed.begin_epoch(order)
        for position in range(feed.batches):
            inputs, labels = feed.take(position)
            chosen = order[position * BATCH :][:BATCH].numpy()
            np.testing.assert_array_equal(inputs[:, 0], stored.inputs[chosen])
            np.testing.assert_array_equal(labels[:, 0], stored.high[chosen, 2:-2, 2:-2])


def test_an_epoch_may_be_entered_anywhere(folder: DataFolder) -> None:
    whole, streamed = feed_of(folder, 10**9), feed_of(folder, 3 * BATCH * PATCH_BYTES)
    for feed in (whole, streamed):
        feed.begin_epoch(order_of(feed.count, 5))
    for ours, theirs in zip(whole.take(4), streamed.take(4), strict=True):
        assert torch.equal(ours, theirs)


def test_all_scales_meet_in_a_batch(folder: DataFolder) -> None:
    scales = read_training(folder, SHAPE).scale
    order = order_of(len(scales), 0).numpy()
    assert all(set(scales[order[start : start + BATCH]]) == {2, 3} for start in range(0, 5 * BATCH, BATCH))


def test_a_store_that_fits_to_the_byte_is_read_once(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    count = len(read_training(folder, SHAPE).high)
    read: list[str] = []
    for name in ("read_training", "stream_training"):
        function = getattr(feeding, name)
        monkeypatch.setattr(
            feeding, name, lambda *words, function=function, name=name: read.append(name) or function(*words)
        )
    fitting, larger = feed_of(folder, count * PATCH_BYTES), feed_of(folder, count * PATCH_BYTES - 1)
    assert read == ["read_training"]
    for feed in (fitting, larger):
        feed.begin_epoch(order_of(count, 0))
        for position in range(feed.batches):
            feed.take(position)
    # As many whole batches as fit at a time: here all of an epoch, since the last patches fill none.
    assert read == ["read_training", "stream_training"]


def test_a_window_stays_within_its_memory(folder: DataFolder) -> None:
    memory = 4 * BATCH * PATCH_BYTES + PATCH_BYTES
    feed = feed_of(folder, memory)
    feed.begin_epoch(order_of(feed.count, 0))
    for position in range(feed.batches):
        feed.take(position)
        assert sum(part.numel() * part.element_size() for part in feed.window) <= memory
