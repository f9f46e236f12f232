"""A suite on a Ray cluster. Ray places the jobs, limits them, and begins one anew elsewhere when its node is lost.

This is the driver's side; `on_node` is the other. A job's run folder comes back whole; its checkpoints come on the way,
to `unfinished/` among the results, so that a run goes on from the last one wherever it is begun again. Ray is imported
in these two files alone, when it is asked for.
"""

import logging
import signal
import socket
import tempfile
from collections.abc import Container, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

from srrepro.data.registry import DataFolder
from srrepro.data.stores import prepare_training
from srrepro.errors import InputError, Stopped
from srrepro.jobs.carry_out import Measured, alone, compare, evidence_there, keep, settled, tidy
from srrepro.jobs.executing import Attempt, Suite, failed
from srrepro.jobs.job import Job, Measure, Train, Workspace, run_of, title_of
from srrepro.jobs.on_node import SECONDS_BETWEEN_LOOKS, Brought, Depot, Errand, on_a_node
from srrepro.progress import Board, say
from srrepro.reporting import evidence
from srrepro.reporting.provenance import commit

MOST_QUEUED = 256
"""Jobs that Ray knows of at a time: the driver holds a lock for each, and a process may have 1,024 files open."""
MOST_RETRIES = 10
"""How often a job may lose its node. Ray counts."""
BYTES_A_PIXEL = 5
"""Of a patch: a number of four bytes as input, a byte as label."""
BESIDE_PATCHES = 1 << 30
"""Bytes that a job takes besides the patches that it holds; most of it is PyTorch."""
SECONDS_TO_STOP, SECONDS_TO_ANSWER = 120.0, 5.0
BEGIN = "Start one, `ray start --head`, or give the --address of one, HOST:6379."


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Who carries out a suite: a cluster, and what each job has there. `gpus` may be a share, such as 0.25.

    Raises
    ------
    InputError : Ray is not installed, or no cluster answers; a precision is to be chosen that GPUs differ in.
    Stopped : SIGINT or SIGTERM came; what was under way is kept.
    """

    address: str | None = None
    cores: int = 1
    gpus: float = 0.0

    def __call__(self, suite: Suite) -> Iterator[Attempt]:
        suite = replace(suite, jobs=list(dict.fromkeys(suite.jobs)), workspace=self._there(suite.workspace))
        with _connected(self.address) as ray:
            _say_what_is_lacking(ray, self)
            depot = _depot(ray, suite.workspace)
            work = _Work(suite, self, ray, depot)
            with _stopped_by_signals():
                try:
                    yield from work.attempts()
                except KeyboardInterrupt:
                    yield from work.stopped()
                    msg = f"stopped after {work.ended} of {len(suite.jobs)} jobs; what was under way is kept"
                    raise Stopped(msg) from None

    def _there(self, workspace: Workspace) -> Workspace:
        """With the paths and the hardware that nodes are told."""
        asked = workspace.hardware
        if self.gpus and asked.precision == "auto":
            msg = (
                f"Jobs were to have {self.gpus:g} GPUs each, but GPUs differ in the precisions that they are fastest "
                "in, and the runs of a suite are to be alike. Give --precision float32, tf32 or bfloat16."
            )
            raise InputError(msg)
        if asked.device != "cpu" and not self.gpus:
            msg = f"Jobs were to work on {asked.device}, but have no share of a GPU. Give --gpus 1, or --device cpu."
            raise InputError(msg)
        if workspace.tensorboard is not None:
            msg = (
                f"Logs were to be followed in {workspace.tensorboard}, but runs on a cluster write theirs where they "
                "are trained. Leave out --tensorboard."
            )
            raise InputError(msg)
        precision = asked.precision if asked.precision != "auto" else asked.settled().precision
        hardware = replace(asked, precision=precision, threads=self.cores)
        folder, mirror = workspace.folder.root.resolve(), workspace.folder.mirror
        seen = DataFolder(folder, mirror.resolve() if mirror is not None else None)
        return replace(workspace, folder=seen, results=workspace.results.resolve(), hardware=hardware)


class _Work:
    """The driver's side: what is out, for which job, and what came back."""

    def __init__(self, suite: Suite, share: Cluster, ray: Any, depot: Any) -> None:
        self.suite, self.share, self.ray, self.depot = suite, share, ray, depot
        self.out: dict[Any, tuple[Errand, Job]] = {}
        self.sets: dict[Job, dict[str, Measured]] = {}
        self.held: dict[str, ExitStack] = {}
        self.ended = 0
        self.commit = commit()
        self.remote = ray.remote(on_a_node)

    def attempts(self) -> Iterator[Attempt]:
        jobs, more = iter(self.suite.jobs), True
        with Board(len(self.suite.jobs)) as board:
            while more or self.out:
                while more and len(self.out) < MOST_QUEUED:
                    job = next(jobs, None)
                    more = job is not None
                    if job is not None and (at_once := self._sent(job)) is not None:
                        yield self._told(at_once)
                yield from self._arrived()
                shown = self.ray.get(self.depot.progress.remote())
                if self.suite.workspace.deadline.passed:
                    self._leave_what_waits(shown)
                out = {errand.title for errand, _ in self.out.values()}
                board.show(self.ended, {title: how for title, how in shown.items() if title in out})

    def _leave_what_waits(self, begun: Container[str]) -> None:
        """Jobs under way know when to stop; those that no node has begun would wait on."""
        for reference, (errand, _) in self.out.items():
            if errand.title not in begun:
                self.ray.cancel(reference)

    def stopped(self) -> Iterator[Attempt]:
        """Ask all that is out to stop, and take in what comes back."""
        say("stopping: what is under way sends its checkpoint")
        for reference in self.out:
            self.ray.cancel(reference)
        until = monotonic() + SECONDS_TO_STOP
        while self.out and monotonic() < until:
            yield from self._arrived()

    def _sent(self, job: Job) -> Attempt | None:
        """Give a job to Ray; what became of it, where that is known at once."""
        workspace, title = self.suite.workspace, title_of(job)
        try:
            if not self.suite.force and (kept := evidence_there(job, workspace)) is not None:
                return Attempt("there already", kept.name, f"{title}: there already")
            if workspace.deadline.passed:
                return Attempt("not begun", title)
            for errand, memory in self._errands(job):
                options = {
                    "num_cpus": self.share.cores,
                    "num_gpus": self.share.gpus,
                    "memory": memory,
                    "max_retries": MOST_RETRIES,
                    "name": errand.title,
                }
                self.out[self.remote.options(**options).remote(errand, self.depot)] = errand, job
        except (InputError, OSError) as error:
            return failed(title, error)
        return None

    def _errands(self, job: Job) -> Iterator[tuple[Errand, int]]:
        """What nodes are told, and bytes for Ray to count with, to which no job is held."""
        workspace = self.suite.workspace
        told = workspace.folder, workspace.hardware, self.commit
        if isinstance(job, Measure):
            self.sets[job] = {}
            for name in job.test_sets:
                yield Errand(replace(job, test_sets=(name,)), "", *told), BESIDE_PATCHES
            return
        prepare_training(workspace.folder, run_of(job, workspace).shape)
        run = settled(job, workspace)
        held = ExitStack()
        held.enter_context(alone(run.name, workspace))
        self.held[run.name] = held
        patches = run.course.size * run.training.patches.takes.channels * BYTES_A_PIXEL * run.shape.side**2
        yield Errand(job, run.name, *told), BESIDE_PATCHES + min(run.hardware.memory, patches)

    def _arrived(self) -> Iterator[Attempt]:
        """Take in what has come back by now; wait a moment where that is nothing."""
        ready, _ = self.ray.wait(list(self.out), timeout=SECONDS_BETWEEN_LOOKS) if self.out else ([], [])
        for reference in ready:
            errand, job = self.out.pop(reference)
            try:
                brought = self.ray.get(reference)
            except self.ray.exceptions.TaskCancelledError:
                brought = Brought(Attempt("not begun", errand.title))
            except self.ray.exceptions.RayError as error:  # its node was lost too often, or has no srrepro
                brought = Brought(failed(errand.title, RuntimeError(str(error).strip().splitlines()[-1])))
            self.depot.forget.remote(errand.title)
            try:
                attempt = self._taken_in(errand, job, brought)
            except (InputError, OSError) as error:
                attempt = failed(errand.title, error)
            if attempt is not None:
                yield self._told(attempt)

    def _taken_in(self, errand: Errand, job: Job, brought: Brought) -> Attempt | None:
        """Write what came back. None where that is no end: other sets are out, or one of them has failed before."""
        workspace, attempt = self.suite.workspace, brought.attempt
        if isinstance(job, Train):
            self.held.pop(errand.run).close()
            if brought.files:
                _received(errand.run, brought.files, workspace)
                tidy(errand.run, workspace)
            return attempt
        found = self.sets.get(job)
        if found is None:
            return None
        if brought.measured is None:
            del self.sets[job]
            return attempt
        found[errand.job.test_sets[0]] = brought.measured
        if len(found) < len(job.test_sets):
            return None
        del self.sets[job]
        kept = keep(job, _together([found[name] for name in job.test_sets]), workspace)
        return Attempt("done", kept.name, f"{title_of(job)}: done")

    def _told(self, attempt: Attempt) -> Attempt:
        self.ended += 1
        if attempt.words:
            say(attempt.words)
        return attempt


