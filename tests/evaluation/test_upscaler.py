"""Loading weights, and running networks on luminance and on pictures."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import skimage.data
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from srrepro import models
from srrepro.data.registry import DataFolder
from srrepro.errors import InputError
from srrepro.evaluation import weights
from srrepro.evaluation.upscaler import Upscaler, load
from srrepro.hardware import Hardware
from srrepro.models.recipe import LOW, LOW_RGB, Input
from srrepro.models.srcnn import ThreeLayers
from srrepro.models.vdsr import NotesNetwork, VeryDeep
from srrepro.pixels.color import to_ycbcr
from srrepro.pixels.resize import imresize

RECIPE = models.recipe("srcnn-915")
SUBJECT = weights.of_run(RECIPE, 3, 7, 0.5)


def random_network() -> nn.Module:
    torch.manual_seed(0)
    return RECIPE.network(3)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "mine.safetensors"
    weights.save(random_network(), path, SUBJECT)
    return path


def bicubic(scale: int = 3) -> Upscaler:
    return load("bicubic", scale)


class Lighter(nn.Module):
    """A network whose estimate is brighter by a tenth."""

    def forward(self, interpolated: Tensor) -> Tensor:
        return interpolated + 0.1


def test_what_was_saved_is_read_again(saved: Path) -> None:
    upscaler = load(saved, 3)
    assert upscaler.subject == SUBJECT
    assert (upscaler.subject.origin, upscaler.scale) == ("trained", 3)
    before, after = random_network().state_dict(), upscaler.network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_path_may_be_text(saved: Path) -> None:
    assert load(str(saved), 3).subject == SUBJECT


def test_a_recipe_is_read_from_the_weights_that_ship(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(weights, "shipped", lambda name, scale: asked.append((name, scale)) or saved)
    assert load("srcnn-915", 3).subject == SUBJECT
    assert asked == [("srcnn-915", 3)]


def test_bicubic_needs_no_weights() -> None:
    assert bicubic(4).subject == weights.of_interpolation(models.recipe("bicubic"), 4)


def test_an_unknown_name_is_told_what_there_is() -> None:
    with pytest.raises(InputError, match=r"'srcnn-916' is neither .* nor a name\. Did you mean srcnn-915, "):
        load("srcnn-916", 3)


def test_a_recipe_without_weights_is_told_how_to_train_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "shipped", lambda name, scale: tmp_path / "none.safetensors")
    with pytest.raises(InputError, match="srrepro train srcnn-935 --scale 2"):
        load("srcnn-935", 2)


def test_released_weights_of_a_scale_that_was_never_released(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at x2, but the authors released x3"):
        load("srcnn-935-authors-imagenet", 2, folder=DataFolder(tmp_path))


def test_released_weights_without_a_data_folder() -> None:
    with pytest.raises(InputError, match="folder"):
        load("srcnn-935-authors-imagenet", 3)


def test_weights_of_another_scale_are_refused(saved: Path) -> None:
    with pytest.raises(InputError, match="read for x2, but they were trained for x3"):
        load(saved, 2)


@pytest.mark.parametrize("name", ["none.safetensors", "none.mat"])
def test_a_file_that_is_not_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        load(tmp_path / name, 3)


@pytest.mark.parametrize("kept", [0, 5, 100, -1])
def test_truncated_weights_are_refused(kept: int, saved: Path) -> None:
    whole = saved.read_bytes()
    saved.write_bytes(whole[:kept])
    with pytest.raises(InputError, match="cut short"):
        load(saved, 3)


def test_equal_weights_are_equal_bytes(tmp_path: Path) -> None:
    network = random_network()
    files = [tmp_path / f"{number}.safetensors" for number in range(8)]
    for file in files:
        weights.save(network, file, weights.of_run(models.recipe("srcnn-915"), 3, 0, 1.0))
    assert len({file.read_bytes() for file in files}) == 1


RUN = {"recipe": "srcnn-915", "scale": 3, "seed": 0, "budget": 1.0}


def named(run: dict[str, object]) -> dict[str, str]:
    return {"srrepro_run": json.dumps(run)}


@pytest.mark.parametrize(
    ("about", "message"),
    [
        (named(RUN | {"seed": None}), "does not name its run"),
        (named(RUN | {"scale": None}), "does not name its run"),
        (named({"recipe": "srcnn-915"}), "does not name its run"),
        (named(RUN | {"budget": "all"}), "does not name its run"),
        (named(RUN | {"budget": math.inf}), "does not name its run"),
        (named(RUN | {"budget": math.nan}), "does not name its run"),
        (named(RUN | {"seed": math.inf}), "does not name its run"),
        ({"srrepro_run": "[" * 100_000}, "does not name its run"),
        (named(RUN | {"recipe": "srcnn-916"}), "no recipe 'srcnn-916'"),
        (named(RUN | {"recipe": "srcnn-955"}), "do not fit the network of srcnn-955"),
    ],
    ids=[
        "no seed",
        "no scale",
        "neither",
        "words",
        "endless",
        "no number",
        "infinite",
        "nested",
        "unknown recipe",
        "another network",
    ],
)
def test_a_run_that_cannot_be_is_refused(about: dict[str, str], message: str, tmp_path: Path) -> None:
    path = tmp_path / "strange.safetensors"
    save_file(random_network().state_dict(), path, metadata=about)
    with pytest.raises(InputError, match=message):
        load(path, 3)


def test_weights_of_ours_that_are_missing_are_called_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="to be read for x3, but there is no such file"):
        weights.read_ours(tmp_path / "none.safetensors", 3)


def test_a_folder_is_no_weight_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no .safetensors file or is cut short"):
        weights.read_ours(tmp_path, 3)


def arrays_of(network: nn.Module) -> dict[str, np.ndarray]:
    """In the authors' layout."""
    first, second, last = (layer.weight.detach().numpy() for layer in network.layers)

    def columns(filters: np.ndarray) -> np.ndarray:
        return filters.transpose(0, 1, 3, 2).reshape(*filters.shape[:2], -1)

    biases = {f"biases_conv{n}": layer.bias.detach().numpy()[:, None] for n, layer in enumerate(network.layers, 1)}
    return {
        "weights_conv1": columns(first)[:, 0].T,
        "weights_conv2": columns(second).transpose(1, 2, 0),
        "weights_conv3": columns(last)[0],
        **biases,
    }


