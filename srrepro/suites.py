"""Jobs, the suites that they make up, and how one is carried out: prepare, train, evaluate, leave evidence.

Over 300 lines: a job, its place in a suite and what it leaves are one story.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from srrepro import models
from srrepro.data.registry import DataFolder, fetch, is_present, members, sets, sha256_of
from srrepro.data.stores import EvaluationShape, TrainingShape, digest_of, prepare_evaluation, prepare_training
from srrepro.errors import InputError
from srrepro.evaluation import weights
from srrepro.evaluation.evaluate import Score, TestSet, evaluate
from srrepro.evaluation.protocol import NAME, VDSR_Y, Protocol, named
from srrepro.evaluation.upscale import MEMORY, Upscaler, load
from srrepro.evaluation.weights import Subject
from srrepro.kernels.convolution import Mode, fastest_mode
from srrepro.models.recipe import described
from srrepro.progress import say
from srrepro.reporting import evidence
from srrepro.reporting.provenance import provenance
from srrepro.training.engine import Precision, fastest_precision, precisions
from srrepro.training.loop import Diverged, Run, Stopped, train

SCALES = (2, 3, 4)
TEST_SETS = ("Set5", "Set14", "B100", "demo-test")
DEMO_TEST_SETS = ("demo-test",)
EVALUATION_SETS = ("val20", "Set5", "Set14", "B100", "Urban100", "demo-test")
BOTH_WAYS = ("bicubic", "srcnn-955-authors-imagenet", "vdsr-authors", "vdsr-t91-muon-overlap")
"""What is measured under the VDSR paper's protocol, too: what its tables print, and our network for its T91."""
SHORTENED = 0.001  # of the paper's 8e8 backprops: some minutes on two cores instead of days on a GPU


@dataclass(frozen=True)
class Workshop:
    """Where the work is done, and what it is done with; precision and mode are the device's fastest unless named."""

    folder: DataFolder
    results: Path
    device: str = "cpu"
    precision: Precision | None = None
    memory: int = MEMORY
    mode: Mode | None = None

    def mode_in(self, precision: Precision) -> Mode:
        return self.mode or fastest_mode(self.device, precision)

    @property
    def runs(self) -> Path:
        return self.results / "runs"

    @property
    def running(self) -> Path:
        return self.results / ".running"


@dataclass(frozen=True, kw_only=True)
class Measure:
    """An interpolation, released weights or weights that ship, measured as they are.

    `protocol` names the measurement; under another one than usual the evidence lies in a folder of its own.
    """

    name: str
    scale: int
    test_sets: tuple[str, ...] = TEST_SETS
    protocol: str = NAME

    @property
    def folder(self) -> str:
        """The name of the run folder."""
        return f"{self.name}_x{self.scale}" + ("" if self.protocol == NAME else f"_{self.protocol}")


@dataclass(frozen=True, kw_only=True)
class Train:
    """A recipe trained from scratch, then measured. `budget` is a factor on its backprops.

    `scale` is None where one network serves several scales.
    """

    name: str
    scale: int | None = None
    seed: int = 0
    budget: float = 1.0
    test_sets: tuple[str, ...] = TEST_SETS


Job = Measure | Train


def _t91() -> Iterator[Job]:
    for scale in SCALES:
        yield Measure(name="bicubic", scale=scale)
    for released in models.authors().values():
        for scale in released.files:
            yield Measure(name=released.name, scale=scale)
    for scale in SCALES:
        yield Train(name="srcnn-915-quick", scale=scale)
    for seed in (1, 2):
        yield Train(name="srcnn-915-quick", scale=3, seed=seed)
    yield Train(name="srcnn-915", scale=3, budget=SHORTENED)
    yield Train(name="vdsr-t91")
    yield Train(name="vdsr-t91-muon-overlap")
    for name in BOTH_WAYS:  # after what is trained, so that a folder can name the run that its weights come from
        for scale in SCALES:
            yield Measure(name=name, scale=scale, protocol=VDSR_Y.name)


def _paper() -> Iterator[Job]:
    """The papers' own budgets: minutes to hours each on a GPU, days on a processor."""
    for seed in (0, 1, 2):
        yield Train(name="vdsr-t91", seed=seed)
    for scale in (3, 2, 4):  # the paper's main scale first
        yield Train(name="srcnn-915", scale=scale)
    yield Train(name="vdsr")
    for scale in SCALES:
        yield Train(name="vdsr-t91-single", scale=scale)
    for name in ("vdsr-10-residual", "vdsr-10-plain"):
        yield Train(name=name)
    yield Train(name="srcnn-955", scale=3)
    yield Train(name="srcnn-955-291")


def _demo() -> Iterator[Job]:
    yield Measure(name="bicubic", scale=3, test_sets=DEMO_TEST_SETS)
    for name in ("srcnn-915-demo", "srcnn-915-demo-padded"):
        yield Train(name=name, scale=3, test_sets=DEMO_TEST_SETS)


SUITES: dict[str, Callable[[], Iterator[Job]]] = {"t91": _t91, "demo": _demo, "paper": _paper}


