"""Run folders: there whole or not at all, and never edited."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from srrepro import models
from srrepro.data.registry import sha256_of
from srrepro.errors import InputError
from srrepro.evaluation.measure import Score
from srrepro.evaluation.weights import of_interpolation, of_run
from srrepro.protocols.named import MATLAB_Y
from srrepro.reporting.evidence import SUMS, WEIGHTS, read, read_all, write

SUBJECT = of_run(models.recipe("srcnn-915"), 3, 1, 0.25)


def scored(image: str, *numbers: float, dataset: str = "Set5") -> Score:
    metrics = ("psnr_db", "ssim", "bicubic_psnr_db", "bicubic_ssim")
    return Score(dataset, 3, image, "matlab-y-v1", dict(zip(metrics, numbers, strict=True)))


SCORES = [
    scored("baby.bmp", 35.25 + 1e-13, 0.91234567890123, 33.9, 0.9),
    scored("bridge.bmp", 26.0, 0.7, 25.0, 0.65, dataset="Set14"),
]
ABOUT = {"backprops": 128, "machine": "a processor × 2", "store": {"digest": "abc"}}
LOG = [{"backprops": 64, "loss": 0.5}, {"backprops": 128, "loss": 0.25}]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "results" / "runs"


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "made.safetensors"
    path.write_bytes(b"weights")
    return path


def older(folder: Path) -> Path:
    """As a run folder was before it carried checksums."""
    (folder / SUMS).unlink()
    return folder


def test_what_was_written_is_read_again(runs: Path, weights: Path) -> None:
    folder = write(runs, "a-run", SUBJECT, SCORES, about=ABOUT, log=LOG, weights=weights)
    assert folder == runs / "a-run"
    assert sorted(path.name for path in folder.iterdir()) == [SUMS, "log.csv", "run.json", "scores.csv", WEIGHTS]
    found = read(folder)
    assert (found.name, found.subject, found.scores) == ("a-run", SUBJECT, SCORES)
    assert found.about == ABOUT | {"signature": MATLAB_Y.signature}
    assert list(pd.read_csv(folder / "scores.csv")) == ["dataset", "scale", "image", "protocol", "metric", "value"]
    assert pd.read_csv(folder / "log.csv").to_dict("records") == LOG
    assert (folder / WEIGHTS).read_bytes() == b"weights"


def test_the_first_form_of_scores_is_read_for_ever(runs: Path) -> None:
    """One row an image, with or without the name of the protocol."""
    folder = older(write(runs, "a-run", SUBJECT, SCORES, about=ABOUT))
    wide = "dataset,scale,image,psnr_db,ssim,bicubic_psnr_db,bicubic_ssim{}\n"
    rows = [",".join(map(str, (s.dataset, s.scale, s.image, *s.values.values()))) for s in SCORES]
    for column, value in (("", ""), (",protocol", ",matlab-y-v1")):
        table = wide.format(column) + "".join(f"{row}{value}\n" for row in rows)
        (folder / "scores.csv").write_text(table, encoding="utf-8")
        assert read(folder).scores == SCORES


def test_a_protocol_that_has_changed_its_meaning_is_named(runs: Path) -> None:
    folder = older(write(runs, "a-run", SUBJECT, SCORES, about=ABOUT))
    text = (folder / "run.json").read_text(encoding="utf-8")
    (folder / "run.json").write_text(text.replace("shave:s", "shave:4"), encoding="utf-8")
    with pytest.raises(InputError, match=r"matlab-y-v1 of another signature than the one here.*shave:4"):
        read(folder)


def test_what_is_not_trained_has_no_log_and_no_weights(runs: Path) -> None:
    subject = of_interpolation(models.recipe("bicubic"), 2)
    folder = write(runs, "bicubic_x2", subject, SCORES, about={})
    assert sorted(path.name for path in folder.iterdir()) == [SUMS, "run.json", "scores.csv"]
    assert read(folder).subject == subject
    assert (read(folder).subject.seed, read(folder).subject.budget) == (None, None)


def test_evidence_is_never_overwritten(runs: Path) -> None:
    folder = write(runs, "a-run", SUBJECT, SCORES, about=ABOUT)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(InputError, match="never edited"):
        write(runs, "a-run", SUBJECT, SCORES[:1], about={"backprops": 1})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in runs.iterdir()] == ["a-run"]


def test_a_folder_carries_checksums_that_sha256sum_reads(runs: Path) -> None:
    folder = write(runs, "a-run", SUBJECT, SCORES, about=ABOUT, log=LOG)
    lines = [f"{sha256_of(folder / name)}  {name}\n" for name in ("log.csv", "run.json", "scores.csv")]
    assert (folder / SUMS).read_text(encoding="utf-8") == "".join(lines)


@pytest.mark.parametrize("name", ["log.csv", "run.json", "scores.csv", SUMS])
def test_a_file_that_is_edited_cut_or_lost_is_named(name: str, runs: Path) -> None:
    whole = write(runs, "a-run", SUBJECT, SCORES, about=ABOUT, log=LOG)
    path = whole / name
    content = path.read_bytes()
    line = content.splitlines(keepends=True)[-1]
    for harmed in (content.replace(b"5", b"6", 1), content[: -len(line)], content[:-1], b"", None):
        if harmed is None:
            path.unlink()
            if name == SUMS:  # as in older folders
                continue
        else:
            path.write_bytes(harmed)
        with pytest.raises(InputError, match=r"a-run was to be read, but is not whole: .* Restore it, or delete"):
            read(whole)


@pytest.mark.parametrize("broken", ["weights", "scores", "rename"])
def test_a_folder_is_there_whole_or_not_at_all(
    broken: str, runs: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    target, name = {
        "weights": (shutil, "copyfile"),
        "scores": (Path, "write_bytes"),
        "rename": (Path, "replace"),
    }[broken]
    with monkeypatch.context() as patched:
        patched.setattr(target, name, full)
        with pytest.raises(InputError, match=r"a-run was to be written, but .*No space left"):
            write(runs, "a-run", SUBJECT, SCORES, about=ABOUT, log=LOG, weights=weights)
    assert list(runs.iterdir()) == []
    assert read(write(runs, "a-run", SUBJECT, SCORES, about=ABOUT, weights=weights)).scores == SCORES


def test_what_a_killed_call_left_is_no_evidence(runs: Path) -> None:
    (runs / ".a-run.part").mkdir(parents=True)
    (runs / ".a-run.part" / "stale.txt").touch()
    assert read_all(runs) == []
    folder = write(runs, "a-run", SUBJECT, SCORES, about=ABOUT)
    assert not (folder / "stale.txt").exists()
    assert [run.name for run in read_all(runs)] == ["a-run"]


def test_all_are_read_in_the_order_of_their_names(runs: Path) -> None:
    for name in ("b", "c", "a"):
        write(runs, name, SUBJECT, SCORES, about={})
    (runs / "notes.txt").touch()
    assert [run.name for run in read_all(runs)] == ["a", "b", "c"]
    assert read_all(runs / "nowhere") == []


def without_subject(folder: Path) -> None:
    (folder / "run.json").write_text(json.dumps(ABOUT), encoding="utf-8")


def foreign_subject(folder: Path) -> None:
    (folder / "run.json").write_text(json.dumps({"subject": {"nom": "srcnn"}}), encoding="utf-8")


def cut_json(folder: Path) -> None:
    text = (folder / "run.json").read_text(encoding="utf-8")
    (folder / "run.json").write_text(text[: len(text) // 2], encoding="utf-8")


def not_an_object(folder: Path) -> None:
    (folder / "run.json").write_text("[]", encoding="utf-8")


def binary(folder: Path) -> None:
    (folder / "run.json").write_bytes(b"\xff\xfe\x00")


def no_scores(folder: Path) -> None:
    (folder / "scores.csv").unlink()


def empty_scores(folder: Path) -> None:
    (folder / "scores.csv").write_text("", encoding="utf-8")


def another_column(folder: Path) -> None:
    table = folder / "scores.csv"
    table.write_text(table.read_text(encoding="utf-8").replace("psnr_db", "psnr", 1), encoding="utf-8")


def a_score_twice(folder: Path) -> None:
    """As a merge of two versions leaves it: which is right?"""
    table = folder / "scores.csv"
    last = table.read_text(encoding="utf-8").splitlines()[-1]
    table.write_text(f"{table.read_text(encoding='utf-8')}{last}9\n", encoding="utf-8")


def no_run(folder: Path) -> None:
    (folder / "run.json").unlink()


@pytest.mark.parametrize(
    "damage",
    [
        without_subject,
        foreign_subject,
        cut_json,
        not_an_object,
        binary,
        no_scores,
        empty_scores,
        another_column,
        a_score_twice,
        no_run,
    ],
)
def test_evidence_that_is_not_whole_is_named(damage: Callable[[Path], None], runs: Path, unchecked: None) -> None:
    folder = older(write(runs, "a-run", SUBJECT, SCORES, about=ABOUT))
    damage(folder)
    with pytest.raises(InputError, match="a-run was to be read, but is not whole"):
        read_all(runs)
