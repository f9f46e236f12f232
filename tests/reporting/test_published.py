"""What the papers say: one value a cell, each with how well it is confirmed."""

import csv
import re
from dataclasses import replace
from importlib.resources import files

import pytest

from srrepro import models
from srrepro.data.registry import sets
from srrepro.models.recipe import NoAugmentation
from srrepro.reporting import published as module
from srrepro.reporting.published import Published, published, published_seconds, target


def rows() -> list[dict[str, str]]:
    with (files("srrepro.reporting") / "published.csv").open(encoding="utf-8") as text:
        return list(csv.DictReader(text))


def test_no_value_is_lost_in_reading() -> None:
    keys = [
        (row["model"], row["training_set"], row["dataset"], int(row["scale"]), row["setting"], protocol)
        for row in rows()
        for protocol in row["protocol"].split()
    ]
    assert list(published()) == keys


HEAD = "model,training_set,dataset,scale,setting,protocol,psnr_db,ssim,conf,source,note"
ROW = "VDSR,T91,Set5,2,,matlab-y-v1 vdsr-y-v1,37.06,,1,somewhere,"


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("VDSR,T91,Set5,2,,vdsr-y-v1,37.07,,1,elsewhere,", r"share the key .*'T91', 'Set5', 2, '', 'vdsr-y-v1'"),
        (ROW, "share the key"),
        ("VDSR,T91,Set5,3,,matlab-y,33.27,,1,elsewhere,", "of the protocol 'matlab-y', which does not exist"),
    ],
)
def test_a_key_given_twice_and_an_unknown_protocol_are_errors(more: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        module._read([HEAD, ROW, more])


def test_setting_and_protocol_tell_values_apart() -> None:
    others = [
        "VDSR,T91,Set5,2,flips and rotations,vdsr-y-v1,37.24,,1,elsewhere,",
        "VDSR,T91,Set14,2,,vdsr-y-v1,32.61,,1,elsewhere,",
    ]
    found = module._read([HEAD, ROW, *others])
    assert [(value.protocol, value.psnr_db) for value in found.values()] == [
        ("matlab-y-v1", 37.06),
        ("vdsr-y-v1", 37.06),
        ("vdsr-y-v1", 37.24),
        ("vdsr-y-v1", 32.61),
    ]


def test_every_row_is_complete() -> None:
    for row in rows():
        assert re.fullmatch(r"\d\d\.\d\d", row["psnr_db"]), row
        assert re.fullmatch(r"(0\.\d{4})?", row["ssim"]), row
        assert set(row["conf"].split()) <= {"V", "1", "2", "3+", "M"}, row
        assert row["conf"], row
        assert row["source"], row
        assert row["dataset"] in sets(), row
        assert int(row["scale"]) in {2, 3, 4}, row
        assert row["protocol"].split(), row
        assert row["setting"] in {"", "flips and rotations"}, row


M, V, AUGMENTED = "matlab-y-v1", "vdsr-y-v1", "flips and rotations"


def test_values_that_the_project_stands_on() -> None:
    assert published()["SRCNN 9-1-5", "T91", "Set5", 3, "", M].psnr_db == 32.39
    assert published()["SRCNN 9-1-5", "T91", "Set5", 3, "", M].ssim is None
    assert published()["SRCNN 9-5-5", "ImageNet", "Set5", 3, "", M].ssim == 0.9090
    assert published()["VDSR", "291", "Set5", 2, AUGMENTED, V].psnr_db == 37.53
    assert published()["bicubic", "", "Set14", 3, "", M].ssim == 0.7736
    assert published()["bicubic", "", "Set14", 3, "", V].ssim == 0.7742


@pytest.mark.parametrize(
    ("training_set", "setting", "dataset", "expected"),
    [
        ("T91", "", "Set5", (37.06, 33.27, 30.95)),
        ("T91", AUGMENTED, "Set5", (37.24, 33.50, 31.22)),
        ("291", "", "Set5", (37.38, 33.42, 31.09)),
        ("291", AUGMENTED, "Set5", (37.53, 33.66, 31.35)),
        ("T91", "", "Set14", (32.61, 29.48, 27.71)),
        ("T91", AUGMENTED, "Set14", (32.77, 29.64, 27.91)),
        ("291", "", "Set14", (32.84, 29.63, 27.85)),
        ("291", AUGMENTED, "Set14", (33.03, 29.77, 28.01)),
    ],
)
def test_targets_of_vdsr(training_set: str, setting: str, dataset: str, expected: tuple[float, ...]) -> None:
    found = [
        [target("VDSR", training_set, dataset, scale, setting=setting, protocol=protocol) for scale in (2, 3, 4)]
        for protocol in (M, V)
    ]
    usual, clamped = [tuple(value.psnr_db for value in values if value) for values in found]
    assert clamped == expected
    assert usual == (expected if dataset == "Set5" else ())


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
    key = ("SRCNN 9-1-5", "T91", "Set5", 3, "", M)
    value = replace(published()[key], conf=conf)
    assert value.is_target is expected
    monkeypatch.setattr(module, "published", lambda: {key: value})
    assert target(*key[:4], setting="", protocol=M) == (value if expected else None)


def test_recalled_values_are_there_and_are_no_targets() -> None:
    recalled = [key for key, value in published().items() if value.conf == "M"]
    assert recalled
    assert not [key for key in recalled if target(*key[:4], setting=key[4], protocol=key[5])]


def test_a_target_agrees_in_everything() -> None:
    found = target("SRCNN 9-1-5", "T91", "Set5", 3, setting="", protocol=M)
    assert isinstance(found, Published)
    assert target("SRCNN 9-1-5", "291", "Set5", 3, setting="", protocol=M) is None
    assert target("SRCNN 9-1-5", "demo-train", "Set5", 3, setting="", protocol=M) is None
    assert target("SRCNN 9-1-5", "T91", "Set5", 5, setting="", protocol=M) is None
    assert target("SRCNN 9-1-6", "T91", "Set5", 3, setting="", protocol=M) is None
    assert target("SRCNN 9-1-5", "T91", "Set5", 3, setting=AUGMENTED, protocol=M) is None
    assert target("SRCNN 9-1-5", "T91", "Set14", 3, setting="", protocol=V) is None


def test_settings_of_recipes_and_weights_are_settings_of_values() -> None:
    known = {(value.model, value.training_set, value.setting) for value in published().values()}
    for recipe in models.recipes().values():
        if recipe.setting and recipe.training:
            assert (recipe.model, recipe.training.set, recipe.setting) in known, recipe.name
    for weights in models.authors().values():
        assert (weights.model, weights.training_set, weights.setting or "") in known, weights.name


def test_vdsr_with_turns_and_flips_is_held_against_the_values_with_them() -> None:
    for recipe in models.recipes().values():
        if recipe.model == "VDSR" and recipe.training:
            augmented = not isinstance(recipe.training.augmentation, NoAugmentation)
            assert (recipe.setting == AUGMENTED) == augmented, recipe.name


def test_every_released_network_has_published_values() -> None:
    for weights in models.authors().values():
        assert any((weights.model, weights.training_set) == key[:2] for key in published()), weights.name


def test_printed_seconds() -> None:
    assert published_seconds()["VDSR", "Set5", 3] == 0.13
    assert published_seconds()["SRCNN 9-5-5", "Urban100", 2] == 22.12
    assert {model for model, _, _ in published_seconds()} <= {value.model for value in published().values()}
    assert len(published_seconds()) == 2 * 4 * 3