def test_a_mat_file_of_ones_own_is_known_by_its_arrays(tmp_path: Path) -> None:
    path = tmp_path / "own.mat"
    scipy.io.savemat(path, arrays_of(random_network()))
    upscaler = load(path, 2)
    assert (upscaler.subject.name, upscaler.subject.model) == ("own.mat", "SRCNN 9-1-5")
    assert (upscaler.subject.training_set, upscaler.scale) == ("", 2)  # so no published value is its target
    before, after = random_network().state_dict(), upscaler.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def text_file(path: Path) -> None:
    path.write_text("weights", encoding="utf-8")


def other_arrays(path: Path) -> None:
    scipy.io.savemat(path, {"model": np.zeros((3, 3))})


def cells(path: Path) -> None:
    cell = np.empty(2, dtype=object)
    cell[:] = [np.zeros(3), np.zeros(4)]
    scipy.io.savemat(path, arrays_of(random_network()) | {"weights_conv1": cell})


def structs(path: Path) -> None:
    scipy.io.savemat(path, arrays_of(random_network()) | {"weights_conv1": {"weights": np.zeros((81, 64))}})


def cut_short(path: Path) -> None:
    scipy.io.savemat(path, arrays_of(random_network()))
    path.write_bytes(path.read_bytes()[:-1000])


def empty(path: Path) -> None:
    path.touch()


@pytest.mark.parametrize("write", [text_file, other_arrays, cells, structs, cut_short, empty])
def test_mat_files_of_the_wrong_kind_are_refused(write: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "wrong.mat"
    write(path)
    with pytest.raises(InputError, match=r"wrong\.mat were to be read, but"):
        load(path, 3)


@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (5, 4), (33, 20), (64, 3)])
def test_luminance_of_any_size(shape: tuple[int, int], saved: Path) -> None:
    plane = np.random.default_rng(0).random(shape)
    estimate = load(saved, 3).estimate(plane)
    assert (estimate.shape, estimate.dtype) == (shape, np.float32)
    assert np.isfinite(estimate).all()


