"""The command line: what each verb prints, writes and exits with."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import skimage.data
import torch
from click.shell_completion import ShellComplete
from click.testing import CliRunner, Result
from filelock import FileLock
from PIL import Image
from torch import Tensor

from srrepro import __version__, hardware, models
from srrepro.cli import main
from srrepro.data.registry import DataFolder, sets
from srrepro.data.stores import prepare_training
from srrepro.errors import Stopped
from srrepro.evaluation.upscaler import load
from srrepro.hardware import MEMORY, Hardware, fastest_mode, fastest_precision
from srrepro.jobs import plan, suites
from srrepro.jobs.job import Measure, Train
from srrepro.jobs.suites import SUITES
from srrepro.models.recipe import SGD, Constant, Patches, Recipe
from srrepro.models.srcnn import ThreeLayers
from srrepro.options import LAST_SEED
from srrepro.pixels import images
from srrepro.pixels.picture import read as read_picture
from srrepro.pixels.resize import imresize
from srrepro.protocols.named import PROTOCOLS, VDSR_Y
from srrepro.reporting import provenance
from srrepro.reporting.evidence import read_all
from srrepro.reporting.tables import COLUMNS, marks
from srrepro.timing import speed
from srrepro.training import checkpoint, deadline
from srrepro.training.carry import CHECKPOINT
from srrepro.training.engine import Engine
from srrepro.training.run import SEEDS, Run

MARKS = marks("results")
CONTEXT = click.Context(main)
VERBS = {name: main.get_command(CONTEXT, name) for name in main.list_commands(CONTEXT)}


def srrepro(*words: object, env: dict[str, str | None] | None = None) -> Result:
    """Run the command; a traceback is never an answer."""
    result = CliRunner(env={"SRREPRO_DATA": None, "SRREPRO_MIRROR": None} | (env or {})).invoke(
        main, list(map(str, words))
    )
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    assert "Traceback" not in result.output
    return result


def refused(*words: object, code: int = 2) -> str:
    """The one message of a command that must fail."""
    result = srrepro(*words)
    assert result.exit_code == code, result.output
    assert result.stderr.count("Error: ") == 1
    assert "Error: " not in result.stdout
    return result.stderr.partition("Error: ")[2]


def succeeded(*words: object, env: dict[str, str | None] | None = None) -> str:
    result = srrepro(*words, env=env)
    assert result.exit_code == 0, result.output
    return result.stdout


def strict_json(text: str) -> Any:
    def no_number(word: str) -> None:
        pytest.fail(f"{word} is no JSON")

    return json.loads(text, parse_constant=no_number)


# Help and lists.


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(verb: str) -> None:
    text = succeeded(verb, "--help")
    example = re.search(rf"Example: srrepro {verb}( [^\n]*)?", " ".join(text.split()))
    assert example, text
    known = {option for parameter in VERBS[verb].params for option in parameter.opts}
    assert set(re.findall(r"--[\w-]+", example[0])) <= known
    assert succeeded(verb, "-h") == text


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_of_a_verb_is_explained(verb: str) -> None:
    """By its help, or by a name and default that say it all."""
    for parameter in VERBS[verb].params:
        if isinstance(parameter, click.Option):
            assert parameter.help or parameter.show_default, f"{verb} {parameter.opts}"


def test_the_group_lists_all_verbs_and_its_version() -> None:
    text = succeeded("--help")
    assert all(re.search(rf"^  {verb} ", text, re.MULTILINE) for verb in VERBS)
    assert __version__ in succeeded("--version")


def test_list_names_what_exists() -> None:
    text = succeeded("list")
    assert max(map(len, text.splitlines())) <= 80
    words = set(text.split())
    for names in (models.recipes(), models.authors(), PROTOCOLS, sets(), SUITES):
        assert set(names) <= words


@pytest.mark.parametrize("name", models.recipes())
def test_show_prints_every_field_with_its_source(name: str) -> None:
    assert max(map(len, succeeded("show", name).splitlines())) <= 80
    lines = succeeded("show", name).splitlines()
    assert re.fullmatch(r"field +value +source", lines[0].strip())
    assert any(re.match(rf"name +{name}\b", line) for line in lines)


def test_show_gives_sources() -> None:
    text = succeeded("show", "srcnn-915")
    assert re.search(r"training\.backprops +800,000,000 +paper: ", text)
    assert re.search(r"training\.batch +128 +code:", text)


def test_python_m_is_the_command() -> None:
    words = (sys.executable, "-m", "srrepro", "show", "srcnn-951")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "Error: There is no recipe 'srcnn-951'. Did you mean srcnn-955, srcnn-935 or srcnn-915?\n"


def completed(*words: str) -> list[str]:
    """What a shell is offered for the last word."""
    shell = ShellComplete(main, {}, "srrepro", "_SRREPRO_COMPLETE")
    return [item.value for item in shell.get_completions(list(words[:-1]), words[-1])]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("ev",), ["evaluate"]),
        (("show", "vdsr-t91-m"), ["vdsr-t91-muon", "vdsr-t91-muon-overlap"]),
        (("train", "fsr"), ["fsrcnn", "fsrcnn-s-quick"]),
        (("export", "fsrcnn-"), ["fsrcnn-s-quick", "fsrcnn-authors", "fsrcnn-s-authors"]),
        (("prepare", "Set"), ["Set5", "Set14"]),
        (("train", "srcnn-915", "--scale", ""), ["2", "3", "4"]),
        (("run-all", "--suite", "d"), ["demo"]),
    ],
    ids=" ".join,
)
def test_a_shell_completes_names(words: tuple[str, ...], offered: list[str]) -> None:
    assert completed(*words) == offered


def test_a_shell_completes_weight_files_by_their_names() -> None:
    shell = ShellComplete(main, {}, "srrepro", "_SRREPRO_COMPLETE")
    assert [item.type for item in shell.get_completions(["export"], "runs/we")] == ["file"]


def test_completing_a_verb_does_not_wait_for_pytorch() -> None:
    code = "import sys; from srrepro.cli import main; sys.argv[0] = 'srrepro'; main(standalone_mode=False)"
    about = {"_SRREPRO_COMPLETE": "bash_complete", "COMP_WORDS": "srrepro e", "COMP_CWORD": "1"}
    words = (sys.executable, "-X", "importtime", "-c", code)
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=os.environ | about)
    assert done.stdout.split() == ["plain,evaluate", "plain,explain", "plain,export"]
    assert not re.search(r"\| +(torch|numpy)$", done.stderr, re.MULTILINE)


# Wrong use.


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("show", "srcnn-916"), "no recipe 'srcnn-916'. Did you mean srcnn-915"),
        (("show", "unheard-of"), "There are bicubic, fsrcnn"),
        (("train", "srcnn-916", "--scale", 3), "no recipe 'srcnn-916'"),
        (("train", "bicubic", "--scale", 3), "nothing to train"),
        (("evaluate", "srcnn-916", "--scale", 3, "--set", "demo-test"), "'srcnn-916' is neither a weight file"),
        (("evaluate", "none.safetensors", "--scale", 3, "--set", "demo-test"), "no such file"),
        (("evaluate", "bicubic", "--scale", 3, "--set", "Set6"), "no set 'Set6'"),
        (("evaluate", "bicubic", "--scale", 3, "--set", "Set5=photos"), "the name of the set Set5"),
        (("evaluate", "bicubic", "--scale", 3, "--set", "mine=nowhere"), "no such folder"),
        (("evaluate", "bicubic", "--scale", 3), "--set"),
        (("evaluate", "bicubic", "--set", "demo-test"), "--scale"),
        (
            ("evaluate", "bicubic", "--scale", 5, "--set", "demo-test"),
            "'5' was asked for, but there are networks for 2, 3 and 4.",
        ),
        (("upscale", "none.png", "out.png", "--scale", 3), "none.png was to be read as an image"),
        (("upscale", "none.png", "out.gif", "--scale", 3), "'.gif' is none of .bmp"),
        (("upscale", "none.png", "out", "--scale", 3), "'no suffix' is none of"),
        (("upscale", "none.png", "nowhere/out.png", "--scale", 3), "no folder nowhere"),
        (("upscale", "none.png", "out.png"), "--scale"),
        (("upscale", "none.png", "out.png", "--scale", 17), "17.0 is not in the range 1<=x<=16"),
        (("prepare", "Set6"), "no set 'Set6'"),
        (("prepare", "set5"), "no set 'set5'. Did you mean Set5?"),
        (("prepare", "--mirror", "nowhere"), "nowhere"),
        (("train", "srcnn-915", "--scale", 3, "--budget", 0), "--budget"),
        (("train", "srcnn-915", "--scale", 3, "--seed", -1), "--seed"),
        (("run-all", "--suite", "dem"), "'--suite': 'dem' is none of them. Did you mean demo?"),
        (("train", "srcnn-915", "--scale", 3, "--for", "soon"), "A duration was to be given, but 'soon' is none. Give"),
        (("run-all", "--for", "45"), "A duration was to be given, but '45' is none. Give"),
        (("upscail",), "There is no verb 'upscail'. Did you mean upscale?"),
        (("measure",), "There is no verb 'measure'. There are prepare, list,"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_wrong_use_is_one_message_and_exit_code_2(
    words: tuple[object, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in refused(*words)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no CUDA device" in refused("evaluate", "bicubic", "--scale", 3, "--set", "demo-test", "--device", "cuda")


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be made" in refused("prepare", "demo", "--data", tmp_path / "file" / "data")


# The demo's real photographs, which ship with scikit-image.


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with the photographs that the demo is measured on."""
    folder = tmp_path_factory.mktemp("demo")
    assert "fetched and verified" in succeeded("prepare", "demo-test", "--data", folder)
    return folder


