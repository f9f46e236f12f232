"""`srrepro upscale`: many pictures in one call, nothing half-written, and the truth about every one."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from click.testing import CliRunner, Result
from PIL import Image

from srrepro.cli import main
from srrepro.data.registry import DataFolder
from srrepro.evaluation import pictures
from srrepro.evaluation.pictures import Enlarger
from srrepro.hardware import Hardware
from srrepro.pixels import picture

CASES = Path(__file__).parent / "cases"


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Three pictures and a broken one."""
    folder = tmp_path / "album"
    folder.mkdir()
    for number, suffix in enumerate((".png", ".jpg", ".webp")):
        Image.fromarray(skimage.data.chelsea()[100:120, 100 : 125 + number]).save(folder / f"photo{number}{suffix}")
    (folder / "broken.png").write_bytes((folder / "photo0.png").read_bytes()[:200])
    return folder


def upscale(*words: object) -> Result:
    result = CliRunner().invoke(main, ["upscale", *map(str, words)])
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    return result


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_one_broken_file_stops_no_other(album: Path, tmp_path: Path) -> None:
    result = upscale(album, tmp_path / "large", "--scale", 2, "--model", "bicubic")
    assert result.exit_code == 1
    assert names(tmp_path / "large") == ["photo0_x2.png", "photo1_x2.jpg", "photo2_x2.webp"]
    assert result.stdout.count("written: ") == 3
    assert f"not enlarged: {album / 'broken.png'} was to be read as an image, but" in result.stderr
    assert f"Error: 1 of 4 pictures were not enlarged: {album / 'broken.png'}." in result.stderr


def test_one_that_is_alone_is_an_error(album: Path, tmp_path: Path) -> None:
    result = upscale(album / "broken.png", tmp_path / "large.png", "--scale", 2, "--model", "bicubic")
    assert result.exit_code == 2
    assert "cut short" in result.stderr
    assert not (tmp_path / "large.png").exists()


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("--model", "none"), "'none' is neither a weight file"),
        (("gone.png",), "gone.png was to be read as an image, but there is no such file"),
    ],
)
def test_everything_is_checked_before_work(words: tuple[str, ...], found: str, album: Path, tmp_path: Path) -> None:
    result = upscale(album, *words, tmp_path / "large", "--scale", 3)
    assert result.exit_code == 2
    assert found in result.stderr
    assert names(tmp_path) == ["album"]


def test_a_pattern_that_no_shell_has_seen(album: Path, tmp_path: Path) -> None:
    result = upscale(album / "photo*.*", tmp_path / "large", "--scale", 1.5, "--model", "bicubic")
    assert result.exit_code == 0
    assert names(tmp_path / "large") == ["photo0_x1.5.png", "photo1_x1.5.jpg", "photo2_x1.5.webp"]
    assert f"written: {tmp_path / 'large' / 'photo0_x1.5.png'}, 38×30, by bicubic, reduced by bicubic" in result.stdout


def test_a_comparison_is_written_beside(album: Path, tmp_path: Path) -> None:
    result = upscale(album / "photo0.png", tmp_path / "large.jpg", "--scale", 3, "--compare")
    assert result.exit_code == 0
    assert names(tmp_path) == ["album", "large.jpg", "large_compare.png"]
    both = picture.read(tmp_path / "large_compare.png")
    assert both.size[0] == 2 * 75 + 3
    network, bicubic = both.levels[-60:, -75:], both.levels[-60:, :75]
    assert (network != bicubic).any()
    written = picture.read(tmp_path / "large.jpg").levels
    assert np.abs(network.astype(int) - written).mean() < 3 < np.abs(network.astype(int) - bicubic).max()


def test_transparency_goes_where_it_can_be_kept(tmp_path: Path) -> None:
    result = upscale(CASES / "alpha.png", tmp_path / "large.jpg", "--scale", 2, "--model", "bicubic")
    assert result.exit_code == 2
    assert "transparent in part, which JPEG cannot be. Name a .png, .tif or .webp file" in result.stderr
    for suffix in (".png", ".tif", ".webp"):
        assert (
            upscale(CASES / "alpha.png", tmp_path / f"large{suffix}", "--scale", 2, "--model", "bicubic").exit_code == 0
        )
        assert picture.read(tmp_path / f"large{suffix}").alpha is not None


