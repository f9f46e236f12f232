"""The regression gate, `srrepro check`: whether what is cheap and certain still gives the scores of the run folders.

Bicubic, released weights and weights that ship are measured anew on the sets at hand; the demo photographs are always
at hand. Every image that is measured is held against its own score. One small network is trained, so that a loop that
no longer learns cannot pass.
"""

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from statistics import mean

from srrepro.data.registry import DataFolder, fetch
from srrepro.data.stores import Example
from srrepro.errors import Diverged, InputError, Lacking, Stopped
from srrepro.evaluation import weights
from srrepro.evaluation.measure import Score, evaluate
from srrepro.evaluation.upscaler import load
from srrepro.evaluation.weights import Subject
from srrepro.jobs.carry_out import carry_out
from srrepro.jobs.job import DEMO_TEST_SETS, LARGE, SCALES, Train, Workspace
from srrepro.pixels import images
from srrepro.protocols.degradation import Degradation, degrade
from srrepro.protocols.named import MATLAB_Y, PROTOCOLS
from srrepro.reporting.evidence import Evidence, read, read_all
from srrepro.reporting.tabulated import MARKDOWN, tabulated

PSNR_DB, SSIM = 0.001, 0.0001
"""How far an image's score may be from the committed one; rounding on another processor moves it far less."""
DEMO, SCALE = "srcnn-915-demo", 3
BAND_DB = (30.43, 30.63)
"""Of the demo run on the demo photographs; seeds, modes and threads in `results/choices/demo-band.csv`."""


