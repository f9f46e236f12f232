"""`srrepro report --check`: whether the evidence is whole, and everything made from it still says what it says."""

from collections.abc import Iterator
from pathlib import Path

from srrepro import models
from srrepro.data.registry import sha256_of
from srrepro.errors import InputError
from srrepro.evaluation.weights import shipped
from srrepro.models.recipe import digest
from srrepro.reporting.evidence import WEIGHTS, Evidence, folders, read
from srrepro.reporting.tables import differing


def audit(results: Path, readme: Path | None) -> list[str]:
    """Everything that is wrong, one sentence each; an empty list if nothing is.

    Run folders must be whole, of one protocol and of recipes as they are now, and no two may claim a row; weights must
    be those that their run names; generated files must hold what `srrepro report` would write.
    """
    problems: list[str] = []
    for folder in folders(results / "runs"):
        try:
            problems += _of_a_run(folder, read(folder))
        except InputError as error:
            problems.append(str(error))
    if problems:  # what would be made from these folders cannot be told
        return problems
    try:
        files = differing(results, readme)
    except InputError as error:
        return [str(error)]
    return [f"{path} differs from its sources. Run `srrepro report`." for path in files]


def _of_a_run(folder: Path, run: Evidence) -> Iterator[str]:
    if run.subject.origin != "trained":
        return
    if digest(run.about.get("recipe")) != digest(models.recipe(run.subject.name)):
        name = run.subject.name
        yield f"{folder} was made by another {name} than the one here. Give this one a name of its own, or train it."
    if not run.log:
        yield f"{folder} has no log.csv, though something was trained. Restore it, or delete the folder."
    named = run.about.get("weights_sha256")
    if named is None:
        yield f"{folder / 'run.json'} names no weights_sha256, though something was trained."
    places = [folder / WEIGHTS]
    if (run.subject.seed, run.subject.budget) == (0, 1):  # the run that ships
        places += {shipped(run.subject.name, score.scale) for score in run.scores}
    for path in places:
        if named is not None and path.exists() and sha256_of(path) != named:
            yield f"{path} is not what {folder / 'run.json'} names by its sha256. Restore the one or the other."
