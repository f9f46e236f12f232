"""Killed anywhere, and told the same again: what comes out is what one gets who was left alone, and nothing else."""

import json
import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter

import h5py
import pandas as pd
import pytest
from forks import CHANGES, DIE_AFTER, DIE_BEFORE, DIE_HALFWAY, Ended, Forks

from srrepro.data import registry
from srrepro.data.registry import DataFolder, sha256_of
from srrepro.pixels import images
from srrepro.reporting import evidence
from srrepro.training import checkpoint

SEED = int(os.environ.get("SRREPRO_KILLS_SEED", "0"))
WAYS = (DIE_BEFORE, DIE_HALFWAY, DIE_AFTER)
TINY = ["--budget", "1e-4", "--mode", "eager", "--precision", "float32", "--device", "cpu"]
DATA, RESULTS = ["--data", "data"], ["--results", "results"]
COMMANDS = {
    "prepare": ["prepare", "demo", *DATA],
    "train": ["train", "srcnn-915-demo", "--scale", "3", *TINY, *DATA, *RESULTS],
    "run-all": ["run-all", "--suite", "demo", *TINY, *DATA, *RESULTS],
    "report": ["report", *RESULTS],
}


@dataclass(frozen=True)
class Alone:
    """What each command makes that nobody disturbs: the folder before and after it, its changes and its seconds."""

    before: Path
    after: Path
    changes: int
    seconds: float