@dataclass(frozen=True)
class Cell:
    """One model on one set at one scale under one protocol, as a run folder has it: the score of every image."""

    subject: Subject
    precision: str | None
    dataset: str
    scale: int
    protocol: str
    scores: dict[str, Score]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A cell measured anew: how many `images`, and how many of them are `differing` from the committed scores.

    `psnr_db` and `ssim` are those of `image`, which is farthest from what was `expected` of it.
    """

    model: str
    scale: int
    dataset: str
    protocol: str
    images: int
    differing: int
    image: str
    psnr_db: float
    ssim: float
    expected: str
    expected_ssim: str
    same: bool


@dataclass
class Outcome:
    """`rows` are measured now. `images` is how many of a set, and of how many. `lacking` has reasons."""

    rows: list[Row] = field(default_factory=list)
    images: dict[str, tuple[int, int]] = field(default_factory=dict)
    lacking: dict[str, str] = field(default_factory=dict)

    @property
    def differing(self) -> list[Row]:
        return [row for row in self.rows if not row.same]

    @property
    def measured_anew(self) -> int:
        """The demo run alone compares nothing."""
        return sum(row.model != DEMO for row in self.rows)


def check(results: Path, names: Sequence[str], workspace: Workspace, *, full: bool = False) -> Outcome:
    """Measure anew what the run folders of `results` hold, of all sets but the large one or of the named ones.

    Of each set its `sample` is measured, or all of it if `full`. The demo is trained. Nothing is taken from stores,
    which an older version may have built: images are degraded here and now.

    Raises
    ------
    InputError : there are no run folders, or they are not whole; a named set is in none of them or cannot be had.
    """
    outcome = Outcome()
    for dataset, cells in groupby(_cheap_and_certain(results, names), key=lambda cell: cell.dataset):
        try:
            paths = fetch(workspace.folder, dataset)
        except Lacking as error:
            if dataset in names:
                raise
            outcome.lacking[dataset] = str(error)
            continue
        chosen = paths if full else sample(paths)
        outcome.images[dataset] = len(chosen), len(paths)
        for scale, at_scale in groupby(cells, key=lambda cell: cell.scale):
            degraded: dict[Degradation, list[Example]] = {}
            for cell in at_scale:
                protocol = PROTOCOLS[cell.protocol]
                how = protocol.degradation
                hardware = workspace.hardware.for_numbers()
                try:
                    upscaler = load(cell.subject.name, scale, folder=workspace.folder, hardware=hardware)
                except Lacking as error:
                    outcome.lacking[cell.subject.name] = str(error)
                    continue
                if how not in degraded:
                    degraded[how] = [Example(path.name, degrade(images.read(path), scale, how)) for path in chosen]
                scores = evaluate(upscaler, dataset, degraded[how], protocol=protocol)
                outcome.rows.append(_compared(cell, scores, {path.name for path in paths}))
    outcome.rows.append(_demo(workspace))
    return outcome


KINDS: tuple[Callable[[int, int, bool], bool], ...] = (
    lambda _height, _width, _grey: True,
    lambda _height, _width, grey: grey,
    lambda height, width, _grey: width > height,
    lambda height, width, _grey: height > width,
    *(lambda height, width, _grey, scale=scale: bool(height % scale or width % scale) for scale in SCALES),
)
"""Of a height, a width and whether it is grey: any, grey, lying, standing, and cropped at x2, at x3, at x4."""


def sample(paths: Sequence[Path]) -> list[Path]:
    """What is measured of a set unless all of it is: the smallest image of each of `KINDS`, in the order of `paths`.

    Smallest is by pixels; of several the first. The rule looks at shapes and colour alone, never at a score. Grey takes
    another road through colour; axes can be swapped; a crop and a border weigh most where there is little else.
    """
    shapes = {path: images.read(path).shape for path in paths}
    by_size = sorted(paths, key=lambda path: math.prod(shapes[path][:2]))  # stable: of several the first

    def is_of(kind: Callable[[int, int, bool], bool], path: Path) -> bool:
        height, width, *colours = shapes[path]
        return kind(height, width, not colours)

    chosen = {next((path for path in by_size if is_of(kind, path)), None) for kind in KINDS}
    return [path for path in paths if path in chosen]


def report(outcome: Outcome) -> str:
    """Every difference as a table in Markdown, what was compared, and what could not be."""
    parts = []
    if outcome.differing:
        differences = [
            {
                "model": row.model,
                "scale": f"×{row.scale}",
                "set": row.dataset,
                "protocol": row.protocol,
                "images": f"{row.differing} of {row.images}",
                "farthest": row.image,
                "PSNR, dB": f"{row.psnr_db:.4f}",
                "expected, dB": row.expected,
                "SSIM": f"{row.ssim:.5f}",
                "expected": row.expected_ssim,
            }
            for row in outcome.differing
        ]
        parts.append(tabulated(differences, form=MARKDOWN))
    sets = [f"{name} {measured} of {there} images" for name, (measured, there) in outcome.images.items()]
    parts.append(f"{outcome.measured_anew} rows measured anew ({', '.join(sets) or 'no set'}) and {DEMO} trained: ")
    parts[-1] += f"{len(outcome.differing)} differ." if outcome.differing else "all as expected."
    if any(measured < there for measured, there in outcome.images.values()):
        parts[-1] += " --full measures every image."
    parts += [f"Not compared: {what}. {why}" for what, why in outcome.lacking.items()]
    return "\n\n".join(parts)


def _cheap_and_certain(results: Path, names: Sequence[str]) -> list[Cell]:
    """Scores of what can be measured anew, set by set and scale by scale; the demo photographs in any case."""
    runs = read_all(results / "runs")
    if not runs:
        msg = f"{results} was to be compared with, but {results / 'runs'} holds no evidence. Name a results folder."
        raise InputError(msg)
    known = {score.dataset for run in runs for score in run.scores}
    for name in names:
        if name not in known:
            msg = f"{name} was to be measured anew, but {results} has only {', '.join(sorted(known))}."
            raise InputError(msg)
    wanted = {*names, *DEMO_TEST_SETS} if names else known - {LARGE}
    cells = [cell for run in runs for cell in _cells(run) if cell.dataset in wanted and _can_be_measured(cell)]
    order = {name: place for place, name in enumerate(sorted(known, key=lambda name: (name in DEMO_TEST_SETS, name)))}
    return sorted(cells, key=lambda cell: (order[cell.dataset], cell.scale))


def _cells(run: Evidence) -> Iterator[Cell]:
    for (dataset, scale, protocol), scores in groupby(
        run.scores, key=lambda score: (score.dataset, score.scale, score.protocol)
    ):
        by_image = {score.image: score for score in scores}
        yield Cell(run.subject, run.about.get("precision"), dataset, scale, protocol, by_image)


def _can_be_measured(cell: Cell) -> bool:
    """Interpolation and released weights; of what was trained, the run whose weights ship."""
    subject = cell.subject
    if subject.origin != "trained":
        return True
    if not weights.ships(subject.name, cell.scale) or (subject.seed, subject.budget) != (0, 1):
        return False
    return cell.precision == weights.shipping()[weights.shipped(subject.name, cell.scale).name]


def _compared(cell: Cell, scores: Sequence[Score], names: set[str]) -> Row:
    """What was measured beside what was committed of the same images; `names` are all that the set has."""
    row = partial(Row, model=cell.subject.name, scale=cell.scale, dataset=cell.dataset, protocol=cell.protocol)
    row = partial(row, images=len(scores))
    if cell.scores.keys() != names:
        found, wanted = f"{len(names)} images of other names", f"{len(cell.scores)} images"
        return row(
            differing=len(scores),
            image=found,
            psnr_db=math.nan,
            ssim=math.nan,
            expected=wanted,
            expected_ssim="",
            same=False,
        )
    similarity = PROTOCOLS[cell.protocol].similarity
    allowed = {"psnr_db": PSNR_DB, similarity: SSIM}

    def apart(score: Score) -> float:
        """How far from what was committed, as a multiple of what is allowed; no number is farthest."""
        before = cell.scores[score.image].values
        pairs = ((score.values[name], before[name], most) for name, most in allowed.items())
        found = [0.0 if now == then else abs(now - then) / most for now, then, most in pairs]  # both may be infinite
        return math.inf if any(map(math.isnan, found)) else max(found)

    farthest = max(scores, key=apart)
    before = cell.scores[farthest.image].values
    differing = sum(apart(score) > 1 for score in scores)
    return row(
        differing=differing,
        image=farthest.image,
        psnr_db=farthest.values["psnr_db"],
        ssim=farthest.values[similarity],
        expected=f"{before['psnr_db']:.4f}",
        expected_ssim=f"{before[similarity]:.5f}",
        same=not differing,
    )


def _demo(workspace: Workspace) -> Row:
    """The demo run, seed 0, on a processor in float32, from image files on: it must land where it always does."""
    with tempfile.TemporaryDirectory() as scratch:
        hardware = replace(workspace.hardware, device="cpu", precision="float32")
        apart = Workspace(DataFolder(Path(scratch), None), Path(scratch), hardware)
        job = Train(name=DEMO, scale=SCALE, test_sets=DEMO_TEST_SETS)
        psnr_db = ssim = math.nan
        images = 0
        try:
            kept, _ = carry_out(job, apart)
            scores = read(kept).scores
            images = len(scores)
            psnr_db, ssim = (mean(score.values[name] for score in scores) for name in ("psnr_db", MATLAB_Y.similarity))
        except Diverged:
            pass
        except Stopped as stopped:  # its checkpoint goes with the scratch folder: nothing can be resumed
            raise KeyboardInterrupt from stopped
    low, high = BAND_DB
    same = low <= psnr_db <= high
    return Row(
        model=DEMO,
        scale=SCALE,
        dataset=DEMO_TEST_SETS[0],
        protocol=MATLAB_Y.name,
        images=images,
        differing=0 if same else images,
        image="their mean",
        psnr_db=psnr_db,
        ssim=ssim,
        expected=f"{low} to {high}",
        expected_ssim="",
        same=same,
    )
