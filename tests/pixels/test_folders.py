"""Of a folder, the images that are meant; everything else is said, and nothing where there is nothing to say."""

import re
from pathlib import Path

import pytest

from srrepro.errors import InputError
from srrepro.pixels.folders import folder_images, folder_pictures

CASES = Path(__file__).parents[1] / "cases"


def made(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def names(folder: Path) -> list[str]:
    return [path.name for path in folder_images(folder)]


def test_images_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    made(tmp_path, "b.png", "a.bmp", "c.JPG", "img_10.tif", "img_2.tiff", "d.jpeg", "e.webp", "f.jfif")
    assert names(tmp_path) == ["a.bmp", "b.png", "c.JPG", "d.jpeg", "e.webp", "f.jfif", "img_10.tif", "img_2.tiff"]


@pytest.mark.parametrize(
    "found", [("a.png", "b.PNG"), ("a.jpg", "b.jpeg", "c.jfif"), ("a.tif", ".DS_Store", "Thumbs.db")]
)
def test_one_kind_and_nothing_else_says_nothing(
    found: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert len(folder_images(made(tmp_path, *found))) == sum("." in name[1:] and name != "Thumbs.db" for name in found)
    assert capsys.readouterr().err == ""


def test_everything_that_is_left_out_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path, "a.png", "._a.png", ".b.png", "c.gif", "d.gif", "notes.txt", "README", "small/x.png", "small/y.png")
    made(tmp_path, "empty/text.txt", "folder.png/inside.png")
    (tmp_path / "gone.png").symlink_to(tmp_path / "nowhere.png")
    assert names(tmp_path) == ["a.png"]
    said = capsys.readouterr().err
    for part in (
        f"{tmp_path}: taken 1 PNG; left out ",
        "1 of macOS (AppleDouble) (._a.png)",
        "1 hidden (.b.png)",
        "2 .gif (c.gif, d.gif)",
        "1 .txt (notes.txt)",
        "1 without a suffix (README)",
        "1 links to nothing (gone.png)",
        "2 in folders below (folder.png: 1, small: 2)",
    ):
        assert part in said
    assert "empty" not in said


def test_kinds_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    assert names(CASES / "webp_folder") == ["a.png", "b.webp", "c.jfif"]
    assert "taken 1 PNG, 1 WebP, 1 JPEG\n" in capsys.readouterr().err


def test_what_macos_leaves_behind_fails_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert names(CASES / "mac_folder") == ["photo.png"]
    assert "left out 1 of macOS" in capsys.readouterr().err


def test_originals_are_taken_from_beside_their_small_images(capsys: pytest.CaptureFixture[str]) -> None:
    assert names(CASES / "image_SRF_3") == ["img_001_SRF_3_HR.png", "img_002_SRF_3_HR.png"]
    assert "taken 2 PNG; left out 2 named _LR (img_001_SRF_3_LR.png, " in capsys.readouterr().err
    assert len(folder_pictures(CASES / "image_SRF_3")) == 4  # to enlarge, not to measure


def test_results_of_others_beside_them_are_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made(tmp_path, *(f"img_{number}_{end}.png" for number in (1, 10) for end in ("HR", "LR", "bicubic", "A+")))
    assert names(tmp_path) == ["img_10_HR.png", "img_1_HR.png"]
    said = capsys.readouterr().err
    assert all(f"2 named _{end}" in said for end in ("LR", "bicubic", "A+"))


@pytest.mark.parametrize(
    ("found", "strangers"),
    [
        (("a_HR.png", "a_LR.png", "b.png"), "1 that are neither for sure (b.png)"),
        (("a_HR.png", "a_LR.png", "b_LR.png"), "1 that are neither for sure (b_LR.png)"),
        (("a.png", "a_LR.png"), "2 that are neither for sure (a.png, a_LR.png)"),
    ],
)
def test_what_may_be_an_original_or_not_is_refused(found: tuple[str, ...], strangers: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=re.escape(strangers)):
        folder_images(made(tmp_path, *found))


def test_names_in_hr_alone_are_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert names(made(tmp_path, "a_HR.png", "b.png")) == ["a_HR.png", "b.png"]
    assert capsys.readouterr().err == ""


def test_small_images_alone_are_taken_and_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert names(made(tmp_path, "a_LR.png", "b_LR.png")) == ["a_LR.png", "b_LR.png"]
    assert "all 2 images are named _LR" in capsys.readouterr().err


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no image \(.*\.png.*\); there are 1 \.txt \(notes\.txt\)\."):
        folder_images(made(tmp_path, "notes.txt"))


def test_a_folder_of_folders_names_those_with_images(tmp_path: Path) -> None:
    made(tmp_path, "HR/a.png", "HR/b.png", "LR/a.png", "text/notes.txt")
    with pytest.raises(InputError, match=r"Folders below it do \(HR: 2, LR: 1\): name one of them"):
        folder_images(tmp_path)


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such folder"):
        folder_images(tmp_path / "absent")


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such folder"):
        folder_images(made(tmp_path, "image.png") / "image.png")