def _together(parts: Sequence[Measured]) -> Measured:
    """Sets that were measured apart as one; where that was on several machines, all of them are named."""
    first, machines = parts[0], dict.fromkeys(part.about["machine"] for part in parts)
    about = first.about | {"machine": " + ".join(machines), "finished": max(part.about["finished"] for part in parts)}
    return Measured(first.subject, [score for part in parts for score in part.scores], about)


def _received(name: str, files: dict[str, bytes], workspace: Workspace) -> None:
    """Write a run folder that came from a node; compare where there is one already.

    Raises
    ------
    InputError : it did not come whole, or cannot be written.
    """
    kept = workspace.runs / name
    with tempfile.TemporaryDirectory(prefix="srrepro-") as place:
        came = Path(place) / name
        came.mkdir()
        for file, content in files.items():
            (came / file).write_bytes(content)
        found = evidence.read(came)
        if kept.exists():
            compare(kept, found.scores)
        else:
            evidence.copy(came, workspace.runs)


@contextmanager
def _connected(address: str | None) -> Iterator[Any]:
    asked = "The suite was to be carried out on a Ray cluster, but"
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        msg = f"{asked} Ray is not installed. Install it: pip install 'srrepro[ray]'."
        raise InputError(msg) from error
    if address is not None and "://" in address:
        msg = f"{asked} {address} is for clients outside of it. Start the command on a node of the cluster."
        raise InputError(msg)
    if address is not None:
        _check_answers(address, asked)
    try:
        ray.init(address=address or "auto", log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        where = f"the one at {address} cannot be joined: {error}" if address else "none runs on this machine"
        msg = f"{asked} {where}. {BEGIN}"
        raise InputError(msg) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _check_answers(address: str, asked: str) -> None:
    """Ray itself tries for more than a minute.

    Raises
    ------
    InputError : it is no address, or nobody answers there.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        msg = f"{asked} {address!r} is no address. Give one such as HOST:6379."
        raise InputError(msg)
    try:
        socket.create_connection((host, int(port)), timeout=SECONDS_TO_ANSWER).close()
    except (OSError, OverflowError) as error:
        msg = f"{asked} none answers at {address}. {BEGIN}"
        raise InputError(msg) from error


def _depot(ray: Any, workspace: Workspace) -> Any:
    """On this machine, whatever the others are: it writes to the results."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    left = workspace.deadline.at - monotonic()
    depot = ray.remote(Depot).options(num_cpus=0, scheduling_strategy=here).remote(workspace, left)
    ray.get(depot.progress.remote())  # it is there before any job asks for it
    return depot


def _say_what_is_lacking(ray: Any, share: Cluster) -> None:
    """A job that no node has room for waits: some clusters grow, others never will."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(node.get("CPU", 0) >= share.cores and node.get("GPU", 0) >= share.gpus for node in nodes):
        gpus = f" and {share.gpus:g} GPUs" if share.gpus else ""
        most = max(node.get("CPU", 0) for node in nodes)
        say(
            f"no node of the cluster has {share.cores} cores{gpus} for a job now (the largest has {most:g} cores): "
            "jobs wait for one. If none will come, stop with Ctrl-C and give --cores, --gpus"
        )


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    """SIGTERM is as Ctrl-C."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
