"""What is installed and who runs it: `constraints.txt`, and the definitions of continuous integration."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CLONE = Path(__file__).parents[1]
WORKFLOW = CLONE / ".github" / "workflows" / "ci.yml"
NOT_RUN_BY_TESTS = {"docs", "dev"}
pytestmark = pytest.mark.skipif(not (CLONE / "pyproject.toml").is_file(), reason="no clone")


def pins() -> dict[str, str]:
    lines = (CLONE / "constraints.txt").read_text(encoding="utf-8").splitlines()
    found = [line.partition("==") for line in lines if not line.startswith("#")]
    assert all(equals for _, equals, _ in found)
    return {canonicalize_name(name): version for name, _, version in found}


def test_every_dependency_is_pinned_within_its_range() -> None:
    project = tomllib.loads((CLONE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    wanted = [*project["dependencies"]]
    wanted += [each for extra in extras.keys() - NOT_RUN_BY_TESTS for each in extras[extra]]
    for requirement in map(Requirement, wanted):
        version = pins().get(canonicalize_name(requirement.name))
        assert version is not None, f"constraints.txt does not pin {requirement.name}"
        assert version in requirement.specifier, f"{requirement.name} {version}"


def test_pins_hold_everywhere() -> None:
    """No folder of somebody's, and no build that only one index has."""
    for name, version in pins().items():
        assert re.fullmatch(r"[0-9][0-9a-z.]*", version), f"{name} {version}"


def test_who_runs_the_tests_is_of_the_versions_that_are_promised() -> None:
    project = tomllib.loads((CLONE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    promised = [each.rpartition(" ")[2] for each in project["classifiers"] if "Python :: 3." in each]
    assert f"python: {promised}".replace("'", '"') in WORKFLOW.read_text(encoding="utf-8")


def test_actions_are_named_by_commit_and_jobs_call_the_one_script() -> None:
    text = WORKFLOW.read_text(encoding="utf-8")
    actions = re.findall(r"uses: (.*)", text)
    assert actions
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v[\d.]+", action) for action in actions), actions
    assert re.search(r"^permissions:\n  contents: read\n\n", text, re.MULTILINE)
    assert text.count("runs-on:") == text.count("timeout-minutes:")
    commands = re.findall(r"run: (.*)", text)
    assert len(commands) == text.count("runs-on:")
    assert all(command.split()[0] == ".ci/run" for command in commands), commands
