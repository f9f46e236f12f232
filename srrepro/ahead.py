"""Work that is done ahead, by a thread of its own."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")


def ahead(items: Iterator[T]) -> Generator[T, None, None]:
    """The same, each made while the one before it is in use; close it, and the one under way is the last."""
    with ThreadPoolExecutor(1, "ahead", initializer=torch.set_num_threads, initargs=(1,)) as pool:
        upcoming = pool.submit(next, items, None)
        try:
            while (item := upcoming.result()) is not None:
                upcoming = pool.submit(next, items, None)
                yield item
        finally:
            del upcoming  # an exception in it holds this frame, and would keep all that was read alive
