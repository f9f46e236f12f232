"""Photographs: read as uint8, grey (h, w) or RGB (h, w, 3), from any common file; written whole or not at all."""

import os
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image, ImageOps

from srrepro.errors import InputError

SUFFIXES = frozenset({".png", ".bmp", ".jpg", ".jpeg", ".tif", ".tiff"})
_GREY = {"1", "L", "LA", "I;16", "I;16B", "I;16L", "I"}
_COLOUR = {"RGB", "RGBA", "RGBX", "P", "PA", "CMYK", "YCbCr"}


def read(path: Path, *, upright: bool = False) -> UInt8[ndarray, "h w *c"]:
    """An image as uint8: grey stays grey, palettes become RGB, alpha is dropped, 16 bits become 8 by rounding.

    Pillow reads PNG files with 16 bits a colour by their upper 8, so those may be one level lower. `upright` turns a
    photograph as its camera says it was held, which MATLAB, and so every measurement, does not (Pillow turns TIFFs
    of 8 bits in any case).

    Raises
    ------
    InputError : not an image, cut short, or of a kind with no uint8 meaning (floats).
    """
    try:
        # A file of our own: of a path, Pillow maps plain TIFFs into memory, and garbles those that are to be turned.
        with path.open("rb") as file, Image.open(file) as image:
            packing = str(image.tile[0][3]) if image.tile else ""
            image.load()
            if image.format == "TIFF" and image.mode in {"RGB", "RGBA", "RGBX"} and ";16" in packing:
                return _from_tiff(path)  # Pillow cuts the lower 8 of 16 bits off
            if packing.startswith("LA;16"):  # which Pillow opens as RGBA
                return np.asarray(image.getchannel(0))
            return _from_pillow(ImageOps.exif_transpose(image) if upright else image, path)
    except InputError:
        raise
    except Exception as error:
        if path.suffix.lower() in {".tif", ".tiff"} and path.is_file():
            return _from_tiff(path)  # Pillow cannot open TIFF files with three channels of 16 bits
        msg = f"{path} was to be read as an image, but it is not one or is cut short ({error})."
        raise InputError(msg) from error


def check_target(path: Path, *, force: bool) -> None:
    """Find out before long work whether a picture may be written to `path`.

    Raises
    ------
    InputError : there is something already and `force` is not given, no such folder, or no kind of image file.
    """
    asked = f"A picture was to be written to {path}"
    if path.suffix.lower() not in SUFFIXES:
        msg = f"{asked}, but {path.suffix or 'no suffix'!r} is none of {' '.join(sorted(SUFFIXES))}."
        raise InputError(msg)
    if not path.parent.is_dir():
        msg = f"{asked}, but there is no folder {path.parent}. Make it first."
        raise InputError(msg)
    if path.is_dir():
        msg = f"{asked}, but that is a folder. Name a file."
        raise InputError(msg)
    if path.exists() and not force:
        msg = f"{asked}, but there is one already. Choose another name, or give --force to replace it."
        raise InputError(msg)
    if not os.access(path.parent, os.W_OK):
        msg = f"{asked}, but nothing may be written to {path.parent}. Choose another folder."
        raise InputError(msg)


def write(path: Path, pixels: UInt8[ndarray, "h w *c"]) -> None:
    """Write a picture, as its suffix says; there is the whole file or none.

    Raises
    ------
    InputError : it cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=".srrepro-") as folder:
            part = Path(folder) / path.name
            Image.fromarray(pixels).save(part, quality=95, subsampling=0)  # of JPEG; the other kinds are lossless
            part.replace(path)
    except (OSError, ValueError) as error:
        msg = f"A picture was to be written to {path}, but could not be: {error}."
        raise InputError(msg) from error


def folder_images(folder: Path) -> list[Path]:
    """All image files directly in a folder, in the order of their names.

    Raises
    ------
    InputError : no such folder, or no image in it.
    """
    if not folder.is_dir():
        msg = f"The folder {folder} was named as an image set, but there is no such folder."
        raise InputError(msg)
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.is_file())
    if not found:
        kinds = " ".join(sorted(SUFFIXES))
        msg = f"The folder {folder} was named as an image set, but holds no image ({kinds})."
        raise InputError(msg)
    return found


def _from_pillow(image: Image.Image, path: Path) -> UInt8[ndarray, "h w *c"]:
    if image.mode.startswith("I"):
        return _to_uint8(np.asarray(image), path)
    if image.mode in _GREY or (image.mode == "P" and _is_grey_palette(image)):
        return np.asarray(image.convert("LA").getchannel(0))
    if image.mode in _COLOUR:
        return np.asarray(image.convert("RGB"))
    msg = f"{path} was to be read as an 8-bit image, but its pixels are of the kind {image.mode!r}."
    raise InputError(msg)


def _is_grey_palette(image: Image.Image) -> bool:
    palette = np.asarray(image.getpalette(), dtype=np.uint8).reshape(-1, 3)
    return bool((palette == palette[:, :1]).all())


def _from_tiff(path: Path) -> UInt8[ndarray, "h w *c"]:
    try:
        pixels = tifffile.imread(path)
    except Exception as error:
        msg = f"{path} was to be read as a TIFF image, but it is not one or is cut short."
        raise InputError(msg) from error
    if pixels.ndim == 3 and pixels.shape[2] in (2, 4):
        pixels = pixels[..., :-1]
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        msg = f"{path} was to be read as one grey or RGB image, but its shape is {pixels.shape}."
        raise InputError(msg)
    return _to_uint8(pixels, path)


def _to_uint8(pixels: ndarray, path: Path) -> UInt8[ndarray, "h w *c"]:
    if pixels.dtype == np.uint8:
        return pixels
    of_pillow = pixels.dtype == np.int32 and pixels.min() >= 0 and pixels.max() <= 65535
    if (pixels.dtype.kind == "u" and pixels.dtype.itemsize == 2) or of_pillow:
        return ((pixels.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    msg = f"{path} was to be read as an 8- or 16-bit image, but its pixels are {pixels.dtype}."
    raise InputError(msg)
