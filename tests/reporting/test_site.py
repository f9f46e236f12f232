"""The report's page: what it holds, and how `report --check` tells that it is old."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from srrepro import models
from srrepro.evaluation.measure import Score
from srrepro.evaluation.upscaler import load
from srrepro.evaluation.weights import of_authors, of_interpolation, of_run
from srrepro.reporting import crops, inputs, site
from srrepro.reporting.evidence import Evidence, read_all, write
from srrepro.reporting.site import FOLDER, FULL, INPUTS, PAGE, commands, stale

RESULTS = Path(__file__).parents[2] / "results"
NEEDS_THE_EXTRA = pytest.mark.skipif(bool(site.lacking()), reason="the extra `report` is not installed")
MEBIBYTE = 2**20
VALUES = {"psnr_db": 30.392, "ssim": 0.8682, "bicubic_psnr_db": 30.392, "bicubic_ssim": 0.8682}


class Reader(HTMLParser):
    """What a page refers to, and what it says of its pictures."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.told: list[str | None] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        self.tags.append(tag)
        self.ids += [values["id"] or ""] if "id" in values else []
        if tag == "a":
            self.links.append(values.get("href") or "")
        self.loads += [value or "" for name, value in attributes if name in {"src", "srcset", "xlink:href"}]
        self.loads += [values["href"] or ""] if tag in {"link", "use", "image"} and "href" in values else []
        if tag == "img":
            self.told.append(values.get("alt"))
        if tag == "svg":
            self.told.append(values.get("aria-label"))


@pytest.fixture(scope="module")
def committed() -> str:
    if not (RESULTS / FOLDER / PAGE).is_file():
        pytest.skip("no results/report/: this is no clone")
    return (RESULTS / FOLDER / PAGE).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def reader(committed: str) -> Reader:
    return Reader(committed)


def test_the_page_is_small(committed: str) -> None:
    assert len(committed.encode()) < 3 * MEBIBYTE
    figures = [path for path in (RESULTS / FOLDER).iterdir() if path.suffix in {".svg", ".png"}]
    assert figures
    assert sum(path.stat().st_size for path in figures) < 3 * MEBIBYTE


def test_the_page_loads_nothing_and_runs_nothing(committed: str, reader: Reader) -> None:
    assert not {"script", "link", "iframe", "object", "embed"} & set(reader.tags)
    assert all(load.startswith(("data:", "#")) for load in reader.loads)
    assert "@import" not in committed
    assert set(re.findall(r"url\((.)", committed)) <= {"#"}


def test_every_link_leads_to_evidence(reader: Reader) -> None:
    runs = [link for link in reader.links if link.startswith("../runs/")]
    assert len(runs) > 300
    for link in dict.fromkeys(reader.links):
        assert link.removeprefix("#") in reader.ids if link[0] == "#" else (RESULTS / FOLDER / link).exists(), link


def test_every_run_is_linked(reader: Reader) -> None:
    wanted = {f"../runs/{folder.name}/" for folder in (RESULTS / "runs").iterdir()}
    assert wanted <= set(reader.links)


def test_every_picture_says_what_it_shows(reader: Reader) -> None:
    assert len(reader.told) > 20
    assert all(reader.told)


def test_names_of_parts_are_not_used_twice(reader: Reader) -> None:
    assert len(reader.ids) == len(set(reader.ids))


def test_pictures_that_may_not_be_handed_on_are_not_committed(committed: str) -> None:
    assert {place.dataset for place in crops.DEMO} == {"demo-test"}
    assert not any(place.image in committed for place in crops.PAPERS)
    ignored = (RESULTS.parent / ".gitignore").read_text(encoding="utf-8").split()
    assert f"/results/{FOLDER}/{FULL}" in ignored


def test_the_committed_page_is_not_old(committed: str) -> None:
    assert stale(RESULTS) == []


@NEEDS_THE_EXTRA
def test_the_committed_page_says_what_the_evidence_says(committed: str) -> None:
    """All but figures, which another matplotlib may draw otherwise."""
    from srrepro.reporting.figures import FIGURES, Figure

    def words(text: str) -> str:
        return re.sub(r"(\s*<figure.*?</figure>)+\s*", "\n", text, flags=re.DOTALL)

    drawn = [Figure(name, "", "<svg ></svg>", b"") for name in FIGURES]
    assert words(site.page(inputs.read(RESULTS), drawn, [], b"")) == words(committed)


