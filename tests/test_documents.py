"""The documents keep their promises: commands exist with these options, links lead somewhere, quick commands run.

And they can be read: no sentence is long.
"""

import os
import re
import shlex
import shutil
from pathlib import Path
from statistics import mean

import click
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from srrepro.cli import VERBS, main
from srrepro.data.registry import DataFolder
from srrepro.evaluation import measure
from srrepro.pixels.resize import imresize
from srrepro.protocols.degradation import modcrop

ROOT = Path(__file__).parents[1]
EXPERIMENTS = sorted((ROOT / "docs" / "experiments").glob("*.md"))
FOLDERS = (ROOT, *(ROOT / name for name in ("bench", "datasets", "docs", "results")))
PAGES = [*(page for folder in FOLDERS for page in sorted(folder.glob("*.md"))), *EXPERIMENTS]
READ_ONCE = [page for page in PAGES if page.name not in {"README.zh.md", "CHANGELOG.md", "tables.md"}]
LONGEST, LONGEST_OF_EXPERIMENTS, MEAN = 40, 45, 20
"""Words in a sentence; some 15 are the aim (CONTRIBUTING.md)."""
pytestmark = pytest.mark.skipif(not (ROOT / "docs").is_dir(), reason="the documents lie in a clone only")

COMMAND = re.compile(r"^    (?:python3 .*&& )?(?:\.venv/bin/)?srrepro (.*)$", re.MULTILINE)
QUICK = (
    "upscale tests/cases/rgb.png large.png --scale 3 --compare",
    "evaluate srcnn-915-quick --scale 3 --set demo-test --per-image",
    "doctor",
)
"""Those of the first page that take seconds."""
SPEED, FIRST_HOUR = "docs/speed.md", "docs/getting-started.md"
"""Pages whose commands take minutes, also where others have the same: `bench`, and a training to its end."""
TRAINING = ["train", "srcnn-915-quick", "--scale", "3"]


def commands(page: Path) -> list[list[str]]:
    """Of a page's blocks, without comments."""
    found = COMMAND.findall(page.read_text(encoding="utf-8"))
    return [shlex.split(line, comments=True) for line in found if "|" not in line and "VERB" not in line]


