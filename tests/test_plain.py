"""Names of strangers, wherever they are shown: nothing acts on them, and no table breaks."""

import csv
import io
import re
import unicodedata
from contextlib import redirect_stderr
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

import srrepro
from srrepro import progress
from srrepro.cli import main
from srrepro.errors import InputError
from srrepro.evaluation.measure import TestSet
from srrepro.plain import in_a_line, in_a_sheet, in_markdown, is_name, plain
from srrepro.reporting.tabulated import MARKDOWN, as_csv, tabulated

HOSTILE = (
    "a|b",
    "a\nb",
    "a\r\nb",
    "<script>alert(1)</script>",
    "=cmd|' /C calc'!A0",
    "@SUM(1)",
    " =1+1",
    "\t=1",
    "a\x1b[31mred\x1b]0;title\x07",
    "\u202egnp.exe",
    "[x](javascript:1)",
    "\udcff\udcfe",
    "a\u2028b",
    "\x9b31m",
)
STRANGE = "|\n\r\t=+-@<>[]()\x1b\x9b\u202e\u2066\u2028\\'\"a1 "
NAMES = st.one_of(st.text(max_size=30), st.text(alphabet=STRANGE, max_size=12))


def acts(text: str) -> list[str]:
    """Characters that a terminal acts on, and what cannot be written."""
    return [each for each in text if each != "\n" and unicodedata.category(each) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]


@given(NAMES)
@example("\x1b[2J")
def test_plain_text_does_nothing_and_can_be_written(name: str) -> None:
    for shown in (plain(name), in_a_line(name), in_markdown(name), in_a_sheet(name), str(InputError(name))):
        assert not acts(shown)
        shown.encode()
    assert "\n" not in in_a_line(name)


@given(st.text(alphabet=st.characters(categories=["L", "N", "P", "S", "Mn"]), max_size=30))
def test_names_in_any_writing_are_shown_as_they_are(name: str) -> None:
    assert plain(name) == name


@given(st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=4))
@example([(name, name) for name in HOSTILE])
def test_a_markdown_table_keeps_its_rows_and_columns(cells: list[tuple[str, str]]) -> None:
    lines = tabulated([{"image": first, "note": second} for first, second in cells], form=MARKDOWN).split("\n")
    assert len(lines) == 2 + len(cells)
    for line in lines:
        assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == 3, line
        assert "<" not in line
        assert not re.search(r"(?<!\\)\[", line)


@given(st.lists(st.tuples(NAMES, NAMES), min_size=1, max_size=4))
@example([(name, name) for name in HOSTILE])
def test_a_spreadsheet_computes_nothing(cells: list[tuple[str, str]]) -> None:
    text = as_csv(pd.DataFrame(cells, columns=["image", "=1+1"]).assign(gap=-0.5))
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert len(rows) == 1 + len(cells)
    assert all(len(row) == 3 for row in rows)
    for row in rows:
        assert not any(cell.lstrip().startswith(("=", "+", "-", "@")) for cell in row[:2])
    assert {row[2] for row in rows[1:]} == {"-0.5"}  # numbers stay numbers


def test_every_table_and_csv_file_is_made_in_one_place() -> None:
    """Evidence is read back as it was written, and rows of `speed.csv` hold nobody's names."""
    package = Path(srrepro.__file__).parent
    sources = {str(path.relative_to(package)): path.read_text(encoding="utf-8") for path in package.rglob("*.py")}
    assert [name for name, text in sources.items() if "from tabulate" in text] == ["reporting/tabulated.py"]
    written = sorted(name for name, text in sources.items() if ".to_csv(" in text)
    assert written == ["reporting/evidence.py", "reporting/tabulated.py", "timing/speed.py"]


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_lines_and_bars_are_plain(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with redirect_stderr(io.StringIO()) as told:
        progress.say(f"{name} is read")
    assert not acts(told.getvalue())
    assert told.getvalue().count("\n") == 1


@pytest.mark.parametrize("name", ["[/red]", "[bold]x", "a\x1b[31m"])
def test_a_bar_takes_no_name_for_markup(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    monkeypatch.setattr(progress, "_on_a_terminal", lambda: True)
    screen = io.StringIO()
    monkeypatch.setattr(progress, "_console", lambda: Console(file=screen, force_terminal=True, width=200))
    assert list(progress.track([1, 2], f"measuring {name}", total=2)) == [1, 2]
    assert f"measuring {plain(name)}" in screen.getvalue()


def test_names_of_files_reach_the_terminal_and_the_sheet_as_plain_text(tmp_path: Path) -> None:
    """Through the real command: a folder of somebody's pictures, measured and saved."""
    folder = tmp_path / "a\x1b[31mred"
    folder.mkdir()
    for name in ("=cmd|x\x1b[0m.png", "b\u202egnp.png", "c\nd.png", "e|<script>.png"):
        Image.effect_noise((40, 40), 20).save(folder / name)
    words = [
        "evaluate",
        "bicubic",
        "--scale",
        "2",
        "--set",
        f"mine={folder}",
        "--per-image",
        "--save",
        tmp_path / "out",
    ]
    done = CliRunner().invoke(main, [*map(str, words), "--csv", str(tmp_path / "o.csv")])
    assert done.exit_code == 0, done.output
    assert not acts(done.output)
    with (tmp_path / "o.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"][0] for row in rows] == ["'", "b", "c", "e"]
    assert sorted(tmp_path.iterdir()) == sorted([folder, tmp_path / "o.csv", tmp_path / "out"])
    assert len(list((tmp_path / "out").iterdir())) == 8


@pytest.mark.parametrize("name", ["../x", "a/b", "a|b", "+x", "<b>", "a\nb", "-x"])
def test_a_set_of_ones_own_has_a_name_and_no_path(name: str, tmp_path: Path) -> None:
    assert not is_name(name)
    with pytest.raises(InputError, match="its name is none: letters and digits"):
        TestSet.parse(f"{name}={tmp_path}")


def test_a_message_of_an_error_is_plain() -> None:
    done = CliRunner().invoke(main, ["upscale", "a\x1b[31m.png", "b.png", "--scale", "2"])
    assert done.exit_code == 2
    assert not acts(done.output)
    assert r"a\x1b[31m.png" in done.output


def test_lines_about_what_was_written_are_plain(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    Image.effect_noise((8, 8), 20).save(tmp_path / "in" / "a\x1b[31m\u202e.png")
    words = ["upscale", str(tmp_path / "in"), f"{tmp_path / 'out'}/", "--scale", "2", "--model", "bicubic"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert r"\u202e_x2.png" in done.output  # click itself drops escape codes where there is no terminal
    assert not acts(done.output)
