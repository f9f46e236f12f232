"""The suites: which jobs they are made up of. Lists only; `carry_out` does them, `prepare` what they need first."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import product

from srrepro import models
from srrepro.errors import InputError
from srrepro.evaluation.weights import of_authors, of_interpolation
from srrepro.jobs.job import DEMO_TEST_SETS, LARGE, SCALES, Job, Measure, Train, test_sets
from srrepro.protocols.named import MATLAB_Y, VDSR_Y, protocol_named
from srrepro.reporting.published import target

CLAMPED = ("bicubic", "srcnn-955-authors-imagenet", "vdsr-authors", "vdsr-t91-muon-overlap")
"""Measured under the VDSR paper's own protocol, too: what its tables print, and ours beside it."""
FEWER = 0.1  # of the 4e6 that fsrcnn is to have: minutes on two cores
SHORTENED = 0.001  # of the paper's 8e8 backprops: some minutes on two cores instead of days on a GPU


def _measured() -> Iterator[Measure]:
    for scale in SCALES:
        yield Measure(name="bicubic", scale=scale)
    for released in models.authors().values():
        for scale in released.files:
            yield Measure(name=released.name, scale=scale, protocol=protocol_named(released.protocol))
    for name in CLAMPED:
        for scale in SCALES:
            yield Measure(name=name, scale=scale, protocol=VDSR_Y)


def _is_printed(job: Measure, dataset: str) -> bool:
    """Whether a paper prints what this would be held against."""
    if job.name in models.authors():
        subject = of_authors(models.authors()[job.name], job.scale)
    else:
        subject = of_interpolation(models.recipe(job.name), job.scale)
    who = subject.model, subject.training_set
    setting, protocol = subject.setting or "", job.protocol.name
    return target(*who, dataset, job.scale, setting=setting, protocol=protocol) is not None


def _t91() -> Iterator[Job]:
    yield from _measured()
    yield from (replace(job, test_sets=(LARGE,)) for job in _measured() if _is_printed(job, LARGE))
    for scale in SCALES:
        yield Train(name="srcnn-915-quick", scale=scale)
    for seed in (1, 2):
        yield Train(name="srcnn-915-quick", scale=3, seed=seed)
    yield Train(name="srcnn-915", scale=3, budget=SHORTENED)
    for scale in SCALES:
        yield Train(name="fsrcnn-s-quick", scale=scale)
    yield Train(name="fsrcnn", scale=3, budget=FEWER)
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


def sweep(
    names: Sequence[str], scales: Sequence[int], seeds: Sequence[int], protocols: Sequence[str] = ()
) -> list[Job]:
    """Every recipe at every scale with every seed. Where one network serves all scales, it is trained once a seed.

    Released weights and interpolations have no seeds: they are measured at every scale that they have, under every
    protocol, or under their own.

    Raises
    ------
    InputError : there is no such recipe or protocol, or a recipe has none of the scales.
    """
    jobs: list[Job] = []
    for name in names:
        released = models.authors().get(name)
        training = None if released is not None else models.recipe(name).training
        served = released.files if released is not None else (training and training.scales) or SCALES
        there = [scale for scale in scales if scale in served]
        if not there:
            msg = f"{name} was to be taken at {', '.join(f'x{scale}' for scale in scales)}, but has none of these."
            raise InputError(msg)
        if training is None:
            own = released.protocol if released is not None else MATLAB_Y.name
            under = [protocol_named(each) for each in protocols or (own,)]
            jobs += [Measure(name=name, scale=scale, protocol=each) for each, scale in product(under, there)]
        else:
            each_scale = there if training.scales is None else [None]
            sets = test_sets(name)
            jobs += [
                Train(name=name, scale=scale, seed=seed, test_sets=sets) for scale, seed in product(each_scale, seeds)
            ]
    if protocols and not any(isinstance(job, Measure) for job in jobs):
        msg = f"Protocols were given, but {', '.join(names)} are trained, each under its own. Leave out --protocols."
        raise InputError(msg)
    return jobs


def with_budget(jobs: Sequence[Job], factor: float) -> list[Job]:
    """The same jobs with every training budget multiplied by `factor`."""
    return [replace(job, budget=job.budget * factor) if isinstance(job, Train) else job for job in jobs]
