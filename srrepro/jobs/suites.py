"""Jobs, the suites that they make up, and how one is carried out: prepare, train, evaluate, leave evidence.

Over 300 lines: a job, its place in a suite and what it leaves are one story.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from filelock import FileLock, Timeout
from torch import nn

from srrepro import models
from srrepro.data.registry import DataFolder, fetch, is_present, members, sets, sha256_of
from srrepro.data.stores import EvaluationShape, TrainingShape, digest_of, prepare_evaluation, prepare_training
from srrepro.errors import InputError
from srrepro.evaluation import weights
from srrepro.evaluation.measure import Score, TestSet, evaluate
from srrepro.evaluation.upscaler import MEMORY, Upscaler, load
from srrepro.kernels.convolution import Mode, fastest_mode
from srrepro.models.recipe import described
from srrepro.progress import in_words, say
from srrepro.protocols.named import MATLAB_Y, VDSR_Y, protocol_named
from srrepro.protocols.protocol import Protocol
from srrepro.reporting import evidence
from srrepro.reporting.provenance import machine, provenance
from srrepro.training import carry
from srrepro.training.deadline import NEVER, Deadline
from srrepro.training.engine import Precision, fastest_precision, precisions
from srrepro.training.loop import Diverged, OutOfTime, Run, State, Stopped, train

SCALES = (2, 3, 4)
TEST_SETS = ("Set5", "Set14", "B100", "demo-test")
DEMO_TEST_SETS = ("demo-test",)
EVALUATION_SETS = ("val20", "Set5", "Set14", "B100", "Urban100", "demo-test")
CLAMPED = ("bicubic", "srcnn-955-authors-imagenet", "vdsr-authors", "vdsr-t91-muon-overlap")
"""Measured under the VDSR paper's own protocol, too: what its tables print, and ours beside it."""
SHORTENED = 0.001  # of the paper's 8e8 backprops: some minutes on two cores instead of days on a GPU


@dataclass(frozen=True)
class Workshop:
    """Where the work is done, and what it is done with; precision and mode are the device's fastest unless named.

    `deadline` is when training stops; `carries` writes unfinished runs where another clone can resume them.
    """

    folder: DataFolder
    results: Path
    device: str = "cpu"
    precision: Precision | None = None
    memory: int = MEMORY
    mode: Mode | None = None
    deadline: Deadline = NEVER
    carries: bool = False

    def mode_in(self, precision: Precision) -> Mode:
        return self.mode or fastest_mode(self.device, precision)

    @property
    def runs(self) -> Path:
        return self.results / "runs"

    @property
    def running(self) -> Path:
        return self.results / ".running"

    def carried(self, name: str) -> Path:
        """Where the unfinished run of that name lies when it is carried from clone to clone."""
        return self.results / "unfinished" / f"{name}.safetensors"


@dataclass(frozen=True, kw_only=True)
class Measure:
    """An interpolation, released weights or weights that ship, measured as they are under a protocol."""

    name: str
    scale: int
    test_sets: tuple[str, ...] = TEST_SETS
    protocol: Protocol = MATLAB_Y

    @property
    def folder(self) -> str:
        """The name of its evidence; the first protocol is not named in it."""
        return f"{self.name}_x{self.scale}" + ("" if self.protocol == MATLAB_Y else f"_{self.protocol.name}")


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
            yield Measure(name=released.name, scale=scale, protocol=protocol_named(released.protocol))
    for name in CLAMPED:
        for scale in SCALES:
            yield Measure(name=name, scale=scale, protocol=VDSR_Y)
    for scale in SCALES:
        yield Train(name="srcnn-915-quick", scale=scale)
    for seed in (1, 2):
        yield Train(name="srcnn-915-quick", scale=3, seed=seed)
    yield Train(name="srcnn-915", scale=3, budget=SHORTENED)
    yield Train(name="vdsr-t91")
    yield Train(name="vdsr-t91-code")
    yield Train(name="vdsr-t91-code-mirrored")
    yield Train(name="vdsr-t91-muon-overlap")


def _paper() -> Iterator[Job]:
    """The papers' own budgets: minutes to hours each on a GPU, days on a processor."""
    for seed in (0, 1, 2):
        for name in ("vdsr-t91", "vdsr-t91-code", "vdsr-t91-code-mirrored"):
            yield Train(name=name, seed=seed)
    yield Train(name="vdsr-t91-code-augmented")
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
    """What became of a suite. `unfinished` was stopped by the deadline, `not_begun` came after it."""

    done: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    not_begun: list[str] = field(default_factory=list)


