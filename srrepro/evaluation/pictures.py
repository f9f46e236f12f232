"""Pictures of one's own enlarged to any scale, with their transparency, and beside bicubic."""

import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import distance_transform_edt

from srrepro.data.registry import DataFolder
from srrepro.errors import InputError
from srrepro.evaluation.upscaler import Upscaler, load
from srrepro.hardware import Hardware, free_memory
from srrepro.pixels.picture import Picture
from srrepro.pixels.samples import EIGHT, SIXTEEN, Enlarged, Levels, Plane, scaled

LARGEST = 16
_COPIES = 3
"""Of the enlarged picture, while it is put together and written."""
_CHAINS = ((2,), (3,), (4,), (3, 2), (4, 2), (3, 3), (4, 3), (4, 4))
"""Networks one after the other, by what they give together."""
_BAND, _LINE, _MARGIN = 24, 3, 6
"""Pixels of a comparison: height of the words above, line between the pictures, left of the words."""


def factors(scale: float) -> tuple[int, ...]:
    """The scales of the networks that are run for one of 1 to 16: they give as much, or the least more.

    >>> factors(3), factors(2.5), factors(8), factors(5)
    ((3,), (3,), (4, 2), (3, 2))
    """
    return next(chain for chain in _CHAINS if math.prod(chain) >= scale)


@dataclass(frozen=True)
class Enlarger:
    """Enlarges pictures to a scale: by networks, and what they give beyond it is taken back by bicubic.

    Transparency is enlarged by bicubic, by itself.
    """

    scale: float
    networks: tuple[Upscaler, ...]
    bicubic: tuple[Upscaler, ...]

    @classmethod
    def load(cls, model: str, scale: float, *, folder: DataFolder, hardware: Hardware) -> "Enlarger":
        """With the weights that `model` names, at every scale that is needed.

        Raises
        ------
        InputError : as for `upscaler.load`.
        """
        whole = factors(scale)
        networks = {factor: load(model, factor, folder=folder, hardware=hardware) for factor in whole}
        bicubic = {factor: load("bicubic", factor, hardware=hardware) for factor in whole}
        return cls(scale, tuple(networks[factor] for factor in whole), tuple(bicubic[factor] for factor in whole))

    @property
    def model(self) -> str:
        return self.networks[0].subject.name

    @property
    def by(self) -> str:
        """Who enlarges, in words."""
        scales = [network.scale for network in self.networks]
        chain = "".join(f" x{scale}" for scale in scales) if len(scales) > 1 else ""
        return self.model + chain + (", reduced by bicubic" if math.prod(scales) != self.scale else "")

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Of the picture that is given for one of this size."""
        return max(1, round(width * self.scale)), max(1, round(height * self.scale))

    def steps(self, width: int, height: int, *, alpha: bool, compare: bool) -> int:
        """How often the work on a picture says that it has come on."""
        chains = [self.networks] + (int(alpha) + int(compare) * (1 + int(alpha))) * [self.bicubic]
        total = 0
        for chain in chains:
            w, h = width, height
            for network in chain:
                total += len(network.bands(h, w))
                w, h = w * network.scale, h * network.scale
        return total

    def check_memory(self, picture: Picture, *, compare: bool) -> None:
        """Find out before the work whether a picture and what is made of it fit into the memory that is free.

        Raises
        ------
        InputError : they do not.
        """
        free, wanted = free_memory(), self.bytes_for(picture, compare=compare)
        if free is None or wanted <= free:
            return
        width, height = picture.size
        large = "×".join(f"{side:,}" for side in self.size(width, height))
        msg = (
            f"A picture of {width:,}×{height:,} was to be enlarged to {large} by {self.model}, which takes about "
            f"{wanted / 2**30:.3g} GiB, but {free / 2**30:.3g} are free. Cut it into parts, choose a smaller scale, or "
            "give a smaller --memory."
        )
        raise InputError(msg)

    def bytes_for(self, picture: Picture, *, compare: bool) -> int:
        """About what is taken at most: by the pictures, some of them several times, and by the bands."""
        width, height = picture.size
        bands = 0
        for network in self.networks:
            bands = max(bands, network.bytes_for(height, width))
            width, height = width * network.scale, height * network.scale
        planes = (1 if picture.levels.ndim == 2 else 3) + int(picture.alpha is not None)
        each = picture.levels.itemsize * planes
        times = _COPIES + int((width, height) != self.size(*picture.size)) + 2 * int(compare)
        return bands + width * height * each * times

    def enlarge(self, picture: Picture) -> Generator[None, None, Picture]:
        """A picture enlarged, in steps."""
        return (yield from self._enlarged(picture, self.networks))

    def by_bicubic(self, picture: Picture) -> Generator[None, None, Picture]:
        """The same without a network."""
        return (yield from self._enlarged(picture, self.bicubic))

    def _enlarged(self, picture: Picture, chain: Sequence[Upscaler]) -> Generator[None, None, Picture]:
        levels = picture.levels if picture.alpha is None else _seen(picture.levels, picture.alpha)
        size = self.size(*picture.size)
        levels = reduced((yield from _run(chain, levels)), size)
        alpha = picture.alpha
        if alpha is not None:
            alpha = reduced((yield from _run(self.bicubic, alpha)), size)
        return replace(picture, levels=levels, alpha=alpha)


def _run(chain: Sequence[Upscaler], levels: Levels) -> Generator[None, None, Enlarged]:
    for network in chain:
        enlarged = network.room_for(levels)
        yield from network.fill(enlarged, levels)
        levels = enlarged
    return levels


def _seen(levels: Levels, alpha: Plane) -> Levels:
    """With the nearest colour that is seen wherever nothing is: what is hidden there would bleed into the edges."""
    hidden = alpha == 0
    if not hidden.any() or hidden.all():
        return levels
    rows, columns = distance_transform_edt(hidden, return_distances=False, return_indices=True)
    return np.asarray(levels[rows, columns])


def reduced(levels: Enlarged, size: tuple[int, int]) -> Levels:
    """At most as large, by Pillow's bicubic, which looks at as many pixels as become one."""
    if levels.shape[1::-1] == size:
        return levels
    if levels.dtype == np.uint8:
        return np.asarray(Image.fromarray(levels).resize(size, Image.Resampling.BICUBIC))
    planes = levels[..., None] if levels.ndim == 2 else levels
    small = np.empty((size[1], size[0], planes.shape[2]), np.uint16)
    for channel in range(planes.shape[2]):  # as floats: not every Pillow resizes 16 bits
        plane = Image.fromarray(planes[..., channel].astype(np.float32)).resize(size, Image.Resampling.BICUBIC)
        small[..., channel] = np.clip(np.asarray(plane) + 0.5, 0, SIXTEEN)
    return small[..., 0] if levels.ndim == 2 else small


