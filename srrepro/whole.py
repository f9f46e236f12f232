"""Files and folders that are there whole or not at all, also where a process is killed or a disk is full.

What is written lies beside its place, as `.NAME.part`, until it is whole and on the disk; then it is renamed, which is
one step. A part always has the same name, so that the next call writes over what a killed one has left. It is locked
meanwhile: of two processes that write one file, one waits.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from srrepro.errors import InputError

try:
    import fcntl
except ImportError:  # Windows, where a file that somebody holds cannot be renamed
    fcntl = None  # type: ignore[assignment]

LONG = 200
"""Bytes of a name to which nothing is added: most systems take 255."""


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
        with file_part(path) as part:
            yield part
    except OSError as error:
        msg = f"{path} was to be written, but could not be: {reason(error)}. Is there room, and may you write there?"
        raise InputError(msg) from error


def written_whole(path: Path, content: str | bytes) -> None:
    """Write a text, in UTF-8, or bytes. Errors as `whole`."""
    with whole(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)


def reason(error: OSError) -> str:
    """What the system says, without numbers and names."""
    return error.strerror or str(error)


@contextmanager
def file_part(path: Path, *, flushed: bool = False) -> Iterator[Path]:
    """As `whole`, for those who have a message of their own; `flushed` if they have flushed the part to the disk.

    Raises
    ------
    OSError : it cannot be written there.
    """
    part = part_of(path)
    with _held(part, folder=False):
        try:
            os.truncate(part, 0)
            yield part
            if not flushed:
                flush(part)
            part.replace(path)
        except BaseException:
            with suppress(OSError):
                part.unlink()
            raise
        _flush_names(path.parent)


@contextmanager
def folder_part(path: Path) -> Iterator[Path]:
    """Where to put the files of a folder that becomes `path` in the end. Errors as `file_part`."""
    part = part_of(path)
    with _held(part, folder=True):
        try:
            for left in part.iterdir():
                left.unlink()
            yield part
            for file in part.iterdir():
                flush(file)
            _flush_names(part)
            part.replace(path)
        except BaseException:
            shutil.rmtree(part, ignore_errors=True)
            raise
        _flush_names(path.parent)


def part_of(path: Path) -> Path:
    """What a file or folder is called until it is whole; the suffix stays, by which some tell what to write."""
    encoded = os.fsencode(path.name)
    name = path.name if len(encoded) < LONG else hashlib.sha256(encoded).hexdigest()
    return path.with_name(f".{name}.part{path.suffix}")


def flush(path: Path) -> None:
    """Wait until a file is on the disk."""
    with path.open("r+b") as written:  # for writing: elsewhere than on Linux others cannot be flushed
        os.fsync(written.fileno())


def _flush_names(folder: Path) -> None:
    with suppress(OSError):  # not every system can; what was renamed is whole all the same
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def _held(part: Path, *, folder: bool) -> Iterator[None]:
    """Make a part, or take over what a killed process has left, and keep all others from it."""
    while True:
        if folder:
            part.mkdir(exist_ok=True)
        if fcntl is None:
            if not folder:
                part.touch()
            yield
            return
        try:
            handle = os.open(part, os.O_RDONLY if folder else os.O_RDWR | os.O_CREAT, 0o666)
        except FileNotFoundError:  # who held it has just given it its name
            if not part.parent.is_dir():
                raise
            continue
        try:
            with suppress(OSError):  # not every file system has locks
                fcntl.flock(handle, fcntl.LOCK_EX)
            if _is_at(handle, part):
                yield
                return
        finally:
            os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False
