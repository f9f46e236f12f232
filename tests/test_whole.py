"""Files that are there whole or not at all, of which several processes may write one."""

import os
import stat
import threading
from pathlib import Path

import pytest

from srrepro.errors import InputError
from srrepro.whole import folder_part, part_of, whole, written_whole


def test_a_folder_that_may_not_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, how: how != os.W_OK)  # whoever is root may write anywhere
    with pytest.raises(InputError, match=f"but nothing may be written to {tmp_path}. Choose another folder"):
        written_whole(tmp_path / "table.csv", "first")


def test_of_two_that_write_one_file_one_waits(tmp_path: Path) -> None:
    path, entered = tmp_path / "table.csv", threading.Event()

    def second() -> None:
        with whole(path) as part:
            entered.set()
            part.write_text("second")

    other = threading.Thread(target=second)
    with whole(path) as part:
        part.write_text("first, and half of it")
        other.start()
        assert not entered.wait(0.2)
        part.write_text("first")
    other.join(timeout=10)
    assert path.read_text() == "second"
    assert list(tmp_path.iterdir()) == [path]


def test_what_a_killed_process_left_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    part_of(path).write_text("half of something long")
    written_whole(path, "all")
    part_of(tmp_path / "run").mkdir()
    (part_of(tmp_path / "run") / "stale").touch()
    with folder_part(tmp_path / "run") as part:
        (part / "fresh").touch()
    assert path.read_text() == "all"
    assert sorted(str(found.relative_to(tmp_path)) for found in tmp_path.rglob("*")) == [
        "run",
        "run/fresh",
        "table.csv",
    ]


def test_names_are_flushed_after_contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a machine that loses its power may keep a name without a content, or lose the name."""
    flushed, path, fsync = list[tuple[bool, bool]](), tmp_path / "table.csv", os.fsync

    def note(handle: int) -> None:
        flushed.append((stat.S_ISDIR(os.fstat(handle).st_mode), path.exists()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", note)
    written_whole(path, "all")
    assert flushed == [(False, False), (True, True)]


@pytest.mark.parametrize("name", ["a" * 251 + ".png", "图" * 84 + ".x", "plain"])
def test_a_name_may_be_as_long_as_it_can(name: str, tmp_path: Path) -> None:
    written_whole(tmp_path / name, b"all")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_part_keeps_the_suffix_that_tells_what_to_write() -> None:
    for name in ("network.mat", "a" * 250 + ".mat"):
        assert part_of(Path(name)).suffix == ".mat"
        assert part_of(Path(name)).name.startswith(".")


def test_what_fails_leaves_what_was_there(tmp_path: Path) -> None:
    written_whole(tmp_path / "table.csv", "before")

    def half() -> None:
        with whole(tmp_path / "table.csv") as part:
            part.write_text("half")
            raise OSError(28, "No space left on device")

    with pytest.raises(InputError, match=r"table\.csv was to be written, but could not be: No space left on device\."):
        half()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("table.csv", "before")]
