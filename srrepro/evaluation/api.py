"""What `import srrepro` offers beside `load`: measuring from Python, and the names of the recipes."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import pandas as pd
from torch import nn

from srrepro import models
from srrepro.data.registry import DataFolder
from srrepro.errors import InputError
from srrepro.evaluation.brought import bring
from srrepro.evaluation.measure import BICUBIC, Score, TestSet
from srrepro.evaluation.measure import evaluate as scores_of
from srrepro.evaluation.upscaler import Upscaler, load
from srrepro.protocols.named import MATLAB_Y, PROTOCOLS


@dataclass(frozen=True)
class Measured:
    """The scores of one network on one set. Means over its images are `psnr_db`, `ssim`, `bicubic_psnr_db`."""

    name: str
    dataset: str
    scale: int
    protocol: str
    scores: tuple[Score, ...]

    @property
    def psnr_db(self) -> float:
        return self._mean("psnr_db")

    @property
    def ssim(self) -> float:
        return self._mean(PROTOCOLS[self.protocol].similarity)

    @property
    def bicubic_psnr_db(self) -> float:
        return self._mean(BICUBIC + "psnr_db")

    def per_image(self) -> pd.DataFrame:
        """One row an image, one column a metric."""
        return pd.DataFrame([{"image": score.image} | score.values for score in self.scores])

    def _mean(self, metric: str) -> float:
        return mean(score.values[metric] for score in self.scores)

    def __str__(self) -> str:
        return (
            f"{self.name} on {self.dataset} x{self.scale}: {self.psnr_db:.3f} dB, SSIM {self.ssim:.4f} "
            f"(bicubic {self.bicubic_psnr_db:.3f} dB; {self.protocol}, {len(self.scores)} images)"
        )


def evaluate(
    network: nn.Module | Callable[[Any], Any] | Upscaler | str | Path,
    dataset: str | Path,
    *,
    scale: int,
    protocol: str = MATLAB_Y.name,
    takes: str | None = None,
    model: str | None = None,
    data: str | Path | None = None,
    mirror: str | Path | None = None,
    limit: int | None = None,
) -> Measured:
    """Measure a network, a function, weights or a recipe as papers do.

    Parameters
    ----------
    network
        a module, called with (1, c, h, w) of float32, about 0 to 1; a function on such an array (h, w) or (h, w, 3);
        what `load` returns; or what `load` takes: the name of a recipe, a weight file.
    dataset
        a set (`Set5`), a folder of images, or `name=folder`.
    scale
        2, 3 or 4.
    protocol
        a name of `srrepro.protocols.PROTOCOLS`.
    takes
        `interpolated`, `low`, `interpolated-rgb` or `low-rgb`; found out by a small image if it is None.
    model
        the recipe whose network a weight file is for; found out if it is None.
    data, mirror
        the data folder, and what stands in for the network: `SRREPRO_DATA` (or `datasets`) and `SRREPRO_MIRROR` if
        they are None.
    limit
        measure so many images only, the first ones.

    Raises
    ------
    InputError : something does not exist or does not fit; the message says what to do.

    Examples
    --------
    >>> darker = evaluate(lambda y: y - 0.02, photographs, scale=3, takes="interpolated")
    >>> darker.psnr_db < darker.bicubic_psnr_db
    True
    >>> print(evaluate("bicubic", photographs, scale=3, protocol="matlab-y-v1"))
    bicubic on photographs x3: ... dB, SSIM ... (bicubic ... dB; matlab-y-v1, 2 images)
    """
    if protocol not in PROTOCOLS:
        msg = f"There is no protocol {protocol!r}. The protocols are: {', '.join(PROTOCOLS)}."
        raise InputError(msg)
    if isinstance(network, Mapping):
        msg = "A network was expected, but a state dict was given. Load it into your module, and give that."
        raise InputError(msg)
    if isinstance(network, type):
        msg = f"A network was expected, but {network.__name__} is a class. Make one: {network.__name__}(...)."
        raise InputError(msg)
    if not isinstance(dataset, str | Path):
        msg = f"A set's name or a folder was expected, but {dataset!r} is neither."
        raise InputError(msg)
    if limit is not None and (not isinstance(limit, int) or limit < 1):
        msg = f"limit={limit!r} was given, but images are counted from 1."
        raise InputError(msg)
    if scale not in (2, 3, 4):
        msg = f"A scale of {scale!r} was asked for, but there are test sets and networks for 2, 3 and 4."
        raise InputError(msg)
    scale, folder = int(scale), _folder(data, mirror)
    if isinstance(network, str | Path):
        network = load(network, scale, model=model, folder=folder)
        recipe = None
    else:
        recipe = models.recipe(model) if model else None
    brought = bring(network, scale, takes=takes, recipe=recipe)
    if brought.scale != scale:
        msg = f"{brought.subject.name} was loaded for x{brought.scale}, but x{scale} was to be measured."
        raise InputError(msg)
    path = Path(dataset).expanduser()
    test_set = TestSet(path.name, path) if path.is_dir() else TestSet.parse(str(dataset))
    by = PROTOCOLS[protocol]
    examples = test_set.examples(folder, scale, by.degradation, limit=limit)
    scores = scores_of(brought, test_set.name, examples, protocol=by)
    return Measured(brought.subject.name, test_set.name, scale, protocol, tuple(scores))


def recipes() -> list[str]:
    """The names of all recipes; `srrepro show NAME` prints one."""
    return list(models.recipes())


def _folder(data: str | Path | None, mirror: str | Path | None) -> DataFolder:
    """Where the command line looks, too."""
    root = Path(data or os.environ.get("SRREPRO_DATA") or "datasets").expanduser()
    other = mirror or os.environ.get("SRREPRO_MIRROR")
    return DataFolder(root, Path(other).expanduser() if other else None)
