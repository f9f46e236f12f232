"""Rules of Windows that can be had elsewhere: what is flushed must be open for writing."""

import errno
import fcntl
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from srrepro.cli import main


@pytest.fixture
def flushed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """`os.fsync` as on Windows, where `_commit` refuses a handle for reading; and how often it was asked."""
    fsync, calls = os.fsync, list[int]()

    def as_windows(descriptor: int) -> None:
        calls.append(descriptor)
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise OSError(errno.EBADF, "Bad file descriptor")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", as_windows)
    return calls


@pytest.mark.parametrize("words", [
    ("prepare", "demo-test"),
    ("train", "srcnn-915-demo", "--scale", "3", "--budget", "0.001"),
    ("evaluate", "bicubic", "--scale", "3", "--set", "demo-test", "--limit", "1"),
], ids=lambda words: words[0])  # fmt: skip
def test_stores_and_checkpoints_are_written(
    words: tuple[str, ...], flushed: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, [*words, "--data", str(tmp_path / "data")])
    assert result.exit_code == 0, result.output
    assert flushed