class Workshop:
    """A folder in which commands run, each in a child that may be killed."""

    def __init__(self, forking: Forks, place: Path, start: str, *known: str, mirror: Path | None = None) -> None:
        self.forking, self.place, self._start, self._known, self._mirror = forking, place, start, known, mirror
        self.alone: dict[str, Alone] = {}

    def run(
        self,
        name: str,
        folder: Path,
        at: int = 0,
        happens: int = 0,
        within_s: float | None = None,
        kinds: str = CHANGES,
    ) -> Ended:
        words = [word if word not in {"data", "results"} else str(folder / word) for word in COMMANDS[name]]
        words += ["--mirror", str(self._mirror)] if self._mirror else []
        return self.forking.run(
            self._start, *self._known, *words, below=folder, at=at, happens=happens, within_s=within_s, kinds=kinds
        )

    def leave_alone(self, *names: str) -> None:
        before = self.place / "empty"
        before.mkdir()
        for name in names:
            after = self.place / f"after-{name}"
            shutil.copytree(before, after)
            began = perf_counter()
            ended = self.run(name, after)
            assert ended.code == 0, ended.said
            self.alone[name] = Alone(before, after, ended.changes, perf_counter() - began)
            before = after

    def kill(
        self, name: str, at: int = 0, happens: int = 0, within_s: float | None = None, kinds: str = CHANGES
    ) -> Ended:
        """Kill a command, look at what is there, give it again, and look whether it is what it should be."""
        alone, folder = self.alone[name], self.place / "killed"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(alone.before, folder)
        ended = self.run(name, folder, at, happens, within_s, kinds)
        whole(folder, alone)
        again = self.run(name, folder)
        assert again.code == 0, again.said
        whole(folder, alone)
        assert names(folder) == names(alone.after)
        assert numbers(folder) == numbers(alone.after)
        return ended


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def numbers(folder: Path) -> dict[str, object]:
    """Everything that must be the same whenever it is made: bytes, or a file's content without times."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix in {".h5", ".safetensors", ".png", ".jpg", ".md", ".svg"} or path.name == "scores.csv":
            found[str(path.relative_to(folder))] = sha256_of(path)
        elif path.name == "log.csv":
            found[str(path.relative_to(folder))] = path_without_times(path)
    return found


def path_without_times(path: Path) -> str:
    table = pd.read_csv(path)
    text: str = table.drop(columns=["seconds", "samples_per_s"]).to_csv()
    return text


def whole(folder: Path, alone: Alone) -> None:
    """What has a final name is whole."""
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        if not path.is_file() or any(part.startswith(".") and part != ".running" for part in parts):
            continue
        if path.name == "checkpoint.safetensors":
            assert checkpoint.load(path) is not None
        elif path.suffix == ".h5":
            with h5py.File(path) as file:
                assert "digest" in file.attrs
            assert sha256_of(path) == sha256_of(alone.after.joinpath(*parts))
        elif path.suffix in {".png", ".jpg"}:
            images.read(path)
        elif path.suffix in {".md", ".html", ".json"} or path.name == "quality.csv":
            assert path.read_bytes().endswith((b"\n", b"}"))
        elif path.suffix == ".safetensors":
            assert sha256_of(path) in {sha256_of(made) for made in alone.after.rglob("weights.safetensors")}
    for run in evidence.folders(folder / "results" / "runs"):
        evidence.read(run)


def crops() -> dict[str, dict[str, object]]:
    """The demo photographs, cut to a size at which a command takes a moment."""
    folder = DataFolder(Path("nowhere"))
    found: dict[str, dict[str, object]] = {}
    for name in ("demo-train", "demo-test"):
        origins = {file.name: registry._origin(folder, file) for file in registry.members(name)}
        found[name] = {f"{Path(file).stem}.png": images.read(path)[60:150, 60:150] for file, path in origins.items()}
    return found


def kills(workshop: Workshop, count: int) -> Iterator[tuple[str, int, int]]:
    """Commands in turn, each way to die in turn, at a change by chance."""
    chance = random.Random(SEED)
    for number in range(count):
        name = list(workshop.alone)[number % len(workshop.alone)]
        yield name, chance.randint(1, workshop.alone[name].changes), WAYS[number % 3]


@pytest.fixture
def small(forking: Forks, pretend: Callable[..., DataFolder], tmp_path: Path) -> Workshop:
    made_up = crops()
    folder = pretend(made_up)
    rows = tmp_path / "registry.json"
    rows.write_text(json.dumps([asdict(file) for file in registry.registry()]), encoding="utf-8")
    return Workshop(forking, tmp_path, "tasks:pretending_srrepro", str(rows), mirror=folder.mirror)


@pytest.fixture
def photographs(forking: Forks, tmp_path: Path) -> Workshop:
    return Workshop(forking, tmp_path, "tasks:srrepro")


def test_five_kills_change_nothing(small: Workshop) -> None:
    small.leave_alone("prepare", "train", "run-all")
    for name, at, happens in kills(small, 5):
        ended = small.kill(name, at, happens)
        print(f"seed {SEED}: {name}, change {at}, {happens}: {ended.code}")  # noqa: T201
        assert ended.code == -signal.SIGKILL


def test_a_kill_while_it_tidies_up_changes_nothing(small: Workshop) -> None:
    """All is done by then, so the second call has nothing to do but this."""
    small.leave_alone("prepare", "train")
    for name in small.alone:
        for at in (1, 3):
            assert small.kill(name, at, DIE_BEFORE, kinds="u").code == -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.parametrize(("names", "step"), [(["prepare"], 2), (["prepare", "train"], 1)], ids=["prepare", "train"])
def test_a_kill_at_every_change_changes_nothing(names: list[str], step: int, small: Workshop) -> None:
    """Of the last command; every second one, where there are hundreds."""
    small.leave_alone(*names)
    for at in range(1, small.alone[names[-1]].changes + 1, step):
        ended = small.kill(names[-1], at, WAYS[at // step % 3])
        assert ended.code == -signal.SIGKILL, ended
    print(f"{names[-1]}: killed at every {step}. of {small.alone[names[-1]].changes} changes")  # noqa: T201


@pytest.mark.slow
@pytest.mark.parametrize(("name", "count"), [("prepare", 15), ("train", 15), ("run-all", 12), ("report", 8)])
def test_fifty_kills_of_the_demo_change_nothing(name: str, count: int, photographs: Workshop) -> None:
    """At a random moment or a random change, in turns."""
    photographs.leave_alone(*list(COMMANDS)[: list(COMMANDS).index(name) + 1])
    chance, killed = random.Random(f"{SEED} {name}"), 0
    for number in range(count):
        at, within_s = chance.randint(1, photographs.alone[name].changes), None
        happens = chance.choice(WAYS)
        if number % 2:
            at, within_s = 0, chance.uniform(0, photographs.alone[name].seconds)
        ended = photographs.kill(name, at, happens, within_s)
        while within_s is not None and ended.code == 0:  # it was done by then
            within_s /= 2
            ended = photographs.kill(name, at, happens, within_s)
        killed += ended.code == -signal.SIGKILL
        print(f"seed {SEED}: {name}, change {at}, {happens}, {within_s}: {ended.code}")  # noqa: T201
    assert killed == count
