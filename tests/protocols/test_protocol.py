"""What a protocol decides: signature, small image, what a network is fed, rounding, shaving, metrics."""

import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy import ndarray

from srrepro.errors import InputError
from srrepro.models.recipe import INTERPOLATED, INTERPOLATED_RGB, LOW, LOW_RGB
from srrepro.pixels.color import from_ycbcr, luminance, studio, to_ycbcr
from srrepro.pixels.metrics import psnr, ssim
from srrepro.pixels.resize import imresize
from srrepro.protocols.degradation import Degradation, Planes, degrade
from srrepro.protocols.named import MATLAB_Y, PROTOCOLS, VDSR_Y
from srrepro.protocols.protocol import LEVELS, Protocol, quantise

CAT = skimage.data.chelsea()[100:148, 100:172]
GREY = skimage.data.camera()[100:160, 200:272]
RGB = Protocol(name="rgb", colour="studio-float", low="rgb8", grey="rgb", rounding="rgb8")
PICTURE = Protocol(name="picture", colour="studio-float", low="rgb-float", grey="rgb", rounding="rgb8")


def test_a_name_keeps_its_meaning() -> None:
    """Numbers are published under these; whoever changes a meaning gives it another version."""
    known = {
        "matlab-y-v1": "sr|y:studio-u8|low:float|resize:matlab-mirror|clamp:none|round:u8|shave:s|v:1",
        "vdsr-y-v1": "sr|y:studio-u8|low:float|resize:matlab-mirror|clamp:16-235|round:u8|shave:s|v:1",
    }
    assert {name: PROTOCOLS[name].signature for name in known} == known


def test_every_part_shows_in_the_signature() -> None:
    others = [
        Protocol(name="p", colour="rgb"), Protocol(name="p", low="rgb8"), Protocol(name="p", resizer="matlab-clamp"),
        Protocol(name="p", grey="rgb"), Protocol(name="p", clamp=(16, 235)), Protocol(name="p", rounding="none"),
        Protocol(name="p", shave=4), Protocol(name="p", peak=1.0), Protocol(name="p", version=2),
        Protocol(name="p", metrics=("psnr_db", "ssim_toolbox")),
    ]  # fmt: skip
    signatures = {other.signature for other in others} | {MATLAB_Y.signature}
    assert len(signatures) == len(others) + 1


def test_parts_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="must be RGB"):
        Protocol(name="p", rounding="rgb8")
    with pytest.raises(ValueError, match=r"there are psnr_db, ssim, .* PSNR comes first"):
        Protocol(name="p", metrics=("ssim",))


def test_what_is_clamped_shares_its_store() -> None:
    assert VDSR_Y.degradation == MATLAB_Y.degradation == Degradation()
    suffixes = {p.degradation.suffix for p in (MATLAB_Y, RGB, PICTURE, Protocol(name="p", resizer="matlab-clamp"))}
    assert len(suffixes) == 4


def test_the_small_image_is_rounded_only_where_it_is_8_bit() -> None:
    eight, exact = RGB.degradation(CAT, 2), PICTURE.degradation(CAT, 2)
    np.testing.assert_array_equal(eight.low, (imresize(CAT, 0.5) / LEVELS).astype(np.float32))
    np.testing.assert_array_equal(eight.interpolated, imresize(imresize(CAT, 0.5) / LEVELS, 2).astype(np.float32))
    np.testing.assert_array_equal(exact.low, imresize(CAT / LEVELS, 0.5).astype(np.float32))
    assert 0 < np.abs(eight.low - exact.low).max() < 1 / LEVELS


def test_grey_becomes_rgb_where_the_protocol_says_so() -> None:
    assert RGB.degradation(GREY, 2).low.shape == (30, 36, 3)
    assert Protocol(name="p", low="rgb8").degradation(GREY, 2).low.shape == (30, 36)
    assert MATLAB_Y.degradation(GREY, 2).low.shape == (30, 36)
    rounded = Protocol(name="p", low="rgb8", grey="rounded").degradation
    eight = (imresize(imresize(GREY, 0.5), 2) / LEVELS).astype(np.float32)
    np.testing.assert_array_equal(rounded(GREY, 2).interpolated, eight)
    for planes in zip(rounded(CAT, 2), Protocol(name="p", low="rgb8").degradation(CAT, 2), strict=True):
        np.testing.assert_array_equal(*planes)


def test_a_network_is_fed_what_it_takes() -> None:
    planes = MATLAB_Y.degradation(CAT, 2)
    assert MATLAB_Y.fed(planes, LOW) is planes.low
    assert MATLAB_Y.fed(planes, INTERPOLATED) is planes.interpolated
    clamped = VDSR_Y.fed(planes, INTERPOLATED)
    assert clamped.min() >= np.float32(16 / LEVELS)
    colour = RGB.degradation(CAT, 2)
    assert RGB.fed(colour, LOW_RGB) is colour.low
    assert RGB.fed(colour, INTERPOLATED_RGB) is colour.interpolated
    np.testing.assert_allclose(RGB.fed(colour, LOW) * LEVELS, studio(colour.low * LEVELS), atol=1e-4)


