"""Lists of files and their sha256, as `sha256sum` writes and checks them."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from srrepro.data.registry import sha256_of

_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def listed(files: Mapping[str, bytes]) -> bytes:
    """The list of some files, by their names."""
    lines = (f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in sorted(files.items()))
    return "".join(lines).encode()


def read(path: Path) -> dict[str, str]:
    """The sha256 of every file in a list, by its name.

    Raises
    ------
    ValueError : it is no such list.
    """
    found = {}
    for line in path.read_text(encoding="utf-8").split("\n")[:-1]:
        if (parts := _LINE.fullmatch(line)) is None:
            msg = f"{path.name} is damaged"
            raise ValueError(msg)
        found[parts[2]] = parts[1]
    return found


def differing(folder: Path, path: Path) -> list[str]:
    """Names of a list that are not there in a folder, or are there with another content. Errors as `read`."""
    return [name for name, sha256 in read(path).items() if not _is_right(folder / name, sha256)]


def _is_right(path: Path, sha256: str) -> bool:
    return path.is_file() and sha256_of(path) == sha256
