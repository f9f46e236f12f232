"""Preparing without a network, and the mirror that is carried to such a machine."""

import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import requests

from srrepro import models
from srrepro.data import registry
from srrepro.data.registry import DataFolder, is_present, members
from srrepro.errors import InputError, Lacking
from srrepro.jobs.prepare import prepare, to_mirror, training_shapes

IMAGE = np.arange(48 * 40, dtype=np.uint32).reshape(48, 40).astype(np.uint8)
MADE_UP = {"a": {"1.png": IMAGE, "2.png": IMAGE[::-1]}, "b": {"3.png": IMAGE.T}, "c": {"4.png": IMAGE[:, ::-1]}}


@pytest.fixture
def folder(pretend: Callable[..., DataFolder]) -> DataFolder:
    """An empty data folder and a mirror, with sets that no recipe knows."""
    return pretend(MADE_UP)


def told(work: Callable[..., bool], *words: object) -> tuple[bool, list[str]]:
    lines: list[str] = []
    return work(*words, tell=lines.append), lines


@contextmanager
def nobody() -> Iterator[str]:
    """The address of a machine that accepts connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def offline(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[DataFolder, list[str]]]:
    """The same sets in a silent network, and the addresses that were asked."""
    asked: list[str] = []
    head = requests.head

    def noted(url: str, *, timeout: float) -> requests.Response:
        asked.append(url)
        return head(url, timeout=timeout)

    with nobody() as address, monkeypatch.context() as patch:
        rows = tuple(replace(row, url=row.url.replace("https://example.org", address)) for row in registry.registry())
        patch.setattr(registry, "registry", lambda: rows)
        patch.setattr(registry, "ANSWER_S", 0.1)
        patch.setattr(requests, "head", noted)
        patch.setenv("NO_PROXY", "127.0.0.1")
        yield replace(folder, mirror=None), asked


def test_a_silent_network_is_asked_once_for_all_sets(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(folder, ["b"], tell=lambda _: None)
    lines: list[str] = []
    with offline(folder, monkeypatch) as (alone, asked), pytest.raises(Lacking) as error:
        prepare(alone, [], tell=lines.append)
    assert len(asked) == 1
    assert lines == ["b: ready already"]
    message = str(error.value)
    assert "127.0.0.1" in message
    assert "could not be reached (ReadTimeout), so these sets are lacking: a, c. Check the network" in message
    assert "give --mirror DIR: `srrepro prepare --to-mirror DIR` makes one" in message
    assert "\n" not in message


def test_sets_that_were_named_stand_in_the_way_out(folder: DataFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    with offline(folder, monkeypatch) as (alone, asked), pytest.raises(Lacking) as error:
        prepare(alone, ["a", "b"], tell=lambda _: None)
    assert len(asked) == 1
    assert "lacking: a, b." in str(error.value)
    assert "`srrepro prepare a b --to-mirror DIR`" in str(error.value)
    assert not [path for path in folder.root.rglob("*") if path.is_file() and path.name != ".lock"]


def test_without_a_network_what_is_there_still_makes_a_mirror(
    folder: DataFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(folder, ["a"], tell=lambda _: None)
    target = tmp_path / "carried"
    lines: list[str] = []
    with offline(folder, monkeypatch) as (alone, asked), pytest.raises(Lacking, match="lacking: b, c"):
        to_mirror(alone, [], target, tell=lines.append)
    assert len(asked) == 1
    assert [line.partition(",")[0] for line in lines] == ["a: 2 of 2 files"]
    assert {path.name for path in target.rglob("*.png")} == {"1.png", "2.png"}


def test_a_name_that_is_wrong_is_told_before_anything_is_fetched(folder: DataFolder) -> None:
    with pytest.raises(InputError, match="no set 'bb'"):
        prepare(folder, ["a", "bb"], tell=lambda _: None)
    assert not folder.root.exists()


@pytest.mark.parametrize("source", ["data folder", "another mirror"])
def test_a_mirror_serves_another_machine(source: str, folder: DataFolder, tmp_path: Path) -> None:
    if source == "data folder":
        prepare(folder, [], tell=lambda _: None)
        folder = replace(folder, mirror=None)
    target = tmp_path / "carried"
    busy, lines = told(to_mirror, folder, ["a", "c"], target)
    assert busy
    assert lines == ["a: 2 of 2 files, 0.0 MB, brought and verified", "c: 1 of 1 files, 0.0 MB, brought and verified"]

    there = DataFolder(tmp_path / "another machine", target)
    assert told(prepare, there, ["a", "c"]) == (True, ["a: fetched and verified", "c: fetched and verified"])
    assert all(is_present(there, file) for name in ("a", "c") for file in members(name))
    with pytest.raises(Lacking, match="the mirror has no"):
        prepare(there, ["b"], tell=lambda _: None)


def test_a_mirror_that_was_begun_is_completed(folder: DataFolder, tmp_path: Path) -> None:
    target = tmp_path / "carried"
    to_mirror(folder, ["a"], target, tell=lambda _: None)
    first, second = sorted(target.rglob("*.png"))
    before = first.stat().st_mtime_ns
    second.write_bytes(b"cut short")
    assert told(to_mirror, folder, ["a"], target) == (True, ["a: 1 of 2 files, 0.0 MB, brought and verified"])
    assert first.stat().st_mtime_ns == before
    assert told(to_mirror, folder, ["a"], target) == (False, ["a: ready already, 2 files, 0.0 MB"])
    assert not (target / ".incoming").exists()


def test_a_mirror_is_not_made_of_damaged_files(folder: DataFolder, tmp_path: Path) -> None:
    prepare(folder, ["a"], tell=lambda _: None)
    assert folder.mirror is not None
    for path in (*folder.root.rglob("1.png"), *folder.mirror.rglob("1.png")):
        path.write_bytes(b"another picture")
    with pytest.raises(InputError, match=r"a/1\.png .*mirror holds is not the file with sha256"):
        to_mirror(folder, ["a"], tmp_path / "carried", tell=lambda _: None)
    assert {path.name for path in (tmp_path / "carried").rglob("*.png")} <= {"2.png"}


def test_a_full_disk_names_the_option_of_the_mirror(
    folder: DataFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_origin: Path, _to: str) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(InputError, match="carried is full.*another folder with --to-mirror"):
        to_mirror(folder, ["a"], tmp_path / "carried", tell=lambda _: None)
    with monkeypatch.context() as patch:
        patch.setattr("os.access", lambda _path, _mode: False)
        with pytest.raises(InputError, match="The mirror .*carried may not be written. .*--to-mirror"):
            to_mirror(folder, ["a"], tmp_path / "carried", tell=lambda _: None)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="The mirror .* cannot be made: .*--to-mirror"):
        to_mirror(folder, ["a"], tmp_path / "file" / "mirror", tell=lambda _: None)


def test_the_demo_needs_no_mirror(tmp_path: Path) -> None:
    busy, lines = told(to_mirror, DataFolder(tmp_path / "data"), ["demo"], tmp_path / "carried")
    assert not busy
    assert lines == [f"demo-{part}: ready already, ships with scikit-image" for part in ("train", "test")]


def test_every_training_set_has_its_stores() -> None:
    """Of every recipe, at every scale that it can be trained at: a recipe for one scale hinders no other."""
    trained = {recipe.training.set for recipe in models.recipes().values() if recipe.training}
    for name in trained:
        assert training_shapes(name), name
    t91 = training_shapes("T91")
    assert {shape.scales for shape in t91} >= {(2,), (3,), (4,), (2, 3, 4)}
    assert {shape.takes.name for shape in t91} == {"interpolated", "low"}
