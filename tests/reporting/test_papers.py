"""The papers' tables: what is printed stands above what was measured, in the papers' order."""

from pathlib import Path

import pandas as pd
import pytest

from srrepro import models
from srrepro.errors import InputError
from srrepro.evaluation.measure import Score
from srrepro.evaluation.weights import Subject, of_authors, of_interpolation, of_run
from srrepro.protocols.named import PROTOCOLS
from srrepro.reporting import papers
from srrepro.reporting.evidence import Evidence, read_all
from srrepro.reporting.papers import MEASURED, PRINTED, TABLES, as_text, blocks, table
from srrepro.reporting.published import published
from srrepro.reporting.tables import quality

RUNS = Path(__file__).parents[2] / "results" / "runs"


def evidence(subject: Subject, psnr_db: float, ssim: float, *, scale: int = 3, protocol: str = "vdsr-y-v1") -> Evidence:
    values = {"psnr_db": psnr_db, "ssim": ssim, "bicubic_psnr_db": 30.392, "bicubic_ssim": 0.8682}
    return Evidence(f"run of {subject.name}", subject, {}, [Score("Set5", scale, "1.png", protocol, values)])


BICUBIC = evidence(of_interpolation(models.recipe("bicubic"), 3), 30.3924, 0.86823)
VDSR = evidence(of_authors(models.authors()["vdsr-authors"], 3), 33.6613, 0.92131)


@pytest.fixture(scope="module")
def committed() -> pd.DataFrame:
    if not RUNS.is_dir():
        pytest.skip("no results/: this is no clone")
    return quality(read_all(RUNS))


def test_ours_stands_below_the_print_in_its_column() -> None:
    found = {(block.dataset, block.scale): block for block in blocks(table("vdsr-3"), quality([BICUBIC, VDSR]))}
    assert len(found) == 12  # what is printed, measured or not
    lines = found["Set5", 3].lines
    assert [value and value.text for value in lines[PRINTED]] == ["30.39/0.8682", "32.75/0.9090", "33.66/0.9213"]
    assert [value and value.text for value in lines[MEASURED]] == ["30.392/0.8682", None, "33.661/0.9213"]
    assert lines[MEASURED][0].run == "run of bicubic"
    assert list(found["Set14", 3].lines) == [PRINTED]


def test_srcnns_tables_have_psnr_above_ssim() -> None:
    found = blocks(table("srcnn-tpami-2"), quality([]))
    assert [(block.metric, block.scale) for block in found] == [(m, s) for m in ("PSNR", "SSIM") for s in (2, 3, 4)]


@pytest.mark.parametrize(
    ("psnr_db", "mark"), [(33.27, ""), (33.32, ""), (33.33, " ▲"), (33.2, " ▼"), (30.0, " ▼")]
)  # fmt: skip
def test_what_differs_is_marked(psnr_db: float, mark: str) -> None:
    trained = evidence(of_run(models.recipe("vdsr-t91-code"), None, 0, 1.0), psnr_db, 0.9)
    text = as_text(table("vdsr-2"), quality([trained]))
    assert f"{psnr_db:.3f}{mark}\n" in text.replace(" \n", "\n") or f"{psnr_db:.3f}{mark} " in text
    assert (papers.MARKS_NOTE[:20] in text) == bool(mark)


@pytest.mark.parametrize(("budget", "shown"), [(1.0, True), (0.5, False)])
def test_shortened_runs_are_left_out(budget: float, shown: bool) -> None:
    trained = evidence(of_run(models.recipe("vdsr-t91-code"), None, 0, budget), 33.27, 0.9)
    assert ("vdsr-t91-code" in as_text(table("vdsr-2"), quality([trained]))) == shown


def test_another_protocol_is_another_table() -> None:
    assert MEASURED not in blocks(table("srcnn-tpami-2"), quality([BICUBIC]))[1].lines


def test_recalled_values_say_so_and_keep_their_digits() -> None:
    text = as_text(table("fsrcnn"), quality([]))
    assert "32.61°" in text
    assert papers.RECALLED_NOTE in text
    assert "31.53/0.892\n" in text
    assert "0.8920" not in text
    assert papers.RECALLED_NOTE not in as_text(table("vdsr-3"), quality([]))


@pytest.mark.parametrize("name", [one.name for one in TABLES])
def test_text_fits_a_terminal(name: str, committed: pd.DataFrame) -> None:
    text = as_text(table(name), committed)
    assert max(map(len, text.splitlines())) <= 80
    assert "nan" not in text


@pytest.mark.parametrize("name", [one.name for one in TABLES])
def test_every_column_has_printed_values(name: str) -> None:
    one = table(name)
    assert one.protocol in PROTOCOLS
    for column in one.columns:
        whose = column.model, column.training_set, column.setting
        assert any(key[:3] == whose and key[5] == one.protocol for key in published()), column


def test_other_forms() -> None:
    frame = quality([BICUBIC, VDSR])
    markdown, latex = (as_text(table("vdsr-3"), frame, form) for form in ("markdown", "latex"))
    assert "| Set5" in markdown
    assert markdown.startswith("## VDSR")
    assert r"\begin{tabular}" in latex
    assert r"$\times3$" in latex
    assert all(line.startswith("%") for line in latex.partition(r"\begin")[0].splitlines())
    assert not set("×▲▼°") & set(latex.partition(r"\begin")[2])


def test_an_unknown_table_names_the_others() -> None:
    with pytest.raises(InputError, match=r"There is no table 'vdsr-9'. The tables are: srcnn-eccv-1, .*vdsr-3"):
        table("vdsr-9")
