"""What a suite needs before it begins: images fetched and verified, stores built."""

from collections.abc import Sequence

from srrepro import models
from srrepro.data.registry import DataFolder, fetch, is_present, members, sets
from srrepro.data.stores import EvaluationShape, TrainingShape, prepare_evaluation, prepare_training
from srrepro.errors import InputError
from srrepro.jobs.job import SCALES
from srrepro.training.run import Run

EVALUATION_SETS = ("val20", "Set5", "Set14", "B100", "Urban100", "demo-test")


def prepare(folder: DataFolder, names: Sequence[str]) -> dict[str, str]:
    """Fetch, verify and build all that recipes and evaluation need of the named sets, or of every set.

    Returns
    -------
    What was done, by set: `ready already`, `fetched ...`; of every set also `lacking: ...`.

    Raises
    ------
    InputError : a set that was asked for by name is unknown or cannot be had.
    """
    wanted = [part for name in names for part in (("demo-train", "demo-test") if name == "demo" else (name,))]
    report = {}
    for name in wanted or _all_sets():
        try:
            report[name] = _prepare_set(folder, name)
        except InputError as error:
            if wanted:
                raise
            report[name] = f"lacking: {error}"
    return report


def training_shapes(name: str) -> list[TrainingShape]:
    """The stores that the recipes train on, of one set."""
    runs = [
        Run(recipe=recipe, scale=scale)
        for recipe in models.recipes().values()
        if recipe.training is not None and recipe.training.set == name
        for scale in ([None] if recipe.training.scales else [3] if name.startswith("demo") else SCALES)
    ]
    return list(dict.fromkeys(run.shape for run in runs))


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
        return "ready already"
    return ", ".join([*(["fetched and verified"] if lacked else []), *(f"built {store}" for store in built)])
