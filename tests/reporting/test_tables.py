"""From run folders to the generated files."""

import csv
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

import pandas as pd
import pytest

from srrepro import models
from srrepro.errors import InputError
from srrepro.evaluation.measure import Score
from srrepro.evaluation.weights import Subject, of_authors, of_interpolation, of_run
from srrepro.reporting import speeds, tables
from srrepro.reporting.evidence import Evidence, write
from srrepro.reporting.tables import COLUMNS, differing, generated, marks, quality, quality_row, terminal_table

MARKS = marks("results")
CLONE = Path(__file__).parents[2]
VDSR = models.recipe("vdsr-t91-code")
PAPERS = models.recipe("srcnn-915")
ABOVE = {"Set5": 30.392, "Set14": 27.541, "demo-test": 29.0, "mine": 29.0}  # bicubic, roughly


METRICS = ("psnr_db", "ssim", "bicubic_psnr_db", "bicubic_ssim")


def scores(
    dataset: str, *psnr_db: float, scale: int = 3, protocol: str = "matlab-y-v1", ssim: float = 0.8
) -> list[Score]:
    bicubic = ABOVE[dataset]
    return [
        Score(dataset, scale, f"{number}.png", protocol, dict(zip(METRICS, numbers, strict=True)))
        for number, value in enumerate(psnr_db)
        for numbers in [(value, ssim + number / 100, bicubic, 0.8)]
    ]


def run(seed: int = 0, *psnr_db: float, name: str = "", budget: float = 1.0, dataset: str = "Set5") -> Evidence:
    values = psnr_db or (32.39,)
    subject = of_run(PAPERS, 3, seed, budget)
    return Evidence(name or f"run_s{seed}_b{budget:g}", subject, {}, scores(dataset, *values))


def only(frame: pd.DataFrame) -> dict:
    (row,) = frame.to_dict("records")
    return row


def test_an_infinite_mean_is_explained() -> None:
    """JSON has it as null."""
    subject, apart = of_run(PAPERS, 3, 0, 1.0), scores("mine", 32.0, 33.0, 34.0)
    assert quality_row(subject, apart)["note"] == ""

    def equal(metric: str, count: int) -> list[Score]:
        return [
            replace(score, values=score.values | ({metric: math.inf} if place < count else {}))
            for place, score in enumerate(apart)
        ]

    said = "1 of 3 images equals its reference: the mean is infinite, without it 33.500 dB"
    row = quality_row(subject, equal("psnr_db", 1))
    assert (row["note"], row["psnr_db"]) == (said, math.inf)
    said = "2 of 3 images equal their reference: bicubic's mean is infinite, without them 29.000 dB"
    row = quality_row(subject, equal("bicubic_psnr_db", 2))
    assert (row["note"], row["bicubic_psnr_db"], row["psnr_db"]) == (said, math.inf, 33)
    said = "3 of 3 images equal their reference: the mean is infinite"
    assert quality_row(subject, equal("psnr_db", 3))["note"] == said


def test_a_row_is_the_mean_of_its_images() -> None:
    row = quality_row(of_run(PAPERS, 3, 0, 1.0), scores("Set5", 32.0, 33.0, 32.2), run="a-run")
    assert list(row) == COLUMNS
    assert (row["model"], row["origin"], row["training_set"], row["scale"]) == ("srcnn-915", "trained", "T91", 3)
    assert (row["dataset"], row["images"], row["run"], row["protocol"]) == ("Set5", 3, "a-run", "matlab-y-v1")
    assert row["psnr_db"] == pytest.approx(32.4)
    assert row["ssim"] == pytest.approx(0.81)
    assert row["bicubic_psnr_db"] == pytest.approx(30.392)
    assert row["published_psnr_db"] == 32.39
    assert row["published_as"] == "SRCNN 9-1-5"
    assert row["gap_db"] == pytest.approx(0.01)
    assert row["verdict"] == "reproduced"


def test_ssim_is_published_beside_its_psnr() -> None:
    weights = models.authors()["srcnn-955-authors-imagenet"]
    row = quality_row(of_authors(weights, 3), scores("Set5", 32.749, ssim=0.90902))
    assert (row["published_psnr_db"], row["published_ssim"], row["verdict"]) == (32.75, 0.9090, "matches")
    row = quality_row(of_authors(weights, 3), scores("Set5", 32.749, ssim=0.9))
    assert row["verdict"] == "short"  # by its SSIM


