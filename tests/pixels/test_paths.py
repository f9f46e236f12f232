"""Which pictures a command line names, and where they go; every clash is found before work begins."""

from pathlib import Path

import pytest

from srrepro.errors import InputError
from srrepro.pixels.paths import Job, jobs


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two folders of pictures in the current one, which is home."""
    for name in ("a.png", "b.JPG", "album/c.tif", "album/d.webp", "other/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return tmp_path


def planned(*words: str, scale: float = 3, compare: bool = False, force: bool = False) -> list[Job]:
    return jobs(words[:-1], words[-1], scale, compare=compare, force=force)


def targets(*words: str, scale: float = 3) -> list[str]:
    return [job.target.as_posix() for job in planned(*words, scale=scale)]


def test_one_file_goes_to_a_file_or_into_a_folder(here: Path) -> None:
    assert targets("a.png", "out.jpg") == ["out.jpg"]
    assert targets("a.png", "album") == ["album/a_x3.png"]
    assert targets("a.png", "new/", scale=2.5) == ["new/a_x2.5.png"]
    assert not Path("new").exists()  # made when the work begins


def test_several_go_into_a_folder(here: Path) -> None:
    assert targets("a.png", "b.JPG", "new") == ["new/a_x3.png", "new/b_x3.JPG"]
    assert targets("album", "new") == ["new/c_x3.tif", "new/d_x3.webp"]
    assert targets("*/*.??*", "~/new") == [
        (here / f"new/{n}").as_posix() for n in ("c_x3.tif", "d_x3.webp", "a_x3.png")
    ]


def test_a_pattern_and_home_are_understood(here: Path) -> None:
    assert [job.source for job in planned("~/album/*.tif", "new/")] == [here / "album/c.tif"]
    assert [job.source for job in planned("~/a.png", "new/")] == [here / "a.png"]


def test_a_name_with_brackets_is_a_name(here: Path) -> None:
    Path("photo[1].png").touch()
    assert targets("photo[1].png", "new/") == ["new/photo[1]_x3.png"]


def test_what_is_named_twice_is_enlarged_once(here: Path) -> None:
    assert targets("a.png", "./a.png", "*.png", "new") == ["new/a_x3.png"]


def test_a_comparison_stands_beside(here: Path) -> None:
    (job,) = planned("a.png", "large.jpg", compare=True)
    assert job.compared == Path("large_compare.png")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("gone.png", "out.png"), "gone.png was to be read as an image, but there is no such file"),
        (("a.png", "gone.png", "new"), "gone.png was to be read as an image, but there is no such file"),
        (("gone*.png", "new"), r"gone\*.png was named as pictures, but no file has such a name"),
        (
            ("a.png", "b.JPG", "out.png"),
            "2 pictures were to be written to out.png, which names one file. Name a folder",
        ),
        (("album", "out.png"), "2 pictures were to be written to out.png"),
        (("a.png", "new"), "'no suffix' is none of .*A folder that is not there yet is named with a / at its end"),
        (("a.png", "other/a.png", "new"), "and so was a.png. Give them different names or folders"),
        (("a.png", "b.JPG", "a.png/new"), "a.png is a file. Name a folder"),
    ],
)
def test_what_cannot_be_done_is_one_message(words: tuple[str, ...], found: str, here: Path) -> None:
    with pytest.raises(InputError, match=found):
        planned(*words)
    assert not Path("new").exists()


def test_a_folder_that_may_not_be_written_is_called_so(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda *_: False)  # whoever is root may write anywhere
    with pytest.raises(InputError, match="into the folder new, but nothing may be written to"):
        planned("a.png", "new/")


def test_nothing_is_replaced_unasked(here: Path) -> None:
    Path("large.png").touch()
    Path("album/a_x3_compare.png").touch()
    with pytest.raises(InputError, match=r"large.png, but there is one already. .*--force"):
        planned("a.png", "large.png")
    planned("a.png", "large.png", force=True)
    planned("a.png", "album")
    with pytest.raises(InputError, match="a_x3_compare.png, but there is one already"):
        planned("a.png", "album", compare=True)


def test_names_that_differ_by_case_alone_clash(here: Path) -> None:
    Path("album/A.png").touch()
    with pytest.raises(InputError, match="and so was a.png"):
        planned("a.png", "album/A.png", "new")


def test_no_picture_is_written_over_another_that_is_to_be_enlarged(here: Path) -> None:
    Path("a_x3.png").touch()
    with pytest.raises(InputError, match="a_x3.png, which is to be enlarged itself"):
        planned("a.png", "a_x3.png", ".", force=True)
