"""TIFF is read by its tags, or refused: nothing becomes other pixels in silence."""

import struct
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from srrepro.errors import InputError
from srrepro.pixels import picture
from srrepro.pixels.decoding import decoded, look
from srrepro.pixels.images import read

CASES = Path(__file__).parents[1] / "cases"
_rng = np.random.default_rng(0)
GREY = _rng.integers(0, 256, (9, 13), np.uint8)
COLOUR = _rng.integers(0, 256, (9, 13, 3), np.uint8)
GREY_16 = _rng.integers(0, 65536, (9, 13), np.uint16)
COLOUR_16 = _rng.integers(0, 65536, (9, 13, 3), np.uint16)


def to_8_bits(pixels: np.ndarray) -> np.ndarray:
    return np.floor(pixels / 257 + 0.5).astype(np.uint8)


def test_the_cases_are_what_they_were_made_from() -> None:
    grey, colour = read(CASES / "grey.png"), read(CASES / "rgb.png")
    np.testing.assert_array_equal(read(CASES / "packed12.tif"), grey)
    np.testing.assert_array_equal(read(CASES / "white0_16.tif"), grey)
    np.testing.assert_array_equal(read(CASES / "planar16.tif"), colour)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("lab16.tif", "its colours are ICCLAB, not grey or RGB. Convert it to RGB"),
        ("i32.tif", "its pixels are int32, where white has no agreed level. Save it with 8 or 16 bits"),
    ],
)
def test_what_has_no_sure_meaning_is_refused(name: str, found: str) -> None:
    with pytest.raises(InputError, match=found):
        read(CASES / name)


@pytest.mark.parametrize(("photometric", "extra"), [("separated", ()), ("rgb", ("assocalpha",)), ("rgb", ())])
def test_wide_pictures_take_a_bounded_memory(photometric: str, extra: tuple[str, ...], tmp_path: Path) -> None:
    """24 bytes a pixel, Pillow's own aside: products of 16 bits need 64, which no whole picture is given."""
    side, samples = 800, 4 if photometric == "separated" or extra else 3
    pixels = np.random.default_rng(0).integers(0, 65536, (side, side, samples), np.uint16)
    options: dict[str, Any] = {"extrasamples": extra} if extra else {}
    tifffile.imwrite(tmp_path / "wide.tif", pixels, photometric=photometric, **options)
    tracemalloc.start()
    try:
        read(tmp_path / "wide.tif")
        assert tracemalloc.get_traced_memory()[1] < 26 * side**2
    finally:
        tracemalloc.stop()


def test_eight_bits_in_sixteen_are_dark_and_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert read(CASES / "u16_as8.tif").max() == 1
    assert "its brightest is 255 of 65535. It is read as that dark" in capsys.readouterr().err


LAYOUTS: tuple[dict[str, Any], ...] = tuple(
    {"byteorder": order, "compression": compression, "predictor": predictor, "tile": tile, "bigtiff": big}
    for order in "<>"
    for compression, predictor in ((None, None), ("zlib", None), ("zlib", 2))
    for tile in (None, (16, 16))
    for big in (False, True)
)


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("bits", [8, 16])
def test_every_layout_holds_the_same_colours(bits: int, planar: str, tmp_path: Path) -> None:
    pixels = COLOUR if bits == 8 else COLOUR_16
    stored = pixels if planar == "contig" else np.moveaxis(pixels, -1, 0)
    for layout in LAYOUTS:
        tifffile.imwrite(tmp_path / "image.tif", stored, photometric="rgb", planarconfig=planar, **layout)
        expected = COLOUR if bits == 8 else to_8_bits(COLOUR_16)
        np.testing.assert_array_equal(read(tmp_path / "image.tif"), expected, err_msg=str(layout))


