"""Running a network on images: luminance for measurements, colour for pictures."""

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Float64
from numpy import ndarray
from numpy.typing import DTypeLike
from PIL import Image
from torch import Tensor, nn

from srrepro import models
from srrepro.data.registry import DataFolder
from srrepro.errors import InputError, instead
from srrepro.evaluation import foreign, weights
from srrepro.evaluation.arrays import READERS, STATE_DICTS
from srrepro.evaluation.weights import Subject
from srrepro.hardware import Hardware
from srrepro.kernels.bands import Bands, is_watched
from srrepro.kernels.convolution import Native, Pairs, on_meta, pairs_of
from srrepro.models.recipe import Input, takes
from srrepro.pixels.color import as_rgb, rgb_of, to_ycbcr
from srrepro.pixels.picture import levels_of
from srrepro.pixels.resize import imresize
from srrepro.pixels.samples import Enlarged, Levels
from srrepro.progress import track
from srrepro.protocols.protocol import LEVELS

WEIGHT_FILES = " ".join(dict.fromkeys([".safetensors", *READERS, *STATE_DICTS]))
_OF_KERAS = (
    "Of a Keras model, save the arrays: safetensors.numpy.save_file({w.path: w.numpy() for w in model.weights}, "
    "'weights.safetensors')."
)
FARTHEST = 8.0
"""An image of about 0 to 1 may go beyond; levels of 255 go farther."""
PROBE = 64
"""Pixels of a side of the image that shapes are found out with."""


