"""The verbs that measure: `evaluate` networks, `score` pictures, `explain` numbers."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click
import pandas as pd

from srrepro import models
from srrepro.data.registry import DataFolder
from srrepro.errors import InputError, instead
from srrepro.evaluation import score as given_pictures
from srrepro.evaluation.explain import findings
from srrepro.evaluation.explain_pictures import examine
from srrepro.evaluation.lows import with_lows
from srrepro.evaluation.measure import Photograph, Score, TestSet
from srrepro.evaluation.measure import evaluate as scores_of
from srrepro.evaluation.saving import Saved
from srrepro.evaluation.score import Pictures
from srrepro.evaluation.upscaler import load
from srrepro.evaluation.weights import Subject, given
from srrepro.hardware import Hardware
from srrepro.jobs.carry_out import carry_out
from srrepro.jobs.job import Measure, Workspace, recorded
from srrepro.options import (
    RECORDED,
    Finite,
    OneOf,
    limit_option,
    places,
    record_option,
    runs_on,
    scale_option,
    sets_begun,
    subject_argument,
    verb,
)
from srrepro.pixels.naming import own_name
from srrepro.progress import say
from srrepro.protocols.named import MATLAB_Y, PROTOCOLS
from srrepro.reporting import explaining, tables
from srrepro.reporting.tabulated import as_csv
from srrepro.whole import check_new, written_whole

HINT_DB = 0.05
"""Below bicubic by more than rounding."""
F = TypeVar("F", bound=Callable[..., Any])
Measured = tuple[Subject, list[Score]]


def shows(function: F) -> F:
    """What `evaluate` and `score` show and leave."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Rows as one JSON array."),
        click.option("--wide", is_flag=True, help="All columns; otherwise the table fits 80."),
        limit_option,
        click.option(
            "--save",
            type=click.Path(path_type=Path, file_okay=False),
            metavar="DIR",
            help="Write pictures in colour and maps of their errors: white is right, red too bright, blue too dark.",
        ),
        click.option(
            "--csv",
            "csv_file",
            type=click.Path(path_type=Path, dir_okay=False),
            metavar="FILE",
            help="Write the scores of every image, with all digits.",
        ),
        click.option("--force", is_flag=True, help="Replace files of --save and --csv that are there."),
        click.option("--per-image", is_flag=True, help="Show every image's scores."),
    ):
        function = option(function)
    return function


protocol_option = click.option(
    "--protocol",
    "protocol_name",
    type=OneOf(list(PROTOCOLS)),
    default=MATLAB_Y.name,
    show_default=True,
    metavar="NAME",
    help="How it is measured. `srrepro list` names all protocols; docs/protocol.md explains them.",
)


@verb(epilog="Example: srrepro evaluate srcnn-915-quick --scale 3 --set Set5 --set mine=~/photos")
@subject_argument
@scale_option
@click.option(
    "--set",
    "names",
    multiple=True,
    required=True,
    metavar="SET|NAME=DIR",
    shell_complete=sets_begun,
    help="May be repeated.",
)
@protocol_option
@click.option("--model", metavar="RECIPE", help="Whose network WEIGHTS of another program are for, if in doubt.")
@click.option(
    "--low",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Feed the small images of this folder instead of ours, and say how far they are from ours.",
)
@shows
@record_option
@runs_on
@places
def evaluate(
    subject: str,
    scale: int,
    names: tuple[str, ...],
    protocol_name: str,
    model: str | None,
    low: Path | None,
    per_image: bool,
    force: bool,
    csv_file: Path | None,
    save: Path | None,
    limit: int | None,
    wide: bool,
    as_json: bool,
    record: bool,
    hardware: Hardware,
    folder: DataFolder,
) -> None:
    """Measure a recipe's weights, a weight file or released weights on test sets.

    A weight file is .safetensors, a state dict of PyTorch (.pth, .pt) with any names, or the authors' own. Of folders
    of your own all images are taken.
    """
    protocol = PROTOCOLS[protocol_name]
    if record:
        if model or low or limit:
            msg = "Evidence is of whole sets, recipes and released weights: leave out --model, --low and --limit."
            raise InputError(msg)
        job = Measure(name=subject, scale=scale, test_sets=names, protocol=protocol)
        kept, done = carry_out(recorded(job), Workspace(folder, RECORDED, hardware))
        click.echo(f"{'evidence' if done else 'this has its evidence already'}: {kept}")
    sets = [TestSet.parse(name) for name in names]
    _check_csv(csv_file, force)
    keeps = [_saved(save, each, folder, scale, limit, several=len(sets) > 1, force=force) for each in sets]
    upscaler = load(subject, scale, model=model, folder=folder, hardware=hardware)
    made_for = _protocol_of(upscaler.subject)
    if made_for not in {None, protocol_name}:
        say(f"the numbers of {upscaler.subject.name} are those of another protocol: --protocol {made_for}")
    measured: list[Measured] = []
    for test_set, keep in zip(sets, keeps, strict=True):
        examples = test_set.examples(folder, scale, protocol.degradation, limit=limit)
        who = upscaler.subject
        if low is not None:
            references = test_set.names(folder, limit=limit)
            examples = with_lows(examples, Pictures(low), references, scale, protocol.degradation)
            who = replace(who, model="", note=f"small images of {low}")
        scores = scores_of(upscaler, test_set.name, examples, protocol=protocol, keep=keep)
        measured.append((who if len(scores) != limit else _of_a_part(who), scores))
    _show(measured, per_image, csv_file, wide, as_json)


