"""Weight files that others wrote, as dicts of arrays: one reader a suffix. None of them runs what a file holds."""

import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from srrepro.errors import InputError
from srrepro.evaluation.caffemodel import read_caffemodel
from srrepro.evaluation.mat5 import read_mat5
from srrepro.evaluation.mat73 import MAGIC, read_mat73


def read_mat(path: Path) -> dict[str, Any]:
    """MATLAB's variables, of versions 5 to 7.3."""
    with path.open("rb") as file:
        is_hdf5 = file.read(len(MAGIC)) == MAGIC
    return read_mat73(path) if is_hdf5 else read_mat5(path)


def read_state_dict(path: Path) -> dict[str, Any]:
    """PyTorch's tensors by name, without a pickle that could run anything.

    A checkpoint that holds them beside other things is searched for them.

    Raises
    ------
    ValueError : it holds something else.
    """
    _check_archive(path)
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
        return dict(content)
    parts = content.items() if isinstance(content, dict) else ()
    inside = {key: value for key, value in parts if isinstance(key, str) and _is_of_tensors(value)}
    if len(inside) != 1:
        found = f"it holds {', '.join(inside)}" if inside else "there are none in it"
        msg = f"tensors by name were expected, once; {found}. Save those of the network alone, by its state_dict()"
        raise ValueError(msg)
    return dict(next(iter(inside.values())))


def _check_archive(path: Path) -> None:
    """That its parts take no more memory than the file has bytes: PyTorch compresses none, but would unpack them.

    Raises
    ------
    ValueError : they would.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
        packed = any(part.compress_type != zipfile.ZIP_STORED for part in parts)
        if packed or sum(part.file_size for part in parts) > path.stat().st_size:
            msg = "it is an archive with compressed parts, which PyTorch does not write"
            raise ValueError(msg)


def _is_of_tensors(content: Any) -> bool:
    if not isinstance(content, dict) or not content:
        return False
    return all(isinstance(name, str) and _is_plain(each) for name, each in content.items())


def _is_plain(value: Any) -> bool:
    """Whether it is a tensor of numbers that are there; PyTorch has others without numbers, or with most left out."""
    plain = type(value) in {torch.Tensor, torch.nn.Parameter}
    return plain and value.layout is torch.strided and value.device.type == "cpu" and not value.is_quantized


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
    except Exception as error:  # PyTorch and SciPy have many for what they cannot read
        msg = f"The weights {path} were to be read, but could not be ({error})."
        raise InputError(msg) from error
