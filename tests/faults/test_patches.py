"""The planted faults stay possible: `tox -e faults` plants them, here only what would make that useless."""

import subprocess
from pathlib import Path

import plant
import pytest
from plant import CLONE, faults

FAULTS = faults()
pytestmark = pytest.mark.skipif(not (CLONE / ".git").exists(), reason="this is no clone")


def test_every_patch_applies() -> None:
    for fault in FAULTS:
        done = subprocess.run(
            ["git", "-C", str(CLONE), "apply", "--check", str(fault.path)], capture_output=True, text=True
        )
        assert done.returncode == 0, f"{done.stderr}\nthe code under it has changed: edit the patch"


def test_every_catcher_is_a_test_or_a_check() -> None:
    for fault in FAULTS:
        verb, what, *_ = fault.catcher.split()
        if verb == "pytest":
            file, _, name = what.partition("::")
            assert f"def {name}(" in (CLONE / file).read_text(encoding="utf-8"), fault.path.name
        else:
            assert (verb, what) in {("srrepro", "report"), ("srrepro", "check"), ("srrepro", "bench")}


def test_the_documentation_names_all_faults() -> None:
    text = (CLONE / "docs" / "ci.md").read_text(encoding="utf-8")
    table = [line for line in text.partition(plant.HEAD)[2].splitlines() if line.startswith("|")]
    assert table == [plant.row(fault) for fault in FAULTS]


def test_an_unknown_fault_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert plant.main(["no-such-fault"]) == 2
    assert "there are the faults" in capsys.readouterr().out


def test_a_fault_that_gets_through_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a made-up tree with one test, which looks at one file and not at the other."""
    tree, here = tmp_path / "tree", tmp_path / "tree" / "faults"
    here.mkdir(parents=True)
    for name in ("seen", "unseen"):
        (tree / f"{name}.txt").write_text("1\n")
        (here / f"{name}.patch").write_text(
            f"A change of {name}.txt.\nCaught by: pytest test_it.py::test_seen\n\n"
            f"diff --git a/{name}.txt b/{name}.txt\n--- a/{name}.txt\n+++ b/{name}.txt\n@@ -1 +1 @@\n-1\n+2\n"
        )
    (tree / "test_it.py").write_text("def test_seen(): assert open('seen.txt').read() == '1\\n'\n")
    plant.git(tree, "init", "-q")
    monkeypatch.setattr(plant, "CLONE", tree)
    monkeypatch.setattr(plant, "HERE", here)
    assert plant.main([]) == 1
    said = capsys.readouterr().out
    assert "| seen | A change of seen.txt. | `pytest test_it.py::test_seen` |" in said
    assert "NOT CAUGHT, unseen: `pytest test_it.py::test_seen` ended with 0" in said
    assert "1 of 2 faults caught" in said
