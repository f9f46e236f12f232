"""Sizes of networks are the printed ones, or a note says why not."""

import csv
from importlib.resources import files

import pytest

from srrepro.reporting.sizes import Printed, sizes


def test_every_printed_size_is_met_or_explained() -> None:
    unexplained = {(size.model, size.scale): size.differing for size in sizes() if size.differing and not size.note}
    assert not unexplained


def test_every_row_is_of_a_network_that_is_here() -> None:
    with (files("srrepro.reporting") / "published_sizes.csv").open(encoding="utf-8") as text:
        printed = {(row["model"], int(row["scale"])) for row in csv.DictReader(text)}
    assert printed <= {(size.model, size.scale) for size in sizes()}


@pytest.mark.parametrize(
    ("text", "value", "agrees"),
    [
        ("665K", 665_921, True),
        ("665K", 664_704, True),
        ("665K", 666_000, False),
        ("694,404", 694_404, True),
        ("694,404", 694_405, False),
        ("52.7G", 52_700_774_400, True),
        ("52.7G", 52_810_000_000, False),
    ],
)
def test_digits_that_are_printed(text: str, value: int, agrees: bool) -> None:
    assert Printed(text).agrees(value) is agrees


def test_what_is_no_size_is_an_error() -> None:
    with pytest.raises(ValueError, match="no printed size"):
        Printed("many").agrees(1)
