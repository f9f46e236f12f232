"""Asks git about the clone that this is run from."""

import os
import subprocess
from pathlib import Path


def git(folder: Path, *words: str) -> str:
    """What a git command prints, run in `folder`.

    Raises
    ------
    OSError : git cannot be started.
    subprocess.CalledProcessError : git fails, and says why in `stderr`.
    """
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=apart()).stdout.strip()


def apart() -> dict[str, str]:
    """The environment without what git tells its hooks, which would send every command to one repository."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