def test_luminance_is_that_of_the_network_in_evaluation_mode(saved: Path) -> None:
    plane = np.random.default_rng(0).random((30, 40)).astype(np.float32)
    upscaler = load(saved, 3)
    upscaler.network.train()
    with torch.no_grad():
        expected = random_network().eval()(torch.from_numpy(plane)[None, None])[0, 0].numpy()
    np.testing.assert_allclose(upscaler.estimate(plane), expected, atol=1e-6)
    np.testing.assert_allclose(upscaler.estimate(np.asfortranarray(plane, np.float64)), expected, atol=1e-6)


def test_luminance_is_neither_clipped_nor_rounded() -> None:
    plane = np.array([[-0.3, 0.1234567, 1.7]], np.float32)
    np.testing.assert_array_equal(bicubic().estimate(plane), plane)


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("name", ["grey", "colour"])
def test_pictures_by_bicubic_are_those_of_imresize(name: str, scale: int) -> None:
    picture = skimage.data.camera()[:40, :51] if name == "grey" else skimage.data.astronaut()[:40, 200:251]
    enlarged = bicubic(scale).image(picture)
    assert enlarged.dtype == np.uint8
    assert enlarged.shape == (40 * scale, 51 * scale, *picture.shape[2:])
    difference = np.abs(enlarged.astype(int) - imresize(picture, scale))
    assert difference.max() <= 2  # `imresize` rounds bytes after each of its two passes
    assert difference.mean() < 0.3


def test_grey_stays_grey_in_three_channels() -> None:
    picture = np.repeat(skimage.data.camera()[:30, :30, None], 3, axis=2)
    enlarged = bicubic(2).image(picture)
    assert np.ptp(enlarged.astype(int), axis=2).max() <= 1


def test_the_network_makes_the_luminance_and_leaves_the_colour() -> None:
    picture = skimage.data.chelsea()[100:140, 150:190]
    plain = bicubic(2)
    lighter = replace(plain, network=Lighter())
    before, after = to_ycbcr(plain.image(picture)), to_ycbcr(lighter.image(picture))
    difference = after - before
    assert difference[..., 0].mean() == pytest.approx(25.5, abs=0.2)
    assert np.abs(difference[..., 1:]).mean() < 0.5


def test_the_network_makes_a_grey_picture() -> None:
    picture = np.full((12, 15), 100, np.uint8)
    lighter = [130]  # by 25.5 in studio range, which is 29.7 in grey
    assert np.unique(replace(bicubic(3), network=Lighter()).image(picture)).tolist() == lighter
    assert np.unique(replace(bicubic(3), network=Lighter()).image(picture + 150)).tolist() == [255]


# Networks that serve several scales.


VDSR = models.recipe("vdsr-t91")


def test_weights_for_several_scales_are_read_at_each(tmp_path: Path) -> None:
    subject = weights.of_run(VDSR, None, 0, 1.0)
    weights.save(VDSR.network(3), tmp_path / "mine.safetensors", subject)
    for scale in (2, 3, 4):
        upscaler = load(tmp_path / "mine.safetensors", scale)
        assert (upscaler.subject, upscaler.scale) == (subject, scale)
    with pytest.raises(InputError, match="made for the scales 2, 3 and 4"):
        load(tmp_path / "mine.safetensors", 5)


def test_a_network_for_several_scales_has_one_file() -> None:
    assert {weights.shipped("vdsr-t91", scale).name for scale in (2, 3, 4)} == {"vdsr-t91.safetensors"}
    assert weights.shipped("vdsr-t91-single", 3).name == "vdsr-t91-single_x3.safetensors"


def test_one_without_weights_is_told_how_to_train_them() -> None:
    with pytest.raises(InputError, match=r"srrepro train vdsr`\)"):
        load("vdsr", 3)


# Tiles.

