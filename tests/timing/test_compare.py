"""Two commits in turns: real slowdowns are found in noise, noise alone is none, and nothing is no answer."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Collection
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from srrepro import cli
from srrepro.errors import InputError
from srrepro.git import git
from srrepro.timing import compare as module
from srrepro.timing import turn
from srrepro.timing.compare import FEWEST, MOST, Comparison, Turn, compare, in_turns
from srrepro.verbs import judging

SAME = [1.0, 2.0]
TURN = Path(turn.__file__)


def machine(noise: float, seed: int, work_noise: float | None = None) -> Callable[[float], Turn]:
    """A machine where times scatter, and where every tenth is doubled by somebody else's work."""
    random = np.random.default_rng(seed)

    def time(ms: float, noise: float) -> float:
        return ms * float(np.exp(random.normal(0, noise))) * (2 if random.random() < 0.1 else 1)

    def commit(ms: float) -> Turn:
        return lambda _: {"step": [time(ms, noise), time(2 * ms, noise if work_noise is None else work_noise)]}

    return commit


@pytest.mark.parametrize("noise", [0.01, 0.05, 0.1, 0.3])
def test_noise_is_no_slowdown(noise: float) -> None:
    for seed in range(50):
        commit = machine(noise, seed)
        (found,) = in_turns(commit(10.0), commit(10.0))
        assert found.verdict != "slower", (seed, found)


@pytest.mark.parametrize(("noise", "least"), [(0.01, 98), (0.05, 95), (0.1, 80)])
def test_a_step_slowed_by_a_fifth_is_found(noise: float, least: int) -> None:
    found = [in_turns(machine(noise, seed)(10.0), machine(noise, seed + 1000)(12.0))[0] for seed in range(50)]
    assert 2 * sum(one.verdict == "slower" for one in found) >= least
    assert {one.rounds for one in found} <= set(range(FEWEST, MOST + 1))


def test_where_the_clock_scatters_the_work_decides() -> None:
    found = [in_turns(machine(0.5, seed, 0.03)(10.0), machine(0.5, seed + 1000, 0.03)(12.0))[0] for seed in range(50)]
    assert sum(one.verdict == "slower" for one in found) >= 48
    found = [in_turns(machine(0.5, seed, 0.03)(10.0), machine(0.5, seed + 1000, 0.03)(10.0))[0] for seed in range(50)]
    verdicts = [one.verdict for one in found]
    assert verdicts.count("not slower") >= 46, verdicts
    assert "slower" not in verdicts


def test_waiting_is_slower_though_it_is_no_work() -> None:
    (found,) = in_turns(lambda _: {"step": [10.0, 20.0]}, lambda _: {"step": [12.0, 20.0]})
    assert (found.verdict, found.ratio, found.work_ratio) == ("slower", 1.2, 1.0)


@pytest.mark.parametrize(("slower", "noise"), [(1.2, 0.05), (1.2, 0.1), (1.5, 0.2), (2.0, 0.3)])
def test_work_that_stays_the_same_does_not_acquit_waiting(slower: float, noise: float) -> None:
    """Locks, lost threads, sleep: the processors' clock, which hardly scatters, sees nothing."""
    verdicts = []
    for seed in range(50):
        waits = machine(noise, seed + 1000, 0.03)(10.0)
        (found,) = in_turns(
            machine(noise, seed, 0.03)(10.0),
            lambda _, waits=waits: {"step": [waits([])["step"][0] * slower, waits([])["step"][1]]},
        )
        verdicts.append(found.verdict)
    assert verdicts.count("not slower") <= 5, verdicts


def test_a_faster_commit_passes() -> None:
    (found,) = in_turns(lambda _: {"step": [2.0, 2.0]}, lambda _: {"step": [1.0, 1.0]})
    assert (found.ratio, found.verdict, found.rounds) == (0.5, "not slower", FEWEST)


def test_commits_take_turns_in_going_first() -> None:
    order: list[str] = []
    in_turns(lambda _: (order.append("before"), {"step": SAME})[1], lambda _: (order.append("now"), {"step": SAME})[1])
    assert order[:4] == ["before", "now", "now", "before"]
    assert len(order) == 2 * FEWEST


def test_what_is_acquitted_is_not_timed_again() -> None:
    uncertain = machine(0.3, 0)(10.0)

    def turn(acquitted: Collection[str]) -> dict[str, list[float]]:
        assert set(acquitted) <= {"quiet"}
        timed = {"quiet": SAME, "noisy": uncertain([])["step"]}
        return {task: timed[task] for task in timed if task not in acquitted}

    quiet, noisy = in_turns(turn, turn)
    assert (quiet.verdict, quiet.rounds) == ("not slower", FEWEST)
    assert noisy.rounds > FEWEST


# Real commits of a made-up srrepro that takes as long as it says.

