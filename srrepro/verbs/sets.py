"""The verbs that show and fetch what there is: `prepare`, `list`, `show`."""

import textwrap
from pathlib import Path

import click

from srrepro import models
from srrepro.data.registry import DataFolder, members, sets
from srrepro.evaluation.weights import ships
from srrepro.jobs.job import SCALES
from srrepro.jobs.prepare import prepare as prepare_sets
from srrepro.jobs.prepare import to_mirror
from srrepro.jobs.suites import SUITES
from srrepro.models.recipe import Recipe
from srrepro.options import places, recipe_argument, sets_begun, verb
from srrepro.protocols.named import PROTOCOLS, protocol_named
from srrepro.reporting.sheet import sheet
from srrepro.reporting.tables import fitting


@verb(epilog="Example: srrepro prepare T91 Set5 --mirror /media/sr-data")
@click.argument("names", metavar="[SET]...", nargs=-1, shell_complete=sets_begun)
@click.option(
    "--to-mirror",
    "target",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Make a mirror instead, for --mirror on a machine without a network. What is there and right stays.",
)
@places
def prepare(names: tuple[str, ...], target: Path | None, folder: DataFolder) -> None:
    """Fetch, verify and build the stores of the named sets; of every set that can be had if none is named."""
    if target is None:
        busy = prepare_sets(folder, names, tell=click.echo)
    else:
        busy = to_mirror(folder, names, target, tell=click.echo)
        click.echo(f"Carry {target} to the other machine, and give it there as --mirror.")
    if not busy:
        click.echo("Nothing to do.")


@verb("list", epilog="Example: srrepro list")
def list_() -> None:
    """Recipes, released weights, protocols, data sets and suites."""
    recipes = [
        {
            "recipe": recipe.name + (" *" if recipe.of_the_paper else ""),
            "network": recipe.model,
            "set": recipe.training.set if recipe.training else "",
            "×": _scales_of(recipe),
            "length": _length_of(recipe),
            "ships": " ".join(str(s) for s in SCALES if ships(recipe.name, s)),
        }
        for recipe in models.recipes().values()
    ]
    released = [
        {
            "released weights": weights.name,
            "network": weights.model,
            "trained on": weights.training_set,
            "×": " ".join(map(str, weights.files)),
            "protocol": protocol_named(weights.protocol).name,
        }
        for weights in models.authors().values()
    ]
    protocols = [{"protocol": f"{name}\n{_folded(protocol.signature)}"} for name, protocol in PROTOCOLS.items()]
    listed = [{"set": name, "files": len(members(name))} for name in sets()]
    suites = [{"suite": name, "jobs": len(list(jobs()))} for name, jobs in SUITES.items()]
    click.echo(fitting(recipes, [23, 16, 10, 5, 9, 5]))
    click.echo("* the paper's own; length: backprops or epochs; ships: weights for these\n")
    for part, widths in ((released, [26, 11, 12, 5, 17]), (protocols, None), (listed, None), (suites, None)):
        click.echo(fitting(part, widths) + "\n")


def _folded(signature: str) -> str:
    """A signature between its parts, below a name."""
    lines = textwrap.wrap(signature.replace("|", "| "), 76, break_on_hyphens=False)
    return "\n".join("  " + line.replace("| ", "|") for line in lines)


def _scales_of(recipe: Recipe) -> str:
    if recipe.training is None or recipe.training.scales is None:
        return "any"
    return " ".join(map(str, recipe.training.scales))


def _length_of(recipe: Recipe) -> str:
    if recipe.training is None:
        return ""
    backprops, epochs = recipe.training.backprops, recipe.training.epochs
    return f"{backprops:.3g}".replace("e+0", "e") if epochs is None else f"{epochs} epochs"


@verb(epilog="Example: srrepro show srcnn-915")
@recipe_argument
def show(recipe: str) -> None:
    """Every number of a recipe, with its source: the paper, the authors' code, or a choice of ours and why."""
    rows = [dict(zip(("field", "value", "source"), row, strict=True)) for row in sheet(models.recipe(recipe))]
    click.echo(fitting(rows, [31, 23, 22]))
