"""MATLAB's imresize, held against MATLAB's own outputs and against its algorithm written down plainly."""

import math
import re
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from srrepro.data.registry import File, members, mirrored
from srrepro.pixels import resize
from srrepro.pixels.resize import imresize

SCALES = (2, 3, 4, 1 / 2, 1 / 3, 1 / 4)
BORDERS = ("mirror", "clamp")


def cubic(x: np.ndarray) -> np.ndarray:
    """Keys' kernel with a = -0.5."""
    x = np.abs(x)
    return np.where(x <= 1, 1.5 * x**3 - 2.5 * x**2 + 1, np.where(x <= 2, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2, 0))


def contributions(size: int, scale: float, border: str) -> tuple[np.ndarray, np.ndarray]:
    """Weights and indices of the pixels that make each output pixel, as `contributions` in MATLAB's imresize.m."""
    shrink = min(scale, 1)  # antialiasing: the kernel widens when the image shrinks
    width = 4 / shrink
    centre = (np.arange(math.ceil(size * scale)) + 0.5) / scale - 0.5
    indices = np.floor(centre - width / 2).astype(int)[:, None] + np.arange(math.ceil(width) + 2)
    weights = shrink * cubic(shrink * (centre[:, None] - indices))
    there_and_back = np.concatenate([np.arange(size), np.arange(size)[::-1]])
    indices = there_and_back[indices % (2 * size)] if border == "mirror" else indices.clip(0, size - 1)
    return weights / weights.sum(axis=1, keepdims=True), indices


def by_the_book(image: np.ndarray, scale: float, border: str) -> tuple[np.ndarray, np.ndarray]:
    """The resized image, and where a uint8 result hangs on the last bit of a float: a half was to be rounded."""
    out, doubtful = image.astype(np.float64), np.zeros(image.shape, bool)
    for axis in (0, 1):
        weights, indices = contributions(image.shape[axis], scale, border)
        out = np.moveaxis((np.moveaxis(out, axis, -1)[..., indices] * weights).sum(axis=-1), -1, axis)
        inherited = (np.moveaxis(doubtful, axis, -1)[..., indices] & (weights != 0)).any(axis=-1)
        doubtful = np.moveaxis(inherited, -1, axis) | (np.abs(out - np.floor(out) - 0.5) < 1e-9)
        if image.dtype == np.uint8:
            out = np.floor(out + 0.5).clip(0, 255)
    return out.astype(image.dtype), doubtful


@st.composite
def shapes(draw: st.DrawFn) -> tuple[int, ...]:
    side = st.integers(1, 40)
    return draw(st.tuples(side, side) | st.tuples(side, side, st.sampled_from([1, 3])))


@given(shape=shapes(), scale=st.sampled_from(SCALES), border=st.sampled_from(BORDERS), seed=st.integers(0, 2**32))
def test_floats_follow_the_algorithm(shape, scale, border, seed):
    image = np.random.default_rng(seed).uniform(-1, 2, shape)
    expected, _ = by_the_book(image, scale, border)
    resized = imresize(image, scale, border=border)
    assert resized.dtype == np.float64
    np.testing.assert_allclose(resized, expected, rtol=0, atol=1e-9)


@given(shape=shapes(), scale=st.sampled_from(SCALES), border=st.sampled_from(BORDERS), seed=st.integers(0, 2**32))
def test_uint8_follows_the_algorithm_to_the_last_pixel(shape, scale, border, seed):
    image = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    expected, doubtful = by_the_book(image, scale, border)
    resized = imresize(image, scale, border=border)
    assert resized.dtype == np.uint8
    assert resized.shape == expected.shape
    if scale not in (3, 1 / 3):  # with powers of two all arithmetic is exact, halves included
        doubtful[:] = False
    np.testing.assert_array_equal(resized[~doubtful], expected[~doubtful])