@dataclass(frozen=True)
class Upscaler:
    """A network at one scale, ready for images of any size.

    It runs in float32, or in bfloat16 if `hardware` names that, which is for pictures: it costs the weights of
    srcnn-915-quick 0.05, 0.09 and 0.11 dB on Set5 at x2, x3 and x4.

    A chain of convolutions is computed in bands of some rows, in mode native. Of other networks, an image whose planes
    would take more than the hardware's memory is computed in tiles. They overlap by the network's `radius`, as far as
    an input pixel reaches, so the estimate is the whole image's but for rounding, and its PSNR is within 0.001 dB.
    Equal bits are not to be had: PyTorch sums in another order for another size; in C the squares of Winograd's
    algorithm begin where a tile or a thread's columns do, and what rounding they share goes 6 pixels farther with every
    layer, where a pixel goes 1. A network without a radius is never tiled.

    Raises
    ------
    InputError : the network does not take what it says, or gives an image of another size than the scale asks for;
        the memory does not even hold a tile that is as large as its overlap.
    """

    subject: Subject
    network: nn.Module
    scale: int
    hardware: Hardware = Hardware()

    def __post_init__(self) -> None:
        self._check_output()
        least = self._in_bands.least() if self._in_bands else (4 * self._radius + 1) ** 2 * self._bytes_per_pixel
        if self._radius and self.hardware.memory < least:
            reach = 2 * self._radius + 1
            msg = (
                f"{self.subject.name} was to be run in {self.hardware.memory / 2**20:.3g} MiB, but a pixel of its "
                f"output is made from {reach}×{reach} pixels; "
                f"allow {math.ceil(least / 2**20)} MiB or more."
            )
            raise InputError(msg)
        self.network.to(self._on.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def takes(self) -> Input:
        return takes(self.network)

    @property
    def _factor(self) -> int:
        """Pixels of the output to one of the input, in a row."""
        return self.scale if self.takes.small else 1

    @cached_property
    def _on(self) -> Hardware:
        return self.hardware.for_pictures()

    @property
    def _radius(self) -> int:
        return getattr(self.network, "radius", None) or 0

    def _check_output(self) -> None:
        """What it says that it takes, and what it gives, must fit; found out without computing anything."""
        side = PROBE
        given = (1, self.takes.channels, side, side + 1)
        wanted = (1, self.takes.channels, side * self._factor, (side + 1) * self._factor)
        asked = f"{self.subject.name} was to be run at x{self.scale}, and was given {given} ({self.takes.name})"
        try:
            found = tuple(on_meta(self.network).eval()(torch.empty(given, device="meta")).shape)
        except RuntimeError as error:
            msg = f"{asked}, but does not take that: {error}"
            raise InputError(msg) from error
        if found != wanted:
            msg = (
                f"{asked}, but gave {found} instead of {wanted}. It takes something else, is made for another scale, "
                "or is not padded; nothing is measured of it."
            )
            raise InputError(msg)

    @property
    def _bytes_per_pixel(self) -> int:
        """Of its input; in bands, that of the image and of the estimate."""
        return 8 if self._in_bands is not None else self._bytes_of_planes

    @cached_property
    def _bytes_of_planes(self) -> int:
        """The planes before and after a layer exist at the same time, and once more if it pads them."""
        most = 4

        def note(_layer: nn.Module, inputs: tuple[Tensor, ...], out: Tensor) -> None:
            nonlocal most
            planes = sum(each.shape[1] * round(each.shape[-1] / PROBE) ** 2 for each in (inputs[0], out))
            most = max(most, 2 * 4 * planes)

        network = on_meta(self.network).eval()
        for module in network.modules():
            if any(parameter.ndim == 4 for parameter in module.parameters(recurse=False)):
                module.register_forward_hook(note)
        network(torch.empty(1, self.takes.channels, PROBE, PROBE, device="meta"))
        return most

    @torch.inference_mode()
    def estimate(self, image: Float[ndarray, "h w *c"]) -> Float32[ndarray, "H W *c"]:
        """The network's image for one that it takes, both of about 0 to 1; neither clipped nor rounded.

        Raises
        ------
        InputError : the image has other channels, is none of about 0 to 1, or the output is not of the size that it
            should have.
        """
        self._check_values(image)
        channels = 1 if image.ndim == 2 else image.shape[2]
        if channels != self.takes.channels:
            msg = f"{self.subject.name} takes {self.takes.name}, but was given an image of {channels} channels."
            raise InputError(msg)
        self.network.eval()
        if self._in_bands is not None and not is_watched():
            plane = image.astype(np.float32, copy=False)
            return self._in_bands(plane, threads=self._on.shared_by, memory=self.hardware.memory)
        planes = torch.from_numpy(np.ascontiguousarray(image, np.float32))
        planes = planes[None] if image.ndim == 2 else planes.movedim(2, 0)
        height, width = planes.shape[1:]
        times = self._factor
        estimate = torch.empty(channels, height * times, width * times)
        fitting = self.hardware.memory // self._bytes_of_planes
        whole = height * width <= fitting or not self._radius
        side = max(height, width) if whole else math.isqrt(fitting) - 2 * self._radius
        for inside, around, kept in _tiles(height, width, side, overlap=self._radius):
            tile = planes[:, *around].to(self._on.device)[None].to(memory_format=torch.channels_last)
            with (
                self._convolutions(),
                self._on.flags(),
                torch.autocast(self._on.device, torch.bfloat16, enabled=self._on.precision == "bfloat16"),
            ):
                output = self.network(tile)
            wanted = (1, channels, tile.shape[2] * times, tile.shape[3] * times)
            if output.shape != wanted:
                msg = (
                    f"{self.subject.name} was given {tuple(tile.shape)} ({self.takes.name}), but gave "
                    f"{tuple(output.shape)} instead of {wanted}; nothing is measured of it."
                )
                raise InputError(msg)
            estimate[:, *_times(inside, times)] = output[0][:, *_times(kept, times)].float().cpu()
        return (estimate[0] if image.ndim == 2 else estimate.movedim(0, 2)).numpy()

    def _check_values(self, image: ndarray) -> None:
        asked = f"{self.subject.name} takes floats of about 0 to 1"
        if image.dtype.kind != "f":
            msg = f"{asked}, but was given {image.dtype}. Divide levels by 255, or give the picture to image()."
            raise InputError(msg)
        if not np.isfinite(image).all():
            msg = f"{asked}, but was given values that are not finite (NaN or infinite)."
            raise InputError(msg)
        if image.size and np.abs(image).max() > FARTHEST:
            msg = f"{asked}, but was given values up to {image.max():.4g}. Divide levels by 255."
            raise InputError(msg)

    def luminance(self, interpolated: Float[ndarray, "h w"]) -> Float32[ndarray, "H W"]:
        """`estimate` of a luminance, by the name that it was public under first."""
        return self.estimate(interpolated)

    def _convolutions(self) -> AbstractContextManager[Any]:
        return Native(self._on.shared_by, self._pairs) if self._on.mode == "native" else nullcontext()

    @cached_property
    def _in_bands(self) -> Bands | None:
        return Bands.of(self.network.eval()) if self._on.mode == "native" else None

    @cached_property
    def _pairs(self) -> Pairs:
        return pairs_of(self.network.eval(), self.takes.channels, PROBE)

    def image(self, picture: Levels | Image.Image | str | Path) -> Enlarged:
        """A picture of 8 or 16 bits enlarged: as RGB, or luminance by the network and chroma by bicubic.

        Grey stays grey: in studio range, the range of luminance, for the network that was trained on that, and back.

        Parameters
        ----------
        picture
            grey (h, w) or RGB (h, w, 3) of uint8 or uint16, an image of Pillow's, or the name of a file. Transparency
            is left out; `srrepro upscale` keeps it.

        Raises
        ------
        InputError : no such file, or an array of another kind.
        """
        picture = levels_of(picture)
        enlarged = self.room_for(picture)
        bands = len(self.bands(*picture.shape[:2]))
        what = f"{self.subject.name}, {picture.shape[1]}×{picture.shape[0]}, bands"
        for _ in track(self.fill(enlarged, picture), what, total=bands):
            pass
        return enlarged

    def room_for(self, picture: Levels) -> Enlarged:
        """What `fill` fills."""
        height, width, *channels = picture.shape
        return np.empty((height * self.scale, width * self.scale, *channels), picture.dtype)

    def fill(self, enlarged: Enlarged, picture: Levels) -> Iterator[None]:
        """`image` band by band, so that no more than a band is held as floating point; yields after each.

        Bands overlap by as far as a pixel reaches. They are the whole's pixels but for rounding, which moves about one
        in 10,000 by a level: at x3 PyTorch's bicubic weights depend on the place in their last bits, and sums of many
        layers on the size of what is summed.
        """
        for inside, around, kept in self.bands(*picture.shape[:2]):
            band = self._band(picture[around])
            enlarged[_longer(inside, self.scale)] = band[_longer(kept, self.scale)]
            yield

    def bands(self, height: int, width: int) -> list["Part"]:
        """Rows of a picture that are computed together; all if the network says of no pixel how far it reaches."""
        if getattr(self.network, "radius", None) is None:
            return list(_parts(height, height, overlap=0))
        overlap = _BICUBIC + (self._radius if self.takes.small else math.ceil(self._radius / self.scale))
        colours, planes = self._bytes_per_low_pixel
        whole, in_tiles = (self.hardware.memory // (each * width) - 2 * overlap for each in (colours + planes, colours))
        rows = max(whole, min(in_tiles, 4 * overlap), overlap, 1)
        return list(_parts(height, min(rows, max(_ROWS, 32 * overlap)), overlap=overlap))

    def bytes_for(self, height: int, width: int) -> int:
        """About what is taken while a picture of this size is enlarged, beside it and the enlarged one."""
        colours, planes = self._bytes_per_low_pixel
        most: int = width * max(around.stop - around.start for _, around, _ in self.bands(height, width))
        of_network = most * planes
        return most * colours + (min(of_network, self.hardware.memory) if self._radius else of_network)

    @property
    def _bytes_per_low_pixel(self) -> tuple[int, int]:
        """Of a band: what its colours take as floats, and the planes of the network."""
        times: int = self.scale // self._factor
        return self.scale * self.scale * _COLOURS, times * times * self._bytes_per_pixel

    def _band(self, low: Levels) -> Enlarged:
        white = np.iinfo(low.dtype).max
        levels = low if white == LEVELS else low / (white / LEVELS)
        if self.takes.channels == 3:
            rgb = self._enlarged(as_rgb(levels) / LEVELS).astype(np.float64) * LEVELS
            return _rounded(rgb if low.ndim == 3 else rgb[..., 1], low.dtype)
        if low.ndim == 2:
            grey = (self._enlarged((_BLACK + levels * _STUDIO) / LEVELS).astype(np.float64) * LEVELS - _BLACK) / _STUDIO
            return _rounded(grey, low.dtype)
        ycbcr = to_ycbcr(levels)
        luminance = self._enlarged(ycbcr[..., 0] / LEVELS).astype(np.float64) * LEVELS
        chroma = imresize(ycbcr[..., 1:], self.scale)
        return _rounded(rgb_of(np.concatenate([luminance[..., None], chroma], axis=2)), low.dtype)

    def _enlarged(self, low: Float[ndarray, "h w *c"]) -> Float32[ndarray, "H W *c"]:
        return self.estimate(low if self.takes.small else imresize(low, self.scale))


_BICUBIC = 2
"""Pixels that bicubic interpolation looks at on either side."""
_ROWS = 256
"""Of a band at most, so that progress is seen; more where bands overlap much."""
_COLOURS = 160
"""Bytes that a pixel of the enlarged picture takes while it is computed: some copies of it as float64."""
_BLACK, _STUDIO = 16, 219 / 255
"""Black of studio range, and how much narrower than full range it is."""


def _rounded(levels: Float64[ndarray, "h w *c"], kind: DTypeLike) -> Levels:
    """Levels of about 0 to 255 as whole numbers of 8 or 16 bits, clipped, halves up."""
    scaled = np.clip(levels, 0, LEVELS) * (np.iinfo(kind).max / LEVELS)
    return np.asarray(scaled + 0.5).astype(kind)


Part = tuple[slice, slice, slice]
"""Of a line: what is given, what it is computed from, and where in that it lies."""
Area = tuple[slice, slice]
Tile = tuple[Area, Area, Area]


def _times(area: Area, factor: int) -> Area:
    rows, columns = (_longer(part, factor) for part in area)
    return rows, columns


def _longer(part: slice, factor: int) -> slice:
    return slice(part.start * factor, part.stop * factor)


def _tiles(height: int, width: int, side: int, *, overlap: int) -> Iterator[Tile]:
    """What a tile gives, what it is computed from, and where in that it lies; a tile ends where the image does."""
    for rows in _parts(height, side, overlap=overlap):
        for columns in _parts(width, side, overlap=overlap):
            inside, around, kept = zip(rows, columns, strict=True)
            yield inside, around, kept


def _parts(length: int, size: int, *, overlap: int) -> Iterator[Part]:
    for start in range(0, length, size):
        end = min(start + size, length)
        begin = max(0, start - overlap)
        yield slice(start, end), slice(begin, min(length, end + overlap)), slice(start - begin, end - begin)


def load(
    recipe_or_path: str | Path,
    scale: int,
    *,
    model: str | None = None,
    folder: DataFolder | None = None,
    hardware: Hardware | None = None,
) -> Upscaler:
    """An upscaler from a recipe's shipped weights or a weight file: ours, authors', or of another program.

    Parameters
    ----------
    recipe_or_path
        a recipe's name, the name of released weights (with `folder`, from which they are fetched), a file, or
        `RECIPE=FILE`, where FILE alone would fit several networks.
    scale
        2, 3 or 4.
    model
        whose network a weight file is for, by the name of a recipe; found out by the file itself if it is None.
    folder
        where released weights are looked for by name.
    hardware
        what it runs on; a processor, in float32, if none is named.

    Raises
    ------
    InputError : no such recipe or file, no weights for this scale, or weights that are not finite.
    """
    if scale not in (2, 3, 4):
        msg = f"{recipe_or_path} was asked for at x{scale!r}, but networks are made for the scales 2, 3 and 4."
        raise InputError(msg)
    subject, network = _subject_and_network(recipe_or_path, int(scale), model, folder)
    broken = [name for name, values in network.state_dict().items() if not values.isfinite().all()]
    if broken:
        msg = f"The weights {recipe_or_path} were to be used, but {broken[0]} holds values that are not finite."
        raise InputError(msg)
    return Upscaler(subject, network, int(scale), hardware or Hardware())


def _subject_and_network(
    recipe_or_path: str | Path, scale: int, model: str | None, folder: DataFolder | None
) -> tuple[Subject, nn.Module]:
    name = str(recipe_or_path)
    if model is None and name.partition("=")[0] in models.recipes() and "=" in name:
        model, _, name = name.partition("=")
    path = Path(name).expanduser()
    if path.suffix in {".safetensors", *READERS, *STATE_DICTS}:
        return _from_file(path, scale, model)
    if model is not None:
        msg = f"{name} was to be read as weights of {model}, but this is no name of a weight file ({WEIGHT_FILES})."
        raise InputError(msg)
    if name in models.authors():
        if folder is None:
            msg = f"{name} was asked for without a data folder to find it in. Give folder=DataFolder(...)."
            raise InputError(msg)
        return weights.fetch_authors(folder, models.authors()[name], scale)
    if path.is_dir():
        msg = f"{name} was to be read as weights, but is a folder. `srrepro score {name} ...` measures pictures."
        raise InputError(msg)
    if path.is_file():
        more = f" {_OF_KERAS}" if path.suffix in {".h5", ".hdf5", ".keras"} else ""
        msg = f"{name} was to be read as weights, but {path.suffix or 'no suffix'!r} is none of {WEIGHT_FILES}.{more}"
        raise InputError(msg)
    if name not in models.recipes():
        known = [*models.recipes(), *models.authors()]
        msg = f"{name!r} is neither a weight file ({WEIGHT_FILES}) nor a name. {instead(name, known)}"
        raise InputError(msg)
    recipe = models.recipe(name)
    if recipe.training is None:
        return weights.of_interpolation(recipe, scale), recipe.network(scale)
    file = weights.shipped(name, scale)
    if not file.exists():
        option = "" if recipe.training.scales else f" --scale {scale}"
        msg = (
            f"{name} was asked for at x{scale}, but no weights of it ship with srrepro. Train them "
            f"(`srrepro train {name}{option}`) and name the file that the run leaves."
        )
        raise InputError(msg)
    return weights.read_ours(file, scale)


def _from_file(path: Path, scale: int, model: str | None) -> tuple[Subject, nn.Module]:
    if model is not None:
        return foreign.read_foreign(path, scale, model)
    if path.suffix == ".safetensors":
        return weights.read_ours(path, scale) if weights.is_ours(path) else foreign.read_foreign(path, scale)
    if path.suffix not in READERS:
        return foreign.read_foreign(path, scale)
    try:
        return weights.read_authors(path, scale)
    except weights.FitsNone:
        if path.suffix not in STATE_DICTS:
            raise
        return foreign.read_foreign(path, scale)
