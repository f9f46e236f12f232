"""A suite on a Ray cluster of three nodes on this machine, and what is left of it when a node or the driver is killed.

`tox -e cluster` runs it. Every run has one thread, so its weights are those of a run in this process, bit for bit.
"""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

import pytest

import srrepro

pytest.importorskip("ray", reason="no Ray here: pip install 'srrepro[ray]'")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

SWEEP = ("--recipes", "srcnn-915-demo,srcnn-915-demo-padded", "--scales", "3", "--seeds", "0-5", "--budget", "0.15")
RUNS = 12
ENVIRONMENT = os.environ | {
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": str(Path(srrepro.__file__).parents[1]),
    "RAY_USAGE_STATS_ENABLED": "0",
}
SECONDS = 500


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all: the demo photographs are built once, the nodes see them there."""
    return tmp_path_factory.mktemp("data")


class Nodes:
    """Ray's nodes, each in a session of its own processes, on loopback."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.folder = tempfile.mkdtemp(prefix="ray-")  # a short path: sockets have names of 107 bytes at most
        self.workers: list[subprocess.Popen[bytes]] = []
        head = ("--head", f"--port={self.address.rpartition(':')[2]}", "--num-cpus=0", "--include-dashboard=false")
        self.head = self.start(*head, f"--temp-dir={self.folder}")

    def add(self) -> None:
        self.workers.append(self.start(f"--address={self.address}", "--num-cpus=1"))

    def start(self, *words: str) -> "subprocess.Popen[bytes]":
        """Once more where it gave up: a busy machine may be too slow for it."""
        command = [
            str(Path(sys.executable).with_name("ray")),
            "start",
            *words,
            "--node-ip-address=127.0.0.1",
            "--block",
        ]
        for number in range(3):
            log = Path(self.folder) / f"node-{len(self.workers)}-{number}.log"
            with log.open("wb") as out:
                node = subprocess.Popen(command, env=ENVIRONMENT, stdout=out, stderr=out, start_new_session=True)
            while node.poll() is None:
                if "Ray runtime started" in log.read_text(encoding="utf-8", errors="replace"):
                    return node
                sleep(0.2)
            self.kill(node)
        pytest.fail(log.read_text(encoding="utf-8", errors="replace"))

    def kill(self, node: "subprocess.Popen[bytes]") -> None:
        """All of its processes at once, as if the machine had gone."""
        for each in of_session(node.pid):
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        node.wait()


def of_session(leader: int) -> list[int]:
    """The processes of a session."""
    found = subprocess.run(["ps", "-o", "pid=", "--sid", str(leader)], capture_output=True, text=True).stdout
    return [int(line) for line in found.split()]


@pytest.fixture
def cluster() -> Iterator[Nodes]:
    """A head without cores and two nodes with one each."""
    nodes = Nodes()
    nodes.add()
    nodes.add()
    yield nodes
    for node in (*nodes.workers, nodes.head):
        nodes.kill(node)
    shutil.rmtree(nodes.folder, ignore_errors=True)


Begin = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def begin(data: Path) -> Iterator[Begin]:
    """Start `srrepro run-all` in a process of its own."""
    begun: list[subprocess.Popen[str]] = []

    def started(results: Path, *words: str) -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "srrepro", "run-all", "--data", str(data), "--results", str(results), *words]
        both = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        begun.append(subprocess.Popen(command, env=ENVIRONMENT, text=True, **both))
        return begun[-1]

    yield started
    for process in begun:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(scope="module")
