"""What a run needs to go on as if nothing had happened, in one file that is always whole."""

import os
from pathlib import Path
from typing import Any

import torch

from srrepro.errors import InputError


def save(path: Path, state: dict[str, Any]) -> None:
    """Write tensors and plain values; a reader sees the old file or the new one, never a part."""
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as stream:
        torch.save(state, stream)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)


def load(path: Path) -> dict[str, Any] | None:
    """The last state saved, or None where there is none yet.

    Raises
    ------
    InputError : the file is damaged.
    """
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        msg = f"The run was to go on from {path}, but that is damaged. Start anew: --fresh."
        raise InputError(msg) from error
    return state
