"""What `srrepro doctor` finds, and that it starts where nothing else does."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import srrepro
from srrepro.cli import main
from srrepro.data.registry import DataFolder, fetch, sets
from srrepro.hardware import MEMORY
from srrepro.jobs import doctor
from srrepro.kernels import compiled


def examined(tmp_path: Path, *words: str) -> Result:
    places = ("--data", str(tmp_path / "data"), "--results", str(tmp_path / "results"))
    result = CliRunner().invoke(main, ["doctor", *places, *words])
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    return result


def rows(result: Result) -> dict[str, dict[str, Any]]:
    """By what they are about; of two, the worse."""
    found = sorted(json.loads(result.stdout), key=lambda row: ["ok", "lacking", "broken"].index(row["state"]))
    return {row["about"]: row for row in found}


def test_one_screen_says_it_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # a long path would make a long line, so that it can be copied
    monkeypatch.setenv("XDG_CACHE_HOME", "cache")
    result = examined(Path())
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 40
    words = result.stdout.replace(",", " ").split()
    assert {"compiler", "device", "memory", "weights", "folders", "export", "report", srrepro.__version__} <= set(words)
    assert {name for name in sets() if not name.startswith("goldens")} <= set(words)
    assert "-> srrepro prepare T91 --data data (" in result.stdout
    assert not any(tmp_path.iterdir())


def test_sets_are_told_by_their_content(pretend: Callable[..., DataFolder], tmp_path: Path) -> None:
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    folder = pretend({"whole": {"a.png": image}, "part": {"b.png": image, "c.png": image.T}, "none": {"d.png": image}})
    for name in ("whole", "part"):
        fetch(folder, name)
    (folder.root / "part" / "c.png").write_bytes(b"damaged")
    result = examined(tmp_path, "--json")
    assert result.exit_code == 0
    found = {about: (row["state"], row["found"]) for about, row in rows(result).items() if about.startswith("set ")}
    assert found == {"set whole": ("ok", "1"), "set part": ("lacking", "1 of 2"), "set none": ("lacking", "0 of 1")}
    assert rows(result)["set part"]["do"] == f"srrepro prepare part --data {folder.root}"
    assert folder.mirror is not None
    (folder.mirror / "none" / "d.png").unlink()
    mirrored = rows(examined(tmp_path, "--json", "--mirror", str(folder.mirror)))
    assert (mirrored["set part"]["found"], mirrored["set none"]["found"]) == ("1 of 2", "0 of 1, not in the mirror")
    assert mirrored["set part"]["do"].endswith(f" --mirror {folder.mirror}")
    text = examined(tmp_path).stdout
    assert "ok       data sets   whole (1)\n" in text
    assert "lacking  data sets   part (1 of 2), none (0 of 1)\n" in text


@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(path.read_bytes()[:-1] + b"?"), Path.unlink])
def test_damaged_weights_are_broken(
    damage: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(Path(srrepro.__file__).parent / "weights", tmp_path / "package" / "weights")
    monkeypatch.setattr(doctor, "files", lambda _: tmp_path / "package")
    assert rows(examined(tmp_path, "--json"))["weights"]["state"] == "ok"
    damage(tmp_path / "package" / "weights" / "srcnn-915-quick_x2.safetensors")
    result = examined(tmp_path)
    assert result.exit_code == 1
    assert "Error: broken: weights: damaged or not there: srcnn-915-quick_x2.safetensors\n" in result.stderr
    assert "git checkout srrepro/weights" in " ".join(result.stdout.split())


def test_without_a_compiler_srrepro_is_usable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "compiler", lambda: None)
    result = examined(tmp_path, "--json")
    assert result.exit_code == 0
    assert rows(result)["compiler"]["state"] == "lacking"
    assert "gcc or clang" in rows(result)["compiler"]["do"]


@pytest.mark.parametrize(
    ("where", "name", "value", "message"),
    [
        (compiled, "library", lambda: None, "makes nothing that can be loaded here"),
        (doctor, "_difference_in_c", lambda: 0.2, "convolutions that differ from PyTorch's by 0.2"),
        (doctor, "_difference_in_c", lambda: float("nan"), "convolutions that differ from PyTorch's by nan"),
    ],
)
def test_a_compiler_that_fails_is_broken(
    where: Any, name: str, value: object, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "compiler", lambda: "/usr/bin/cc")
    monkeypatch.setattr(compiled, "library", lambda: object())
    monkeypatch.setattr(doctor, "_difference_in_c", lambda: 0.0)
    monkeypatch.setattr(doctor, "_device", lambda: doctor.Finding(about="device", state="ok", found="cpu"))
    monkeypatch.setattr(where, name, value)
    result = examined(tmp_path)
    assert result.exit_code == 1
    assert message in result.stderr


@pytest.mark.skipif(compiled.library() is None, reason="there is no C compiler")
def test_the_convolutions_in_c_are_really_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < doctor._difference_in_c() < 1e-4


def test_where_pytorch_is_broken_it_says_so(tmp_path: Path) -> None:
    code = "import sys; sys.modules['torch'] = None; from srrepro.cli import main; main()"
    words = (sys.executable, "-c", code, "doctor", "--data", str(tmp_path))
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "broken   packages    cannot be imported: torch (" in done.stdout
    assert "data sets" in done.stdout


def test_little_memory_is_said_with_what_to_give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_kibibytes", lambda: (8 << 20, (MEMORY >> 10) - 1))
    found = rows(examined(tmp_path, "--json"))["memory"]
    assert (found["state"], found["found"]) == ("lacking", "8.0 GiB, 4.0 free")
    assert "give --memory 2047 " in found["do"]


def test_folders_and_extras_that_lack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "results").mkdir()
    (tmp_path / "file").touch()
    monkeypatch.setattr(doctor, "find_spec", lambda name: None if name == "onnxruntime" else object())
    found = rows(examined(tmp_path, "--json"))
    assert (found["export"]["state"], found["export"]["do"]) == ("lacking", 'pip install "srrepro[export]"')
    assert found["report"]["state"] == "ok"


def test_a_data_folder_that_cannot_be_made_is_broken(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "data"
    result = examined(tmp_path, "--json", "--data", str(place))
    found = rows(result)
    assert result.exit_code == 1
    assert f"broken: folders: {place} (data) may not be written: Not a directory" in result.stderr
    assert "--data" in found["folders"]["do"]


def test_looking_at_folders_leaves_nothing(tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    examined(tmp_path, "--json", "--data", str(tmp_path / "new" / "data"))
    assert sorted(tmp_path.rglob("*")) == before
