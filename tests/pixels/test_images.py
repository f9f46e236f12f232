"""Every common kind of image file becomes the uint8 that it means, and what is no image is refused in one sentence."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from srrepro.errors import InputError
from srrepro.pixels import decoding
from srrepro.pixels.images import read

CASES = Path(__file__).parents[1] / "cases"
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


@pytest.mark.parametrize("alpha", [False, True], ids=["rgb", "rgba"])
def test_16_bit_colour_png_is_rounded_as_tiff_is(alpha, tmp_path):
    write_png_16(tmp_path / "image.png", np.dstack([COLOUR_16, GREY_16]) if alpha else COLOUR_16)
    np.testing.assert_array_equal(read(tmp_path / "image.png"), to_8_bits(COLOUR_16))


def test_16_bit_grey_with_alpha_stays_grey(tmp_path):
    write_png_16(tmp_path / "image.png", np.dstack([GREY_16, COLOUR_16[..., 0]]))
    np.testing.assert_array_equal(read(tmp_path / "image.png"), to_8_bits(GREY_16))


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
    with pytest.raises(InputError, match=f"absent{suffix} was to be read as an image, but there is no such file"):
        read(tmp_path / f"absent{suffix}")


# What ordinary files hold must not depend on how they are told apart.

KINDS = {
    "1": Image.fromarray(GREY > 127),
    "L": Image.fromarray(GREY),
    "LA": Image.fromarray(np.dstack([GREY, ALPHA])),
    "RGB": Image.fromarray(COLOUR),
    "RGBA": Image.fromarray(np.dstack([COLOUR, ALPHA])),
    "P": Image.fromarray(COLOUR).quantize(16),
    "CMYK": Image.fromarray(COLOUR).convert("CMYK"),
}
WAYS: tuple[tuple[str, dict[str, object]], ...] = (
    (".png", {}),
    (".bmp", {}),
    (".jpg", {}),
    (".jpg", {"progressive": True}),
    (".webp", {"lossless": True}),
    *((".tif", {"compression": name}) for name in ("raw", "tiff_lzw", "tiff_deflate", "packbits", "jpeg")),
)


@pytest.mark.parametrize(("suffix", "options"), WAYS, ids=lambda part: str(part))
@pytest.mark.parametrize("mode", KINDS)
def test_ordinary_files_are_what_pillow_reads(mode, suffix, options, tmp_path):
    path = tmp_path / f"image{suffix}"
    try:
        KINDS[mode].save(path, **options)
    except (OSError, KeyError, ValueError):
        pytest.skip(f"{suffix} has no {mode}")
    with Image.open(path) as image:
        grey = image.mode in {"1", "L", "LA"}
        expected = np.asarray(image.convert("LA").getchannel(0) if grey else image.convert("RGB"))
    np.testing.assert_array_equal(read(path), expected)


# What is no ordinary file.


def test_large_texts_do_not_matter():
    np.testing.assert_array_equal(read(CASES / "bigtext.png"), read(CASES / "rgb.png"))


def test_too_many_pixels_are_called_so():
    with pytest.raises(
        InputError, match=r"big_189MP.png .* has 189 million pixels. Files of up to 179 million are read"
    ):
        read(CASES / "big_189MP.png")


def test_a_larger_limit_may_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    path = CASES / "big_189MP.png"
    monkeypatch.setenv("SRREPRO_MEGAPIXELS", "189")
    assert (decoding.look(path).width, decoding.look(path).height) == (14000, 13500)
    monkeypatch.setenv("SRREPRO_MEGAPIXELS", "188")
    with pytest.raises(InputError, match="Files of up to 188 million are read. .* SRREPRO_MEGAPIXELS=189"):
        decoding.look(path)
    monkeypatch.setenv("SRREPRO_MEGAPIXELS", "many")
    with pytest.raises(InputError, match="but is 'many'. Give a whole number"):
        decoding.look(path)


@pytest.mark.parametrize("axis", [0, 1], ids=["no width", "no height"])
@pytest.mark.parametrize("kind", ["PNG", "BMP", "JPEG"])
def test_an_image_of_no_pixels_is_refused(kind: str, axis: int, tmp_path: Path) -> None:
    path = tmp_path / f"none.{kind.lower()}"
    Image.new("RGB", (1, 1)).save(path, kind)
    data = bytearray(path.read_bytes())
    if kind == "JPEG":  # height first, of two bytes
        at, size = data.index(b"\xff\xc0") + 5 + 2 * (1 - axis), 2
    else:
        at, size = {"PNG": 16, "BMP": 18}[kind] + 4 * axis, 4
    data[at : at + size] = bytes(size)
    if kind == "PNG":
        data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(data)
    with pytest.raises(InputError, match="not one or is cut short"):
        read(path)


def test_a_file_that_may_not_be_read_is_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:  # whoever is root may read anything
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refused)
    with pytest.raises(InputError, match=r"a\.png was to be read as an image, but may not be: Permission denied"):
        read(tmp_path / "a.png")


@pytest.mark.parametrize("refusal", [ValueError("odd tags"), Image.DecompressionBombError("odd tags of 9 pixels")])
def test_what_pillow_says_of_other_files_is_passed_on(
    refusal: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only large texts of a PNG, and sizes beyond our own limit, are known better here."""
    answers = iter([refusal])  # once: nothing else is tried

    def refused(*_: object) -> None:
        raise next(answers)

    Image.new("RGB", (3, 3)).save(tmp_path / "a.bmp")
    monkeypatch.setattr(decoding.Image, "open", refused)
    with pytest.raises(InputError, match=r"a\.bmp was to be read as an image, but it is not one or .* \(odd tags"):
        read(tmp_path / "a.bmp")


