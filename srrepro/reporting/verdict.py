"""One word for how a measured number stands to the published one."""

from dataclasses import dataclass
from typing import Literal

from srrepro.evaluation.weights import Origin

Verdict = Literal["reproduced", "matches", "exceeds", "short", "below-bicubic", "no-target"]

BOUND_DB = 0.05
BOUND_OF_WHAT_IS_MEASURED_DB = 0.01
BOUND_SSIM = 0.0001


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How far a number may be from the published one and still count as the same; None where SSIM is not asked for."""

    psnr_db: float
    ssim: float | None


def bounds(origin: Origin, ssim: float = BOUND_SSIM) -> Bounds:
    """Networks that are trained here scatter; interpolation and released weights give the printed digits or do not.

    `ssim` is what the printed digits allow: more where there are fewer than four.
    """
    if origin == "trained":
        return Bounds(psnr_db=BOUND_DB, ssim=None)
    return Bounds(psnr_db=BOUND_OF_WHAT_IS_MEASURED_DB, ssim=ssim)


def verdict(
    psnr_db: float,
    ssim: float,
    *,
    bicubic_psnr_db: float,
    published_psnr_db: float | None,
    published_ssim: float | None,
    within: Bounds,
    reproduction: bool,
) -> Verdict:
    """The word for one row; of SSIM only where PSNR is within its bound and both are asked for.

    `reproduction`: trained from scratch, at its full budget and on the paper's training set, by a recipe whose every
    decision is the text's or the authors' code's. Anything else that meets the value only `matches` it.

    >>> near = Bounds(psnr_db=0.05, ssim=None)
    >>> verdict(29.8, 0.85, bicubic_psnr_db=30.4, published_psnr_db=32.8, published_ssim=None, within=near,
    ...         reproduction=True)
    'below-bicubic'
    """
    if psnr_db < bicubic_psnr_db:
        return "below-bicubic"
    if published_psnr_db is None:
        return "no-target"
    gap = round(psnr_db - published_psnr_db, 9)  # 32.34 - 32.39 is within 0.05, whatever binary fractions say
    if abs(gap) > within.psnr_db:
        return "exceeds" if gap > 0 else "short"
    if within.ssim is not None and published_ssim is not None:
        gap = round(ssim - published_ssim, 9)
        if abs(gap) > within.ssim:
            return "exceeds" if gap > 0 else "short"
    return "reproduced" if reproduction else "matches"
