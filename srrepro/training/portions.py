"""What the steps of a run are made with: a batch each, or a table for several steps that are recorded as one."""

from collections.abc import Generator, Set
from typing import NamedTuple

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from srrepro.models.recipe import Numbered
from srrepro.training.feed import Course, Feed, sent
from srrepro.training.run import Run

TOGETHER = 20
"""Steps that are recorded as one: then the processor has milliseconds for what it does between them."""


class Batch(NamedTuple):
    """For one step, on the device, about 0 to 1."""

    inputs: Float[Tensor, "n c h w"]
    labels: Float[Tensor, "n c p p"]


class Table(NamedTuple):
    """For `k` steps, on the processor: numbers of patches in the store, of their images, and learning rates."""

    patches: Int64[Tensor, "k n"]
    images: Int64[Tensor, "k n"]
    lrs: Float64[Tensor, " k"]


def together(run: Run, feed: Feed) -> int:
    """How many steps a table is for; 1 where there is none: not all is on the device, or not told beforehand."""
    tells = feed.whole is not None and isinstance(run.training.augmentation, Numbered)
    return TOGETHER if run.hardware.mode == "graph" and tells else 1


def portions(
    run: Run, feed: Feed, course: Course, begin: int, log_points: Set[int]
) -> Generator[Batch | Table, None, None]:
    """From the step `begin` on. A table ends at a log point at the latest."""
    training, images, most = run.training, run.training.augmentation.images, together(run, feed)
    order = which = torch.empty(0, dtype=torch.int64)
    step = begin
    while step < course.steps:
        epoch, position = divmod(step, course.batches)
        if position == 0 or step == begin:
            order = training.order(feed.count * images, seed=run.seed, epoch=epoch)
            feed.begin_epoch(order % feed.count)
            which = order // feed.count
        steps = range(step, step + most)
        here = slice(position * course.batch, (position + most) * course.batch)
        if most > 1 and here.stop <= len(order) and _alike(run, course, steps, log_points):
            yield _table(run, course, steps, order[here] % feed.count, which[here])
            step += most
        else:
            shown = sent(which[here][: course.batch], run.hardware.device)
            inputs, labels = training.augmentation(*feed.take(position), seed=run.seed, step=step, which=shown)
            yield Batch(inputs, labels.float() / 255)
            step += 1


def _alike(run: Run, course: Course, steps: range, log_points: Set[int]) -> bool:
    """Whether nothing has to be done between these steps."""
    at_one_rate = run.training.at_new_rate is None or len(set(_rates(run, course, steps))) == 1
    return steps.stop <= course.steps and log_points.isdisjoint(steps[1:]) and at_one_rate


def _rates(run: Run, course: Course, steps: range) -> list[float]:
    return [run.training.schedule(step / course.steps) for step in steps]


def _table(run: Run, course: Course, steps: range, patches: Int64[Tensor, " n"], which: Int64[Tensor, " n"]) -> Table:
    augmentation = run.training.augmentation
    assert isinstance(augmentation, Numbered), f"nobody tells beforehand what {augmentation} shows"
    by_step = which.view(len(steps), course.batch).unbind()
    shown = [augmentation.numbers(each, seed=run.seed, step=step) for each, step in zip(by_step, steps, strict=True)]
    lrs = torch.tensor(_rates(run, course, steps), dtype=torch.float64)
    return Table(patches.view(len(steps), course.batch), torch.stack(shown), lrs)
