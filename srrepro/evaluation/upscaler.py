"""Running a network on images: luminance for measurements, colour for pictures."""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from numpy import ndarray
from torch import nn

from srrepro import models
from srrepro.data.registry import DataFolder
from srrepro.errors import InputError
from srrepro.evaluation import weights
from srrepro.evaluation.weights import Subject
from srrepro.kernels.convolution import Mode, Native, fastest_mode
from srrepro.pixels.color import from_ycbcr, to_ycbcr
from srrepro.pixels.resize import imresize
from srrepro.progress import track
from srrepro.protocols.protocol import quantise

PicturePrecision = Literal["float32", "bfloat16"]
MEMORY = 4 << 30
"""Bytes that the planes of a network may take unless somebody says otherwise: 4 megapixels of 64 planes."""


@dataclass(frozen=True)
class Upscaler:
    """A network at one scale, ready for images of any size, in the device's fastest mode or `mode`.

    Numbers are measured in float32. `precision="bfloat16"` is for pictures: it costs the weights of srcnn-915-quick
    0.05, 0.09 and 0.11 dB on Set5 at x2, x3 and x4.

    An image whose planes would take more than `memory` bytes is computed in tiles, which gives the same numbers: they
    overlap by the network's `radius`, as far as an input pixel reaches. A network without one is never tiled.

    Raises
    ------
    InputError : `memory` does not even hold a tile that is as large as its overlap; native convolutions in bfloat16.
    """

    subject: Subject
    network: nn.Module
    scale: int
    device: str = "cpu"
    memory: int = MEMORY
    mode: Mode | None = None
    threads: int = field(default_factory=torch.get_num_threads)
    precision: PicturePrecision = "float32"

    def __post_init__(self) -> None:
        if self.mode == "native" and self.precision != "float32":
            msg = (
                f"{self.subject.name} was to be run in mode native in {self.precision}, but that is float32 only. "
                "Leave out the mode."
            )
            raise InputError(msg)
        least = (4 * self._radius + 1) ** 2 * _bytes_per_pixel(self.network)
        if self._radius and self.memory < least:
            msg = (
                f"{self.subject.name} was to be run in {self.memory / 2**20:.3g} MiB, but a pixel of its output is "
                f"made from {2 * self._radius + 1}×{2 * self._radius + 1} pixels; "
                f"allow {math.ceil(least / 2**20)} MiB or more."
            )
            raise InputError(msg)
        self.network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def _radius(self) -> int:
        return getattr(self.network, "radius", None) or 0

    def luminance(self, interpolated: Float[ndarray, "h w"]) -> Float32[ndarray, "h w"]:
        """The estimate for an interpolated luminance, both of about 0 to 1; neither clipped nor rounded.

        Raises
        ------
        InputError : the network's output is not of the size of its input.
        """
        return self._estimate(interpolated)

    @torch.inference_mode()
    def _estimate(self, interpolated: Float[ndarray, "h w"], *, shown: bool = False) -> Float32[ndarray, "h w"]:
        self.network.eval()
        plane = torch.from_numpy(np.ascontiguousarray(interpolated, np.float32))
        estimate = torch.empty_like(plane)
        fitting = self.memory // _bytes_per_pixel(self.network)
        whole = plane.numel() <= fitting or not self._radius
        side = max(plane.shape) if whole else math.isqrt(fitting) - 2 * self._radius
        tiles = list(_tiles(plane.shape[0], plane.shape[1], side, overlap=self._radius))
        what = f"{self.subject.name}, {plane.shape[1]}×{plane.shape[0]}, tiles"
        for inside, around, kept in track(tiles, what, total=len(tiles)) if shown else tiles:
            tile = plane[around].to(self.device)[None, None].to(memory_format=torch.channels_last)
            with (
                self._convolutions(),
                torch.backends.cudnn.flags(enabled=True, allow_tf32=False),
                torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bfloat16"),
            ):
                output = self.network(tile)
            if output.shape != tile.shape:
                msg = (
                    f"{self.subject.name} was given {tuple(tile.shape)}, an interpolated luminance, but gave "
                    f"{tuple(output.shape)}. It takes something else, or is not padded; nothing is measured of it."
                )
                raise InputError(msg)
            estimate[inside] = output[0, 0][kept].float().cpu()
        return estimate.numpy()

    def _convolutions(self) -> AbstractContextManager[Any]:
        mode = self.mode or fastest_mode(self.device, self.precision)
        return Native(self.threads) if mode == "native" else nullcontext()

    def image(self, rgb: UInt8[ndarray, "h w *c"]) -> UInt8[ndarray, "H W *c"]:
        """A picture enlarged: luminance by the network, colour by bicubic interpolation. Grey stays grey."""
        if rgb.ndim == 2:
            return quantise(self._estimate(imresize(rgb / 255.0, self.scale), shown=True))
        ycbcr = imresize(to_ycbcr(rgb), self.scale)
        ycbcr[..., 0] = self._estimate(ycbcr[..., 0] / 255, shown=True) * 255
        return from_ycbcr(ycbcr)


