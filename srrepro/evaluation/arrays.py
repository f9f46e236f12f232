"""Weight files that others wrote, as dicts of arrays: one reader a suffix. None of them runs what a file holds."""

import pickle
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

    Raises
    ------
    ValueError : it holds something else.
    """
    try:
        arrays = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, EOFError, RuntimeError) as error:
        msg = f"no file of tensors by name: {str(error).splitlines()[0]}"
        raise ValueError(msg) from error
    if not isinstance(arrays, dict) or not all(isinstance(array, torch.Tensor) for array in arrays.values()):
        msg = "no tensors by name"
        raise ValueError(msg)
    return {str(name): array for name, array in arrays.items()}


READERS: dict[str, Callable[[Path], dict[str, Any]]] = {
    ".mat": read_mat,
    ".pth": read_state_dict,
    ".caffemodel": read_caffemodel,
}


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
    try:
        return reader(path)
    except FileNotFoundError as error:
        msg = f"The weights {path} were asked for, but there is no such file."
        raise InputError(msg) from error
    except Exception as error:  # scipy has many for what it cannot read
        msg = f"The weights {path} were to be read, but are no {path.suffix} file ({error})."
        raise InputError(msg) from error