def here(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sweep and the demo suite, one run after the other, without a cluster."""
    results = tmp_path_factory.mktemp("here")
    for words in (SWEEP, ("--suite", "demo", "--budget", "0.05")):
        command = [sys.executable, "-m", "srrepro", "run-all", "--data", str(data), "--results", str(results), *words]
        subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True, timeout=SECONDS)
    return results


def ended(process: "subprocess.Popen[str]", seconds: float = SECONDS) -> str:
    said, _ = process.communicate(timeout=seconds)
    assert process.returncode == 0, said
    return said


def same(results: Path, expected: Path) -> int:
    """How many run folders there are; all are in both, with the same weights and numbers."""
    names = sorted(path.name for path in (results / "runs").iterdir())
    for name in names:
        for file in ("weights.safetensors", "scores.csv"):
            ours, theirs = results / "runs" / name / file, expected / "runs" / name / file
            assert ours.exists() == theirs.exists(), f"{file} of {name}"
            assert not ours.exists() or ours.read_bytes() == theirs.read_bytes(), f"{file} of {name} differs"
    return len(names)


def nothing_left(results: Path) -> bool:
    """No unfinished run is kept of one that has ended."""
    return not list((results / "unfinished").glob("*")) and not list((results / ".running").glob("*"))


def under_way(results: Path, count: int) -> None:
    """Wait until so many runs have sent a checkpoint."""
    until = monotonic() + SECONDS
    while len(list((results / "unfinished").glob("[!.]*.safetensors"))) < count:
        assert monotonic() < until, "no checkpoint came"
        sleep(0.2)


def stretches(results: Path) -> list[int]:
    """Of each trained run."""
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in results.glob("runs/*/run.json")]
    return [len(run["stretches"]) for run in runs if "stretches" in run]


def test_a_cluster_gives_the_results_of_one_process(cluster: Nodes, begin: Begin, here: Path, tmp_path: Path) -> None:
    there = ("--on", "ray", "--address", cluster.address)
    said = ended(begin(tmp_path, *SWEEP, *there))
    assert "12 done, 0 there already, 0 failed" in said
    ended(begin(tmp_path, "--suite", "demo", "--budget", "0.05", *there))
    assert same(tmp_path, here) == len(list((here / "runs").iterdir())) == RUNS + 3
    assert nothing_left(tmp_path)
    again = ended(begin(tmp_path, *SWEEP, *there))
    assert "0 done, 12 there already, 0 failed" in again


def test_so_does_a_sweep_of_t91(cluster: Nodes, begin: Begin, mirror: Path, tmp_path: Path) -> None:
    """Measured on the real sets. Slow: the runs are short, but each is measured."""
    words = ("--recipes", "srcnn-915-quick", "--scales", "2,3", "--seeds", "0-5", "--budget", "0.01")
    places = (*words, "--mirror", str(mirror))
    ended(begin(tmp_path / "here", *places), seconds=1500)
    said = ended(begin(tmp_path / "there", *places, "--on", "ray", "--address", cluster.address), seconds=1500)
    assert "12 done, 0 there already, 0 failed" in said
    assert same(tmp_path / "there", tmp_path / "here") == RUNS
    assert nothing_left(tmp_path / "there")


def test_a_node_that_is_killed_loses_nothing(cluster: Nodes, begin: Begin, here: Path, tmp_path: Path) -> None:
    driver = begin(tmp_path, *SWEEP, "--on", "ray", "--address", cluster.address)
    under_way(tmp_path, 2)  # one on each node
    cluster.kill(cluster.workers.pop())
    cluster.add()
    said = ended(driver)
    assert "12 done, 0 there already, 0 failed" in said
    assert same(tmp_path, here) == RUNS
    assert max(stretches(tmp_path)) == 2, "no run was resumed"
    assert nothing_left(tmp_path)


def test_a_driver_that_is_killed_goes_on(cluster: Nodes, begin: Begin, here: Path, tmp_path: Path) -> None:
    words = (*SWEEP, "--on", "ray", "--address", cluster.address)
    driver = begin(tmp_path, *words)
    under_way(tmp_path, 2)
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    ended(begin(tmp_path, *words))
    assert same(tmp_path, here) == RUNS
    assert max(stretches(tmp_path)) == 2, "no run was resumed"
    assert nothing_left(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "terminated"])
def test_a_driver_that_is_stopped_keeps_what_is_under_way(
    number: signal.Signals, cluster: Nodes, begin: Begin, here: Path, tmp_path: Path
) -> None:
    words = (*SWEEP, "--on", "ray", "--address", cluster.address)
    driver = begin(tmp_path, *words)
    under_way(tmp_path, 2)
    driver.send_signal(number)
    said, _ = driver.communicate(timeout=SECONDS)
    assert driver.returncode == 1
    assert "what was under way is kept; give the same command again to resume" in said
    assert list((tmp_path / "unfinished").glob("*.safetensors"))
    ended(begin(tmp_path, *words))
    assert same(tmp_path, here) == RUNS
    assert nothing_left(tmp_path)


def test_time_that_is_up_stops_a_cluster_too(cluster: Nodes, begin: Begin, here: Path, tmp_path: Path) -> None:
    words = (*SWEEP, "--on", "ray", "--address", cluster.address)
    said = ended(begin(tmp_path, *words, "--for", "12s"))
    assert "out of time" in said
    ended(begin(tmp_path, *words))
    assert same(tmp_path, here) == RUNS


def test_the_commands_of_the_guide_run(cluster: Nodes, begin: Begin, mirror: Path, tmp_path: Path) -> None:
    """Each for some seconds; those that ask for a GPU wait for one, as the guide says."""
    page = (Path(__file__).parents[2] / "docs" / "cluster.md").read_text(encoding="utf-8")
    found = re.findall(r"^    srrepro run-all (.*)$", page, re.MULTILINE)
    assert len(found) == 6
    for number, line in enumerate(found):
        line = line.replace("$head:6379", cluster.address)
        words = shlex.split(re.sub(r" --(for|data|results) \S+", "", line))
        if "--on" in words and "--address" not in words:
            words += ["--address", cluster.address]
        words += [] if "--plan" in words else ["--for", "20s"]
        said = ended(begin(tmp_path / str(number), *words, "--mirror", str(mirror)))
        if "--plan" not in words:
            assert "out of time" in said
        if "--gpus" in words:
            assert "jobs wait for one" in said
