"""What a run needs to resume as if nothing had happened, in one file that is always whole: safetensors, no pickle.

Tensors are stored as tensors. All else is JSON in one entry of the metadata, so that a log can be read without PyTorch.
The same content gives the same bytes. The file holds the sha256 of itself, made with zeros in its place.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from srrepro.errors import InputError
from srrepro.whole import file_part, reason

FORMAT = 2
READABLE = (1, 2)
"""The first had no sha256."""
_ENTRY = "srrepro_checkpoint"  # one entry: of several, the order would be random
_TENSOR = "$tensor"
_ZEROS = b"0" * 64
_SHA256 = re.compile(rb'\\"sha256\\": \\"([^"\\]{64})\\"')
"""As it stands in the file: JSON within JSON. The first is the file's own."""


def save(path: Path, values: Mapping[str, Any]) -> None:
    """Write tensors and plain values; a reader sees the old file or the new one, never a part."""
    write(path, packed(values))


def packed(values: Mapping[str, Any]) -> bytes:
    """The bytes of a file that holds nested mappings, sequences, tensors, numbers, words and None.

    A tuple comes back as a list. A tensor comes back with its strides, because the layout of a matrix decides how a
    product of it is rounded; only gaps in memory are dropped.

    Raises
    ------
    TypeError : a key is no word, or a value is none of these.
    """
    tensors: dict[str, Tensor] = {}
    plain = _without_tensors(values, "", tensors)
    text = json.dumps({"format": FORMAT, "sha256": _ZEROS.decode(), "values": plain}, sort_keys=True)
    data = safetensors.torch.save(tensors, {_ENTRY: text})
    return data.replace(_ZEROS, hashlib.sha256(data).hexdigest().encode(), 1)  # the metadata comes first


def write(path: Path, data: bytes) -> None:
    """Put a file in its place when it is whole and on the disk.

    Raises
    ------
    InputError : it cannot be written; the file that was there is there still.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with file_part(path) as part:
            part.write_bytes(data)
    except OSError as error:
        kept = "The one from before is kept" if path.exists() else "There is none from before"
        msg = (
            f"The checkpoint {path} was to be written, but could not be: {reason(error)}. {kept}. Make room, then give "
            "the same command again, without --fresh: it resumes from the last checkpoint."
        )
        raise InputError(msg) from error


def load(path: Path) -> dict[str, Any] | None:
    """The last values saved, tensors on the processor, or None where there is no file yet.

    Raises
    ------
    InputError : the file is damaged, cannot be read, is no checkpoint, or is of another format.
    """
    if not path.exists():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
        content = json.loads(about[_ENTRY]) if _ENTRY in about else None
        if content is None:
            raise Unusable(path, "is no checkpoint of a run", "Delete the file, or start anew: --fresh.")
        if content["format"] not in READABLE:
            problem = f"has format {content['format']}, and this version of srrepro reads up to {FORMAT}"
            raise Unusable(path, problem, "Use the version that wrote it, or start anew: --fresh.")
        if (content["format"] > 1 or "sha256" in content) and not _is_sound(path.read_bytes()):
            raise damaged(path)
        values: dict[str, Any] = _with_tensors(content["values"], tensors)
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise damaged(path) from error
    if not isinstance(values, dict):
        raise damaged(path)
    return values


def _is_sound(data: bytes) -> bool:
    """Whether a file is what was written."""
    found = _SHA256.search(data)
    if found is None:
        return False
    begin, end = found.span(1)
    return hashlib.sha256(data[:begin] + _ZEROS + data[end:]).hexdigest().encode() == found[1]


class Unusable(InputError):
    """A file that no run can be resumed from; `problem` says why."""

    def __init__(self, path: Path, problem: str, advice: str) -> None:
        super().__init__(f"The run was to be resumed from {path}, but that {problem}. {advice}")
        self.problem = problem


def damaged(path: Path) -> Unusable:
    return Unusable(path, "is damaged", "Restore the file, or start anew: --fresh.")


def optimiser_state(network: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, dict[str, Any]]:
    """What an optimiser remembers of every parameter, by the parameter's name.

    Nothing of its groups: rates, factors and flags such as `fused` are the recipe's and the engine's, and another
    device or mode has others.
    """
    return {name: dict(optimiser.state.get(parameter, {})) for name, parameter in network.named_parameters()}


def restore_optimiser(
    network: nn.Module, optimiser: torch.optim.Optimizer, state: Mapping[str, Mapping[str, Any]]
) -> None:
    """Give an optimiser what `optimiser_state` took, on the device and in the layout of the parameters here.

    Raises
    ------
    KeyError : the state is that of another network.
    """
    for name, parameter in network.named_parameters():
        remembered = {key: _placed(value, parameter) for key, value in state[name].items()}
        if remembered:
            optimiser.state[parameter] = remembered


def _placed(value: Any, parameter: Tensor) -> Any:
    if not isinstance(value, Tensor):
        return value
    if value.shape == parameter.shape:  # the fused step of SGD takes one layout for granted
        return torch.empty_like(parameter, dtype=value.dtype, requires_grad=False).copy_(value)
    return value.to(parameter.device)


def _without_tensors(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """The same in values of JSON; tensors go to `tensors`, and leave their name and strides."""
    if isinstance(value, Tensor):
        if name in tensors:
            msg = f"two tensors would be called {name}"
            raise TypeError(msg)
        kept = value.detach().cpu()
        tensors[name] = kept.contiguous()
        usual = tensors[name].new_empty(kept.shape).stride()
        strides = (
            {"stride": list(kept.stride())}
            if kept.stride() != usual and _fills_its_memory(kept.shape, kept.stride())
            else {}
        )
        return {_TENSOR: name, **strides}
    if isinstance(value, Mapping):
        if wrong := [key for key in value if not isinstance(key, str) or key.startswith("$")]:
            msg = f"the keys {wrong} of {name or 'a checkpoint'} are no words that JSON could keep"
            raise TypeError(msg)
        return {key: _without_tensors(part, f"{name}.{key}" if name else key, tensors) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_without_tensors(part, f"{name}.{number}", tensors) for number, part in enumerate(value)]
    return value


def _fills_its_memory(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """Without gaps, every element in a place of its own."""
    sides = sorted((stride, size) for stride, size in zip(strides, shape, strict=True) if size != 1)
    expected = 1
    for stride, size in sides:
        if stride != expected:
            return False
        expected *= size
    return True


def _with_tensors(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if isinstance(value, list):
        return [_with_tensors(part, tensors) for part in value]
    if not isinstance(value, dict):
        return value
    if _TENSOR not in value:
        return {key: _with_tensors(part, tensors) for key, part in value.items()}
    tensor = tensors[value[_TENSOR]]
    strides = value.get("stride", tensor.stride())
    if tensor.numel() and not _fills_its_memory(tensor.shape, strides):
        msg = f"the strides {strides} leave gaps, which would take any memory"
        raise ValueError(msg)
    # Into memory of its own: where a tensor begins in a file, sums of its numbers are rounded in another order.
    return torch.empty_strided(tensor.shape, strides, dtype=tensor.dtype).copy_(tensor)
