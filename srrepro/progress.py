"""A progress bar on a terminal, plain lines elsewhere; always on standard error, so that data stays clean."""

from collections.abc import Iterable, Iterator
from time import monotonic
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

T = TypeVar("T")
console = Console(stderr=True, highlight=False)
_SECONDS_BETWEEN_LINES = 30.0
_SECONDS_BETWEEN_LINES_OF_A_RUN = 300.0


def say(text: str) -> None:
    """Print one line of words, unwrapped when it goes to a file."""
    console.print(text, markup=False, soft_wrap=True)


def in_words(seconds: float) -> str:
    """A duration for people, in the two largest units that matter.

    >>> in_words(7260), in_words(65), in_words(190_000)
    ('2 h 1 min', '1 min 5 s', '52 h 46 min')
    """
    whole = round(seconds)
    parts = ((whole // 3600, "h"), (whole // 60 % 60, "min"), (whole % 60, "s"))
    first = next((number for number, (amount, _) in enumerate(parts) if amount), 2)
    return " ".join(f"{amount} {unit}" for amount, unit in parts[first : first + 2] if amount) or "0 s"


def track(items: Iterable[T], what: str, *, total: int | None = None) -> Iterator[T]:
    """Yield `items` while showing how many are done, and of how many if that is known."""
    with bar() as progress:
        task = progress.add_task(what, total=total)
        due = monotonic() + _SECONDS_BETWEEN_LINES
        for done, item in enumerate(items, start=1):
            yield item
            progress.update(task, completed=done)
            if not console.is_terminal and monotonic() > due:
                say(f"{what}: {done}" + (f" of {total}" if total else ""))
                due = monotonic() + _SECONDS_BETWEEN_LINES


def bar() -> Progress:
    """Progress columns that all verbs share; silent where there is no terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:,.0f} samples/s")


class Meter:
    """Progress of a training run: a bar with samples per second and the time left; elsewhere lines."""

    def __init__(self, what: str, total: int, *, done: int) -> None:
        self._what, self._total, self._done = what, total, done
        self._due = monotonic() + _SECONDS_BETWEEN_LINES_OF_A_RUN
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            _Speed(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task(what, total=total, completed=done)

    def __enter__(self) -> "Meter":
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def advance(self, samples: int) -> None:
        self._bar.advance(self._task, samples)
        self._done += samples
        if not console.is_terminal and monotonic() > self._due:
            self._say(f"{self._what}: {self._done:,} of {self._total:,} backprops")

    def report(self, row: dict[str, float]) -> None:
        """One line for a row of the log."""
        psnr = "  ".join(
            f"{key.removesuffix('_psnr_db')} {value:.3f} dB" for key, value in row.items() if "psnr" in key
        )
        left = (self._total - row["backprops"]) / row["samples_per_s"]
        self._say(
            f"{self._what}: {row['backprops']:,.0f} of {self._total:,} backprops  {psnr}  "
            f"{row['samples_per_s']:,.0f} samples/s  {left:,.0f} s left"
        )

    def _say(self, text: str) -> None:
        say(text)
        self._due = monotonic() + _SECONDS_BETWEEN_LINES_OF_A_RUN
