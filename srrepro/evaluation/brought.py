"""A network or a function that somebody brings, made ready to be measured."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from numpy import ndarray
from torch import nn

from srrepro.errors import InputError
from srrepro.evaluation.upscaler import PROBE, Upscaler
from srrepro.evaluation.weights import Subject, given
from srrepro.models.recipe import INTERPOLATED, INTERPOLATED_RGB, LOW, LOW_RGB, Input, Recipe
from srrepro.progress import say

INPUTS = {kind.name: kind for kind in (INTERPOLATED, LOW, INTERPOLATED_RGB, LOW_RGB)}


@dataclass(frozen=True)
class Brought:
    """A function on arrays with what it takes and gives; errors of its own are told with what it was given."""

    subject: Subject
    function: Callable[[ndarray], Any]
    scale: int
    takes: Input

    def estimate(self, image: Float32[ndarray, "h w *c"]) -> Float[ndarray, "H W *c"]:
        """The function's image, about 0 to 1; smaller than the reference by a border where it does not pad.

        Raises
        ------
        InputError : it fails, or gives no image.
        """
        asked = f"{self.subject.name} was given an array {image.shape} of float32 ({self.takes.name}, 0 to 1)"
        try:
            given = self.function(image)
        except Exception as error:
            msg = f"{asked}, but failed: {type(error).__name__}: {error}"
            raise InputError(msg) from error
        if isinstance(given, tuple | list) and given and not np.isscalar(given[0]):
            msg = f"{asked}, but gave a {type(given).__name__} of {len(given)} things. Give the image alone."
            raise InputError(msg)
        found = _as_array(given)
        while found.ndim > image.ndim and 1 in found.shape:  # batches of one, planes of one channel
            found = np.squeeze(found, axis=found.shape.index(1))
        if found.ndim == 3 and found.shape[0] == 3 != found.shape[2]:
            found = np.moveaxis(found, 0, 2)
        if found.ndim != image.ndim or found.dtype.kind not in "fu":
            msg = f"{asked}, but gave {found.shape} of {found.dtype}. An array like it, enlarged, was expected."
            raise InputError(msg)
        return found / 255.0 if found.dtype == np.uint8 else found.astype(np.float64)


def bring(
    network: nn.Module | Callable[[ndarray], Any] | Upscaler,
    scale: int,
    *,
    takes: str | None = None,
    recipe: Recipe | None = None,
) -> Brought | Upscaler:
    """Whatever gives an image for an image.

    Parameters
    ----------
    network
        an `Upscaler`; a module, called with a batch (1, c, h, w) of float32, where its parameters lie; or a function,
        called with an array (h, w) or, for RGB, (h, w, 3).
    scale
        how many times it enlarges.
    takes
        a name of `INPUTS`; None, to find out with a small image.
    recipe
        what it is held against.

    Raises
    ------
    InputError : nothing of the kind; what it takes cannot be found out.
    """
    if isinstance(network, Upscaler):
        return network
    if takes is not None and takes not in INPUTS:
        msg = f"takes={takes!r} was given, but a network takes one of: {', '.join(INPUTS)}."
        raise InputError(msg)
    if isinstance(network, nn.Module):
        function, name = _of_module(network), type(network).__name__
    elif callable(network):
        function, name = network, getattr(network, "__name__", type(network).__name__)
    else:
        msg = f"A network or a function was expected, but {network!r} is neither. Weights are read by srrepro.load."
        raise InputError(msg)
    subject = given(name, recipe, scale)
    if takes is not None:
        return Brought(subject, function, scale, INPUTS[takes])
    found = _found_out(Brought(subject, function, scale, INTERPOLATED))
    say(f"{name} takes {found.takes.name}, by the size of what it gives")
    return found


def _of_module(network: nn.Module) -> Callable[[ndarray], Any]:
    parameter = next(network.parameters(), torch.zeros(1))

    def run(image: ndarray) -> Any:
        planes = torch.from_numpy(image[None] if image.ndim == 2 else np.moveaxis(image, 2, 0).copy())
        training = network.training
        try:
            with torch.inference_mode():
                return network.eval()(planes[None].to(parameter.device, parameter.dtype))
        finally:
            network.train(training)

    return run


def _as_array(given: Any) -> ndarray:
    if isinstance(given, torch.Tensor):
        given = given.detach().float().cpu().numpy() if given.is_floating_point() else given.detach().cpu().numpy()
    return np.asarray(given)


def _found_out(brought: Brought) -> Brought:
    """What it takes, by the size of its answer to a small image of one and of three channels."""
    problems, scale = [], brought.scale
    for luminance, small in ((INTERPOLATED, LOW), (INTERPOLATED_RGB, LOW_RGB)):
        side = PROBE
        image = np.full((side, side + 1) + ((3,) if luminance.channels == 3 else ()), 0.5, np.float32)
        try:
            h, w = Brought(brought.subject, brought.function, scale, luminance).estimate(image).shape[:2]
        except InputError as error:
            problems.append(str(error))
            continue
        for kind, times in ((luminance, 1), (small, scale)):
            border = side * times - h
            if 0 <= border <= side // 2 and border == (side + 1) * times - w and border % 2 == 0:
                return Brought(brought.subject, brought.function, scale, kind)
        problems.append(f"it gave {w}×{h} for {side + 1}×{side}")
    msg = (
        f"{brought.subject.name} was to be measured at x{scale}, but what it takes cannot be found out: "
        f"{'; '.join(problems)}. Name it: takes= one of {', '.join(INPUTS)}."
    )
    raise InputError(msg)
