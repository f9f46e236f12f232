"""Two commits timed in turns, each in a worktree and in processes of its own: has anything become slower?

Every round starts one process of each commit, in alternating order, so what else the machine does meets both alike.
The noise is not assumed but read off the scatter of all rounds: the rank test of Mann and Whitney says how probable
times so much longer are if the truth were `TOLERANCE`, and a task is slower when that is below `DOUBT`. Ranks, because
other work makes single times several times as long, and a mean would follow them. Two clocks are read: on a machine
that is busy otherwise the time that passes scatters widely, the time that the processors worked for the task does not.
Either may convict; one acquits for both only where the other does not speak against it: waiting is no work.
A task that is acquitted is not timed again, so that rounds soon cost little.
"""

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.stats import mannwhitneyu

from srrepro.errors import InputError
from srrepro.git import apart, git
from srrepro.progress import say

TOLERANCE = 1.05
"""Smaller slowdowns are let pass: the layout of a process in memory alone moves a task by some percent."""
DOUBT = 0.0002
FEWEST, MOST = 10, 50
"""Rounds: as many as it takes to prove a slowdown, or to exclude one of 15 %."""
EXCLUDED = 1.15
SUSPICION = 0.3
"""Below such a chance, the clock that does not acquit speaks against it."""
TURNS = ("srrepro/timing/turn.py", "bench/turn.py")
"""Where it lies, and where it lay before."""
Timed = dict[str, list[float]]
"""By task, milliseconds that passed, and that the processors worked."""
Turn = Callable[[Collection[str]], Timed]
"""Times all tasks but those of the given names."""


@dataclass(frozen=True)
class Comparison:
    """One task in milliseconds, medians over the rounds; ratios now through before, `work_ratio` of processor time.

    `chance` of times like these if it were slower by `TOLERANCE` only, and `chance_if_slow` if it were by `EXCLUDED`;
    each by the clock that says so more clearly, the second only where the other clock does not speak against it.
    """

    task: str
    before_ms: float
    now_ms: float
    ratio: float
    work_ratio: float
    chance: float
    chance_if_slow: float
    rounds: int

    @property
    def verdict(self) -> Literal["slower", "not slower", "undecided"]:
        if self.chance < DOUBT:
            return "slower"
        return "not slower" if self.chance_if_slow < DOUBT else "undecided"


def compare(revision: str, models: Sequence[str]) -> list[Comparison]:
    """The commit that is checked out beside `revision`; what is not committed is not timed.

    Raises
    ------
    InputError : this is no clone, there is no such commit, or a commit cannot be timed.
    """
    asked = f"This commit and {revision} were to be timed"
    clone = Path(_git(Path.cwd(), "rev-parse", "--show-toplevel", asked=asked, advice="Run this in a clone."))
    before = _git(clone, "rev-parse", "--verify", f"{revision}^{{commit}}", asked=asked, advice="Is it fetched?")
    now = _git(clone, "rev-parse", "--verify", "HEAD", asked=asked, advice="Commit something first.")
    if before == now:
        msg = f"{asked}, but they are one and the same. Name an earlier commit, or commit what is to be timed."
        raise InputError(msg)
    if _git(clone, "status", "--porcelain", "--untracked-files=no", asked=asked):
        say("what is not committed is not timed")
    with _ended_like_interrupted(), _worktree(clone, before) as old, _worktree(clone, now) as new:
        return in_turns(
            lambda acquitted: _turn(old, models, acquitted),
            lambda acquitted: _turn(new, models, acquitted),
        )


