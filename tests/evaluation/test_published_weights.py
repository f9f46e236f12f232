"""The protocol on real data: bicubic rows and the authors' weights must read as in `reference/protocol.csv`.

The references are the values of the design's protocol, which agree with the papers' tables; released weights on Set14
were measured with the same protocol when it was set up.
"""

import csv
import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
import torch

import srrepro
from srrepro import models
from srrepro.data.registry import DataFolder, sha256_of
from srrepro.data.stores import EvaluationShape, Example, prepare_evaluation, read_evaluation
from srrepro.evaluation.measure import evaluate, mean_psnr
from srrepro.evaluation.upscaler import load
from srrepro.protocols.degradation import Degradation
from srrepro.protocols.named import PROTOCOLS
from srrepro.reporting.evidence import read

CLONE = Path(__file__).parents[2]
with (CLONE / "tests" / "reference" / "protocol.csv").open(newline="", encoding="utf-8") as text:
    REFERENCES = list(csv.DictReader(text))
SHIPPED = sorted((Path(srrepro.__file__).parent / "weights").glob("*.safetensors"))

Examples = Callable[[str, int, Degradation], list[Example]]


@pytest.fixture(scope="session")
def folder(mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> DataFolder:
    return DataFolder(tmp_path_factory.mktemp("data"), mirror)


@pytest.fixture(scope="session")
def examples(folder: DataFolder) -> Examples:
    """The degraded images of a set, through a store that is built once."""

    @cache
    def examples(dataset: str, scale: int, degradation: Degradation) -> list[Example]:
        shape = EvaluationShape(dataset, scale, degradation)
        prepare_evaluation(folder, shape)
        return list(read_evaluation(folder, shape))

    return examples


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(
            row,
            id=f"{row['name']}-{row['dataset']}-x{row['scale']}-{row['protocol']}",
            marks=pytest.mark.slow if row["slow"] else (),
        )
        for row in REFERENCES
    ],
)
def test_reference(row: dict[str, str], folder: DataFolder, examples: Examples) -> None:
    scale, protocol = int(row["scale"]), PROTOCOLS[row["protocol"]]
    upscaler = load(row["name"], scale, folder=folder)
    planes = examples(row["dataset"], scale, protocol.degradation)
    if row["ssim"]:
        scores = evaluate(upscaler, row["dataset"], planes, protocol=protocol)
        ssim = sum(score.values[protocol.similarity] for score in scores) / len(scores)
        psnr_db = sum(score.values["psnr_db"] for score in scores) / len(scores)
        assert ssim == pytest.approx(float(row["ssim"]), abs=float(row["tolerance_ssim"]))
    else:
        psnr_db = mean_psnr(upscaler, planes, protocol=protocol)
    assert psnr_db == pytest.approx(float(row["psnr_db"]), abs=float(row["tolerance_db"]))


def named_runs(sha256: str) -> list[Path]:
    """The run folders of this clone whose training made these weights."""
    abouts = sorted((CLONE / "results" / "runs").glob("*/run.json"))
    return [
        path.parent
        for path in abouts
        if json.loads(path.read_text(encoding="utf-8")).get("weights_sha256") == sha256
        and (path.parent / "log.csv").exists()
    ]


def recipe_and_scale(file: Path) -> tuple[str, int | None]:
    """No scale in the name of a network that serves several."""
    found = re.fullmatch(r"(.+?)(?:_x(\d))?", file.stem)
    assert found
    name, scale = found[1], int(found[2]) if found[2] else None
    training = models.recipe(name).training
    assert training is not None
    assert (scale is None) == bool(training.scales), file.name
    return name, scale


@pytest.fixture
def quality() -> pd.DataFrame:
    table = CLONE / "results" / "quality.csv"
    if not table.is_file():
        pytest.skip("no results/quality.csv: this is no clone with results")
    return pd.read_csv(table)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_weights_come_from_the_run_of_seed_0(file: Path, quality: pd.DataFrame) -> None:
    name, scale = recipe_and_scale(file)
    runs = named_runs(sha256_of(file))
    assert len(runs) == 1, f"no run.json, or more than one, names the sha256 of {file.name}: {runs}"
    subject = json.loads((runs[0] / "run.json").read_text(encoding="utf-8"))["subject"]
    assert (subject["name"], subject["scale"], subject["seed"], subject["budget"]) == (name, scale, 0, 1)
    assert runs[0].name in set(quality["run"])
    assert file.stat().st_size <= 3_000_000


@pytest.mark.usefixtures("quality")
@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_shipped_weights_measure_as_in_scores_csv(file: Path, examples: Examples) -> None:
    """On one image at every scale; `srrepro check` takes whole sets."""
    name, scale = recipe_and_scale(file)
    (run,) = named_runs(sha256_of(file))
    scores = [score for score in read(run).scores if score.image == "butterfly_GT.bmp"]
    training = models.recipe(name).training
    assert training is not None
    assert [score.scale for score in scores] == list(training.scales or (scale,))
    for score in scores:
        protocol = PROTOCOLS[score.protocol]
        stored = examples("Set5", score.scale, protocol.degradation)
        butterfly = [example for example in stored if example.name == score.image]
        measured = mean_psnr(load(name, score.scale), butterfly, protocol=protocol)
        assert measured == pytest.approx(score.values["psnr_db"], abs=0.001)


def test_released_weights_are_read_alike_from_a_file(folder: DataFolder, tmp_path: Path) -> None:
    """By name, or as a copy under any name: the sha256 tells whose they are."""
    by_name = load("srcnn-915-authors-t91", 3, folder=folder)
    copy = tmp_path / "anything.mat"
    copy.write_bytes((folder.root / "weights-srcnn" / "9-1-5(91 images)" / "x3.mat").read_bytes())
    from_file = load(copy, 3)
    assert from_file.subject == by_name.subject
    assert (by_name.subject.model, by_name.subject.training_set) == ("SRCNN 9-1-5", "T91")
    ours, theirs = from_file.network.state_dict(), by_name.network.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_released_weights_of_another_scale_are_refused(folder: DataFolder) -> None:
    load("srcnn-955-authors-imagenet", 4, folder=folder)
    with pytest.raises(srrepro.errors.InputError, match=r"read for x2, but are the authors' 9-5-5\(ImageNet\)/x4\.mat"):
        load(folder.root / "weights-srcnn" / "9-5-5(ImageNet)" / "x4.mat", 2)


def test_a_file_that_serves_all_scales_is_known_at_each(mirror: Path) -> None:
    (file,) = mirror.rglob("VDSR_Official.mat")
    subjects = [load(file, scale).subject for scale in (2, 3, 4)]
    assert {(subject.name, subject.model, subject.training_set) for subject in subjects} == {
        ("vdsr-authors", "VDSR", "291")
    }
    assert [subject.scale for subject in subjects] == [2, 3, 4]
