"""Where bars are drawn, and where plain lines are written."""

import io
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from srrepro import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_bars_are_for_the_main_thread_where_rich_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two bars at once are an error of rich's; a machine that is there for minutes has no rich."""
    pytest.importorskip("rich")
    monkeypatch.setattr(sys, "stderr", Terminal())
    assert progress._on_a_terminal()
    with ThreadPoolExecutor(1) as pool:
        assert not pool.submit(progress._on_a_terminal).result()
    monkeypatch.setattr(progress, "find_spec", lambda name: None)
    assert not progress._on_a_terminal()