def side_by_side(left: Picture, right: Picture, names: tuple[str, str]) -> Picture:
    """Two pictures of one size with their names above them, in 8 bits; nothing of them is covered."""
    shown = [_in_rgb(picture) for picture in (left, right)]
    height, width, channels = shown[0].shape
    canvas = np.full((height + _BAND, 2 * width + _LINE, channels), EIGHT, np.uint8)
    canvas[_BAND:, :width], canvas[_BAND:, width + _LINE :] = shown
    canvas[:, width : width + _LINE, :3] = (200, 0, 0)
    for start, name in ((0, names[0]), (width + _LINE, names[1])):
        canvas[:_BAND, start : start + width] = _label(name, width)[..., :channels]
    return Picture(canvas[..., :3], canvas[..., 3] if channels == 4 else None, profile=_of_rgb(left))


def _label(name: str, width: int) -> UInt8[ndarray, "h w 4"]:
    label = Image.new("RGBA", (width, _BAND), "white")
    ImageDraw.Draw(label).text((_MARGIN, _BAND // 4), name, fill="black", font=ImageFont.load_default())
    return np.asarray(label)


def _in_rgb(picture: Picture) -> UInt8[ndarray, "h w c"]:
    channels = scaled(picture.channels, SIXTEEN, EIGHT) if picture.wide else picture.channels
    if picture.levels.ndim == 2:
        grey = channels if picture.alpha is None else channels[..., 0]
        channels = np.dstack([grey, grey, grey] + ([] if picture.alpha is None else [channels[..., 1]]))
    return channels


def _of_rgb(picture: Picture) -> bytes | None:
    return picture.profile if picture.levels.ndim == 3 else None
