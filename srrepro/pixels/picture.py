"""A picture of one's own: upright, with its transparency, 16 bits, colour profile and EXIF; read, and written whole."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy import ndarray
from PIL import Image

from srrepro.errors import InputError
from srrepro.pixels import sixteen
from srrepro.pixels.decoding import decoded, look
from srrepro.pixels.folders import KINDS
from srrepro.pixels.samples import EIGHT, SIXTEEN, Levels, Plane, scaled
from srrepro.progress import say
from srrepro.whole import check_new, whole

_DESCRIBES = (270, 271, 272, 305, 306, 315, 33432)  # description, make, model, software, date, artist, copyright
"""EXIF's first part, of which only words are kept: the rest is about how the file was stored."""
_PHOTOGRAPH, _POSITION = 0x8769, 0x8825
"""EXIF's parts about the photograph and the place."""
_DESCRIPTION, _SOFTWARE, _TAKEN = 270, 305, 36867
_STALE = frozenset({37121, 37122, 37396, 37500, 40960, 40962, 40963, 40965, 41486, 41487, 41488, 41492})
"""Sizes and places in pixels, how the file was compressed, and the maker's notes, which may hold previews."""
_WITHOUT_ALPHA = frozenset({"JPEG", "BMP"})
_WIDE = frozenset({"PNG", "TIFF"})
_LARGEST = {"JPEG": 65_500, "WebP": 16_383, "PNG": 2**31 - 1, "TIFF": 2**31 - 1, "BMP": 2**31 - 1}
"""Pixels of a side."""
_BYTES = 4_000_000_000
"""Of a TIFF or BMP, whose offsets have 32 bits."""


@dataclass(frozen=True)
class Picture:
    """Levels of 8 or 16 bits, grey (h, w) or RGB (h, w, 3); `alpha` of as many bits, None if nothing is transparent."""

    levels: Levels
    alpha: Plane | None = None
    profile: bytes | None = None
    """ICC."""
    exif: bytes = b""
    """What people look for: date, camera, exposure, place, words. As Pillow writes it."""

    @property
    def wide(self) -> bool:
        return self.levels.dtype == np.uint16

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.levels.shape[1], self.levels.shape[0]

    @property
    def channels(self) -> Levels:
        """(h, w, c) with alpha last; a plane if that is all."""
        return self.levels if self.alpha is None else np.dstack([self.levels, self.alpha])


def read(path: Path) -> Picture:
    """A picture as its camera says it was held. What cannot be kept is said.

    Raises
    ------
    InputError : as for `images.read`.
    """
    samples = decoded(path)
    white = EIGHT if samples.white == EIGHT else SIXTEEN
    levels = samples.levels if samples.white == white else scaled(samples.levels, samples.white, white)
    alpha = samples.alpha
    if alpha is not None and alpha.min() == white:
        alpha = None
    return Picture(
        upright(levels, samples.orientation),
        None if alpha is None else upright(alpha, samples.orientation),
        _fitting(samples.profile, path, grey=levels.ndim == 2),
        _essential(samples.exif, path),
    )


def levels_of(given: Levels | Image.Image | str | Path) -> Levels:
    """What somebody hands over as a picture: an array, an image of Pillow's or the name of a file.

    Raises
    ------
    InputError : it is no picture of 8 or 16 bits.
    """
    if isinstance(given, str | Path):
        return read(Path(given).expanduser()).levels
    if isinstance(given, Image.Image):
        return np.asarray(given.convert("L" if given.mode in {"1", "L", "LA"} else "RGB"))
    asked = "A picture was to be enlarged"
    if not isinstance(given, ndarray):
        msg = f"{asked}, but {type(given).__name__} is no array, no image of Pillow's and no name of a file."
        raise InputError(msg)
    if given.dtype.kind == "f":
        msg = f"{asked}, but is of floats. Give levels: (255 * picture).clip(0, 255).round().astype('uint8')."
        raise InputError(msg)
    if (
        given.dtype not in (np.uint8, np.uint16)
        or given.ndim not in (2, 3)
        or (given.ndim == 3 and given.shape[2] != 3)
    ):
        more = " Transparency goes apart: picture[..., :3]." if given.shape[2:] == (4,) else ""
        msg = f"{asked}, but is {given.shape} of {given.dtype}; grey (h, w) or RGB (h, w, 3) of uint8 is taken.{more}"
        raise InputError(msg)
    return given


