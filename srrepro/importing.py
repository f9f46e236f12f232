"""What came back from another machine: ended runs are measured here, unfinished ones lie ready to be resumed.

A machine that is lent for minutes may have no test sets, and no time to measure; its checkpoints are enough.
"""

import shutil
from pathlib import Path
from typing import Any

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
        apart from what is here.
    """
    copy, run = read(path, shop)
    kept, carried = shop.runs / copy.values["run"], shop.carried(copy.values["run"])
    state = State(**copy.values["state"] | {"stretches": list(copy.stretches)})
    if kept.exists():
        return f"{kept} is there already"
    if state.step == run.course(count_training(shop.folder, run.shape)).steps:
        network = run.recipe.network()
        network.load_state_dict(copy.values["network"])
        leave_evidence(
            run,
            network,
            state,
            shop,
            test_sets=test_sets(run.recipe.name),
            made_with=copy.stretches[-1].made_with,
        )
        shutil.rmtree(shop.running / kept.name)
        carried.unlink(missing_ok=True)
        return f"ended: measured, {kept}"
    here = carry.newest(shop.running / kept.name, carried, kept.name)
    if here is not None and not copy.continues(here):
        msg = (
            f"{path} was to be taken in, with {copy.backprops:,} backprops, but {here.path} has {here.backprops:,} and "
            "was trained apart from it, or is further along. Delete the one that is not wanted."
        )
        raise InputError(msg)
    carried.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.write(carried, path.read_bytes())
    return f"unfinished, {copy.backprops:,} backprops: {carried}; `srrepro train` resumes it"


def read(path: Path, shop: Workshop) -> tuple[Copy, Run]:
    """A checkpoint and the run that it belongs to, whose training store is prepared. Errors as `take`."""
    if not path.is_file():
        msg = f"{path} was to be taken in, but there is no such file."
        raise InputError(msg)
    values: dict[str, Any] = checkpoint.load(path) or {}
    about = values.get("about")
    if about is None:
        msg = f"{path} was to be taken in, but does not say of which recipe it is. Resume it with `srrepro train`."
        raise InputError(msg)
    copy = carry.read(path, str(values["run"]))
    assert copy is not None, "the file was there"
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
    prepare_training(shop.folder, run.shape)
    name = run.name(shop.folder)
    if name != values["run"]:
        msg = (
            f"{path} was to be taken in, but is of the run {values['run']}, and {about['recipe']} as it is here makes "
            f"{name}. Use the version that made it."
        )
        raise InputError(msg)
    return copy, run
