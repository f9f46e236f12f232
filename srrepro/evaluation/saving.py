"""Estimates as pictures in colour, and maps of their errors."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Real, UInt8
from numpy import ndarray

from srrepro.errors import InputError
from srrepro.evaluation.measure import Estimate, Photograph
from srrepro.pixels import picture
from srrepro.pixels.color import studio
from srrepro.pixels.picture import Picture
from srrepro.pixels.resize import imresize
from srrepro.protocols.degradation import Planes, modcrop
from srrepro.protocols.protocol import LEVELS, quantise, with_chroma
from srrepro.whole import check_new

SATURATED = 32.0
"""Levels of 255 at which the colour of an error is full."""


@dataclass(frozen=True)
class Saved:
    """Writes `NAME_xSCALE.png` and `NAME_xSCALE_error.png` of every image into a folder, as `evaluate` comes to them.

    Colour is the photograph's own, shrunk and enlarged. In a map white is right, red too bright, blue too dark.
    """

    folder: Path
    scale: int
    photographs: Iterator[Photograph]

    @classmethod
    def into(
        cls, folder: Path, scale: int, photographs: Iterator[Photograph], names: Sequence[str], *, force: bool
    ) -> "Saved":
        """To be asked before the work: whether the pictures of these names may be written there.

        Raises
        ------
        InputError : there can be no such folder, two pictures would have one name, or one is there and `force` is not
            given.
        """
        source_of: dict[str, str] = {}
        for name in names:
            for path in _paths(folder, scale, name):
                other = source_of.setdefault(path.name.casefold(), name)  # some systems tell no capitals
                if other != name:
                    msg = f"{path} was to be saved of both {other} and {name}. Rename one of them, or leave out --save."
                    raise InputError(msg)
                if folder.exists():
                    check_new(path, f"{path} was to be saved", force=force)
        return cls(folder, scale, photographs)

    def __post_init__(self) -> None:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            msg = f"Pictures were to be saved in {self.folder}, but there can be no such folder ({error.strerror})."
            raise InputError(msg) from error

    def __call__(self, name: str, planes: Planes, estimate: Estimate) -> None:
        photograph = next((pixels for known, pixels in self.photographs if known == name), None)
        if photograph is None:
            msg = f"{name} was to be saved in {self.folder}, but its set has no photograph of that name."
            raise InputError(msg)
        estimated, error = _paths(self.folder, self.scale, name)
        _write(estimated, quantise(self._coloured(estimate, photograph)))
        _write(error, error_map(_levels(estimate * LEVELS) - _levels(planes.reference)))

    def _coloured(self, estimate: Estimate, photograph: UInt8[ndarray, "H W *d"]) -> Float[ndarray, "h w *e"]:
        if estimate.ndim == 3 or photograph.ndim == 2:
            return estimate
        small = imresize(modcrop(photograph, self.scale) / LEVELS, 1 / self.scale)
        enlarged = imresize(small, self.scale)
        border = (enlarged.shape[0] - estimate.shape[0]) // 2
        inside = slice(border, border + estimate.shape[0]), slice(border, border + estimate.shape[1])
        return with_chroma(estimate, enlarged[inside])


def _paths(folder: Path, scale: int, name: str) -> tuple[Path, Path]:
    """Where the picture of an image goes, and the map of its error."""
    stem = f"{Path(name).stem}_x{scale}"
    return folder / f"{stem}.png", folder / f"{stem}_error.png"


def _write(path: Path, levels: UInt8[ndarray, "h w *c"]) -> None:
    picture.write(path, Picture(levels))


def _levels(image: Real[ndarray, "h w *c"]) -> Real[ndarray, "h w"]:
    return studio(image) if image.ndim == 3 else image.astype(np.float64)


def error_map(error: Real[ndarray, "h w"]) -> UInt8[ndarray, "h w 3"]:
    """An error in levels as a picture: white where there is none, red where it is above zero, blue below."""
    strength = np.clip(np.abs(error) / SATURATED, 0, 1)[..., None]
    colour = np.where(error[..., None] > 0, (178, 24, 43), (33, 102, 172))
    blended: UInt8[ndarray, "h w 3"] = np.rint(255 + (colour - 255) * strength).astype(np.uint8)
    return blended
