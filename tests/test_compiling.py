"""Functions in C: compiled once, kept, and done without where there is no compiler."""

import ctypes
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from srrepro import compiling
from srrepro.compiling import compiled

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang") or ""
PACKAGE = Path(compiling.__file__).parent
pytestmark = pytest.mark.skipif(not COMPILER, reason="there is no C compiler here")


@pytest.fixture
def anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[], ctypes.CDLL | None]:
    """A library as a process finds it that has an empty cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return lambda: compiled("pixels/resize", {})


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    made: list[str] = []
    compile_ = compiling._compile
    monkeypatch.setattr(compiling, "_compile", lambda *given: (made.append("made"), compile_(*given)))
    return made


def test_compiled_once_and_kept(anew: Callable[[], ctypes.CDLL | None], monkeypatch: pytest.MonkeyPatch) -> None:
    made = counted(monkeypatch)
    assert anew() is not None
    assert anew() is not None
    assert made == ["made"]


def test_compiled_anew_where_nothing_can_be_kept(
    anew: Callable[[], ctypes.CDLL | None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file, no folder")
    made = counted(monkeypatch)
    assert anew() is not None
    assert anew() is not None
    assert made == ["made", "made"]


def test_another_processor_has_its_own(
    anew: Callable[[], ctypes.CDLL | None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    anew()
    monkeypatch.setattr(compiling, "_processor", lambda: "another")
    anew()
    assert len(list((tmp_path / "cache").rglob("*.so"))) == 2


def test_without_a_compiler_pytorch_does_it(
    anew: Callable[[], ctypes.CDLL | None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert anew() is None


def test_a_compiler_that_fails_is_named(
    anew: Callable[[], ctypes.CDLL | None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    broken = tmp_path / "broken-cc"
    broken.write_text('#!/bin/sh\n[ "$1" = --version ] && exit 0\necho "no such instruction" >&2\nexit 1\n')
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    assert anew() is None
    said = "".join(capsys.readouterr())
    assert "broken-cc" in said
    assert "no such instruction" in said


@pytest.mark.parametrize("source", sorted(PACKAGE.rglob("*.c")), ids=lambda path: path.name)
def test_the_source_has_no_warnings(source: Path, tmp_path: Path) -> None:
    command = [COMPILER, "-Wall", "-Wextra", "-Wno-psabi", "-O1", "-fPIC", "-shared", str(source)]
    done = subprocess.run([*command, "-o", str(tmp_path / "out.so")], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("content", [b"", b"no library"])
def test_a_kept_file_that_is_damaged_is_made_again(
    content: bytes,
    anew: Callable[[], ctypes.CDLL | None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    assert anew() is not None
    (kept,) = (tmp_path / "cache").rglob("*.so")
    damaged = tmp_path / "elsewhere" / "srrepro" / kept.name  # a path that this process has not loaded yet
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(content)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))
    assert anew() is not None
    assert damaged.read_bytes() == kept.read_bytes()


def test_other_flags_make_another_file(anew: Callable[[], ctypes.CDLL | None], tmp_path: Path) -> None:
    anew()
    assert compiled("pixels/resize", {}, "-ffp-contract=off") is not None
    assert len(list((tmp_path / "cache").rglob("*.so"))) == 2


def test_a_compiler_may_have_options(anew: Callable[[], ctypes.CDLL | None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", f"{COMPILER} -pipe")
    assert anew() is not None
