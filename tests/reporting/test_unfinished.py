"""The table of carried runs, from files made here."""

from pathlib import Path
from typing import Any

import pytest

from srrepro.errors import InputError
from srrepro.reporting.unfinished import unfinished
from srrepro.training import checkpoint
from srrepro.whole import part_of

STRETCH = {"id": "a", "begun_at": 0, "steps": 5, "backprops": 40, "seconds": 2.0, "made_with": {"machine": "M"}}
LOG = [{"backprops": 8, "step": 1, "lr": 0.1, "loss": 1.0, "seconds": 1.0, "samples_per_s": 8.0}]


def carried(folder: Path, **state: Any) -> Path:
    path = folder / "a-run.safetensors"
    checkpoint.save(path, {"run": "a-run", "state": {"stretches": [STRETCH], **state}})
    return path


def test_what_a_killed_process_left_is_no_run(tmp_path: Path) -> None:
    path = carried(tmp_path, log=LOG, seconds=2.0)
    part_of(path).write_bytes(path.read_bytes()[:100])
    table = unfinished(tmp_path)
    assert list(table["run"]) == ["a-run", "a-run"]
    assert list(table["backprops"]) == [8, 40]
    assert list(table["seconds"]) == [1.0, 2.0]
    assert table["machines"].iloc[-1] == "M"


@pytest.mark.parametrize("state", [
    {"log": LOG}, {"log": LOG, "seconds": "two"}, {"log": LOG, "seconds": None}, {"seconds": 2.0},
], ids=str)  # fmt: skip
def test_a_run_without_its_curve_or_seconds_is_damaged(state: dict[str, Any], tmp_path: Path) -> None:
    path = carried(tmp_path, **state)
    with pytest.raises(InputError, match=f"{path.name}, but that is damaged"):
        unfinished(tmp_path)
