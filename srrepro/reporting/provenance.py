"""Where and with what a number was made: enough to make it again, nothing that names a person or a place."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import srrepro
from srrepro.git import git
from srrepro.hardware import machine

PACKAGES = ("torch", "numpy", "scipy", "scikit-image", "h5py", "pillow")


def provenance(device: str) -> dict[str, Any]:
    """Versions, processor or GPU with its driver, threads, and the commit if this is a clone."""
    return {
        "commit": commit(),
        "versions": {"srrepro": srrepro.__version__, "python": platform.python_version()}
        | {package: version(package) for package in PACKAGES},
        "machine": machine(device),
        **({} if device == "cpu" else {"driver": _driver(), "cuda": torch.version.cuda}),
        "threads": torch.get_num_threads(),
    }


def _driver() -> str | None:
    """Of NVIDIA's GPUs, as its own tool calls it; None where there is no such tool."""
    ask = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        answers = subprocess.run(ask, check=True, capture_output=True, text=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        return None
    return answers[0] if answers else None


def commit() -> str | None:
    """The commit of the clone that this package is run from, with `+changes` if files differ from it.

    Where files were copied to another machine, `SRREPRO_COMMIT` says which they are, whatever clone lies around them.
    """
    if told := os.environ.get("SRREPRO_COMMIT"):
        return told
    folder = Path(__file__).parent
    try:
        found = git(folder, "rev-parse", "HEAD")
        top = Path(git(folder, "rev-parse", "--show-toplevel"))
        if top.resolve() != folder.parent.parent.resolve():  # installed somewhere inside another clone
            return None
        changed = git(folder, "status", "--porcelain", "--untracked-files=no", "--", str(folder.parent))
    except (OSError, subprocess.CalledProcessError):
        return None
    return f"{found}+changes" if changed else found
