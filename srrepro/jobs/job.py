"""One job: what is measured or trained, and where the work is done."""

from dataclasses import dataclass, replace
from pathlib import Path

from srrepro import claims, models
from srrepro.data.registry import DataFolder
from srrepro.errors import InputError
from srrepro.hardware import Hardware, Precision
from srrepro.protocols.named import MATLAB_Y
from srrepro.protocols.protocol import Protocol
from srrepro.training.deadline import NEVER, Deadline
from srrepro.training.run import Run

SCALES = (2, 3, 4)
TEST_SETS = ("Set5", "Set14", "B100", "demo-test")
DEMO_TEST_SETS = ("demo-test",)
LARGE = "Urban100"
"""Minutes a network, so apart from the other sets, and only where a paper prints a number for it."""


@dataclass(frozen=True)
class Workspace:
    """Where the work is done, and on what.

    `deadline` is when training stops; `carries` writes unfinished runs where another clone can resume them;
    `tensorboard` is where their logs are followed.
    """

    folder: DataFolder
    results: Path
    hardware: Hardware = Hardware()
    deadline: Deadline = NEVER
    carries: bool = False
    tensorboard: Path | None = None

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
        """The name of its evidence; the first protocol is not named in it, nor are the usual sets."""
        sets = "" if self.test_sets in {TEST_SETS, DEMO_TEST_SETS} else "_" + "-".join(self.test_sets)
        return f"{self.name}_x{self.scale}{sets}" + ("" if self.protocol == MATLAB_Y else f"_{self.protocol.name}")


def recorded(job: Measure) -> Measure:
    """The job whose folder holds these rows: sets that are measured together share one, whichever of them is asked for.

    Raises
    ------
    InputError : it is of a weight file or of a user's own folder, which nobody else could measure again.
    """
    own = [name for name in job.test_sets if name not in {*TEST_SETS, LARGE}]
    known = job.name in models.authors() or job.name in models.recipes()
    if own or not known:
        what = f"the set {own[0]}" if own else job.name
        msg = f"Evidence of {what} was to be recorded, but nobody else could measure that again. Leave out --record."
        raise InputError(msg)
    large, usual = (LARGE,), TEST_SETS
    return replace(job, test_sets=large if job.test_sets == large else usual)


@dataclass(frozen=True, kw_only=True)
class Train:
    """A recipe trained from scratch, then measured. `budget` is a factor on its backprops.

    `scale` is None where one network serves several scales. `metrics` are measured besides those of its protocol.
    `keeps_failure`: a run that diverges leaves evidence, too, which says at which step, and has no numbers.
    """

    name: str
    scale: int | None = None
    seed: int = 0
    budget: float = 1.0
    test_sets: tuple[str, ...] = TEST_SETS
    metrics: tuple[str, ...] = ()
    keeps_failure: bool = False


Job = Measure | Train


def title_of(job: Job) -> str:
    """What a reader tells it by: also the sets and the protocol, where they are not the usual ones."""
    scale = "" if job.scale is None else f" x{job.scale}"
    if isinstance(job, Train):
        return f"{job.name}{scale} seed {job.seed}"
    usual = job.test_sets in {TEST_SETS, DEMO_TEST_SETS}
    more = [*([] if usual else job.test_sets), *([] if job.protocol == MATLAB_Y else [job.protocol.name])]
    return ", ".join([f"{job.name}{scale}", *more])


def test_sets(recipe: str) -> tuple[str, ...]:
    """What a trained recipe is measured on; the demo needs no download."""
    training = claims.recipe(recipe).training
    return DEMO_TEST_SETS if training and training.set == "demo-train" else TEST_SETS


def run_of(job: Train, workspace: Workspace, precision: Precision | None = None) -> Run:
    """A job as a run here, in that precision, or in the one asked for.

    Raises
    ------
    InputError : it has nothing to train, or something does not fit.
    """
    recipe = claims.recipe(job.name)
    if recipe.training is None:
        msg = f"{job.name} was to be trained, but has nothing to train."
        raise InputError(msg)
    return Run(
        recipe=recipe,
        scale=job.scale,
        seed=job.seed,
        budget=job.budget,
        hardware=workspace.hardware.settled(precision),
        folder=workspace.folder,
    )
