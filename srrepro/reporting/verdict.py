"""One word for how a measured number stands to the published one."""

from typing import Literal

from srrepro.evaluation.weights import Origin

Verdict = Literal["reproduced", "matches", "exceeds", "short", "below-bicubic", "no-target"]

BOUND_DB = 0.05
BOUND_OF_AUTHORS_DB = 0.01
BOUND_OF_VDSR_COPIES_DB = 0.04  # the VDSR paper's copies of Set14 and B100 are not quite the usual ones


def bound_db(origin: Origin, model: str, dataset: str) -> float:
    """How far a number may be from the published one and still count as the same."""
    if origin != "authors":
        return BOUND_DB
    return BOUND_OF_VDSR_COPIES_DB if model == "VDSR" and dataset in {"Set14", "B100"} else BOUND_OF_AUTHORS_DB


def verdict(
    psnr_db: float, *, bicubic_psnr_db: float, published_psnr_db: float | None, bound_db: float, reproduction: bool
) -> Verdict:
    """The word for one row.

    `reproduction`: trained from scratch by a recipe that is the paper's in everything, at its full budget and on the
    paper's training set. Anything else that meets the value only `matches` it.

    >>> verdict(29.82, bicubic_psnr_db=30.39, published_psnr_db=32.75, bound_db=0.05, reproduction=True)
    'below-bicubic'
    """
    if psnr_db < bicubic_psnr_db:
        return "below-bicubic"
    if published_psnr_db is None:
        return "no-target"
    gap = round(psnr_db - published_psnr_db, 9)  # 32.34 - 32.39 is within 0.05, whatever binary fractions say
    if abs(gap) <= bound_db:
        return "reproduced" if reproduction else "matches"
    return "exceeds" if gap > 0 else "short"
