"""What is made ahead comes in its order, loses no error, and leaves no thread behind."""

import threading
from collections.abc import Iterator
from contextlib import closing
from threading import Event

import pytest

from srrepro.ahead import ahead
from srrepro.errors import InputError


def test_the_next_is_made_while_one_is_in_use() -> None:
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


def test_no_thread_is_left_once_it_is_closed() -> None:
    with closing(ahead(iter(range(4)))) as items:
        next(items)
        assert any(thread.name.startswith("ahead") for thread in threading.enumerate())
    assert not any(thread.name.startswith("ahead") for thread in threading.enumerate())


def test_what_goes_wrong_ahead_is_not_lost() -> None:
    def items() -> Iterator[int]:
        yield 0
        msg = "the store is damaged"
        raise InputError(msg)

    making = ahead(items())
    assert next(making) == 0
    with pytest.raises(InputError, match="the store is damaged"):
        next(making)
