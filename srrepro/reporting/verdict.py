"""One word for how a measured number stands to the published one."""

from typing import Literal

from srrepro.evaluation.weights import Origin

Verdict = Literal["reproduced", "matches", "exceeds", "short", "below-bicubic", "no-target"]

BOUND_DB = 0.05
BOUND_OF_MEASUREMENTS_DB = 0.01
SSIM_DIGITS = 4
SSIM_UNITS = 1
"""How many units of the last of the four printed digits a measured SSIM, rounded alike, may be away."""


def bound_db(origin: Origin) -> float:
    """How far a number may be from the published one and still count as the same: training scatters, measuring not."""
    return BOUND_DB if origin == "trained" else BOUND_OF_MEASUREMENTS_DB


def ssim_gap(ssim: float, published_ssim: float | None) -> int:
    """By how many units of the last printed digit SSIM misses the published one; 0 within one unit, or without one.

    >>> ssim_gap(0.71025, 0.7101), ssim_gap(0.66738, 0.6675)
    (2, 0)
    """
    if published_ssim is None:
        return 0
    units = round((round(ssim, SSIM_DIGITS) - published_ssim) * 10**SSIM_DIGITS)
    return units if abs(units) > SSIM_UNITS else 0


def verdict(
    psnr_db: float,
    *,
    bicubic_psnr_db: float,
    published_psnr_db: float | None,
    bound_db: float,
    reproduction: bool,
    ssim_gap: int = 0,
) -> Verdict:
    """The word for one row.

    `reproduction`: trained from scratch by a recipe whose every decision comes from the paper's text or its authors'
    code, at its full budget and on the paper's training set. Anything else that meets the value only `matches` it.
    `ssim_gap` decides where PSNR is within the bound; a number that misses both is called by its PSNR.

    >>> verdict(29.82, bicubic_psnr_db=30.39, published_psnr_db=32.75, bound_db=0.05, reproduction=True)
    'below-bicubic'
    """
    if psnr_db < bicubic_psnr_db:
        return "below-bicubic"
    if published_psnr_db is None:
        return "no-target"
    gap = round(psnr_db - published_psnr_db, 9)  # 32.34 - 32.39 is within 0.05, whatever binary fractions say
    if abs(gap) > bound_db:
        return "exceeds" if gap > 0 else "short"
    if ssim_gap:
        return "exceeds" if ssim_gap > 0 else "short"
    return "reproduced" if reproduction else "matches"