@pytest.mark.parametrize(
    ("subject", "psnr_db", "expected"),
    [
        (of_run(PAPERS, 3, 0, 1.0), 32.35, "reproduced"),
        (of_run(PAPERS, 3, 0, 2.0), 32.35, "reproduced"),
        (of_run(PAPERS, 3, 0, 0.5), 32.35, "matches"),
        (of_run(PAPERS, 3, 0, 0.999), 32.35, "matches"),
        (of_run(models.recipe("srcnn-915-quick"), 3, 0, 1.0), 32.35, "matches"),
        (of_run(models.recipe("srcnn-915-notes"), 3, 0, 1.0), 32.35, "matches"),
        (of_run(PAPERS, 3, 0, 1.0), 32.30, "short"),
        (of_run(PAPERS, 3, 0, 1.0), 32.50, "exceeds"),
        (of_run(PAPERS, 3, 0, 1.0), 30.0, "below-bicubic"),
        (of_run(models.recipe("srcnn-935"), 3, 0, 1.0), 32.66, "no-target"),  # published for ImageNet only
        (of_run(models.recipe("srcnn-915-demo"), 3, 0, 1.0), 32.39, "no-target"),
        (of_authors(models.authors()["srcnn-915-authors-t91"], 3), 32.395, "matches"),
        (of_authors(models.authors()["srcnn-915-authors-t91"], 3), 32.405, "exceeds"),
        (of_interpolation(models.recipe("bicubic"), 3), 30.392, "matches"),
    ],
    ids=lambda value: value.name if isinstance(value, Subject) else None,
)
def test_verdicts_of_rows(subject: Subject, psnr_db: float, expected: str) -> None:
    ssim = 0.8682 if subject.origin == "interpolation" else 0.8
    assert quality_row(subject, scores("Set5", psnr_db, ssim=ssim))["verdict"] == expected


def test_demo_scenes_say_that_no_paper_has_them() -> None:
    demo = of_run(models.recipe("srcnn-915-demo"), 3, 0, 1.0)
    assert quality_row(demo, scores("demo-test", 30.0))["note"] == tables.DEMO
    assert quality_row(demo, scores("Set5", 31.0))["note"] == tables.DEMO
    assert quality_row(of_run(PAPERS, 3, 0, 1.0), scores("demo-test", 30.0))["note"] == tables.DEMO
    assert quality_row(of_run(PAPERS, 3, 0, 1.0), scores("Set5", 31.0))["note"] == ""


@pytest.mark.parametrize(
    ("about", "note"),
    [
        ({}, ""),
        ({"machine": "A", "mode": "native"}, ""),
        ({"machine": "A", "stretches": [{"machine": "A", "mode": "native"}] * 2}, ""),
        ({"machine": "B", "stretches": [{"machine": name, "mode": "eager"} for name in "ABA"]}, "made on 2 machines"),
        (
            {"stretches": [{"machine": "A", "mode": mode} for mode in ("native", "eager")]},
            "in modes native, eager",
        ),
        (
            {"stretches": [{"machine": "A", "mode": "native"}, {"machine": "B", "mode": "graph"}]},
            "made on 2 machines; in modes native, graph",
        ),
        ({"machine": "B", "mode": "native", "begun_with": [{"machine": "A", "commit": "1"}]}, "made on 2 machines"),
        ({"machine": "A", "mode": "native", "begun_with": [{"machine": "A", "commit": "1"}]}, ""),
    ],
    ids=["unknown", "one process", "one machine", "two machines", "two modes", "both", "older", "older, one machine"],
)
def test_a_row_says_on_how_many_machines_it_was_made(about: dict[str, object], note: str) -> None:
    assert only(quality([replace(run(), about=about)]))["note"] == note


def test_seed_0_carries_the_row_and_the_others_stand_beside_it() -> None:
    row = only(quality([run(2, 32.5), run(0, 32.36), run(1, 32.6)]))
    values = (32.5, 32.36, 32.6)
    assert (row["psnr_db"], row["verdict"], row["run"]) == (32.36, "reproduced", "run_s0_b1")
    assert row["seeds"] == 3
    assert row["psnr_db_mean"] == pytest.approx(mean(values))
    assert row["psnr_db_std"] == pytest.approx(stdev(values))