NETWORKS = {
    "vdsr": VeryDeep(depth=4, filters=6),
    "vdsr, wide enough for Winograd's tiles": VeryDeep(depth=4, filters=16),
    "srcnn-915": ThreeLayers(kernels=(9, 1, 5), filters=(6, 4)),
    "srcnn-955": ThreeLayers(kernels=(9, 5, 5), filters=(6, 4)),
    "srcnn-915-notes": ThreeLayers(kernels=(9, 1, 5), filters=(6, 4), inference_padding="zeros"),
}
SIZES = {"one tile": 70 * 90, "four": 55 * 55, "many": 36 * 36, "the least": 33 * 33}
"""Pixels that fit; a radius is 8 at most here, and the least tile is as large as its overlap."""


class Counting(nn.Module):
    """Notes how many pixels its network is given at a time."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.pixels = network, []
        self.radius = network.radius

    def forward(self, planes: Tensor) -> Tensor:
        if not planes.is_meta:
            self.pixels.append(planes.numel())
        return self.network(planes)


@pytest.mark.parametrize("pixels", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize("name", NETWORKS)
def test_tiles_give_what_the_whole_image_gives(name: str, pixels: int) -> None:
    torch.manual_seed(0)
    network = Counting(NETWORKS[name](3))
    image = np.random.default_rng(0).random((70, 83), np.float32)
    bytes_per_pixel = 2 * 4 * max(part.in_channels + part.out_channels for part in network.network.layers)
    whole = Upscaler(SUBJECT, network, 3).estimate(image)
    assert network.pixels == [image.size]
    tiled = Upscaler(SUBJECT, network, 3, Hardware(memory=pixels * bytes_per_pixel)).estimate(image)
    np.testing.assert_allclose(tiled, whole, atol=1e-6 * np.abs(whole).max())
    assert max(network.pixels[1:]) <= max(pixels, image.size * (pixels >= image.size))
    assert (len(network.pixels) == 2) == (pixels >= image.size)


def test_a_network_that_sees_the_whole_image_is_never_tiled() -> None:
    torch.manual_seed(0)
    network = Counting(NotesNetwork(filters=3, hidden=1)(3))
    image = np.random.default_rng(0).random((40, 50), np.float32)
    estimates = [Upscaler(SUBJECT, network, 3, Hardware(memory=memory)).estimate(image) for memory in (10**9, 1)]
    assert network.pixels == [2000, 2000]
    np.testing.assert_array_equal(*estimates)


class Narrower(nn.Module):
    """What gives another size than it gave when it was looked at without numbers."""

    def forward(self, interpolated: Tensor) -> Tensor:
        return interpolated if interpolated.is_meta else interpolated[..., 1:]


class OfColour(nn.Module):
    """What says of nothing that it takes RGB."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.first(image)


def test_a_network_whose_size_changes_is_not_measured() -> None:
    with pytest.raises(InputError, match=r"gave \(1, 1, 12, 11\) instead of \(1, 1, 12, 12\); nothing is measured"):
        Upscaler(SUBJECT, Narrower(), 3).estimate(np.zeros((12, 12), np.float32))


def test_a_network_that_takes_other_channels_is_refused() -> None:
    with pytest.raises(InputError, match=r"was given \(1, 1, .* \(interpolated\), but does not take that: "):
        Upscaler(SUBJECT, OfColour(), 3)


def test_memory_that_holds_no_tile_is_refused() -> None:
    with pytest.raises(InputError, match=r"in 0\.000954 MiB, but .*9×9 pixels; allow 1 MiB or more"):
        Upscaler(SUBJECT, NETWORKS["vdsr"](3), 3, Hardware(memory=1000))


@pytest.mark.parametrize("network", [nn.Identity(), nn.Conv2d(1, 1, 3, padding=1)], ids=["identity", "no radius"])
def test_what_names_no_radius_is_never_tiled(network: nn.Module) -> None:
    image = np.random.default_rng(0).random((40, 50), np.float32)
    estimates = [Upscaler(SUBJECT, network, 3, Hardware(memory=memory)).estimate(image) for memory in (10**9, 400)]
    np.testing.assert_array_equal(*estimates)


# A GPU.


