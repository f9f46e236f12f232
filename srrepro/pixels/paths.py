"""Which pictures are meant by what stands on a command line, and where the enlarged ones go."""

import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from srrepro.errors import InputError
from srrepro.pixels.folders import SUFFIXES, folder_pictures
from srrepro.pixels.picture import check_kind, check_target


@dataclass(frozen=True)
class Job:
    """A picture and where it goes, enlarged."""

    source: Path
    target: Path

    @property
    def compared(self) -> Path:
        """Where it is shown beside bicubic."""
        return self.target.with_name(f"{self.target.stem}_compare.png")


def jobs(words: Sequence[str], target: str, scale: float, *, compare: bool, force: bool) -> list[Job]:
    """Every picture that is named, once, and where it goes: to `target`, or into it as `name_x3.png`.

    Parameters
    ----------
    words
        files, folders, and patterns such as `holiday/*.jpg`; `~` is the home folder.
    target
        a file for one file; a folder, which need not be there yet, for a folder or several.
    scale
        for the names.
    compare, force
        whether comparisons are written, too, and whether files may be replaced.

    Raises
    ------
    InputError : something is missing, a target is taken or unfit, or two pictures would go to one file.
    """
    place = Path(target).expanduser()
    is_folder = place.is_dir() or target.endswith(("/", os.sep))
    alone = len(words) == 1 and not _is_pattern(words[0]) and not Path(words[0]).expanduser().is_dir()
    if alone and not is_folder:
        check_target(place, force=force)  # first: a slip there is told without looking at anything else
        planned = [Job(path, place) for path in _sources(words)]
    else:
        sources = _sources(words)
        if place.suffix.lower() in SUFFIXES and not is_folder:
            msg = f"{len(sources)} pictures were to be written to {place}, which names one file. Name a folder."
            raise InputError(msg)
        _check_folder(place)
        planned = [Job(path, place / f"{path.stem}_x{scale:g}{path.suffix}") for path in sources]
    _check(planned, compare=compare, force=force)
    return planned


def _sources(words: Iterable[str]) -> list[Path]:
    found: dict[Path, Path] = {}
    for word in words:
        path = Path(word).expanduser()
        if path.is_dir():
            new = folder_pictures(path)
        elif _is_pattern(word):
            new = [Path(name) for name in sorted(glob.glob(str(path))) if not Path(name).is_dir()]
            if not new:
                msg = f"{word} was named as pictures, but no file has such a name."
                raise InputError(msg)
        else:
            new = [path]
            if not path.exists():
                why = "it is a link to a file that is missing" if path.is_symlink() else "there is no such file"
                msg = f"{path} was to be read as an image, but {why}."
                raise InputError(msg)
        for each in new:
            found.setdefault(each.resolve(), each)
    return list(found.values())


def _is_pattern(word: str) -> bool:
    return glob.has_magic(word) and not Path(word).expanduser().exists()


def _check_folder(folder: Path) -> None:
    """That it is there, or can be made."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        msg = f"Pictures were to be written into the folder {folder}, but {there} is a file. Name a folder."
        raise InputError(msg)
    if not os.access(there, os.W_OK):
        msg = f"Pictures were to be written into the folder {folder}, but nothing may be written to {there}."
        raise InputError(msg)


def _check(planned: Sequence[Job], *, compare: bool, force: bool) -> None:
    sources = {job.source.resolve() for job in planned}
    taken: dict[str, Path] = {}
    for job in planned:
        asked = f"{job.source} was to be written to"
        for path in (job.target, job.compared) if compare else (job.target,):
            if path.parent.is_dir():
                check_target(path, force=force)
            else:
                check_kind(path)
            name = os.path.normcase(path.resolve()).casefold()  # as systems see it that make no difference of case
            if name in taken:
                msg = f"{asked} {path}, and so was {taken[name]}. Give them different names or folders."
                raise InputError(msg)
            if path.resolve() in sources - {job.source.resolve()}:
                msg = f"{asked} {path}, which is to be enlarged itself. Choose another folder."
                raise InputError(msg)
            taken[name] = job.source
