"""Running a network on images: luminance for measurements, colour for pictures."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from numpy import ndarray
from torch import nn

from srrepro import models
from srrepro.data.color import from_ycbcr, to_ycbcr
from srrepro.data.registry import DataFolder
from srrepro.data.resize import imresize
from srrepro.errors import InputError
from srrepro.evaluation import weights
from srrepro.evaluation.protocol import quantise
from srrepro.evaluation.weights import Subject

MEMORY = 4 << 30
"""Bytes that the planes of a network may take unless somebody says otherwise: 4 megapixels of 64 planes."""


@dataclass(frozen=True)
class Upscaler:
    """A network at one scale, ready for images of any size; always in float32.

    An image whose planes would take more than `memory` bytes is computed in tiles that overlap by as much as an input
    pixel reaches, which gives the same numbers.
    """

    subject: Subject
    network: nn.Module
    scale: int
    device: str = "cpu"
    memory: int = MEMORY

    def __post_init__(self) -> None:
        self.network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def luminance(self, interpolated: Float[ndarray, "h w"]) -> Float32[ndarray, "h w"]:
        """The estimate for an interpolated luminance, both of about 0 to 1; neither clipped nor rounded."""
        self.network.eval()
        plane = torch.from_numpy(np.ascontiguousarray(interpolated, np.float32))
        estimate = torch.empty_like(plane)
        for inside, around, kept in _tiles(self.network, plane.shape[0], plane.shape[1], self.memory):
            tile = plane[around].to(self.device)[None, None].to(memory_format=torch.channels_last)
            estimate[inside] = self.network(tile)[0, 0][kept].cpu()
        return estimate.numpy()

    def image(self, rgb: UInt8[ndarray, "h w *c"]) -> UInt8[ndarray, "H W *c"]:
        """A picture enlarged: luminance by the network, colour by bicubic interpolation. Grey stays grey."""
        if rgb.ndim == 2:
            return quantise(self.luminance(imresize(rgb / 255.0, self.scale)))
        ycbcr = imresize(to_ycbcr(rgb), self.scale)
        ycbcr[..., 0] = self.luminance(ycbcr[..., 0] / 255) * 255
        return from_ycbcr(ycbcr)


Area = tuple[slice, slice]


def _tiles(network: nn.Module, height: int, width: int, memory: int) -> Iterator[tuple[Area, Area, Area]]:
    """What a tile gives, what it is computed from, and where the one lies in the other; the whole image if it fits.

    The planes before and after a layer exist at the same time, and once more while padding or a rectifier copies them.
    A network that looks at the whole image at once says so by a radius of None.
    """
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    pixels = memory // max((2 * 4 * (layer.in_channels + layer.out_channels) for layer in layers), default=4)
    radius = getattr(network, "radius", 0)
    side = max(height, width) if height * width <= pixels or radius is None else math.isqrt(pixels) - 2 * radius
    if side < 1:
        msg = (
            f"An image of {width}×{height} was to be computed in {memory >> 20} MiB, but even a single pixel needs "
            f"{2 * radius + 1}×{2 * radius + 1} around it. Allow more memory."
        )
        raise InputError(msg)
    for top in range(0, height, side):
        for left in range(0, width, side):
            spans = []
            for start, length in ((top, height), (left, width)):
                end = min(start + side, length)
                outer = max(0, start - radius) if radius else start, min(length, end + radius) if radius else end
                spans.append((slice(start, end), slice(*outer), slice(start - outer[0], end - outer[0])))
            inside, around, kept = zip(*spans, strict=True)
            yield inside, around, kept


def load(
    recipe_or_path: str | Path,
    scale: int,
    *,
    device: str = "cpu",
    folder: DataFolder | None = None,
    memory: int = MEMORY,
) -> Upscaler:
    """An upscaler from a recipe's shipped weights, a weight file of ours (.safetensors) or of the authors (.mat).

    Parameters
    ----------
    recipe_or_path
        a recipe's name, the name of released weights (with `folder`, from which they are fetched), a file.
    scale
        2, 3 or 4.
    device
        "cpu" or "cuda".
    folder
        where released weights are looked for by name.
    memory
        bytes that the planes of the network may take; a larger image is computed in tiles.

    Raises
    ------
    InputError : no such recipe or file, or no weights for this scale.
    """
    name = str(recipe_or_path)
    if name in models.authors():
        if folder is None:
            msg = f"{name} was asked for without a data folder to find it in. Give folder=DataFolder(...)."
            raise InputError(msg)
        return Upscaler(*weights.fetch_authors(folder, models.authors()[name], scale), scale, device, memory)
    path = Path(recipe_or_path)
    if path.suffix == ".mat":
        return Upscaler(*weights.read_authors(path, scale), scale, device, memory)
    if path.suffix == ".safetensors":
        return Upscaler(*weights.read_ours(path, scale), scale, device, memory)
    if name not in models.recipes():
        known = ", ".join([*models.recipes(), *models.authors()])
        msg = f"{name!r} is neither a weight file (.safetensors, .mat) nor one of: {known}."
        raise InputError(msg)
    recipe = models.recipe(name)
    if recipe.training is None:
        return Upscaler(weights.of_interpolation(recipe, scale), recipe.network(), scale, device, memory)
    file = weights.shipped(name, scale)
    if not file.exists():
        option = "" if recipe.training.scales else f" --scale {scale}"
        msg = (
            f"{name} was asked for at x{scale}, but no weights of it ship with srrepro. Train them "
            f"(`srrepro train {name}{option}`) and name the file that the run leaves."
        )
        raise InputError(msg)
    return Upscaler(*weights.read_ours(file, scale), scale, device, memory)
