"""`srrepro report --check`: whether the evidence is whole, and everything made from it still says what it says."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from srrepro import models
from srrepro.data.registry import sha256_of
from srrepro.errors import InputError
from srrepro.evaluation.protocol import PROTOCOLS
from srrepro.evaluation.weights import PLACE, SHIPPING, shipped
from srrepro.models.recipe import Recipe, described, digest
from srrepro.reporting.evidence import WEIGHTS, Evidence, folders, read
from srrepro.reporting.tables import differing


def audit(results: Path, readme: Path | None) -> list[str]:
    """Everything that is wrong, one sentence each; an empty list if nothing is.

    Run folders must be whole, each of one protocol that is known here and of recipes as they are now, and no two may
    claim a row; weights must be those that a run names; generated files must hold what `srrepro report` would write.
    """
    found = folders(results / "runs")
    if not found:
        return [f"{results / 'runs'} holds no evidence, so there is nothing to be compared."]
    problems: list[str] = []
    runs: list[Evidence] = []
    for folder in found:
        try:
            run = read(folder)
            problems += _of_a_run(folder, run)
        except InputError as error:
            problems.append(str(error))
        else:
            runs.append(run)
    problems += [*_of_measured_weights(runs), *_of_what_ships(runs)]
    if len(runs) < len(found):  # what would be made from all of them cannot be told
        return problems
    try:
        files = differing(results, readme)
    except InputError as error:
        return [*problems, str(error)]
    return [*problems, *(f"{path} differs from its sources. Run `srrepro report`." for path in files)]


def _of_a_run(folder: Path, run: Evidence) -> Iterator[str]:
    protocols = sorted({score.protocol for score in run.scores})
    if len(protocols) > 1 or protocols[0] not in PROTOCOLS:
        yield f"{folder} holds numbers of {' and '.join(protocols)}, not of one of: {', '.join(PROTOCOLS)}. Restore it."
    if run.subject.origin != "trained":
        return
    if not _is_of(models.recipe(run.subject.name), run.about.get("recipe")):
        name = run.subject.name
        yield f"{folder} was made by another {name} than the one here. Give this one a name of its own, or train it."
    if not run.log and not _is_measured(run):
        yield f"{folder} has no log.csv, though something was trained. Restore it, or delete the folder."
    named, beside = run.about.get("weights_sha256"), folder / WEIGHTS
    if named is None:
        yield f"{folder / 'run.json'} names no weights_sha256, though something was trained."
    elif beside.exists() and sha256_of(beside) != named:
        yield f"{beside} is not what {folder / 'run.json'} names by its sha256. Restore the one or the other."


def _is_of(recipe: Recipe, made_by: dict[str, Any] | None) -> bool:
    """Whether a run was made by the recipe as it is now. Folders older than settings state none, and may get one."""
    now = described(recipe)
    if made_by is not None and "setting" not in made_by:
        del now["setting"]
    return digest(made_by) == digest(now)


def _is_measured(run: Evidence) -> bool:
    """Whether a folder is a later measurement of weights that ship, so that its log lies with the run it names."""
    return "weights_of" in run.about


def _of_measured_weights(runs: Sequence[Evidence]) -> Iterator[str]:
    """What was measured again must be the weights of the run that it names, if it names one: they may ship alone."""
    by_name = {run.name: run for run in runs}
    for run in runs:
        source = run.about.get("weights_of")
        if source is None:
            continue
        if source not in by_name:
            yield f"{run.name} measures weights of {source}, which is not here. Restore it, or delete {run.name}."
            continue
        for what in ("weights_sha256", "precision"):
            if run.about.get(what) != by_name[source].about.get(what):
                yield f"{run.name} and {source}, whose weights it measures, name another {what}. Restore both."


def _of_what_ships(runs: Sequence[Evidence]) -> Iterator[str]:
    """Every recipe that ships has its files, no file is without a recipe, and a run here names it, if one is here."""
    wanted = {shipped(name, scale): name for name, scales in SHIPPING.items() for scale in scales}
    for path, name in wanted.items():
        whose = name, 0, 1
        named = [run for run in runs if (run.subject.name, run.subject.seed, run.subject.budget) == whose]
        candidates = [run for run in named if not _is_measured(run)]
        if not path.exists():
            yield f"{path} does not exist, though weights of {name} ship. Restore it, or take it out of SHIPPING."
        elif candidates and sha256_of(path) not in {
            run.about.get("weights_sha256") for run in candidates if path in _files(run)
        }:
            yield f"{path} is not what the run of {name} names by its sha256 in run.json. Restore the one or the other."
    for path in sorted(PLACE.glob("*.safetensors")):
        if path not in wanted:
            yield f"{path} ships, but SHIPPING in evaluation/weights.py does not name it. Add it there, or delete it."


def _files(run: Evidence) -> set[Path]:
    """Where the weights of a run lie if they ship."""
    return {shipped(run.subject.name, score.scale) for score in run.scores}
