"""Small images that somebody else made, in place of ours: what a network is fed, and how far they are from ours."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from srrepro.data.stores import Example
from srrepro.errors import InputError
from srrepro.evaluation.score import Pictures
from srrepro.pixels import images
from srrepro.pixels.color import COLOURS, as_rgb
from srrepro.pixels.resizers import RESIZERS
from srrepro.progress import say
from srrepro.protocols.degradation import Degradation
from srrepro.protocols.protocol import LEVELS

_LOW = "*_LR.*"


def with_lows(
    examples: Iterable[Example], pictures: Pictures, references: list[str], scale: int, how: Degradation
) -> Iterator[Example]:
    """The examples with the small images of a folder; after the last one, says how far these are from ours.

    Raises
    ------
    InputError : a small image is lacking, cannot be read, or is of another size than ours.
    """
    if pictures.folder.is_dir() and any(pictures.folder.glob(_LOW)):  # beside the originals, as in SelfExSR's release
        pictures = Pictures(pictures.folder, _LOW)
    found = pictures.partners(references)
    lacking = [name for name in references if name not in found]
    if lacking:
        msg = f"Small images were to be read from {pictures.folder}, but it has none for {', '.join(lacking[:5])}."
        raise InputError(msg)
    apart, most = [], 0.0
    for name, planes in examples:
        low = _low(found[name], planes.low, how)
        if low.shape != planes.low.shape:
            (h, w), (height, width) = low.shape[:2], planes.low.shape[:2]
            msg = (
                f"{found[name]} was to be the small image of {name} at x{scale}, but is {w}×{h}, not {width}×{height}. "
                "Make it of the reference after that is cut to a multiple of the scale."
            )
            raise InputError(msg)
        difference = np.abs(low - planes.low) * LEVELS
        apart.append(float(difference.mean()))
        most = max(most, float(difference.max()))
        interpolated = RESIZERS[how.resizer](low.astype(np.float64), scale).astype(np.float32)
        yield Example(name, planes._replace(low=low, interpolated=interpolated))
    mean = sum(apart) / max(1, len(apart))
    like = "; rounding to 8 bits alone gives 0.25" if mean < 0.5 else ""
    say(f"the small images of {pictures.folder} differ from ours by {mean:.2f} levels of 255, {most:.1f} at most{like}")


def _low(path: Path, ours: Float32[ndarray, "h w *c"], how: Degradation) -> Float32[ndarray, "H W *d"]:
    picture = images.read(path)
    if ours.ndim == 3:
        return (as_rgb(picture) / LEVELS).astype(np.float32)
    return (COLOURS[how.colour](picture) / LEVELS).astype(np.float32)
