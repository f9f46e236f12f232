"""Every file that the project measures or trains with: where it comes from, and how it is known to be the right one.

`registry.csv` has one row a file with a pinned URL, its sha256 and its size. A file may belong to several sets (a
photograph of BSDS200 is also in `291` and perhaps in `val20`); it lives once, in the folder of the first set named.
"""

import csv
import errno
import hashlib
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from filelock import FileLock

from srrepro.errors import InputError, Lacking
from srrepro.progress import track

PACKAGED = "scikit-image:"
"""URL scheme of the demo photographs: files inside the installed scikit-image package."""
SIMULTANEOUS = 8
RETRIES = 3
TIMEOUT_S = 30


@dataclass(frozen=True)
class File:
    """One row of `registry.csv`."""

    sets: tuple[str, ...]
    name: str
    url: str
    sha256: str
    bytes: int

    @property
    def path(self) -> str:
        """Where it lives below the data folder."""
        return f"{self.sets[0]}/{self.name}"


@dataclass(frozen=True)
class DataFolder:
    """Where data sets and stores live, and the folder that stands in for the network, if any."""

    root: Path
    mirror: Path | None = None

    @property
    def stores(self) -> Path:
        return self.root / "stores"

    def lock(self) -> AbstractContextManager[Any]:
        """Held while anything is fetched or built, so that two calls on one folder do no harm."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"The data folder {self.root} cannot be made: {error.strerror}. Name another with --data."
            raise InputError(msg) from error
        return FileLock(self.root / ".lock", is_singleton=True)  # one process may hold it in nested calls


@cache
def registry() -> tuple[File, ...]:
    with (files("srrepro.data") / "registry.csv").open(encoding="utf-8") as text:
        return tuple(
            File(
                sets=tuple(row["sets"].split()),
                name=row["name"],
                url=row["url"],
                sha256=row["sha256"],
                bytes=int(row["bytes"]),
            )
            for row in csv.DictReader(text)
        )


@cache
def sets() -> tuple[str, ...]:
    """Names of all sets, in the order of the registry."""
    return tuple(dict.fromkeys(name for file in registry() for name in file.sets))


def members(name: str) -> tuple[File, ...]:
    """The files of one set, in the order of their names.

    Raises
    ------
    InputError : there is no such set.
    """
    found = sorted((file for file in registry() if name in file.sets), key=lambda file: file.path)
    if not found:
        msg = f"There is no set {name!r}. The sets are: {', '.join(sets())}."
        raise InputError(msg)
    return tuple(found)


def fetch(folder: DataFolder, name: str) -> list[Path]:
    """Bring all files of a set into the data folder and verify every sha256; what is there and right stays.

    Raises
    ------
    Lacking : a file is missing from the mirror, or cannot be fetched.
    InputError : it is not the one that the registry names, or cannot be kept.
    """
    wanted = members(name)
    lacking = [file for file in wanted if not is_present(folder, file)]
    if lacking:
        with folder.lock():
            _bring(folder, name, [file for file in lacking if not is_present(folder, file)])
    return [folder.root / file.path for file in wanted]


def is_present(folder: DataFolder, file: File) -> bool:
    """Whether the file lies in the data folder with the right content."""
    path = folder.root / file.path
    return path.is_file() and path.stat().st_size == file.bytes and sha256_of(path) == file.sha256


def sha256_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _bring(folder: DataFolder, name: str, lacking: list[File]) -> None:
    incoming = folder.root / ".incoming"  # the folder's lock is held: what lies there was left by a killed call
    shutil.rmtree(incoming, ignore_errors=True)
    from_network = [file for file in lacking if _origin(folder, file) is None]
    download = _downloader(incoming, from_network) if from_network else None

    def bring(file: File) -> None:
        origin, arrived = _origin(folder, file), incoming / file.path
        try:
            arrived.parent.mkdir(parents=True, exist_ok=True)
            if origin is not None:
                shutil.copyfile(origin, arrived)
                if sha256_of(arrived) != file.sha256:
                    raise WrongContent
            elif download is not None:
                download(file)
            (folder.root / file.path).parent.mkdir(parents=True, exist_ok=True)
            arrived.chmod(0o644)  # pooch's temporary files are their owner's alone
            arrived.replace(folder.root / file.path)
        except Exception as error:
            raise _explained(folder, name, file, error) from error

    with ThreadPoolExecutor(SIMULTANEOUS) as pool:
        jobs = [pool.submit(bring, file) for file in lacking]
        try:
            for job in track(as_completed(jobs), f"fetching {name}", total=len(jobs)):
                job.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
        finally:
            shutil.rmtree(incoming, ignore_errors=True)


class WrongContent(ValueError):
    """What was copied does not have the file's sha256; pooch raises a ValueError for what it fetched."""


def _downloader(incoming: Path, files: list[File]) -> Callable[[File], object]:
    """Fetches a file from its URL to its place in `incoming`, verified, with retries."""
    # Imported here: only a machine that has a network needs it.
    import pooch

    pooch.get_logger().setLevel("WARNING")
    store = pooch.create(
        path=incoming,
        base_url="",
        registry={file.path: f"sha256:{file.sha256}" for file in files},
        urls={file.path: file.url for file in files},
        retry_if_failed=RETRIES,
    )
    return lambda file: store.fetch(file.path, downloader=pooch.HTTPDownloader(timeout=TIMEOUT_S))


def _origin(folder: DataFolder, file: File) -> Path | None:
    """The local file that is copied, or None where the file comes from the network."""
    if file.url.startswith(PACKAGED):
        return Path(str(files("skimage"))) / file.url.removeprefix(PACKAGED)
    return mirrored(folder.mirror, file) if folder.mirror is not None else None


def mirrored(mirror: Path, file: File) -> Path:
    """Where a mirror keeps a file: the percent-decoded path of its URL."""
    return mirror / unquote(urlsplit(file.url).path).lstrip("/")


def _explained(folder: DataFolder, name: str, file: File, error: Exception) -> InputError:
    packaged = file.url.startswith(PACKAGED)
    lost = isinstance(error, FileNotFoundError) and not packaged
    nowhere = lost or (_origin(folder, file) is None and _is_of_the_network(error))
    return (Lacking if nowhere else InputError)(_explanation(folder, name, file, error))


def _is_of_the_network(error: Exception) -> bool:
    from requests import RequestException

    return isinstance(error, RequestException)


def _explanation(folder: DataFolder, name: str, file: File, error: Exception) -> str:
    asked = f"{file.path} of the set {name} was asked for"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{asked}, but the disk of {folder.root} is full. Free some space or name another folder with --data."
    if isinstance(error, PermissionError):
        return f"{asked}, but {error.filename} may not be written or read. Name another folder with --data."
    if isinstance(error, FileNotFoundError) and file.url.startswith(PACKAGED):
        return f"{asked}, but the installed scikit-image has no {file.name}. Install scikit-image 0.25 or 0.26."
    if isinstance(error, FileNotFoundError):
        return f"{asked}, but the mirror has no {error.filename}. Complete the mirror, or leave --mirror out."
    if isinstance(error, ValueError):  # ours and pooch's word for a wrong hash
        where = "scikit-image" if file.url.startswith(PACKAGED) else folder.mirror or file.url
        return f"{asked}, but what {where} holds is not the file with sha256 {file.sha256}. Nothing was kept of it."
    if _origin(folder, file) is not None:
        return f"{asked}, but could not be copied to {folder.root} ({error})."
    return (
        f"{asked}, but {file.url} could not be read ({type(error).__name__}). Check the network, or give --mirror DIR."
    )
