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


def test_of_many_jobs_a_terminal_shows_a_line_each(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rich")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    monkeypatch.setenv("COLUMNS", "80")
    progress._console.cache_clear()
    with progress.Board(7) as board:
        board.show(4, {"srcnn-915 x3 seed 0": "1,280 backprops", "a\x1b[2Jname": "on a node"})
    progress._console.cache_clear()
    lines = [line.strip() for line in terminal.getvalue().splitlines()]
    assert any("srcnn-915 x3 seed 0" in line and "1,280 backprops" in line for line in lines)
    assert any("4 of 7 jobs have ended, 2 are under way" in line for line in lines)
    assert "\x1b[2Jname" not in terminal.getvalue(), "a name moved the cursor"


def test_of_many_jobs_a_file_has_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    with progress.Board(40) as board:
        for now[0] in (1.0, 20.0, 31.0, 40.0):
            board.show(3, {f"seed {number}": "begun" for number in range(6)})
    said = capsys.readouterr().err
    assert said.count("3 of 40 jobs have ended, 6 are under way; seed 0: begun") == 1
    assert "seed 4" not in said  # a line has an end
