"""What other programs are given: the same network, said where it comes from, whole or not at all."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import scipy.io
import torch
from click.testing import CliRunner
from torch import nn

import srrepro
from srrepro import models
from srrepro.cli import main
from srrepro.data.registry import DataFolder, sha256_of
from srrepro.errors import Failed, InputError
from srrepro.evaluation import export as module
from srrepro.evaluation import weights
from srrepro.evaluation.export import export, write
from srrepro.evaluation.upscaler import Upscaler, load
from srrepro.hardware import PLAIN
from srrepro.models.carn import Cascading
from srrepro.models.dncnn import Denoiser
from srrepro.models.fsrcnn import Hourglass
from srrepro.models.idn import Distilling
from srrepro.models.imdn import MultiDistilling
from srrepro.models.lapsrn import Pyramid
from srrepro.models.srcnn import ThreeLayers
from srrepro.models.vdsr import NotesNetwork, VeryDeep

ABOUT = {"name": "mine", "scale": "3", "weights_sha256": "0" * 64, "takes": "planes", "gives": "planes"}
TRAINABLE = {
    "srcnn-915": (ThreeLayers(kernels=(9, 1, 5), filters=(6, 4)), 3),
    "srcnn-955": (ThreeLayers(kernels=(9, 5, 5), filters=(6, 4)), 2),
    "srcnn-915-notes": (ThreeLayers(kernels=(9, 1, 5), filters=(6, 4), inference_padding="zeros"), 3),
    "vdsr": (VeryDeep(depth=4, filters=6), 3),
    "vdsr-10-plain": (VeryDeep(depth=3, filters=6, residual=False), 2),
    "vdsr-notes": (NotesNetwork(filters=6, hidden=2), 3),
    "fsrcnn x2": (Hourglass(features=6, shrunk=4, mappings=1), 2),
    "fsrcnn x3": (Hourglass(features=6, shrunk=4, mappings=2), 3),
    "fsrcnn x4": (Hourglass(features=6, shrunk=4, mappings=1), 4),
}
RELEASED = {
    "dncnn": (Denoiser(depth=3, filters=6), 3),
    "imdn": (MultiDistilling(filters=8, blocks=2, aside=2, squeezed=2), 3),
    "carn": (Cascading(filters=8, groups=4, stages=1), 4),
    "lapsrn": (Pyramid(depth=2, filters=4), 4),
    "idn": (Distilling(filters=8, units=1, planes=(8, 8, 8, 8, 8, 10), aside=2), 3),
}


def upscaler(shape: Any, scale: int) -> Upscaler:
    torch.manual_seed(0)
    subject = weights.of_run(models.recipe("srcnn-915"), scale, 0, 1.0)
    return Upscaler(subject, shape(scale), scale, PLAIN)


def saved(recipe: str, path: Path, scale: int = 3) -> Path:
    """Weights of a recipe that nobody trained."""
    torch.manual_seed(0)
    known = models.recipe(recipe)
    several = known.training is not None and known.training.scales
    weights.save(known.network(scale), path, weights.of_run(known, None if several else scale, 7, 0.5))
    return path


def planes_of(network: Upscaler, height: int = 21, width: int = 34) -> np.ndarray:
    return np.random.default_rng(1).random((1, network.takes.channels, height, width), np.float32)


def ours(network: Upscaler, planes: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        found: torch.Tensor = network.network.eval()(torch.from_numpy(planes))
    return found.numpy()


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ONNX.


IN_ONNX = ("srcnn-915", "srcnn-915-notes", "vdsr", "vdsr-notes", "fsrcnn x2", "fsrcnn x3", *RELEASED)


@pytest.mark.parametrize("kind", IN_ONNX)
def test_onnxruntime_gives_what_srrepro_gives(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    onnxruntime = pytest.importorskip("onnxruntime")
    network = upscaler(*(TRAINABLE | RELEASED)[kind])
    assert write(network, tmp_path / "n.onnx", ABOUT).difference <= 1e-5
    assert visible(tmp_path) == ["n.onnx"]
    session = onnxruntime.InferenceSession(str(tmp_path / "n.onnx"), providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    assert given.name == network.takes.name.replace("-", "_")
    for planes in (planes_of(network), np.repeat(planes_of(network, 7, 5), 3, axis=0)):
        (found,) = session.run(["estimate"], {given.name: planes})
        np.testing.assert_allclose(found, ours(network, planes), atol=1e-5)


def test_an_onnx_file_says_where_it_comes_from_and_nothing_of_this_machine(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    file = saved("srcnn-915", tmp_path / "mine.safetensors")
    export(str(file), 3, tmp_path / "n.onnx", folder=DataFolder(tmp_path))
    model = onnx.load(tmp_path / "n.onnx")
    about = {entry.key: entry.value for entry in model.metadata_props}
    assert about["weights_sha256"] == sha256_of(file)
    assert about["srrepro"] == model.producer_version == srrepro.__version__
    wanted = {"name": "srcnn-915", "network": "SRCNN 9-1-5", "scale": "3", "seed": "7", "budget": "0.5"}
    assert {key: about[key] for key in wanted} == wanted
    assert about["protocol"] == "matlab-y-v1"
    assert "MATLAB's bicubic imresize" in about["takes"]
    content = (tmp_path / "n.onnx").read_bytes()
    assert str(Path(srrepro.__file__).parent).encode() not in content
    export(str(file), 3, tmp_path / "n.onnx", folder=DataFolder(tmp_path), force=True)
    assert (tmp_path / "n.onnx").read_bytes() == content


@pytest.mark.parametrize(
    ("name", "scale", "words"),
    [
        ("vdsr-t91-code", 2, ["vdsr-y-v1", "enlarged to x2", "then held between 16 and 235 / 255"]),
        ("fsrcnn", 3, ["matlab-clamp-y-v1", "luminance Y / 255", "of the small image; float32 (batch, 1,"]),
    ],
)
def test_what_a_network_takes_is_said_with_its_protocol(
    name: str, scale: int, words: list[str], tmp_path: Path
) -> None:
    file = saved(name, tmp_path / "mine.safetensors", scale)
    about = export(str(file), scale, tmp_path / "n.pth", folder=DataFolder(tmp_path)).about
    text = f"{about['protocol']} {about['takes']}"
    assert all(word in text for word in words), text


@pytest.mark.parametrize("suffix", [".onnx", ".pth"])
def test_a_file_that_gives_something_else_is_not_left(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if suffix == ".onnx":
        pytest.importorskip("onnxscript")
        pytest.importorskip("onnxruntime")
    network = upscaler(*TRAINABLE["srcnn-915"])
    target = tmp_path / f"n{suffix}"
    target.write_bytes(b"the one before")
    monkeypatch.setattr(Upscaler, "estimate", lambda self, image: image + 2e-5)
    with pytest.raises(
        Failed, match=rf"n\{suffix}, but what was made gives other images, by up to .* Nothing was kept"
    ):
        write(network, target, ABOUT)
    assert visible(tmp_path) == [target.name]
    assert target.read_bytes() == b"the one before"


def test_a_network_that_gives_no_number_is_not_written(tmp_path: Path) -> None:
    network = upscaler(*TRAINABLE["vdsr"])
    nn.init.constant_(network.network.layers[0].weight, torch.nan)
    with pytest.raises(Failed, match="by up to nan"):
        write(network, tmp_path / "n.pth", ABOUT)
    assert not visible(tmp_path)


def test_packages_that_lack_are_named_with_their_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None if name != "onnx" else object())
    with pytest.raises(
        InputError, match=r"onnxruntime, onnxscript must be installed .* pip install \"srrepro\[export\]\""
    ):
        export("srcnn-915-quick", 3, tmp_path / "n.onnx", folder=DataFolder(tmp_path))
    export("srcnn-915-quick", 3, tmp_path / "n.pth", folder=DataFolder(tmp_path))  # needs none of them


# The authors' MATLAB layout.


@pytest.mark.parametrize(
    "name", ["srcnn-915", "srcnn-935", "srcnn-955", "fsrcnn", "fsrcnn-s-quick", "vdsr-t91", "vdsr-t91-single"]
)
def test_a_mat_file_is_read_back_as_it_was(name: str, tmp_path: Path) -> None:
    file = saved(name, tmp_path / "mine.safetensors")
    assert export(str(file), 3, tmp_path / "n.mat", folder=DataFolder(tmp_path)).difference <= 1e-6
    before, after = load(file, 3), load(tmp_path / "n.mat", 3)
    assert after.subject.model.split("-single")[0] == before.subject.model.split("-single")[0]
    for key, tensor in before.network.state_dict().items():
        assert torch.equal(after.network.state_dict()[key], tensor)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("srcnn-915-notes", "the authors' network with these weights gives other images.*padded. Write .onnx or .pth"),
        ("vdsr-10-residual", "only networks of the authors' own shapes"),
        ("vdsr-10-plain", "only networks of the authors' own shapes"),
        ("vdsr-notes", "MATLAB files are written of .*VDSR only. Write .onnx or .pth"),
    ],
)
def test_what_the_authors_layout_cannot_say_is_refused(name: str, message: str, tmp_path: Path) -> None:
    file = saved(name, tmp_path / "mine.safetensors", 2)
    with pytest.raises(InputError, match=message):
        export(str(file), 2, tmp_path / "n.mat", folder=DataFolder(tmp_path))
    assert visible(tmp_path) == ["mine.safetensors"]


def test_papers_without_such_a_layout_are_refused(tmp_path: Path) -> None:
    for kind in ("dncnn", "imdn", "lapsrn"):
        with pytest.raises(InputError, match=r"MATLAB files are written of .* only\. Write \.onnx\.$"):
            write(upscaler(*RELEASED[kind]), tmp_path / "n.mat", ABOUT)


def alike(found: Any, expected: Any) -> bool:
    """Shapes, kinds of numbers and numbers, through structs and cells."""
    if expected.dtype.names:
        return found.dtype.names == expected.dtype.names and all(
            alike(found[name], expected[name]) for name in expected.dtype.names
        )
    if expected.dtype == object:
        return found.shape == expected.shape and all(map(alike, found.ravel(), expected.ravel()))
    same = (found.dtype, found.shape) == (expected.dtype, expected.shape)
    return same and np.array_equal(found.astype(np.float32), expected.astype(np.float32))


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("srcnn-915-authors-t91", "weights-srcnn/9-1-5(91 images)/x3.mat"),
        ("srcnn-955-authors-imagenet", "weights-srcnn/9-5-5(ImageNet)/x3.mat"),
        ("fsrcnn-authors", "weights-fsrcnn/FSRCNN/x3.mat"),
        ("fsrcnn-s-authors", "weights-fsrcnn/FSRCNN-s/x3.mat"),
        ("vdsr-authors", "weights-vdsr/VDSR_Official.mat"),
    ],
)
def test_the_layout_is_the_authors_to_the_last_array(name: str, file: str, mirror: Path, tmp_path: Path) -> None:
    folder = DataFolder(tmp_path / "data", mirror)
    export(name, 3, tmp_path / "n.mat", folder=folder)
    found, expected = (scipy.io.loadmat(str(path)) for path in (tmp_path / "n.mat", folder.root / file))
    assert found.keys() == expected.keys()
    assert all(alike(found[key], expected[key]) for key in expected if not key.startswith("__"))


# PyTorch alone.


def run_alone(code: str, folder: Path, name: str) -> Mapping[str, np.ndarray]:
    """What the printed code gives of `planes.npy` where there is no srrepro."""
    before = "import sys; sys.modules['srrepro'] = None\n"
    after = f"\nimport numpy; numpy.save({name!r}, network(torch.from_numpy(numpy.load('planes.npy'))).numpy())\n"
    subprocess.run([sys.executable, "-I", "-c", before + code + after], cwd=folder, check=True, timeout=60)
    found: Mapping[str, np.ndarray] = np.load(folder / name)
    return found


def test_the_printed_code_needs_pytorch_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    words = ("export", "srcnn-915-quick", "srcnn.pth", "--scale", "3")
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("# written: srcnn.pth, 35 kB; its estimates are srrepro's")
    assert len([line for line in result.stdout.splitlines() if line and not line.startswith("#")]) <= 10
    network = load("srcnn-915-quick", 3, hardware=PLAIN)
    planes = planes_of(network, 37, 53)
    np.save(tmp_path / "planes.npy", planes)
    found = run_alone(result.stdout, tmp_path, "found.npy")
    np.testing.assert_allclose(found, ours(network, planes), atol=1e-6)


@pytest.mark.parametrize("kind", TRAINABLE)
def test_the_code_of_every_network_gives_its_estimates(kind: str, tmp_path: Path) -> None:
    network = upscaler(*TRAINABLE[kind])
    target = tmp_path / "it's mine.pth"
    code = write(network, target, ABOUT).code
    scope: dict[str, Any] = {}
    exec(code, scope)
    planes = planes_of(network)
    np.testing.assert_allclose(scope["network"](torch.from_numpy(planes)).numpy(), ours(network, planes), atol=1e-6)
    tensors = torch.load(target, weights_only=True)
    assert type(tensors) is dict
    assert all(torch.equal(tensors[key], value) for key, value in network.network.state_dict().items())


@pytest.mark.parametrize("name", [name for name, recipe in models.recipes().items() if recipe.training])
def test_every_network_that_can_be_trained_has_code(name: str) -> None:
    compile(models.recipe(name).network(3).in_torch(), name, "exec")


def test_released_networks_have_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="only what srrepro trains has code for PyTorch alone. Write .onnx"):
        write(upscaler(*RELEASED["imdn"]), tmp_path / "n.pth", ABOUT)
    assert not visible(tmp_path)


# Wrong use.


@pytest.mark.parametrize(
    ("subject", "target", "message"),
    [
        ("bicubic", "n.mat", "it is an interpolation and has no weights. Name a recipe whose weights ship"),
        ("srcnn-915-quick", "n.pt", r"'\.pt' is none of \.onnx \.mat \.pth"),
        ("srcnn-915-quick", "n", "'no suffix' is none of"),
        ("srcnn-915-quick", "nowhere/n.pth", "there is no folder .*nowhere. Make it first"),
        ("srcnn-915-quick", "folder.pth", "that is a folder"),
        ("srcnn-915-quick", "there.mat", "there is one already. .* --force"),
        ("srcnn-915", "n.pth", "no weights of it ship"),
        ("none.safetensors", "n.pth", "no such file"),
    ],
)
def test_wrong_use_is_one_message_and_leaves_nothing(
    subject: str, target: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.mat").write_bytes(b"mine")
    (tmp_path / "folder.pth").mkdir()
    with pytest.raises(InputError, match=message):
        export(subject, 3, tmp_path / target, folder=DataFolder(tmp_path / "data"))
    assert visible(tmp_path) == ["folder.pth", "there.mat"]
    assert (tmp_path / "there.mat").read_bytes() == b"mine"


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: object, stream: BinaryIO) -> None:
        stream.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(InputError, match="could not be: .*No space left"):
        export("srcnn-915-quick", 3, tmp_path / "n.pth", folder=DataFolder(tmp_path / "data"))
    assert not visible(tmp_path)
