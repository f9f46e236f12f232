"""What a suite needs before it begins: images fetched and verified, stores built; a mirror to carry them in."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from srrepro import models
from srrepro.data.registry import (
    PACKAGED,
    DataFolder,
    complete_mirror,
    fetch,
    hosts_of,
    is_present,
    members,
    sets,
    ways_out,
)
from srrepro.data.stores import EvaluationShape, TrainingShape, prepare_evaluation, prepare_training
from srrepro.errors import InputError, Lacking, Unreachable
from srrepro.jobs.job import SCALES
from srrepro.training.run import Run

EVALUATION_SETS = ("val20", "Set5", "Set14", "B100", "Urban100", "demo-test")


def prepare(folder: DataFolder, names: Sequence[str], *, tell: Callable[[str], None]) -> bool:
    """Fetch, verify and build all that recipes and evaluation need of the named sets, or of every set.

    `tell` is given a line for every set as soon as it is done with: `ready already`, `fetched ...`; where no set was
    named, also `lacking: ...`. Returned is whether there was anything to do.

    Raises
    ------
    InputError : a set that was asked for by name is unknown or cannot be had.
    Lacking : nobody answers in the network. That is found out once, and all else is prepared before.
    """
    return _each(names, lambda name: _prepare_set(folder, name), lambda name: hosts_of(folder, name), tell)


def to_mirror(folder: DataFolder, names: Sequence[str], mirror: Path, *, tell: Callable[[str], None]) -> bool:
    """Make a mirror of the named sets, or of every set, for a machine without a network.

    Told, returned and raised is what `prepare` does.
    """

    def bring(name: str) -> str:
        files = [file for file in members(name) if not file.url.startswith(PACKAGED)]
        if not files:
            return f"{READY}, ships with scikit-image"
        size = f"{len(files)} files, {sum(file.bytes for file in files) / 1e6:.1f} MB"
        brought = complete_mirror(mirror, folder, name)
        return f"{brought} of {size}, brought and verified" if brought else f"{READY}, {size}"

    return _each(names, bring, lambda name: hosts_of(folder, name, mirror=mirror), tell)


READY = "ready already"


def _each(
    names: Sequence[str], do: Callable[[str], str], hosts: Callable[[str], set[str]], tell: Callable[[str], None]
) -> bool:
    """Do it for every set; one whose hosts have not answered is passed over, and named in the end."""
    asked = [part for name in names for part in (("demo-train", "demo-test") if name == "demo" else (name,))]
    for name in asked:
        members(name)  # a name that is wrong is told before the others are fetched
    busy, silent, waiting = False, dict[str, str](), list[str]()
    for name in asked or _all_sets():
        if silent and silent.keys() & hosts(name):
            waiting.append(name)
            continue
        try:
            done = do(name)
        except Unreachable as error:
            silent[error.host] = error.reason
            waiting.append(name)
            continue
        except InputError as error:
            if asked:
                raise
            done = f"lacking: {error}"
        tell(f"{name}: {done}")
        busy |= not done.startswith(READY)
    if waiting:
        whom = ", ".join(f"{host} could not be reached ({reason})" for host, reason in silent.items())
        lacking = f"{whom}, so these sets are lacking: {', '.join(waiting)}."
        msg = f"{lacking} {ways_out(*(waiting if asked else ()))}"
        raise Lacking(msg)
    return busy


def training_shapes(name: str) -> list[TrainingShape]:
    """The stores that the recipes train on, of one set."""
    shapes: dict[TrainingShape, None] = {}
    for recipe in models.recipes().values():
        if recipe.training is None or recipe.training.set != name:
            continue
        for scale in [None] if recipe.training.scales else [3] if name.startswith("demo") else SCALES:
            with suppress(InputError):  # fsrcnn is trained at one scale only; who asks for another is told so
                shapes[Run(recipe=recipe, scale=scale).shape] = None
    return list(shapes)


def _all_sets() -> list[str]:
    return [name for name in sets() if not name.startswith("goldens")]  # those are for the tests only


def _prepare_set(folder: DataFolder, name: str) -> str:
    before = {path.name for path in folder.stores.glob("*.h5")}
    lacked = not all(is_present(folder, file) for file in members(name))
    fetch(folder, name)
    for shape in training_shapes(name):
        prepare_training(folder, shape)
    if name in EVALUATION_SETS:
        for scale in SCALES:
            prepare_evaluation(folder, EvaluationShape(name, scale))
    built = sorted({path.name for path in folder.stores.glob("*.h5")} - before)
    if not lacked and not built:
        return READY
    return ", ".join([*(["fetched and verified"] if lacked else []), *(f"built {store}" for store in built)])