def run_suite(
    jobs: Sequence[Job], shop: Workshop, *, force: bool = False, seconds: Sequence[float | None] = ()
) -> Outcome:
    """Carry out all jobs; one that fails does not stop the others. After the deadline no further job is begun.

    `seconds` is what each job is expected to take, None where that is unknown; it is only said.

    Raises
    ------
    Stopped : SIGINT or SIGTERM came during a training run.
    """
    outcome = Outcome()
    for number, job in enumerate(jobs):
        title = title_of(job)
        if shop.deadline.passed and (force or evidence_there(job, shop) is None):
            outcome.not_begun.append(title)
            continue
        say(f"job {number + 1} of {len(jobs)}{_left(seconds[number:])}: {title}")
        try:
            kept, fresh = carry_out(job, shop, force=force)
        except OutOfTime as stopped:
            say(str(stopped))
            outcome.unfinished.append(title)
        except Stopped:
            raise
        except (InputError, Diverged, ValueError, RuntimeError, OSError) as error:
            say(f"{title} failed: {error}")
            outcome.failed.append(title)
        else:
            (outcome.done if fresh else outcome.skipped).append(kept.name)
            say(f"{title}: {'done' if fresh else 'there already'}")
    return outcome


def _left(seconds: Sequence[float | None]) -> str:
    known = [each for each in seconds if each is not None]
    return f", about {in_words(sum(known))} left" if known and len(known) == len(seconds) and sum(known) else ""


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
    Stopped, OutOfTime, Diverged : see `srrepro.training.loop.train`.
    """
    if isinstance(job, Measure):
        return _measure(job, shop, force=force)
    prepare_training(shop.folder, run_of(job, shop, "float32").shape)
    run = settled(job, shop)
    if not force and (elsewhere := _made_elsewhere(run, shop)) is not None:
        return elsewhere, False
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


def title_of(job: Job) -> str:
    scale = "" if job.scale is None else f" x{job.scale}"
    return f"{job.name}{scale}" + (f" seed {job.seed}" if isinstance(job, Train) else "")


def evidence_there(job: Job, shop: Workshop) -> Path | None:
    """The run folder of a job; None where there is none, or where it cannot be told, because a store is lacking."""
    try:
        if isinstance(job, Measure):
            kept = shop.runs / job.folder
        elif run_of(job, shop, "float32").shape.path(shop.folder).exists():
            run = settled(job, shop)
            kept = _made_elsewhere(run, shop) or shop.runs / run.name(shop.folder)
        else:
            return None
    except InputError:  # to be told when the job is carried out
        return None
    return kept if kept.exists() else None


def settled(job: Train, shop: Workshop) -> Run:
    """The run of a job whose store is built, in the precision asked for; without a wish, in any that was begun."""
    run = run_of(job, shop, shop.precision or fastest_precision(shop.device))
    if shop.precision is None and not _begun(run, shop):
        for precision in precisions(shop.device):
            if _begun(replace(run, precision=precision, mode="eager"), shop):
                run = run_of(job, shop, precision)
    return run


def _made_elsewhere(run: Run, shop: Workshop) -> Path | None:
    """Evidence of the same run in a precision that this device does not have: it is evidence all the same."""
    if shop.precision is not None:
        return None
    for precision in get_args(Precision):
        if precision not in precisions(shop.device):
            kept = shop.runs / replace(run, device="cuda", precision=precision, mode="eager").name(shop.folder)
            if kept.exists():
                return kept
    return None


def run_of(job: Train, shop: Workshop, precision: Precision) -> Run:
    """A job as a run here. InputError : it has nothing to train, or something does not fit."""
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
    return any(path.exists() for path in (shop.runs / name, shop.running / name, shop.carried(name)))


def _as_before(run: Run, last: dict[str, Any]) -> Run:
    """In the mode of its last stretch, if that was on such a device and can be had here."""
    mode: Mode | None = last.get("mode")
    if last.get("device") != run.device or (mode == "native" and fastest_mode(run.device, run.precision) != mode):
        return run
    return replace(run, mode=mode or run.mode)


def _measure(job: Measure, shop: Workshop, *, force: bool) -> tuple[Path, bool]:
    kept = shop.runs / job.folder
    if kept.exists() and not force:
        return kept, False
    mode = shop.mode_in("float32")
    upscaler = load(job.name, job.scale, device=shop.device, folder=shop.folder, memory=shop.memory, mode=mode)
    scores = _scores(upscaler, job.test_sets, shop, job.protocol)
    if kept.exists():
        _compare(kept, scores)
        return kept, True
    about = {"device": shop.device, "mode": mode, "finished": _now(), **provenance(shop.device)}
    if upscaler.subject.origin == "trained":
        about |= _about_shipped(job)
    return evidence.write(shop.runs, job.folder, upscaler.subject, scores, about=about), True


def _about_shipped(job: Measure) -> dict[str, Any]:
    """Which weights were measured; the run that they come from names the same sha256."""
    return {
        "shipped": weights.shipped(job.name, job.scale).name,
        "recipe": described(models.recipe(job.name)),
        "precision": weights.precision_of(job.name),
        "weights_sha256": sha256_of(weights.shipped(job.name, job.scale)),
    }


def _train(run: Run, job: Train, name: str, shop: Workshop, *, force: bool, fresh: bool) -> tuple[Path, bool]:
    kept, carried = shop.runs / name, shop.carried(name)
    if kept.exists() and not force:
        carried.unlink(missing_ok=True)  # it ended elsewhere, or this process was killed just before
        return kept, False
    with alone(name, shop) as workplace:
        if fresh:  # the lock is held: nobody else is at work here
            carry.remove(workplace, carried)
        begun = carry.newest(workplace, carried, name)
        if begun is not None and shop.mode is None:
            run = _as_before(run, begun.stretches[-1].made_with)
        for test_set in job.test_sets:  # before the long work, not after it
            for scale in run.scales:
                prepare_evaluation(shop.folder, EvaluationShape(test_set, scale, run.protocol.degradation))
        made_with = provenance(shop.device)  # now: the clone may change while this process runs what it has read
        say(f"{run.title} seed {run.seed}: mode {run.mode}, {run.precision}, {made_with['machine']}")
        network, state = train(
            run,
            shop.folder,
            workplace,
            made_with=made_with,
            deadline=shop.deadline,
            carried=carried,
            carries=shop.carries,
        )
        leave_evidence(run, network, state, shop, test_sets=job.test_sets, made_with=made_with)
        carried.unlink(missing_ok=True)
    shutil.rmtree(workplace)
    return kept, True


@contextmanager
def alone(name: str, shop: Workshop) -> Iterator[Path]:
    """The folder where a run is under way, made if lacking; no other process may enter it meanwhile.

    Raises
    ------
    InputError : one is in it.
    """
    workplace = shop.running / name
    workplace.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(workplace / "lock", timeout=0):
            yield workplace
    except Timeout as error:
        msg = f"The run {name} is under way in another process. Wait for it, or stop it."
        raise InputError(msg) from error


def leave_evidence(
    run: Run,
    network: nn.Module,
    state: State,
    shop: Workshop,
    *,
    test_sets: Sequence[str],
    made_with: dict[str, Any],
) -> Path:
    """Measure a run that has ended, and write its folder; compare where there is one already.

    `made_with` is the provenance of its last stretch. What was trained on another device is measured on the shop's.
    """
    name = run.name(shop.folder)
    kept, workplace = shop.runs / name, shop.running / name
    mode = run.mode if run.device == shop.device and shop.mode is None else shop.mode_in("float32")
    scores = []
    for scale in run.scales:
        upscaler = Upscaler(run.subject, network, scale, shop.device, shop.memory, mode)
        scores += _scores(upscaler, test_sets, shop, run.protocol)
    if kept.exists():
        _compare(kept, scores)
        return kept
    workplace.mkdir(parents=True, exist_ok=True)
    weights.save(network, workplace / evidence.WEIGHTS, run.subject)
    about = _about(run, shop, state) | {"weights_sha256": sha256_of(workplace / evidence.WEIGHTS)} | made_with
    about["measured_on"] = {"device": shop.device, "mode": mode, "machine": machine(shop.device)}
    return evidence.write(
        shop.runs,
        name,
        run.subject,
        scores,
        about=about | {"stretches": carry.evidence_of(state.stretches, made_with["versions"])},
        log=state.log,
        weights=workplace / evidence.WEIGHTS,
    )


def _about(run: Run, shop: Workshop, state: State) -> dict[str, Any]:
    backprops = state.log[-1]["backprops"]
    return {
        "recipe": described(run.recipe),
        "backprops": backprops,
        "seconds": state.seconds,
        "samples_per_s": backprops / state.seconds,
        "device": run.device,
        "precision": run.precision,
        "mode": run.mode,
        "store": {"shape": run.shape.as_evidence(), "digest": digest_of(shop.folder, run.shape)},
        "finished": _now(),
    }


def _scores(upscaler: Upscaler, test_sets: Sequence[str], shop: Workshop, protocol: Protocol) -> list[Score]:
    scale, how = upscaler.scale, protocol.degradation
    return [
        score
        for name in test_sets
        for score in evaluate(upscaler, name, TestSet(name).examples(shop.folder, scale, how), protocol=protocol)
    ]


def _compare(kept: Path, scores: Sequence[Score]) -> None:
    before, again = (
        {(score.dataset, score.scale, score.image): score.values["psnr_db"] for score in some}
        for some in (evidence.read(kept).scores, scores)
    )
    if before.keys() != again.keys():
        say(f"{kept.name}, repeated: not on the same images as before")
        return
    largest = max(abs(before[image] - again[image]) for image in before)
    verdict = "the same numbers" if largest == 0 else f"differs by up to {largest:.6f} dB on an image"
    say(f"{kept.name}, repeated: {verdict}; the evidence stays as it was")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def with_budget(jobs: Sequence[Job], factor: float) -> list[Job]:
    """The same jobs with every training budget multiplied by `factor`."""
    return [replace(job, budget=job.budget * factor) if isinstance(job, Train) else job for job in jobs]
