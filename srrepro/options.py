"""Options that several verbs share. A verb gets those of one kind as one value: `hardware` and `folder`."""

import math
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

import click
from click.shell_completion import CompletionItem

from srrepro.data.registry import DataFolder, sets
from srrepro.errors import InputError, instead
from srrepro.hardware import MEMORY, Hardware, Mode, Precision
from srrepro.training.deadline import NEVER, Deadline, seconds_of
from srrepro.training.following import check_tensorboard

F = TypeVar("F", bound=Callable[..., Any])


class Verb(click.Command):
    """Turns `--device`, `--precision`, `--mode`, `--memory` into `hardware`, and `--data`, `--mirror` into `folder`.

    And `--results`, `--record` into `results`, `--on`, `--address`, `--cores`, `--gpus` into `executor`.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, args)
        given = dict(ctx.params)
        for name, options, value in (
            ("hardware", ("device", "precision", "mode", "memory", "gpus"), _hardware),
            ("folder", ("data", "mirror"), _folder),
            ("results", ("results", "record"), _results),
            ("executor", ("on", "address", "cores", "gpus"), _executor),
        ):
            if options[0] in given:
                for option in options:
                    ctx.params.pop(option, None)
                ctx.params[name] = value(**{option: given[option] for option in options if option in given})
        return rest


OWN, RECORDED = Path("my-results"), Path("results")


def _results(results: Path | None, record: bool = False) -> Path:
    if results is not None and record:
        msg = f"Evidence was to go to {results} and, by --record, to {RECORDED}. Give one of them."
        raise InputError(msg)
    return results or (RECORDED if record else OWN)


HERE, RAY = "here", "ray"


def _hardware(
    device: str,
    precision: Precision | Literal["auto"] = "auto",
    mode: Mode | Literal["auto"] = "auto",
    memory: int = MEMORY,
    gpus: float | None = None,
) -> Hardware:
    """This machine's; with `gpus` that of the nodes of a cluster, which this machine need not have."""
    if not gpus:
        return Hardware.here(device, precision, mode, memory)
    if device == "cpu":
        msg = f"Jobs were to have {gpus:g} GPUs each, and --device cpu was asked for. Give one of them."
        raise InputError(msg)
    return Hardware(device="cuda", precision=precision, mode=mode, memory=memory)


def _executor(on: str, address: str | None, cores: int | None, gpus: float | None) -> Any:
    from srrepro.jobs.cluster import Cluster  # here: these take PyTorch's second, and few verbs need them
    from srrepro.jobs.executing import in_this_process

    given = {"--address": address, "--cores": cores, "--gpus": gpus}
    if on == RAY:
        return Cluster(address=address, cores=cores or 1, gpus=gpus or 0.0)
    for name, value in given.items():
        if value is not None:
            msg = f"{name} {value} was given, but that is of a cluster. Give --on {RAY}, too, or leave it out."
            raise InputError(msg)
    return in_this_process


verb = partial(click.command, cls=Verb)
"""What every verb is declared with."""


def _folder(data: Path, mirror: Path | None) -> DataFolder:
    return DataFolder(data, mirror)


class OneOf(click.Choice[Any]):
    """A choice whose message names what is near; where there are many names, that is what a reader needs."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        return f"{str(value)!r} is none of them. {instead(str(value), map(str, self.choices))}"


class Scale(click.Choice[int]):
    """What one pixel becomes in a row."""

    def __init__(self) -> None:
        super().__init__((2, 3, 4))

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        return f"{str(value)!r} was asked for, but there are networks for 2, 3 and 4."


class Listed(click.ParamType[Any]):
    """Several values of one type, such as `2,3,4`; of whole numbers also `0-9`."""

    def __init__(self, each: click.ParamType[Any] | type[str]) -> None:
        self.each = click.types.convert_type(each)
        self.name = f"{self.each.name} list"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        words: list[str] = []
        for word in filter(None, map(str.strip, value.split(","))):
            found = re.fullmatch(r"(\d+)-(\d+)", word) if isinstance(self.each, click.IntRange) else None
            first, last = map(int, found.groups()) if found else (0, 0)
            if last - first >= MOST_LISTED or last < first:
                self.fail(
                    f"{word} is no list of at most {MOST_LISTED:,} whole numbers. Give one such as 0-9.", param, ctx
                )
            words += map(str, range(first, last + 1)) if found else [word]
        if not words:
            self.fail("nothing is listed. Give one value, or several with commas between them.", param, ctx)
        return tuple(dict.fromkeys(self.each.convert(word, param, ctx) for word in words))


def recipes_begun(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """For a shell that completes the name of a recipe."""
    from srrepro import models  # here: PyTorch takes a second, and not every Tab asks for a recipe

    return [CompletionItem(name) for name in models.recipes() if name.startswith(begun)]


def subjects_begun(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """For a shell that completes what can be measured: a recipe, released weights, else a file."""
    from srrepro import models

    released = [CompletionItem(name) for name in models.authors() if name.startswith(begun)]
    return [*recipes_begun(context, parameter, begun), *released] or [CompletionItem(begun, type="file")]


def sets_begun(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """For a shell that completes the name of a data set."""
    return [CompletionItem(name) for name in sets() if name.startswith(begun)]


recipe_argument = click.argument("recipe", shell_complete=recipes_begun)
subject_argument = click.argument("subject", metavar="RECIPE|WEIGHTS", shell_complete=subjects_begun)


def places(function: F) -> F:
    """`folder`: where images and stores live."""
    for option in (
        click.option(
            "--mirror",
            type=click.Path(path_type=Path, exists=True, file_okay=False),
            envvar="SRREPRO_MIRROR",
            help="Read the registry's URLs from this folder instead of the network.",
        ),
        click.option(
            "--data",
            type=click.Path(path_type=Path, file_okay=False),
            envvar="SRREPRO_DATA",
            default=Path("datasets"),
            show_default=True,
            help="Where images and stores live.",
        ),
    ):
        function = option(function)
    return function


results_option = click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    default=RECORDED,
    show_default=True,
    help="Where evidence lives.",
)


def leaves_evidence(function: F) -> F:
    """`results`: a folder of the user's own; the evidence that ships is written to only where that is asked for."""
    for option in (
        record_option,
        click.option(
            "--results",
            type=click.Path(path_type=Path, file_okay=False),
            help=f"Where evidence goes. Default: ./{OWN}, which is yours; git ignores it.",
        ),
    ):
        function = option(function)
    return function


