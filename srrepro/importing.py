"""What came back from another machine: ended runs are measured here, unfinished ones lie ready to be resumed.

A machine that is lent for minutes may have no test sets, and no time to measure; its checkpoints are enough.
"""

import shutil
from pathlib import Path

from filelock import FileLock, Timeout
from torch import nn

from srrepro import models
from srrepro.data.stores import count_training, prepare_training
from srrepro.errors import InputError
from srrepro.suites import Workshop, leave_evidence, test_sets
from srrepro.training import carry, checkpoint
from srrepro.training.carry import Copy
from srrepro.training.loop import Run, State


def take(path: Path, shop: Workshop) -> str:
    """Take in the checkpoint of one run; what became of it.

    Raises
    ------
    InputError : the file is no checkpoint, is of another recipe, store or version than those here, or was trained
        apart from what is here; the same run is under way in another process.
    """
    copy, run, network, state = read(path, shop)
    name = run.name(shop.folder)
    kept, carried, workplace = shop.runs / name, shop.carried(name), shop.running / name
    if kept.exists():
        return f"{kept} is there already"
    workplace.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(workplace / "lock", timeout=0):
            here = carry.newest(workplace, carried, name)
            if here is not None and not copy.continues(here):
                msg = (
                    f"{path} was to be taken in, with {copy.backprops:,} backprops, but {here.path} has "
                    f"{here.backprops:,} and was trained apart from it, or is further along. Delete the one that is "
                    "not wanted."
                )
                raise InputError(msg)
            if state.step < run.course(count_training(shop.folder, run.shape)).steps:
                carried.parent.mkdir(parents=True, exist_ok=True)
                checkpoint.write(carried, path.read_bytes())
                return f"unfinished, {copy.backprops:,} backprops: {carried}; `srrepro train` resumes it"
            made_with = copy.stretches[-1].made_with
            sets = test_sets(run.recipe.name)
            leave_evidence(run, network, state, shop, test_sets=sets, made_with=made_with)
            carried.unlink(missing_ok=True)
    except Timeout as error:
        msg = f"{path} was to be taken in, but the run {name} is under way in another process. Wait for it, or stop it."
        raise InputError(msg) from error
    shutil.rmtree(workplace)
    return f"ended: measured, {kept}"


def read(path: Path, shop: Workshop) -> tuple[Copy, Run, nn.Module, State]:
    """A checkpoint, the run that it belongs to, whose training store is prepared, its network and how far it is.

    Errors as `take`.
    """
    if not path.is_file():
        msg = f"{path} was to be taken in, but there is no such file."
        raise InputError(msg)
    values = checkpoint.load(path) or {}
    about = values.get("about")
    if about is None:
        msg = f"{path} was to be taken in, but does not say of which recipe it is. Resume it with `srrepro train`."
        raise InputError(msg)
    try:
        copy = carry.read(path, str(values["run"]))
        assert copy is not None, "the file was there"
        state = State(**values["state"] | {"stretches": list(copy.stretches)})
        last = copy.stretches[-1].made_with
        run = Run(
            recipe=models.recipe(about["recipe"]),
            scale=about["scale"],
            seed=about["seed"],
            budget=about["budget"],
            precision=about["precision"],
            device=last["device"],
            mode=last["mode"],
        )
        network = run.recipe.network()
        network.load_state_dict(values["network"])
        whole = {"commit", "versions", "machine", "threads"} <= last.keys()
    except (KeyError, TypeError, AttributeError, RuntimeError, AssertionError) as error:
        raise checkpoint.damaged(path) from error
    if not whole:
        raise checkpoint.damaged(path)
    prepare_training(shop.folder, run.shape)
    name = run.name(shop.folder)
    if name != values["run"]:
        msg = (
            f"{path} was to be taken in, but is of the run {values['run']}, and {about['recipe']} as it is here makes "
            f"{name}. Use the version that made it."
        )
        raise InputError(msg)
    ended = state.step >= run.course(count_training(shop.folder, run.shape)).steps
    if ended and (not state.log or state.log[-1].get("step") != state.step):
        raise checkpoint.damaged(path)
    return copy, run, network, state
