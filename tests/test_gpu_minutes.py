"""A machine for minutes has few packages and no network: `bench/gpu_minutes.py` must do with what its list names."""

import ast
import os
import re
import subprocess
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import pytest

CLONE = Path(__file__).parents[1]
SCRIPT = CLONE / "bench" / "gpu_minutes.py"
ABSENT = ("pooch", "requests", "rich")

pytestmark = pytest.mark.skipif(not SCRIPT.is_file(), reason="no bench/: this is no clone")


def listed() -> list[str]:
    lines = SCRIPT.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def with_what_they_need(names: list[str]) -> list[Distribution]:
    found: dict[str, Distribution] = {}
    todo = list(names)
    while todo:
        name = todo.pop().lower()
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:  # of another platform or version of Python
            continue
        needs = [need for need in found[name].requires or () if "extra ==" not in need]
        todo += [matched[0] for need in needs if (matched := re.match(r"[\w.-]+", need))]
    return list(found.values())


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment with the listed packages, what these need, this tree, and nothing else."""
    site = tmp_path / "site"
    site.mkdir()
    for package in with_what_they_need(listed()):
        for top in {path.parts[0] for path in package.files or () if path.parts[0] not in {"..", "__pycache__"}}:
            origin = Path(str(package.locate_file(top)))
            if origin.exists() and not (site / top).exists():
                (site / top).symlink_to(origin)
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | {"PYTHONPATH": f"{site}{os.pathsep}{CLONE}", "OMP_NUM_THREADS": "2"}


def run(environment: dict[str, str], *words: object, seconds: float) -> subprocess.CompletedProcess[str]:
    """Without the site-packages of the Python that runs the tests."""
    return subprocess.run(
        [sys.executable, "-S", *map(str, words)],
        env=environment,
        cwd=CLONE,
        capture_output=True,
        text=True,
        timeout=seconds,
    )


def test_it_starts_with_the_listed_packages_alone(bare: dict[str, str]) -> None:
    for name in ABSENT:
        assert run(bare, "-c", f"import {name}", seconds=60).returncode != 0, f"{name} should not be there"
    started = run(bare, SCRIPT, "--help", seconds=60)
    assert started.returncode == 0, started.stderr
    assert "--minutes" in started.stdout
    cli = "from srrepro.cli import main; main()"
    shown = run(bare, "-c", cli, "bench", "--help", seconds=60)
    assert shown.returncode == 0, shown.stderr


def test_its_tests_are_all_those_of_training_that_need_a_gpu() -> None:
    """They are chosen by their names, so one without "gpu" in its own would never run anywhere."""
    script = SCRIPT.read_text(encoding="utf-8")
    for path in (file for folder in ("kernels", "training") for file in (CLONE / "tests" / folder).glob("test_*.py")):
        functions = (node for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, ast.FunctionDef))
        for test in functions:
            if "cuda" in [argument.arg for argument in test.args.args]:
                assert "gpu" in test.name, f"{test.name} of {path.name} takes `cuda`"
                assert str(path.relative_to(CLONE)) in script


@pytest.mark.slow
def test_rows_are_in_the_table_when_they_are_measured(bare: dict[str, str], tmp_path: Path) -> None:
    """Of the demo's patches, which need no mirror."""
    script, places = SCRIPT.with_name("gpu_rows.py"), ("--device", "cpu", "--data", tmp_path / "data")
    done = run(bare, script, *places, tmp_path, "srcnn-915-demo", "steps", seconds=400)
    assert done.returncode == 0, done.stderr
    rows = (tmp_path / "speed.csv").read_text(encoding="utf-8").splitlines()
    assert [row.split(",")[:2] for row in rows[1:]] == [["srcnn-915-demo", "train"]] * (len(rows) - 1)
    assert any(",plain," in row for row in rows)
    assert any(",eager," in row for row in rows)


@pytest.mark.slow
def test_it_runs_through_on_a_processor(bare: dict[str, str], mirror: Path, tmp_path: Path) -> None:
    out, data = tmp_path / "out", tmp_path / "data"
    places = ("--results", tmp_path / "results", "--data", data, "--mirror", mirror)
    done = run(bare, SCRIPT, out, "--device", "cpu", "--minutes", 2, *places, seconds=400)
    assert done.returncode == 0, done.stderr
    log = (out / "minutes.log").read_text(encoding="utf-8")
    assert [
        part
        for part in (
            *("stores", "tests", "bench srcnn-915", "bench fsrcnn", "vdsr-t91-code"),
            *("srcnn-915 x3", "srcnn-915 x2", "srcnn-915 x4", "end"),
        )
        if part not in log
    ] == []
    assert len(list(out.glob("*/checkpoint.safetensors"))) == 4
    assert "failed" not in log, log