record_option = click.option(
    "--record", is_flag=True, help=f"Write to ./{RECORDED}, where a clone has the evidence that is committed."
)


def trains_on(function: F) -> F:
    """`hardware` of training steps, with everything that may be asked for."""
    function = click.option(
        "--precision",
        type=click.Choice(["auto", *get_args(Precision)]),
        default="auto",
        show_default=True,
        help="Of training steps: auto is bfloat16 on GPUs and processors with matrix units, else float32. "
        "Measurements are float32.",
    )(function)
    return _mode(get_args(Mode), "; graph, compiled: training steps on a GPU")(_memory(device_option(function)))


def executes(function: F) -> F:
    """`executor`: who carries out the jobs of a suite."""
    for option in (
        click.option("--gpus", type=Finite(min=0, max=MOST_GPUS), help="Of a job on the cluster; may be 0.25."),
        click.option("--cores", type=click.IntRange(1, MOST_CORES), help="Of a job on the cluster. Default: 1."),
        click.option("--address", metavar="HOST:PORT", help="Of the cluster's head. Default: the one that runs here."),
        click.option(
            "--on",
            type=click.Choice([HERE, RAY]),
            default=HERE,
            show_default=True,
            help="ray: the jobs go to a Ray cluster, as many at a time as it has cores for; the extra `ray` brings it.",
        ),
    ):
        function = option(function)
    return function


def runs_on(function: F) -> F:
    """`hardware` of measurements and pictures."""
    return _mode(("native", "eager"))(_memory(device_option(function)))


def device_option(function: F) -> F:
    """`hardware` of which only the device may be asked for."""
    return click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)(
        function
    )


def _mode(modes: tuple[str, ...], more: str = "") -> Callable[[F], F]:
    return click.option(
        "--mode",
        type=click.Choice(["auto", *modes]),
        default="auto",
        show_default=True,
        help="native: convolutions in C, compiled here, in float32 on a processor; eager: PyTorch's"
        f"{more}. The same mathematics.",
    )


def _memory(function: F) -> F:
    return click.option(
        "--memory",
        type=click.IntRange(1, MOST_MIB),
        default=MEMORY >> 20,
        show_default=True,
        metavar="MIB",
        callback=lambda _context, _option, value: value << 20,
        help="For the patches, and for the planes of an image; beyond it, patches are streamed and images tiled.",
    )(function)


deadline_option = click.option(
    "--for",
    "deadline",
    metavar="DURATION",
    callback=lambda _context, _option, value: NEVER if value is None else Deadline.after(seconds_of(value)),
    help="Stop after 2h, 45m, 1h30m or 90s, with a checkpoint, and say what is left. The same command resumes.",
)
tensorboard_option = click.option(
    "--tensorboard",
    type=click.Path(path_type=Path),
    metavar="DIR",
    callback=lambda _context, _option, value: _followed(value),
    help="Follow the log there, in TensorBoard; the extra `tensorboard` brings it.",
)
scale_option = click.option("--scale", type=Scale(), required=True, help="How many times as large.")
own_scale_option = click.option("--scale", type=Scale(), help="Not where one network serves all.")


def _followed(folder: Path | None) -> Path | None:
    if folder is not None:
        check_tensorboard(folder)
    return folder


class Finite(click.FloatRange):
    """A range that neither NaN nor infinity is in."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        number = float(super().convert(value, param, ctx))
        if not math.isfinite(number):
            self.fail(f"{value} is no number that can be worked with.", param, ctx)
        return number


MOST_LISTED = 100_000
MOST_IMAGES, MOST_MIB, MOST_CORES, MOST_GPUS = 10**9, 2**30, 10**4, 100
MOST_BUDGET, LAST_SEED = 1000, 2**44 - 1
"""Beyond these a number is a slip; it would fill the memory, or break a library."""
a_budget = Finite(min=0, min_open=True, max=MOST_BUDGET)
seed_option = click.option("--seed", type=click.IntRange(0, LAST_SEED), default=0, show_default=True)
limit_option = click.option(
    "--limit", type=click.IntRange(1, MOST_IMAGES), metavar="N", help="The first N images of a set only."
)