def test_uint8_is_rounded_after_the_rows_not_after_the_columns():
    image = np.random.default_rng(0).integers(0, 256, (40, 40), np.uint8)
    rows_first = imresize(image, 1 / 2)
    np.testing.assert_array_equal(rows_first, by_the_book(image, 1 / 2, "mirror")[0])
    assert (rows_first != imresize(image.T, 1 / 2).T).any(), "the test image cannot tell the two orders apart"


def _of_set(mirror: Path, name: str, number: int) -> np.ndarray:
    """The pixels of a set's file; MATLAB's outputs count a set's files in alphabetical order, from one."""
    with Image.open(mirrored(mirror, members(name)[number - 1])) as image:
        return np.array(image)


@pytest.mark.parametrize("golden", members("goldens-clamp"), ids=lambda file: file.name)
def test_old_matlab_outputs_value_for_value(golden: File, mirror: Path):
    name, scale, number = re.fullmatch(r"(Set\d+)/image_SRF_(\d)/img_(\d+)_SRF_\d_LR\.png", golden.name).groups()
    scale = int(scale)
    image = _of_set(mirror, name, int(number))
    image = image[: len(image) // scale * scale, : image.shape[1] // scale * scale]
    with Image.open(mirrored(mirror, golden)) as opened:
        expected = np.array(opened)
    if image.ndim < expected.ndim:  # a grey photograph, published as three equal channels
        image = np.repeat(image[..., None], 3, axis=2)
    np.testing.assert_array_equal(imresize(image, 1 / scale, border="clamp"), expected)


@pytest.mark.parametrize("golden", members("goldens-mirror"), ids=lambda file: file.name)
def test_new_matlab_outputs_to_nine_digits(golden: File, mirror: Path):
    planes = scipy.io.loadmat(mirrored(mirror, golden))
    scale = int(re.fullmatch(r"\w+_x(\d)\.mat", golden.name)[1])
    low = imresize(planes["im_gt_y"], 1 / scale)
    np.testing.assert_allclose(low, planes["im_l_y"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(imresize(low, scale), planes["im_b_y"], rtol=0, atol=1e-9)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("scale", SCALES)
def test_a_constant_image_stays_constant(scale, border):
    for level in (0, 1, 127, 254, 255):
        resized = imresize(np.full((7, 5), level, np.uint8), scale, border=border)
        assert (resized == level).all()
    np.testing.assert_allclose(imresize(np.full((7, 5), 0.3), scale, border=border), 0.3, rtol=0, atol=1e-12)


@pytest.mark.parametrize("border", BORDERS)
@pytest.mark.parametrize("scale", SCALES)
def test_a_flipped_image_gives_the_flipped_result(scale, border):
    image = np.random.default_rng(0).uniform(size=(24, 12))  # multiples of every scale: the grid is symmetric
    resized = imresize(image, scale, border=border)
    np.testing.assert_allclose(imresize(image[::-1], scale, border=border), resized[::-1], rtol=0, atol=1e-12)
    np.testing.assert_allclose(imresize(image[:, ::-1], scale, border=border), resized[:, ::-1], rtol=0, atol=1e-12)


def test_the_borders_differ_only_near_the_edges():
    image = np.random.default_rng(0).uniform(size=(48, 48))
    mirrored_border, clamped = (imresize(image, 1 / 2, border=border) for border in BORDERS)
    assert np.abs(mirrored_border - clamped).max() > 1e-3
    np.testing.assert_allclose(mirrored_border[2:-2, 2:-2], clamped[2:-2, 2:-2], rtol=0, atol=1e-12)


def test_the_border_is_mirrored_unless_told():
    image = np.random.default_rng(0).uniform(size=(9, 9))
    np.testing.assert_array_equal(imresize(image, 1 / 3), imresize(image, 1 / 3, border="mirror"))


def test_scale_one_changes_nothing():
    image = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)
    np.testing.assert_array_equal(imresize(image, 1), image)


@pytest.mark.parametrize("scale", SCALES)
def test_float32_comes_back_as_float32_from_float64_arithmetic(scale):
    image = np.random.default_rng(0).uniform(size=(12, 12)).astype(np.float32)
    resized = imresize(image, scale)
    assert resized.dtype == np.float32
    np.testing.assert_array_equal(resized, imresize(image.astype(np.float64), scale).astype(np.float32))


def test_floats_are_neither_clipped_nor_rounded():
    edge = np.zeros((8, 8))
    edge[:, 4:] = 1
    enlarged = imresize(edge, 2)
    assert enlarged.min() < 0
    assert enlarged.max() > 1


def test_a_read_only_image_is_taken_without_a_warning():
    image = np.arange(16, dtype=np.uint8).reshape(4, 4)
    image.flags.writeable = False  # as `images.read` gives it
    torch.set_warn_always(True)  # PyTorch would warn once in a process, perhaps before this test
    try:
        np.testing.assert_array_equal(imresize(image, 2), imresize(image.copy(), 2))
    finally:
        torch.set_warn_always(False)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("scale", [0.7, 1.5, 0, -2, math.nan, math.inf, -math.inf])
def test_other_scales_are_refused(scale):
    with pytest.raises(ValueError, match="whole scale or the reciprocal"):
        imresize(np.zeros((8, 8)), scale)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("dtype", [np.int16, np.uint16, np.float16, bool, np.complex128])
def test_other_types_are_refused(dtype):
    with pytest.raises(ValueError, match=f"not {np.dtype(dtype)}"):
        imresize(np.zeros((8, 8), dtype), 2)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("shape", [(), (8,), (8, 8, 3, 1), (0, 8), (8, 8, 0)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=re.escape(str(shape))):
        imresize(np.zeros(shape), 2)


@pytest.mark.usefixtures("unchecked")
def test_an_unknown_border_is_refused():
    with pytest.raises(ValueError, match=r"mirror.*clamp.*'reflect'"):
        imresize(np.zeros((8, 8)), 2, border="reflect")


# In C and by PyTorch.


FUSING = {"AVX2", "AVX512"}


@pytest.mark.skipif(resize._function() is None, reason="there is no C compiler here")
@pytest.mark.skipif(torch.backends.cpu.get_cpu_capability() not in FUSING, reason="PyTorch adds otherwise here")
@given(
    size=st.tuples(st.integers(1, 3), st.integers(1, 100), st.integers(1, 100)),
    scale=st.sampled_from((*SCALES, 8, 1 / 8)),
    border=st.sampled_from(BORDERS),
    rounded=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_both_ways_give_the_same_bits(size, scale, border, rounded, seed):
    """Or the digest of a store would tell whether there was a compiler."""
    planes = torch.from_numpy(np.random.default_rng(seed).standard_normal(size)) * (100 if rounded else 1)
    how = {"shrink": scale < 1, "border": border, "rounded": rounded}
    factor = round(max(scale, 1 / scale))
    assert resize._has_the_same_bits(factor, scale < 1)
    assert torch.equal(resize._summed(planes, factor, **how), resize._interpolated(planes, factor, **how))


@given(shape=shapes(), scale=st.sampled_from(SCALES), border=st.sampled_from(BORDERS), seed=st.integers(0, 2**32))
def test_without_a_compiler_it_is_the_same(shape, scale, border, seed):
    image = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    ours = imresize(image, scale, border=border)
    with pytest.MonkeyPatch.context() as without:
        without.setattr(resize, "_function", lambda: None)
        assert np.array_equal(ours, imresize(image, scale, border=border))


@pytest.mark.skipif(resize._function() is None, reason="there is no C compiler here")
def test_other_bits_are_noticed(monkeypatch):
    """A build of PyTorch that adds in another order does the work itself."""
    image = np.random.default_rng(1).random((20, 30))
    expected = imresize(image, 1 / 3)
    summed = resize._summed
    monkeypatch.setattr(resize, "_has_the_same_bits", resize._has_the_same_bits.__wrapped__)
    monkeypatch.setattr(resize, "_summed", lambda *given, **how: summed(*given, **how) * (1 + 2**-52))
    assert np.array_equal(imresize(image, 1 / 3), expected)
