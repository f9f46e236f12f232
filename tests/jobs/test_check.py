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
from srrepro.errors import Diverged, InputError, Lacking, Stopped
from srrepro.evaluation import weights
from srrepro.jobs import check as gate
from srrepro.jobs.carry_out import carry_out
from srrepro.jobs.check import BAND_DB, DEMO, Outcome, check, report
from srrepro.jobs.job import Measure, Train, Workspace
from srrepro.protocols.protocol import Protocol
from srrepro.reporting import tables

CLONE = Path(__file__).parents[1]
SETS = {
    "Set5": {"d.png": skimage.data.chelsea()[100:140, 100:150]},
    "demo-train": {"a.png": skimage.data.camera()[40:160, 200:320]},
    "demo-test": {"c.png": skimage.data.coffee()[100:140, 200:245]},
}


@pytest.fixture
def workspace(pretend: Callable[..., DataFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A results folder with bicubic and the shipped weights on two sets; the demo run takes ten steps."""
    folder = pretend(SETS)
    workspace = Workspace(folder, tmp_path / "results")
    for name in ("bicubic", "srcnn-915-quick"):
        carry_out(Measure(name=name, scale=3, test_sets=("demo-test", "Set5")), workspace)
    tables.write(workspace.results, None)
    table = pd.read_csv(workspace.results / "quality.csv")
    table["precision"] = table["origin"].map({"trained": "float32"})  # as where it was trained, not only measured
    table.to_csv(workspace.results / "quality.csv", index=False)

    def shortened(job: Train, apart: Workspace) -> tuple[Path, bool]:
        assert (job.name, job.seed, job.budget) == (DEMO, 0, 1.0)
        assert (apart.hardware.device, apart.hardware.precision) == ("cpu", "float32")
        assert not list(apart.folder.root.rglob("*.h5"))  # nothing that an older version may have built
        short = Train(name=job.name, scale=job.scale, budget=320 / 60_000, test_sets=job.test_sets)
        return carry_out(short, replace(apart, folder=folder))

    monkeypatch.setattr(gate, "carry_out", shortened)
    monkeypatch.setattr(gate, "BAND_DB", (5.0, 50.0))
    return workspace


def change(workspace: Workspace, model: str, column: str, by: Any) -> None:
    path = workspace.results / "quality.csv"
    table = pd.read_csv(path)
    table.loc[table["model"] == model, column] += by
    table.to_csv(path, index=False)


def found(workspace: Workspace, *names: str) -> Outcome:
    return check(workspace.results / "quality.csv", names, workspace)


def test_nothing_moved(workspace: Workspace) -> None:
    outcome = found(workspace)
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
def test_a_number_that_moved(column: str, by: Any, same: bool, workspace: Workspace) -> None:
    change(workspace, "bicubic", column, by)
    outcome = found(workspace)
    assert [row["model"] for row in outcome.differing] == ([] if same else ["bicubic", "bicubic"])
    assert ("2 differ." in report(outcome)) == (not same)
    assert report(outcome).startswith("| model") == (not same)


def test_each_row_is_measured_under_its_own_protocol(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    path = workspace.results / "quality.csv"
    table = pd.read_csv(path)
    table.loc[table["model"] == "bicubic", "protocol"] = "vdsr-y-v1"
    table.to_csv(path, index=False)
    monkeypatch.setitem(gate.PROTOCOLS, "vdsr-y-v1", Protocol(name="vdsr-y-v1", clamp=(100, 120)))
    outcome = found(workspace)
    assert {(row["model"], row["protocol"]) for row in outcome.differing} == {("bicubic", "vdsr-y-v1")}
    table.loc[table["model"] == "bicubic", "protocol"] = "another-v2"
    table.to_csv(path, index=False)
    with pytest.raises(InputError, match="protocols that are not known here: another-v2"):
        found(workspace)


def lose_set5(workspace: Workspace) -> None:
    assert workspace.folder.mirror is not None
    for path in (*workspace.folder.root.rglob("d.png"), workspace.folder.mirror / "Set5" / "d.png"):
        path.unlink()


def test_a_set_that_is_missing_is_named(workspace: Workspace) -> None:
    assert workspace.folder.mirror is not None
    lose_set5(workspace)
    outcome = found(workspace)
    assert list(outcome.lacking) == ["Set5"]
    assert {row["dataset"] for row in outcome.rows} == {"demo-test"}
    assert "Not compared: Set5. " in report(outcome)
    with pytest.raises(Lacking, match="the mirror has no"):
        found(workspace, "Set5")


def test_stores_of_an_older_version_are_not_believed(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(workspace.folder.stores.glob("Set5_x3.h5"))
    degraded = gate.degrade

    def other(image: Any, scale: int, how: Any) -> Any:
        planes = degraded(image, scale, how)
        return planes._replace(interpolated=planes.interpolated + np.float32(0.01))

    monkeypatch.setattr(gate, "degrade", other)
    assert [row["model"] for row in found(workspace).differing] == ["bicubic", "srcnn-915-quick"] * 2


def test_weights_that_cannot_be_read_are_no_missing_data(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    damaged = tmp_path / "srcnn-915-quick_x3.safetensors"
    damaged.write_bytes(weights.shipped("srcnn-915-quick", 3).read_bytes()[:1000])
    monkeypatch.setattr(weights, "shipped", lambda recipe, scale: damaged)
    with pytest.raises(InputError, match="cut short"):
        found(workspace)
    monkeypatch.setattr(weights, "shipped", lambda recipe, scale: tmp_path / "none" / damaged.name)
    with pytest.raises(InputError, match="no weights of it ship"):
        found(workspace)


def test_a_demo_that_diverges_is_a_difference(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def diverging(job: Train, workspace: Workspace) -> tuple[Path, bool]:
        msg = "the loss is no longer a number"
        raise Diverged(msg)

    monkeypatch.setattr(gate, "carry_out", diverging)
    assert [row["model"] for row in found(workspace).differing] == [DEMO]


def test_a_stopped_check_does_not_offer_to_go_on(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(job: Train, workspace: Workspace) -> tuple[Path, bool]:
        msg = "stopped after 320 backprops"
        raise Stopped(msg)

    monkeypatch.setattr(gate, "carry_out", stopped)
    result = command(workspace)
    assert result.exit_code == 1
    assert result.stderr.endswith("Aborted!\n")


def test_only_the_named_sets_and_the_demo(workspace: Workspace) -> None:
    assert {row["dataset"] for row in found(workspace, "demo-test").rows} == {"demo-test"}
    assert {row["dataset"] for row in found(workspace, "Set5").rows} == {"Set5", "demo-test"}
    with pytest.raises(InputError, match=r"Set6 was to be measured anew, but .* has only Set5, demo-test"):
        found(workspace, "Set6")


def test_what_takes_hours_is_measured_only_where_it_is_named(workspace: Workspace) -> None:
    path = workspace.results / "quality.csv"
    table = pd.read_csv(path)
    large = table[table["dataset"] == "Set5"].assign(dataset="Urban100")
    pd.concat([table, large]).to_csv(path, index=False)
    assert {row["dataset"] for row in found(workspace).rows} == {"Set5", "demo-test"}
    with pytest.raises(InputError, match="Urban100"):  # there is none among the made-up sets
        found(workspace, "Urban100")


def test_runs_whose_weights_do_not_ship_are_left_out(workspace: Workspace) -> None:
    path = workspace.results / "quality.csv"
    table = pd.read_csv(path)
    trained = table["model"] == "srcnn-915-quick"
    table.loc[trained, "budget"] = 0.5
    table.to_csv(path, index=False)
    assert {row["model"] for row in found(workspace).rows} == {"bicubic", DEMO}
    table.loc[trained, "budget"] = 1.0
    table.to_csv(path, index=False)
    assert {row["model"] for row in found(workspace).rows} == {"bicubic", "srcnn-915-quick", DEMO}


def test_only_rows_of_the_precision_that_ships_are_measured(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate.weights, "shipping", lambda: {"srcnn-915-quick_x3.safetensors": "bfloat16"})
    assert {row["model"] for row in found(workspace).rows} == {"bicubic", DEMO}
    path = workspace.results / "quality.csv"
    table = pd.read_csv(path)
    table.loc[table["origin"] == "trained", "precision"] = "bfloat16"
    table.to_csv(path, index=False)
    outcome = found(workspace)
    assert outcome.measured_anew == 4
    assert not outcome.differing


def test_a_row_whose_first_seed_is_still_to_come_is_no_gap(workspace: Workspace) -> None:
    path = workspace.results / "quality.csv"
    table = pd.read_csv(path)
    more = table[table["model"] == "srcnn-915-quick"].assign(
        precision="bfloat16", psnr_db=np.nan, ssim=np.nan, images=np.nan
    )
    pd.concat([table, more]).to_csv(path, index=False)
    assert not found(workspace).differing
    assert found(workspace).measured_anew == 4
    table.loc[0, "psnr_db"] = np.nan
    table.to_csv(path, index=False)
    with pytest.raises(InputError, match="it has gaps"):
        found(workspace)


def test_a_loop_that_does_not_learn_cannot_pass(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "BAND_DB", BAND_DB)
    outcome = found(workspace)
    assert [row["model"] for row in outcome.differing] == [DEMO]
    assert f"{BAND_DB[0]} to {BAND_DB[1]}" in report(outcome)


# The command.


def command(workspace: Workspace, *words: object) -> Result:
    places = ("--against", workspace.results, "--data", workspace.folder.root, "--mirror", workspace.folder.mirror)
    result = CliRunner().invoke(main, ["check", *map(str, words), *map(str, places)])
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    return result


def test_exit_codes_and_the_summary(workspace: Workspace, tmp_path: Path) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n", encoding="utf-8")
    passed = command(workspace, "--summary", summary)
    assert passed.exit_code == 0
    assert "all as expected" in passed.stdout
    change(workspace, "bicubic", "psnr_db", 1)
    failed = command(workspace, "--summary", summary, "--json")
    assert failed.exit_code == 1
    assert "2 of 5 numbers are not what they were" in failed.stderr
    rows = json.loads(failed.stdout)
    assert [row["same"] for row in rows] == [False, True, False, True, True]
    assert set(tables.COLUMNS) < set(rows[0])
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.count("## srrepro check") == 2
    assert "| bicubic | ×3      | Set5" in text


def test_a_gate_that_compared_nothing_fails(workspace: Workspace) -> None:
    path = workspace.results / "quality.csv"
    path.write_text(path.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    result = command(workspace)
    assert result.exit_code == 1
    assert "nothing was compared" in result.stderr


def test_what_is_missing_is_named_beside_json_too(workspace: Workspace) -> None:
    lose_set5(workspace)
    result = command(workspace, "--json")
    assert result.exit_code == 0
    assert "Not compared: Set5. " in result.stderr
    assert len(json.loads(result.stdout)) == 3


@pytest.mark.parametrize("text", [None, "", "a,b\n1,2\n", "model,origin,budget\nbicubic,interpolation,\n"])
def test_what_is_no_quality_csv(text: str | None, workspace: Workspace) -> None:
    path = workspace.results / "quality.csv"
    path.unlink()
    if text is not None:
        path.write_text(text, encoding="utf-8")
    result = command(workspace)
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


def test_words_for_numbers(workspace: Workspace) -> None:
    path = workspace.results / "quality.csv"
    path.write_text(path.read_text(encoding="utf-8") + "<<<<<<< HEAD\n", encoding="utf-8")
    result = command(workspace)
    assert result.exit_code == 2
    assert "it has gaps, or words for numbers" in result.stderr


def test_a_summary_that_cannot_be_written_is_refused_before_the_work(workspace: Workspace, tmp_path: Path) -> None:
    result = command(workspace, "--summary", tmp_path / "nowhere" / "summary.md")
    assert result.exit_code == 2
    assert "measuring" not in result.stderr
    assert "nowhere" in result.stderr