FAKE_TURN = """
import json, sys, srrepro
print(json.dumps({"srrepro": srrepro.__file__, "ms": {task: [srrepro.MS, 2 * srrepro.MS] for task in sys.argv[1:]}}))
"""


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tags: `quick` takes 10 ms, `same` too, `slow` 12; the last commit, `broken`, cannot be imported."""
    clone = tmp_path / "clone"
    package = clone / "srrepro" / "__init__.py"
    for path in (package.parent, clone / "bench"):
        path.mkdir(parents=True)
    (clone / "bench" / "turn.py").write_text(FAKE_TURN)
    git(clone, "init", "-q")
    for tag, source in (
        ("quick", "MS = 10.0"),
        ("same", "MS = 10.00"),
        ("slow", "MS = 12.0"),
        ("broken", "import nothing_like_it"),
    ):
        package.write_text(source + "\n")
        git(clone, "add", "-A")
        git(clone, "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-qm", tag)
        git(clone, "tag", tag)
    monkeypatch.chdir(clone)
    return clone


def ends(clone: Path) -> None:
    """Nothing is left of the worktrees."""
    assert len(git(clone, "worktree", "list").splitlines()) == 1


def test_a_slower_commit_fails_the_command(clone: Path) -> None:
    git(clone, "checkout", "-q", "slow")
    result = CliRunner().invoke(cli.main, ["bench", "--compare", "quick", "--model", "srcnn-915", "--json"])
    assert result.exit_code == 1, result.output
    assert "slower than quick: srcnn-915" in result.stderr
    (row,) = json.loads(result.stdout)
    assert (row["before_ms"], row["now_ms"], row["verdict"], row["rounds"]) == (10.0, 12.0, "slower", FEWEST)
    ends(clone)


def test_the_same_speed_passes_the_command(clone: Path) -> None:
    git(clone, "checkout", "-q", "same")
    result = CliRunner().invoke(cli.main, ["bench", "--compare", "quick", "--model", "srcnn-915"])
    assert result.exit_code == 0, result.output
    assert "not slower" in result.stdout
    result = CliRunner().invoke(cli.main, ["bench", "--compare", "HEAD", "--model", "srcnn-915"])
    assert result.exit_code == 2
    assert "they are one and the same" in result.stderr


def test_a_comparison_that_measured_nothing_fails(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    undecided, decided = (Comparison(f"task {p}", 1, 1, 1, 1, 0.5, p, 50) for p in (0.5, 0.0))
    for found, code, message in (
        ([], 1, "nothing was compared"),
        ([undecided, undecided], 1, "nothing was compared"),
        ([undecided, decided], 0, "undecided, times scatter too much here: task 0.5"),
    ):
        monkeypatch.setattr(judging, "compare", lambda revision, names, found=found: found)
        result = CliRunner().invoke(cli.main, ["bench", "--compare", "quick"])
        assert result.exit_code == code
        assert message in result.stderr


def test_what_cannot_be_compared_is_named(clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        InputError, match=r"This commit and nowhere were to be timed, but git says: fatal: Needed .*\. Is it fetched\?"
    ):
        compare("nowhere", ["a"])
    with pytest.raises(InputError, match="nothing_like_it"):
        compare("quick", ["a"])
    ends(clone)
    git(clone, "checkout", "-q", "slow")
    git(clone, "rm", "-q", "bench/turn.py")
    git(clone, "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-qm", "without")
    with pytest.raises(InputError, match=r"has no srrepro/timing/turn\.py"):
        compare("quick", ["a"])
    ends(clone)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"not a git repository.*\. Run this in a clone\."):
        compare("quick", ["a"])
    result = CliRunner().invoke(cli.main, ["bench", "--compare", "quick", "--task", "train"])
    assert result.exit_code == 2


def test_an_ended_comparison_leaves_nothing(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(module, "_turn", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(KeyboardInterrupt):
        compare("quick", ["a"])
    ends(clone)
    assert signal.getsignal(signal.SIGTERM) is usual


def test_the_real_turn_prints_its_times() -> None:
    """In a fraction of its seconds."""
    words = [sys.executable, "-c", "import turn; turn.SECONDS = 0.2; turn.main()"]
    words += ["srcnn-915", "--without=srcnn-915, inference"]
    done = subprocess.run(words, cwd=TURN.parent, check=True, capture_output=True, text=True)
    answer = json.loads(done.stdout)
    assert list(answer["ms"]) == ["srcnn-915, training step", "degradation"]
    assert all(passed > 0 and worked > 0 for passed, worked in answer["ms"].values())


def test_slower_means_beyond_the_noise() -> None:
    assert Comparison("a", 1, 2, 1.2, 1.2, 0.0001, 0.5, 10).verdict == "slower"
    assert Comparison("a", 1, 2, 1.2, 1.2, 0.0003, 0.5, 10).verdict == "undecided"
    assert Comparison("a", 1, 2, 1.0, 1.0, 0.9, 0.0001, 10).verdict == "not slower"