@verb(epilog="Example: srrepro score my-results --set Set5 --scale 3 --per-image")
@click.argument("pictures", metavar="DIR", type=click.Path(path_type=Path))
@scale_option
@click.option("--set", "name", required=True, metavar="SET|NAME=DIR", help="What the pictures are estimates of.")
@protocol_option
@click.option("--model", metavar="RECIPE", help="Compare with what is published of this recipe's network.")
@click.option("--only", default="*", metavar="PATTERN", help="Take only files like this, as '*_SR.png'.")
@shows
@places
def score(
    pictures: Path,
    scale: int,
    name: str,
    protocol_name: str,
    model: str | None,
    only: str,
    per_image: bool,
    force: bool,
    csv_file: Path | None,
    save: Path | None,
    limit: int | None,
    wide: bool,
    as_json: bool,
    folder: DataFolder,
) -> None:
    """Measure pictures that another program produced: PNG and other images, or arrays (.npy), grey or RGB.

    They are found by the names of the references, whatever stands behind: baby.png, baby_x3.png, baby_SR.npy for
    baby_GT.bmp. Grey ones of colour photographs are luminance in studio range, 16 to 235. Pictures may be smaller by
    the same border on all sides.
    """
    recipe = models.recipe(model) if model else None
    test_set, protocol = TestSet.parse(name), PROTOCOLS[protocol_name]
    _check_csv(csv_file, force)
    keep = _saved(save, test_set, folder, scale, limit, several=False, force=force)
    scores = given_pictures.score(
        Pictures(pictures.expanduser(), only), test_set, scale, protocol=protocol, data=folder, limit=limit, keep=keep
    )
    subject = given(pictures.resolve().name, recipe, scale)
    if len(scores) < len(test_set.names(folder)):
        subject = _of_a_part(subject)
    _show([(subject, scores)], per_image, csv_file, wide, as_json)


