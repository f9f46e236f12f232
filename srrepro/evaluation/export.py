"""Networks for other programs: ONNX, the authors' MATLAB layout, tensors for PyTorch alone.

A file is read back and must give srrepro's own estimates on images of odd sizes; otherwise none is left.
"""

import copy
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import scipy.io
import torch
from jaxtyping import Float32
from numpy import ndarray
from torch import Tensor, nn

import srrepro
from srrepro import models
from srrepro.data.registry import DataFolder, members, sha256_of
from srrepro.errors import Failed, InputError
from srrepro.evaluation import weights
from srrepro.evaluation.arrays import READERS, STATE_DICTS
from srrepro.evaluation.upscaler import Upscaler, load
from srrepro.hardware import PLAIN
from srrepro.protocols.named import protocol_named
from srrepro.protocols.protocol import Protocol
from srrepro.whole import check_new, whole

SUFFIXES = (".onnx", ".mat", ".pth")
SIZES = ((37, 53), (16, 71), (9, 5))
"""Height and width of the images that a file is tried on."""
CLOSE = 1e-5
"""Of estimates of about 0 to 1; a level of 8 bits is 4e-3."""
OPSET = 20
NEEDED = ("onnx", "onnxruntime", "onnxscript")


@dataclass(frozen=True)
class Exported:
    """What was written: who it is of, how far its estimates are from srrepro's, and the code that reads a `.pth`."""

    about: dict[str, str]
    difference: float
    code: str = ""


def export(subject: str, scale: int, target: Path, *, folder: DataFolder, force: bool = False) -> Exported:
    """Write the network of a recipe's shipped weights, a weight file or released weights, as the suffix says.

    Raises
    ------
    InputError : no such weights, nothing may be written there, the network has no such form, packages are lacking.
    Failed : the file that was made does not give the same estimates.
    """
    check_target(target, force=force)
    upscaler = load(subject, scale, folder=folder, hardware=PLAIN)  # native convolutions round otherwise
    if upscaler.subject.origin == "interpolation":
        msg = (
            f"{subject} was to be exported, but it is an interpolation and has no weights. Name a recipe whose weights "
            "ship, such as srcnn-915-quick, or a weight file."
        )
        raise InputError(msg)
    return write(upscaler, target, _about(upscaler, _file_of(subject, scale, folder)))


def write(upscaler: Upscaler, target: Path, about: dict[str, str]) -> Exported:
    """Write a network, as the suffix says; there is the whole file or none.

    Raises
    ------
    InputError, Failed : as for `export`.
    """
    writer = {".onnx": _write_onnx, ".mat": _write_mat, ".pth": _write_pth}[target.suffix]
    with whole(target) as part:
        return writer(upscaler, about, part, target)


def check_target(path: Path, *, force: bool) -> None:
    """Find out before long work whether a network may be written to `path`.

    Raises
    ------
    InputError : another suffix, no such folder, something is there and `force` is not given, packages are lacking.
    """
    asked = f"A network was to be written to {path}"
    if path.suffix not in SUFFIXES:
        msg = f"{asked}, but {path.suffix or 'no suffix'!r} is none of {' '.join(SUFFIXES)}."
        raise InputError(msg)
    lacking = [name for name in NEEDED if find_spec(name) is None] if path.suffix == ".onnx" else []
    if lacking:
        msg = f'{asked}, but {", ".join(lacking)} must be installed for it: pip install "srrepro[export]".'
        raise InputError(msg)
    check_new(path, asked, force=force)


def _file_of(subject: str, scale: int, folder: DataFolder) -> Path:
    """The weight file that `load` reads."""
    if subject in models.authors():
        released = models.authors()[subject]
        file = next(file for file in members(released.set) if file.name == released.files[scale])
        return folder.root / file.path
    path = Path(subject.partition("=")[2] or subject).expanduser()
    return path if path.suffix in {".safetensors", *READERS, *STATE_DICTS} else weights.shipped(subject, scale)


