"""A progress bar on a terminal, plain lines elsewhere; always on standard error, so that data stays clean.

The bar is drawn by rich, which is loaded only where there is a terminal to draw on.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib.util import find_spec
from threading import current_thread, main_thread
from time import monotonic
from typing import Any, TypeVar

from srrepro.plain import in_a_line

T = TypeVar("T")
_SECONDS_BETWEEN_LINES = 30.0
_SECONDS_BETWEEN_LINES_OF_A_RUN = 300.0
_LINES_OF_A_BOARD = 4


def say(text: str) -> None:
    """Print one line of words, unwrapped when it goes to a file."""
    text = in_a_line(text)
    if _on_a_terminal():
        _console().print(text, markup=False, soft_wrap=True)
    else:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


def track(items: Iterable[T], what: str, *, total: int | None = None) -> Iterator[T]:
    """Yield `items` while showing how many are done, and of how many if that is known."""
    what = in_a_line(what)
    if _on_a_terminal():
        with _bar("count") as progress:
            yield from progress.track(items, total=total, description=what)
        return
    due = monotonic() + _SECONDS_BETWEEN_LINES
    for done, item in enumerate(items, start=1):
        yield item
        if monotonic() > due:
            say(f"{what}: {done}" + (f" of {total}" if total else ""))
            due = monotonic() + _SECONDS_BETWEEN_LINES


def _on_a_terminal() -> bool:
    """Whether bars are drawn: by one thread, for there is one terminal, and where rich is installed."""
    return sys.stderr.isatty() and current_thread() is main_thread() and find_spec("rich") is not None


@cache
def _console() -> Any:
    from rich.console import Console

    return Console(stderr=True, highlight=False)


def _bar(kind: str) -> Any:
    """Rich's progress columns: of things that are counted, or of a run with its samples per second."""
    from rich import progress
    from rich.text import Text

    class Speed(progress.ProgressColumn):
        def render(self, task: progress.Task) -> Text:
            return Text(f"{task.speed or 0:,.0f} samples/s")

    done = (progress.MofNCompleteColumn(),) if kind == "count" else (progress.TaskProgressColumn(), Speed())
    columns = (
        progress.TextColumn("{task.description}", markup=False),
        progress.BarColumn(),
        *done,
        progress.TimeRemainingColumn(),
    )
    return progress.Progress(*columns, console=_console(), transient=True)


def in_words(seconds: float) -> str:
    """A duration for people, in the two largest units that matter.

    >>> in_words(7260), in_words(65), in_words(190_000)
    ('2 h 1 min', '1 min 5 s', '52 h 46 min')
    """
    whole = round(seconds)
    parts = ((whole // 3600, "h"), (whole // 60 % 60, "min"), (whole % 60, "s"))
    first = next((number for number, (amount, _) in enumerate(parts) if amount), 2)
    return " ".join(f"{amount} {unit}" for amount, unit in parts[first : first + 2] if amount) or "0 s"


def in_decibels(row: Mapping[str, float]) -> str:
    """What a row of a log has measured.

    >>> in_decibels({"step": 10, "val20_psnr_db": 27.5})
    'val20 27.500 dB'
    """
    return "  ".join(f"{key.removesuffix('_psnr_db')} {value:.3f} dB" for key, value in row.items() if "psnr" in key)


class Meter:
    """Progress of a training run: a bar with samples per second and the time left; elsewhere lines."""

    def __init__(self, what: str, total: int, *, done: int) -> None:
        self._what, self._total, self._done = what, total, done
        self._due = monotonic() + _SECONDS_BETWEEN_LINES_OF_A_RUN
        self._bar = _bar("speed") if _on_a_terminal() else None
        self._task = self._bar.add_task(what, total=total, completed=done) if self._bar else None

    def __enter__(self) -> "Meter":
        self._shown: AbstractContextManager[Any] = self._bar or nullcontext()
        self._shown.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._shown.__exit__(*error)

    def advance(self, samples: int) -> None:
        self._done += samples
        if self._bar is not None:
            self._bar.advance(self._task, samples)
        elif monotonic() > self._due:
            self._say(f"{self._what}: {self._done:,} of {self._total:,} backprops")

    def report(self, row: dict[str, float]) -> None:
        """One line for a row of the log."""
        psnr = in_decibels(row)
        left = (self._total - row["backprops"]) / row["samples_per_s"]
        self._say(
            f"{self._what}: {row['backprops']:,.0f} of {self._total:,} backprops  {psnr}  "
            f"{row['samples_per_s']:,.0f} samples/s  {left:,.0f} s left"
        )

    def _say(self, text: str) -> None:
        say(text)
        self._due = monotonic() + _SECONDS_BETWEEN_LINES_OF_A_RUN


class Board:
    """Progress of jobs that run at the same time: a line for each; elsewhere than on a terminal a line now and then."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._due = monotonic() + _SECONDS_BETWEEN_LINES
        self._live: Any = None

    def __enter__(self) -> "Board":
        if _on_a_terminal():
            from rich.live import Live

            self._live = Live(console=_console(), transient=True, auto_refresh=False)
            self._live.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._live is not None:
            self._live.__exit__(*error)

    def show(self, ended: int, under_way: Mapping[str, str]) -> None:
        """How many have ended, and of each that is under way how far it is."""
        if self._live is not None:
            self._live.update(self._drawn(ended, under_way), refresh=True)
        elif monotonic() > self._due:
            some = "; ".join(f"{in_a_line(title)}: {how}" for title, how in list(under_way.items())[:_LINES_OF_A_BOARD])
            say(f"{ended} of {self._total} jobs have ended, {len(under_way)} are under way; {some}")
            self._due = monotonic() + _SECONDS_BETWEEN_LINES

    def _drawn(self, ended: int, under_way: Mapping[str, str]) -> Any:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        for title, how in list(under_way.items())[: max(1, _console().height - 3)]:
            table.add_row(Text(in_a_line(title), overflow="ellipsis", no_wrap=True), Text(how, no_wrap=True))
        return Group(table, Text(f"{ended} of {self._total} jobs have ended, {len(under_way)} are under way"))
