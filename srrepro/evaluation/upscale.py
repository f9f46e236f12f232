"""Running a network on images: luminance for measurements, colour for pictures."""

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


@dataclass(frozen=True)
class Upscaler:
    """A network at one scale, ready for images of any size; always in float32."""

    subject: Subject
    network: nn.Module
    device: str = "cpu"

    @property
    def scale(self) -> int:
        return self.subject.scale

    def __post_init__(self) -> None:
        self.network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.inference_mode()
    def luminance(self, interpolated: Float[ndarray, "h w"]) -> Float32[ndarray, "h w"]:
        """The estimate for an interpolated luminance, both of about 0 to 1; neither clipped nor rounded."""
        plane = torch.from_numpy(np.ascontiguousarray(interpolated, np.float32)).to(self.device)[None, None]
        estimate: ndarray = self.network.eval()(plane.to(memory_format=torch.channels_last))[0, 0].cpu().numpy()
        return estimate

    def image(self, rgb: UInt8[ndarray, "h w *c"]) -> UInt8[ndarray, "H W *c"]:
        """A picture enlarged: luminance by the network, colour by bicubic interpolation. Grey stays grey."""
        if rgb.ndim == 2:
            return quantise(self.luminance(imresize(rgb / 255.0, self.scale)))
        ycbcr = imresize(to_ycbcr(rgb), self.scale)
        ycbcr[..., 0] = self.luminance(ycbcr[..., 0] / 255) * 255
        return from_ycbcr(ycbcr)


def load(recipe_or_path: str | Path, scale: int, *, device: str = "cpu", folder: DataFolder | None = None) -> Upscaler:
    """An upscaler from a recipe's shipped weights, a weight file of ours (.safetensors) or of the authors (.mat).

    Parameters
    ----------
    recipe_or_path
        a recipe's name, the name of released weights (with `folder`, from which they are fetched), a file.
    scale
        2, 3 or 4 where networks are trained for one scale.
    device
        "cpu" or "cuda".
    folder
        where released weights are looked for by name.

    Raises
    ------
    InputError : no such recipe or file, or no weights for this scale.
    """
    name = str(recipe_or_path)
    if name in models.authors():
        if folder is None:
            msg = f"{name} was asked for without a data folder to find it in. Give folder=DataFolder(...)."
            raise InputError(msg)
        return Upscaler(*weights.fetch_authors(folder, models.authors()[name], scale), device)
    path = Path(recipe_or_path)
    if path.suffix == ".mat":
        return Upscaler(*weights.read_authors(path, scale), device)
    if path.suffix == ".safetensors":
        return Upscaler(*weights.read_ours(path, scale), device)
    if name not in models.recipes():
        known = ", ".join([*models.recipes(), *models.authors()])
        msg = f"{name!r} is neither a weight file (.safetensors, .mat) nor one of: {known}."
        raise InputError(msg)
    recipe = models.recipe(name)
    if recipe.training is None:
        return Upscaler(weights.of_interpolation(recipe, scale), recipe.network(), device)
    file = weights.shipped(name, scale)
    if not file.exists():
        msg = (
            f"{name} was asked for at x{scale}, but no weights of it ship with srrepro. "
            f"Train them (`srrepro train {name} --scale {scale}`) and name the file that the run leaves."
        )
        raise InputError(msg)
    return Upscaler(*weights.read_ours(file, scale), device)
