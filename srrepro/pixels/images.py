"""Images as measurements take them: uint8, grey (h, w) or RGB (h, w, 3), from any common file."""

from pathlib import Path

from jaxtyping import UInt8
from numpy import ndarray

from srrepro.pixels.decoding import decoded
from srrepro.pixels.folders import SUFFIXES, folder_images
from srrepro.progress import say

__all__ = ["SUFFIXES", "folder_images", "read"]


def read(path: Path) -> UInt8[ndarray, "h w *c"]:
    """An image as uint8: grey stays grey, palettes become RGB, 12 and 16 bits are rounded to 8. Alpha is dropped, which
    is said where something is transparent.

    It is not turned as its camera says it was held: MATLAB, and so every measurement, does not (Pillow turns TIFFs of
    up to 8 bits in any case).

    Raises
    ------
    InputError : missing, not an image, cut short, too large, or of a kind with no sure uint8 meaning.
    """
    samples = decoded(path)
    if samples.alpha is not None and samples.alpha.min() < samples.white:
        say(f"{path} is transparent in part; it is read as if it were not, with the colours that lie beneath.")
    return samples.in_8_bits
