"""Why a number is off: twelve planted mistakes in pictures, and the practices that cost what they are known to cost."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from numpy import ndarray
from PIL import Image

from srrepro.data.registry import DataFolder
from srrepro.evaluation import measure
from srrepro.evaluation.explain import ZeroPadding, findings, told, told_of_ssim
from srrepro.evaluation.explain_pictures import Examined, examine
from srrepro.evaluation.explain_pictures import told as told_of_pictures
from srrepro.evaluation.explain_published import Under
from srrepro.evaluation.practices import ALONE, RIGHT, combined
from srrepro.evaluation.score import Pictures
from srrepro.evaluation.upscaler import Upscaler, load
from srrepro.pixels.color import luminance, studio
from srrepro.pixels.resizers import RESIZERS
from srrepro.protocols.degradation import Planes, modcrop
from srrepro.protocols.named import MATLAB_Y, PROTOCOLS, VDSR_Y
from srrepro.protocols.protocol import quantise, with_chroma

SCALE = 3
PHOTOGRAPHS = {
    "cat.png": skimage.data.chelsea()[90:210, 100:238],
    "cup.png": skimage.data.coffee()[150:270, 180:318],
    "face.png": skimage.data.astronaut()[60:180, 160:298],
}


@pytest.fixture(scope="module")
def network() -> Upscaler:
    return load("srcnn-915-quick", SCALE)


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> measure.TestSet:
    folder = tmp_path_factory.mktemp("references")
    for name, pixels in PHOTOGRAPHS.items():
        Image.fromarray(pixels).save(folder / name)
    return measure.TestSet("mine", folder)


Make = Callable[[Upscaler, ndarray], ndarray]


def in_colour(
    network: Upscaler, photograph: ndarray, *, resizer: str = "matlab-mirror", zeros: bool = False
) -> ndarray:
    """What a right program saves, as RGB of 8 bits; or one that shrinks or pads otherwise."""
    return quantise(exactly(network, photograph, resizer=resizer, zeros=zeros))


def exactly(network: Upscaler, photograph: ndarray, *, resizer: str = "matlab-mirror", zeros: bool = False) -> ndarray:
    planes = rgb_planes(photograph, resizer)
    y = (studio(planes.interpolated * 255) / 255).astype(np.float32)
    if zeros:
        with ZeroPadding():
            estimate = network.estimate(y)
    else:
        estimate = network.estimate(y)
    return with_chroma(estimate, planes.interpolated)


def rgb_planes(photograph: ndarray, resizer: str) -> Planes:
    how = replace(MATLAB_Y.degradation, low="rgb-float", resizer=resizer)
    return how(photograph, SCALE)


def in_grey(network: Upscaler, photograph: ndarray) -> ndarray:
    return quantise(network.estimate(MATLAB_Y.degradation(photograph, SCALE).interpolated))


def wrapped(network: Upscaler, photograph: ndarray) -> ndarray:
    levels = np.rint(exactly(network, photograph) * 255 + 40).astype(int)  # a bright picture: more of it is beyond 255
    return (levels - 40).clip(-60, None).astype(np.uint8)


def compressed(network: Upscaler, photograph: ndarray) -> ndarray:
    """Y of full range converted as if it were of studio range, and never back: low contrast."""
    return np.rint(in_colour(network, photograph) * (219 / 255) + 16).astype(np.uint8)


def full_range(network: Upscaler, photograph: ndarray) -> ndarray:
    return np.asarray(Image.fromarray(in_colour(network, photograph)).convert("L"))


def interpolated(_: Upscaler, photograph: ndarray) -> ndarray:
    return quantise(rgb_planes(photograph, "matlab-mirror").interpolated)


MISTAKES: dict[str, tuple[Make, str]] = {
    "zero padding": (partial(in_colour, zeros=True), "spoilt at the border"),
    "one pixel to the right": (lambda net, image: np.roll(in_colour(net, image), 1, 1), "shifted 1 pixel to the right"),
    "two pixels up": (lambda net, image: np.roll(in_colour(net, image), -2, 0), "shifted 2 pixels up"),
    "one row, one column": (
        lambda net, image: np.roll(in_colour(net, image), (1, -1), (0, 1)),
        "shifted 1 pixel down and 1 pixel to the left",
    ),
    "mirrored": (lambda net, image: in_colour(net, image)[:, ::-1], "mirrored"),
    "upside down": (lambda net, image: in_colour(net, image)[::-1], "upside down"),
    "BGR": (lambda net, image: in_colour(net, image)[..., ::-1], "red and blue exchanged"),
    "grey of full range": (full_range, "grey in full range"),
    "low contrast": (compressed, "studio range taken for full range"),
    "wrapped round": (wrapped, "wrapped round"),
    "brighter": (lambda net, image: np.minimum(in_colour(net, image), 225) + 30, "of another brightness"),
    "black": (lambda net, image: np.rint(in_colour(net, image) / 255).astype(np.uint8), "The pictures are black"),
    "Y of BGR": (lambda net, image: in_grey(net, image[..., ::-1]), "luminance of exchanged red and blue"),
    "full range and zeros": (
        lambda net, image: np.asarray(Image.fromarray(in_colour(net, image, zeros=True)).convert("L")),
        "grey in full range",
    ),
    "bicubic": (interpolated, "the interpolated images"),
    "no antialiasing": (partial(in_colour, resizer="matlab-no-antialias"), "small images were not MATLAB's"),
    "PyTorch's default": (partial(in_colour, resizer="pytorch"), "small images were not MATLAB's"),
}


def examined(
    make: Make, references: measure.TestSet, network: Upscaler, folder: Path, *, beside: Upscaler | None = None
) -> Examined:
    for name, pixels in PHOTOGRAPHS.items():
        picture = np.ascontiguousarray(make(network, pixels))
        Image.fromarray(picture).save(folder / f"{Path(name).stem}_x3.png")
    photographs = list(references.photographs(DataFolder(folder / "data")))
    return examine(Pictures(folder), photographs, SCALE, protocol=MATLAB_Y, network=beside)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_planted_mistake_is_named_first(
    mistake: str, references: measure.TestSet, network: Upscaler, tmp_path: Path
) -> None:
    make, named = MISTAKES[mistake]
    sentences = told_of_pictures(examined(make, references, network, tmp_path), None, None)
    assert named in sentences[0], sentences


def test_of_two_mistakes_both_are_named(references: measure.TestSet, network: Upscaler, tmp_path: Path) -> None:
    make, _ = MISTAKES["full range and zeros"]
    sentence = told_of_pictures(examined(make, references, network, tmp_path), None, None)[0]
    assert "spoilt at the border" in sentence
    assert "grey in full range" in sentence


def test_a_tanh_at_the_end_is_named(references: measure.TestSet, network: Upscaler, tmp_path: Path) -> None:
    for name, pixels in PHOTOGRAPHS.items():
        y = network.estimate(MATLAB_Y.degradation(pixels, SCALE).interpolated)
        np.save(tmp_path / Path(name).stem, 2 * y - 1)
    photographs = list(references.photographs(DataFolder(tmp_path / "data")))
    found = examine(Pictures(tmp_path), photographs, SCALE, protocol=MATLAB_Y)
    assert "of -1 to 1" in told_of_pictures(found, None, None)[0]


def test_pictures_that_are_mixed_up_are_named(references: measure.TestSet, network: Upscaler, tmp_path: Path) -> None:
    for (name, _), pixels in zip(PHOTOGRAPHS.items(), [*PHOTOGRAPHS.values()][::-1], strict=True):
        Image.fromarray(in_colour(network, pixels)).save(tmp_path / f"{Path(name).stem}_x3.png")
    photographs = list(references.photographs(DataFolder(tmp_path / "data")))
    found = examine(Pictures(tmp_path), photographs, SCALE, protocol=MATLAB_Y)
    assert found.mixed == (("cat_x3.png", "face.png"), ("face_x3.png", "cat.png"))
    assert "cat_x3.png is of face.png" in told_of_pictures(found, None, None)[0]


def test_what_is_not_explained_is_called_so(references: measure.TestSet, network: Upscaler, tmp_path: Path) -> None:
    def far_off(net: Upscaler, image: ndarray) -> ndarray:
        return np.roll(in_colour(net, image), 9, 1)

    sentence = told_of_pictures(examined(far_off, references, network, tmp_path), None, None)[0]
    assert sentence.startswith("No usual fault explains these pictures. Nearest: they are shifted")
    assert "Something else is wrong, too" in sentence


@pytest.mark.parametrize("make", [in_colour, in_grey])
def test_right_pictures_are_not_accused(
    make: Make, references: measure.TestSet, network: Upscaler, tmp_path: Path
) -> None:
    found = examined(make, references, network, tmp_path)
    assert not found.faults
    assert told_of_pictures(found, None, None)[0].startswith("No usual fault was found")


@pytest.mark.parametrize(
    ("resizer", "zeros", "practice"),
    [
        ("matlab-mirror", True, "layers padded with zeros"),
        ("pytorch", False, "PyTorch's interpolate, default"),
        ("matlab-no-antialias", False, "small image without antialiasing"),
    ],
)
def test_beside_the_network_the_practice_itself_is_named(
    resizer: str, zeros: bool, practice: str, references: measure.TestSet, network: Upscaler, tmp_path: Path
) -> None:
    def make(net: Upscaler, image: ndarray) -> ndarray:
        return in_colour(net, image, resizer=resizer, zeros=zeros)

    found = examined(make, references, network, tmp_path, beside=network)
    assert found.made_by[0][0].name == practice
    assert practice in told_of_pictures(found, None, "mine")[0]


def test_a_number_that_was_measured_otherwise_is_explained(
    references: measure.TestSet, network: Upscaler, tmp_path: Path
) -> None:
    """The pictures are right; three wrong ways of measuring them are known by what they give."""
    found = examined(in_colour, references, network, tmp_path)
    by_name = {one.practice.name: one.psnr_db for one in found.practices}
    for name in ("PSNR of RGB", "nothing shaved", "compared with the interpolated image"):
        sentence = told_of_pictures(found, round(by_name[name], 2), None)[-1]
        assert name in sentence, sentence


# Numbers of a network.


@pytest.fixture(scope="module")
def found(network: Upscaler) -> list[measure.Score]:
    return findings(network, PHOTOGRAPHS.items(), MATLAB_Y, count=len(PHOTOGRAPHS))


def test_the_first_is_what_is_measured(found, network: Upscaler) -> None:
    scores = measure.evaluate(
        network, "mine", ((name, MATLAB_Y.degradation(p, SCALE)) for name, p in PHOTOGRAPHS.items()), protocol=MATLAB_Y
    )
    assert found[0].psnr_db == pytest.approx(np.mean([score.values["psnr_db"] for score in scores]), abs=1e-9)
    assert found[0].ssim == pytest.approx(np.mean([score.values["ssim"] for score in scores]), abs=1e-9)


def test_the_likeliest_practice_is_named(found) -> None:
    by_name = {one.practice.name: one for one in found}
    zeros = by_name["layers padded with zeros"].psnr_db
    sentence = told(found, round(zeros, 2))
    assert "Likeliest: layers padded with zeros" in sentence
    assert "mode='replicate'" in sentence
    assert "nothing is off" in told(found, round(found[0].psnr_db, 2))
    assert told(found, 3.0).startswith("None of ")
    assert "--reported" in told(found, None)


def test_an_ssim_is_explained(found) -> None:
    uniform = next(one for one in found if "uniform window" in one.practice.name)
    assert "uniform window" in told_of_ssim(found, round(uniform.ssim or 0, 4))
    assert "is what the protocol gives" in told_of_ssim(found, round(found[0].ssim or 0, 4))


def test_practices_have_names_and_advice_of_their_own() -> None:
    every = [RIGHT, *ALONE, *combined()]
    assert len({practice.name for practice in every}) == len(every)
    assert all(practice.advice for practice in every[1:])


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=lambda protocol: protocol.name)
def test_every_practice_fits_every_protocol(protocol) -> None:
    for practice in (RIGHT, *ALONE, *combined()):
        assert practice.of(protocol, SCALE).shaved(SCALE) >= 0


def test_the_known_values_of_set5(mirror: Path, network: Upscaler, tmp_path: Path) -> None:
    """Those of docs/your-number.md."""
    data = DataFolder(tmp_path, mirror)
    known = {
        "as the protocol says": 32.584,
        "layers padded with zeros": 26.213,
        "PyTorch's interpolate, default": 26.837,
        "small image without antialiasing": 27.614,
        "Pillow's BICUBIC in 8 bits": 32.362,
        "estimate truncated, not rounded": 32.545,
        "PSNR of RGB": 30.586,
        "grey of rgb2gray throughout": 30.669,
        "nothing shaved": 32.512,
        "estimate not rounded": 32.596,
    }
    photographs = list(measure.TestSet("Set5").photographs(data))
    results = {one.practice.name: one.psnr_db for one in findings(network, photographs, MATLAB_Y, count=5)}
    assert {name: results[name] for name in known} == pytest.approx(known, abs=0.005)


def test_printed_digits_are_rounded_or_cut() -> None:
    under = Under(VDSR_Y, 29.426, 0.8242)
    assert under.gives(29.43, 0.8242, 0.0001)
    assert under.gives(29.42, None, 0.0001)
    assert not under.gives(29.44, None, 0.0001)
    assert not under.gives(29.43, 0.8250, 0.0001)


def test_resizers_keep_the_type_and_give_the_size() -> None:
    image = PHOTOGRAPHS["cat.png"]
    for resize in RESIZERS.values():
        for given in (image, image / 255.0, luminance(image)):
            small = resize(given, 1 / SCALE)
            assert (small.dtype, small.shape[:2]) == (given.dtype, (40, 46))
            assert resize(small, SCALE).shape == given.shape


def test_a_resizer_without_antialiasing_takes_the_middle_pixel() -> None:
    image = modcrop(PHOTOGRAPHS["cup.png"], SCALE)
    middle = image[1::SCALE, 1::SCALE]
    np.testing.assert_array_equal(RESIZERS["matlab-no-antialias"](image, 1 / SCALE), middle)
    np.testing.assert_array_equal(RESIZERS["pytorch"](image, 1 / SCALE), middle)
    assert (
        np.abs(RESIZERS["pillow"](image, 1 / SCALE).astype(int) - RESIZERS["matlab-mirror"](image, 1 / SCALE)).max()
        < 12
    )