Area = tuple[slice, slice]
Tile = tuple[Area, Area, Area]


def _bytes_per_pixel(network: nn.Module) -> int:
    """The planes before and after a layer exist at the same time, and once more where padding copies them."""
    layers = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    return max((2 * 4 * (layer.in_channels + layer.out_channels) for layer in layers), default=4)


def _tiles(height: int, width: int, side: int, *, overlap: int) -> Iterator[Tile]:
    """What a tile gives, what it is computed from, and where in that it lies; a tile ends where the image does."""
    for top in range(0, height, side):
        for left in range(0, width, side):
            inside, around, kept = [], [], []
            for start, length in ((top, height), (left, width)):
                end = min(start + side, length)
                begin = max(0, start - overlap)
                inside.append(slice(start, end))
                around.append(slice(begin, min(length, end + overlap)))
                kept.append(slice(start - begin, end - begin))
            yield (inside[0], inside[1]), (around[0], around[1]), (kept[0], kept[1])


def load(
    recipe_or_path: str | Path,
    scale: int,
    *,
    device: str = "cpu",
    folder: DataFolder | None = None,
    memory: int = MEMORY,
    mode: Mode | None = None,
    precision: PicturePrecision = "float32",
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
    mode
        "native" or "eager", see `srrepro.kernels.convolution.fastest_mode`, which picks one if none is given.
    precision
        "float32"; "bfloat16" for pictures only.

    Raises
    ------
    InputError : no such recipe or file, or no weights for this scale.
    """
    subject, network = _subject_and_network(recipe_or_path, scale, folder)
    return Upscaler(subject, network, scale, device, memory, mode, precision=precision)


def _subject_and_network(
    recipe_or_path: str | Path, scale: int, folder: DataFolder | None
) -> tuple[Subject, nn.Module]:
    name = str(recipe_or_path)
    if name in models.authors():
        if folder is None:
            msg = f"{name} was asked for without a data folder to find it in. Give folder=DataFolder(...)."
            raise InputError(msg)
        return weights.fetch_authors(folder, models.authors()[name], scale)
    path = Path(recipe_or_path)
    if path.suffix == ".mat":
        return weights.read_authors(path, scale)
    if path.suffix == ".safetensors":
        return weights.read_ours(path, scale)
    if name not in models.recipes():
        known = ", ".join([*models.recipes(), *models.authors()])
        msg = f"{name!r} is neither a weight file (.safetensors, .mat) nor one of: {known}."
        raise InputError(msg)
    recipe = models.recipe(name)
    if recipe.training is None:
        return weights.of_interpolation(recipe, scale), recipe.network()
    file = weights.shipped(name, scale)
    if not file.exists():
        option = "" if recipe.training.scales else f" --scale {scale}"
        msg = (
            f"{name} was asked for at x{scale}, but no weights of it ship with srrepro. Train them "
            f"(`srrepro train {name}{option}`) and name the file that the run leaves."
        )
        raise InputError(msg)
    return weights.read_ours(file, scale)