def test_prepare_demo_twice(tmp_path: Path) -> None:
    first = succeeded("prepare", "demo", "--data", tmp_path)
    assert re.search(r"^demo-train: fetched and verified, built \S+\.h5", first, re.MULTILINE)
    assert re.search(r"^demo-test: fetched and verified, built \S+x2\.h5", first, re.MULTILINE)
    assert "Nothing to do." not in first
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*") if path.is_file()}
    assert len([path for path in before if path.suffix == ".h5"]) >= 4
    second = succeeded("prepare", "demo", env={"SRREPRO_DATA": str(tmp_path)})
    assert second == "demo-train: ready already\ndemo-test: ready already\nNothing to do.\n"
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.*") if path.is_file()} == before


def test_evaluate_prints_rows_of_quality_csv(demo: Path) -> None:
    result = srrepro("evaluate", "bicubic", "--scale", 3, "--set", "demo-test", "--json", "--data", demo)
    assert result.exit_code == 0
    (row,) = strict_json(result.stdout)  # and nothing else is on standard output
    assert list(row) == COLUMNS
    assert (row["model"], row["origin"], row["scale"], row["dataset"]) == ("bicubic", "interpolation", 3, "demo-test")
    assert (row["images"], row["verdict"], row["protocol"]) == (3, "no-target", "matlab-y-v1")
    assert row["psnr_db"] == row["bicubic_psnr_db"] == pytest.approx(28.5, abs=3)
    assert row["published_psnr_db"] is row["gap_db"] is row["budget"] is row["seeds"] is None


def test_evaluate_prints_a_table(demo: Path) -> None:
    text = succeeded("evaluate", "bicubic", "--scale", 2, "--set", "demo-test", "--data", demo)
    title, _, head, _, row, note = text.splitlines()
    assert title == "bicubic, matlab-y-v1"
    assert head.split() == ["set", "scale", "PSNR,", "dB", "SSIM", "bicubic", "verdict"]
    assert re.match(r"demo-test +×2 +\d\d\.\d{3} +0\.\d{4} ", row)
    assert note.startswith("note: demo scenes")
    assert max(map(len, text.splitlines())) <= 80
    wide = succeeded("evaluate", "bicubic", "--scale", 2, "--set", "demo-test", "--data", demo, "--wide")
    assert re.search(r"^bicubic +×2 +demo-test +matlab-y-v1 +\d\d\.\d{3} ", wide, re.MULTILINE)


def test_evaluate_leaves_what_is_asked_for(demo: Path, tmp_path: Path) -> None:
    places = ("--data", demo, "--limit", 1, "--per-image", "--csv", tmp_path / "all.csv", "--save", tmp_path / "seen")
    text = succeeded("evaluate", "srcnn-915-quick", "--scale", 3, "--set", "demo-test", *places)
    assert re.search(r"^camera\.png +\d\d\.\d{3}", text, re.MULTILINE)
    assert re.search(r"^mean +\d\d\.\d{3}", text, re.MULTILINE)
    assert "a part of the set only" in text
    row = pd.read_csv(tmp_path / "all.csv").iloc[0]
    assert (row["model"], row["image"], row["scale"]) == ("srcnn-915-quick", "camera.png", 3)
    assert sorted(path.name for path in (tmp_path / "seen").iterdir()) == ["camera_x3.png", "camera_x3_error.png"]
    again = ("score", tmp_path / "seen", "--only", "*_x3.png", "--set", "demo-test", "--scale", 3, "--data", demo)
    (scored,) = strict_json(succeeded(*again, "--json"))
    assert scored["psnr_db"] == pytest.approx(row["psnr_db"], abs=1e-6)  # a grey photograph: nothing is lost
    assert (scored["images"], scored["published_psnr_db"]) == (1, None)
    assert "no folder" in refused("evaluate", "bicubic", "--scale", 3, "--set", "demo-test", "--data", demo,
                                  "--limit", 1, "--csv", tmp_path / "nowhere" / "all.csv")  # fmt: skip


CASES = Path(__file__).parent / "cases"


@pytest.mark.parametrize("verb", ["evaluate", "score"])
def test_files_that_are_there_are_replaced_only_by_force(verb: str, tmp_path: Path) -> None:
    photos, seen = tmp_path / "photos", tmp_path / "seen"
    for folder in (photos, seen, tmp_path / "made"):
        folder.mkdir()
    for place in (photos / "a.png", tmp_path / "made" / "a_SR.png"):
        Image.fromarray(skimage.data.chelsea()[:48, :60]).save(place)
    mine = seen / "a_x2_error.png"
    subject = "bicubic" if verb == "evaluate" else tmp_path / "made"
    words = (verb, subject, "--scale", 2, "--set", f"mine={photos}")
    mine.write_text("my own notes")
    assert f"{mine} was to be saved, but there is one already." in refused(*words, "--save", seen)
    assert [path.name for path in seen.iterdir()] == [mine.name]
    assert "there is one already" in refused(*words, "--csv", mine)
    assert mine.read_text() == "my own notes"
    assert "--force" in refused(*words, "--save", seen)
    succeeded(*words, "--save", seen, "--force")
    assert read_picture(mine).size == (60, 48)
    succeeded(*words, "--csv", mine, "--force")
    assert mine.read_text().startswith("model,")


def test_two_pictures_of_one_name_are_not_saved_over_each_other(tmp_path: Path) -> None:
    for name in ("a.png", "a.bmp"):
        Image.fromarray(skimage.data.chelsea()[:48, :60]).save(tmp_path / name)
    words = ("evaluate", "bicubic", "--scale", 2, "--set", f"mine={tmp_path}")
    message = refused(*words, "--save", tmp_path / "seen")
    assert "a_x2.png was to be saved of both a.bmp and a.png. Rename one" in message
    assert not (tmp_path / "seen").exists()


def test_the_largest_seed_is_the_last_that_a_run_takes() -> None:
    assert LAST_SEED == SEEDS - 1


