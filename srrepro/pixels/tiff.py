"""TIFF by what the file says of itself: samples, bits, colours, planes, pages. What has no sure meaning is refused.

Pillow reads up to 8 bits a sample; it takes wider files by their size alone. Those are read by tifffile, or by Pillow
in two halves where tifffile lacks a decompressor.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tifffile
from jaxtyping import UInt8, UInt16
from numpy import ndarray
from PIL import Image, UnidentifiedImageError
from PIL.ImageFile import ImageFile

from srrepro.errors import InputError
from srrepro.pixels.samples import EIGHT, SIXTEEN, Levels, Plane, Samples, by_rows
from srrepro.pixels.sixteen import both_bytes

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""How TIFF files begin, and BigTIFF."""

_ORIENTATION, _PROFILE = 274, 34675
_UNSIGNED = 1
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
_READ = {_WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4, _YCBCR: 3}
"""Photometric interpretations, and how many samples make their colour."""
_ASSOCIATED, _STRAIGHT = 1, 2
"""Alpha that the colours were multiplied by, and alpha beside them."""
_SEPARATE = 2
_UNCOMPRESSED = 1
_REDUCED = 1
_INKS_AND_ALPHA = 5


@dataclass(frozen=True)
class Page:
    """The first page of a file, from its tags."""

    width: int
    height: int
    bits: int
    photometric: int
    extra: tuple[int, ...]
    """What the samples beyond the colours are."""
    separate: bool
    orientation: int
    profile: bytes | None
    pages: int

    @property
    def is_for_pillow(self) -> bool:
        """Up to 8 bits, and plain grey, it goes by what the file says."""
        return self.bits <= 8 or (self.photometric == _BLACK_IS_ZERO and not self.extra)

    @property
    def samples(self) -> int:
        """Of a pixel."""
        return _READ[self.photometric] + len(self.extra)

    @property
    def pixels(self) -> int:
        """How many it takes the memory of, where pixels have five samples at most."""
        return self.width * self.height * -(-self.samples // _INKS_AND_ALPHA)

    @property
    def alpha(self) -> int | None:
        """Which sample is alpha, if one is."""
        found = next((place for place, kind in enumerate(self.extra) if kind in {_ASSOCIATED, _STRAIGHT}), None)
        return None if found is None else _READ[self.photometric] + found


def look(path: Path) -> Page:
    """What the tags say, without reading pixels.

    Raises
    ------
    InputError : one of a kind that is not read. Of what is none, or is cut short, tifffile has many errors of its own.
    """
    with tifffile.TiffFile(path) as file:
        first, pages = file.pages.first, len(file.pages)
        assert isinstance(first, tifffile.TiffPage)
        _check(path, first, pages)
        return _described(path, first, pages)


def _check(path: Path, page: tifffile.TiffPage, pages: int) -> None:
    """Everything that would be taken for something else."""
    sizes = page.imagewidth, page.imagelength, page.imagedepth, page.samplesperpixel
    if not all(type(size) is int and size > 0 for size in sizes):
        raise _refusal(path, f"its tags promise {page.imagewidth}×{page.imagelength} pixels, which is no size.")
    colours = _named(page.photometric)
    bits = page.bitspersample
    samples = page.tags.valueof("SampleFormat", default=_UNSIGNED)
    if {int(each) for each in np.atleast_1d(samples)} != {_UNSIGNED}:
        raise _refusal(
            path, f"its pixels are {page.dtype or 'of an unknown type'}, where white has no agreed level. {_SAVE}"
        )
    if int(page.photometric) not in _READ:
        raise _refusal(path, f"its colours are {colours}, not grey or RGB. Convert it to RGB.")
    if not isinstance(bits, int):
        raise _refusal(path, f"its samples have different numbers of bits, {bits}. {_SAVE}")
    if bits not in {1, 2, 4, 8, 12, 16}:
        wide = f"its pixels are {page.dtype}" if bits in {32, 64} else f"its pixels have {bits} bits a sample"
        raise _refusal(path, f"{wide}, where white has no agreed level. {_SAVE}")
    if bits > 8 and int(page.photometric) in {_PALETTE, _YCBCR}:
        raise _refusal(path, f"its colours are {colours} of {bits} bits. Convert it to RGB.")
    if bits == 12 and (page.samplesperpixel > 1 or int(page.photometric) != _BLACK_IS_ZERO):
        raise _refusal(path, f"its pixels are {colours} of 12 bits packed; that is read of grey only. {_SAVE}")
    if int(page.photometric) == _CMYK and page.tags.valueof("InkSet", default=1) != 1:
        raise _refusal(path, "its inks are not cyan, magenta, yellow and black. Convert it to RGB.")
    if (
        int(page.photometric) == _YCBCR
        and int(page.compression) == _UNCOMPRESSED
        and tuple(page.tags.valueof("YCbCrSubSampling", default=(2, 2))) != (1, 1)
    ):
        raise _refusal(path, "its colours are YCbCr, thinned out and not compressed. Convert it to RGB.")
    if page.imagedepth > 1:
        raise _refusal(path, f"it is a volume of {page.imagedepth} slices. Save one of them.")
    if page.subfiletype & _REDUCED and pages > 1:
        raise _refusal(path, f"the first of its {pages} pages is a thumbnail. Save the page that is meant.")


_SAVE = "Save it with 8 or 16 bits a sample."


def _named(photometric: int) -> str:
    names = {_WHITE_IS_ZERO: "grey", _BLACK_IS_ZERO: "grey", _PALETTE: "a palette", _YCBCR: "YCbCr"}
    kind = int(photometric)
    return names.get(kind, getattr(photometric, "name", f"kind {kind}"))


def _described(path: Path, page: tifffile.TiffPage, pages: int) -> Page:
    colours = _READ[int(page.photometric)]
    extra = tuple(int(kind) for kind in page.extrasamples)
    more = page.samplesperpixel - colours
    if more < 0 or more < len(extra):
        raise _refusal(path, f"it has {page.samplesperpixel} samples a pixel, too few for its colours.")
    if more > len(extra):  # the file is silent: one more is alpha, as everybody takes it
        extra = (_STRAIGHT,) if more == 1 else (*extra, *(more - len(extra)) * (0,))
    if colours == 1 and more > 1:
        raise _refusal(path, f"it is grey by its tags, but of {page.samplesperpixel} samples. Save it as grey or RGB.")
    orientation = page.tags.valueof(_ORIENTATION, default=1)
    profile = page.tags.valueof(_PROFILE, default=None)
    return Page(
        width=page.imagewidth,
        height=page.imagelength,
        bits=int(page.bitspersample),
        photometric=int(page.photometric),
        extra=extra,
        separate=int(page.planarconfig or 1) == _SEPARATE and page.samplesperpixel > 1,
        orientation=orientation if orientation in range(1, 9) else 1,
        profile=profile if isinstance(profile, bytes) else None,
        pages=pages,
    )


def read(path: Path, page: Page) -> Samples:
    """The pixels of a file that Pillow has no mode for: those of 16 bits, and rare kinds of 8.

    Raises
    ------
    InputError : cut short, or compressed in a way that neither library undoes.
    """
    if page.bits not in {8, 16} or page.photometric in {_PALETTE, _YCBCR}:
        raise _refusal(path, f"its kind of {page.bits} bits is not read. Save it as grey or RGB of 8 bits.")
    samples, white = _samples(path, page), SIXTEEN if page.bits == 16 else EIGHT
    colours = _READ[page.photometric]
    levels = samples[..., 0] if colours == 1 else samples[..., :colours]
    alpha = None if page.alpha is None else samples[..., page.alpha]
    if page.photometric == _WHITE_IS_ZERO:
        levels = white - levels
    if page.photometric == _CMYK:
        levels = by_rows(lambda inks: _printed(inks, white), levels)
    if alpha is not None and next(kind for kind in page.extra if kind in {_ASSOCIATED, _STRAIGHT}) == _ASSOCIATED:
        levels = by_rows(lambda mixed, part: _unmixed(mixed, part, white), levels, alpha)
    return Samples(np.ascontiguousarray(levels), white, alpha, page.orientation, page.profile)


def _samples(path: Path, page: Page) -> UInt8[ndarray, "h w c"] | UInt16[ndarray, "h w c"]:
    try:
        with tifffile.TiffFile(path) as file:
            first = file.pages.first
            assert isinstance(first, tifffile.TiffPage)
            compression = tifffile.COMPRESSION(first.compression).name
            stored = first.asarray()
    except Exception as error:
        if "imagecodecs" not in str(error):
            raise _refusal(path, f"it is cut short ({error}).") from error
        stored = _by_pillow(path, page, compression)
    if stored.ndim == 3 and page.separate:
        stored = np.moveaxis(stored, 0, 2)
    if stored.ndim == 2:
        stored = stored[..., None]
    wanted = page.height, page.width, page.samples
    if stored.shape != wanted:
        raise _refusal(path, f"its tags promise {wanted}, but its pixels are {stored.shape}.")
    return np.asarray(stored)


_HALVES = {
    "RGB;16N": ("RGB;16L", "RGB;16B"),
    "RGBA;16N": ("RGBA;16L", "RGBA;16B"),
    "RGBa;16N": ("RGBA;16L", "RGBA;16B"),
}
"""Pillow's unpackers for the upper and the lower byte of what libtiff gives, on the processors of today."""


def _by_pillow(path: Path, page: Page, compression: str) -> ndarray:
    """Where only libtiff undoes the compression."""
    asked = f"it is compressed by {compression}, which is not undone here for its kind of pixels"
    with path.open("rb") as file:

        def opened() -> ImageFile:
            file.seek(0)
            image = Image.open(file)
            if page.orientation != 1:
                raise _refusal(path, f"{asked} if they are to be turned. Save it without compression.")
            return image

        try:
            image = opened()
            packing = str((image.tile[0].args or ("",))[0])
            if image.mode == "I;16":
                return np.asarray(image)
            if packing in _HALVES and not page.separate:
                return both_bytes(opened, *_HALVES[packing])
        except UnidentifiedImageError:
            pass
    raise _refusal(path, f"{asked}. Save it without compression, or with Deflate.")


def _printed(
    inks: UInt8[ndarray, "h w 4"] | UInt16[ndarray, "h w 4"], white: int
) -> UInt8[ndarray, "h w 3"] | UInt16[ndarray, "h w 3"]:
    """RGB of cyan, magenta, yellow and black."""
    light = (white - inks).astype(np.uint64)
    return ((light[..., :3] * light[..., 3:] + white // 2) // white).astype(inks.dtype)


def _unmixed(levels: Levels, alpha: Plane, white: int) -> Levels:
    """Colours before they were multiplied by alpha; where nothing is seen, as they are."""
    mixed = alpha[..., None] if levels.ndim == 3 else alpha
    divisor = np.maximum(mixed, 1).astype(np.uint64)
    straight = np.minimum((levels.astype(np.uint64) * white + divisor // 2) // divisor, white)
    return np.where(mixed > 0, straight, levels).astype(levels.dtype)


def _refusal(path: Path, why: str) -> InputError:
    return InputError(f"{path} was to be read as an 8- or 16-bit image, but {why}")