def upright(image: ndarray, orientation: int) -> ndarray:
    """Turned and mirrored as EXIF's orientation asks."""
    if orientation > 4:
        image = image.swapaxes(0, 1)
    down, right = {1: (1, 1), 2: (1, -1), 3: (-1, -1), 4: (-1, 1), 5: (1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}[
        orientation
    ]
    return np.ascontiguousarray(image[::down, ::right])


def _fitting(profile: bytes | None, path: Path, *, grey: bool) -> bytes | None:
    if profile is None:
        return None
    made_for, wanted = profile[16:20], b"GRAY" if grey else b"RGB "
    if made_for == wanted:
        return profile
    name, kind = made_for.decode("ascii", "replace").strip(), "grey" if grey else "RGB"
    say(f"{path}: its colour profile is one of {name}, and is left out of what becomes a picture in {kind}")
    return None


def _essential(exif: Image.Exif, path: Path) -> bytes:
    kept = Image.Exif()
    try:
        kept.update({tag: exif[tag] for tag in _DESCRIBES if tag in exif})
        for part in (_PHOTOGRAPH, _POSITION):
            if found := {tag: value for tag, value in exif.get_ifd(part).items() if tag not in _STALE}:
                kept[part] = found
        return kept.tobytes() if len(kept) else b""
    except Exception:  # Pillow has many for what it cannot write again
        say(f"{path}: its EXIF is broken, and is left out")
        return b""


def check_target(path: Path, *, force: bool) -> None:
    """Find out before long work whether a picture may be written to `path`.

    Raises
    ------
    InputError : there is something already and `force` is not given, no such folder, or no kind of image file.
    """
    if not path.is_dir():  # of which its kind says nothing
        check_kind(path)
    check_new(path, f"A picture was to be written to {path}", force=force)


def check_kind(path: Path) -> None:
    """Find out whether a name is one of a picture.

    Raises
    ------
    InputError : it is none.
    """
    if path.suffix.lower() not in KINDS:
        msg = (
            f"A picture was to be written to {path}, but {path.suffix or 'no suffix'!r} is none of "
            f"{' '.join(sorted(KINDS))}. (A folder that is not there yet is named with a / at its end.)"
        )
        raise InputError(msg)


def check_holds(target: Path, source: Path, *, width: int, height: int) -> None:
    """Find out before long work whether the kind of file that `target` names can hold the picture `source`, enlarged.

    Raises
    ------
    InputError : `source` cannot be read; it has transparency, which JPEG and BMP have not; it becomes too large.
    """
    kind, found = KINDS[target.suffix.lower()], look(source)
    asked = f"{source} was to be written to {target}"
    if found.alpha and kind in _WITHOUT_ALPHA and read(source).alpha is not None:
        msg = f"{asked}, but it is transparent in part, which {kind} cannot be. Name a .png, .tif or .webp file."
        raise InputError(msg)
    samples = width * height * (3 + found.alpha) * (1 + found.wide)
    if max(width, height) > _LARGEST[kind] or (kind in {"TIFF", "BMP"} and samples > _BYTES):
        msg = f"{asked}, but {width}×{height} is too large for {kind}. Name a .png file, or choose a smaller scale."
        raise InputError(msg)
    if found.wide and kind not in _WIDE:
        say(f"{source} has 16 bits a channel, and {kind} holds 8: the rest is lost (.png and .tif keep it)")


def write(path: Path, picture: Picture) -> None:
    """Write a picture, as the suffix says; there is the whole file or none.

    JPEG has quality 95 and full colour resolution; everything else is lossless.

    Raises
    ------
    InputError : it cannot be written.
    """
    kind = KINDS[path.suffix.lower()]
    try:
        with whole(path) as part:
            if picture.wide and kind in _WIDE:
                _write_wide(part, picture, kind, path)
            else:
                _write_narrow(part, picture, kind, path)
    except (ValueError, MemoryError) as error:
        msg = f"A picture was to be written to {path}, but could not be: {error or 'not enough memory'}."
        raise InputError(msg) from error


def _write_narrow(part: Path, picture: Picture, kind: str, path: Path) -> None:
    pixels = picture.channels
    if picture.wide:
        pixels = scaled(pixels, SIXTEEN, EIGHT)
    options: dict[str, Any] = {}
    if kind == "JPEG":
        options |= {"quality": 95, "subsampling": 0}
    if kind == "WebP":
        options |= {"lossless": True}
    along = {"icc_profile": picture.profile, "exif": picture.exif}
    if kind != "BMP":
        options |= {name: data for name, data in along.items() if data}
    elif any(along.values()):
        say(f"{path}: a BMP keeps neither colour profile nor EXIF")
    Image.fromarray(pixels).save(part, **options)


def _write_wide(part: Path, picture: Picture, kind: str, path: Path) -> None:
    if kind == "PNG":
        sixteen.write_png(part, picture.channels, profile=picture.profile, exif=picture.exif.removeprefix(b"Exif\0\0"))
        return
    exif = Image.Exif()
    exif.load(picture.exif)
    words = {tag: str(exif[tag]).encode() for tag in _DESCRIBES if tag in exif}
    if taken := exif.get_ifd(_PHOTOGRAPH).get(_TAKEN):
        words[_TAKEN] = str(taken).encode()
    if exif.get_ifd(_PHOTOGRAPH) or exif.get_ifd(_POSITION):
        say(f"{path}: a TIFF of 16 bits keeps date, camera and words of EXIF, not exposure and place")
    tifffile.imwrite(
        part,
        picture.channels,
        photometric="minisblack" if picture.levels.ndim == 2 else "rgb",
        planarconfig="contig" if picture.channels.ndim == 3 else None,
        extrasamples=[] if picture.alpha is None else ["unassalpha"],
        iccprofile=picture.profile,
        metadata=None,
        description=words.pop(_DESCRIPTION, None),
        software=words.pop(_SOFTWARE, False),
        extratags=[(tag, "s", 0, text, True) for tag, text in sorted(words.items())],
    )