@pytest.mark.parametrize(("words", "told"), [
    (("train", "srcnn-915-demo", "--scale", 3, "--budget", "nan"), "nan is no number that can be worked with"),
    (("train", "srcnn-915-demo", "--scale", 3, "--budget", "inf"), "inf is not in the range 0<x<=1000"),
    (("train", "srcnn-915-demo", "--scale", 3, "--budget", "1e300"), "not in the range 0<x<=1000"),
    (("train", "srcnn-915-demo", "--scale", 3, "--budget", "0"), "not in the range"),
    (("train", "srcnn-915-demo", "--scale", 3, "--seed", 2**64), "not in the range 0<=x<=17592186044415"),
    (("train", "srcnn-915-demo", "--scale", 3, "--for", "0m"), "'0m' is none. Give one such as 2h, 45m"),
    (("train", "srcnn-915-demo", "--scale", 3, "--for", "2026-11-30"), "'2026-11-30' is none"),
    (("train", "srcnn-915-demo", "--scale", 3, "--for", "9" * 400 + "h"), "is more than a year"),
    (("run-all", "--suite", "demo", "--budget", "1e300"), "not in the range 0<x<=1000"),
    (("evaluate", "bicubic", "--scale", 3, "--set", "demo-test", "--limit", "9" * 30), "not in the range"),
    (("evaluate", "bicubic", "--scale", 3, "--set", "demo-test", "--memory", "9" * 30), "not in the range"),
    (("score", "here", "--scale", 3, "--set", "demo-test", "--limit", "nan"), "'nan' is not a valid integer"),
    (("explain", "bicubic", "--reported", "inf"), "inf is no number that can be worked with"),
    (("explain", "bicubic", "--reported-ssim", "nan"), "nan is no number that can be worked with"),
    (("upscale", "in.png", "out.png", "--scale", "nan"), "nan is no number that can be worked with"),
], ids=str)  # fmt: skip
def test_numbers_that_are_slips_are_refused(
    words: tuple[object, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert told in refused(*words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("words", "told"), [
    (("evaluate", "bicubic", "--scale", 3, "--set", "{here}"), "but is a folder. Give it a name: --set mine="),
    (("evaluate", "{here}", "--scale", 3, "--set", "demo-test"), "but is a folder. `srrepro score"),
    (("score", "{here}/a.png", "--scale", 3, "--set", "mine={here}"), "but that is a file. Weights are for `evaluate`"),
    (("evaluate", "bicubic", "--scale", 3, "--set", "mine={here}", "--save", "{here}/a.png/b"), "can be no such fold"),
    (("evaluate", "bicubic", "--scale", 3, "--set", "mine={here}", "--low", "{here}/low"), "but it has none for c.png"),
    (("evaluate", "bicubic", "--scale", 3, "--set", "mine={here}", "--record"), "nobody else could measure that again"),
    (("evaluate", "bicubic", "--scale", 3, "--set", "Set5", "--record", "--limit", 1), "leave out --model, --low and"),
    (("train", "srcnn-935-authors-imagenet", "--scale", 3), "are released weights, and no recipe"),
    (("train", "srcnn-915-demo", "--scale", 3, "--record", "--results", "{here}"), "Give one of them"),
    (("run-all", "--suite", "demo", "--claim", "padding"), "but only the suite claims has claims. Give --suite claims"),
    (("report", "--check", "--full"), "--check writes nothing, --full asks for a page. Give one of them"),
    (("bench", "--compare", "HEAD", "--task", "infer"), "Leave out --task, give --device cpu"),
    (("bench", "--compare", "HEAD", "--model", "bicubic"), "but it has nothing to train. Leave it out"),
    (("bench", "--model", "bicubic", "--task", "train", "--results", "{here}"), "but it has nothing to train."),
], ids=str)  # fmt: skip
def test_words_that_do_not_fit_are_told_before_anything_is_done(
    words: tuple[object, ...], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "low").mkdir()
    for name in ("a.png", "c.png", "low/a.png"):
        Image.fromarray(skimage.data.camera()[:48, :48]).save(tmp_path / name)
    before = sorted(tmp_path.rglob("*"))
    assert told in " ".join(refused(*(str(word).format(here=tmp_path) for word in words)).split())
    assert sorted(tmp_path.rglob("*")) == before


def test_a_set_with_a_flat_picture_says_why_its_mean_is_infinite() -> None:
    result = srrepro("evaluate", "bicubic", "--scale", 3, "--set", f"mine={CASES / 'one_flat'}", "--json")
    (row,) = strict_json(result.stdout)
    assert (row["images"], row["psnr_db"], row["verdict"]) == (2, None, "no-target")
    assert row["note"] == "1 of 2 images equals its reference: the mean is infinite, without it 29.856 dB"
    assert "flat.png of mine: the estimate is the reference, so its PSNR is infinite" in result.stderr


def test_large_images_alone_are_what_is_meant_of_a_folder_with_both() -> None:
    rows = [
        strict_json(succeeded("evaluate", "bicubic", "--scale", 3, "--set", f"mine={CASES / folder}", "--json"))[0]
        for folder in ("HR_only", "image_SRF_3")
    ]
    assert rows[0] == rows[1]
    assert rows[0]["images"] == 2


def test_of_three_pages_of_16_bits_the_first_is_enlarged_and_that_is_said(tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    result = srrepro("upscale", CASES / "multi16.tif", large, "--scale", 2, "--model", "bicubic")
    assert result.exit_code == 0
    assert "multi16.tif has 3 pages; the first is read." in result.stderr
    assert read_picture(large).size == (192, 128)


@pytest.mark.parametrize("name", ["srcnn_x3.pth", "yjn.safetensors"])
def test_weights_of_other_programs_are_measured(name: str, demo: Path) -> None:
    options = ("--scale", 3, "--set", "demo-test", "--data", demo, "--limit", 1, "--json")
    (theirs,), (ours,) = (
        strict_json(succeeded("evaluate", who, *options)) for who in (CASES / name, "srcnn-915-quick")
    )
    assert (theirs["model"], theirs["origin"], theirs["psnr_db"]) == (name, "given", ours["psnr_db"])
    assert "do not fit the network of vdsr" in refused("evaluate", CASES / name, "--model", "vdsr", *options)


def test_small_images_of_others_are_fed(demo: Path, tmp_path: Path) -> None:
    options = ("--scale", 3, "--set", "demo-test", "--data", demo, "--limit", 1)
    camera = skimage.data.camera()[:510, :510]
    (tmp_path / "LR").mkdir()
    Image.fromarray(imresize(camera, 1 / 3)).save(tmp_path / "LR" / "camerax3.png")
    result = srrepro("evaluate", "bicubic", *options, "--json", "--low", tmp_path / "LR")
    (row,), (ours,) = strict_json(result.stdout), strict_json(succeeded("evaluate", "bicubic", *options, "--json"))
    assert 0 < abs(row["psnr_db"] - ours["psnr_db"]) < 0.05
    assert re.search(r"differ from ours by 0\.2\d levels of 255, \d+\.\d at most; rounding to 8 bits", result.stderr)
    Image.fromarray(camera[::2, ::2]).save(tmp_path / "LR" / "camerax3.png")
    assert "is 255×255, not 170×170" in refused("evaluate", "bicubic", *options, "--low", tmp_path / "LR")


def test_small_images_beside_their_originals_are_found(tmp_path: Path) -> None:
    """The layout of SelfExSR's release: x_HR.png and x_LR.png in one folder, for the set and for --low."""
    both = CASES / "image_SRF_3"
    words = ("evaluate", "bicubic", "--scale", 3, "--set", f"mine={both}", "--data", tmp_path, "--json")
    result = srrepro(*words, "--low", both)
    assert result.exit_code == 0, result.output
    assert strict_json(result.stdout)[0]["images"] == 2
    assert "levels of 255" in result.stderr


def test_explain_names_the_likeliest(demo: Path) -> None:
    options = ("--set", "demo-test", "--data", demo, "--limit", 1)
    table = succeeded("explain", "srcnn-915-quick", *options)
    number = re.search(r"^layers padded with zeros +(\d\d\.\d+)", table, re.MULTILINE)
    assert number, table
    text = succeeded("explain", CASES / "srcnn_x3.pth", *options, "--reported", number[1])
    assert "Likeliest: layers padded with zeros" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80
    assert "Did you mean" in refused("explain", "bicubic", "--image", "kamera.png", *options)
    assert "nothing is named" in refused("explain")
    assert "none is known here" in refused("explain", "--published", "SRCNN", "Set5", 3)
    assert "only these are printed" in refused("explain", "--published", "vdsr", "Set5", 8)
    assert "no weights" in refused("explain", "--published", "VDSR-single", "Set5", 3)
    assert "Leave one out" in refused("explain", "bicubic", "--published", "vdsr", "Set5", 3)


def test_evaluate_takes_a_folder_of_ones_own(demo: Path, tmp_path: Path) -> None:
    for name, pixels in (("a.png", skimage.data.camera()[:50, :60]), ("b.png", skimage.data.coffee()[:40, :40])):
        Image.fromarray(pixels).save(tmp_path / name)
    both = ("--set", f"mine={tmp_path}", "--set", "demo-test")
    mine, theirs = strict_json(succeeded("evaluate", "bicubic", "--scale", 4, *both, "--json", "--data", demo))
    assert (mine["dataset"], mine["images"], mine["verdict"]) == ("mine", 2, "no-target")
    assert (theirs["dataset"], theirs["images"]) == ("demo-test", 3)


def test_a_perfect_estimate_is_still_json(tmp_path: Path) -> None:
    Image.fromarray(np.full((40, 40), 90, np.uint8)).save(tmp_path / "flat.png")
    words = ("evaluate", "bicubic", "--scale", 2, "--set", f"flat={tmp_path}", "--data", tmp_path / "data")
    result = srrepro(*words, "--json")
    (row,) = strict_json(result.stdout)
    assert row["ssim"] == pytest.approx(1)
    assert (row["psnr_db"], row["note"]) == (None, "1 of 1 images equals its reference: the mean is infinite")
    assert "flat.png of flat: the estimate is the reference" in result.stderr
    assert " inf " in succeeded(*words)


def test_grey_beyond_studio_range_is_said(tmp_path: Path) -> None:
    words = ("evaluate", "bicubic", "--scale", 2, "--data", tmp_path / "data")
    for name, low, high in (("wide", 0, 255), ("narrow", 16, 236)):
        (tmp_path / name).mkdir()
        pixels = np.random.default_rng(0).integers(low, high, (40, 44), np.uint8)
        Image.fromarray(pixels).save(tmp_path / name / "a.png")
    assert "a.png of mine: grey, with levels below 16" in srrepro(*words, "--set", f"mine={tmp_path / 'wide'}").stderr
    assert "grey" not in srrepro(*words, "--set", f"mine={tmp_path / 'narrow'}").stderr
    assert "grey" not in srrepro(*words, "--set", "demo-test").stderr  # a known set: datasets/README.md has it


@pytest.mark.parametrize("shape", [(16, 40), (2, 2)])
def test_an_image_too_small_is_one_message(shape: tuple[int, int], tmp_path: Path) -> None:
    Image.fromarray(np.zeros(shape, np.uint8)).save(tmp_path / "small.png")
    words = ("evaluate", "bicubic", "--scale", 3, "--set", f"mine={tmp_path}", "--data", tmp_path / "data")
    assert "small.png" in refused(*words)


# Pictures of one's own.


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A photograph taken with the camera turned: 40 wide and 30 high in the file, 30 wide to people."""
    path = tmp_path / "photo.jpg"
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(skimage.data.chelsea()[100:130, 100:140]).save(path, exif=turned)
    return path


def test_upscale_writes_an_upright_picture_in_colour(picture: Path, tmp_path: Path) -> None:
    target = tmp_path / "large.png"
    text = succeeded("upscale", picture, target, "--scale", 3)
    assert f"written: {target}, 90×120, by srcnn-915-quick" in text
    upright = read_picture(picture).levels
    assert upright.shape == (40, 30, 3)
    assert (images.read(target) == load("srcnn-915-quick", 3).image(upright)).all()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["large.png", "photo.jpg"]


def test_upscale_replaces_nothing_unasked(picture: Path, tmp_path: Path) -> None:
    target = tmp_path / "large.png"
    target.write_bytes(b"mine")
    words = ("upscale", picture, target, "--scale", 2, "--model", "bicubic")
    assert "give --force" in refused(*words)
    assert target.read_bytes() == b"mine"
    succeeded(*words, "--force")
    assert images.read(target).shape == (80, 60, 3)


def test_a_picture_may_be_computed_in_bfloat16(picture: Path, tmp_path: Path) -> None:
    exact, rough = tmp_path / "exact.png", tmp_path / "rough.png"
    succeeded("upscale", picture, exact, "--scale", 3)
    succeeded("upscale", picture, rough, "--scale", 3, "--precision", "bfloat16")
    differences = np.abs(images.read(exact).astype(int) - images.read(rough).astype(int))
    assert 0 < differences.mean() < 2
    message = refused(
        "upscale", picture, tmp_path / "no.png", "--scale", 3, "--precision", "bfloat16", "--mode", "native"
    )
    assert "mode native" in message


def test_a_picture_that_cannot_be_written_leaves_nothing(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Image.Image, path: Path, **_: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    assert "No space left" in refused("upscale", picture, tmp_path / "large.png", "--scale", 2, "--model", "bicubic")
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


# Training and reporting, on made-up sets under the demo's names.

MADE_UP = {
    "demo-train": {"a.png": skimage.data.camera()[40:100, 200:272], "b.png": skimage.data.chelsea()[100:160, 130:202]},
    "demo-test": {"c.png": skimage.data.coffee()[100:140, 200:245]},
}
TINY = "srcnn-tiny"
STEPS = 20


def tiny(**changes: Any) -> Recipe:
    recipe = models.recipe("srcnn-915-demo")
    assert recipe.training is not None
    small = {"patches": Patches(patch=15, stride=9, label=11), "batch": 8, "backprops": 8 * STEPS}
    network = ThreeLayers(kernels=(3, 1, 3), filters=(4, 3))
    return replace(recipe, name=TINY, network=network, training=replace(recipe.training, **(small | changes)))


def known(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    everything = dict(models.recipes()) | {recipe.name: recipe}
    monkeypatch.setattr(models, "recipes", lambda: everything)


@pytest.fixture
def places(pretend: Callable[..., DataFolder], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[object, ...]:
    """Options that name the made-up data and an empty results folder; the recipe TINY is known."""
    folder = pretend(MADE_UP)
    known(tiny(), monkeypatch)
    return "--data", folder.root, "--mirror", folder.mirror, "--results", tmp_path / "results"


def data_of(places: tuple[object, ...]) -> DataFolder:
    return DataFolder(Path(str(places[1])), Path(str(places[3])))


def results_of(places: tuple[object, ...]) -> Path:
    return Path(str(places[5]))


def everything_in(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_train_leaves_evidence_and_weights(places: tuple[object, ...]) -> None:
    words = ("train", TINY, "--scale", 3, "--seed", 1, "--budget", 0.5, *places)
    text = succeeded(*words)
    (run,) = read_all(results_of(places) / "runs")
    assert re.fullmatch(rf"{TINY}_x3_s1_[0-9a-f]{{8}}", run.name)
    assert (run.subject.seed, run.subject.budget, run.about["backprops"]) == (1, 0.5, 8 * STEPS // 2)
    assert run.about["recipe"]["training"]["kind"] == "Training"
    assert [(score.dataset, score.image) for score in run.scores] == [("demo-test", "c.png")]
    weights = results_of(places) / "runs" / run.name / "weights.safetensors"
    assert f"weights: {weights}" in text
    assert not list((results_of(places) / ".running").iterdir())

    evaluated = ("evaluate", weights, "--scale", 3, "--set", "demo-test", "--json", *places[:4])
    (row,) = strict_json(succeeded(*evaluated))
    assert (row["model"], row["budget"], row["training_set"]) == (TINY, 0.5, "demo-train")
    assert row["psnr_db"] == pytest.approx(run.scores[0].values["psnr_db"], abs=1e-6)

    before = everything_in(results_of(places))
    assert "this run has its evidence already" in succeeded(*words)
    assert everything_in(results_of(places)) == before


def test_a_log_is_followed(places: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    words = ("train", TINY, "--scale", 3, *places, "--tensorboard", tmp_path / "board")
    succeeded(*words)
    (run,) = read_all(results_of(places) / "runs")
    (events,) = (tmp_path / "board" / run.name).iterdir()
    assert all(column.encode() in events.read_bytes() for column in run.log[0] if column != "backprops")
    monkeypatch.setattr("srrepro.training.following.find_spec", lambda _name: None)
    assert "TensorBoard is not installed. The extra `tensorboard` brings it" in refused(*words)


def test_one_network_for_several_scales_is_one_run(places: tuple[object, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    known(tiny(scales=(2, 3)), monkeypatch)
    assert "leave out --scale" in refused("train", TINY, "--scale", 3, *places)
    text = succeeded("train", TINY, *places)
    (run,) = read_all(results_of(places) / "runs")
    assert re.fullmatch(rf"{TINY}_s0_[0-9a-f]{{8}}", run.name)
    assert [(score.dataset, score.scale) for score in run.scores] == [("demo-test", 2), ("demo-test", 3)]
    assert re.findall(r"^demo-test +×(\d)", text, re.MULTILINE) == ["2", "3"]
    weights = results_of(places) / "runs" / run.name / "weights.safetensors"
    for scale, score in zip((2, 3), run.scores, strict=True):
        evaluated = ("evaluate", weights, "--scale", scale, "--set", "demo-test", "--json", *places[:4])
        (row,) = strict_json(succeeded(*evaluated))
        assert (row["scale"], row["psnr_db"]) == (scale, pytest.approx(score.values["psnr_db"], abs=1e-6))
    assert "trained for x2, x3" in refused("evaluate", weights, "--scale", 4, "--set", "demo-test", *places[:4])


def test_the_version_does_not_wait_for_pytorch() -> None:
    """Nor for anything else that a verb needs: half a second is for Python and click."""
    heavy = "torch", "pandas", "scipy", "numpy", "h5py", "skimage"
    code = f"import sys, srrepro.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_scale_is_asked_for_where_a_network_serves_one(places: tuple[object, ...]) -> None:
    assert "give --scale 2, 3 or 4" in refused("train", TINY, *places)
    assert not results_of(places).exists()


def test_without_a_wish_evidence_of_either_precision_will_do(
    places: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("train", TINY, "--scale", 3, *places)
    monkeypatch.setattr(hardware, "fastest_precision", lambda device: "bfloat16")
    succeeded(*words, "--precision", "float32")
    assert "has its evidence already" in succeeded(*words)
    (run,) = read_all(results_of(places) / "runs")
    assert run.about["precision"] == "float32"
    succeeded(*words, "--seed", 1)
    assert {run.subject.seed: run.about["precision"] for run in read_all(results_of(places) / "runs")} == {
        0: "float32",
        1: "bfloat16",
    }
    place = results_of(places)
    succeeded("report", "--results", place)
    rows = pd.read_csv(place / "quality.csv").to_dict("records")
    assert [(row["precision"], row["seeds"], "trained in bfloat16" in str(row["note"])) for row in rows] == [
        ("bfloat16", 1, True),
        ("float32", 1, False),
    ]


def test_an_interrupted_run_goes_on_in_its_precision(
    places: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("train", TINY, "--scale", 3, *places)
    with monkeypatch.context() as patched:
        act_at_step(patched, 7, lambda: os.kill(os.getpid(), signal.SIGTERM))
        refused(*words, "--precision", "float32", code=1)
    monkeypatch.setattr(hardware, "fastest_precision", lambda device: "bfloat16")
    assert "resumed after 56 backprops" in srrepro(*words).stderr
    (run,) = read_all(results_of(places) / "runs")
    assert run.about["precision"] == "float32"


def test_memory_is_given_in_mebibytes(places: tuple[object, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    given = []

    def stopped(run: Run, *_: object, **__: object) -> None:
        given.append(run.hardware.memory)
        msg = "noted"
        raise Stopped(msg)

    monkeypatch.setattr("srrepro.jobs.carry_out.train", stopped)
    for options in ((), ("--memory", 3)):
        refused("train", TINY, "--scale", 3, *options, *places, code=1)
    assert given == [MEMORY, 3 * 2**20]


def act_at_step(monkeypatch: pytest.MonkeyPatch, number: int, act: Callable[[], object]) -> None:
    step, taken = Engine.step, 0

    def counted(self: Engine, inputs: Tensor, high: Tensor, *, lr: float) -> Tensor:
        nonlocal taken
        taken += 1
        if taken == number:
            act()
        return step(self, inputs, high, lr=lr)

    monkeypatch.setattr(Engine, "step", counted)


def test_a_fresh_training_that_is_stopped_is_not_to_be_begun_anew(
    places: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    act_at_step(monkeypatch, 7, lambda: os.kill(os.getpid(), signal.SIGTERM))
    text = refused("train", TINY, "--scale", 3, "--fresh", *places, code=1)
    assert "give the same command without --fresh to resume" in text


def test_a_stopped_training_goes_on_with_the_same_command(
    places: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("train", TINY, "--scale", 3, *places)
    with monkeypatch.context() as patched:
        act_at_step(patched, 7, lambda: os.kill(os.getpid(), signal.SIGTERM))
        assert "give the same command again to resume" in refused(*words, code=1)
    assert not (results_of(places) / "runs").exists()
    monkeypatch.setattr(provenance, "commit", lambda: "another commit")
    result = srrepro(*words)
    assert result.exit_code == 0
    assert "resumed after 56 backprops" in result.stderr
    (run,) = read_all(results_of(places) / "runs")
    first, second = run.about["stretches"]
    assert first["commit"] != second["commit"] == run.about["commit"] == "another commit"
    assert (first["backprops"], second["backprops"]) == (8 * 7, 8 * (STEPS - 7))
    assert first["seconds"] + second["seconds"] == pytest.approx(run.about["seconds"])
    for stretch in (first, second):
        assert {key: stretch[key] for key in ("machine", "threads", "device", "mode")} == {
            key: run.about[key] for key in ("machine", "threads", "device", "mode")
        }
        assert "versions" not in stretch  # they are the run's
    assert "begun_with" not in run.about
    assert f"mode {run.about['mode']}, {fastest_precision('cpu')}" in result.stderr


def test_fresh_starts_anew(places: tuple[object, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("train", TINY, "--scale", 3, *places)
    with monkeypatch.context() as patched:
        act_at_step(patched, 7, lambda: os.kill(os.getpid(), signal.SIGTERM))
        refused(*words, code=1)
    result = srrepro(*words, "--fresh")
    assert result.exit_code == 0
    assert "going on" not in result.stderr


@pytest.mark.parametrize("fresh", [(), ("--fresh",)], ids=["plain", "fresh"])
def test_a_run_under_way_elsewhere_is_left_alone(fresh: tuple[str, ...], places: tuple[object, ...]) -> None:
    run = Run(recipe=models.recipe(TINY), scale=3, hardware=Hardware().settled(), folder=data_of(places))
    prepare_training(run.folder, run.shape)
    workplace = results_of(places) / ".running" / run.name
    workplace.mkdir(parents=True)
    (workplace / CHECKPOINT).write_bytes(b"of the other")
    with FileLock(workplace / "lock"):
        assert "under way in another process" in refused("train", TINY, "--scale", 3, *fresh, *places)
        assert (workplace / CHECKPOINT).read_bytes() == b"of the other"


def test_a_diverged_run_is_one_message(places: tuple[object, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    known(tiny(optimiser=SGD(momentum=0.9, weight_decay=0.0), schedule=Constant(lr=1e25)), monkeypatch)
    assert "no longer a number" in refused("train", TINY, "--scale", 3, *places, code=1)
    assert not (results_of(places) / "runs").exists()


def test_a_damaged_checkpoint_is_one_message(places: tuple[object, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("train", TINY, "--scale", 3, *places)
    with monkeypatch.context() as patched:
        act_at_step(patched, 7, lambda: os.kill(os.getpid(), signal.SIGTERM))
        refused(*words, code=1)
    (file,) = results_of(places).rglob(CHECKPOINT)
    file.write_bytes(file.read_bytes()[:1000])
    assert "--fresh" in refused(*words)
    succeeded(*words, "--fresh")


# Runs that outlive a machine.


def let_time_pass(monkeypatch: pytest.MonkeyPatch, step: int, seconds: float) -> None:
    """A clock that stands still until that step of the engine."""
    now = [0.0]
    monkeypatch.setattr(deadline, "monotonic", lambda: now[0])
    act_at_step(monkeypatch, step, lambda: now.__setitem__(0, now[0] + seconds))


def stopped_after(
    steps: int, places: tuple[object, ...], monkeypatch: pytest.MonkeyPatch, *options: object
) -> tuple[object, ...]:
    """Train until `--for` ends after so many steps; the command, without places."""
    words = ("train", TINY, "--scale", 3)
    with monkeypatch.context() as patched:
        let_time_pass(patched, steps, 60)
        succeeded(*words, "--for", "1m", *options, *places)
    return words


def elsewhere(places: tuple[object, ...], tmp_path: Path) -> tuple[object, ...]:
    """The same data in another clone, to which what is carried has come."""
    target = tmp_path / "other clone"
    shutil.copytree(results_of(places) / "unfinished", target / "unfinished", dirs_exist_ok=True)
    return *places[:4], "--results", target


def test_a_run_is_carried_to_another_clone(
    places: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("train", TINY, "--scale", 3)
    with monkeypatch.context() as patched:
        let_time_pass(patched, 7, 5400)
        text = succeeded(*words, "--for", "1h30m", "--carry", *places)
    assert f"stopped as planned after 56 of {8 * STEPS} backprops; {8 * STEPS - 56} are left, about " in text
    assert "give the same command again to resume" in text
    assert not (results_of(places) / "runs").exists()
    (carried,) = (results_of(places) / "unfinished").iterdir()
    assert f"carried in {carried}" in text

    there = elsewhere(places, tmp_path)
    monkeypatch.setattr(provenance, "machine", lambda device: "another machine")
    result = srrepro(*words, *there)
    assert result.exit_code == 0, result.output
    assert "resumed after 56 backprops" in result.stderr
    (run,) = read_all(results_of(there) / "runs")
    assert carried.stem == run.name
    assert list((results_of(there) / "unfinished").iterdir()) == []
    assert [(stretch["backprops"], stretch["machine"]) for stretch in run.about["stretches"]] == [
        (56, run.about["stretches"][0]["machine"]),
        (8 * STEPS - 56, "another machine"),
    ]
    assert "made on 2 machines" in result.stdout
    succeeded("report", "--results", results_of(there))
    (row,) = pd.read_csv(results_of(there) / "quality.csv").to_dict("records")
    assert "made on 2 machines" in row["note"]

    succeeded(*words, *places)  # here without a break
    (unbroken,) = read_all(results_of(places) / "runs")
    assert unbroken.about["weights_sha256"] == run.about["weights_sha256"]


def test_the_curve_of_a_carried_run_is_reported(places: tuple[object, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("train", TINY, "--scale", 3, *places)
    table = results_of(places) / "unfinished.csv"
    with monkeypatch.context() as patched:
        let_time_pass(patched, STEPS - 1, 60)
        succeeded(*words, "--for", "1m", "--carry")
    (results_of(places) / "runs").mkdir()
    succeeded("report", "--results", results_of(places))
    rows = pd.read_csv(table)
    assert set(rows["run"]) == {path.stem for path in (results_of(places) / "unfinished").iterdir()}
    assert rows["backprops"].iloc[-1] == 8 * (STEPS - 1)
    assert rows["machines"].notna().sum() == 1
    measured = [name for name in rows if name.endswith("psnr_db")]
    assert measured
    assert len(rows) == STEPS - 1  # so short a run is measured at every step
    assert rows[measured].notna().all(axis=None)
    succeeded(*words)
    succeeded("report", "--results", results_of(places))
    assert len(pd.read_csv(table)) == 0


def test_what_ended_elsewhere_is_no_longer_carried(
    places: tuple[object, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    words = stopped_after(7, places, monkeypatch, "--carry")
    there = elsewhere(places, tmp_path)
    succeeded(*words, *there)
    shutil.copytree(results_of(there) / "runs", results_of(places) / "runs")
    assert "this run has its evidence already" in succeeded(*words, *places)
    assert list((results_of(places) / "unfinished").iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda whole: whole[:-100], "that is damaged"),
        (lambda _: safetensors.torch.save({"a": torch.zeros(2)}), "that is no checkpoint of a run"),
    ],
    ids=["cut short", "weights"],
)
def test_a_carried_file_that_is_none_is_one_message(
    content: Callable[[bytes], bytes],
    message: str,
    places: tuple[object, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = stopped_after(7, places, monkeypatch, "--carry")
    there = elsewhere(places, tmp_path)
    (carried,) = (results_of(there) / "unfinished").iterdir()
    carried.write_bytes(content(carried.read_bytes()))
    assert f"was to be resumed from {carried}, but {message}" in refused(*words, *there)
    assert carried.exists()
    result = srrepro(*words, "--fresh", *there)
    assert result.exit_code == 0
    assert "going on" not in result.stderr
    assert not carried.exists()


def test_two_clones_that_both_continued_are_told_apart(
    places: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = stopped_after(5, places, monkeypatch, "--carry")
    there = elsewhere(places, tmp_path)
    stopped_after(3, there, monkeypatch, "--carry")
    stopped_after(4, places, monkeypatch, "--carry")
    (theirs,) = (results_of(there) / "unfinished").iterdir()
    shutil.copy(theirs, results_of(places) / "unfinished")
    message = refused(*words, *places)
    assert "has 72 backprops" in message
    assert "has 64, and they share 40" in message
    result = srrepro(*words, "--fresh", *places)
    assert result.exit_code == 0
    assert "going on" not in result.stderr


def test_a_plain_train_stays_in_the_mode_of_the_run(
    places: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = stopped_after(7, places, monkeypatch, "--carry", "--mode", "eager", "--precision", "float32")
    there = elsewhere(places, tmp_path)
    result = srrepro(*words, *places)
    assert "mode eager" in result.stderr
    if fastest_mode("cpu", "float32") == "native":
        assert "in modes eager, native" in succeeded(*words, "--mode", "native", "--precision", "float32", *there)


def test_run_all_names_what_it_had_no_time_for(places: tuple[object, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    measure = Measure(name="bicubic", scale=3, test_sets=("demo-test",))
    first, second = (Train(name=TINY, scale=3, seed=seed, test_sets=("demo-test",)) for seed in (0, 1))
    monkeypatch.setitem(suites.SUITES, "demo", lambda: iter([measure, first, second, measure]))
    with monkeypatch.context() as patched:
        let_time_pass(patched, 7, 3600)
        result = srrepro("run-all", "--suite", "demo", "--for", "1h", *places)
    assert result.exit_code == 0
    assert f"out of time, the same command resumes: {TINY} x3 seed 0\n" in result.stdout
    assert f"out of time, not begun: {TINY} x3 seed 1\n" in result.stdout
    assert "2 done" not in result.stdout  # bicubic: once done, once there already
    assert "1 done, 1 there already, 0 failed" in result.stdout
    assert f"job 2 of 4: {TINY} x3 seed 0" in result.stderr
    result = srrepro("run-all", "--suite", "demo", *places)
    assert "2 done, 2 there already, 0 failed" in result.stdout
    assert "out of time" not in result.stdout


def test_a_plan_says_what_is_lacking_and_does_nothing(
    places: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "SECONDS_A_MEASUREMENT", 0.0)
    measure = Measure(name="bicubic", scale=3, test_sets=("demo-test",))
    job = Train(name=TINY, scale=3, test_sets=("demo-test",))
    monkeypatch.setitem(suites.SUITES, "demo", lambda: iter([measure, job, replace(job, name="srcnn-916")]))
    words = ("run-all", "--suite", "demo", "--plan", *places)
    text = succeeded(*words)
    assert re.search(r"1 +bicubic x3 +to do +demo-test, 1\n +store\n", text)
    assert re.search(rf"2 +{TINY} x3 seed 0 +to do +demo-train, +\d.*\n +demo-test, 2 .*measured", text)
    assert re.search(r"3 +srcnn-916 x3 seed 0 +cannot be done +unknown", text)
    assert re.search(r"^3: .*no recipe 'srcnn-916'", text, re.MULTILINE)
    assert re.search(r"^training left: about .* and 1 jobs of unknown length$", text, re.MULTILINE)
    assert not results_of(places).exists()
    assert not data_of(places).root.exists()

    with monkeypatch.context() as patched:
        let_time_pass(patched, 7, 60)
        succeeded("train", TINY, "--scale", 3, "--for", "1m", *places)
    assert re.search(rf"{TINY} x3 seed 0 +56 of {8 * STEPS} +\d.*\n +backprops", succeeded(*words))
    succeeded("train", TINY, "--scale", 3, *places)
    assert re.search(rf"{TINY} x3 seed 0 +there already *\n", succeeded(*words))
    shutil.rmtree(data_of(places).stores)  # as in a clone without data
    assert re.search(rf"{TINY} x3 seed 0 +there already *\n", succeeded(*words))
    monkeypatch.setitem(suites.SUITES, "demo", lambda: iter([replace(job, seed=1)]))
    assert re.search(rf"{TINY} x3 seed 1 +to do", succeeded(*words))


def test_a_plan_takes_this_machines_rate(places: tuple[object, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    job = Train(name=TINY, scale=3, test_sets=("demo-test",))
    monkeypatch.setitem(suites.SUITES, "demo", lambda: iter([job]))
    monkeypatch.setattr(plan, "_measured", lambda *_: None)
    row = {
        "machine": hardware.machine("cpu"),
        "task": "train",
        "model": TINY,
        "device": "cpu",
        "precision": fastest_precision("cpu"),
        "mode": fastest_mode("cpu", fastest_precision("cpu")),
        "batch": 8,
        "samples_per_s": 8 * STEPS / 7260,
    }
    results_of(places).mkdir()
    words = ("run-all", "--suite", "demo", "--plan", *places)
    for key, other in (("machine", "another"), ("model", "another"), ("batch", 9), ("mode", "plain")):
        pd.DataFrame([row | {key: other}]).to_csv(results_of(places) / "speed.csv", index=False)
        assert re.search(r"to do .* unknown", succeeded(*words))
    pd.DataFrame([row]).to_csv(results_of(places) / "speed.csv", index=False)
    assert re.search(r" 2 h 1 min *\n.* \(speed.csv\)", succeeded(*words))
    assert f"job 1 of 1, about 2 h 1 min left: {TINY} x3" in srrepro("run-all", "--suite", "demo", *places).stderr


def test_run_all_goes_on_after_a_failure_and_skips_what_is_there(
    places: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    jobs = [
        Measure(name="bicubic", scale=3, test_sets=("demo-test",)),
        Measure(name="srcnn-916", scale=3, test_sets=("demo-test",)),
        Train(name=TINY, scale=3, test_sets=("demo-test",)),
    ]
    monkeypatch.setitem(suites.SUITES, "demo", lambda: iter(jobs))
    first = srrepro("run-all", "--suite", "demo", *places)
    assert first.exit_code == 1
    assert "Error: failed: srcnn-916 x3\n" in first.stderr
    assert "2 done, 0 there already, 1 failed" in first.stdout
    assert [run.subject.name for run in read_all(results_of(places) / "runs")] == ["bicubic", TINY]
    quality = (results_of(places) / "quality.csv").read_text(encoding="utf-8")
    assert [line.split(",")[0] for line in quality.splitlines()] == ["model", "bicubic", TINY]
    assert succeeded("report", "--check", "--results", results_of(places))

    before = everything_in(results_of(places))
    second = srrepro("run-all", "--suite", "demo", *places)
    assert second.exit_code == 1
    assert "0 done, 2 there already, 1 failed" in second.stdout
    assert everything_in(results_of(places)) == before

    monkeypatch.setitem(suites.SUITES, "demo", lambda: iter([jobs[0], jobs[2]]))
    assert "0 done, 2 there already, 0 failed" in succeeded("run-all", "--suite", "demo", *places)
    forced = srrepro("run-all", "--suite", "demo", "--force", *places)
    assert forced.exit_code == 0
    assert "2 done, 0 there already, 0 failed" in forced.stdout
    assert forced.stderr.count("the same numbers") == 2
    assert everything_in(results_of(places)) == before


def test_a_stopped_run_all_goes_on_with_the_same_command(
    places: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = [
        Train(name=TINY, scale=3, test_sets=("demo-test",)),
        Measure(name="bicubic", scale=3, test_sets=("demo-test",)),
    ]
    monkeypatch.setitem(suites.SUITES, "demo", lambda: iter(jobs))
    words = ("run-all", "--suite", "demo", *places)
    with monkeypatch.context() as patched:
        act_at_step(patched, 7, lambda: os.kill(os.getpid(), signal.SIGINT))
        assert "give the same command again to resume" in refused(*words, code=1)
    assert not (results_of(places) / "runs").exists()  # nothing after the stop was begun
    result = srrepro(*words)
    assert "2 done, 0 there already, 0 failed" in result.stdout
    assert "resumed after 56 backprops" in result.stderr


def test_run_all_stretches_every_budget(places: tuple[object, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    job = Train(name=TINY, scale=3, budget=0.5, test_sets=("demo-test",))
    monkeypatch.setitem(suites.SUITES, "demo", lambda: iter([job]))
    succeeded("run-all", "--suite", "demo", "--budget", 0.1, *places)
    (run,) = read_all(results_of(places) / "runs")
    assert (run.subject.budget, run.about["backprops"]) == (0.05, 8)


def test_prepare_of_everything_skips_what_cannot_be_had(
    places: tuple[object, ...], pretend: Callable[..., DataFolder]
) -> None:
    folder = pretend(MADE_UP | {"Set5": {"d.png": skimage.data.brick()[:40, :40]}})
    assert folder.mirror is not None
    (folder.mirror / "Set5" / "d.png").unlink()
    options = ("--data", folder.root, "--mirror", folder.mirror)
    text = succeeded("prepare", *options)
    assert re.search(r"^Set5: lacking: .*d\.png", text, re.MULTILINE)
    assert re.search(r"^demo-test: fetched and verified", text, re.MULTILINE)
    assert "Nothing to do." not in succeeded("prepare", *options)
    assert "the mirror has no" in refused("prepare", "Set5", *options)


def test_report_of_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    results = tmp_path / "results"
    results.mkdir()
    assert "holds no evidence" in refused("report", "--check", "--results", results, code=1)
    assert list(results.iterdir()) == []
    assert "quality.csv" in succeeded("report", "--results", results)
    assert sorted(path.name for path in results.iterdir()) == ["quality.csv", "tables.md", "training.csv"]


def test_report_fills_the_readme_and_notices_changes(
    places: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{MARKS[0]}\n{MARKS[1]}\nafter\n", encoding="utf-8")
    monkeypatch.setitem(
        suites.SUITES, "demo", lambda: iter([Measure(name="bicubic", scale=3, test_sets=("demo-test",))])
    )
    succeeded("run-all", "--suite", "demo", *places)
    assert "README.md" in refused("report", "--check", "--results", results_of(places), code=1)
    succeeded("report", "--results", results_of(places))
    succeeded("report", "--check", "--results", results_of(places))
    table = results_of(places) / "quality.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("bicubic", "bilinear", 1), encoding="utf-8")
    message = refused("report", "--check", "--results", results_of(places), code=1)
    assert "quality.csv" in message
    assert "README.md" not in message


def test_report_of_results_elsewhere_leaves_this_readme_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere" / "results"
    here.mkdir()
    monkeypatch.chdir(here)
    text = f"{MARKS[0]}\nmine\n{MARKS[1]}\n"
    (here / "README.md").write_text(text, encoding="utf-8")
    succeeded("report", "--results", elsewhere)
    succeeded("report", "--results", here / "my-results")  # its table is not the evidence's
    assert (here / "README.md").read_text(encoding="utf-8") == text


def test_report_of_evidence_that_is_not_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results" / "runs" / "a-run").mkdir(parents=True)
    assert "a-run was to be read, but is not whole" in refused("report")
    assert "a-run was to be read, but is not whole" in refused("report", "--check", code=1)


# Speed.


def test_bench_prints_rows_of_speed_csv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "SIZES", ((12, 10),))
    monkeypatch.setattr(speed, "SECONDS_A_TURN", 0.0)
    words = ("bench", "--task", "infer", "--model", "srcnn-955", "--results", tmp_path, "--data", tmp_path)
    rows = strict_json(succeeded(*words, "--json"))
    written = pd.read_csv(tmp_path / "speed.csv")
    assert all(list(row) == list(written.columns) for row in rows)
    assert [row["mode"] for row in rows][:2] == ["plain", "eager"]
    assert {(row["height"], row["width"], row["task"]) for row in rows} == {(12, 10, "infer")}
    assert sorted(written["median_ms"]) == pytest.approx(sorted(row["median_ms"] for row in rows))
    text = succeeded(*words)
    assert text.startswith("srcnn-955: not measured here; published 2.23 s")
    assert max(map(len, text.splitlines()[:-1])) <= 80
    assert f"written: {tmp_path / 'speed.csv'}" in text
    assert len(pd.read_csv(tmp_path / "speed.csv")) == len(rows)


# Protocols.


def test_a_set_is_measured_under_the_protocol_that_is_asked_for(tmp_path: Path) -> None:
    words = ("evaluate", "bicubic", "--scale", 3, "--set", "demo-test", "--json", "--data", tmp_path)
    usual, clamped = (json.loads(succeeded(*words, *more))[0] for more in ((), ("--protocol", "vdsr-y-v1")))
    assert (usual["protocol"], clamped["protocol"]) == ("matlab-y-v1", "vdsr-y-v1")
    assert usual["psnr_db"] - clamped["psnr_db"] > 0.01  # a grey photograph has levels beyond studio range
    assert clamped["psnr_db"] == clamped["bicubic_psnr_db"]
    assert "Did you mean vdsr-y-v1?" in refused(*words, "--protocol", "vdsr-y-v2")


def test_weights_that_ship_are_measured_under_another_protocol(
    places: tuple[object, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = Measure(name="srcnn-915-quick", scale=3, test_sets=("demo-test",), protocol=VDSR_Y)
    monkeypatch.setitem(suites.SUITES, "demo", lambda: iter([job]))
    assert "1 done" in succeeded("run-all", "--suite", "demo", *places)
    (run,) = read_all(results_of(places) / "runs")
    assert run.name == "srcnn-915-quick_x3_vdsr-y-v1"
    assert (run.subject.origin, run.subject.seed, run.subject.budget) == ("trained", 0, 1)
    assert run.about["shipped"] == "srcnn-915-quick_x3.safetensors"
    assert {score.protocol for score in run.scores} == {"vdsr-y-v1"}
    (row,) = pd.read_csv(results_of(places) / "quality.csv").to_dict("records")
    assert (row["protocol"], row["precision"]) == ("vdsr-y-v1", "float32")
    assert "1 there already" in succeeded("run-all", "--suite", "demo", *places)


# What another machine trained.


def trained_elsewhere(places: tuple[object, ...], monkeypatch: pytest.MonkeyPatch, *, after: int | None) -> Path:
    """The checkpoint of a run that a machine left: ended, or unfinished after so many steps."""
    words = ("train", TINY, "--scale", 3)

    def stopped(*_words: object, **_named: object) -> None:
        msg = "stopped before it was measured"
        raise Stopped(msg)

    with monkeypatch.context() as patched:
        if after is None:  # it is killed while it measures
            measuring = "srrepro.jobs.carry_out.leave_evidence"
            patched.setattr(measuring, lambda *_words, **_named: (_ for _ in ()).throw(Stopped("so far")))
            srrepro(*words, *places)
        else:
            let_time_pass(patched, after, 60)
            succeeded(*words, "--for", "1m", *places)
    (file,) = (results_of(places) / ".running").rglob(CHECKPOINT)
    return file


def test_an_ended_run_is_measured_where_it_is_taken_in(
    places: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = trained_elsewhere(places, monkeypatch, after=None)
    there = (*places[:4], "--results", tmp_path / "here")
    assert "ended: measured, " in succeeded("import", file, *there)
    (taken,) = read_all(tmp_path / "here" / "runs")
    assert "is there already" in succeeded("import", file, *there)
    assert not list((tmp_path / "here" / ".running").iterdir())
    succeeded("train", TINY, "--scale", 3, *places)
    (own,) = read_all(results_of(places) / "runs")
    assert taken.scores == own.scores
    assert taken.log == own.log
    same = ("weights_sha256", "backprops", "recipe", "store", "machine", "commit", "mode")
    assert {key: taken.about[key] for key in same} == {key: own.about[key] for key in same}


def test_an_unfinished_run_that_is_taken_in_can_be_resumed(
    places: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = trained_elsewhere(places, monkeypatch, after=7)
    there = (*places[:4], "--results", tmp_path / "here")
    assert "unfinished, 56 backprops: " in succeeded("import", file, *there)
    with monkeypatch.context() as patched:
        let_time_pass(patched, 2, 60)
        succeeded("train", TINY, "--scale", 3, "--for", "1m", *there)
    assert "is further along" in refused("import", file, *there)
    succeeded("train", TINY, "--scale", 3, *there)
    succeeded("train", TINY, "--scale", 3, *places)
    ours, theirs = (read_all(results_of(where) / "runs")[0] for where in (there, places))
    assert ours.about["weights_sha256"] == theirs.about["weights_sha256"]


def test_what_cannot_be_taken_in_is_one_message(
    places: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = trained_elsewhere(places, monkeypatch, after=7)
    there = (*places[:4], "--results", tmp_path / "here")
    assert "there is no such file" in refused("import", tmp_path / "none.safetensors", *there)
    (tmp_path / "old.pt").write_bytes(b"pickled")
    assert "no checkpoint of srrepro's is called .pt" in refused("import", tmp_path / "old.pt", *there)
    foreign = tmp_path / "foreign.safetensors"
    foreign.write_bytes(safetensors.torch.save({"a": torch.zeros(2)}))
    assert "no checkpoint of a run" in refused("import", foreign, *there)
    changed = models.recipe(TINY)
    assert changed.training is not None
    other = replace(changed, training=replace(changed.training, schedule=Constant(1e-3)))
    monkeypatch.setattr(models, "recipe", lambda name: other if name == TINY else changed)
    assert "Use the version that made it" in refused("import", file, *there)
    assert not (tmp_path / "here" / "unfinished").exists()


DAMAGE: dict[str, Callable[[dict[str, Any]], object]] = {
    "no run": lambda values: values.pop("run"),
    "nothing about it": lambda values: values["about"].clear(),
    "nothing to train": lambda values: values["about"].update(recipe="bicubic"),
    "another state": lambda values: values["state"].update(another=1),
    "no network": lambda values: values.pop("network"),
    "another network": lambda values: values["network"].popitem(),
    "no machine": lambda values: values["state"]["stretches"][0]["made_with"].pop("device"),
    "no versions": lambda values: values["state"]["stretches"][0]["made_with"].pop("versions"),
}


@pytest.mark.parametrize("ended", [True, False], ids=["ended", "unfinished"])
def test_a_checkpoint_that_lacks_something_leaves_nothing_behind(
    ended: bool, places: tuple[object, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = trained_elsewhere(places, monkeypatch, after=None if ended else 7)
    there = (*places[:4], "--results", tmp_path / "here")
    damages = DAMAGE | ({"no log": lambda values: values["state"]["log"].clear()} if ended else {})
    for what, damage in damages.items():
        values = checkpoint.load(file)
        assert values is not None
        damage(values)
        checkpoint.save(tmp_path / "damaged.safetensors", values)
        message = refused("import", tmp_path / "damaged.safetensors", *there)
        assert "damaged.safetensors was to be taken in, but that is damaged" in message, what
        assert not [path for path in (tmp_path / "here").rglob("*") if path.is_file() and path.name != "lock"], what
