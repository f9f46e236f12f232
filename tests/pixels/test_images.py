"""Every common kind of image file becomes the uint8 that it means, and what is no image is refused in one sentence."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from srrepro.errors import InputError
from srrepro.pixels import images
from srrepro.pixels.images import folder_images, read

_rng = np.random.default_rng(0)
GREY = _rng.integers(0, 256, (9, 12), np.uint8)
COLOUR = _rng.integers(0, 256, (9, 12, 3), np.uint8)
ALPHA = _rng.integers(0, 256, (9, 12), np.uint8)
GREY_16 = _rng.integers(0, 65536, (9, 12), np.uint16)
COLOUR_16 = _rng.integers(0, 65536, (9, 12, 3), np.uint16)
GREY_16[0, :6] = COLOUR_16[0, :6, 0] = 0, 128, 129, 65406, 65407, 65535  # both sides of the first and last step


def to_8_bits(pixels: np.ndarray) -> np.ndarray:
    """65535 is 255, to nearest."""
    return np.floor(pixels / 257 + 0.5).astype(np.uint8)


def write_png_16(path: Path, pixels: np.ndarray) -> None:
    """A PNG of 16 bits a channel, with the channels that Pillow cannot write."""
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[pixels.shape[2]]
    height, width = pixels.shape[:2]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    framed = (struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(framed))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".tiff", ".PNG"])
@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "colour"])
def test_lossless_8_bit_files_come_back_as_they_are(pixels, suffix, tmp_path):
    path = tmp_path / f"image{suffix}"
    Image.fromarray(pixels).save(path)
    image = read(path)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, pixels)


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg(mode, tmp_path):
    smooth = np.add.outer(np.arange(0, 160, 5), np.arange(0, 80, 5)).astype(np.uint8)
    pixels = smooth if mode == "L" else np.stack([smooth, smooth[::-1], 255 - smooth], axis=2)
    Image.fromarray(pixels).save(tmp_path / "image.jpg", quality=100, subsampling=0)
    image = read(tmp_path / "image.jpg")
    assert image.shape == pixels.shape
    assert np.abs(image.astype(int) - pixels).max() <= 4  # JPEG's own loss at its best quality


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_alpha_is_dropped_not_blended(suffix, tmp_path):
    Image.fromarray(np.dstack([COLOUR, ALPHA])).save(tmp_path / f"rgba{suffix}")
    np.testing.assert_array_equal(read(tmp_path / f"rgba{suffix}"), COLOUR)
    Image.fromarray(np.dstack([GREY, ALPHA])).save(tmp_path / f"la{suffix}")
    np.testing.assert_array_equal(read(tmp_path / f"la{suffix}"), GREY)


@pytest.mark.parametrize("suffix", [".png", ".bmp"])
def test_a_palette_of_colours_becomes_rgb(suffix, tmp_path):
    palette = Image.fromarray(COLOUR).quantize(16)
    palette.save(tmp_path / f"palette{suffix}")
    np.testing.assert_array_equal(read(tmp_path / f"palette{suffix}"), np.asarray(palette.convert("RGB")))


@pytest.mark.parametrize("options", [{}, {"transparency": 3}], ids=["opaque", "transparent"])
def test_a_palette_of_greys_becomes_grey(options, tmp_path):
    palette = Image.fromarray(GREY // 16)
    palette.putpalette([level for entry in range(255, -1, -1) for level in 3 * (entry,)])  # backwards: no identity
    palette.save(tmp_path / "palette.png", **options)
    np.testing.assert_array_equal(read(tmp_path / "palette.png"), 255 - GREY // 16)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
def test_one_bit_becomes_black_and_white(suffix, tmp_path):
    Image.fromarray(GREY > 127).save(tmp_path / f"bits{suffix}")
    np.testing.assert_array_equal(read(tmp_path / f"bits{suffix}"), np.where(GREY > 127, 255, 0))


def test_16_bit_grey_png_is_rounded(tmp_path):
    Image.fromarray(GREY_16).save(tmp_path / "image.png")
    np.testing.assert_array_equal(read(tmp_path / "image.png"), to_8_bits(GREY_16))


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
def test_16_bit_grey_tiff_is_rounded(order, tmp_path):
    tifffile.imwrite(tmp_path / "image.tif", GREY_16, byteorder=order)
    np.testing.assert_array_equal(read(tmp_path / "image.tif"), to_8_bits(GREY_16))


@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize("alpha", [False, True], ids=["rgb", "rgba"])
def test_16_bit_colour_tiff_is_rounded(alpha, order, tmp_path):
    pixels = np.dstack([COLOUR_16, GREY_16]) if alpha else COLOUR_16
    extra = {"extrasamples": ["unassalpha"]} if alpha else {}
    tifffile.imwrite(tmp_path / "image.tif", pixels, photometric="rgb", byteorder=order, **extra)
    np.testing.assert_array_equal(read(tmp_path / "image.tif"), to_8_bits(COLOUR_16))


def test_16_bit_colour_png_is_right_to_one_level(tmp_path):
    # Pillow, which has no 16-bit colour, keeps the upper 8 bits.
    write_png_16(tmp_path / "image.png", COLOUR_16)
    image = read(tmp_path / "image.png")
    assert (image.dtype, image.shape) == (np.uint8, COLOUR_16.shape)
    assert np.abs(image.astype(int) - to_8_bits(COLOUR_16)).max() <= 1


def test_16_bit_grey_with_alpha_stays_grey(tmp_path):
    write_png_16(tmp_path / "image.png", np.dstack([GREY_16, COLOUR_16[..., 0]]))
    image = read(tmp_path / "image.png")
    assert image.shape == GREY_16.shape
    assert np.abs(image.astype(int) - to_8_bits(GREY_16)).max() <= 1


def test_cmyk_jpeg_becomes_rgb(tmp_path):
    flat = np.full((16, 16, 3), (200, 120, 40), np.uint8)
    Image.fromarray(flat).convert("CMYK").save(tmp_path / "image.jpg", quality=100)
    image = read(tmp_path / "image.jpg")
    assert image.shape == flat.shape
    assert np.abs(image.astype(int) - flat).max() <= 4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("pixels", [GREY, COLOUR], ids=["grey", "colour"])
def test_floats_are_refused(pixels, dtype, tmp_path):
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, pixels.astype(dtype), photometric="rgb" if pixels.ndim == 3 else "minisblack")
    with pytest.raises(InputError, match=r"8-.*bit image, but its pixels are ") as refused:
        read(path)
    assert str(path) in str(refused.value)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".jpg", ".tif"])
def test_an_image_cut_short_is_refused_wherever_it_ends(suffix, tmp_path):
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    Image.fromarray(np.resize(COLOUR, (40, 50, 3))).save(whole)
    data = whole.read_bytes()
    for length in (0, 10, 60, len(data) // 3, len(data) // 2, len(data) * 9 // 10, len(data) - 40):
        cut.write_bytes(data[:length])
        with pytest.raises(InputError, match="cut short") as refused:
            read(cut)
        assert str(cut) in str(refused.value)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_text_file_with_the_name_of_an_image_is_refused(suffix, tmp_path):
    path = tmp_path / f"notes{suffix}"
    path.write_text("no pixels here")
    with pytest.raises(InputError, match="not one"):
        read(path)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_a_missing_file_is_called_missing(suffix, tmp_path):
    with pytest.raises(InputError, match=f"absent{suffix}.*No such file"):
        read(tmp_path / f"absent{suffix}")


def test_a_folder_gives_its_images_in_the_order_of_their_names(tmp_path):
    for name in ("b.png", "a.bmp", "c.JPG", "img_10.tif", "img_2.tiff", "d.jpeg"):
        (tmp_path / name).touch()
    (tmp_path / "notes.txt").touch()
    (tmp_path / "Thumbs.db").touch()
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "folder.png" / "inside.png").touch()
    names = [path.name for path in folder_images(tmp_path)]
    assert names == ["a.bmp", "b.png", "c.JPG", "d.jpeg", "img_10.tif", "img_2.tiff"]


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match=r"holds no image.*\.png"):
        folder_images(tmp_path)


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="there is no such folder"):
        folder_images(tmp_path / "absent")


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "image.png").touch()
    with pytest.raises(InputError, match="there is no such folder"):
        folder_images(tmp_path / "image.png")


# Pictures of one's own.


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".webp.png"])
def test_upright_turns_as_the_camera_says(suffix: str, tmp_path: Path) -> None:
    path, turned = tmp_path / f"photo{suffix}", Image.Exif()
    turned[0x0112] = 6
    pixels = np.zeros((20, 30), np.uint8)
    pixels[:5] = 255
    Image.fromarray(pixels).save(path, exif=turned)
    assert images.read(path).shape == (20, 30)
    upright = images.read(path, upright=True)
    assert upright.shape == (30, 20)
    assert upright[:, -4:].min() > 200  # what is above in the file is right to people
    assert upright[:, :14].max() < 50


def test_a_plain_tiff_that_is_to_be_turned_is_not_garbled(tmp_path: Path) -> None:
    path, turned = tmp_path / "photo.tif", Image.Exif()
    turned[0x0112] = 6
    pixels = np.add.outer(np.arange(20), 3 * np.arange(30)).astype(np.uint8)
    Image.fromarray(pixels).save(path, exif=turned)
    found = images.read(path)
    assert found.shape in {(20, 30), (30, 20)}
    assert np.array_equal(found if found.shape == (20, 30) else np.rot90(found), pixels)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".TIFF"])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_what_is_written_is_read(suffix: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    images.write(tmp_path / f"out{suffix}", pixels)
    assert np.array_equal(images.read(tmp_path / f"out{suffix}"), pixels)
    assert [path.name for path in tmp_path.iterdir()] == [f"out{suffix}"]


def test_an_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(self: Image.Image, path: Path, **_: object) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        images.write(tmp_path / "out.png", np.zeros((4, 4), np.uint8))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "found"),
    [("there.png", "there is one already"), ("folder.png", "that is a folder"), ("nowhere/a.png", "no folder")],
)
def test_where_no_picture_may_be_written(name: str, found: str, tmp_path: Path) -> None:
    (tmp_path / "there.png").touch()
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(InputError, match=found):
        images.check_target(tmp_path / name, force=False)
    images.check_target(tmp_path / "there.png", force=True)