def test_one_seed_has_no_spread() -> None:
    row = only(quality([run(0, 32.36)]))
    assert (row["seeds"], row["psnr_db_mean"]) == (1, 32.36)
    assert pd.isna(row["psnr_db_std"])


def test_without_seed_0_there_is_no_number_yet() -> None:
    row = only(quality([run(1, 32.5), run(2, 32.6)]))
    assert (row["model"], row["dataset"], row["seeds"]) == ("srcnn-915", "Set5", 2)
    assert row["psnr_db_mean"] == pytest.approx(32.55)
    for column in ("psnr_db", "ssim", "gap_db", "verdict", "run"):
        assert pd.isna(row[column]), column


def test_what_is_not_known_is_left_empty() -> None:
    for runs in ([run(1, 32.5)], [run(1, 32.5), run(0, 29.0, dataset="Set14")]):
        for text in (terminal_table(quality(runs)), tables.tables(quality(runs))):
            assert "nan" not in text.lower()
            assert "None" not in text
            assert "<NA>" not in text


def test_interpolation_and_authors_have_no_seeds() -> None:
    subject = of_interpolation(models.recipe("bicubic"), 3)
    row = only(quality([Evidence("bicubic_x3", subject, {}, scores("Set5", 30.392))]))
    for column in ("seeds", "psnr_db_mean", "psnr_db_std", "budget"):
        assert pd.isna(row[column]), column


def test_every_set_and_budget_has_a_row_of_its_own() -> None:
    both = Evidence("both", of_run(PAPERS, 3, 0, 1.0), {}, scores("Set14", 29.0) + scores("Set5", 32.0, 33.0))
    frame = quality([both, run(0, 31.0, budget=0.001)])
    assert frame[["dataset", "budget", "images", "psnr_db"]].to_dict("records") == [
        {"dataset": "Set5", "budget": 1.0, "images": 2, "psnr_db": 32.5},
        {"dataset": "Set5", "budget": 0.001, "images": 1, "psnr_db": 31.0},
        {"dataset": "Set14", "budget": 1.0, "images": 1, "psnr_db": 29.0},
    ]


def test_rows_stand_in_the_order_of_the_registry() -> None:
    names = ["demo-test", "Set14", "Set5"]
    runs = [run(0, 31.0, dataset=name, name=name) for name in names]
    interpolation = Evidence("i", of_interpolation(models.recipe("bicubic"), 3), {}, scores("Set5", 30.392))
    authors = Evidence("w", of_authors(models.authors()["srcnn-915-authors-t91"], 3), {}, scores("Set5", 32.39))
    frame = quality([*runs, authors, interpolation])
    assert list(frame["dataset"]) == ["Set5", "Set5", "Set5", "Set14", "demo-test"]
    assert list(frame["origin"])[:3] == ["interpolation", "authors", "trained"]


def test_rows_of_two_protocols_stand_beside_each_other() -> None:
    """Each with its own bicubic and its own published value; seeds of both are never averaged."""
    runs = [
        Evidence(f"{protocol}-{seed}", of_run(VDSR, None, seed, 1.0), {}, scores("Set14", value, protocol=protocol))
        for protocol, seed, value in (
            ("vdsr-y-v1", 0, 29.48),
            ("vdsr-y-v1", 1, 29.50),
            ("matlab-y-v1", 0, 29.51),
        )
    ]
    rows = quality(runs).to_dict("records")
    assert [(row["protocol"], row["seeds"], row["psnr_db_mean"]) for row in rows] == [
        ("matlab-y-v1", 1, 29.51),
        ("vdsr-y-v1", 2, pytest.approx(29.49)),
    ]
    assert [row["verdict"] for row in rows] == ["no-target", "reproduced"]
    assert [row["published_psnr_db"] for row in rows][1] == 29.48


