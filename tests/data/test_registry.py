"""The registry names every file once and for all, and `fetch` brings exactly those files or says why not."""

import csv
import errno
import fcntl
import gc
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from PIL import Image

from srrepro.data import registry
from srrepro.data.registry import PACKAGED, DataFolder, fetch, is_present, members, mirrored, sets, sha256_of
from srrepro.errors import InputError

COUNTS = {"T91": 91, "BSDS200": 200, "291": 291, "val20": 20, "Set5": 5, "Set14": 14, "B100": 100, "Urban100": 100}
TRAINING = ("T91", "BSDS200", "291", "val20", "demo-train")
TEST = ("Set5", "Set14", "B100", "Urban100", "demo-test")
SMALL = {"small": {"a.png": np.arange(12, dtype=np.uint8).reshape(3, 4), "b.png": np.zeros((2, 2), np.uint8)}}


def files_in(folder: Path) -> dict[str, int]:
    """All files with the time of their last change, save for the lock."""
    found = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in found}


def test_every_path_is_named_once():
    # Whatever the case: on some systems a.png and A.png are one file.
    paths = Counter(file.path.casefold() for file in registry.registry())
    assert paths.most_common(1)[0][1] == 1


def test_every_path_stays_in_the_data_folder():
    for file in registry.registry():
        path = PurePosixPath(file.path)
        assert not path.is_absolute()
        assert ".." not in path.parts


def test_every_file_is_known_by_its_content():
    for file in registry.registry():
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256), file.path
        assert file.bytes > 0, file.path


def test_every_url_is_pinned_to_a_commit():
    pinned = re.compile(r"https://raw\.githubusercontent\.com/[\w.-]+/[\w.-]+/[0-9a-f]{40}/\S+")
    for file in registry.registry():
        assert pinned.fullmatch(file.url) or file.url.startswith(PACKAGED), file.url


with (Path(__file__).parents[1] / "reference" / "images.csv").open(encoding="utf-8") as _text:
    KNOWN = {row["path"]: (int(row["width"]), int(row["height"]), row["mode"]) for row in csv.DictReader(_text)}
"""Width, height and colour of every photograph."""


def test_the_size_of_every_photograph_is_known():
    assert {file.path for name in (*TRAINING, *TEST) for file in members(name)} <= KNOWN.keys()


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_a_set_has_as_many_files_as_its_name_says(name, count):
    assert len(members(name)) == count


def test_sets_that_are_parts_of_others():
    assert set(members("val20")) < set(members("BSDS200"))
    assert set(members("291")) == {*members("T91"), *members("BSDS200")}


@pytest.mark.parametrize("test_set", TEST)
@pytest.mark.parametrize("training_set", TRAINING)
def test_no_test_image_is_trained_on(training_set, test_set):
    assert not {file.sha256 for file in members(training_set)} & {file.sha256 for file in members(test_set)}


def test_members_come_in_the_order_of_their_names():
    for name in sets():
        paths = [file.path for file in members(name)]
        assert paths == sorted(paths)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("set5", r"no set 'set5'\. Did you mean Set5\?$"),
        ("Urban", r"Did you mean Urban100\?$"),
        ("faces", r"There are T91, .*Set5, .* and weights-fsrcnn\.$"),
    ],
)
def test_an_unknown_set_is_refused_with_those_that_are_near_or_all(name, message):
    with pytest.raises(InputError, match=message):
        members(name)


def test_fetch_brings_what_the_mirror_has(pretend):
    folder = pretend(SMALL)
    paths = fetch(folder, "small")
    assert paths == [folder.root / "small" / "a.png", folder.root / "small" / "b.png"]
    for path in paths:
        assert path.read_bytes() == (folder.mirror / "small" / path.name).read_bytes()
    assert set(files_in(folder.root)) == {"small/a.png", "small/b.png"}


def test_a_mirror_needs_no_package_for_networks(pretend, monkeypatch):
    for absent in ("pooch", "requests"):
        monkeypatch.setitem(sys.modules, absent, None)
    folder = pretend(SMALL)
    assert len(fetch(folder, "small")) == 2
    (folder.mirror / "small" / "a.png").write_bytes(b"something else")
    (folder.root / "small" / "a.png").unlink()
    with pytest.raises(InputError, match="is not the file with sha256"):
        fetch(folder, "small")


