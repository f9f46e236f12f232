"""The audit of evidence: silent on what is whole, one sentence for each thing that is not."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from srrepro import models
from srrepro.data.registry import sha256_of
from srrepro.evaluation.measure import Score
from srrepro.evaluation.weights import of_interpolation, of_run
from srrepro.models.recipe import described
from srrepro.reporting import audit as module
from srrepro.reporting.audit import LIST, audit
from srrepro.reporting.evidence import write
from srrepro.reporting.tables import write as report

RECIPE = models.recipe("srcnn-915")
LOG = [{"backprops": 8, "step": 1, "lr": 0.1, "loss": 1.0, "Set5_psnr_db": 31.0, "seconds": 1.0, "samples_per_s": 8.0}]


def scored(image: str, *numbers: float, dataset: str = "Set5") -> Score:
    metrics = ("psnr_db", "ssim", "bicubic_psnr_db", "bicubic_ssim")
    return Score(dataset, 3, image, "matlab-y-v1", dict(zip(metrics, numbers, strict=True)))


SCORES = [scored("baby", 32.0, 0.9, 30.0, 0.8), scored("bird", 34.0, 0.9, 31.0, 0.8)]


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A trained run whose weights ship, and bicubic; everything as it should be."""
    results, ships = tmp_path / "results", tmp_path / "weights" / "srcnn-915_x3.safetensors"
    ships.parent.mkdir()
    ships.write_bytes(b"weights of seed 0")
    monkeypatch.setattr(module, "PLACE", ships.parent)
    monkeypatch.setattr(module, "shipping", lambda: {ships.name: "float32"})
    monkeypatch.setattr(module, "shipped", lambda recipe, scale: ships.parent / f"{recipe}_x{scale}.safetensors")
    about = {"weights_sha256": sha256_of(ships), "threads": 2, "recipe": described(RECIPE)}
    write(results / "runs", "run_s0", of_run(RECIPE, 3, 0, 1.0), SCORES, about=about, log=LOG, weights=ships)
    write(results / "runs", "bicubic_x3", of_interpolation(models.recipe("bicubic"), 3), SCORES, about={})
    report(results, None)
    return results


def older(results: Path) -> Path:
    """As results were before run folders carried checksums."""
    for sums in results.glob("runs/*/SHA256SUMS"):
        sums.unlink()
    return results


def with_list(results: Path) -> Path:
    """As results that are older, with the one list that was made of them."""
    paths = sorted(older(results).glob("runs/*/*.[cj]s*"))
    lines = [f"{sha256_of(path)}  {path.relative_to(results)}\n" for path in paths]
    (results / LIST).write_text("".join(lines), encoding="utf-8")
    return results


def test_what_is_whole_has_no_problems(results: Path) -> None:
    assert audit(results, None) == []
    assert audit(with_list(results), None) == []
    (results / LIST).unlink()
    assert audit(results, None) == [], "a user's results of the version before"


EDITS = {"scores.csv": ("32.0", "32.5"), "log.csv": ("31.0", "31.5"), "run.json": ('"threads": 2', '"threads": 3')}


@pytest.mark.parametrize("made", [lambda results: results, with_list], ids=["carried", "listed"])
@pytest.mark.parametrize("name", EDITS)
def test_an_edited_number_is_named_though_all_that_is_made_from_it_fits(
    name: str, made: Callable[[Path], Path], results: Path
) -> None:
    made(results)
    rewrite(results / "runs/run_s0" / name, *EDITS[name])
    sums = results / "runs/run_s0/SHA256SUMS"
    kept = sums.read_bytes() if sums.exists() else None
    if kept:  # the report reads no folder that is not as listed
        sums.unlink()
    report(results, None)
    if kept:
        sums.write_bytes(kept)
    (problem, *_) = audit(results, None)
    assert re.search(rf"run_s0.*{name} is not what .* names by its sha256.* Restore it", problem)


def test_what_no_list_names_or_a_list_lacks_is_named(results: Path) -> None:
    kept = with_list(results) / LIST
    lines = kept.read_text(encoding="utf-8").splitlines(keepends=True)
    for harmed, expected in (
        ([line for line in lines if "bicubic_x3" not in line], r"bicubic_x3 has no SHA256SUMS, and .* Restore it"),
        ([*lines, f"{'0' * 64}  runs/lost/run.json\n"], r"runs/lost/run\.json is not what"),
        ([*lines, "a line of another kind\n"], r"runs\.sha256 was to be read, but runs\.sha256 is damaged. Restore it"),
        ([line[1:] for line in lines], "is damaged"),
    ):
        kept.write_text("".join(harmed), encoding="utf-8")
        (problem,) = audit(results, None)
        assert re.search(expected, problem)


def change_run(results: Path, change: Callable[[dict], object]) -> None:
    path = results / "runs" / "run_s0" / "run.json"
    about = json.loads(path.read_text(encoding="utf-8"))
    change(about)
    path.write_text(json.dumps(about), encoding="utf-8")


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def protocol_of_the_last(results: Path, name: str) -> None:
    """Of the last image of a set only."""
    path = results / "runs" / "run_s0" / "scores.csv"
    before, _, after = path.read_text(encoding="utf-8").rpartition("matlab-y-v1")
    path.write_text(before + name + after, encoding="utf-8")