def test_vdsr_loses_to_bicubic_where_the_full_page_says_so() -> None:
    if not (RESULTS / "runs").is_dir():
        pytest.skip("no results/: this is no clone")
    said = [place.image for place in crops.PAPERS if "below bicubic" in place.look]
    found = {
        score.image
        for run in read_all(RESULTS / "runs")
        if run.name == "vdsr-authors_x3"
        for score in run.scores
        if score.values["psnr_db"] < score.values["bicubic_psnr_db"]
    }
    assert said == ["barbara.bmp"] == list(found)


# How an old page is noticed.


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Evidence of one run, and a page beside it, as `write` leaves them."""
    scores = [Score("Set5", 3, "1.png", "matlab-y-v1", VALUES)]
    write(tmp_path / "runs", "bicubic_x3", of_interpolation(models.recipe("bicubic"), 3), scores, about={})
    made = {PAGE: b"<!doctype html>", "one.svg": b"<svg/>"}
    (tmp_path / FOLDER).mkdir()
    for name, content in made.items():
        (tmp_path / FOLDER / name).write_bytes(content)
    (tmp_path / FOLDER / INPUTS).write_text(site.described(tmp_path, made), encoding="utf-8")
    return tmp_path


def only_problem(results: Path) -> str:
    (problem,) = stale(results)
    return problem


def test_a_page_of_this_evidence_is_right(results: Path) -> None:
    assert stale(results) == []


def test_no_page_is_no_problem(tmp_path: Path) -> None:
    assert stale(tmp_path) == []


def test_changed_evidence_is_named(results: Path) -> None:
    scores = results / "runs" / "bicubic_x3" / "scores.csv"
    scores.write_text(scores.read_text(encoding="utf-8").replace("30.392", "30.393"), encoding="utf-8")
    assert f"{PAGE} was made from another runs/bicubic_x3. Run `srrepro report`" in only_problem(results)


def test_new_and_lost_inputs_are_named(results: Path) -> None:
    (results / "speed.csv").write_text("model\n", encoding="utf-8")
    assert "from another speed.csv." in only_problem(results)
    (results / FOLDER / INPUTS).write_text(site.described(results, {}), encoding="utf-8")
    (results / "speed.csv").unlink()
    assert "from another speed.csv." in only_problem(results)


@pytest.mark.parametrize("name", [PAGE, "one.svg"])
def test_an_edited_or_lost_file_is_named(name: str, results: Path) -> None:
    (results / FOLDER / name).write_bytes(b"mine")
    assert f"{name} is not what `srrepro report` wrote" in only_problem(results)
    (results / FOLDER / name).unlink()
    assert f"{name} is not what `srrepro report` wrote" in only_problem(results)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"inputs": 1, "files": {}}', '{"inputs": {}, "files": 1}'])
def test_a_damaged_list_of_inputs_is_said_to_be(text: str, results: Path) -> None:
    (results / FOLDER / INPUTS).write_text(text, encoding="utf-8")
    assert "is damaged" in only_problem(results)


def test_a_page_without_its_inputs_is_noticed(results: Path) -> None:
    (results / FOLDER / INPUTS).unlink()
    assert f"has no {INPUTS} beside it" in only_problem(results)


def test_weights_and_photographs_are_inputs(results: Path) -> None:
    named = json.loads((results / FOLDER / INPUTS).read_text(encoding="utf-8"))["inputs"]
    assert {"srcnn-915-quick_x3.safetensors", "published.csv", "demo-test", "runs/bicubic_x3"} <= named.keys()


@NEEDS_THE_EXTRA
def test_the_same_evidence_gives_the_same_page(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crops, "DEMO", crops.DEMO[:1])
    monkeypatch.setattr(crops, "OURS", crops.OURS[:2])
    (results / FOLDER / "old.svg").write_text("of a figure that is no longer drawn", encoding="utf-8")
    assert site.write(results) == [results / FOLDER / PAGE]
    before = {path.name: path.read_bytes() for path in (results / FOLDER).iterdir()}
    assert before.keys() == {PAGE, INPUTS, "crops-chelsea.png", "gaps-measured.svg", "gaps-measured.png"}
    site.write(results)
    assert {path.name: path.read_bytes() for path in (results / FOLDER).iterdir()} == before
    assert stale(results) == []
    assert Reader(before[PAGE].decode()).links.count("../runs/bicubic_x3/") > 2


@NEEDS_THE_EXTRA
def test_colours_of_a_page_follow_it() -> None:
    from srrepro.reporting.figures import PALETTE, Figure

    svg = '<?xml?>\n<svg width="1"><g id="a" style="fill: #0068a8"/><use xlink:href="#a"/></svg>'
    text = Figure("name", "what", svg, b"").inline
    assert text.startswith('<svg role="img" aria-label="what" width="1">')
    assert "var(--blue)" in text
    assert 'id="name-a"' in text
    assert 'href="#name-a"' in text
    for name, pair in PALETTE.items():
        for colour, ground in zip(pair, PALETTE["paper"], strict=True):
            if name not in {"paper", "grid", "band"}:
                assert contrast(colour, ground) >= 4.5, name


def contrast(one: str, other: str) -> float:
    """By WCAG 2."""

    def luminance(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    brighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


# Crops, and commands.


def test_a_crop_is_that_of_the_whole_image() -> None:
    network = load("srcnn-915-quick", 3)
    image = np.random.default_rng(0).random((90, 96))
    whole = network.estimate(image)
    for top, left in ((0, 0), (10, 30), (34, 40)):
        inside = slice(top, top + crops.SIDE), slice(left, left + crops.SIDE)
        np.testing.assert_allclose(crops.estimate_of(network, image, inside), whole[inside], atol=1e-5)


def test_crops_show_the_photograph_and_no_error_of_it() -> None:
    shown = crops.OURS[:2]
    grey = np.random.default_rng(0).integers(0, 256, (400, 400), dtype=np.uint8)
    (row,) = crops.rows(crops.DEMO[2:], shown, [], {"camera.png": grey})
    assert [picture.title for picture in row.pictures] == ["original", "bicubic"]
    assert len(row.errors) == 1
    assert row.pictures[1].psnr_db is None  # no run has measured it


BICUBIC = Evidence(
    "bicubic_x3",
    of_interpolation(models.recipe("bicubic"), 3),
    {},
    [Score(name, 3, "1.png", "vdsr-y-v1", VALUES) for name in ("Set5", "Set14")],
)


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (BICUBIC, ["srrepro evaluate bicubic --scale 3 --set Set5 --set Set14 --protocol vdsr-y-v1"]),
        (
            replace(BICUBIC, subject=of_authors(models.authors()["vdsr-authors"], 3), scores=[BICUBIC.scores[0]]),
            ["srrepro evaluate vdsr-authors --scale 3 --set Set5 --protocol vdsr-y-v1"],
        ),
        (
            replace(BICUBIC, subject=of_run(models.recipe("srcnn-915-quick"), 3, 0, 1.0), scores=BICUBIC.scores[:1]),
            ["srrepro evaluate srcnn-915-quick --scale 3 --set Set5 --protocol vdsr-y-v1"],
        ),
        (
            replace(BICUBIC, subject=of_run(models.recipe("srcnn-915-quick"), 3, 1, 1), about={"precision": "float32"}),
            ["srrepro train srcnn-915-quick --scale 3 --seed 1 --precision float32"],
        ),
        (
            replace(
                BICUBIC,
                subject=of_run(models.recipe("vdsr-t91-code"), None, 0, 0.5),
                about={"precision": "tf32", "device": "cuda"},
            ),
            ["srrepro train vdsr-t91-code --seed 0 --budget 0.5 --device cuda --precision tf32"],
        ),
    ],
    ids=["interpolation", "authors", "shipped", "another seed", "gpu"],
)  # fmt: skip
def test_the_command_that_makes_a_number_again(run: Evidence, expected: list[str]) -> None:
    assert commands(run) == expected
