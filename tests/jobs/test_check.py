"""The regression gate: silent where nothing moved, loud where anything did, never content with nothing."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skimage.data
from click.testing import CliRunner, Result

from srrepro.cli import main
from srrepro.data.registry import DataFolder
from srrepro.errors import InputError, Lacking
from srrepro.evaluation import weights
from srrepro.jobs import check as gate
from srrepro.jobs import suites
from srrepro.jobs.check import BAND_DB, DEMO, Outcome, check, report
from srrepro.jobs.suites import Measure, Train, Workshop
from srrepro.protocols.protocol import Protocol
from srrepro.reporting import tables
from srrepro.training.loop import Diverged, Stopped

CLONE = Path(__file__).parents[1]
SETS = {
    "Set5": {"d.png": skimage.data.chelsea()[100:140, 100:150]},
    "demo-train": {"a.png": skimage.data.camera()[40:160, 200:320]},
    "demo-test": {"c.png": skimage.data.coffee()[100:140, 200:245]},
}


@pytest.fixture
def shop(pretend: Callable[..., DataFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    """A results folder with bicubic and the shipped weights on two sets; the demo run takes ten steps."""
    folder = pretend(SETS)
    shop = Workshop(folder, tmp_path / "results")
    for name in ("bicubic", "srcnn-915-quick"):
        suites.carry_out(Measure(name=name, scale=3, test_sets=("demo-test", "Set5")), shop)
    tables.write(shop.results, None)
    table = pd.read_csv(shop.results / "quality.csv")
    table["precision"] = table["origin"].map({"trained": "float32"})  # as where it was trained, not only measured
    table.to_csv(shop.results / "quality.csv", index=False)
    carry_out = suites.carry_out

    def shortened(job: Train, shop: Workshop) -> tuple[Path, bool]:
        assert (job.name, job.seed, job.budget) == (DEMO, 0, 1.0)
        assert (shop.device, shop.precision) == ("cpu", "float32")
        assert not list(shop.folder.root.rglob("*.h5"))  # nothing that an older version may have built
        shop = replace(shop, folder=folder)
        return carry_out(Train(name=job.name, scale=job.scale, budget=320 / 60_000, test_sets=job.test_sets), shop)

    monkeypatch.setattr(suites, "carry_out", shortened)
    monkeypatch.setattr(gate, "BAND_DB", (5.0, 50.0))
    return shop


def change(shop: Workshop, model: str, column: str, by: Any) -> None:
    path = shop.results / "quality.csv"
    table = pd.read_csv(path)
    table.loc[table["model"] == model, column] += by
    table.to_csv(path, index=False)


def found(shop: Workshop, *names: str) -> Outcome:
    return check(shop.results / "quality.csv", names, shop)


def test_nothing_moved(shop: Workshop) -> None:
    outcome = found(shop)
    assert [(row["model"], row["dataset"], row["same"]) for row in outcome.rows] == [
        ("bicubic", "Set5", True),
        ("srcnn-915-quick", "Set5", True),
        ("bicubic", "demo-test", True),
        ("srcnn-915-quick", "demo-test", True),
        (DEMO, "demo-test", True),
    ]
    assert report(outcome) == f"4 rows measured anew (Set5, demo-test) and {DEMO} trained: all as expected."


@pytest.mark.parametrize(("column", "by", "same"), [
    ("psnr_db", 0.0009, True), ("psnr_db", -0.0011, False), ("ssim", -0.00009, True), ("ssim", 0.00011, False),
    ("images", 1, False),
])  # fmt: skip
def test_a_number_that_moved(column: str, by: Any, same: bool, shop: Workshop) -> None:
    change(shop, "bicubic", column, by)
    outcome = found(shop)
    assert [row["model"] for row in outcome.differing] == ([] if same else ["bicubic", "bicubic"])
    assert ("2 differ." in report(outcome)) == (not same)
    assert report(outcome).startswith("| model") == (not same)


def test_each_row_is_measured_under_its_own_protocol(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    path = shop.results / "quality.csv"
    table = pd.read_csv(path)
    table.loc[table["model"] == "bicubic", "protocol"] = "vdsr-y-v1"
    table.to_csv(path, index=False)
    monkeypatch.setitem(gate.PROTOCOLS, "vdsr-y-v1", Protocol(name="vdsr-y-v1", clamp=(100, 120)))
    outcome = found(shop)
    assert {(row["model"], row["protocol"]) for row in outcome.differing} == {("bicubic", "vdsr-y-v1")}
    table.loc[table["model"] == "bicubic", "protocol"] = "another-v2"
    table.to_csv(path, index=False)
    with pytest.raises(InputError, match="protocols that are not known here: another-v2"):
        found(shop)


def lose_set5(shop: Workshop) -> None:
    assert shop.folder.mirror is not None
    for path in (*shop.folder.root.rglob("d.png"), shop.folder.mirror / "Set5" / "d.png"):
        path.unlink()


def test_a_set_that_is_missing_is_named(shop: Workshop) -> None:
    assert shop.folder.mirror is not None
    lose_set5(shop)
    outcome = found(shop)
    assert list(outcome.lacking) == ["Set5"]
    assert {row["dataset"] for row in outcome.rows} == {"demo-test"}
    assert "Not compared: Set5. " in report(outcome)
    with pytest.raises(Lacking, match="the mirror has no"):
        found(shop, "Set5")


def test_stores_of_an_older_version_are_not_believed(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(shop.folder.stores.glob("Set5_x3.h5"))
    degraded = gate.degrade

    def other(image: Any, scale: int, how: Any) -> Any:
        planes = degraded(image, scale, how)
        return planes._replace(interpolated=planes.interpolated + np.float32(0.01))

    monkeypatch.setattr(gate, "degrade", other)
    assert [row["model"] for row in found(shop).differing] == ["bicubic", "srcnn-915-quick"] * 2


def test_weights_that_cannot_be_read_are_no_missing_data(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(weights.shipped("srcnn-915-quick", 3).read_bytes()[:1000])
    monkeypatch.setattr(weights, "shipped", lambda recipe, scale: damaged)
    with pytest.raises(InputError, match="cut short"):
        found(shop)
    monkeypatch.setattr(weights, "shipped", lambda recipe, scale: tmp_path / "none")
    with pytest.raises(InputError, match="no weights of it ship"):
        found(shop)


def test_a_demo_that_diverges_is_a_difference(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverging(job: Train, shop: Workshop) -> tuple[Path, bool]:
        msg = "the loss is no longer a number"
        raise Diverged(msg)

    monkeypatch.setattr(suites, "carry_out", diverging)
    assert [row["model"] for row in found(shop).differing] == [DEMO]


def test_a_stopped_check_does_not_offer_to_go_on(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(job: Train, shop: Workshop) -> tuple[Path, bool]:
        msg = "stopped after 320 backprops"
        raise Stopped(msg)

    monkeypatch.setattr(suites, "carry_out", stopped)
    result = command(shop)
    assert result.exit_code == 1
    assert result.stderr.endswith("Aborted!\n")


def test_only_the_named_sets_and_the_demo(shop: Workshop) -> None:
    assert {row["dataset"] for row in found(shop, "demo-test").rows} == {"demo-test"}
    assert {row["dataset"] for row in found(shop, "Set5").rows} == {"Set5", "demo-test"}
    with pytest.raises(InputError, match=r"Set6 was to be measured anew, but .* has only Set5, demo-test"):
        found(shop, "Set6")


def test_runs_whose_weights_do_not_ship_are_left_out(shop: Workshop) -> None:
    path = shop.results / "quality.csv"
    table = pd.read_csv(path)
    trained = table["model"] == "srcnn-915-quick"
    table.loc[trained, "budget"] = 0.5
    table.to_csv(path, index=False)
    assert {row["model"] for row in found(shop).rows} == {"bicubic", DEMO}
    table.loc[trained, "budget"] = 1.0
    table.to_csv(path, index=False)
    assert {row["model"] for row in found(shop).rows} == {"bicubic", "srcnn-915-quick", DEMO}


def test_only_rows_of_the_precision_that_ships_are_measured(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate.weights, "IN_BFLOAT16", {"srcnn-915-quick"})
    assert {row["model"] for row in found(shop).rows} == {"bicubic", DEMO}
    path = shop.results / "quality.csv"
    table = pd.read_csv(path)
    table.loc[table["origin"] == "trained", "precision"] = "bfloat16"
    table.to_csv(path, index=False)
    outcome = found(shop)
    assert outcome.measured_anew == 4
    assert not outcome.differing


def test_a_row_whose_first_seed_is_still_to_come_is_no_gap(shop: Workshop) -> None:
    path = shop.results / "quality.csv"
    table = pd.read_csv(path)
    more = table[table["model"] == "srcnn-915-quick"].assign(
        precision="bfloat16", psnr_db=np.nan, ssim=np.nan, images=np.nan
    )
    pd.concat([table, more]).to_csv(path, index=False)
    assert not found(shop).differing
    assert found(shop).measured_anew == 4
    table.loc[0, "psnr_db"] = np.nan
    table.to_csv(path, index=False)
    with pytest.raises(InputError, match="it has gaps"):
        found(shop)


def test_a_loop_that_does_not_learn_cannot_pass(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "BAND_DB", BAND_DB)
    outcome = found(shop)
    assert [row["model"] for row in outcome.differing] == [DEMO]
    assert f"{BAND_DB[0]} to {BAND_DB[1]}" in report(outcome)


# The command.


def command(shop: Workshop, *words: object) -> Result:
    places = ("--against", shop.results, "--data", shop.folder.root, "--mirror", shop.folder.mirror)
    result = CliRunner().invoke(main, ["check", *map(str, words), *map(str, places)])
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    return result


def test_exit_codes_and_the_summary(shop: Workshop, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n", encoding="utf-8")
    passed = command(shop, "--summary", summary)
    assert passed.exit_code == 0
    assert "all as expected" in passed.stdout
    change(shop, "bicubic", "psnr_db", 1)
    failed = command(shop, "--summary", summary, "--json")
    assert failed.exit_code == 1
    assert "2 of 5 numbers are not what they were" in failed.stderr
    rows = json.loads(failed.stdout)
    assert [row["same"] for row in rows] == [False, True, False, True, True]
    assert set(tables.COLUMNS) < set(rows[0])
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.count("## srrepro check") == 2
    assert "| bicubic | ×3      | Set5" in text


def test_a_gate_that_compared_nothing_fails(shop: Workshop) -> None:
    path = shop.results / "quality.csv"
    path.write_text(path.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    result = command(shop)
    assert result.exit_code == 1
    assert "nothing was compared" in result.stderr


def test_what_is_missing_is_named_beside_json_too(shop: Workshop) -> None:
    lose_set5(shop)
    result = command(shop, "--json")
    assert result.exit_code == 0
    assert "Not compared: Set5. " in result.stderr
    assert len(json.loads(result.stdout)) == 3


@pytest.mark.parametrize("text", [None, "", "a,b\n1,2\n", "model,origin,budget\nbicubic,interpolation,\n"])
def test_what_is_no_quality_csv(text: str | None, shop: Workshop) -> None:
    path = shop.results / "quality.csv"
    path.unlink()
    if text is not None:
        path.write_text(text, encoding="utf-8")
    result = command(shop)
    assert result.exit_code == 2
    assert "is no quality.csv" in result.stderr


def test_the_band_is_what_was_measured() -> None:
    measured = CLONE / "results" / "choices" / "demo-band.csv"
    if not measured.is_file():
        pytest.skip("no results/choices: not a clone")
    values = pd.read_csv(measured)["psnr_db"]
    low, high = BAND_DB
    assert low < values.min()
    assert values.max() < high
    assert high - low < 12 * values.std()


def test_words_for_numbers(shop: Workshop) -> None:
    path = shop.results / "quality.csv"
    path.write_text(path.read_text(encoding="utf-8") + "<<<<<<< HEAD\n", encoding="utf-8")
    result = command(shop)
    assert result.exit_code == 2
    assert "it has gaps, or words for numbers" in result.stderr


def test_a_summary_that_cannot_be_written_is_refused_before_the_work(shop: Workshop, tmp_path: Path) -> None:
    result = command(shop, "--summary", tmp_path / "nowhere" / "summary.md")
    assert result.exit_code == 2
    assert "measuring" not in result.stderr
    assert "nowhere" in result.stderr
