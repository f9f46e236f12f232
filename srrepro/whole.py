"""Files that are there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from srrepro.errors import InputError


def check_new(path: Path, asked: str, *, force: bool) -> None:
    """Find out before long work whether a file may be written; `asked` begins the message.

    Raises
    ------
    InputError : it is a folder, there is none for it, something is there and `force` is not given, or nobody may write.
    """
    if path.is_dir():
        msg = f"{asked}, but that is a folder. Name a file."
        raise InputError(msg)
    if path.exists() and not force:
        msg = f"{asked}, but there is one already. Choose another name, or give --force to replace it."
        raise InputError(msg)
    if not path.parent.is_dir():
        msg = f"{asked}, but there is no folder {path.parent}. Make it first."
        raise InputError(msg)
    if not os.access(path.parent, os.W_OK):
        msg = f"{asked}, but nothing may be written to {path.parent}. Choose another folder."
        raise InputError(msg)


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Where to write a file that becomes `path` in the end; if anything fails before, nothing is left.

    Raises
    ------
    InputError : it cannot be written there.
    """
    check_new(path, f"A file was to be written to {path}", force=True)
    try:
        with TemporaryDirectory(dir=path.parent, prefix=".srrepro-") as folder:
            part = Path(folder) / path.name
            yield part
            part.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        msg = f"{path} was to be written, but could not be: {reason}. Is there room, and may you write there?"
        raise InputError(msg) from error


def written_whole(path: Path, text: str) -> None:
    """Write a text, in UTF-8. Errors as `whole`."""
    with whole(path) as part:
        part.write_text(text, encoding="utf-8", newline="")
