"""Learning curves: where they are read from, and `srrepro plot`."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner

from srrepro.cli import main
from srrepro.errors import InputError
from srrepro.reporting import site
from srrepro.reporting.curves import HEIGHT, Curve, Log, as_text, chosen, curve, read
from srrepro.training import checkpoint
from srrepro.training.carry import CHECKPOINT

ROWS: list[dict[str, Any]] = [
    {"backprops": 100 * step, "seconds": 2.0 * step, "loss": 1.0, "val20_psnr_db": 28.0, "Set5_psnr_db": 30.0 + step}
    for step in (1, 2, 3)
]
NEEDS_THE_EXTRA = pytest.mark.skipif(bool(site.lacking()), reason="the extra `report` is not installed")


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A finished run, one under way, and a carried one."""
    finished = tmp_path / "runs" / "one_x3_s0_abc"
    finished.mkdir(parents=True)
    pd.DataFrame(ROWS).to_csv(finished / "log.csv", index=False)
    about = {"subject": {"scale": 3}, "threads": 2, "device": "cpu"}
    (finished / "run.json").write_text(json.dumps(about), encoding="utf-8")
    stretch = {"made_with": {"threads": 4, "device": "cuda"}}
    values = {"state": {"log": ROWS[:2], "stretches": [stretch]}}
    running = tmp_path / ".running" / "two_x4_s0_abc"
    running.mkdir(parents=True)
    checkpoint.save(running / CHECKPOINT, values)
    (tmp_path / "unfinished").mkdir()
    checkpoint.save(tmp_path / "unfinished" / "three_x2_s1_abc.safetensors", values)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "scale", "points", "threads"),
    [("one_x3_s0_abc", 3, 3, 2), ("two_x4_s0_abc", 4, 2, 4), ("three_x2_s1_abc", 2, 2, 4)],
)
def test_a_run_is_found_by_its_name(name: str, scale: int, points: int, threads: int, results: Path) -> None:
    log = read(name, results)
    assert (log.name, log.scale, len(log.rows), log.threads) == (name, scale, points, threads)
    assert log.logged == {("val20", scale): "val20_psnr_db", ("Set5", scale): "Set5_psnr_db"}


def test_a_run_is_found_by_its_place(results: Path) -> None:
    folder = results / "runs" / "one_x3_s0_abc"
    carried = results / "unfinished" / "three_x2_s1_abc.safetensors"
    assert read(str(folder), results) == read(str(folder / "log.csv"), results)
    assert read(str(carried), results) == read(carried.stem, results)


def test_one_network_for_several_scales_has_a_curve_for_each() -> None:
    rows = [{"backprops": 1, "seconds": 1.0, "Set5_x2_psnr_db": 36.0, "Set5_x3_psnr_db": 33.0}]
    labels = [one.label for one in chosen([Log("run", rows, None, 1)], "Set5", "backprops")]
    assert labels == ["run ×2", "run ×3"]


@pytest.mark.parametrize(
    ("axis", "device", "threads", "x"),
    [
        ("backprops", "cpu", 2, [100, 200, 300]),
        ("seconds", "cpu", 2, [2, 4, 6]),
        ("core-seconds", "cpu", 2, [4, 8, 12]),
        ("core-seconds", "cuda", 16, [2, 4, 6]),  # its cores are no processor's
    ],
)
def test_what_lies_along_the_axis(axis: Any, device: str, threads: int, x: list[float]) -> None:
    found = curve(Log("run", ROWS, 3, threads, device), "Set5", 3, axis)
    assert found == Curve("run", x, [31.0, 32.0, 33.0], device)


def test_core_seconds_of_unknown_threads_are_refused() -> None:
    log = Log("run", ROWS, 3, None)
    assert curve(log, "Set5", 3, "core-seconds") is None
    with pytest.raises(InputError, match="Core-seconds of run were asked for, but its threads are not known"):
        chosen([log], "Set5", "core-seconds")


def test_what_cannot_be_read_is_explained(results: Path) -> None:
    empty, none, broken = results / "runs" / "bicubic_x3", results / "none.csv", results / "no.safetensors"
    empty.mkdir()
    none.write_text("a,b\n1,2\n", encoding="utf-8")
    broken.write_bytes(b"nothing")
    checkpoint.save(results / "early.safetensors", {"state": {"log": []}, "stretches": []})
    for run, message in (
        ("nowhere", "there is no such folder or file, and .* has no run of that name"),
        ("bicubic_x3", "it has no log.csv and no checkpoint: nothing was trained there"),
        (str(none), "is no log of a run: it has no rows, or no column backprops"),
        (str(broken), "is no checkpoint of a run"),
        (str(results / "early.safetensors"), "no PSNR was logged there yet"),
    ):
        with pytest.raises(InputError, match=message):
            read(run, results)
    with pytest.raises(InputError, match=r"it logged: val20, Set5\. Name one with --set"):
        chosen([read("one_x3_s0_abc", results)], "B100", "backprops")


def test_letters_stand_where_the_points_are() -> None:
    rising = Curve("rising", [0, 50, 100], [30.0, 31.0, 32.0])
    flat = Curve("flat", [0, 100], [30.0, 30.0])
    lines = as_text([rising, flat], "backprops").splitlines()
    assert max(map(len, lines)) <= 79
    assert lines[0].endswith("a")  # the last and highest
    assert lines[HEIGHT - 1].startswith("  30.00 |a")  # where two meet, the first is seen
    assert lines[HEIGHT - 1].endswith("b")
    assert lines[-2:] == ["a  rising: 32.000 dB at last", "b  flat: 30.000 dB at last"]


def test_a_single_point_can_be_drawn() -> None:
    assert "a  one" in as_text([Curve("one", [5], [30.0])], "seconds")


def plot(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(main, ["plot", *map(str, words)])
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    return result.exit_code, result.output


def test_plot_in_letters_needs_no_extra(results: Path) -> None:
    code, text = plot("one_x3_s0_abc", "two_x4_s0_abc", "--text", "--results", results)
    assert code == 0
    assert "b  two_x4_s0_abc: 32.000 dB at last" in text


@pytest.mark.parametrize(
    ("name", "message"),
    [("a.jpg", "neither .png nor .svg"), ("there.png", "that exists"), ("no/a.png", "there is no folder")],
)
def test_plot_refuses_a_wrong_target(name: str, message: str, results: Path) -> None:
    (results / "there.png").write_bytes(b"mine")
    code, text = plot("one_x3_s0_abc", "--out", results / name, "--results", results)
    assert (code, message in text) == (2, True), text
    assert (results / "there.png").read_bytes() == b"mine"


def test_plot_asks_where_to(results: Path) -> None:
    code, text = plot("one_x3_s0_abc", "--results", results)
    assert code == 2
    assert "Give --out FILE.png, FILE.svg, or --text" in text


@NEEDS_THE_EXTRA
@pytest.mark.parametrize(("name", "begins"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml")])
def test_plot_draws(name: str, begins: bytes, results: Path) -> None:
    code, text = plot("one_x3_s0_abc", "--out", results / name, "--by", "core-seconds", "--results", results)
    assert code == 0, text
    assert (results / name).read_bytes().startswith(begins)
