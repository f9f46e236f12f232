"""What came back from another machine: ended runs are measured here, unfinished ones lie ready to be resumed.

A machine that is lent for minutes may have no test sets, and no time to measure; its checkpoints are enough.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from srrepro import claims
from srrepro.data.stores import prepare_training
from srrepro.errors import InputError
from srrepro.hardware import Hardware
from srrepro.jobs.carry_out import alone, leave_evidence
from srrepro.jobs.job import Workspace, test_sets
from srrepro.training import carry, checkpoint
from srrepro.training.carry import Copy
from srrepro.training.loop import State
from srrepro.training.run import Run


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
            carried.parent.mkdir(parents=True, exist_ok=True)
            checkpoint.write(carried, path.read_bytes())
            return f"unfinished, {copy.backprops:,} backprops: {carried}; `srrepro train` resumes it"
        sets, made_with = test_sets(come.run.recipe.name), copy.stretches[-1].made_with
        leave_evidence(come.run, come.network, come.state, workspace, test_sets=sets, made_with=made_with)
        carried.unlink(missing_ok=True)
    shutil.rmtree(workplace)
    return f"ended: measured, {kept}"


def read(path: Path, workspace: Workspace) -> Arrival:
    """What a checkpoint holds, after its training store has been prepared. Errors as `take`."""
    if path.is_file() and path.suffix != ".safetensors":
        msg = (
            f"{path} was to be taken in, but no checkpoint of srrepro's is called {path.suffix}: they are .safetensors."
        )
        raise InputError(msg)
    copy = carry.read(path, None)
    if copy is None:
        msg = f"{path} was to be taken in, but there is no such file."
        raise InputError(msg)
    about, last = copy.values.get("about"), copy.stretches[-1].made_with
    if about is None:
        msg = f"{path} was to be taken in, but does not say of which recipe it is. Resume it with `srrepro train`."
        raise InputError(msg)
    try:
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
    except (KeyError, TypeError, AttributeError, RuntimeError, AssertionError) as error:
        raise checkpoint.damaged(path) from error
    if not {"commit", "versions", "machine", "threads"} <= last.keys():
        raise checkpoint.damaged(path)
    prepare_training(workspace.folder, run.shape)
    if run.name != copy.values["run"]:
        msg = (
            f"{path} was to be taken in, but is of the run {copy.values['run']}, and {about['recipe']} as it is here "
            f"makes {run.name}. Use the version that made it."
        )
        raise InputError(msg)
    ended = state.step >= run.course.steps
    if ended and (not state.log or state.log[-1].get("step") != state.step):
        raise checkpoint.damaged(path)
    return Arrival(copy=copy, run=run, network=network, state=state, ended=ended)
