"""Text of strangers, names above all, made harmless where it is shown: on a terminal, in Markdown, in a spreadsheet."""

import re
import unicodedata
from collections.abc import Sequence
from typing import IO, Any

_NAME = re.compile(r"[\w(][\w .,+×=()@-]{0,199}")
_LONGEST = 1000


def plain(text: str) -> str:
    r"""Text without what a terminal acts on: escape codes, marks that turn the direction, halves of characters.

    They are shown as Python writes them. Ends of lines stay.

    >>> print(plain("a\x1b[31mred\u202e"))
    a\x1b[31mred\u202e
    """
    if text.replace("\n", "").isprintable():
        return text
    return "".join(each if _is_harmless(each) else each.encode("unicode_escape").decode() for each in text)


def in_a_line(text: str) -> str:
    """The same, and no end of a line."""
    return plain(text).replace("\n", "\\n")


def in_markdown(text: str) -> str:
    r"""Text for a cell of a Markdown table: what would end the cell, or be taken for HTML or a link, is only shown.

    >>> print(in_markdown("a|b<script>[x](y)"))
    a\|b&lt;script>\[x](y)
    """
    shown = in_a_line(text).replace("\\", "\\\\")
    return shown.replace("|", "\\|").replace("<", "&lt;").replace("[", "\\[")


def in_a_sheet(text: str) -> str:
    """Text for a cell of a CSV file: a spreadsheet would compute what begins like a formula, so that it is quoted.

    >>> in_a_sheet("=1+1"), in_a_sheet("baby.png")
    ("'=1+1", 'baby.png')
    """
    shown = in_a_line(text)
    return f"'{shown}" if shown.lstrip().startswith(("=", "+", "-", "@")) else shown


def few(names: Sequence[str], most: int = 3) -> str:
    """The first of many names, and how many more there are.

    >>> few(["baby", "bird", "butterfly", "head", "woman"])
    'baby, bird, butterfly and 2 more'
    """
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def is_name(value: object) -> bool:
    """Whether something is a name that may stand anywhere: letters, digits and few signs, and no path."""
    return isinstance(value, str) and _NAME.fullmatch(value) is not None and ".." not in value


def is_words(value: object) -> bool:
    """Whether something is text of one line."""
    return isinstance(value, str) and len(value) <= _LONGEST and value == in_a_line(value)


class Plain:
    """A stream to which only plain text is written."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(plain(text))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _is_harmless(letter: str) -> bool:
    return letter == "\n" or letter.isprintable() or unicodedata.category(letter) == "Zs"