def test_a_recipe_is_held_against_its_own_setting() -> None:
    runs = [
        Evidence(name, of_run(models.recipe(name), None, 0, 1.0), {}, scores("Set5", 33.27, protocol="vdsr-y-v1"))
        for name in ("vdsr-t91-code", "vdsr-t91-code-augmented")
    ]
    rows = quality(runs).to_dict("records")
    assert [(row["setting"], row["published_psnr_db"]) for row in rows] == [("", 33.27), ("flips and rotations", 33.5)]


@pytest.mark.parametrize("seed", [0, 1])
def test_two_folders_may_not_claim_one_row(seed: int) -> None:
    with pytest.raises(InputError, match="first and second claim the same row"):
        quality([run(seed, 32.0, name="first"), run(seed, 32.1, name="second")])


def test_two_measurements_without_seed_may_not_claim_one_row() -> None:
    subject = of_interpolation(models.recipe("bicubic"), 3)
    twice = [Evidence(name, subject, {}, scores("Set5", 30.4)) for name in ("first", "second")]
    with pytest.raises(InputError, match="first and second claim the same row"):
        quality(twice)


# The generated files.


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    for seed, psnr_db in ((0, 32.361234567890123), (1, 32.5)):
        subject = of_run(PAPERS, 3, seed, 1.0)
        write(folder / "runs", f"srcnn_s{seed}", subject, scores("Set5", psnr_db) + scores("Set14", 29.0), about={})
    write(
        folder / "runs", "bicubic_x3", of_interpolation(models.recipe("bicubic"), 3), scores("Set5", 30.392), about={}
    )
    return folder


@pytest.fixture
def readme(tmp_path: Path) -> Path:
    path = tmp_path / "README.md"
    path.write_text(f"# Title\n\n{MARKS[0]}\nold\n{MARKS[1]}\n\n## After ×\n", encoding="utf-8")
    return path


def test_written_files_agree_with_their_sources(results: Path, readme: Path) -> None:
    expected = [results / "quality.csv", results / "training.csv", results / "tables.md", readme]
    assert differing(results, readme) == expected
    assert tables.write(results, readme) == expected
    assert differing(results, readme) == []
    before = {path: path.read_bytes() for path in expected}
    tables.write(results, readme)
    assert {path: path.read_bytes() for path in expected} == before


def test_quality_csv_holds_full_numbers(results: Path) -> None:
    tables.write(results, None)
    text = (results / "quality.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    assert list(rows[0]) == COLUMNS
    trained = next(row for row in rows if row["model"] == "srcnn-915" and row["dataset"] == "Set5")
    assert float(trained["psnr_db"]) == 32.361234567890123
    assert (trained["seeds"], trained["images"]) == ("2", "1")
    assert float(trained["psnr_db_std"]) == pytest.approx(stdev((32.361234567890123, 32.5)), abs=1e-12)
    interpolation = next(row for row in rows if row["model"] == "bicubic")
    assert interpolation["seeds"] == interpolation["budget"] == ""
    assert "±" not in text


def test_tables_are_made_for_people(results: Path) -> None:
    tables.write(results, None)
    text = (results / "tables.md").read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if line.startswith("## ")] == ["## Set5", "## Set14", "## Networks"]
    assert "32.361" in text
    assert "32.3612" not in text
    assert "nan" not in text.lower()
    assert "None" not in text


def test_the_readme_keeps_what_is_around_the_table(results: Path, readme: Path) -> None:
    tables.write(results, readme)
    text = readme.read_text(encoding="utf-8")
    assert text.startswith(f"# Title\n\n{MARKS[0]}\n")
    assert text.endswith(f"{MARKS[1]}\n\n## After ×\n")
    assert "old" not in text
    assert "srcnn-915" in text
    assert "×3" in text


@pytest.mark.parametrize("text", ["no marks", MARKS[0], MARKS[1]])
def test_a_readme_without_the_marks_is_left_alone(text: str, results: Path, readme: Path) -> None:
    readme.write_text(text, encoding="utf-8")
    assert readme not in generated(results, readme)
    tables.write(results, readme)
    assert readme.read_text(encoding="utf-8") == text


def test_a_changed_cell_is_noticed(results: Path, readme: Path) -> None:
    tables.write(results, readme)
    table = results / "quality.csv"
    text = table.read_text(encoding="utf-8")
    changed = text.replace("32.36123456789012", "32.36123456789013")
    assert changed != text
    table.write_text(changed, encoding="utf-8")
    assert differing(results, readme) == [table]


