"""Functions in C: compiled once, kept where nobody else can change them, done without where there is no compiler."""

import ctypes
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from srrepro import compiling
from srrepro.compiling import compiled

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang") or ""
PACKAGE = Path(compiling.__file__).parent
SOMEBODY = 65534
pytestmark = pytest.mark.skipif(not COMPILER, reason="there is no C compiler here")
as_root = pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root gives files away")


@pytest.fixture(scope="module")
def copying(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compiler that is asked for one source only, and takes no time: it has compiled that already."""
    place = tmp_path_factory.mktemp("compiler")
    made, script = place / "made.so", place / "copying-cc"
    subprocess.run([COMPILER, *compiling.FLAGS, str(PACKAGE / "pixels" / "resize.c"), "-o", str(made)], check=True)
    script.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exit 0\nfor out; do :; done\ncp {made} "$out"\n')
    script.chmod(0o755)
    return script


@pytest.fixture
def anew(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, copying: Path) -> Iterator[Callable[[], ctypes.CDLL | None]]:
    """A library as a process finds it that has an empty cache folder."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CC", str(copying))
    compiling._say_once.cache_clear()
    yield lambda: compiled("pixels/resize", {})
    compiling._say_once.cache_clear()


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


def test_other_flags_make_another_file(anew: Callable[[], ctypes.CDLL | None], tmp_path: Path) -> None:
    anew()
    assert compiled("pixels/resize", {}, "-ffp-contract=off") is not None
    assert len(list((tmp_path / "cache").rglob("*.so"))) == 2