def test_16_bits_stay_16(tmp_path: Path) -> None:
    for target in ("large.png", "large.tif"):
        assert upscale(CASES / "planar16.tif", tmp_path / target, "--scale", 2, "--model", "bicubic").exit_code == 0
        assert picture.read(tmp_path / target).wide
    result = upscale(CASES / "planar16.tif", tmp_path / "large.jpg", "--scale", 2, "--model", "bicubic")
    assert "has 16 bits a channel, and JPEG holds 8" in result.stderr


def test_beyond_four_two_networks_follow_each_other(album: Path, tmp_path: Path) -> None:
    result = upscale(album / "photo0.png", tmp_path / "large.png", "--scale", 5)
    assert "125×100, by srcnn-915-quick x3 x2, reduced by bicubic" in result.stdout


def test_a_gif_is_called_one(tmp_path: Path) -> None:
    shutil.copy(CASES / "anim.gif", tmp_path)
    assert "it is a GIF file" in upscale(tmp_path / "anim.gif", tmp_path / "large.png", "--scale", 2).stderr
    assert "1 .gif (anim.gif)" in upscale(tmp_path, tmp_path / "large", "--scale", 2).stderr


def test_when_interrupted_what_is_done_stays_and_is_named(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = picture.write, []

    def interrupted(path: Path, large: picture.Picture) -> None:
        if written:
            raise KeyboardInterrupt
        written.append(path)
        write(path, large)

    monkeypatch.setattr(picture, "write", interrupted)
    result = upscale(album, tmp_path / "large", "--scale", 2, "--model", "bicubic")
    assert result.exit_code == 1
    assert names(tmp_path / "large") == ["photo0_x2.png"]
    assert result.stdout.count("written: ") == 1


# Memory.


def test_a_picture_that_does_not_fit_is_refused_before_the_work(
    album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "free_memory", lambda: 1 << 20)
    result = upscale(album / "photo0.png", tmp_path / "large.png", "--scale", 16, "--model", "bicubic")
    assert result.exit_code == 2
    assert "A picture of 25×20 was to be enlarged to 400×320 by bicubic, which takes about 0.0" in result.stderr
    assert "GiB, but 0.000977 are free. Cut it into parts, choose a smaller scale, or" in result.stderr
    assert names(tmp_path) == ["album"]
    result = upscale(album / "photo*.*", tmp_path / "large", "--scale", 16, "--model", "bicubic")
    assert result.exit_code == 1
    assert result.stderr.count("not enlarged: A picture of") == 3
    monkeypatch.setattr(pictures, "free_memory", lambda: None)
    assert upscale(album / "photo0.png", tmp_path / "large.png", "--scale", 16, "--model", "bicubic").exit_code == 0


@pytest.mark.parametrize("take", [lambda: np.empty(1 << 58), lambda: torch.empty(1 << 58)], ids=["numpy", "torch"])
def test_memory_that_runs_out_is_one_sentence(
    take: Callable[[], object], album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Enlarger, "enlarge", lambda *_: iter([take()]))
    result = upscale(album / "photo0.png", tmp_path / "large.png", "--scale", 2, "--model", "bicubic")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: There is not enough memory (")
    assert result.stderr.endswith("Give a smaller --memory, a smaller image, or stop other programs.\n")
    result = upscale(album / "photo*.*", tmp_path / "large", "--scale", 2, "--model", "bicubic")
    assert result.exit_code == 1
    assert result.stderr.count("There is not enough memory (") == 3
    assert names(tmp_path) == ["album"]


def test_another_error_is_none_of_memory(album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        msg = "a fault of ours"
        raise RuntimeError(msg)

    monkeypatch.setattr(Enlarger, "enlarge", broken)
    words = ["upscale", str(album / "photo0.png"), str(tmp_path / "large.png"), "--scale", "2", "--model", "bicubic"]
    with pytest.raises(RuntimeError, match="a fault of ours"):
        CliRunner().invoke(main, words, catch_exceptions=False)


def test_what_a_picture_takes_grows_with_it_and_shrinks_with_the_memory() -> None:
    def taken(scale: float, memory: int, size: int = 400, compare: bool = False) -> int:
        enlarger = Enlarger.load("bicubic", scale, folder=DataFolder(Path()), hardware=Hardware(memory=memory << 20))
        grey = picture.Picture(np.zeros((size, size), np.uint8))
        return enlarger.bytes_for(grey, compare=compare)

    assert taken(4, 8) - taken(2, 8) >= 3 * 400**2 * (16 - 4) - (1 << 20)
    assert taken(4, 8) < taken(4, 64)
    assert taken(3.5, 8) > taken(4, 8)
    assert taken(4, 8, compare=True) > taken(4, 8)
