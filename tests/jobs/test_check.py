"""The regression gate: silent where nothing moved, loud where anything did, never content with nothing."""

import json
import shutil
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skimage.data
import skimage.io
from click.testing import CliRunner, Result

from srrepro.cli import main
from srrepro.data.registry import DataFolder
from srrepro.errors import Diverged, InputError, Lacking, Stopped
from srrepro.evaluation import weights
from srrepro.jobs import check as gate
from srrepro.jobs.carry_out import carry_out
from srrepro.jobs.check import BAND_DB, DEMO, Outcome, Row, check, report, sample
from srrepro.jobs.job import Measure, Train, Workspace
from srrepro.protocols.protocol import Protocol
from srrepro.reporting.evidence import SUMS

CLONE = Path(__file__).parents[2]
SETS = {
    "Set5": {"d.png": skimage.data.chelsea()[100:140, 100:150], "e.png": skimage.data.chelsea()[100:148, 100:160]},
    "demo-train": {"a.png": skimage.data.camera()[40:160, 200:320]},
    "demo-test": {"c.png": skimage.data.coffee()[100:140, 200:245]},
}

BICUBIC, QUICK = "bicubic_x3_demo-test-Set5", "srcnn-915-quick_x3_demo-test-Set5"
"""The run folders."""


@pytest.fixture
def workspace(pretend: Callable[..., DataFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A results folder with bicubic and the shipped weights on two sets; the demo run takes ten steps."""
    folder = pretend(SETS)
    workspace = Workspace(folder, tmp_path / "results")
    for name in ("bicubic", "srcnn-915-quick"):
        carry_out(Measure(name=name, scale=3, test_sets=("demo-test", "Set5")), workspace)

    def shortened(job: Train, apart: Workspace) -> tuple[Path, bool]:
        assert (job.name, job.seed, job.budget) == (DEMO, 0, 1.0)
        assert (apart.hardware.device, apart.hardware.precision) == ("cpu", "float32")
        assert not list(apart.folder.root.rglob("*.h5"))  # nothing that an older version may have built
        short = Train(name=job.name, scale=job.scale, budget=320 / 60_000, test_sets=job.test_sets)
        return carry_out(short, replace(apart, folder=folder))

    monkeypatch.setattr(gate, "carry_out", shortened)
    monkeypatch.setattr(gate, "BAND_DB", (5.0, 50.0))
    return workspace


def own(workspace: Workspace, run: str, name: str) -> Path:
    """A file of a run folder whose checksums are gone, so that it can be changed."""
    folder = workspace.results / "runs" / run
    (folder / SUMS).unlink(missing_ok=True)
    return folder / name


def change(workspace: Workspace, run: str, image: str, metric: str, by: float) -> None:
    """Move the committed score of one image, as if it was another one when it was measured."""
    path = own(workspace, run, "scores.csv")
    table = pd.read_csv(path)
    chosen = (table["image"] == image) & (table["metric"] == metric)
    assert chosen.sum() == 1
    table.loc[chosen, "value"] += by
    table.to_csv(path, index=False)


def say_of_run(workspace: Workspace, run: str, **about: Any) -> None:
    path = own(workspace, run, "run.json")
    known = json.loads(path.read_text(encoding="utf-8"))
    subject = known["subject"] | {key: value for key, value in about.items() if key in known["subject"]}
    path.write_text(json.dumps(known | about | {"subject": subject}), encoding="utf-8")


def found(workspace: Workspace, *names: str, full: bool = False) -> Outcome:
    return check(workspace.results, names, workspace, full=full)


def test_nothing_moved(workspace: Workspace) -> None:
    outcome = found(workspace)
    assert [(row.model, row.dataset, row.images, row.same) for row in outcome.rows] == [
        ("bicubic", "Set5", 1, True),
        ("srcnn-915-quick", "Set5", 1, True),
        ("bicubic", "demo-test", 1, True),
        ("srcnn-915-quick", "demo-test", 1, True),
        (DEMO, "demo-test", 1, True),
    ]
    assert report(outcome) == (
        f"4 rows measured anew (Set5 1 of 2 images, demo-test 1 of 1 images) and {DEMO} trained: all as expected. "
        "--full measures every image."
    )


def test_everything_is_measured_where_that_is_asked_for(workspace: Workspace) -> None:
    outcome = found(workspace, full=True)
    assert [row.images for row in outcome.rows] == [2, 2, 1, 1, 1]
    assert report(outcome).endswith("(Set5 2 of 2 images, demo-test 1 of 1 images) and srcnn-915-demo trained: "
                                    "all as expected.")  # fmt: skip


@pytest.mark.parametrize(("metric", "by", "same"), [
    ("psnr_db", 0.0009, True), ("psnr_db", -0.0011, False), ("psnr_db", 0.0011, False), ("psnr_db", np.inf, False),
    ("ssim", -0.00009, True), ("ssim", 0.00011, False),
])  # fmt: skip
def test_one_image_that_moved(metric: str, by: float, same: bool, workspace: Workspace) -> None:
    change(workspace, BICUBIC, "d.png", metric, by)
    outcome = found(workspace)
    assert [(row.model, row.dataset, row.image) for row in outcome.differing] == (
        [] if same else [("bicubic", "Set5", "d.png")]
    )
    assert ("1 differ." in report(outcome)) == (not same)
    assert report(outcome).startswith("| model") == (not same)


def test_an_image_outside_the_sample_is_for_full(workspace: Workspace) -> None:
    change(workspace, QUICK, "e.png", "psnr_db", 0.002)
    assert not found(workspace).differing
    (row,) = found(workspace, full=True).differing
    assert (row.model, row.image, row.differing, row.images) == ("srcnn-915-quick", "e.png", 1, 2)


def test_a_run_of_other_images_differs_whatever_is_measured(workspace: Workspace) -> None:
    path = own(workspace, BICUBIC, "scores.csv")
    path.write_text(path.read_text(encoding="utf-8").replace("e.png", "f.png"), encoding="utf-8")
    outcome = found(workspace)
    assert [(row.model, row.dataset) for row in outcome.differing] == [("bicubic", "Set5")]
    assert "2 images of other names" in report(outcome)


def test_the_sample_is_the_smallest_of_every_kind(tmp_path: Path) -> None:
    shapes: dict[str, tuple[int, ...]] = {
        "a": (24, 36, 3), "b": (12, 24, 3), "c": (24, 12, 3), "d": (36, 24, 3), "e": (48, 48), "f": (60, 60),
        "g": (61, 60, 3), "h": (61, 60, 3), "i": (62, 60, 3), "j": (63, 60, 3), "k": (66, 60, 3),
    }  # fmt: skip
    paths = [tmp_path / f"{name}.png" for name in shapes]
    for path, shape in zip(paths, shapes.values(), strict=True):
        skimage.io.imsave(path, np.zeros(shape, np.uint8), check_contrast=False)
    assert "".join(path.stem for path in sample(paths)) == "bceg"
    assert [path.stem for path in sample(paths[3:4])] == ["d"]


def test_each_row_is_measured_under_its_own_protocol(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    other = Protocol(name="vdsr-y-v1", clamp=(100, 120))
    monkeypatch.setitem(gate.PROTOCOLS, "vdsr-y-v1", other)
    path = own(workspace, BICUBIC, "scores.csv")
    path.write_text(path.read_text(encoding="utf-8").replace("matlab-y-v1", "vdsr-y-v1"), encoding="utf-8")
    say_of_run(workspace, BICUBIC, signature=other.signature)
    outcome = found(workspace)
    assert {(row.model, row.protocol) for row in outcome.differing} == {("bicubic", "vdsr-y-v1")}


def lose_set5(workspace: Workspace) -> None:
    assert workspace.folder.mirror is not None
    for path in (*workspace.folder.root.rglob("d.png"), workspace.folder.mirror / "Set5" / "d.png"):
        path.unlink()


def test_a_set_that_is_missing_is_named(workspace: Workspace) -> None:
    assert workspace.folder.mirror is not None
    lose_set5(workspace)
    outcome = found(workspace)
    assert list(outcome.lacking) == ["Set5"]
    assert {row.dataset for row in outcome.rows} == {"demo-test"}
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
    assert [row.model for row in found(workspace).differing] == ["bicubic", "srcnn-915-quick"] * 2


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
    assert [row.model for row in found(workspace).differing] == [DEMO]


def test_a_stopped_check_does_not_offer_to_go_on(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(job: Train, workspace: Workspace) -> tuple[Path, bool]:
        msg = "stopped after 320 backprops"
        raise Stopped(msg)

    monkeypatch.setattr(gate, "carry_out", stopped)
    result = command(workspace)
    assert result.exit_code == 1
    assert result.stderr.endswith("Aborted!\n")


def test_only_the_named_sets_and_the_demo(workspace: Workspace) -> None:
    assert {row.dataset for row in found(workspace, "demo-test").rows} == {"demo-test"}
    assert {row.dataset for row in found(workspace, "Set5").rows} == {"Set5", "demo-test"}
    with pytest.raises(InputError, match=r"Set6 was to be measured anew, but .* has only Set5, demo-test"):
        found(workspace, "Set6")


def test_what_takes_hours_is_measured_only_where_it_is_named(workspace: Workspace) -> None:
    path = own(workspace, BICUBIC, "scores.csv")
    path.write_text(path.read_text(encoding="utf-8").replace("Set5", "Urban100"), encoding="utf-8")
    assert {(row.model, row.dataset) for row in found(workspace).rows} == {
        ("bicubic", "demo-test"), ("srcnn-915-quick", "demo-test"), ("srcnn-915-quick", "Set5"), (DEMO, "demo-test"),
    }  # fmt: skip
    with pytest.raises(InputError, match="There is no set 'Urban100'"):  # there is none among the made-up sets
        found(workspace, "Urban100")


@pytest.mark.parametrize("about", [{"budget": 0.5}, {"seed": 1}, {"precision": "bfloat16"}], ids=str)
def test_runs_whose_weights_do_not_ship_are_left_out(about: dict[str, Any], workspace: Workspace) -> None:
    say_of_run(workspace, QUICK, **about)
    assert {row.model for row in found(workspace).rows} == {"bicubic", DEMO}


def test_a_loop_that_does_not_learn_cannot_pass(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "BAND_DB", BAND_DB)
    outcome = found(workspace)
    assert [row.model for row in outcome.differing] == [DEMO]
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
    change(workspace, BICUBIC, "d.png", "psnr_db", 1)
    failed = command(workspace, "--summary", summary, "--json")
    assert failed.exit_code == 1
    assert "1 of 5 numbers are not what they were" in failed.stderr
    rows = json.loads(failed.stdout)
    assert [row["same"] for row in rows] == [False, True, True, True, True]
    assert set(rows[0]) == {field.name for field in fields(Row)}
    text = summary.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.count("## srrepro check") == 2
    assert "| bicubic | ×3      | Set5" in text


def test_a_gate_that_compared_nothing_fails(workspace: Workspace) -> None:
    shutil.rmtree(workspace.results / "runs" / BICUBIC)
    say_of_run(workspace, QUICK, budget=0.5)
    result = command(workspace)
    assert result.exit_code == 1
    assert "nothing was compared" in result.stderr


def test_what_is_missing_is_named_beside_json_too(workspace: Workspace) -> None:
    lose_set5(workspace)
    result = command(workspace, "--json")
    assert result.exit_code == 0
    assert "Not compared: Set5. " in result.stderr
    assert len(json.loads(result.stdout)) == 3


def test_a_folder_without_evidence_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    result = command(replace(workspace, results=tmp_path / "elsewhere"))
    assert result.exit_code == 2
    assert "elsewhere/runs holds no evidence. Name a results folder." in result.stderr


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
    path = own(workspace, BICUBIC, "scores.csv")
    path.write_text(path.read_text(encoding="utf-8") + "<<<<<<< HEAD\n", encoding="utf-8")
    result = command(workspace)
    assert result.exit_code == 2
    assert "bicubic_x3_demo-test-Set5 was to be read, but is not whole" in result.stderr


def test_full_is_an_option_of_the_command(workspace: Workspace) -> None:
    assert "Set5 1 of 2 images" in command(workspace).stdout
    assert "Set5 2 of 2 images" in command(workspace, "--full").stdout


def test_a_summary_that_cannot_be_written_is_refused_before_the_work(workspace: Workspace, tmp_path: Path) -> None:
    result = command(workspace, "--summary", tmp_path / "nowhere" / "summary.md")
    assert result.exit_code == 2
    assert "measuring" not in result.stderr
    assert "nowhere" in result.stderr