@pytest.mark.parametrize(("precision", "error"), [("float32", 1e-4), ("bfloat16", 3e-2)])
def test_a_gpu_gives_what_a_processor_gives(precision: str, error: float, cuda: str) -> None:
    network, image = random_network(), np.random.default_rng(0).random((40, 50), np.float32)
    expected = Upscaler(SUBJECT, network, 3).estimate(image)
    found = Upscaler(SUBJECT, network.to(cuda), 3, Hardware(device=cuda, precision=precision)).estimate(image)
    np.testing.assert_allclose(found, expected, atol=error * np.abs(expected).max())


@pytest.mark.parametrize(
    "layer", [nn.ConvTranspose2d(1, 1, 3, stride=3), nn.Conv2d(1, 1, 3)], ids=["larger", "smaller"]
)
def test_an_output_of_another_size_is_an_error_and_never_a_crop(layer: nn.Module) -> None:
    with pytest.raises(InputError, match=r"was given \(1, 1, 64, 65\) \(interpolated\), but gave .* instead of"):
        Upscaler(SUBJECT, layer, 3)


class Enlarging(nn.Module):
    """Takes small images of some channels; its radius is what nearest neighbours and a 3×3 layer reach."""

    radius = 1

    def __init__(self, what: Input, scale: int) -> None:
        super().__init__()
        self.takes, self.scale = what, scale
        self.layer = nn.Conv2d(what.channels, what.channels, 3, padding=1)
        self.pixels: list[int] = []

    def forward(self, low: Tensor) -> Tensor:
        if not low.is_meta:
            self.pixels.append(low[0, 0].numel())
        return nn.functional.interpolate(self.layer(low), scale_factor=self.scale)


@pytest.mark.parametrize("what", [LOW, LOW_RGB], ids=lambda what: what.name)
def test_small_images_are_enlarged_and_tiled(what: Input) -> None:
    torch.manual_seed(0)
    network = Enlarging(what, 3)
    image = np.random.default_rng(0).random((30, 41, 3) if what is LOW_RGB else (30, 41), np.float32)
    whole = Upscaler(SUBJECT, network, 3).estimate(image)
    assert whole.shape == (90, 123, *image.shape[2:])
    bytes_per_pixel = 2 * 4 * 2 * what.channels
    tiled = Upscaler(SUBJECT, network, 3, Hardware(memory=12 * 12 * bytes_per_pixel)).estimate(image)
    assert max(network.pixels[1:]) <= 12 * 12 < network.pixels[0]
    np.testing.assert_allclose(tiled, whole, atol=1e-6)


def test_a_network_of_another_scale_is_refused() -> None:
    with pytest.raises(InputError, match=r"at x2, and was given \(1, 1, 64, 65\) \(low\), but gave .*made for another"):
        Upscaler(SUBJECT, Enlarging(LOW, 3), 2)


def test_an_image_of_other_channels_is_refused() -> None:
    with pytest.raises(InputError, match="takes low-rgb, but was given an image of 1 channels"):
        Upscaler(SUBJECT, Enlarging(LOW_RGB, 2), 2).estimate(np.zeros((20, 30), np.float32))


@pytest.mark.parametrize("what", [LOW, LOW_RGB], ids=lambda what: what.name)
@pytest.mark.parametrize("picture", [skimage.data.camera()[:30, :40], skimage.data.chelsea()[:30, :40]], ids=["g", "c"])
def test_pictures_by_a_network_that_enlarges(what: Input, picture: np.ndarray) -> None:
    network = Enlarging(what, 2)
    with torch.no_grad():  # what comes in goes out: enlarged to nearest neighbours
        nn.init.dirac_(network.layer.weight)
        nn.init.zeros_(network.layer.bias)
    enlarged = Upscaler(SUBJECT, network, 2).image(picture)
    assert enlarged.shape == (60, 80, *picture.shape[2:])
    nearest = picture.repeat(2, axis=0).repeat(2, axis=1).astype(int)
    if what is LOW_RGB or picture.ndim == 2:
        np.testing.assert_array_equal(enlarged, nearest)
    else:
        difference = to_ycbcr(enlarged)[..., 0] - to_ycbcr(nearest)[..., 0]
        assert np.abs(difference).mean() < 1