def test_a_network_of_rgb_is_refused_where_there_is_luminance_only() -> None:
    with pytest.raises(InputError, match=r"takes low-rgb .* one plane .* --protocol rgb8-y-v1"):
        MATLAB_Y.fed(MATLAB_Y.degradation(CAT, 2), LOW_RGB)


def test_rgb_is_rounded_before_its_luminance_is_taken() -> None:
    planes = RGB.degradation(CAT, 2)
    rounded = np.clip(np.round(planes.interpolated.astype(np.float64) * 255), 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(RGB.judged(planes.interpolated, planes), studio(rounded))
    floored = Protocol(name="p", low="rgb8", rounding="rgb8-floor")
    darker = (rounded / LEVELS - 0.5 / LEVELS).astype(np.float32)
    expected = luminance(np.maximum(rounded.astype(int) - 1, 0).astype(np.uint8))
    np.testing.assert_array_equal(floored.judged(darker, planes), expected)


def test_a_luminance_gets_the_interpolated_chroma_before_it_is_rounded_in_rgb() -> None:
    planes = PICTURE.degradation(CAT, 2)
    estimate = PICTURE.fed(planes, INTERPOLATED) * np.float32(0.9)
    ycbcr = to_ycbcr(planes.interpolated.astype(np.float64) * LEVELS)
    ycbcr[..., 0] = estimate * LEVELS
    np.testing.assert_array_equal(PICTURE.judged(estimate, planes), studio(from_ycbcr(ycbcr)))


@pytest.mark.parametrize("protocol", [RGB, PICTURE, Protocol(name="p", low="rgb8", colour="rgb", rounding="none")])
def test_the_photograph_itself_is_perfect(protocol: Protocol) -> None:
    planes = protocol.degradation(CAT, 2)
    scores = protocol.scores((planes.reference / LEVELS).astype(np.float64), planes, 2)
    assert scores["psnr_db"] > 90
    assert scores["ssim"] == pytest.approx(1)


def test_a_number_of_pixels_is_shaved() -> None:
    wide, usual = Protocol(name="p", shave=5), MATLAB_Y
    planes = MATLAB_Y.degradation(GREY, 2)
    inner = Planes(*(plane[3:-3, 3:-3] for plane in planes))
    assert wide.scores(planes.interpolated, planes, 2) == usual.scores(inner.interpolated, inner, 2)


def test_the_peak_counts() -> None:
    planes = MATLAB_Y.degradation(GREY, 2)
    other = Protocol(name="p", peak=219).scores(planes.interpolated, planes, 2)["psnr_db"]
    usual = MATLAB_Y.scores(planes.interpolated, planes, 2)["psnr_db"]
    assert usual - other == pytest.approx(20 * np.log10(255 / 219))


def test_quantise_rounds_halves_up() -> None:
    halves = np.array([[level + 0.5 for level in range(255) if (level + 0.5) / 255 * 255 == level + 0.5]])
    assert halves.size > 100
    np.testing.assert_array_equal(quantise(halves / 255), np.ceil(halves).astype(np.uint8))


def test_quantise_clips_and_does_not_wrap_around() -> None:
    estimate = np.array([[-3.0, -0.001, 0.0, 1.0, 1.001, 2.0]], np.float32)
    rounded = quantise(estimate)
    assert rounded.dtype == np.uint8
    assert rounded.tolist() == [[0, 0, 0, 255, 255, 255]]


@given(arrays(np.float64, (3, 4), elements=st.floats(-2, 3)))
def test_quantise_goes_to_the_nearest_level(estimate: ndarray) -> None:
    assert np.abs(quantise(estimate) - np.clip(estimate, 0, 1) * 255).max() <= 0.5 + 1e-12


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_quantise_gives_bytes_back(kind: type) -> None:
    levels = np.arange(256, dtype=np.uint8)[None]
    np.testing.assert_array_equal(quantise((levels / 255).astype(kind)), levels)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_first_rounds_shaves_the_scale_and_takes_255_as_peak(scale: int) -> None:
    planes = degrade(skimage.data.camera()[100:160, 200:272], scale)
    quality = MATLAB_Y.scores(planes.interpolated, planes, scale)
    rounded = np.clip(np.round(planes.interpolated.astype(np.float64) * 255), 0, 255).astype(np.uint8)
    inside = np.s_[scale:-scale, scale:-scale]
    assert quality["psnr_db"] == pytest.approx(
        psnr(rounded[inside], planes.reference[inside], shave=0, peak=255), abs=1e-9
    )
    assert quality["ssim"] == pytest.approx(
        ssim(rounded[inside], planes.reference[inside], shave=0, peak=255), abs=1e-9
    )
    exact = psnr(planes.interpolated.astype(np.float64) * 255, planes.reference, shave=scale, peak=255)
    assert quality["psnr_db"] != pytest.approx(exact, abs=1e-6)  # unrounded output would give another number


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_smallest_side_is_the_smallest(scale: int) -> None:
    least = MATLAB_Y.smallest_side(scale)
    estimate = np.full((least, least), 0.5, np.float32)
    planes = Planes(np.zeros((least, least), np.uint8), estimate, estimate)
    assert np.isfinite(MATLAB_Y.scores(estimate, planes, scale)["ssim"])
    with pytest.raises(ValueError, match="11 pixels"):
        MATLAB_Y.scores(estimate[:, 1:], planes._replace(reference=planes.reference[:, 1:]), scale)
