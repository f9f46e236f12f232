"""Work for a thread beside the one that asks: what is needed next is made `ahead`, what may end later is done `aside`.

Both keep no more than one thing waiting, so memory does not grow. They gain where the work needs no Python: reading
images, sums, functions in C.
"""

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
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


@contextmanager
def aside() -> Iterator[Callable[[Callable[[], None]], None]]:
    """Gives what takes one piece of work after another; all are done in that order when the context ends.

    What goes wrong in one is raised when the next is given, or at the end.
    """
    with ThreadPoolExecutor(1, "aside") as pool:
        last: Future[None] | None = None

        def do(work: Callable[[], None]) -> None:
            nonlocal last
            if last is not None:
                last.result()
            last = pool.submit(work)

        yield do
        if last is not None:
            last.result()
