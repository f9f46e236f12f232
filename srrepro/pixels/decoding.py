"""From a file to its samples, by what the file contains: PNG, JPEG, BMP, WebP and TIFF."""

import io
import os
import re
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias, TypeVar

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from srrepro.errors import InputError
from srrepro.pixels import tiff
from srrepro.pixels.samples import EIGHT, SIXTEEN, Samples
from srrepro.pixels.sixteen import both_bytes, split_grey
from srrepro.progress import say

MOST_PIXELS = 2 * (Image.MAX_IMAGE_PIXELS or 1 << 30)
"""Some 179 million: the limit of Pillow, which guards against small files that would fill the memory."""
ALLOWED = "SRREPRO_MEGAPIXELS"
"""Where in the environment another limit may stand."""

_FORMATS = {"PNG", "JPEG", "MPO", "BMP", "DIB", "WEBP", "TIFF"}
_GREY = {"1", "L", "LA", "La"}
_COLOUR = {"RGB", "RGBA", "RGBX", "RGBa", "P", "PA", "CMYK", "YCbCr"}
_ORIENTATION = 0x0112
_ON_ITS_SIDE = 5
"""Orientations from here on exchange width and height."""
_PNG, _TEXTS = b"\x89PNG\r\n\x1a\n", {b"tEXt", b"zTXt", b"iTXt"}
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""Of JPEG, before a segment with a length; what stands in pixels is none."""
_SCAN, _END_OF_IMAGE, _MOST_SCANS = b"\xff\xda", b"\xff\xd9", 50
_TWELVE, _SIXTEENTH = 4095, 16

T = TypeVar("T")
File: TypeAlias = io.BufferedReader | io.BytesIO


@dataclass(frozen=True)
class Look:
    """What the header of a file says; width and height upright."""

    width: int
    height: int
    wide: bool
    """16 bits a channel."""
    alpha: bool


def look(path: Path) -> Look:
    """Find out what a file is before long work.

    Raises
    ------
    InputError : missing, not an image, too large, or of a kind that is not read.
    """
    with _file(path) as file:
        if file.read(4) in tiff.MAGIC:
            page = tiff.look(path)
            _check_size(path, page.pixels)
            size, turned, alpha = (page.width, page.height), page.orientation, page.alpha is not None
            wide = page.bits > EIGHT.bit_length()
        else:
            image = _despite_texts(file, lambda stream: _opened(stream, path))
            size, turned, alpha = image.size, _orientation(image), image.has_transparency_data
            wide = ";16" in _packing(image)
    _check_size(path, size[0] * size[1])
    width, height = size if turned < _ON_ITS_SIDE else size[::-1]
    return Look(width, height, wide, alpha)


def decoded(path: Path) -> Samples:
    """The first image of a file. What was assumed of it is said, if there was a choice.

    Raises
    ------
    InputError : missing, not an image, cut short, too large, or of a kind with no sure meaning.
    """
    with _file(path) as file:
        if file.read(4) in tiff.MAGIC:
            samples = _from_tiff(file, path)
        else:
            samples = _despite_texts(file, lambda stream: _by_pillow(stream, path))
    brightest = int(samples.levels.max())
    if samples.white > EIGHT and 0 < brightest <= samples.white // _SIXTEENTH:
        bits = samples.white.bit_length()
        say(
            f"{path} has {bits} bits a sample, but its brightest is {brightest} of {samples.white}. It is read as that "
            f"dark; if {brightest:,} is near its white, save it with fewer bits a sample."
        )
    return samples


@contextmanager
def _file(path: Path) -> Iterator[File]:
    """The open file; whatever its contents cause becomes one message."""
    asked = f"{path} was to be read as an image"
    if path.is_dir():
        msg = f"{asked}, but it is a folder."
        raise InputError(msg)
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # at half of the limit
            warnings.filterwarnings("ignore", "(Possibly c|C)orrupt EXIF|Metadata Warning")
            with _pillow_allows(most_pixels()):
                yield file
    except InputError:
        raise
    except FileNotFoundError as error:
        there = "it is a link to a file that is missing" if path.is_symlink() else "there is no such file"
        msg = f"{asked}, but {there}."
        raise InputError(msg) from error
    except PermissionError as error:
        msg = f"{asked}, but may not be: {error.strerror}."
        raise InputError(msg) from error
    except MemoryError as error:
        msg = f"{asked}, but does not fit into the memory."
        raise InputError(msg) from error
    except UnidentifiedImageError as error:
        msg = f"{asked}, but it is not one or is cut short at its beginning."
        raise InputError(msg) from error
    except Exception as error:
        msg = f"{asked}, but it is not one or is cut short ({error})."
        raise InputError(msg) from error


def most_pixels() -> int:
    """Of an image that is read.

    Raises
    ------
    InputError : another limit was asked for, but it is no number.
    """
    asked = os.environ.get(ALLOWED)
    if not asked:
        return MOST_PIXELS
    if not asked.isdecimal() or not 0 < int(asked) <= 100_000:
        msg = f"{ALLOWED} was to say how many million pixels an image may have, but is {asked!r}. Give a whole number."
        raise InputError(msg)
    return int(asked) * 1_000_000


@contextmanager
def _pillow_allows(pixels: int) -> Iterator[None]:
    before = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = pixels // 2  # it refuses what is twice as large
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _check_size(path: Path, pixels: int) -> None:
    most = most_pixels()
    if pixels > most:
        msg = (
            f"{path} was to be read as an image, but has {pixels / 1e6:,.0f} million pixels. Files of up to "
            f"{most / 1e6:.0f} million are read. Cut it into parts, or allow more: {ALLOWED}={-(-pixels // 1_000_000)}."
        )
        raise InputError(msg)


def _despite_texts(file: File, work: Callable[[File], T]) -> T:
    """Pillow gives up on PNGs with large texts, which programs that make images leave in them: then without."""
    try:
        return work(file)
    except ValueError:
        file.seek(0)
        data = file.read()
        if not data.startswith(_PNG):
            raise
        return work(io.BytesIO(_without_texts(data)))


def _without_texts(png: bytes) -> bytes:
    kept, at = [_PNG], len(_PNG)
    while at + 8 <= len(png):
        (length,) = struct.unpack_from(">I", png, at)
        if png[at + 4 : at + 8] not in _TEXTS:
            kept.append(png[at : at + 12 + length])
        at += 12 + length
    return b"".join(kept)


def _opened(file: File, path: Path) -> ImageFile:
    """By Pillow, not loaded yet. The file is ours: of a path, Pillow maps plain TIFFs, and garbles those it turns."""
    file.seek(0)
    try:
        image = Image.open(file)
    except Image.DecompressionBombError as error:
        found = re.search(r"\d+", str(error))
        _check_size(path, int(found[0]) if found else most_pixels() + 1)
        raise
    if image.format not in _FORMATS:
        msg = (
            f"{path} was to be read as an image, but it is a {image.format} file. PNG, JPEG, BMP, WebP and TIFF are "
            "read. Save it as one of these."
        )
        raise InputError(msg)
    return image


def _from_tiff(file: File, path: Path) -> Samples:
    page = tiff.look(path)
    _check_size(path, page.pixels)
    if page.pages > 1:
        say(f"{path} has {page.pages} pages; the first is read.")
    if page.is_for_pillow:
        try:
            return _of_pillows_kinds(_opened(file, path), path)
        except (UnidentifiedImageError, ValueError):
            pass  # a rare kind that it does not have
    return replace(tiff.read(path, page), exif=_exif(lambda: _exif_of_tiff(file)))


def _exif_of_tiff(file: File) -> Image.Exif:
    """Without its pixels, for which Pillow may have no mode."""
    file.seek(0)
    exif = Image.Exif()
    exif.load_from_fp(file)
    return exif


def _by_pillow(file: File, path: Path) -> Samples:
    """Whatever is no TIFF."""

    def opened() -> ImageFile:
        return _opened(file, path)

    image = opened()
    if image.format in {"JPEG", "MPO"}:
        _check_scans(file, path)
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        say(f"{path} has {image.n_frames} frames; the first is read.")  # type: ignore[attr-defined]
    packing = _packing(image)
    if ";16" not in packing:
        return _of_pillows_kinds(image, path)
    if packing.startswith("LA"):
        channels = split_grey(opened)
    elif packing.startswith("RGB"):
        kind = packing.partition(";")[0]
        channels = both_bytes(opened, f"{kind};16B", f"{kind};16L")
    else:
        channels = np.asarray(image)[..., None]
    colours = channels.shape[2] - (channels.shape[2] % 2 == 0)
    levels = channels[..., :colours]
    alpha = channels[..., colours] if colours < channels.shape[2] else None
    if alpha is None and "transparency" in image.info:  # one colour stands for no colour
        hidden = (levels == np.asarray(image.info["transparency"])).all(axis=2)
        alpha = np.where(hidden, 0, SIXTEEN).astype(np.uint16)
    image.load()
    return Samples(levels if colours > 1 else levels[..., 0], SIXTEEN, alpha, *_came_along(image))


def _check_scans(file: File, path: Path) -> None:
    """A progressive JPEG is passed over once a scan: a few bytes each, a second of the processor each."""
    file.seek(0)
    data = file.read()
    at, scans = 2, 0
    while (found := _MARKER.search(data, at)) and found[0] != _END_OF_IMAGE:
        scans += found[0] == _SCAN
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")
    if scans > _MOST_SCANS:
        msg = f"{path} was to be read as an image, but is a JPEG of {scans} scans, and some 10 are usual. Save it anew."
        raise InputError(msg)


def _of_pillows_kinds(image: ImageFile, path: Path) -> Samples:
    """Up to 8 bits, and grey TIFFs of 12 and 16."""
    packing = _packing(image)
    image.load()
    along = _came_along(image)
    if image.mode.startswith("I;16"):
        levels = np.asarray(image).astype(np.uint16)  # in the order of this machine
        return Samples(levels, _TWELVE if "I;12" in packing else SIXTEEN, None, *along)
    if image.mode in _GREY or (image.mode == "P" and _is_grey_palette(image)):
        both = image.convert("LA")
        alpha = np.asarray(both.getchannel(1)) if image.has_transparency_data else None
        return Samples(np.asarray(both.getchannel(0)), EIGHT, alpha, *along)
    if image.mode in _COLOUR:
        alpha = np.asarray(image.convert("RGBA").getchannel(3)) if image.has_transparency_data else None
        return Samples(np.asarray(image.convert("RGB")), EIGHT, alpha, *along)
    msg = f"{path} was to be read as an 8-bit image, but its pixels are of the kind {image.mode!r}."
    raise InputError(msg)


def _is_grey_palette(image: Image.Image) -> bool:
    palette = np.asarray(image.getpalette(), dtype=np.uint8).reshape(-1, 3)
    return bool((palette == palette[:, :1]).all())


def _packing(image: ImageFile) -> str:
    return str(image.tile[0][3]) if image.tile else ""


def _came_along(image: Image.Image) -> tuple[int, bytes | None, Image.Exif]:
    """Orientation, colour profile and EXIF of an image that is loaded."""
    return _orientation(image), image.info.get("icc_profile") or None, _exif(image.getexif)


def _orientation(image: Image.Image) -> int:
    found = _exif(image.getexif).get(_ORIENTATION, 1)
    return found if found in range(1, 9) else 1


def _exif(read: Callable[[], Image.Exif]) -> Image.Exif:
    """All of it now: the file will be closed."""
    try:
        exif = read()
        for part in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            exif.get_ifd(part)
    except Exception:  # pixels are worth reading where EXIF is broken
        return Image.Exif()
    return exif
