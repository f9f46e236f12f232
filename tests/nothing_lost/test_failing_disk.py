"""A write, flush, rename, opening or closing that fails, each in its turn: the right file or none, and one message."""

import errno
import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from forks import FAIL, NOTHING, Ended, Forks
from tasks import WRITERS

from srrepro.data import registry
from srrepro.data.registry import DataFolder

_rng = np.random.default_rng(0)
PHOTOGRAPHS = {
    "a.png": _rng.integers(0, 256, (31, 40, 3), np.uint8),
    "b.png": _rng.integers(0, 256, (26, 23), np.uint8),
}
KINDS = "wsrco"


@pytest.fixture
def rows(pretend: Callable[..., DataFolder], tmp_path: Path) -> tuple[str, str]:
    """A registry of two photographs, in a file, and their mirror."""
    folder = pretend({"photographs": PHOTOGRAPHS})
    rows = tmp_path / "registry.json"
    rows.write_text(json.dumps([asdict(file) for file in registry.registry()]), encoding="utf-8")
    assert folder.mirror is not None
    return str(rows), str(folder.mirror)


def finals(folder: Path) -> dict[str, bytes]:
    """Everything under a final name, and its content."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    names = {path: path.relative_to(folder) for path in files}
    return {
        str(name): path.read_bytes()
        for path, name in names.items()
        if not any(part.startswith(".") for part in name.parts)
    }


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize("what", WRITERS)
@pytest.mark.parametrize("most", [6, pytest.param(None, marks=pytest.mark.slow)], ids=["some", "all"])
def test_any_change_that_fails_leaves_the_right_file_or_none(
    what: str, most: int | None, forking: Forks, rows: tuple[str, str], tmp_path: Path
) -> None:
    """Of `most` changes, spread over all that are made, or all."""

    def write(place: Path, at: int = 0, happens: int = NOTHING, number: int = 0) -> Ended:
        place.mkdir(exist_ok=True)
        return forking.run(
            "tasks:write", what, str(place), *rows, below=place, at=at, happens=happens, kinds=KINDS, errno=number
        )

    whole = write(tmp_path / "whole")
    assert whole.code == 0, whole.said
    expected, names = finals(tmp_path / "whole"), everything(tmp_path / "whole")
    assert expected
    refused = 0
    tried = range(1, whole.changes + 1, 1 if most is None else max(1, whole.changes // most))
    for at in tried:
        place, number = tmp_path / f"{at}", errno.ENOSPC if at % 2 else errno.EIO
        ended = write(place, at, FAIL, number)
        where = f"change {at} of {whole.changes}: {ended.nth}\n{ended.said}"
        assert ended.code in {0, 2}, where
        assert ended.nth, where
        found = finals(place)
        assert all(expected[name] == content for name, content in found.items()), where
        if ended.code == 0:  # that a folder cannot be flushed, or what is left not be thrown away, is no fault
            assert found == expected, where
        else:
            refused += 1
            (line,) = [line for line in ended.said.splitlines() if line.startswith("Error: ")]
            assert ended.said.endswith(f"{line}\n"), where
            assert os.strerror(number) in line or "is full." in line, where
        assert not [name for name in everything(place) if ".part" in name], where
        again = write(place)
        assert again.code == 0, f"{where}\n{again.said}"
        assert finals(place) == expected, where
        assert everything(place) == names, where
    print(f"{what}: {len(tried)} of {whole.changes} changes failed, {refused} were told")  # noqa: T201
    assert refused >= 3
