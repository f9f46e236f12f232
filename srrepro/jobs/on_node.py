"""What happens on the nodes of a Ray cluster: errands are carried out, and one depot keeps the checkpoints of all.

Every errand works in a folder of its own, which is gone afterwards.
"""

import socket
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from time import monotonic
from typing import Any

import torch

from srrepro.data.registry import DataFolder
from srrepro.errors import InputError, Stopped
from srrepro.hardware import Hardware
from srrepro.jobs.carry_out import Measured, measured
from srrepro.jobs.executing import Attempt, attempted, failed
from srrepro.jobs.job import Job, Measure, Train, Workspace, title_of
from srrepro.progress import in_decibels
from srrepro.reporting.provenance import commit
from srrepro.training import carry
from srrepro.training.deadline import Deadline
from srrepro.whole import written_whole

SECONDS_BETWEEN_LOOKS = 1.0


@dataclass(frozen=True)
class Errand:
    """What a node is told: a job, of a measuring one a single set; its run's name; and whose numbers it makes."""

    job: Job
    run: str
    folder: DataFolder
    hardware: Hardware
    commit: str | None

    @property
    def title(self) -> str:
        return title_of(self.job)


@dataclass(frozen=True)
class Brought:
    """What comes back: what became of it, and the files of its run folder, or the scores of its set."""

    attempt: Attempt
    files: dict[str, bytes] = field(default_factory=dict)
    measured: Measured | None = None


def on_a_node(errand: Errand, depot: Any) -> Brought:
    """Carry out one job in a folder that is gone afterwards."""

    torch.set_num_threads(errand.hardware.shared_by)
    _answer(depot.began.remote(errand.title, socket.gethostname()))
    with tempfile.TemporaryDirectory(prefix="srrepro-", ignore_cleanup_errors=True) as place:
        deadline = Deadline.after(_answer(depot.seconds_left.remote()))
        workspace = Workspace(errand.folder, Path(place), errand.hardware, deadline)
        try:
            _check_node(errand)
            if isinstance(errand.job, Measure):
                if deadline.passed:
                    return Brought(Attempt("not begun", errand.title))
                found = measured(errand.job, workspace)
                return Brought(Attempt("done", errand.job.folder), measured=found)
            return _trained(errand, workspace, depot)
        except Stopped as stopped:
            return Brought(Attempt("unfinished", errand.title, str(stopped)))
        except (InputError, ValueError, RuntimeError, OSError, MemoryError) as error:
            return Brought(failed(errand.title, error))


def _trained(errand: Errand, workspace: Workspace, depot: Any) -> Brought:

    assert isinstance(errand.job, Train), "a measuring job has no checkpoints"
    newest = _answer(depot.newest.remote(errand.run))
    if newest is not None:
        carried = workspace.carried(errand.run)
        carried.parent.mkdir(parents=True)
        carried.write_bytes(newest)
    with _sending(workspace.running / errand.run / carry.CHECKPOINT, errand, depot):
        attempt = attempted(errand.job, workspace, force=False)
    kept = workspace.runs / errand.run
    files = {path.name: path.read_bytes() for path in kept.iterdir()} if kept.exists() else {}
    if attempt.became == "done" and not files:
        msg = f"{errand.title} has another name on {socket.gethostname()}, {attempt.name}, than {errand.run} here"
        raise ValueError(msg)
    return Brought(attempt, files)


def _check_node(errand: Errand) -> None:
    """A node with other code, or without the mirror, would make other numbers or none.

    Raises
    ------
    InputError : it is such a node.
    """
    here, node = commit(), socket.gethostname()
    if here != errand.commit:
        msg = f"The suite is of commit {errand.commit}, but the node {node} has srrepro of commit {here}. Install one."
        raise InputError(msg)
    mirror = errand.folder.mirror
    if mirror is not None and not mirror.is_dir():
        msg = (
            f"Images were to be read from the mirror {mirror}, but the node {node} has no such folder. Put it where "
            "all nodes see it, or leave out --mirror."
        )
        raise InputError(msg)


@contextmanager
def _sending(checkpoint: Path, errand: Errand, depot: Any) -> Iterator[None]:
    """Every checkpoint that the run writes goes to the depot, too."""
    import ray

    ended, sent = Event(), [0]

    def send() -> None:
        try:
            written = checkpoint.stat().st_mtime_ns
        except FileNotFoundError:  # none yet, or the run has ended
            return
        if written != sent[0]:
            _answer(depot.keep.remote(errand.run, errand.title, checkpoint.read_bytes()))
            sent[0] = written

    def watch() -> None:
        while not ended.wait(SECONDS_BETWEEN_LOOKS):
            with suppress(InputError, OSError, ray.exceptions.RayError):  # the next one may arrive
                send()

    watcher = Thread(target=watch, name="checkpoints", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        send()


def _answer(reference: Any) -> Any:
    """What an actor answers. Another thread waits for it: Ray gives away the cores of a job whose main thread waits.

    Raises
    ------
    Exception : what the actor raised, as it was.
    """
    import ray

    with ThreadPoolExecutor(1) as thread:
        try:
            return thread.submit(ray.get, reference).result()
        except ray.exceptions.RayTaskError as error:  # its message is a traceback
            raise error.cause from None


class Depot:
    """An actor on the driver's machine: what nodes send of unfinished runs is kept there, and said to who asks."""

    def __init__(self, workspace: Workspace, seconds_left: float) -> None:
        self.workspace = workspace
        self.deadline = Deadline.after(seconds_left)
        self.shown: dict[str, str] = {}

    def seconds_left(self) -> float:
        return self.deadline.at - monotonic()

    def began(self, title: str, node: str) -> None:
        self.shown[title] = f"on {node}"

    def newest(self, run: str) -> bytes | None:
        """What to go on from. Errors as `carry.newest`."""
        copy = carry.newest(self.workspace.running / run, self.workspace.carried(run), run)
        return None if copy is None else copy.path.read_bytes()

    def keep(self, run: str, title: str, data: bytes) -> None:
        """A checkpoint that continues from the one that is kept; of a node that was given up it does not, and goes."""
        path = self.workspace.carried(run)
        path.parent.mkdir(parents=True, exist_ok=True)
        arrived = path.with_name(f".arrived-{path.name}")
        written_whole(arrived, data)
        try:
            copy, before = carry.read(arrived, run), carry.read(path, run)
            assert copy is not None, "it was written just now"
            if before is not None and not copy.continues(before):
                return
            arrived.replace(path)
        finally:
            arrived.unlink(missing_ok=True)
        log = copy.values["state"]["log"]
        self.shown[title] = f"{copy.backprops:,} backprops  {in_decibels(log[-1] if log else {})}".rstrip()

    def progress(self) -> dict[str, str]:
        return self.shown

    def forget(self, title: str) -> None:
        self.shown.pop(title, None)
