"""What the papers say: one value a cell, each with how well it is confirmed."""

import csv
import re
from dataclasses import replace
from importlib.resources import files

import pytest

from srrepro import models
from srrepro.data.registry import sets
from srrepro.models.vdsr import FLIPPED
from srrepro.reporting import published as module
from srrepro.reporting.published import Published, keyed, published, published_seconds, target


def rows() -> list[dict[str, str]]:
    with (files("srrepro.reporting") / "published.csv").open(encoding="utf-8") as text:
        return list(csv.DictReader(text))


def test_no_two_rows_speak_of_the_same_cell() -> None:
    assert len(published()) == sum(len(row["protocols"].split()) for row in rows())  # and none is lost in reading


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"psnr_db": "32.40"}, "is given twice"),
        ({"protocols": "vdsr-y-v1"}, "is given twice"),
        ({"protocols": "vdsr-y-v2"}, "names no protocol"),
        ({"protocols": ""}, "names no protocol"),
    ],
)
def test_a_cell_that_is_given_twice_or_under_no_protocol_is_an_error(change: dict[str, str], problem: str) -> None:
    row = next(row for row in rows() if row["protocols"] == "matlab-y-v1 vdsr-y-v1")
    with pytest.raises(ValueError, match=problem):
        keyed([row, row | change])
    assert len(keyed([row, row | {"setting": "another"}])) == 4


def test_every_row_is_complete() -> None:
    for row in rows():
        assert row["setting"] in {"", FLIPPED}, row
        assert re.fullmatch(r"\d\d\.\d\d", row["psnr_db"]), row
        assert re.fullmatch(r"(0\.\d{3,4})?", row["ssim"]), row
        assert set(row["conf"].split()) <= {"V", "1", "2", "3+", "M"}, row
        assert row["conf"], row
        assert row["source"], row
        assert row["dataset"] in sets(), row
        assert int(row["scale"]) in {2, 3, 4}, row


def test_values_that_the_project_stands_on() -> None:
    assert published()["SRCNN 9-1-5", "T91", "", "Set5", 3, "matlab-y-v1"].psnr_db == 32.39
    assert published()["SRCNN 9-1-5", "T91", "", "Set5", 3, "matlab-y-v1"].ssim is None
    assert published()["SRCNN 9-5-5", "ImageNet", "", "Set5", 3, "vdsr-y-v1"].ssim == 0.9090
    assert published()["VDSR", "T91", "", "Set5", 2, "vdsr-y-v1"].psnr_db == 37.06
    assert published()["VDSR", "T91", "flips and rotations", "Set5", 2, "vdsr-y-v1"].psnr_db == 37.24
    assert published()["VDSR", "291", "flips and rotations", "Set5", 2, "vdsr-y-v1"].psnr_db == 37.53


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
    key = ("SRCNN 9-1-5", "T91", "", "Set5", 3, "matlab-y-v1")
    value = replace(published()[key], conf=conf)
    assert value.is_target is expected
    monkeypatch.setattr(module, "published", lambda: {key: value})
    assert target("SRCNN 9-1-5", "T91", "Set5", 3) == (value if expected else None)


def test_recalled_values_are_there_and_are_no_targets() -> None:
    recalled = [value for value in published().values() if value.conf == "M"]
    assert recalled
    assert not [v for v in recalled if target(v.model, v.training_set, v.dataset, v.scale, setting=v.setting)]


def test_a_target_has_the_same_training_set_and_scale() -> None:
    found = target("SRCNN 9-1-5", "T91", "Set5", 3)
    assert isinstance(found, Published)
    assert target("SRCNN 9-1-5", "291", "Set5", 3) is None
    assert target("SRCNN 9-1-5", "demo-train", "Set5", 3) is None
    assert target("SRCNN 9-1-5", "T91", "Set5", 5) is None
    assert target("SRCNN 9-1-6", "T91", "Set5", 3) is None
    assert target("SRCNN 9-1-5", "T91", "Set14", 3, protocol="vdsr-y-v1") is None
    assert target("VDSR", "T91", "Set5", 3, setting="flips and rotations") != target("VDSR", "T91", "Set5", 3)


def test_every_released_network_has_published_values() -> None:
    for weights in models.authors().values():
        setting = weights.setting or ""
        assert any((weights.model, weights.training_set, setting) == key[:3] for key in published()), weights.name


def test_printed_seconds() -> None:
    assert published_seconds()["VDSR", "Set5", 3] == 0.13
    assert published_seconds()["SRCNN 9-5-5", "Urban100", 2] == 22.12
    assert {model for model, _, _ in published_seconds()} <= {value.model for value in published().values()}
    assert len(published_seconds()) == 2 * 4 * 3
