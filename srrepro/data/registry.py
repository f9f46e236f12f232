"""Every file that the project measures or trains with: where it comes from, and how it is known to be the right one.

`registry.csv` has one row a file with a pinned URL, its sha256 and its size. A file may belong to several sets (a
photograph of BSDS200 is also in `291` and perhaps in `val20`); it lives once, in the folder of the first set named.
"""

import csv
import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import count
from pathlib import Path
from urllib.parse import unquote, urlsplit

from filelock import BaseFileLock, FileLock, Timeout

from srrepro.errors import InputError, Lacking, Unreachable, instead
from srrepro.progress import say, track

PACKAGED = "scikit-image:"
"""URL scheme of the demo photographs: files inside the installed scikit-image package."""
SIMULTANEOUS = 8
RETRIES = 3
TIMEOUT_S = 30
ANSWER_S = 10


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

    def lock(self) -> AbstractContextManager[None]:
        """Held while anything is fetched or built, so that two calls on one folder do no harm."""
        return _locked(self.root, what="data folder", option="--data")


def _locked(root: Path, *, what: str, option: str) -> AbstractContextManager[None]:
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"The {what} {root} cannot be made: {error.strerror}. Name another with {option}."
        raise InputError(msg) from error
    if not os.access(root, os.W_OK):
        msg = f"The {what} {root} may not be written. Name another with {option}."
        raise InputError(msg)
    lock = FileLock(root / ".lock", is_singleton=True)  # one process may hold it in nested calls
    return holding(lock, f"The {what} {root}", f"Name one on a local disk with {option}.")


@contextmanager
def holding(lock: BaseFileLock, what: str, instead_of_it: str) -> Iterator[None]:
    """Hold a lock; some network disks have none to give.

    Raises
    ------
    InputError : the disk cannot lock, or the lock cannot be written; begins with `what`, ends with `instead_of_it`.
    Timeout : another process holds it.
    """
    try:
        lock.acquire()
    except Timeout:
        raise
    except (NotImplementedError, OSError) as error:
        number = error.errno if isinstance(error, OSError) else errno.ENOSYS
        if number in CANNOT_LOCK:
            msg = f"{what} was to be locked, but its disk cannot lock files, as some network disks. {instead_of_it}"
        elif number in FULL:
            msg = f"{what} was to be locked, but its disk is full. Free some space. {instead_of_it}"
        else:
            msg = f"{what} was to be locked, but could not be: {error}. {instead_of_it}"
        raise InputError(msg) from error
    try:
        yield
    finally:
        lock.release()


CANNOT_LOCK = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
FULL = {errno.ENOSPC, errno.EDQUOT}


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
        msg = f"There is no set {name!r}. {instead(name, sets())}"
        raise InputError(msg)
    return tuple(found)


def fetch(folder: DataFolder, name: str) -> list[Path]:
    """Bring all files of a set into the data folder and verify every sha256; what is there and right stays.

    Raises
    ------
    Lacking : a file is missing from the mirror, or cannot be fetched; of a network that nobody answers in, at once.
    InputError : it is not the one that the registry names, or cannot be kept.
    """
    wanted = members(name)
    lacking = [file for file in wanted if not is_present(folder, file)]
    if lacking or _incoming(folder.root).exists():
        with folder.lock():
            _bring(name, [file for file in lacking if not is_present(folder, file)], _Delivery.to_data(folder))
    return [folder.root / file.path for file in wanted]


def complete_mirror(mirror: Path, folder: DataFolder, name: str) -> int:
    """Bring all files of a set to where a mirror keeps them, from the data folder, another mirror or the network.

    Files that ship with scikit-image need no mirror.

    Returns
    -------
    How many were brought; the others lie there already.

    Raises
    ------
    Lacking, InputError : as for `fetch`.
    """
    wanted = [file for file in members(name) if not file.url.startswith(PACKAGED)]
    lacking = [file for file in wanted if not _is_right(mirrored(mirror, file), file)]
    if lacking or _incoming(mirror).exists():
        with _locked(mirror, what="mirror", option="--to-mirror"):
            _bring(name, lacking, _Delivery.to_mirror(mirror, folder))
    return len(lacking)


def hosts_of(folder: DataFolder, name: str, *, mirror: Path | None = None) -> set[str]:
    """Who has to be asked for what a set lacks in the data folder, or in a mirror that is to be made.

    Nobody where it is complete, or where `folder` names a mirror.
    """
    lacking = [file for file in members(name) if not is_present(folder, file)]
    if mirror is not None:
        lacking = [file for file in lacking if not _is_right(mirrored(mirror, file), file)]
    return {_host(file) for file in lacking if _origin(folder, file) is None}


def ways_out(*names: str) -> str:
    """What somebody without a network can do; no names are all sets."""
    making = " ".join(["srrepro prepare", *names, "--to-mirror DIR"])
    return f"Check the network, or give --mirror DIR: `{making}` makes one on a machine with a network."


def is_present(folder: DataFolder, file: File) -> bool:
    """Whether the file lies in the data folder with the right content."""
    return _is_right(folder.root / file.path, file)


def _is_right(path: Path, file: File) -> bool:
    return path.is_file() and path.stat().st_size == file.bytes and sha256_of(path) == file.sha256


