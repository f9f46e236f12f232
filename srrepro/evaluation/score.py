"""Pictures that somebody's code produced, held against the references of a test set."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped
from numpy import ndarray

from srrepro.data.registry import DataFolder
from srrepro.errors import InputError
from srrepro.evaluation.measure import Estimate, Keep, Score, TestSet, judge
from srrepro.pixels import images
from srrepro.pixels.color import studio
from srrepro.pixels.decoding import most_pixels
from srrepro.pixels.folders import SUFFIXES
from srrepro.pixels.naming import partners, scale_of
from srrepro.plain import few
from srrepro.progress import say, track
from srrepro.protocols.degradation import Planes
from srrepro.protocols.protocol import LEVELS, Protocol

ARRAYS = ".npy"


@dataclass(frozen=True)
class Pictures:
    """A folder of estimates: 8-bit pictures or arrays, grey or RGB; `only` is a pattern that their names must fit."""

    folder: Path
    only: str = "*"

    def partners(self, references: list[str]) -> dict[str, Path]:
        """The picture of every reference that has one.

        Raises
        ------
        InputError : no such folder, several pictures for one reference, or none for any.
        """
        if self.folder.is_file():
            msg = f"Pictures were to be read from {self.folder}, but that is a file. Weights are for `evaluate`."
            raise InputError(msg)
        if not self.folder.is_dir():
            msg = f"Pictures were to be read from {self.folder}, but there is no such folder."
            raise InputError(msg)
        kinds = SUFFIXES | {ARRAYS}
        found = sorted(path for path in self.folder.glob(self.only) if path.suffix.lower() in kinds)
        what = str(self.folder) if self.only == "*" else f"{self.folder / self.only}"
        return partners(references, [path for path in found if not path.name.startswith(".")], what=what)


def score(
    pictures: Pictures,
    test_set: TestSet,
    scale: int,
    *,
    protocol: Protocol,
    data: DataFolder,
    limit: int | None = None,
    keep: Keep | None = None,
) -> list[Score]:
    """Scores of every image that has a picture; says which picture was taken for which image, and what is lacking.

    Raises
    ------
    InputError : a picture cannot be read, or is none of its reference.
    """
    references = test_set.names(data, limit=limit)
    found = pictures.partners(references)
    for path in found.values():
        said = scale_of(path.stem)
        if said not in {None, scale}:
            msg = f"{path.name} was to be measured at x{scale}, but its name says x{said}. Give that, or rename it."
            raise InputError(msg)
    _tell(test_set, references, found)
    examples = test_set.examples(data, scale, protocol.degradation, limit=limit)
    shown = track(examples, f"measuring {pictures.folder.name} x{scale} on {test_set.name}", total=len(references))
    estimates = ((name, planes, fitted(found[name], planes, scale)) for name, planes in shown if name in found)
    return judge(estimates, test_set.name, scale, protocol=protocol, keep=keep)


def fitted(path: Path, planes: Planes, scale: int) -> Estimate:
    """A picture or an array as an estimate of about 0 to 1, cut to a multiple of the scale as its reference is.

    Raises
    ------
    InputError : it cannot be read, or is no picture.
    """
    estimate = read_array(path) if path.suffix.lower() == ARRAYS else images.read(path) / LEVELS
    (h, w), (height, width) = estimate.shape[:2], planes.reference.shape[:2]
    if height <= h < height + scale and width <= w < width + scale:
        estimate = estimate[:height, :width]
    if estimate.ndim == 3 and planes.reference.ndim == 2 and _is_grey(estimate):
        return _luminance_or_grey(estimate, planes)
    return estimate


def _luminance_or_grey(estimate: Float[ndarray, "h w 3"], planes: Planes) -> Estimate:
    """RGB without colour is a luminance that was saved so, or a grey photograph: whichever is near the reference."""
    plane, reference = estimate[..., 0], planes.reference / LEVELS
    border = max(0, (reference.shape[0] - plane.shape[0]) // 2)
    inside = reference[border : border + plane.shape[0], border : border + plane.shape[1]]
    if inside.shape != plane.shape:
        return estimate
    apart = (float(np.abs(each - inside).mean()) for each in (plane, studio(estimate * LEVELS) / LEVELS))
    return plane if next(apart) <= next(apart) else estimate


def read_array(path: Path) -> Float[ndarray, "h w *c"]:
    """An array of levels (uint8, or floats of 0 to 255) or of about 0 to 1, with its channels wherever they stand.

    Raises
    ------
    InputError : no array of one grey or RGB image.
    """
    try:  # mapped: what its header declares takes no memory, and must be there
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # NumPy has many for what it cannot read
        msg = f"{path} was to be read as an array of NumPy's, but it is none or is cut short ({error})."
        raise InputError(msg) from error
    if not isinstance(array, ndarray):
        msg = f"{path} was to be read as an array of NumPy's, but is an archive of them (.npz). Save the array alone."
        raise InputError(msg)
    image = _as_image(array)
    if image is None or image.dtype.kind not in "fu":
        msg = f"{path} was to be read as one grey or RGB image, but it holds {array.shape} of {array.dtype}."
        raise InputError(msg)
    if image.size > 3 * most_pixels():
        most = f"{most_pixels() / 1e6:.0f} million pixels"
        msg = f"{path} was to be read as one image, but holds {image.shape}, and at most {most} are read."
        raise InputError(msg)
    if image.dtype.kind == "u" and image.dtype != np.uint8:
        msg = (
            f"{path} was to be read as an array of uint8 or floats, but it holds {image.dtype}. Save it as one of them."
        )
        raise InputError(msg)
    if image.dtype == np.uint8:
        return image / LEVELS
    if image.size and np.abs(image).max() > 2:  # NaN is not, and is refused later
        say(f"{path.name} goes up to {image.max():.4g}: it is taken for levels of 0 to 255")
        return image.astype(np.float64) / LEVELS
    return image.astype(np.float64)


def _as_image(array: Shaped[ndarray, "*any"]) -> Shaped[ndarray, "h w *c"] | None:
    """Without batches of one and planes of one channel; RGB with its channels last."""
    while array.ndim > 2 and 1 in array.shape:
        array = np.squeeze(array, axis=array.shape.index(1))
    if array.ndim == 3 and array.shape[0] == 3 and array.shape[2] != 3:
        array = np.moveaxis(array, 0, 2)
    return array if array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3) else None


def _is_grey(image: Float[ndarray, "h w 3"]) -> bool:
    return bool((image == image[..., :1]).all())


def _tell(test_set: TestSet, references: list[str], found: dict[str, Path]) -> None:
    pairs = [f"{path.name} for {name}" for name, path in found.items()]
    say(f"taken: {few(pairs)}")
    lacking = [name for name in references if name not in found]
    if lacking:
        say(f"{len(lacking)} of {len(references)} images of {test_set.name} have no picture: {few(lacking, 5)}")
