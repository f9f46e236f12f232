"""What the papers say: one value a cell, each with how well it is confirmed."""

import csv
import re
from dataclasses import replace
from importlib.resources import files

import pytest

from srrepro import models
from srrepro.data.registry import sets
from srrepro.reporting import published as module
from srrepro.reporting.published import Published, published, published_seconds, target


def rows() -> list[dict[str, str]]:
    with (files("srrepro.reporting") / "published.csv").open(encoding="utf-8") as text:
        return list(csv.DictReader(text))


def test_no_two_rows_speak_of_the_same_cell() -> None:
    keys = [(row["model"], row["training_set"], row["dataset"], int(row["scale"])) for row in rows()]
    assert len(set(keys)) == len(keys)
    assert set(published()) == set(keys)  # and none is lost in reading


def test_every_row_is_complete() -> None:
    for row in rows():
        assert re.fullmatch(r"\d\d\.\d\d", row["psnr_db"]), row
        assert re.fullmatch(r"(0\.\d{4})?", row["ssim"]), row
        assert set(row["conf"].split()) <= {"V", "1", "2", "3+", "M"}, row
        assert row["conf"], row
        assert row["source"], row
        assert row["dataset"] in sets(), row
        assert int(row["scale"]) in {2, 3, 4}, row


def test_values_that_the_project_stands_on() -> None:
    assert published()["SRCNN 9-1-5", "T91", "Set5", 3].psnr_db == 32.39
    assert published()["SRCNN 9-1-5", "T91", "Set5", 3].ssim is None
    assert published()["SRCNN 9-5-5", "ImageNet", "Set5", 3].ssim == 0.9090
    assert published()["VDSR", "T91", "Set5", 2].psnr_db == 37.06
    assert published()["VDSR", "291", "Set5", 2].psnr_db == 37.53


@pytest.mark.parametrize(
    ("conf", "expected"),
    [
        ("V", True),
        ("1", True),
        ("2", True),
        ("3+", True),
        ("3+ V", True),
        ("M V", True),
        ("M 1", True),
        ("M", False),
        ("", False),
    ],
)
def test_what_is_only_recalled_is_no_target(conf: str, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    key = ("SRCNN 9-1-5", "T91", "Set5", 3)
    value = replace(published()[key], conf=conf)
    assert value.is_target is expected
    monkeypatch.setattr(module, "published", lambda: {key: value})
    assert target(*key) == (value if expected else None)


def test_recalled_values_are_there_and_are_no_targets() -> None:
    recalled = [key for key, value in published().items() if value.conf == "M"]
    assert recalled
    assert not [key for key in recalled if target(*key)]


def test_a_target_has_the_same_training_set_and_scale() -> None:
    found = target("SRCNN 9-1-5", "T91", "Set5", 3)
    assert isinstance(found, Published)
    assert target("SRCNN 9-1-5", "291", "Set5", 3) is None
    assert target("SRCNN 9-1-5", "demo-train", "Set5", 3) is None
    assert target("SRCNN 9-1-5", "T91", "Set5", 5) is None
    assert target("SRCNN 9-1-6", "T91", "Set5", 3) is None


def test_every_released_network_has_published_values() -> None:
    for weights in models.authors().values():
        assert any((weights.model, weights.training_set) == key[:2] for key in published()), weights.name


def test_printed_seconds() -> None:
    assert published_seconds()["VDSR", "Set5", 3] == 0.13
    assert published_seconds()["SRCNN 9-5-5", "Urban100", 2] == 22.12
    assert {model for model, _, _ in published_seconds()} <= {value.model for value in published().values()}
    assert len(published_seconds()) == 2 * 4 * 3
