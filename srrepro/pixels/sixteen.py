"""16 bits a channel, for which Pillow has no mode: it reads the upper 8 of them, and writes none."""

import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8, UInt16
from numpy import ndarray
from PIL.ImageFile import ImageFile

_KINDS = {1: 0, 2: 4, 3: 2, 4: 6}
"""PNG's number for so many channels."""
_ROWS = 256
"""Compressed at a time."""


def both_bytes(opened: Callable[[], ImageFile], upper: str, lower: str) -> UInt16[ndarray, "h w c"]:
    """All bits, by two readings: Pillow's unpackers for the two byte orders each take another half of a number.

    Parameters
    ----------
    opened
        gives the image anew, not loaded yet.
    upper, lower
        Pillow's names of the unpackers that keep the upper and the lower byte.
    """
    high, low = (_unpacked(opened(), unpacker).astype(np.uint16) for unpacker in (upper, lower))
    return high << 8 | low


def split_grey(opened: Callable[[], ImageFile]) -> UInt16[ndarray, "h w 2"]:
    """Grey and alpha of 16 bits in PNG: its four bytes a pixel, taken as they lie there."""
    high_and_low = _unpacked(opened(), "RGBA").astype(np.uint16)
    return high_and_low[..., 0::2] << 8 | high_and_low[..., 1::2]


def _unpacked(image: ImageFile, unpacker: str) -> UInt8[ndarray, "h w c"]:
    for number, tile in enumerate(image.tile):
        arguments = unpacker if isinstance(tile.args, str) else (unpacker, *(tile.args or ())[1:])
        image.tile[number] = tile._replace(args=arguments)
    image.load()
    return np.asarray(image)


def write_png(path: Path, channels: UInt16[ndarray, "h w *c"], *, profile: bytes | None, exif: bytes) -> None:
    """A PNG of 16 bits: grey, RGB, or either with alpha as the last channel. `exif` begins with its byte order."""
    height, width = channels.shape[:2]
    rows = channels.reshape(height, -1)
    with path.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        for name, data in (
            (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, _KINDS[rows.shape[1] // width], 0, 0, 0)),
            *([(b"iCCP", b"ICC Profile\0\0" + zlib.compress(profile))] if profile else []),
            *([(b"eXIf", exif)] if exif else []),
            *((b"IDAT", part) for part in _compressed(rows)),
            (b"IEND", b""),
        ):
            file.write(struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)))


def _compressed(rows: UInt16[ndarray, "h n"]) -> Iterator[bytes]:
    """Every row as what it adds to the one above (PNG's filter 2), which compresses photographs well."""
    deflate = zlib.compressobj(6)
    above = np.zeros((1, 2 * rows.shape[1]), np.uint8)
    for start in range(0, len(rows), _ROWS):
        part = np.ascontiguousarray(rows[start : start + _ROWS], ">u2").view(np.uint8)
        added = part - np.concatenate([above, part[:-1]])
        yield deflate.compress(np.insert(added, 0, 2, axis=1).tobytes())
        above = part[-1:]
    yield deflate.flush()
