"""Which files of a folder are the images that are meant; what is left out is said."""

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from srrepro.errors import InputError
from srrepro.plain import few
from srrepro.progress import say

KINDS = {
    ".png": "PNG",
    ".bmp": "BMP",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jfif": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".webp": "WebP",
}
"""By suffix, in small letters."""
SUFFIXES = frozenset(KINDS)
_OF_SYSTEMS = frozenset({".ds_store", "thumbs.db", "desktop.ini"})
"""Files that nobody put there: not worth a word."""
_BELOW = "in folders below"
_HIGH, _LOW = "_HR", "_LR"


def folder_images(folder: Path) -> list[Path]:
    """The originals directly in a folder, in the order of their names; says what it holds besides, or several kinds.

    Where small images and results lie beside their originals, as `x_LR.png` beside `x_HR.png` (the layout of SelfExSR's
    release), the originals are taken.

    Raises
    ------
    InputError : no such folder, no image in it, or no way to tell which are the originals.
    """
    taken, left_out = _sorted_out(folder)
    originals, companions = _originals(folder, taken)
    _report(folder, originals, companions | left_out)
    return originals


def folder_pictures(folder: Path) -> list[Path]:
    """All image files directly in a folder, in the order of their names; says what is left out.

    Raises
    ------
    InputError : no such folder, or no image in it.
    """
    taken, left_out = _sorted_out(folder)
    _report(folder, taken, left_out)
    return taken


def _sorted_out(folder: Path) -> tuple[list[Path], dict[str, list[str]]]:
    """The images, and by reason the names of what is left out."""
    if not folder.is_dir():
        msg = f"The folder {folder} was named as an image set, but there is no such folder."
        raise InputError(msg)
    taken: list[Path] = []
    left_out: dict[str, list[str]] = {}
    for path in sorted(folder.iterdir()):
        suffix = path.suffix.lower()
        if path.is_dir():
            if inside := _count(path):
                left_out.setdefault(_BELOW, []).append(f"{path.name}: {inside}")
        elif path.name.lower() in _OF_SYSTEMS:
            continue
        elif path.name.startswith("._"):
            left_out.setdefault("of macOS (AppleDouble)", []).append(path.name)
        elif path.name.startswith("."):
            left_out.setdefault("hidden", []).append(path.name)
        elif path.is_symlink() and not path.exists():
            left_out.setdefault("links to nothing", []).append(path.name)
        elif suffix not in SUFFIXES:
            left_out.setdefault(suffix or "without a suffix", []).append(path.name)
        elif path.is_file():
            taken.append(path)
    if not taken:
        _refuse_empty(folder, left_out)
    return taken, left_out


def _count(folder: Path) -> int:
    """Images directly in a folder below."""
    try:
        return sum(path.suffix.lower() in SUFFIXES and not path.name.startswith(".") for path in folder.iterdir())
    except OSError:
        return 0


def _refuse_empty(folder: Path, left_out: Mapping[str, Sequence[str]]) -> None:
    below = left_out.get(_BELOW, [])
    rest = {why: names for why, names in left_out.items() if why != _BELOW}
    found = f"; there are {_in_words(rest)}" if rest else ""
    advice = f" Folders below it do ({few(below)}): name one of them." if below else ""
    kinds = " ".join(sorted(SUFFIXES))
    msg = f"The folder {folder} was named as an image set, but holds no image ({kinds}){found}.{advice}"
    raise InputError(msg)


def _originals(folder: Path, taken: Sequence[Path]) -> tuple[list[Path], dict[str, list[str]]]:
    high = [path for path in taken if path.stem.upper().endswith(_HIGH)]
    low = [path for path in taken if path.stem.upper().endswith(_LOW)]
    if len(low) == len(taken):
        say(f"{folder}: all {len(taken)} images are named {_LOW}, as small ones are; they are taken for the originals.")
        return list(taken), {}
    heads = tuple(path.stem[: -len(_HIGH)] + "_" for path in high)
    others = [path for path in taken if path not in high]
    companions: dict[str, list[str]] = {}
    strangers = []
    for path in others:
        head = max((head for head in heads if path.stem.startswith(head)), key=len, default=None)
        if head is None:
            strangers.append(path)
        else:
            companions.setdefault(f"named _{path.stem[len(head) :]}", []).append(path.name)
    if strangers and (companions or low):
        msg = (
            f"The folder {folder} was named as an image set, but holds small images or results beside originals, and "
            f"{len(strangers)} that are neither for sure ({few([path.name for path in strangers])}). "
            "Put the originals alone into a folder."
        )
        raise InputError(msg)
    return (high, companions) if companions else (list(taken), {})


def _report(folder: Path, taken: Sequence[Path], left_out: Mapping[str, Sequence[str]]) -> None:
    """One line, if there is anything to say."""
    kinds: dict[str, list[str]] = {}
    for path in taken:
        kinds.setdefault(KINDS[path.suffix.lower()], []).append(path.name)
    if len(kinds) == 1 and not left_out:
        return
    counts = ", ".join(f"{len(names)} {kind}" for kind, names in kinds.items())
    _say_once(f"{folder}: taken {counts}" + (f"; left out {_in_words(left_out)}" if left_out else ""))


@cache
def _say_once(line: str) -> None:
    """A folder is looked at for its images, and again for their pictures."""
    say(line)


def _in_words(reasons: Mapping[str, Sequence[str]]) -> str:
    return ", ".join(f"{len(names)} {why} ({few(names)})" for why, names in reasons.items())
