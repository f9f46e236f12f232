"""Unfinished runs that are carried from machine to machine: which of two copies to resume from, and when neither.

A run is trained in stretches, each by one process. Every stretch has a random id, so the ids of a copy are its descent:
a copy whose stretches begin with all of another's has continued from it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from srrepro.errors import InputError
from srrepro.evaluation import believed
from srrepro.progress import say
from srrepro.training import checkpoint
from srrepro.whole import part_of

CHECKPOINT = "checkpoint.safetensors"
OLD_CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """What one process trained of a run: `steps` after the first `begun_at`, in `seconds` of training steps.

    `made_with` says on what: device, mode, machine, threads, commit, versions.
    """

    id: str
    begun_at: int
    steps: int
    backprops: int
    seconds: float
    made_with: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A checkpoint as it was read; `values` are what the loop saved."""

    path: Path
    stretches: tuple[Stretch, ...]
    values: dict[str, Any]

    @property
    def step(self) -> int:
        return self.stretches[-1].begun_at + self.stretches[-1].steps

    @property
    def backprops(self) -> int:
        return sum(stretch.backprops for stretch in self.stretches)

    def continues(self, other: "Copy") -> bool:
        """Whether this holds all that the other does, or more."""
        ids, theirs = ([stretch.id for stretch in copy.stretches] for copy in (self, other))
        if ids[: len(theirs)] != theirs:
            return False
        branched = self.step if len(ids) == len(theirs) else self.stretches[len(theirs)].begun_at
        return branched >= other.step


def read(path: Path, run: str | None) -> Copy | None:
    """The checkpoint of a run, or of whichever run it is if None is named; None where there is no file.

    Raises
    ------
    InputError : the file is damaged, is no checkpoint, or is of another run.
    """
    values = checkpoint.load(path)
    if values is None:
        return None
    try:
        owner, state = values["run"], values["state"]
        if not isinstance(owner, str) or not isinstance(state, dict):
            raise checkpoint.damaged(path)
        stretches = tuple(Stretch(**stretch) for stretch in state["stretches"])
        _check(stretches, state.get("log", []))
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        raise checkpoint.damaged(path) from error
    if run is not None and owner != run:
        msg = (
            f"The run {run} was to be resumed from {path}, but that is of the run {owner}. Delete the file or give it "
            "the name of its run, or start anew: --fresh."
        )
        raise InputError(msg)
    if not stretches:
        raise checkpoint.damaged(path)
    return Copy(path=path, stretches=stretches, values=values)


def _check(stretches: Sequence[Stretch], log: list[dict[str, Any]]) -> None:
    """What is told of a run becomes numbers and words of its evidence. Errors as `believed.check`."""
    for stretch in stretches:
        counts = (stretch.begun_at, stretch.steps, stretch.backprops)
        if not isinstance(stretch.id, str) or any(type(count) is not int or count < 0 for count in counts):
            msg = f"{stretch.id} has no number of steps"
            raise ValueError(msg)
        believed.check_made_with(stretch.made_with | {"seconds": stretch.seconds})
    believed.check_log(log)


def newest(workplace: Path, carried: Path | None, run: str, *, says: bool = False) -> Copy | None:
    """What to resume a run from: the local checkpoint in `workplace`, or the carried file where that is further along.

    `says` tells the user about the latter.

    Raises
    ------
    InputError : both have advanced from what they share; one of them cannot be read; an older version wrote the local.
    """
    local = read(workplace / CHECKPOINT, run)
    if local is None and (workplace / OLD_CHECKPOINT).exists():
        msg = (
            f"The run {run} was to be resumed from {workplace / OLD_CHECKPOINT}, but an older version of srrepro wrote "
            "that, in a format that is no longer read. Use that version, or start anew: --fresh."
        )
        raise InputError(msg)
    other = read(carried, run) if carried is not None else None
    if local is None or other is None:
        return local or other
    if local.continues(other):
        return local
    if other.continues(local):
        if says:
            say(
                f"{other.path} has continued from the checkpoint in {workplace}: {other.backprops:,} backprops instead "
                f"of {local.backprops:,}"
            )
        return other
    msg = (
        f"The run {run} was to be resumed, but there are two copies of it that were trained apart from each other: "
        f"{local.path} has {local.backprops:,} backprops, {other.path} has {other.backprops:,}, and they share "
        f"{_shared(local, other):,}. Delete one of the two files, or start anew: --fresh."
    )
    raise InputError(msg)


def remove(workplace: Path, carried: Path | None) -> None:
    """Throw away every copy of an unfinished run that is here."""
    for path in (workplace / CHECKPOINT, workplace / OLD_CHECKPOINT):
        path.unlink(missing_ok=True)
    if carried is not None:
        discard(carried)


def discard(carried: Path) -> None:
    """Throw away a carried file, and what a killed process may have left of one."""
    carried.unlink(missing_ok=True)
    part_of(carried).unlink(missing_ok=True)


def evidence_of(stretches: Sequence[Stretch], versions: object) -> list[dict[str, Any]]:
    """Stretches as `run.json` lists them; their `versions` only where they are not those that the run ended with."""
    rows = []
    for stretch in stretches:
        made_with = {key: value for key, value in stretch.made_with.items() if (key, value) != ("versions", versions)}
        rows.append({"backprops": stretch.backprops, "seconds": stretch.seconds, **made_with})
    return rows


def _shared(first: Copy, second: Copy) -> int:
    """Backprops before two copies went apart."""
    shared = 0
    for ours, theirs in zip(first.stretches, second.stretches, strict=False):
        if ours.id != theirs.id:
            break
        shared += min(ours.backprops, theirs.backprops)
    return shared
