"""A picture keeps what people look for, on the way in and out; there is the whole file or none."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageCms, ImageOps

from srrepro.errors import InputError
from srrepro.pixels import picture, sixteen
from srrepro.pixels.picture import Picture

CASES = Path(__file__).parents[1] / "cases"
_rng = np.random.default_rng(0)
COLOUR = _rng.integers(0, 256, (20, 30, 3), np.uint8)
COLOUR_16 = _rng.integers(0, 65536, (20, 30, 3), np.uint16)
ALPHA_16 = _rng.integers(0, 65536, (20, 30), np.uint16)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PLACE = {1: "N", 2: (48.0, 8.0, 14.0)}


def exif() -> bytes:
    """Of a camera that was held on its side, with stale sizes and a maker's note."""
    found = Image.Exif()
    found.update({0x0112: 6, 0x010F: "Maker", 0x0110: "Model", 0x0132: "2024:01:02 03:04:05", 0x0100: 30})
    found[0x8769] = {0x9003: "2024:01:02 03:04:05", 0x8827: 200, 0x829A: 0.008, 0xA002: 30, 0x927C: b"mine"}
    found[0x8825] = PLACE
    return found.tobytes()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_upright_is_what_pillow_makes_of_it(orientation: int) -> None:
    image = Image.fromarray(COLOUR)
    image.getexif()[0x0112] = orientation
    np.testing.assert_array_equal(picture.upright(COLOUR, orientation), np.asarray(ImageOps.exif_transpose(image)))


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp", ".tif"])
def test_a_photograph_is_turned_as_its_camera_says(suffix: str, tmp_path: Path) -> None:
    pixels = np.zeros((20, 30, 3), np.uint8)
    pixels[:5] = 255
    Image.fromarray(pixels).save(tmp_path / f"photo{suffix}", exif=exif())
    upright = picture.read(tmp_path / f"photo{suffix}")
    assert upright.size == (20, 30)
    assert upright.levels[:, -4:].min() > 200  # what is above in the file is right to people
    assert upright.levels[:, :14].max() < 50


@pytest.mark.parametrize("wide", [False, True], ids=["8", "16"])
@pytest.mark.parametrize("target", [".png", ".jpg", ".webp", ".tif"])
@pytest.mark.parametrize("source", [".png", ".jpg", ".webp", ".tif"])
def test_profile_date_camera_and_place_are_kept(source: str, target: str, wide: bool, tmp_path: Path) -> None:
    Image.fromarray(COLOUR).save(tmp_path / f"in{source}", exif=exif(), icc_profile=SRGB)
    found = picture.read(tmp_path / f"in{source}")
    if wide:
        found = Picture(found.levels.astype(np.uint16) * 257, None, found.profile, found.exif)
    picture.write(tmp_path / f"out{target}", found)
    with Image.open(tmp_path / f"out{target}") as image:
        kept = image.getexif()
        assert image.info["icc_profile"] == SRGB
        assert (kept[0x010F], kept[0x0110], kept[0x0132]) == ("Maker", "Model", "2024:01:02 03:04:05")
        assert 0x0112 not in kept
        assert kept.get(0x0100, 20) == 20  # a TIFF's own
        if wide and target == ".tif":
            assert kept[0x9003] == "2024:01:02 03:04:05"
        else:
            photograph = kept.get_ifd(0x8769)
            assert (photograph[0x9003], photograph[0x8827]) == ("2024:01:02 03:04:05", 200)
            assert not {0xA002, 0x927C} & set(photograph)
            assert dict(kept.get_ifd(0x8825)) == PLACE
    assert picture.read(tmp_path / f"out{target}").size == (20, 30)  # and not turned again


def test_what_a_bmp_and_a_wide_tiff_lose_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(COLOUR).save(tmp_path / "in.png", exif=exif(), icc_profile=SRGB)
    found = picture.read(tmp_path / "in.png")
    picture.write(tmp_path / "out.bmp", found)
    assert "a BMP keeps neither colour profile nor EXIF" in capsys.readouterr().err
    picture.write(tmp_path / "out.tif", Picture(COLOUR_16, exif=found.exif))
    assert "keeps date, camera and words of EXIF, not exposure and place" in capsys.readouterr().err