def sha256_of(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass(frozen=True)
class _Delivery:
    """Where files are brought, and from where: `origin` is a local file, None where the network has to be asked.

    `option` names the folder `root` on the command line, `mirror` is the folder that stands in for the network.
    """

    root: Path
    option: str
    place: Callable[[File], Path]
    origin: Callable[[File], Path | None]
    mirror: Path | None

    @classmethod
    def to_data(cls, folder: DataFolder) -> "_Delivery":
        def place(file: File) -> Path:
            return folder.root / file.path

        return cls(folder.root, "--data", place, lambda file: _origin(folder, file), folder.mirror)

    @classmethod
    def to_mirror(cls, mirror: Path, folder: DataFolder) -> "_Delivery":
        def origin(file: File) -> Path | None:
            return folder.root / file.path if is_present(folder, file) else _origin(folder, file)

        return cls(mirror, "--to-mirror", lambda file: mirrored(mirror, file), origin, folder.mirror)


def _bring(name: str, lacking: list[File], delivery: _Delivery) -> None:
    incoming = _incoming(delivery.root)  # the folder's lock is held: what lies there was left by a killed call
    shutil.rmtree(incoming, ignore_errors=True)
    if not lacking:
        return
    origins = {file: delivery.origin(file) for file in lacking}
    from_network = [file for file, origin in origins.items() if origin is None]
    if from_network:
        _ask_for_an_answer(name, from_network[0])
    download = _downloader(incoming, from_network) if from_network else None

    def bring(file: File) -> None:
        origin, arrived, place = origins[file], incoming / file.path, delivery.place(file)
        try:
            arrived.parent.mkdir(parents=True, exist_ok=True)
            if origin is not None:
                shutil.copyfile(origin, arrived)
                if sha256_of(arrived) != file.sha256:
                    raise WrongContent
            elif download is not None:
                download(file)
            place.parent.mkdir(parents=True, exist_ok=True)
            arrived.chmod(0o644)  # pooch's temporary files are their owner's alone
            if place.exists():
                _put_aside(place)
            arrived.replace(place)
        except Exception as error:
            raise _explained(delivery, name, file, error) from error

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


def _incoming(root: Path) -> Path:
    return root / ".incoming"


def _put_aside(place: Path) -> None:
    """What lies where a file belongs is damaged, or somebody's own: it is kept under another name."""
    aside = next(path for number in count(1) if not (path := place.with_name(f"{place.name}.kept-{number}")).exists())
    place.rename(aside)
    say(f"{place} was not the file that the registry names; it is kept as {aside.name}")


def _ask_for_an_answer(name: str, file: File) -> None:
    """One request, whose answer does not matter: without a network, every file would wait, and be tried again.

    Raises
    ------
    Unreachable : there is none.
    """
    import requests

    try:
        requests.head(file.url, timeout=ANSWER_S)
    except (requests.ConnectionError, requests.Timeout) as error:
        reason = type(error).__name__
        msg = f"{_asked(name, file)}, but {file.url} could not be read ({reason}). {ways_out(name)}"
        raise Unreachable(msg, _host(file), reason) from error
    except requests.RequestException:  # somebody is there; what is wrong is told of the file itself
        return


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


def may_be_copied(mirror: Path, file: File) -> bool:
    """Whether a file needs no network: a mirror has it, or scikit-image."""
    return file.url.startswith(PACKAGED) or mirrored(mirror, file).is_file()


def mirrored(mirror: Path, file: File) -> Path:
    """Where a mirror keeps a file: the percent-decoded path of its URL."""
    return mirror / unquote(urlsplit(file.url).path).lstrip("/")


def _host(file: File) -> str:
    return urlsplit(file.url).netloc


def _explained(delivery: _Delivery, name: str, file: File, error: Exception) -> InputError:
    packaged = file.url.startswith(PACKAGED)
    lost = isinstance(error, FileNotFoundError) and not packaged
    nowhere = lost or (delivery.origin(file) is None and _is_of_the_network(error))
    return (Lacking if nowhere else InputError)(_explanation(delivery, name, file, error))


def _is_of_the_network(error: Exception) -> bool:
    from requests import RequestException

    return isinstance(error, RequestException)


def _asked(name: str, file: File) -> str:
    return f"{file.path} of the set {name} was asked for"


def _explanation(delivery: _Delivery, name: str, file: File, error: Exception) -> str:
    asked, root, other = _asked(name, file), delivery.root, f"name another folder with {delivery.option}"
    if isinstance(error, OSError) and error.errno in FULL:
        return f"{asked}, but the disk of {root} is full. Free some space or {other}."
    if isinstance(error, PermissionError):
        return f"{asked}, but {error.filename} may not be written or read. {other.capitalize()}."
    if isinstance(error, FileNotFoundError) and file.url.startswith(PACKAGED):
        return f"{asked}, but the installed scikit-image has no {file.name}. Install scikit-image 0.25 or 0.26."
    if isinstance(error, FileNotFoundError):
        return f"{asked}, but the mirror has no {error.filename}. Complete the mirror, or leave --mirror out."
    if isinstance(error, ValueError):  # ours and pooch's word for a wrong hash
        where = "scikit-image" if file.url.startswith(PACKAGED) else delivery.mirror or file.url
        return f"{asked}, but what {where} holds is not the file with sha256 {file.sha256}. Nothing was kept of it."
    if delivery.origin(file) is not None:
        return f"{asked}, but could not be copied to {root} ({error})."
    return f"{asked}, but {file.url} could not be read ({type(error).__name__}). {ways_out(name)}"