@pytest.mark.parametrize("white_is_zero", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_every_layout_holds_the_same_grey(bits: int, white_is_zero: bool, tmp_path: Path) -> None:
    pixels = GREY if bits == 8 else GREY_16
    photometric = "miniswhite" if white_is_zero else "minisblack"
    light = np.iinfo(pixels.dtype).max - pixels if white_is_zero else pixels
    for layout in LAYOUTS:
        tifffile.imwrite(tmp_path / "image.tif", pixels, photometric=photometric, **layout)
        expected = light if bits == 8 else to_8_bits(light)
        np.testing.assert_array_equal(read(tmp_path / "image.tif"), expected, err_msg=str(layout))


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("colours", ["rgb", "minisblack", "miniswhite"])
@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha", "unspecified"])
def test_alpha_is_set_apart_and_undone_where_colours_were_multiplied(
    kind: str, colours: str, bits: int, planar: str, tmp_path: Path
) -> None:
    white = 2**bits - 1
    dtype = np.uint8 if bits == 8 else np.uint16
    levels = _rng.integers(0, white + 1, (9, 13, 3 if colours == "rgb" else 1)).astype(dtype)
    alpha = _rng.integers(white // 2, white + 1, (9, 13)).astype(dtype)
    shown = levels * (alpha[..., None] / white) if kind == "assocalpha" else levels
    stored = np.rint(shown).astype(dtype)
    if colours == "miniswhite":
        stored = white - stored
    stored = np.dstack([stored, alpha])
    tifffile.imwrite(
        tmp_path / "image.tif",
        stored if planar == "contig" else np.moveaxis(stored, -1, 0),
        photometric=colours,
        planarconfig=planar,
        extrasamples=[kind],
    )
    found = decoded(tmp_path / "image.tif")
    expected = levels if colours == "rgb" else levels[..., 0]
    assert np.abs(found.levels.astype(int) - expected).max() <= (2 if kind == "assocalpha" else 0)
    if kind == "unspecified":
        assert found.alpha is None
    else:
        assert found.alpha is not None
        np.testing.assert_array_equal(found.alpha, alpha)


def lzw(data: bytes) -> bytes:
    """As TIFF compresses, with the table emptied before it has grown."""
    codes = [code for place, byte in enumerate(data) for code in ([256] if place % 200 == 0 else []) + [byte]]
    bits = "".join(f"{code:09b}" for code in [*codes, 257])
    bits += "0" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


def compress(path: Path, data: bytes) -> None:
    """Put LZW in place of the pixels of a plain file; tifffile does not write it."""
    packed, end = lzw(data), path.stat().st_size
    with path.open("ab") as file:
        file.write(packed)
    with tifffile.TiffFile(path, mode="r+") as file:
        tags = file.pages.first.tags
        for name, value in (("StripOffsets", end), ("StripByteCounts", len(packed)), ("Compression", 5)):
            tags[name].overwrite(value)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("pixels", [GREY_16, COLOUR_16], ids=["grey", "colour"])
def test_lzw_of_16_bits_is_undone_without_another_library(pixels: np.ndarray, order: Any, tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    photometric = "minisblack" if pixels.ndim == 2 else "rgb"
    tifffile.imwrite(path, pixels, photometric=photometric, byteorder=order, rowsperstrip=len(pixels))
    compress(path, pixels.astype(f"{order}u2").tobytes())
    np.testing.assert_array_equal(decoded(path).levels, pixels)


def test_a_compression_that_is_not_undone_is_named(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    stored = np.dstack([COLOUR_16, GREY_16])
    tifffile.imwrite(path, stored, photometric="rgb", extrasamples=["unspecified"], rowsperstrip=9)
    compress(path, stored.tobytes())
    with pytest.raises(InputError, match="it is compressed by LZW, .* Save it without compression, or with Deflate"):
        read(path)


@pytest.mark.parametrize("bits", [8, 16])
def test_inks_become_colours(bits: int, tmp_path: Path) -> None:
    inks = np.dstack([COLOUR, GREY])
    tifffile.imwrite(tmp_path / "image.tif", inks if bits == 8 else inks.astype(np.uint16) * 257, photometric=5)
    light = 255.0 - inks
    expected = light[..., :3] * light[..., 3:] / 255
    assert np.abs(read(tmp_path / "image.tif") - expected).max() <= 1


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("white_is_zero", [False, True])
def test_few_bits_reach_from_black_to_white(bits: int, white_is_zero: bool, tmp_path: Path) -> None:
    """Written by hand: no library here writes 2 or 4."""
    levels = _rng.integers(0, 2**bits, (5, 7), np.uint8)
    rows = ["".join(f"{level:0{bits}b}" for level in row) for row in levels]
    data = b"".join(int(row + "0" * (-len(row) % 8), 2).to_bytes(-(-len(row) // 8), "big") for row in rows)
    write_by_hand(tmp_path / "image.tif", data, width=7, height=5, bits=bits, photometric=0 if white_is_zero else 1)
    light = (2**bits - 1 - levels) if white_is_zero else levels
    np.testing.assert_array_equal(read(tmp_path / "image.tif"), light * (255 // (2**bits - 1)))


def write_by_hand(path: Path, data: bytes, *, width: int, height: int, bits: int, photometric: int) -> None:
    tags = ((256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 8), (277, 1), (278, height),
            (279, len(data)))  # fmt: skip
    data += b"\0" * (len(data) % 2)
    entries = b"".join(np.array([tag, 4, 1, 0, value, 0], "<u2").tobytes() for tag, value in tags)
    head = b"II*\0" + (8 + len(data)).to_bytes(4, "little")
    path.write_bytes(head + data + len(tags).to_bytes(2, "little") + entries + b"\0\0\0\0")


@pytest.mark.parametrize("bits", [6, 10, 14])
def test_odd_bits_are_refused(bits: int, tmp_path: Path) -> None:
    write_by_hand(tmp_path / "image.tif", b"\0" * 2 * bits, width=4, height=4, bits=bits, photometric=1)
    with pytest.raises(InputError, match=rf"have {bits} bits a sample|its kind of {bits} bits"):
        read(tmp_path / "image.tif")


def test_twelve_bits_in_rows_of_odd_length(tmp_path: Path) -> None:
    levels = _rng.integers(0, 4096, (3, 5))
    rows = ["".join(f"{level:012b}" for level in row) for row in levels]
    data = b"".join(int(row + "0" * (-len(row) % 8), 2).to_bytes(-(-len(row) // 8), "big") for row in rows)
    write_by_hand(tmp_path / "image.tif", data, width=5, height=3, bits=12, photometric=1)
    np.testing.assert_array_equal(read(tmp_path / "image.tif"), np.floor(levels * 255 / 4095 + 0.5))


REFUSED: dict[str, tuple[np.ndarray, dict[str, Any], str]] = {
    "float": (GREY.astype(np.float32), {"photometric": "minisblack"}, "its pixels are float32"),
    "float of 16 bits": (COLOUR.astype(np.float16), {"photometric": "rgb"}, "its pixels are float16"),
    "signed": (GREY.view(np.int8), {"photometric": "minisblack"}, "its pixels are int8"),
    "signed 16": (GREY_16.view(np.int16), {"photometric": "minisblack"}, "its pixels are int16"),
    "unsigned 32": (COLOUR.astype(np.uint32), {"photometric": "rgb"}, "its pixels are uint32"),
    "Lab of 8": (COLOUR, {"photometric": "cielab"}, "its colours are CIELAB"),
    "raw sensor": (GREY_16, {"photometric": "cfa"}, "its colours are CFA"),
    "YCbCr of 16": (COLOUR_16, {"photometric": "ycbcr"}, "its colours are YCbCr of 16 bits"),
    "palette of 16": (
        GREY_16,
        {"photometric": "palette", "colormap": np.zeros((3, 65536), np.uint16)},
        "its colours are a palette of 16 bits",
    ),
    "three samples of grey": (
        COLOUR,
        {"photometric": "minisblack", "planarconfig": "contig"},
        "it is grey by its tags",
    ),
    "volume": (np.stack([GREY_16, GREY_16]), {"photometric": "minisblack", "volumetric": True}, "volume of 2 slices"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_other_kinds_are_refused(kind: str, tmp_path: Path) -> None:
    pixels, options, found = REFUSED[kind]
    tifffile.imwrite(tmp_path / "image.tif", pixels, **options)
    with pytest.raises(InputError, match=f"image.tif was to be read as an 8- or 16-bit image, but .*{found}"):
        read(tmp_path / "image.tif")


def test_chroma_that_is_thinned_out_without_compression_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, COLOUR, photometric="ycbcr")
    assert read(path).shape == COLOUR.shape
    with tifffile.TiffFile(path, mode="r+") as file:
        file.pages.first.tags["YCbCrSubSampling"].overwrite((2, 2))
    with pytest.raises(InputError, match="its colours are YCbCr, thinned out and not compressed"):
        read(path)


@pytest.mark.parametrize("pixels", [COLOUR, COLOUR_16], ids=["8", "16"])
def test_of_pages_the_first_is_read_and_that_is_said(
    pixels: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tifffile.imwrite(tmp_path / "pages.tif", np.stack([pixels, pixels[::-1], pixels]), photometric="rgb")
    np.testing.assert_array_equal(decoded(tmp_path / "pages.tif").levels, pixels)
    assert "pages.tif has 3 pages; the first is read" in capsys.readouterr().err


def test_a_thumbnail_before_the_picture_is_not_taken_for_it(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "pages.tif") as file:
        file.write(COLOUR[::3, ::3], photometric="rgb", subfiletype=1)
        file.write(COLOUR, photometric="rgb")
    with pytest.raises(InputError, match="the first of its 2 pages is a thumbnail"):
        read(tmp_path / "pages.tif")


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_wide_files_cut_short_are_refused_wherever_they_end(
    planar: str, compression: str | None, tmp_path: Path
) -> None:
    whole, cut = tmp_path / "whole.tif", tmp_path / "cut.tif"
    pixels = np.resize(COLOUR_16, (40, 50, 3))
    stored = pixels if planar == "contig" else np.moveaxis(pixels, -1, 0)
    tifffile.imwrite(whole, stored, photometric="rgb", planarconfig=planar, compression=compression, rowsperstrip=8)
    data = whole.read_bytes()
    for length in (0, 3, 10, 60, len(data) // 3, len(data) // 2, len(data) * 9 // 10, len(data) - 40):
        cut.write_bytes(data[:length])
        with pytest.raises(InputError, match="cut short") as refused:
            read(cut)
        assert str(cut) in str(refused.value)


def tags(**changed: tuple[int, int, int]) -> bytes:
    """A grey TIFF of 2×2 and 16 bits; `changed` are kind, count and value of a tag by its number, as `t256`."""
    known = {256: (4, 1, 2), 257: (4, 1, 2), 258: (3, 1, 16), 259: (3, 1, 1), 262: (3, 1, 0), 273: (4, 1, 8)}
    known |= {277: (3, 1, 1), 278: (4, 1, 2), 279: (4, 1, 8)}
    known |= {int(name[1:]): value for name, value in changed.items()}
    entries = [struct.pack("<HHII", tag, *value) for tag, value in sorted(known.items())]
    end = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    return b"II*\0" + struct.pack("<I", 16) + b"\0\x80" * 4 + end


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tags(t256=(4, 1, 0)), "which is no size"),
        (tags(t256=(3, 2, 2 | 2 << 16)), "which is no size"),  # a fuzzer's: two widths
        (tags(t277=(3, 1, 0)), "which is no size|samples a pixel"),
        (tags(t262=(3, 1, 2), t277=(3, 1, 60_000), t256=(4, 1, 9000), t257=(4, 1, 9000)), "million pixels"),
    ],
    ids=["none", "two", "no samples", "9 TB of samples"],
)
def test_sizes_that_cannot_be_are_one_message(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(content)
    for reader in (look, decoded):
        with pytest.raises(InputError, match=message):
            reader(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tags(t258=(3, 2, 8 | 16 << 16), t277=(3, 1, 2)), r"different numbers of bits, \(8, 16\)"),
        (tags(t258=(3, 1, 12)), "its pixels are grey of 12 bits packed; that is read of grey only"),
        (tags(t262=(3, 1, 5), t277=(3, 1, 4), t332=(3, 1, 2)), "its inks are not cyan, magenta, yellow and black"),
        (tags(t262=(3, 1, 2)), "it has 1 samples a pixel, too few for its colours"),
        (tags(t258=(3, 1, 4), t262=(3, 1, 2), t277=(3, 1, 3), t279=(4, 1, 6)), "its kind of 4 bits is not read"),
    ],
    ids=["bits", "12 bits", "inks", "colours", "4 bits"],
)
def test_tags_that_would_be_taken_for_others_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(InputError, match=message):
        decoded(tmp_path / "a.tif")


@pytest.mark.parametrize("kept", [9, 60, -60, -2])
def test_lzw_of_16_bits_cut_short_is_refused(kept: int, tmp_path: Path) -> None:
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, COLOUR_16, photometric="rgb", rowsperstrip=9)
    compress(path, COLOUR_16.tobytes())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(InputError, match="image.tif was to be read as an image, but it is not one or is cut short"):
        decoded(path)


def test_what_only_pillow_undoes_is_not_turned_by_it(tmp_path: Path) -> None:
    """It turns TIFFs as their camera was held, which no measurement does."""
    path = tmp_path / "image.tif"
    tifffile.imwrite(path, COLOUR_16, photometric="rgb", rowsperstrip=9, extratags=[(274, 3, 1, 6, True)])
    np.testing.assert_array_equal(decoded(path).levels, COLOUR_16)
    compress(path, COLOUR_16.tobytes())
    with pytest.raises(InputError, match="compressed by LZW, .* if they are to be turned. Save it without compression"):
        decoded(path)


@pytest.mark.parametrize("kind", [2, 4], ids=["words", "a number"])
def test_a_colour_profile_that_is_none_is_left_out(kind: int, tmp_path: Path) -> None:
    """A fuzzer's: a profile that was no bytes ended in a traceback."""
    (tmp_path / "a.tif").write_bytes(tags(t34675=(kind, 1, 7)))
    found = picture.read(tmp_path / "a.tif")
    assert (found.profile, found.levels.tolist()) == (None, [[32767, 32767], [32767, 32767]])


def test_pages_that_go_in_a_circle_come_to_an_end(tmp_path: Path) -> None:
    content = tags()
    (tmp_path / "a.tif").write_bytes(content[:-4] + struct.pack("<I", 16))
    assert read(tmp_path / "a.tif").shape == (2, 2)


def test_pixels_of_another_shape_than_the_tags_say_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever tifffile makes of a file: no number is taken of pixels that lie elsewhere."""
    tifffile.imwrite(tmp_path / "a.tif", COLOUR_16)
    monkeypatch.setattr(tifffile.TiffPage, "asarray", lambda _: COLOUR_16.swapaxes(0, 1))
    with pytest.raises(InputError, match=r"its tags promise \(9, 13, 3\), but its pixels are \(13, 9, 3\)"):
        read(tmp_path / "a.tif")
