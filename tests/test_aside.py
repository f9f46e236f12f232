"""Work beside: in order, no more than one waiting, and no error lost."""

import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from threading import Event

import pytest

from srrepro.aside import ahead, aside
from srrepro.errors import InputError


def test_the_next_one_is_made_while_one_is_in_use() -> None:
    made = [Event() for _ in range(4)]

    def items() -> Iterator[int]:
        for number, event in enumerate(made):
            event.set()
            yield number

    used = []
    for number in ahead(items()):
        assert made[min(number + 1, 3)].wait(timeout=60)
        used.append(number)
    assert used == [0, 1, 2, 3]


def test_no_thread_is_left_when_the_items_are_closed() -> None:
    with closing(ahead(iter(range(4)))) as items:
        next(items)
        assert any(thread.name.startswith("ahead") for thread in threading.enumerate())
    assert not any(thread.name.startswith("ahead") for thread in threading.enumerate())


def test_what_goes_wrong_ahead_is_not_lost() -> None:
    def items() -> Iterator[int]:
        yield 0
        msg = "the image is damaged"
        raise InputError(msg)

    making = ahead(items())
    assert next(making) == 0
    with pytest.raises(InputError, match="the image is damaged"):
        next(making)


def test_what_is_done_aside_is_done_in_order() -> None:
    done: list[int] = []
    with aside() as do:
        for number in range(20):
            do(partial(done.append, number))
    assert done == list(range(20))


def test_no_more_than_one_waits() -> None:
    may_end, begun = Event(), Event()

    def slow() -> None:
        begun.set()
        assert may_end.wait(timeout=60)

    with aside() as do:
        do(slow)
        assert begun.wait(timeout=60), "it is done in a thread of its own"
        second = threading.Thread(target=do, args=(begun.clear,))
        second.start()
        second.join(timeout=0.1)
        assert second.is_alive(), "a second one is taken when the first has ended"
        assert begun.is_set()
        may_end.set()
        second.join(timeout=60)
    assert not begun.is_set()


@pytest.mark.parametrize("more", [0, 1], ids=["last", "not last"])
def test_what_goes_wrong_aside_is_not_lost(more: int) -> None:
    def fail() -> None:
        msg = "the disk is gone"
        raise OSError(msg)

    with pytest.raises(OSError, match="the disk is gone"), aside() as do:  # noqa: PT012 (raised by either)
        do(fail)
        for _ in range(more):
            do(lambda: None)