def test_other_sources_are_noticed_everywhere(results: Path, readme: Path) -> None:
    tables.write(results, readme)
    table = results / "runs" / "srcnn_s0" / "scores.csv"
    table.with_name("SHA256SUMS").unlink()  # as in older folders: it would be noticed there
    table.write_text(table.read_text(encoding="utf-8").replace("32.36", "32.46"), encoding="utf-8")
    assert differing(results, readme) == [results / "quality.csv", results / "tables.md", readme]


def test_a_changed_readme_table_is_noticed(results: Path, readme: Path) -> None:
    tables.write(results, readme)
    readme.write_text(readme.read_text(encoding="utf-8").replace("32.36 ", "32.46 "), encoding="utf-8")
    assert differing(results, readme) == [readme]


def test_a_missing_file_is_noticed(results: Path) -> None:
    tables.write(results, None)
    (results / "tables.md").unlink()
    assert differing(results, None) == [results / "tables.md"]


def test_no_results_yet(tmp_path: Path) -> None:
    assert list(quality([]).columns) == COLUMNS
    assert terminal_table(quality([])) == ""
    tables.write(tmp_path / "results", None)
    assert differing(tmp_path / "results", None) == []


def test_tables_whose_runs_are_gone_are_kept(results: Path) -> None:
    tables.write(results, None)
    before = (results / "quality.csv").read_bytes()
    (results / "runs").rename(results / "elsewhere")
    with pytest.raises(InputError, match="there is no run folder; .* keeps what it has"):
        tables.write(results, None)
    assert (results / "quality.csv").read_bytes() == before


def test_images_with_no_error_at_all_are_shown(tmp_path: Path) -> None:
    """Two equal planes have an infinite PSNR."""
    row = quality_row(of_interpolation(models.recipe("bicubic"), 3), scores("mine", float("inf")))
    assert "inf" in terminal_table(pd.DataFrame([row]))


# What is committed.


def committed_runs() -> Path:
    runs = CLONE / "results" / "runs"
    if not runs.is_dir() or not any(runs.glob("*/run.json")):
        pytest.skip("no committed runs: not a clone with results")
    return runs


def test_committed_files_agree_with_the_committed_runs() -> None:
    committed_runs()
    assert differing(CLONE / "results", CLONE / "README.md") == []


def test_committed_runs_name_their_weights_and_recipes() -> None:
    for path in sorted(committed_runs().glob("*/run.json")):
        about = json.loads(path.read_text(encoding="utf-8"))
        if about["subject"]["origin"] == "trained":
            assert len(about["weights_sha256"]) == 64, path
            assert about["recipe"]["name"] == about["subject"]["name"], path
            scale = "" if about["subject"]["scale"] is None else f"_x{about['subject']['scale']}"
            kind = f"{scale}_s" if path.with_name("log.csv").exists() else "_x"  # measured as it ships: at one scale
            assert path.parent.name.startswith(f"{about['subject']['name']}{kind}"), path
        (protocol,) = set(pd.read_csv(path.with_name("scores.csv"))["protocol"])
        assert path.parent.name.endswith(protocol) or protocol == "matlab-y-v1" or "_s" in path.parent.name, path


def test_readme_has_the_marks() -> None:
    readme = CLONE / "README.md"
    if not readme.is_file():
        pytest.skip("no README.md: not a clone")
    text = readme.read_text(encoding="utf-8")
    assert [text.count(mark) for mark in MARKS] == [1, 1]


def measured(**changes: object) -> dict[str, object]:
    """A row of speed.csv."""
    row = {
        "model": "srcnn-955", "task": "infer", "scale": 3, "device": "cpu", "precision": "float32", "layout": "nhwc",
        "mode": "eager", "batch": 1, "height": 4, "width": 5, "median_ms": 1.0, "iqr_ms": 0.1, "megapixels_per_s": 1.0,
        "samples_per_s": 1.0, "gflops": 1.0, "peak_share": 0.5, "peak_memory_mib": None, "repeats": 5,
        "baseline_ratio": 1.0, "machine": "M",
    }  # fmt: skip
    return row | changes


