"""Weight files that others wrote, as dicts of arrays: one reader a suffix. None of them runs what a file holds."""

import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import scipy.io
import torch

from srrepro.errors import InputError
from srrepro.evaluation.caffemodel import read_caffemodel
from srrepro.evaluation.mat73 import MAGIC, read_mat73


def read_mat(path: Path) -> dict[str, Any]:
    """MATLAB's variables, of any version."""
    with path.open("rb") as file:
        if file.read(len(MAGIC)) == MAGIC:
            return read_mat73(path)
    arrays: dict[str, Any] = scipy.io.loadmat(str(path))
    return {name: array for name, array in arrays.items() if not name.startswith("__")}


def read_state_dict(path: Path) -> dict[str, Any]:
    """PyTorch's tensors by name, without a pickle that could run anything.

    A checkpoint that holds them beside other things is searched for them.

    Raises
    ------
    ValueError : it holds something else.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        if isinstance(error, FileNotFoundError | IsADirectoryError | PermissionError):
            raise
        msg = "it is cut short or no file of PyTorch's; copy it again"
        raise ValueError(msg) from error
    except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
        strange = re.search(r"GLOBAL ([\w.]+)", str(error))
        if strange is None:
            msg = f"no file of tensors by name: {str(error).splitlines()[0]}"
            raise ValueError(msg) from error
        msg = (
            f"it holds a whole object ({strange[1]}) that could run any code when it is read. Convert it with the "
            f'program that wrote it: torch.save(torch.load("{path.name}", weights_only=False).state_dict(), '
            '"weights.pth")'
        )
        raise ValueError(msg) from error
    if _is_of_tensors(content):
        return {str(name): array for name, array in content.items()}
    parts = content.items() if isinstance(content, dict) else ()
    inside = {key: value for key, value in parts if _is_of_tensors(value)}
    if len(inside) != 1:
        found = f"it holds {', '.join(map(str, inside))}" if inside else "there are none in it"
        msg = f"tensors by name were expected, once; {found}. Save those of the network alone, by its state_dict()"
        raise ValueError(msg)
    return {str(name): array for name, array in next(iter(inside.values())).items()}


def _is_of_tensors(content: Any) -> bool:
    if not isinstance(content, dict) or not content:
        return False
    return all(isinstance(each, torch.Tensor) for each in content.values())


READERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    ".mat": read_mat,
    ".pth": read_state_dict,
    ".caffemodel": read_caffemodel,
}


STATE_DICTS = (".pth", ".pt", ".bin", ".ckpt")
"""What people call PyTorch's files."""


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """A state dict, whatever it is called. Errors as `read_arrays`."""
    return _read(path, read_state_dict)


def read_arrays(path: Path) -> dict[str, Any]:
    """What a weight file holds, by name.

    Raises
    ------
    InputError : no such file, no reader for its suffix, or it is damaged or of another kind.
    """
    reader = READERS.get(path.suffix)
    if reader is None:
        msg = f"The weights {path} were to be read, but {path.suffix or 'no suffix'!r} is none of {' '.join(READERS)}."
        raise InputError(msg)
    return _read(path, reader)


def _read(path: Path, reader: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    if path.is_file() and path.stat().st_size == 0:
        msg = f"The weights {path} were to be read, but could not be (the file is empty)."
        raise InputError(msg)
    try:
        return reader(path)
    except FileNotFoundError as error:
        msg = f"The weights {path} were asked for, but there is no such file."
        raise InputError(msg) from error
    except IsADirectoryError as error:
        msg = f"The weights {path} were asked for, but that is a folder. Name a file."
        raise InputError(msg) from error
    except Exception as error:  # scipy has many for what it cannot read
        msg = f"The weights {path} were to be read, but could not be ({error})."
        raise InputError(msg) from error
