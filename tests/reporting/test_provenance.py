"""The commit that a number is said to come from is the one that made it."""

from pathlib import Path

import pytest

from srrepro.reporting.git import git
from srrepro.reporting.provenance import commit

CLONE = Path(__file__).parents[2]


@pytest.mark.skipif(not (CLONE / ".git").exists(), reason="no clone")
def test_the_commit_is_this_clone_s_even_inside_a_hook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git(tmp_path, "init", "-q")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / ".git"))  # as git tells hooks of the repository it is busy with
    found = commit()
    assert found is not None
    assert found.removesuffix("+changes") == git(CLONE, "rev-parse", "HEAD")