def test_a_percent_encoded_url_is_mirrored_under_its_decoded_path():
    file = replace(members("Set5")[0], url="https://example.org/a%20b/Set%2B5/x.bmp")
    assert mirrored(Path("/m"), file) == Path("/m/a b/Set+5/x.bmp")


def test_a_second_fetch_touches_nothing(pretend):
    folder = pretend(SMALL)
    fetch(folder, "small")
    before = files_in(folder.root)
    shutil.rmtree(folder.mirror)
    assert fetch(folder, "small") == [folder.root / name for name in before]
    assert files_in(folder.root) == before


@pytest.mark.parametrize("damage", [b"", b"\0" * 40], ids=["emptied", "overwritten"])
def test_a_damaged_file_is_brought_again(damage, pretend):
    folder = pretend(SMALL)
    first, second = fetch(folder, "small")
    before = files_in(folder.root)
    first.write_bytes(damage)
    fetch(folder, "small")
    assert first.read_bytes() == (folder.mirror / "small" / "a.png").read_bytes()
    assert files_in(folder.root)["small/b.png"] == before["small/b.png"]


def test_somebodys_own_file_is_kept(pretend, capsys):
    """Nothing that srrepro did not write is lost, however often it is in the way."""
    folder = pretend(SMALL)
    for number in (1, 2):
        own = folder.root / "small" / "a.png"
        own.parent.mkdir(parents=True, exist_ok=True)
        own.write_bytes(b"my own picture %d" % number)
        fetch(folder, "small")
        assert is_present(folder, members("small")[0])
        assert (own.parent / f"a.png.kept-{number}").read_bytes() == b"my own picture %d" % number
    assert "it is kept as a.png.kept-2" in capsys.readouterr().err


def test_one_changed_byte_is_noticed(pretend):
    folder = pretend(SMALL)
    first, _ = fetch(folder, "small")
    content = bytearray(first.read_bytes())
    content[-1] ^= 1
    first.write_bytes(content)
    assert not is_present(folder, members("small")[0])


def refused(folder: DataFolder, name: str) -> str:
    """The one message of a fetch that must fail, and that must leave nothing but whole files."""
    with pytest.raises(InputError) as error:
        fetch(folder, name)
    whole = {file.path for file in members(name) if is_present(folder, file)}
    assert set(files_in(folder.root)) == whole
    message = str(error.value)
    assert name in message, "what was asked"
    assert "\n" not in message
    return message


def test_a_file_that_the_mirror_lacks(pretend):
    folder = pretend(SMALL)
    (folder.mirror / "small" / "b.png").unlink()
    message = refused(folder, "small")
    assert re.search(r"small/b\.png.* the mirror has no .*mirror/small/b\.png\. .*--mirror", message)


def test_a_file_with_another_content(pretend):
    folder = pretend(SMALL)
    (folder.mirror / "small" / "b.png").write_bytes(b"another picture")
    message = refused(folder, "small")
    assert re.search(rf"small/b\.png.*{folder.mirror}.* not the file with sha256 {members('small')[1].sha256}", message)


def test_a_wrong_file_does_not_replace_one_that_is_there(pretend):
    folder = pretend(SMALL)
    first, _ = fetch(folder, "small")
    first.write_bytes(b"my own notes")
    (folder.mirror / "small" / "a.png").write_bytes(b"another picture")
    with pytest.raises(InputError):
        fetch(folder, "small")
    assert first.read_bytes() == b"my own notes"


