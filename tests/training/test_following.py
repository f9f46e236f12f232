from pathlib import Path

import pytest

from srrepro.errors import InputError
from srrepro.training.following import check_tensorboard, following

pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")


def read(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """By tag, what TensorBoard would draw."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def rows(*backprops: int) -> list[dict[str, float]]:
    return [{"backprops": number, "Set5_psnr_db": 30 + number / 8} for number in backprops]


def test_rows_are_there_when_they_come(tmp_path: Path) -> None:
    with following(tmp_path, "run", []) as follow:
        follow(rows(8)[0])
        assert read(tmp_path / "run") == {"Set5_psnr_db": [(8, 31.0)]}
        follow(rows(16)[0])
    assert read(tmp_path / "run") == {"Set5_psnr_db": [(8, 31.0), (16, 32.0)]}


def test_a_resumed_run_is_written_anew(tmp_path: Path) -> None:
    with following(tmp_path, "run", []) as follow:
        for row in rows(8, 16, 24):  # killed now: the last row is in no checkpoint
            follow(row)
    with following(tmp_path, "run", rows(8, 16)) as follow:
        follow(rows(32)[0])
    assert read(tmp_path / "run") == {"Set5_psnr_db": [(8, 31.0), (16, 32.0), (32, 34.0)]}


def test_nothing_is_written_without_a_folder(tmp_path: Path) -> None:
    with following(None, "run", rows(8)) as follow:
        follow(rows(16)[0])
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_place_for_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="file, but that is a file"):
        check_tensorboard(tmp_path / "file")
