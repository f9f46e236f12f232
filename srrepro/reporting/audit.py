"""`srrepro report --check`: whether the evidence is whole, and everything made from it still says what it says."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from srrepro import claims
from srrepro.claims.claim import Weights
from srrepro.claims.suite import CLAIMS, candidates
from srrepro.data.registry import sha256_of
from srrepro.errors import InputError
from srrepro.evaluation.weights import PLACE, shipped, shipping
from srrepro.models.recipe import digest
from srrepro.protocols.named import protocol_named
from srrepro.reporting import checksums, site
from srrepro.reporting.claims import FOLDER
from srrepro.reporting.evidence import SUMS, WEIGHTS, Evidence, folders, read
from srrepro.reporting.tables import differing

LIST = "runs.sha256"
"""In a results folder: the checksums of run folders from before these carried their own."""


def audit(results: Path, readme: Path | None) -> list[str]:
    """Everything that is wrong, one sentence each; an empty list if nothing is.

    Run folders must be whole and as they were written (see `_as_listed`), of one protocol and of recipes as they are
    now, and no two may claim a row; weights must be those that a run names; generated files must hold what `srrepro
    report` would write, and its page, where there is one, must be made from these inputs (see `site`).
    """
    found = folders(results / "runs")
    if not found:
        return [f"{results / 'runs'} holds no evidence, so there is nothing to be compared."]
    problems = _as_listed(results, [*found, *folders(results / FOLDER / "runs")])
    runs: list[Evidence] = []
    for folder in found:
        try:
            run = read(folder)
            problems += _of_a_run(folder, run)
        except InputError as error:
            problems.append(str(error))
        else:
            runs.append(run)
    problems += _of_what_ships(runs)
    problems += _of_claims(results / FOLDER / "runs")
    if len(runs) < len(found):  # what would be made from all of them cannot be told
        return problems
    try:
        files = differing(results, readme)
    except InputError as error:
        return [*problems, str(error)]
    problems += [f"{path} differs from its sources. Run `srrepro report`." for path in files]
    return [*problems, *site.stale(results)]


def _as_listed(results: Path, found: Sequence[Path]) -> list[str]:
    """Folders carry the checksums of their files, which `read` checks; of those that are older, `runs.sha256` does.

    A user's own results have no such list, and what is older there cannot be checked.
    """
    kept = results / LIST
    if not kept.exists():
        return []
    try:
        problems = [
            f"{results / name} is not what {kept} names by its sha256. Restore it: evidence is never edited."
            for name in checksums.differing(results, kept)
        ]
        listed = {Path(name).parent.name for name in checksums.read(kept)}
    except ValueError as error:
        return [f"{kept} was to be read, but {error}. Restore it."]
    unknown = [folder for folder in found if folder.name not in listed and not (folder / SUMS).exists()]
    return [*problems, *(f"{folder} has no {SUMS}, and {kept} does not name it. Restore it." for folder in unknown)]


def _of_a_run(folder: Path, run: Evidence) -> Iterator[str]:
    if run.subject.origin != "trained":
        return
    if digest(run.about.get("recipe")) != digest(claims.recipe(run.subject.name)):
        name = run.subject.name
        yield f"{folder} was made by another {name} than the one here. Give this one a name of its own, or train it."
    if "diverged" in run.about:  # it may have come to no log point, and has no weights to keep
        return
    if not run.log and "shipped" not in run.about:
        yield f"{folder} has no log.csv, though something was trained. Restore it, or delete the folder."
    training = claims.recipe(run.subject.name).training
    protocol = protocol_named(training.protocol if training else None).name
    if "shipped" not in run.about and {score.protocol for score in run.scores} != {protocol}:
        yield f"{folder} was measured under another protocol than the {protocol} of its recipe. Measure it again."
    named, beside = run.about.get("weights_sha256"), folder / WEIGHTS
    if named is None:
        yield f"{folder / 'run.json'} names no weights_sha256, though something was trained."
    elif beside.exists() and sha256_of(beside) != named:
        yield f"{beside} is not what {folder / 'run.json'} names by its sha256. Restore the one or the other."


def _of_claims(place: Path) -> Iterator[str]:
    """Runs of claims, which must be of the variants as they are now; weights in a changed network say which it was."""
    networks = {one.name: one.network for claim in CLAIMS for one in candidates(claim) if isinstance(one, Weights)}
    for folder in folders(place):
        try:
            run = read(folder)
            if "network" not in run.about:
                yield from _of_a_run(folder, run)
            elif run.about["network"] != repr(networks.get(run.subject.name)):
                yield f"{folder} was measured in another network than the one here. Delete it, and measure again."
        except InputError as error:
            yield str(error)


def _of_what_ships(runs: Sequence[Evidence]) -> Iterator[str]:
    """Every file that is to ship is there, no other is, and a run here names it, if one of its recipe is here."""
    for name in shipping():
        path = PLACE / name
        named = {run.about.get("weights_sha256") for run in runs if _may_ship(run) and path in _files(run)}
        if not path.exists():
            yield f"{path} does not exist, though shipping.csv names it. Restore it, or take it out there."
        elif named and sha256_of(path) not in named:
            yield f"{path} is not what its run names by its sha256 in run.json. Restore the one or the other."
    for run in runs:
        if "shipped" in run.about and run.about["weights_sha256"] not in {
            sha256_of(path) for path in _files(run) if path.exists()
        }:
            yield f"{run.name} measured other weights than those that ship now. Delete the folder and measure again."
    for path in sorted(PLACE.glob("*.safetensors")):
        if path.name not in shipping():
            yield f"{path} ships, but shipping.csv beside it does not name it. Add it there, or delete it."


def _may_ship(run: Evidence) -> bool:
    return bool(run.log) and (run.subject.seed, run.subject.budget) == (0, 1)


def _files(run: Evidence) -> set[Path]:
    """Where the weights of a run lie if they ship."""
    return {shipped(run.subject.name, score.scale) for score in run.scores}