def rewrite_all(results: Path, old: str, new: str) -> None:
    path = results / "runs" / "run_s0" / "scores.csv"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a number": (lambda r: rewrite(r / "quality.csv", "33.0", "33.4"), r"quality\.csv differs from its sources"),
    "a table": (lambda r: (r / "tables.md").unlink(), r"tables\.md differs from its sources"),
    "a score": (lambda r: rewrite(r / "runs/run_s0/scores.csv", "32.0", "33.0"), r"quality\.csv differs"),
    "no scores": (lambda r: (r / "runs/run_s0/scores.csv").unlink(), r"run_s0 was to be read, but is not whole"),
    "no run.json": (lambda r: (r / "runs/bicubic_x3/run.json").unlink(), r"bicubic_x3 was to be read"),
    "no log": (lambda r: (r / "runs/run_s0/log.csv").unlink(), r"run_s0 has no log\.csv"),
    "no sha256": (lambda r: change_run(r, lambda about: about.pop("weights_sha256")), "names no weights_sha256"),
    "shipped weights": (
        lambda r: (r.parent / "weights/srcnn-915_x3.safetensors").write_bytes(b"others"),
        "srcnn-915_x3.* is not what its run names",
    ),
    "no shipped weights": (
        lambda r: (r.parent / "weights/srcnn-915_x3.safetensors").unlink(),
        "does not exist, though shipping.csv names it",
    ),
    "weights of nobody": (
        lambda r: (r.parent / "weights/srcnn-0_x3.safetensors").write_bytes(b"others"),
        "srcnn-0_x3.safetensors ships, but shipping.csv",
    ),
    "a word for a number": (
        lambda r: rewrite(r / "runs/run_s0/scores.csv", "32.0", "thirty"),
        r"run_s0 was to be read, but is not whole: could not convert string to float",
    ),
    "no rows": (
        lambda r: (r / "runs/run_s0/scores.csv").write_text("dataset,scale,image\n"),
        "run_s0 was to be read, but is not whole: no scores",
    ),
    "nothing that JSON calls an object": (
        lambda r: (r / "runs/run_s0/run.json").write_text("3"),
        "run_s0 was to be read, but is not whole",
    ),
    "an unknown origin": (lambda r: change_run(r, lambda a: a["subject"].update(origin="x")), "run_s0 .*not whole"),
    "its weights": (lambda r: (r / "runs/run_s0/weights.safetensors").write_bytes(b"others"), "weights.* is not what"),
    "two protocols": (lambda r: protocol_of_the_last(r, "vdsr-y-v1"), "under matlab-y-v1, vdsr-y-v1, not"),
    "an unknown protocol": (lambda r: rewrite_all(r, "matlab-y-v1", "another-v2"), "scores under another-v2, not"),
    "a recipe since changed": (
        lambda r: change_run(r, lambda about: about["recipe"]["training"].update(batch=64)),
        "was made by another srcnn-915",
    ),
    "an unknown recipe": (lambda r: change_run(r, lambda a: a["subject"].update(name="srcnn-0")), "no recipe 'srcnn"),
}  # fmt: skip


def test_weights_that_ship_measured_under_another_protocol(results: Path) -> None:
    """They have no log of their own, and must be the weights that ship now."""
    under = [replace(score, protocol="vdsr-y-v1") for score in SCORES]
    ships = results.parent / "weights/srcnn-915_x3.safetensors"
    about = {"shipped": ships.name, "weights_sha256": sha256_of(ships), "recipe": described(RECIPE)}
    write(results / "runs", "srcnn-915_x3_vdsr-y-v1", of_run(RECIPE, 3, 0, 1.0), under, about=about)
    report(results, None)
    assert audit(results, None) == []
    about["weights_sha256"] = "0" * 64
    write(results / "runs", "another", of_run(RECIPE, 3, 1, 1.0), under, about=about)
    report(results, None)
    assert [problem for problem in audit(results, None) if "another measured other weights" in problem]


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_is_named(what: str, results: Path) -> None:
    damage, expected = DAMAGE[what]
    damage(older(results))
    problems = audit(results, None)
    assert len(problems) >= 1
    assert re.search(expected, problems[0]), problems


def test_another_seed_may_have_other_weights(results: Path) -> None:
    """Only seed 0 at its full budget ships."""
    about = {"weights_sha256": "0" * 64, "threads": 2, "recipe": described(RECIPE)}
    write(results / "runs", "run_s1", of_run(RECIPE, 3, 1, 1.0), SCORES, about=about, log=LOG)
    write(results / "runs", "run_s0_short", of_run(RECIPE, 3, 0, 0.5), SCORES, about=about, log=LOG)
    report(results, None)
    assert audit(results, None) == []


def test_nothing_is_not_whole(tmp_path: Path) -> None:
    (problem,) = audit(tmp_path, None)
    assert "holds no evidence" in problem


def test_a_run_in_another_precision_may_have_other_weights(results: Path) -> None:
    about = {"weights_sha256": "1" * 64, "threads": 2, "recipe": described(RECIPE), "precision": "bfloat16"}
    write(results / "runs", "run_s0_in_bfloat16", of_run(RECIPE, 3, 0, 1.0), SCORES, about=about, log=LOG)
    report(results, None)
    assert audit(results, None) == []