def test_a_compiler_may_have_options(anew: Callable[[], ctypes.CDLL | None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", f"{COMPILER} -pipe")
    assert anew() is not None


def test_other_options_make_another_file(
    anew: Callable[[], ctypes.CDLL | None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, copying: Path
) -> None:
    """What a compiler says of its version does not name them."""
    anew()
    monkeypatch.setenv("CC", f"{copying} -g")
    anew()
    assert len(list((tmp_path / "cache").rglob("*.so"))) == 2


# What is kept, and what others might put there.


def test_what_is_made_is_the_users_alone(anew: Callable[[], ctypes.CDLL | None], tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        assert anew() is not None
    finally:
        os.umask(before)
    (kept,) = (tmp_path / "cache" / "srrepro").iterdir()
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "cache", kept.parent, kept)]
    assert modes == [0o700, 0o700, 0o600]


Plant = Callable[[Path], Path]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that leaves a file behind when it is loaded."""
    place = tmp_path_factory.mktemp("planted")
    source, made = place / "planted.c", place / "planted.so"
    source.write_text(
        "#include <stdio.h>\n__attribute__((constructor)) static void run(void) "
        f'{{ fclose(fopen("{place / "was-run"}", "w")); }}\n'
    )
    subprocess.run([COMPILER, "-shared", "-fPIC", str(source), "-o", str(made)], check=True)
    return made


@pytest.fixture
def plant(anew: Callable[[], ctypes.CDLL | None], planted: Path, tmp_path: Path) -> Plant:
    """Puts that library where the next process looks for its own, under a name that is right, in a folder as given."""
    assert anew() is not None
    (own,) = (tmp_path / "cache" / "srrepro").iterdir()
    begun = own.stem.rpartition("-")[0]
    own.unlink()
    (planted.parent / "was-run").unlink(missing_ok=True)

    def put(folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{begun}-{sha256(planted.read_bytes()).hexdigest()}.so"
        file.write_bytes(planted.read_bytes())
        file.chmod(0o600)
        return file

    return put


def was_run(planted: Path) -> bool:
    return (planted.parent / "was-run").exists()


def test_what_is_sound_is_loaded(
    anew: Callable[[], ctypes.CDLL | None], plant: Plant, planted: Path, tmp_path: Path
) -> None:
    """So that the tests below can fail."""
    plant(tmp_path / "cache" / "srrepro")
    assert anew() is not None
    assert was_run(planted)


def everybody_may_write(folder: Path, _file: Path) -> None:
    folder.chmod(0o777)


def everybody_may_write_to_their_own(folder: Path, _file: Path) -> None:
    folder.chmod(0o1777)


def a_group_may_write(folder: Path, _file: Path) -> None:
    if os.getuid() == 0:
        os.chown(folder, -1, SOMEBODY)
    elif compiling._alone(folder.stat().st_gid):
        pytest.skip("the user's group has no other member, and only root can give a folder to another")
    folder.chmod(0o770)


def everybody_may_write_above(folder: Path, _file: Path) -> None:
    folder.parent.chmod(0o777)


def a_link_to_where_everybody_may_write(folder: Path, _file: Path) -> None:
    there = folder.parent / "shared" / "there"
    there.parent.mkdir()
    there.parent.chmod(0o777)
    folder.rename(there)
    folder.symlink_to(there)


def somebody_elses_folder(folder: Path, _file: Path) -> None:
    os.chown(folder, SOMEBODY, -1)


def somebody_elses_folder_above(folder: Path, _file: Path) -> None:
    os.chown(folder.parent, SOMEBODY, -1)


def somebody_elses_link(folder: Path, _file: Path) -> None:
    there = folder.with_name("there")
    folder.rename(there)
    folder.symlink_to(there)
    os.lchown(folder, SOMEBODY, -1)


def a_link_to_somebody_elses_folder(folder: Path, _file: Path) -> None:
    there = folder.with_name("there")
    folder.rename(there)
    os.chown(there, SOMEBODY, -1)
    folder.symlink_to(there)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (everybody_may_write, "everybody may write to"),
        (everybody_may_write_to_their_own, "everybody may write to"),
        (a_group_may_write, "a group may write to"),
        (everybody_may_write_above, "everybody may write to"),
        (a_link_to_where_everybody_may_write, "everybody may write to"),
        pytest.param(somebody_elses_folder, "belongs to another user", marks=as_root),
        pytest.param(somebody_elses_folder_above, "belongs to another user", marks=as_root),
        pytest.param(somebody_elses_link, "belongs to another user", marks=as_root),
        pytest.param(a_link_to_somebody_elses_folder, "belongs to another user", marks=as_root),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_nothing_is_loaded_from_a_folder_that_others_can_change(
    spoil: Callable[[Path, Path], None],
    said: str,
    anew: Callable[[], ctypes.CDLL | None],
    plant: Plant,
    planted: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "cache" / "srrepro"
    file = plant(folder)
    spoil(folder, file)
    library = anew()
    assert library is not None
    assert library.resize
    assert anew() is not None
    assert not was_run(planted)
    (line,) = capsys.readouterr().err.splitlines()
    assert f"Compiled code is not kept in {folder}, and none is loaded from there, because" in line
    assert said in line
    assert line.endswith("Mend that, or name a folder of your own by XDG_CACHE_HOME.")
    assert [path.name for path in folder.iterdir()] == [file.name]


def a_byte_changed(_folder: Path, file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def cut_short(_folder: Path, file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def empty(_folder: Path, file: Path) -> None:
    file.write_bytes(b"")


def a_file_that_everybody_may_write(_folder: Path, file: Path) -> None:
    file.chmod(0o666)


def somebody_elses_file(_folder: Path, file: Path) -> None:
    os.chown(file, SOMEBODY, -1)


def a_link_to_a_file(folder: Path, file: Path) -> None:
    there = folder.parent / "there.so"
    file.rename(there)
    file.symlink_to(there)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (a_byte_changed, "its bytes are not those that were put there"),
        (cut_short, "its bytes are not those that were put there"),
        (empty, "its bytes are not those that were put there"),
        (a_file_that_everybody_may_write, "others may write it"),
        pytest.param(somebody_elses_file, "it belongs to another user", marks=as_root),
        (a_link_to_a_file, "it is no file"),
    ],
    ids=lambda given: getattr(given, "__name__", ""),
)
def test_a_file_that_is_not_what_was_put_there_is_made_again(
    spoil: Callable[[Path, Path], None],
    said: str,
    anew: Callable[[], ctypes.CDLL | None],
    plant: Plant,
    planted: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "cache" / "srrepro"
    file = plant(folder)
    spoil(folder, file)
    made = counted(monkeypatch)
    assert anew() is not None
    assert anew() is not None
    assert made == ["made"]
    assert not was_run(planted)
    assert capsys.readouterr().err == f"{file} is not loaded, because {said}; it is compiled anew.\n"
    (kept,) = folder.iterdir()
    assert kept.name.endswith(f"-{sha256(kept.read_bytes()).hexdigest()}.so")


def test_a_folder_among_those_of_others_is_ones_own(
    anew: Callable[[], ctypes.CDLL | None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As below /tmp: everybody may write there, but not rename what belongs to another."""
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache").chmod(0o1777)
    made = counted(monkeypatch)
    assert anew() is not None
    assert anew() is not None
    assert made == ["made"]


@pytest.mark.parametrize("kind", ["loop", "nowhere"])
def test_a_link_that_leads_nowhere_is_no_place(
    kind: str, anew: Callable[[], ctypes.CDLL | None], tmp_path: Path
) -> None:
    (tmp_path / "cache").symlink_to(tmp_path / ("cache" if kind == "loop" else "none"))
    assert anew() is not None