@verb(epilog="Example: srrepro explain srcnn-915-quick --set Set5 --scale 3 --reported 26.2")
@click.argument("subject", metavar="[RECIPE|WEIGHTS|DIR]", required=False)
@click.option("--set", "name", default="Set5", show_default=True, metavar="SET|NAME=DIR", help="What was measured on.")
@click.option("--scale", type=click.IntRange(2, 4), default=3, show_default=True, help="2, 3 or 4.")
@click.option("--reported", type=Finite(0), metavar="DB", help="The PSNR in dB that is to be explained.")
@click.option("--reported-ssim", type=Finite(0, 1), metavar="SSIM", help="The SSIM that is to be explained.")
@click.option(
    "--model",
    metavar="RECIPE|WEIGHTS",
    help="For WEIGHTS: the recipe whose network they are for. For DIR: the network that made the pictures.",
)
@protocol_option
@click.option("--only", default="*", metavar="PATTERN", help="Of DIR take only files like this, as '*_SR.png'.")
@limit_option
@click.option("--image", metavar="NAME", help="This image of the set only, as butterfly.")
@click.option(
    "--published",
    nargs=3,
    metavar="MODEL SET SCALE",
    help="Find the protocol that gives a paper's digits with its authors' weights, as FSRCNN Set14 3.",
)
@runs_on
@places
def explain(
    subject: str | None,
    name: str,
    scale: int,
    reported: float | None,
    reported_ssim: float | None,
    model: str | None,
    protocol_name: str,
    only: str,
    limit: int | None,
    image: str | None,
    published: tuple[str, str, str] | None,
    hardware: Hardware,
    folder: DataFolder,
) -> None:
    """Why is a number off? Measures under every usual practice: full-range Y, RGB, zero padding, other resizers ...

    A folder of pictures is searched for faults of its own, too: shifted, mirrored, exchanged channels, spoilt borders.
    """
    if published is not None:
        if subject is not None:
            msg = f"--published explains a paper's number, and {subject!r} has no place beside it. Leave one out."
            raise InputError(msg)
        click.echo(explaining.published(*published, folder=folder, hardware=hardware))
        return
    if subject is None:
        msg = "Something was to be explained, but nothing is named. Name a recipe, weights or a folder of pictures."
        raise InputError(msg)
    test_set, protocol = TestSet.parse(name), PROTOCOLS[protocol_name]
    photographs = _photographs(test_set, folder, limit, image)
    if Path(subject).expanduser().is_dir():
        maker = load(model, scale, folder=folder, hardware=hardware) if model else None
        pictures = Pictures(Path(subject).expanduser(), only)
        examined = examine(pictures, photographs, scale, protocol=protocol, network=maker)
        click.echo(explaining.of_pictures(examined, reported, reported_ssim, model))
        return
    network = load(subject, scale, model=model, folder=folder, hardware=hardware)
    found = findings(network, photographs, protocol, count=len(photographs))
    click.echo(explaining.of_network(found, reported, reported_ssim))


def _photographs(test_set: TestSet, folder: DataFolder, limit: int | None, image: str | None) -> list[Photograph]:
    photographs = list(test_set.photographs(folder, limit=limit))
    if image is None:
        return photographs
    found = [one for one in photographs if own_name(Path(one[0]).stem) == own_name(Path(image).stem)]
    if not found:
        names = [name for name, _ in photographs]
        msg = f"The image {image} of {test_set.name} was asked for, but is not there. {instead(image, names)}"
        raise InputError(msg)
    return found


def _protocol_of(subject: Subject) -> str | None:
    """What a recipe is trained for, or what the authors of released weights measured by, if that is named."""
    if subject.origin == "authors":
        released = models.authors().get(subject.name)
        return released.protocol if released else None
    recipe = models.recipes().get(subject.name)
    return recipe.training.protocol if recipe and recipe.training else None


def _of_a_part(subject: Subject) -> Subject:
    """Without a published number beside it: those are of whole sets."""
    return replace(subject, model="", note="; ".join(filter(None, [subject.note, "a part of the set only"])))


def _check_csv(file: Path | None, force: bool) -> None:
    if file is not None:
        check_new(file.expanduser(), f"Scores were to be written to {file}", force=force)


def _saved(
    save: Path | None,
    test_set: TestSet,
    folder: DataFolder,
    scale: int,
    limit: int | None,
    *,
    several: bool,
    force: bool,
) -> Saved | None:
    if save is None:
        return None
    place = save.expanduser() / test_set.name if several else save.expanduser()
    names = test_set.names(folder, limit=limit)
    return Saved.into(place, scale, test_set.photographs(folder), names, force=force)


def _show(measured: Sequence[Measured], per_image: bool, csv_file: Path | None, wide: bool, as_json: bool) -> None:
    rows = pd.DataFrame([tables.quality_row(subject, scores) for subject, scores in measured])
    if csv_file is not None:
        every = pd.concat([tables.image_rows(subject, scores) for subject, scores in measured])
        written_whole(csv_file.expanduser(), as_csv(every))
    if as_json:
        click.echo(rows.to_json(orient="records", indent=2, double_precision=15))
        return
    if per_image:
        for _, scores in measured:
            click.echo(f"{scores[0].dataset}\n{tables.image_table(scores)}\n")
    click.echo(tables.terminal_table(rows, wide=wide))
    if (rows["psnr_db"] - rows["bicubic_psnr_db"]).min() < -HINT_DB:
        say("below bicubic: `srrepro explain` looks for the reason")