def test_sets(recipe: str) -> tuple[str, ...]:
    """What a trained recipe is measured on; the demo needs no download."""
    training = models.recipe(recipe).training
    return DEMO_TEST_SETS if training and training.set == "demo-train" else TEST_SETS


@dataclass
class Outcome:
    """What became of a suite."""

    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def run_suite(jobs: Sequence[Job], shop: Workshop, *, force: bool = False) -> Outcome:
    """Carry out all jobs; one that fails does not stop the others.

    Raises
    ------
    Stopped : SIGINT or SIGTERM came during a training run.
    """
    outcome = Outcome()
    for job in jobs:
        title = _title(job)
        try:
            kept, fresh = carry_out(job, shop, force=force)
        except Stopped:
            raise
        except (InputError, Diverged, ValueError, RuntimeError, OSError) as error:
            say(f"{title} failed: {error}")
            outcome.failed.append(title)
        else:
            (outcome.done if fresh else outcome.skipped).append(kept.name)
            say(f"{title}: {'done' if fresh else 'there already'}")
    return outcome


def carry_out(job: Job, shop: Workshop, *, force: bool = False, fresh: bool = False) -> tuple[Path, bool]:
    """One job up to its evidence.

    `force` repeats a job that has its evidence, says whether the numbers came out the same, and leaves the evidence
    as it is; `fresh` throws an unfinished run away instead of going on with it.

    Returns
    -------
    The run folder, and whether work was done.

    Raises
    ------
    InputError : data cannot be had, or the same run is under way elsewhere.
    Stopped, Diverged : see `srrepro.training.loop.train`.
    """
    if isinstance(job, Measure):
        return _measure(job, shop, force=force)
    run = _run(job, shop, shop.precision or fastest_precision(shop.device))
    prepare_training(shop.folder, run.shape)
    if shop.precision is None and not _begun(run, shop):  # without a wish, any precision will do
        for precision in precisions(shop.device):
            if _begun(replace(run, precision=precision, mode="eager"), shop):
                run = _run(job, shop, precision)
    return _train(run, job, run.name(shop.folder), shop, force=force, fresh=fresh)


def prepare(folder: DataFolder, names: Sequence[str]) -> dict[str, str]:
    """Fetch, verify and build all that recipes and evaluation need of the named sets, or of every set.

    Returns
    -------
    What was done, by set: `ready already`, `fetched ...`; of every set also `lacking: ...`.

    Raises
    ------
    InputError : a set that was asked for by name is unknown or cannot be had.
    """
    wanted = [part for name in names for part in (("demo-train", "demo-test") if name == "demo" else (name,))]
    report = {}
    for name in wanted or _all_sets():
        try:
            report[name] = _prepare_set(folder, name)
        except InputError as error:
            if wanted:
                raise
            report[name] = f"lacking: {error}"
    return report


def training_shapes(name: str) -> list[TrainingShape]:
    """The stores that the recipes train on, of one set."""
    runs = [
        Run(recipe=recipe, scale=scale)
        for recipe in models.recipes().values()
        if recipe.training is not None and recipe.training.set == name
        for scale in ([None] if recipe.training.scales else [3] if name.startswith("demo") else SCALES)
    ]
    return list(dict.fromkeys(run.shape for run in runs))


def _all_sets() -> list[str]:
    return [name for name in sets() if not name.startswith("goldens")]  # those are for the tests only


def _prepare_set(folder: DataFolder, name: str) -> str:
    before = {path.name for path in folder.stores.glob("*.h5")}
    lacked = not all(is_present(folder, file) for file in members(name))
    fetch(folder, name)
    for shape in training_shapes(name):
        prepare_training(folder, shape)
    if name in EVALUATION_SETS:
        for scale in SCALES:
            prepare_evaluation(folder, EvaluationShape(name, scale))
    built = sorted({path.name for path in folder.stores.glob("*.h5")} - before)
    if not lacked and not built:
        return "ready already"
    return ", ".join([*(["fetched and verified"] if lacked else []), *(f"built {store}" for store in built)])


def _title(job: Job) -> str:
    scale = "" if job.scale is None else f" x{job.scale}"
    if isinstance(job, Train):
        return f"{job.name}{scale} seed {job.seed}"
    return f"{job.name}{scale}" + ("" if job.protocol == NAME else f" {job.protocol}")


def _run(job: Train, shop: Workshop, precision: Precision) -> Run:
    recipe = models.recipe(job.name)
    if recipe.training is None:
        msg = f"{job.name} was to be trained, but has nothing to train."
        raise InputError(msg)
    return Run(
        recipe=recipe,
        scale=job.scale,
        seed=job.seed,
        budget=job.budget,
        device=shop.device,
        precision=precision,
        mode=shop.mode_in(precision),
        memory=shop.memory,
    )


def _begun(run: Run, shop: Workshop) -> bool:
    name = run.name(shop.folder)
    return (shop.runs / name).exists() or (shop.running / name).exists()


