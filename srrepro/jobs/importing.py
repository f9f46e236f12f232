"""What came back from another machine: ended runs are measured here, unfinished ones lie ready to be resumed.

A machine that is lent for minutes may have no test sets, and no time to measure; its checkpoints are enough.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from torch import nn

from srrepro import claims
from srrepro.data.stores import prepare_training
from srrepro.errors import InputError
from srrepro.hardware import Hardware, Precision
from srrepro.jobs.carry_out import alone, leave_evidence, tidy
from srrepro.jobs.job import Workspace, test_sets
from srrepro.training import carry, checkpoint
from srrepro.training.carry import Copy
from srrepro.training.loop import State
from srrepro.training.run import SEEDS, Run


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """A checkpoint that is whole, and the run that it belongs to; `ended` if nothing is left to train."""

    copy: Copy
    run: Run
    network: nn.Module
    state: State
    ended: bool


def take(path: Path, workspace: Workspace) -> str:
    """Take in the checkpoint of one run; what became of it.

    Raises
    ------
    InputError : the file is no checkpoint, is of another recipe, store or version than those here, or was trained
        apart from what is here; the same run is under way in another process.
    """
    come = read(path, workspace)
    copy, kept, carried = come.copy, workspace.runs / come.run.name, workspace.carried(come.run.name)
    if kept.exists():
        tidy(come.run.name, workspace)
        return f"{kept} is there already"
    with alone(come.run.name, workspace) as workplace:
        here = carry.newest(workplace, carried, come.run.name)
        if here is not None and not copy.continues(here):
            msg = (
                f"{path} was to be taken in, with {copy.backprops:,} backprops, but {here.path} has "
                f"{here.backprops:,} and was trained apart from it, or is further along. Delete the one that is not "
                "wanted."
            )
            raise InputError(msg)
        if not come.ended:
            checkpoint.write(carried, path.read_bytes())
            return f"unfinished, {copy.backprops:,} backprops: {carried}; `srrepro train` resumes it"
        sets, made_with = test_sets(come.run.recipe.name), copy.stretches[-1].made_with
        leave_evidence(come.run, come.network, come.state, workspace, test_sets=sets, made_with=made_with)
    tidy(come.run.name, workspace)
    return f"ended: measured, {kept}"


def read(path: Path, workspace: Workspace) -> Arrival:
    """What a checkpoint holds, after its training store has been prepared. Errors as `take`."""
    if path.is_file() and path.suffix != ".safetensors":
        msg = (
            f"{path} was to be taken in, but no checkpoint of srrepro's is called {path.suffix}: they are .safetensors."
        )
        raise InputError(msg)
    try:
        copy = carry.read(path, None)
    except checkpoint.Unusable as error:
        raise _refusal(path, error.problem) from error
    if copy is None:
        msg = f"{path} was to be taken in, but there is no such file."
        raise InputError(msg)
    about, last = copy.values.get("about"), copy.stretches[-1].made_with
    if about is None:
        msg = f"{path} was to be taken in, but does not say of which recipe it is. Resume it with `srrepro train`."
        raise InputError(msg)
    try:
        _check(about, copy.values["state"])
        state = State(**copy.values["state"] | {"stretches": list(copy.stretches)})
        run = Run(
            recipe=claims.recipe(about["recipe"]),
            scale=about["scale"],
            seed=about["seed"],
            budget=about["budget"],
            hardware=Hardware(device=last["device"], precision=about["precision"], mode=last["mode"]),
            folder=workspace.folder,
        )
        network = run.network()
        network.load_state_dict(copy.values["network"])
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError, AssertionError) as error:
        raise _refusal(path, "is damaged") from error
    if not {"commit", "versions", "machine", "threads"} <= last.keys():
        raise _refusal(path, "is damaged")
    prepare_training(workspace.folder, run.shape)
    if run.name != copy.values["run"]:
        msg = (
            f"{path} was to be taken in, but is of the run {copy.values['run']}, and {about['recipe']} as it is here "
            f"makes {run.name}. Use the version that made it."
        )
        raise InputError(msg)
    ended = state.step >= run.course.steps
    if ended and (not state.log or state.log[-1].get("step") != state.step):
        raise _refusal(path, "is damaged")
    return Arrival(copy=copy, run=run, network=network, state=state, ended=ended)


def _check(about: dict[str, Any], state: dict[str, Any]) -> None:
    """What a run is named by becomes names of files and folders, so that it must be what `srrepro train` takes.

    Raises
    ------
    ValueError, KeyError : it is something else.
    """
    scale, seed, budget = about["scale"], about["seed"], about["budget"]
    named = isinstance(about["recipe"], str) and about["precision"] in get_args(Precision)
    scaled = scale is None or (type(scale) is int and scale in (2, 3, 4))
    counted = type(seed) is int and 0 <= seed < SEEDS and type(budget) in {int, float} and 0 < budget < math.inf
    far = type(state["step"]) is int and state["step"] >= 0 and type(state["seconds"]) in {int, float}
    if not (named and scaled and counted and far):
        msg = "it names no run"
        raise ValueError(msg)


def _refusal(path: Path, problem: str) -> InputError:
    return InputError(f"{path} was to be taken in, but that {problem}. Nothing was taken in; copy the file again.")