def test_a_full_disk(pretend, monkeypatch):
    def copy_a_part(_origin: Path, to: str) -> None:
        Path(to).write_bytes(b"half of ")
        raise OSError(errno.ENOSPC, "No space left on device")

    folder = pretend(SMALL)
    monkeypatch.setattr(shutil, "copyfile", copy_a_part)
    message = refused(folder, "small")
    assert re.search(rf"small/[ab]\.png.* disk of {folder.root} is full.*--data", message)


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_disk_that_cannot_lock_is_told_as_that(number, pretend, monkeypatch):
    def refusing(_descriptor: int, _operation: int) -> None:
        raise OSError(number, os.strerror(number))

    folder = pretend(SMALL)
    monkeypatch.setattr(fcntl, "flock", refusing)
    with pytest.raises(InputError) as error:
        fetch(folder, "small")
    assert str(error.value) == (
        f"The data folder {folder.root} was to be locked, but its disk cannot lock files, as some network disks. "
        "Name one on a local disk with --data."
    )


def test_an_interrupted_fetch_leaves_only_whole_files(pretend, monkeypatch):
    def interrupted(_origin: Path, to: str) -> None:
        Path(to).write_bytes(b"half of ")
        raise KeyboardInterrupt

    folder = pretend(SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", interrupted)
        with pytest.raises(KeyboardInterrupt):
            fetch(folder, "small")
    assert not files_in(folder.root)
    assert len(fetch(folder, "small")) == 2


def test_a_data_folder_that_cannot_be_made(pretend):
    folder = pretend(SMALL)
    folder.root.write_text("a file is in the way")
    with pytest.raises(InputError, match=rf"{folder.root} cannot be made.*--data"):
        fetch(folder, "small")


@contextmanager
def served(folder: Path, statuses: Iterator[int]) -> Iterator[str]:
    """The URL of a server on this machine that answers with these statuses, one a request."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status = next(statuses)
            body = (folder / self.path.lstrip("/")).read_bytes() if status == 200 else b""
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
            gc.collect()  # pooch leaves an answer that it does not like unclosed: its warning belongs to this test


answers_unclosed = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


def from_network(folder: DataFolder, address: str, monkeypatch: pytest.MonkeyPatch) -> DataFolder:
    """The same sets without their mirror: their URLs now point to `address`."""
    rows = tuple(replace(file, url=file.url.replace("https://example.org", address)) for file in registry.registry())
    monkeypatch.setattr(registry, "registry", lambda: rows)
    monkeypatch.setattr("pooch.core.time.sleep", lambda _seconds: None)  # between two attempts
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return replace(folder, mirror=None)


@answers_unclosed
def test_fetch_brings_what_the_network_has_and_asks_again_when_it_stumbles(pretend, monkeypatch):
    mirrored_folder = pretend({"small": {"a.png": SMALL["small"]["a.png"]}})
    with served(mirrored_folder.mirror, iter([503, 503, 200])) as address:
        folder = from_network(mirrored_folder, address, monkeypatch)
        (path,) = fetch(folder, "small")
    assert path.read_bytes() == (mirrored_folder.mirror / "small" / "a.png").read_bytes()


@answers_unclosed
def test_a_disk_that_is_full_while_a_file_is_fetched(pretend, monkeypatch):
    """Linux has a file that is always full."""
    mirrored_folder = pretend({"small": {"a.png": SMALL["small"]["a.png"]}})
    monkeypatch.setattr("pooch.core.temporary_file", lambda path: nullcontext("/dev/full"))
    with served(mirrored_folder.mirror, iter([200] * 10)) as address:
        folder = from_network(mirrored_folder, address, monkeypatch)
        message = refused(folder, "small")
    assert re.search(rf"small/a\.png of .* but the disk of {folder.root} is full\. Free some space .*--data", message)


@answers_unclosed
@pytest.mark.parametrize("status", [403, 404, 500])
def test_a_url_that_is_gone(status, pretend, monkeypatch):
    mirrored_folder = pretend({"small": {"a.png": SMALL["small"]["a.png"]}})
    with served(mirrored_folder.mirror, iter([status] * 10)) as address:
        message = refused(from_network(mirrored_folder, address, monkeypatch), "small")
    assert re.search(rf"{address}/small/a\.png could not be read .*--mirror", message)


@answers_unclosed
def test_another_content_from_the_network(pretend, monkeypatch):
    mirrored_folder = pretend({"small": {"a.png": SMALL["small"]["a.png"]}})
    (mirrored_folder.mirror / "small" / "a.png").write_bytes(b"<html>Sign in to this hotel's network</html>")
    with served(mirrored_folder.mirror, iter([200] * 10)) as address:
        message = refused(from_network(mirrored_folder, address, monkeypatch), "small")
    assert re.search(rf"{address}/small/a\.png.* not the file with sha256 {members('small')[0].sha256}", message)


def test_no_network(pretend, monkeypatch):
    mirrored_folder = pretend({"small": {"a.png": SMALL["small"]["a.png"]}})
    with served(mirrored_folder.mirror, iter(())) as address:
        pass  # the port is closed again: nobody answers there
    message = refused(from_network(mirrored_folder, address, monkeypatch), "small")
    assert re.search(
        rf"{address}/small/a\.png could not be read \(ConnectionError\)\. Check the network.*--mirror", message
    )


def test_files_that_arrive_together_in_a_new_folder(pretend, monkeypatch):
    makedirs = os.makedirs

    def slow_makedirs(*path: object, **options: object) -> None:
        time.sleep(0.05)  # so that every thread has seen that there is no folder yet
        makedirs(*path, **options)

    monkeypatch.setattr(os, "makedirs", slow_makedirs)
    assert len(fetch(pretend(SMALL), "small")) == 2


def test_threads_that_fetch_at_once_bring_every_file_once(pretend, monkeypatch):
    copied, copyfile = [], shutil.copyfile

    def noted(origin: Path, to: str) -> None:
        copied.append(origin.name)
        copyfile(origin, to)

    names = [f"{number}.png" for number in range(20)]
    folder = pretend({"many": {name: np.full((4, 4), number, np.uint8) for number, name in enumerate(names)}})
    monkeypatch.setattr(shutil, "copyfile", noted)
    start = threading.Barrier(4)

    def fetch_at_once(_: int) -> list[Path]:
        start.wait(timeout=10)
        return fetch(folder, "many")

    with ThreadPoolExecutor(4) as pool:
        first, *others = pool.map(fetch_at_once, range(4))
    assert all(other == first for other in others)
    assert sorted(copied) == sorted(names)
    assert set(files_in(folder.root)) == {f"many/{name}" for name in names}


def test_processes_that_fetch_at_once_do_no_harm(tmp_path):
    code = "import sys; from pathlib import Path; from srrepro.data.registry import *"
    code += "; fetch(DataFolder(Path(sys.argv[1])), 'demo-test')"
    calls = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    errors = [call.communicate(timeout=60)[1] for call in calls]
    assert [call.returncode for call in calls] == [0, 0, 0], errors
    assert set(files_in(tmp_path)) == {file.path for file in members("demo-test")}
    assert all(is_present(DataFolder(tmp_path), file) for file in members("demo-test"))


@pytest.mark.parametrize("name", ["demo-train", "demo-test"])
@pytest.mark.parametrize("mirror_named", [False, True], ids=["bare", "with a mirror"])
def test_the_demo_needs_neither_network_nor_mirror(mirror_named, name, tmp_path):
    folder = DataFolder(tmp_path / "data", tmp_path / "empty" if mirror_named else None)
    for file, path in zip(members(name), fetch(folder, name), strict=True):
        with Image.open(path) as image:
            assert (image.width, image.height, image.mode) == KNOWN[file.path]


def test_a_scikit_image_without_the_photograph(monkeypatch, tmp_path):
    rows = (replace(members("demo-test")[0], url="scikit-image:data/absent.png"),)
    monkeypatch.setattr(registry, "registry", lambda: rows)
    assert "Install scikit-image" in refused(DataFolder(tmp_path), "demo-test")


@pytest.mark.parametrize("name", ["T91", "Set5"])
def test_the_real_sets_are_those_of_the_registry(name, mirror, tmp_path):
    for file, path in zip(members(name), fetch(DataFolder(tmp_path, mirror), name), strict=True):
        assert sha256_of(path) == file.sha256
        with Image.open(path) as image:
            assert (image.width, image.height, image.mode) == KNOWN[file.path]