def _measure(job: Measure, shop: Workshop, *, force: bool) -> tuple[Path, bool]:
    kept = shop.runs / job.folder
    if kept.exists() and not force:
        return kept, False
    mode = shop.mode_in("float32")
    upscaler = load(job.name, job.scale, device=shop.device, folder=shop.folder, memory=shop.memory, mode=mode)
    weights_from = _weights_from(upscaler.subject, job, shop)
    scores = _scores(upscaler, job.test_sets, shop, named(job.protocol))
    if kept.exists():
        _compare(kept, scores)
        return kept, True
    about = {"device": shop.device, "mode": mode, "finished": _now(), **weights_from, **provenance(shop.device)}
    return evidence.write(shop.runs, job.folder, upscaler.subject, scores, about=about), True


def _weights_from(subject: Subject, job: Measure, shop: Workshop) -> dict[str, Any]:
    """What `run.json` says of weights that ship: which they are, how they were trained, in which run if it is here."""
    if subject.origin != "trained":
        return {}
    sha256 = sha256_of(weights.shipped(job.name, job.scale))
    runs = [run for run in evidence.read_all(shop.runs) if run.log and run.about.get("weights_sha256") == sha256]
    return {
        "recipe": described(models.recipe(job.name)),
        "precision": weights.shipped_precision(job.name),
        "weights_sha256": sha256,
        "weights_of": runs[0].name if runs else None,
    }


def _train(run: Run, job: Train, name: str, shop: Workshop, *, force: bool, fresh: bool) -> tuple[Path, bool]:
    kept = shop.runs / name
    if kept.exists() and not force:
        return kept, False
    workplace = shop.running / name
    workplace.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(workplace / "lock", timeout=0):
            if fresh:  # the lock is held: nobody else is at work here
                for begun in ("checkpoint.pt", "made_with.json"):
                    (workplace / begun).unlink(missing_ok=True)
            for test_set in job.test_sets:  # before the long work, not after it
                for scale in run.scales:
                    prepare_evaluation(shop.folder, EvaluationShape(test_set, scale))
            made_with = provenance(shop.device)  # now: the clone may change while this process runs what it has read
            others = _made_with_before(workplace / "made_with.json", made_with)
            say(f"{run.title} seed {run.seed}: mode {run.mode}, {run.precision}, {made_with['machine']}")
            network, state = train(run, shop.folder, workplace)
            scores = []
            for scale in run.scales:
                upscaler = Upscaler(run.subject, network, scale, run.device, run.memory, run.mode)
                scores += _scores(upscaler, job.test_sets, shop, run.protocol)
            if kept.exists():
                _compare(kept, scores)
            else:
                weights.save(network, workplace / evidence.WEIGHTS, run.subject)
                sha256 = sha256_of(workplace / evidence.WEIGHTS)
                about = _about(run, shop, state.seconds) | {"weights_sha256": sha256} | made_with | others
                evidence.write(
                    shop.runs,
                    name,
                    run.subject,
                    scores,
                    about=about,
                    log=state.log,
                    weights=workplace / evidence.WEIGHTS,
                )
    except Timeout as error:
        msg = f"The run {name} is under way in another process. Wait for it, or stop it."
        raise InputError(msg) from error
    shutil.rmtree(workplace)
    return kept, True


def _made_with_before(path: Path, now: dict[str, Any]) -> dict[str, Any]:
    """What else a run was made with that was stopped and gone on with: a commit may have changed, or the machine."""
    every = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    others = [made_with for made_with in every if made_with != now]
    part = path.with_suffix(".part")
    part.write_text(json.dumps([*others, now]), encoding="utf-8")
    part.replace(path)
    return {"begun_with": others} if others else {}


def _about(run: Run, shop: Workshop, seconds: float) -> dict[str, Any]:
    return {
        "recipe": described(run.recipe),
        "backprops": run.backprops,
        "seconds": seconds,
        "samples_per_s": run.backprops / seconds,
        "device": run.device,
        "precision": run.precision,
        "mode": run.mode,
        "store": {"shape": asdict(run.shape), "digest": digest_of(shop.folder, run.shape)},
        "finished": _now(),
    }


def _scores(upscaler: Upscaler, test_sets: Sequence[str], shop: Workshop, protocol: Protocol) -> list[Score]:
    return [
        score
        for name in test_sets
        for score in evaluate(upscaler, name, TestSet(name).examples(shop.folder, upscaler.scale), protocol=protocol)
    ]


def _compare(kept: Path, scores: Sequence[Score]) -> None:
    before = pd.DataFrame([asdict(score) for score in evidence.read(kept).scores])
    again = pd.DataFrame([asdict(score) for score in scores])
    both = before.merge(again, on=["dataset", "scale", "image"], suffixes=("", "_again"))
    if len(both) != len(before) or len(both) != len(again):
        say(f"{kept.name}, repeated: not on the same images as before")
        return
    largest = float((both["psnr_db"] - both["psnr_db_again"]).abs().max())
    verdict = "the same numbers" if largest == 0 else f"differs by up to {largest:.6f} dB on an image"
    say(f"{kept.name}, repeated: {verdict}; the evidence stays as it was")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def with_budget(jobs: Sequence[Job], factor: float) -> list[Job]:
    """The same jobs with every training budget multiplied by `factor`."""
    return [replace(job, budget=job.budget * factor) if isinstance(job, Train) else job for job in jobs]