def test_speed_stands_beside_quality_and_what_the_papers_printed() -> None:
    scored = {"dataset": "Set5", "scale": 3, "psnr_db": 32.5, "ssim": 0.9, "published_psnr_db": 32.75}
    scored |= {"precision": "float32", "origin": "trained", "budget": 1.0, "protocol": "matlab-y-v1"}
    known = pd.DataFrame(
        [
            scored
            | {"model": "srcnn-955-authors", "origin": "authors", "published_as": "SRCNN 9-5-5", "psnr_db": 33.0},
            scored | {"model": "srcnn-955", "published_as": "SRCNN 9-5-5"},
            scored | {"model": "srcnn-915", "published_as": "SRCNN 9-1-5", "budget": 0.5},
        ]
    )
    rows = pd.DataFrame([measured(), measured(task="train"), measured(model="srcnn-915")])
    text = speeds.terminal_table(rows, known)
    assert max(map(len, text.splitlines())) <= 80
    about, shortened = re.findall(r"^(srcnn-.*?)\n\n", text, re.MULTILINE | re.DOTALL)
    assert " ".join(about.split()) == (
        "srcnn-955: Set5 ×3 32.50 dB, SSIM 0.9000 by srcnn-955; published 32.75 dB, 2.23 s an image"
    )
    assert "32.50" not in shortened
    assert re.search(r"^infer +5×4 ", text, re.MULTILINE)
    assert "recalled" in text
    assert "recalled" not in speeds.terminal_table(rows[1:], known)
    assert "33.00 dB, SSIM 0.9000 by srcnn-955-authors" in " ".join(
        speeds.terminal_table(rows, known[known["model"] != "srcnn-955"]).split()
    )


def test_the_page_of_speed_has_the_machine_that_was_timed_last() -> None:
    when = {"measured": "2026-01-02T00:00:00+00:00", "commit": "abcdef012", "torch": "2.13", "load": 0.06}
    rows = [
        measured(machine="older", median_ms=9.0) | dict.fromkeys(when),
        measured(machine="M", mode="native", baseline_ratio=2.0, peak_memory_mib=7.4) | when,
        measured(machine="M", mode="plain", median_ms=2.0) | when,
        measured(machine="M", task="train", batch=8) | when,
        measured(machine="a GPU", device="cuda") | when | {"measured": "2027"},
    ]
    pages = speeds.pages(pd.DataFrame(rows))
    for page in pages.values():
        assert page.startswith("M, PyTorch 2.13, 2026-01-02, commit abcdef0, load 0.1 before.\n\n|")
    *_, row = pages["inference"].splitlines()
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        *("srcnn-955", "5×4", "2 ± 0", "1 ± 0", "2.00", "50%", "7"),
    ]
    assert pages["training"].count("srcnn-955, 8") == 1


def test_a_page_of_speed_follows_its_table(results: Path, readme: Path) -> None:
    page = readme.parent / "docs" / "speed.md"
    page.parent.mkdir()
    marked = ["\n".join(("", *tables.marks(name))) for name in ("training", "inference")]
    page.write_text("# Speed".join(["", *marked]), encoding="utf-8")
    row = measured(measured="2026", commit="abc", torch="2", load=0.0)
    pd.DataFrame([row, measured(task="train") | row | {"task": "train"}]).to_csv(results / "speed.csv", index=False)
    tables.write(results, readme)
    assert page.read_text(encoding="utf-8").count("| srcnn-955") == 2
    page.write_text(page.read_text(encoding="utf-8").replace("50%", "51%"), encoding="utf-8")
    assert differing(results, readme) == [page]


@pytest.mark.parametrize("name", ["quality.csv", "tables.md"])
def test_somebody_elses_file_is_not_replaced(name: str, tmp_path: Path) -> None:
    assert tables.write(tmp_path, None)
    assert tables.write(tmp_path, None)  # its own
    before = (tmp_path / "training.csv").read_bytes()
    (tmp_path / name).write_text("my own notes\n", encoding="utf-8")
    with pytest.raises(InputError, match=rf"{name} was to be written, but what is there is not srrepro's. Move it"):
        tables.write(tmp_path, None)
    assert (tmp_path / name).read_text(encoding="utf-8") == "my own notes\n"
    assert (tmp_path / "training.csv").read_bytes() == before
