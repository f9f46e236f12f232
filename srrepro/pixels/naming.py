"""Which picture belongs to which reference, by the names that people give to files."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from srrepro.errors import InputError
from srrepro.plain import few

_SEPARATOR = r"[ _.-]"
_MARKS = re.compile(
    rf"(?:{_SEPARATOR}?(?:x[2348]|[2348]x)|{_SEPARATOR}(?:SRF{_SEPARATOR}?[2348]|[HLSG][RT]|GTmod12|GT|HR|LR|SR|bicubic|out))$",
    re.IGNORECASE,
)
"""What stands behind a picture's own name: `_x3`, `x3`, `_SR`, `_GT`, `_SRF_3_HR` ..."""


def own_name(stem: str) -> str:
    """The name of a picture without what programs put behind it, in small letters.

    >>> [own_name(stem) for stem in ("baby_GT", "babyx3", "baby_x3_SR", "img_001_SRF_3_HR", "3096")]
    ['baby', 'baby', 'baby', 'img_001', '3096']
    """
    name, before = stem, ""
    while name != before:
        name, before = _MARKS.sub("", name), name
    return (name or stem).lower()


def scale_of(stem: str) -> int | None:
    """The scale that a picture's name says it has.

    >>> [scale_of(stem) for stem in ("baby_x2", "img_001_SRF_4_HR", "baby")]
    [2, 4, None]
    """
    said = re.findall(rf"(?:x|SRF{_SEPARATOR}?)([2348])(?![0-9a-z])", stem, re.IGNORECASE)
    return int(said[-1]) if said else None


def partners(references: Iterable[str], pictures: Iterable[Path], *, what: str) -> dict[str, Path]:
    """The picture of every reference that has one, by the references' names; the others have none.

    A name counts if it is the reference's, whatever stands behind either, or begins or ends with the reference's
    (`baby_srcnn`, `srcnn-baby`).

    Raises
    ------
    InputError : a reference has several pictures, or no reference has any.
    """
    wanted = {reference: own_name(Path(reference).stem) for reference in references}
    names = {picture: own_name(picture.stem) for picture in pictures}
    found: dict[str, Path] = {}
    for reference, own in wanted.items():
        near = [picture for picture, name in names.items() if name == own or _contains(name, own, wanted)]
        if len(near) > 1:
            msg = (
                f"{what} has several pictures for {reference}: {', '.join(path.name for path in near)}. "
                "Keep one kind in the folder, or name it: --only '*_x3.png'."
            )
            raise InputError(msg)
        if near:
            found[reference] = near[0]
    if not found:
        shown = [path.name for path in names]
        msg = (
            f"{what} has no picture for any of {few(list(wanted), 5)}. It has {few(shown, 5) or 'no pictures'}. "
            "A picture is found by the reference's name, as baby_x3.png for baby_GT.bmp."
        )
        raise InputError(msg)
    return found


def _contains(name: str, own: str, wanted: Mapping[str, str]) -> bool:
    """Whether `own` is a whole part at either end of a name that no other reference's is."""
    at_an_end = re.search(rf"^{re.escape(own)}{_SEPARATOR}|{_SEPARATOR}{re.escape(own)}$", name)
    return bool(at_an_end) and name not in wanted.values()
