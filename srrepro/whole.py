"""Files that are there whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from srrepro.errors import InputError


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Where to write a file that becomes `path` in the end; if anything fails before, nothing is left.

    Raises
    ------
    InputError : it cannot be written there.
    """
    if path.is_dir():
        msg = f"A file was to be written to {path}, but that is a folder. Name a file."
        raise InputError(msg)
    if not path.parent.is_dir():
        msg = f"A file was to be written to {path}, but there is no folder {path.parent}. Make it first."
        raise InputError(msg)
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