def in_turns(before: Turn, now: Turn) -> list[Comparison]:
    """Rounds of one turn each, until one task is slower or every one is decided."""
    rounds: dict[str, list[tuple[list[float], list[float]]]] = {}
    found: dict[str, Comparison] = {}
    for number in range(1, MOST + 1):
        acquitted = [task for task, one in found.items() if one.verdict == "not slower"]
        if number % 2:
            old, new = before(acquitted), now(acquitted)
        else:
            new, old = now(acquitted), before(acquitted)
        say(f"round {number} of {FEWEST} to {MOST}, {len(old)} tasks")
        for task in old:
            rounds.setdefault(task, []).append((old[task], new[task]))
        if number < FEWEST:
            continue
        found |= {task: _compared(task, rounds[task]) for task in old}
        verdicts = {one.verdict for one in found.values()}
        if "slower" in verdicts or "undecided" not in verdicts:
            break
    return list(found.values())


def _compared(task: str, rounds: Sequence[tuple[list[float], list[float]]]) -> Comparison:
    before, now = (np.array(clocks).T for clocks in zip(*rounds, strict=True))
    medians = np.median(before, axis=1), np.median(now, axis=1)
    ratio, work_ratio = medians[1] / medians[0]
    chance = mannwhitneyu(now, before * TOLERANCE, alternative="greater", axis=1).pvalue
    if_slow = mannwhitneyu(now, before * EXCLUDED, alternative="less", axis=1).pvalue
    alone = if_slow[chance[::-1] > SUSPICION]  # of the clocks that may acquit for both
    return Comparison(
        task=task,
        before_ms=float(medians[0][0]),
        now_ms=float(medians[1][0]),
        ratio=float(ratio),
        work_ratio=float(work_ratio),
        chance=float(chance.min()),
        chance_if_slow=float(min([if_slow.max(), *alone])),
        rounds=len(rounds),
    )


def _turn(worktree: Path, models: Sequence[str], acquitted: Collection[str]) -> Timed:
    """By its own `turn.py`: a commit knows how to take its steps, and what the tasks are stays the same."""
    script = next((worktree / place for place in TURNS if (worktree / place).is_file()), None)
    if script is None:
        msg = f"The commit in {worktree} was to be timed, but has no {TURNS[0]}. Name one of srrepro's that has."
        raise InputError(msg)
    done = subprocess.run(
        [sys.executable, str(script), *models, *(f"--without={task}" for task in acquitted)],
        cwd=worktree,
        env=apart() | {"PYTHONPATH": str(worktree), "OMP_WAIT_POLICY": "passive"},  # spinning passes for work
        capture_output=True,
        text=True,
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        msg = f"The commit in {worktree} was to be timed by {script.name}, but that failed: {reason[0]}"
        raise InputError(msg)
    answer = json.loads(done.stdout)
    if not Path(answer["srrepro"]).is_relative_to(worktree):
        msg = f"The commit in {worktree} was to be timed, but Python loads {answer['srrepro']}. Uninstall that one."
        raise InputError(msg)
    timed: Timed = answer["ms"]
    return timed


@contextmanager
def _ended_like_interrupted() -> Iterator[None]:
    """SIGTERM means what Ctrl-C does, so that worktrees are removed before the process ends."""
    try:
        usual = signal.signal(signal.SIGTERM, signal.default_int_handler)
    except ValueError:  # only the main thread may listen
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, usual)


@contextmanager
def _worktree(clone: Path, commit: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="srrepro-") as folder:
        worktree = Path(folder).resolve() / commit[:12]
        asked = f"A worktree of {commit} was to be made in {folder}"
        _git(clone, "worktree", "add", "--detach", str(worktree), commit, asked=asked)
        try:
            yield worktree
        finally:
            _git(clone, "worktree", "remove", "--force", str(worktree), asked=asked)


def _git(folder: Path, *words: str, asked: str, advice: str = "") -> str:
    try:
        return git(folder, *words)
    except OSError as error:
        msg = f"{asked}, but git could not be started ({error}). Install it."
        raise InputError(msg) from error
    except subprocess.CalledProcessError as error:
        msg = f"{asked}, but git says: {error.stderr.strip()}. {advice}".strip()
        raise InputError(msg) from error
