"""The networks' sizes: computed here, beside what papers print (`published_sizes.csv`)."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files

from srrepro import models
from srrepro.evaluation.size import PRINTED_FOR, multiply_adds, parameters
from srrepro.models.recipe import Network, takes

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
_PRINTED = re.compile(r"(?P<number>[\d,]+(\.(?P<decimals>\d+))?)(?P<unit>[KMG]?)")


@dataclass(frozen=True)
class Printed:
    """A number as it is printed, such as `665K` or `52.7G`."""

    text: str

    def agrees(self, value: int) -> bool:
        """Whether a number rounds to the digits that are printed."""
        found = _PRINTED.fullmatch(self.text)
        if found is None:
            msg = f"{self.text!r} is no printed size"
            raise ValueError(msg)
        step = _UNITS[found["unit"]] / 10 ** len(found["decimals"] or "")
        # Some papers cut digits off instead of rounding.
        printed = float(found["number"].replace(",", "")) * _UNITS[found["unit"]]
        return bool(abs(value - printed) < step)


@dataclass(frozen=True, kw_only=True)
class Size:
    """One network at one scale. `as_printed` are its multiply-adds, counted as the printed ones are."""

    model: str
    scale: int
    takes: str
    parameters: int
    multiply_adds: int
    printed_parameters: Printed | None = None
    printed_multiply_adds: Printed | None = None
    as_printed: int | None = None
    note: str = ""

    @property
    def differing(self) -> list[str]:
        """What does not agree with the print."""
        pairs = {
            "parameters": (self.printed_parameters, self.parameters),
            "multiply-adds": (self.printed_multiply_adds, self.as_printed or self.multiply_adds),
        }
        return [what for what, (printed, ours) in pairs.items() if printed is not None and not printed.agrees(ours)]


@cache
def sizes() -> tuple[Size, ...]:
    """Of every network that has a published value, at the scales that it is made for."""
    with (files("srrepro.reporting") / "published_sizes.csv").open(encoding="utf-8") as text:
        printed = {(row["model"], int(row["scale"])): row for row in csv.DictReader(text)}
    return tuple(_size(model, scale, network, printed.get((model, scale))) for model, scale, network in _networks())


def _networks() -> Iterator[tuple[str, int, Network]]:
    """The papers' own: by the name that their values are published under, each once."""
    found: dict[tuple[str, int], Network] = {}
    for recipe in models.recipes().values():
        if recipe.training is not None and recipe.of_the_paper:
            for scale in recipe.training.scales or (2, 3, 4):
                found.setdefault((recipe.model, scale), recipe.network)
    for weights in models.authors().values():
        for scale in weights.files:
            found.setdefault((weights.model, scale), weights.network)
    return ((model, scale, network) for (model, scale), network in found.items())


def _size(model: str, scale: int, make: Network, printed: dict[str, str] | None) -> Size:
    network = make(scale)
    ours = Size(
        model=model,
        scale=scale,
        takes=takes(network).name,
        parameters=parameters(network),
        multiply_adds=multiply_adds(network, scale, *PRINTED_FOR),
    )
    if printed is None:
        return ours
    by_output = printed["counted"] == "output"
    return replace(
        ours,
        printed_parameters=Printed(printed["parameters"]) if printed["parameters"] else None,
        printed_multiply_adds=Printed(printed["multiply_adds"]) if printed["multiply_adds"] else None,
        as_printed=multiply_adds(network, scale, *PRINTED_FOR, counted="output") if by_output else ours.multiply_adds,
        note=printed["note"],
    )