def _about(upscaler: Upscaler, file: Path) -> dict[str, str]:
    """What stands in an ONNX file, as text by name."""
    subject, protocol = upscaler.subject, _protocol_of(upscaler)
    run = {} if subject.seed is None else {"seed": str(subject.seed), "budget": f"{subject.budget:g}"}
    return {
        "name": subject.name,
        "network": subject.model,
        "scale": str(upscaler.scale),
        "takes": _takes(upscaler, protocol),
        "gives": "the same colour of the large image, neither clipped nor rounded",
        "protocol": protocol.name,
        "protocol_signature": protocol.signature,
        "weights": _whose(upscaler),
        "training_set": subject.training_set,
        **run,
        "weights_sha256": sha256_of(file),
        "srrepro": srrepro.__version__,
    }


def _whose(upscaler: Upscaler) -> str:
    if upscaler.subject.origin == "trained":
        return "trained by srrepro"
    if upscaler.subject.origin == "given":
        return "trained by another program"
    known = upscaler.subject.name in models.authors()
    return "released by the authors" if known else "in the authors' layout; whose is not known"


def _protocol_of(upscaler: Upscaler) -> Protocol:
    """What the numbers of the network are measured by."""
    subject = upscaler.subject
    if subject.origin == "authors":
        released = next(known for known in models.authors().values() if subject.model == known.model)
        return protocol_named(released.protocol)
    named = [recipe for recipe in models.recipes().values() if subject.name == recipe.name]
    alike = named or [recipe for recipe in models.recipes().values() if subject.model == recipe.model]
    training = alike[0].training
    return protocol_named(training.protocol if training else None)


def _takes(upscaler: Upscaler, protocol: Protocol) -> str:
    takes = upscaler.takes
    colour = "RGB / 255" if takes.channels == 3 else "luminance Y / 255 (Y of 16 to 235, MATLAB's rgb2ycbcr)"
    shape = f"float32 (batch, {takes.channels}, height, width)"
    if takes.small:
        return f"{colour} of the small image; {shape}"
    edges = ", edges repeated as by an older MATLAB" if protocol.resizer == "matlab-clamp" else ""
    clamp = "" if protocol.clamp is None else f", then held between {protocol.clamp[0]} and {protocol.clamp[1]} / 255"
    resized = f"enlarged to x{upscaler.scale} by MATLAB's bicubic imresize{edges}{clamp}"
    return f"{colour} of the small image, {resized}; {shape}"


def _write_onnx(upscaler: Upscaler, about: dict[str, str], part: Path, target: Path) -> Exported:
    import onnx
    import onnxruntime

    name = upscaler.takes.name.replace("-", "_")
    model = as_onnx(upscaler, name)
    onnx.helper.set_model_props(model, about)
    model.producer_name, model.producer_version = "srrepro", srrepro.__version__
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, part)
    session = onnxruntime.InferenceSession(str(part), providers=["CPUExecutionProvider"])

    def estimate(planes: Float32[ndarray, "n c h w"]) -> Float32[ndarray, "n c H W"]:
        (found,) = session.run(None, {name: planes})
        return np.asarray(found)

    return Exported(about, _checked(upscaler, estimate, target))


def as_onnx(upscaler: Upscaler, name: str) -> Any:
    """A network as an ONNX model whose input has that name; batch, height and width are free."""
    network = copy.deepcopy(upscaler.network).eval().to("cpu").to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    sides = {0: "batch", 2: "height", 3: "width"}
    with warnings.catch_warnings(), _quiet("torch.onnx"):  # of what PyTorch does not find, and will do otherwise
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            network,
            (torch.rand(2, upscaler.takes.channels, 24, 40),),
            dynamo=True,
            dynamic_shapes=({axis: torch.export.Dim(side) for axis, side in sides.items()},),
            input_names=[name],
            output_names=["estimate"],
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    graph = model.graph
    # PyTorch notes the lines of the source here, with the folders of this machine.
    for part in (graph, *graph.node, *graph.input, *graph.output, *graph.initializer, *graph.value_info):
        part.ClearField("metadata_props")
    return model