def test_a_profile_of_inks_is_left_out_and_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    inks = bytearray(SRGB)
    inks[16:20] = b"CMYK"
    Image.fromarray(COLOUR).convert("CMYK").save(tmp_path / "in.jpg", icc_profile=bytes(inks))
    assert picture.read(tmp_path / "in.jpg").profile is None
    assert "its colour profile is one of CMYK, and is left out" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".TIFF", ".webp"])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_what_is_written_is_read(suffix: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    picture.write(tmp_path / f"out{suffix}", Picture(pixels))
    found = picture.read(tmp_path / f"out{suffix}").levels
    np.testing.assert_array_equal(found if found.ndim == len(shape) else found[..., 0], pixels)  # WebP has no grey
    assert [path.name for path in tmp_path.iterdir()] == [f"out{suffix}"]


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("alpha", [None, ALPHA_16], ids=["opaque", "alpha"])
@pytest.mark.parametrize("levels", [ALPHA_16[::-1].copy(), COLOUR_16], ids=["grey", "colour"])
def test_16_bits_and_alpha_come_back(levels: np.ndarray, alpha: np.ndarray | None, suffix: str, tmp_path: Path) -> None:
    picture.write(tmp_path / f"out{suffix}", Picture(levels, alpha, SRGB if levels.ndim == 3 else None))
    found = picture.read(tmp_path / f"out{suffix}")
    np.testing.assert_array_equal(found.levels, levels)
    assert found.profile == (SRGB if levels.ndim == 3 else None)
    if alpha is None:
        assert found.alpha is None
    else:
        assert found.alpha is not None
        np.testing.assert_array_equal(found.alpha, alpha)


@given(arrays(np.uint16, st.tuples(st.integers(1, 300), st.integers(1, 5), st.integers(1, 4))))
def test_any_16_bits_are_what_a_png_gives_back(tmp_path_factory: pytest.TempPathFactory, pixels: np.ndarray) -> None:
    path = tmp_path_factory.mktemp("png") / "image.png"
    sixteen.write_png(path, pixels, profile=None, exif=b"")
    found = picture.read(path).channels
    if pixels.shape[2] % 2 == 0 and (pixels[..., -1] == 65535).all():
        pixels = pixels[..., :-1]
    np.testing.assert_array_equal(found if found.ndim == 3 else found[..., None], pixels)


def test_a_colour_that_stands_for_none_is_transparent(tmp_path: Path) -> None:
    pixels = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "key.png", transparency=(4, 5, 6))
    found = picture.read(tmp_path / "key.png")
    assert found.alpha is not None
    np.testing.assert_array_equal(found.alpha, [[255, 0]])


def test_palettes_and_single_bits_become_plain_pictures(tmp_path: Path) -> None:
    colours = Image.fromarray(COLOUR).quantize(16)
    colours.save(tmp_path / "palette.png", transparency=3)
    found = picture.read(tmp_path / "palette.png")
    assert found.alpha is not None
    np.testing.assert_array_equal(found.alpha == 0, np.asarray(colours) == 3)
    Image.fromarray(COLOUR[..., 0] > 127).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(picture.read(tmp_path / "bits.png").levels, np.where(COLOUR[..., 0] > 127, 255, 0))


def test_12_bits_become_16(tmp_path: Path) -> None:
    found = picture.read(CASES / "packed12.tif")
    assert found.levels.dtype == np.uint16
    assert found.levels.max() > 60000


def test_an_alpha_that_hides_nothing_is_none(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([COLOUR, np.full((20, 30), 255, np.uint8)])).save(tmp_path / "opaque.png")
    assert picture.read(tmp_path / "opaque.png").alpha is None
    picture.check_holds(tmp_path / "out.jpg", tmp_path / "opaque.png", width=60, height=40)


@pytest.mark.parametrize(
    ("name", "side", "found"),
    [
        ("out.jpg", 10, "transparent in part, which JPEG cannot be. Name a .png, .tif or .webp file"),
        ("out.bmp", 10, "transparent in part, which BMP cannot be"),
        ("out.webp", 20_000, "20000×20000 is too large for WebP"),
        ("out.tif", 50_000, "50000×50000 is too large for TIFF"),
    ],
)
def test_what_a_kind_cannot_hold_is_refused(name: str, side: int, found: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=found):
        picture.check_holds(tmp_path / name, CASES / "alpha.png", width=side, height=side)


def test_what_the_encoder_refuses_is_one_message_and_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"written to .*out\.webp, but could not be: "):
        picture.write(tmp_path / "out.webp", Picture(np.zeros((1, 20_000, 3), np.uint8)))
    assert not list(tmp_path.iterdir())


def test_losing_bits_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tifffile.imwrite(tmp_path / "wide.tif", COLOUR_16, photometric="rgb")
    picture.check_holds(tmp_path / "out.jpg", tmp_path / "wide.tif", width=60, height=40)
    assert "has 16 bits a channel, and JPEG holds 8" in capsys.readouterr().err
    picture.check_holds(tmp_path / "out.png", tmp_path / "wide.tif", width=60, height=40)
    assert capsys.readouterr().err == ""
    picture.write(tmp_path / "out.webp", Picture(COLOUR_16))
    expected = np.floor(COLOUR_16 / 257 + 0.5)
    np.testing.assert_array_equal(picture.read(tmp_path / "out.webp").levels, expected)


@pytest.mark.parametrize("levels", [COLOUR, COLOUR_16], ids=["8", "16"])
def test_an_interrupted_write_leaves_nothing(
    levels: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        picture.write(tmp_path / "out.png", Picture(levels))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("there.png", "there is one already"),
        ("folder.png", "that is a folder"),
        ("nowhere/a.png", "no folder"),
        ("a.gif", "'.gif' is none of .bmp"),
    ],
)
def test_where_no_picture_may_be_written(name: str, found: str, tmp_path: Path) -> None:
    (tmp_path / "there.png").touch()
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(InputError, match=found):
        picture.check_target(tmp_path / name, force=False)
    picture.check_target(tmp_path / "there.png", force=True)
