"""The commit and the machine that a number is said to come from are those that made it."""

from pathlib import Path

import pytest
import torch

from srrepro.git import git
from srrepro.reporting.provenance import commit, provenance

CLONE = Path(__file__).parents[2]


@pytest.mark.skipif(not (CLONE / ".git").exists(), reason="no clone")
def test_the_commit_is_this_clone_s_even_inside_a_hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / ".git"))  # as git tells hooks of the repository it is busy with
    found = commit()
    assert found is not None
    assert found.removesuffix("+changes") == git(CLONE, "rev-parse", "HEAD")


def test_a_gpu_is_named_with_its_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"a GPU, {device}")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance("cuda")["driver"] is None
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 580.95.05\necho 580.95.05\n", encoding="utf-8")
    tool.chmod(0o755)
    found = provenance("cuda")
    assert (found["machine"], found["driver"]) == ("a GPU, cuda", "580.95.05")
    assert "driver" not in provenance("cpu")


def test_copied_files_may_say_which_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SRREPRO_COMMIT", "0123abc")
    assert provenance("cpu")["commit"] == "0123abc"
    monkeypatch.setenv("SRREPRO_COMMIT", "")
    assert provenance("cpu")["commit"] != ""