@contextmanager
def _quiet(logger: str) -> Iterator[None]:
    log = logging.getLogger(logger)
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def _write_mat(upscaler: Upscaler, about: dict[str, str], part: Path, target: Path) -> Exported:
    kind, name = type(upscaler.network), upscaler.subject.name
    layouts = {known.model: known for known in models.authors().values() if known.save is not None}
    layout = next((known for known in layouts.values() if type(known.network(upscaler.scale)) is kind), None)
    if layout is None or layout.save is None:
        msg = f"{name} was to be written to {target}, but MATLAB files are written of {', '.join(layouts)} only. "
        raise InputError(msg + ("Write .onnx or .pth." if hasattr(upscaler.network, "in_torch") else "Write .onnx."))
    asked = f"{name} was to be written to {target} in the authors' layout, but"
    try:
        scipy.io.savemat(part, layout.save(upscaler.network))
        _, network = weights.read_authors(part, upscaler.scale)
    except (InputError, ValueError) as error:
        msg = f"{asked} that has only networks of the authors' own shapes, and this is another. Write .onnx or .pth."
        raise InputError(msg) from error
    difference = _difference(upscaler, _estimates_of(network))
    if not difference <= CLOSE:
        msg = (
            f"{asked} the authors' network with these weights gives other images, by up to {difference:.2g}: a file of "
            "theirs does not say how layers are padded. Write .onnx or .pth."
        )
        raise InputError(msg)
    return Exported(about, difference)


def _write_pth(upscaler: Upscaler, about: dict[str, str], part: Path, target: Path) -> Exported:
    network = upscaler.network
    in_torch: Callable[[], str] | None = getattr(network, "in_torch", None)
    if in_torch is None:
        msg = (
            f"{upscaler.subject.name} was to be written to {target}, but only what srrepro trains has code for PyTorch "
            "alone. Write .onnx."
        )
        raise InputError(msg)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    with part.open("wb") as stream:  # given a name, it would write that into the file
        torch.save(tensors, stream)
    scope: dict[str, Any] = {}
    exec(_code(in_torch(), about, part, upscaler.takes.channels), scope)  # what a reader will do
    estimate = scope["network"]
    difference = _checked(upscaler, lambda planes: estimate(torch.from_numpy(planes)).numpy(), target)
    return Exported(about, difference, _code(in_torch(), about, target, upscaler.takes.channels))


def _code(in_torch: str, about: dict[str, str], path: Path, channels: int) -> str:
    return f"""\
# {about["name"]} at x{about["scale"]}; weights with sha256 {about["weights_sha256"]}
# takes {about["takes"]}
# gives {about["gives"]}
import torch
from torch.nn import functional as F

weights = torch.load({str(path)!r}, weights_only=True)


{in_torch}

estimate = network(torch.rand(1, {channels}, 37, 53))
"""


Estimate = Callable[[Float32[ndarray, "n c h w"]], Float32[ndarray, "n c H W"]]


def _estimates_of(network: nn.Module) -> Estimate:
    @torch.inference_mode()
    def estimate(planes: Float32[ndarray, "n c h w"]) -> Float32[ndarray, "n c H W"]:
        found: Tensor = network.eval()(torch.from_numpy(planes))
        return found.numpy()

    return estimate


def _checked(upscaler: Upscaler, estimate: Estimate, target: Path) -> float:
    difference = _difference(upscaler, estimate)
    if not difference <= CLOSE:
        msg = (
            f"{upscaler.subject.name} was to be written to {target}, but what was made gives other images, by up to "
            f"{difference:.2g} where {CLOSE:g} is allowed. Nothing was kept."
        )
        raise Failed(msg)
    return difference


def _difference(upscaler: Upscaler, estimate: Estimate) -> float:
    """The largest there is between our estimates and others', on made-up images."""
    random, found = np.random.default_rng(0), []
    for height, width in SIZES:
        images = random.random((2, upscaler.takes.channels, height, width), np.float32)
        ours = [upscaler.estimate(image.transpose(1, 2, 0)).transpose(2, 0, 1) for image in images]
        found.append(np.abs(estimate(images) - np.stack(ours)).max())
    return float(np.max(found))