def test_pixels_of_another_kind_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No file gives an image of a kind that is not known here; a later Pillow might."""
    Image.new("RGB", (3, 3)).save(tmp_path / "a.png")
    monkeypatch.setattr(decoding, "_COLOUR", set())
    with pytest.raises(InputError, match="its pixels are of the kind 'RGB'"):
        read(tmp_path / "a.png")


def test_memory_that_runs_out_is_called_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise MemoryError

    Image.new("RGB", (3, 3)).save(tmp_path / "a.png")
    monkeypatch.setattr(decoding, "_of_pillows_kinds", refused)
    with pytest.raises(InputError, match=r"a\.png was to be read as an image, but does not fit into the memory"):
        read(tmp_path / "a.png")


def test_a_gif_is_refused_by_its_name_or_not(tmp_path):
    with pytest.raises(InputError, match="it is a GIF file. PNG, JPEG, BMP, WebP and TIFF are read"):
        read(CASES / "anim.gif")
    (tmp_path / "renamed.png").write_bytes((CASES / "anim.gif").read_bytes())
    with pytest.raises(InputError, match="it is a GIF file"):
        read(tmp_path / "renamed.png")


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_of_frames_the_first_is_read_and_that_is_said(suffix, tmp_path, capsys):
    frames = [Image.fromarray(COLOUR), Image.fromarray(255 - COLOUR)]
    frames[0].save(tmp_path / f"moving{suffix}", save_all=True, append_images=frames[1:], lossless=True)
    np.testing.assert_array_equal(read(tmp_path / f"moving{suffix}"), COLOUR)
    assert f"moving{suffix} has 2 frames; the first is read" in capsys.readouterr().err


def test_a_dark_wide_png_is_said(tmp_path, capsys):
    Image.fromarray(GREY.astype(np.uint16)).save(tmp_path / "dark.png")
    assert read(tmp_path / "dark.png").max() <= 1
    assert f"dark.png has 16 bits a sample, but its brightest is {GREY.max()} of 65535" in capsys.readouterr().err


def test_an_ordinary_file_says_nothing(tmp_path, capsys):
    Image.fromarray(GREY_16).save(tmp_path / "image.png")
    Image.fromarray(np.zeros((5, 5), np.uint16)).save(tmp_path / "black.png")
    for name in ("image.png", "black.png"):
        read(tmp_path / name)
    assert capsys.readouterr().err == ""


def test_a_broken_exif_hides_no_pixels(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "image.png", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff garbage")
    np.testing.assert_array_equal(read(tmp_path / "image.png"), COLOUR)


def test_a_folder_and_a_dangling_link_are_called_so(tmp_path):
    with pytest.raises(InputError, match="but it is a folder"):
        read(tmp_path)
    (tmp_path / "link.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(InputError, match="a link to a file that is missing"):
        read(tmp_path / "link.png")


def test_a_jpeg_of_many_scans_takes_no_time(tmp_path: Path) -> None:
    """Every scan of 59 bytes is a pass over all pixels."""
    image, path = Image.new("L", (300, 300)), tmp_path / "a.jpg"
    image.save(path, progressive=True)
    data = path.read_bytes()
    scan = data[data.rindex(b"\xff\xda") : -2]
    path.write_bytes(data[:-2] + 30 * scan + data[-2:] + 100 * scan)  # what follows the end is no picture
    assert read(path).shape == (300, 300)
    path.write_bytes(data[:-2] + 100 * scan + data[-2:])
    with pytest.raises(InputError, match=r"is a JPEG of 10\d scans, and some 10 are usual"):
        read(path)