RUN = [str(page.relative_to(ROOT)) for page in READ_ONCE if commands(page) and page.name != "cluster.md"]
"""Those with commands; tests/jobs/test_cluster.py runs the commands of the guide to clusters on one."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_exist_with_their_options(page: Path) -> None:
    for words in commands(page):
        words = words[: words.index(">")] if ">" in words else words
        verb, *rest = words
        if verb.startswith("-"):
            continue
        assert verb in VERBS, words
        command = main.get_command(click.Context(main), verb)
        assert command is not None
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= known, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("name", ["README.md", "README.zh.md"])
def test_the_first_page_is_short_and_says_the_same(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert text.count("\n") <= 120
    assert commands(ROOT / name) == commands(ROOT / "README.md")
    assert re.findall(r"\d\d\.\d{2,3}", text) == re.findall(r"\d\d\.\d{2,3}", (ROOT / "README.md").read_text("utf-8"))


@pytest.mark.parametrize("command", QUICK)
def test_quick_commands_of_the_first_page_run(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(command)
    assert words in commands(ROOT / "README.md")
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    if "--compare" in words:
        assert (tmp_path / "large_compare.png").exists()


def shortened(words: list[str]) -> list[str]:
    """As on the page, but what its reader waits minutes or hours for: some seconds of it, or the quickest part."""
    verb, *rest = words
    if verb in {"train", "run-all"} and "--plan" not in rest:
        place = rest.index("--for") if "--for" in rest else len(rest)
        return [verb, *rest[:place], *rest[place + 2 :], "--for", "20s"]
    if verb == "bench" and "--model" not in rest:
        return [*words, "--model", "srcnn-915"]
    return [*words, "--set", "demo-test"] if words == ["check", "--full"] else words


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", RUN)
def test_the_other_commands_run(name: str, mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, in an own folder, which has what the page's reader has."""
    monkeypatch.setenv("SRREPRO_MIRROR", str(mirror))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for folder in ("tests", "results"):
        shutil.copytree(ROOT / folder, folder, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    shutil.copy(ROOT / "tests" / "cases" / "srcnn_x3.pth", "my_srcnn.pth")
    Image.open(ROOT / "tests" / "cases" / "rgb.png").save("photo.jpg")
    for picture in ("holiday/a.jpg", "scans/page.tif", "cover.png"):
        Path(picture).parent.mkdir(exist_ok=True)
        Image.open("photo.jpg").save(picture)
    small_images_of_somebody(tmp_path, mirror)
    for folder in ("my-pictures", "my-results"):
        words = ["evaluate", "my_srcnn.pth", "--scale", "3", "--set", "Set5", "--save", folder]
        assert CliRunner().invoke(main, words).exit_code == 0
        for path in Path(folder).glob("*_error.png"):
            path.unlink()
    for words in commands(ROOT / name):
        if words[0] == "import":
            continue  # what a GPU sends home has a test of its own
        if words[0] == "bench" and name != SPEED:
            assert words in commands(ROOT / SPEED)
            continue
        if (name, words) != (FIRST_HOUR, TRAINING):
            words = shortened([os.path.expanduser(word) for word in words])
        compares = words[0] == "bench" and "--compare" in words
        monkeypatch.chdir(ROOT if compares else tmp_path)  # a clone's commits
        result = CliRunner().invoke(main, words)
        if "cuda" in words and not torch.cuda.is_available():
            assert result.exit_code == 2
            assert "PyTorch sees no CUDA device here" in result.output
        elif compares:
            assert result.exit_code in {0, 1}, f"{words}: {result.output}"
        else:
            assert result.exit_code == 0, f"{words}: {result.output}"


def small_images_of_somebody(folder: Path, mirror: Path) -> None:
    """`Set5/HR` and `Set5/LR_bicubic/X3`, as people have them."""
    data = DataFolder(folder / "datasets", mirror)
    for name, pixels in measure.TestSet("Set5").photographs(data):
        high = modcrop(pixels, 3)
        for place, image in (("HR", high), ("LR_bicubic/X3", imresize(high, 1 / 3))):
            path = folder / "Set5" / place / f"{Path(name).stem}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)


def sentences(text: str) -> list[str]:
    """Of a page's paragraphs and lists; without code, tables, headings, comments, and the targets of links."""
    text = re.sub(r"<!--.*?-->|^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^(\||#| {4,}\S).*$", "", text, flags=re.MULTILINE)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", re.sub(r"`[^`]*`", "code", text))
    items = re.split(r"\n\s*\n|^ *(?:[-*]|\d+\.) ", text.replace("**", ""), flags=re.MULTILINE)
    found = [re.split(r"(?<=[.!?])[)\"]*\s+(?=[A-Z0-9×\"(]|code|srrepro)", " ".join(item.split())) for item in items]
    return [sentence for item in found for sentence in item if sentence]


def words_of(sentence: str) -> int:
    return sum(any(letter.isalnum() for letter in word) for word in sentence.split())


@pytest.mark.parametrize("page", READ_ONCE, ids=lambda page: str(page.relative_to(ROOT)))
def test_sentences_are_short(page: Path) -> None:
    found = sentences(page.read_text(encoding="utf-8"))
    longest = LONGEST_OF_EXPERIMENTS if page in EXPERIMENTS or page.name == "decisions.md" else LONGEST
    assert not [sentence for sentence in found if words_of(sentence) > longest]
    assert mean(map(words_of, found)) < MEAN


def test_sentences_are_found() -> None:
    page = """# A heading. Not read

It ends at 0.5 dB, e.g. here. `a. b` is [one](x.md) word (in
two lines). **Yes**:

    code. Not read.

| table. | Not read |

1. An item
   of two lines.
- Another
"""
    assert sentences(page) == [
        "It ends at 0.5 dB, e.g. here.",
        "code is one word (in two lines).",
        "Yes:",
        "An item of two lines.",
        "Another",
    ]
    assert words_of("×3 gives 0.5 dB – or so.") == 6
