"""The word for one row, and how far a number may be from the published one."""

import pytest

from srrepro.evaluation.weights import Origin
from srrepro.reporting.verdict import bound_db, ssim_gap, verdict

BICUBIC, PUBLISHED = 30.39, 32.39


def word(psnr_db: float, *, published: float | None = PUBLISHED, bound: float = 0.05, reproduction: bool = True) -> str:
    return verdict(
        psnr_db, bicubic_psnr_db=BICUBIC, published_psnr_db=published, bound_db=bound, reproduction=reproduction
    )


@pytest.mark.parametrize(
    ("psnr_db", "expected"),
    [
        (32.39, "reproduced"),
        (32.44, "reproduced"),  # exactly the bound, whatever binary fractions say
        (32.34, "reproduced"),
        (32.440001, "exceeds"),
        (32.339999, "short"),
        (33.5, "exceeds"),
        (30.39, "short"),  # as good as bicubic is not below it
        (30.389999, "below-bicubic"),
    ],
)
def test_words_for_a_reproduction(psnr_db: float, expected: str) -> None:
    assert word(psnr_db) == expected
    assert word(psnr_db, reproduction=False) == expected.replace("reproduced", "matches")


@pytest.mark.parametrize("published", [36.34, 32.39, 30.09, 31.35, 27.5, 29.0])
@pytest.mark.parametrize("bound", [0.05, 0.01])
def test_a_gap_of_exactly_the_bound_counts(published: float, bound: float) -> None:
    for sign, beyond in ((1, "exceeds"), (-1, "short")):
        at_bound = published + sign * bound
        for psnr_db, expected in ((at_bound, "matches"), (at_bound + sign * 1e-6, beyond)):
            found = verdict(
                psnr_db, bicubic_psnr_db=20.0, published_psnr_db=published, bound_db=bound, reproduction=False
            )
            assert found == expected, (published, psnr_db, bound)


def test_the_bound_decides() -> None:
    assert word(32.42, bound=0.05) == "reproduced"
    assert word(32.42, bound=0.01) == "exceeds"


def test_below_bicubic_comes_first() -> None:
    assert word(30.0, published=30.0) == "below-bicubic"
    assert word(30.0, published=None) == "below-bicubic"
    assert word(30.0, published=29.0) == "below-bicubic"


@pytest.mark.parametrize("reproduction", [True, False])
def test_without_a_published_value_there_is_no_target(reproduction: bool) -> None:
    assert word(32.39, published=None, reproduction=reproduction) == "no-target"
    assert word(30.39, published=None, reproduction=reproduction) == "no-target"


@pytest.mark.parametrize(("origin", "expected"), [("authors", 0.01), ("interpolation", 0.01), ("trained", 0.05)])
def test_only_what_was_trained_may_scatter(origin: Origin, expected: float) -> None:
    assert bound_db(origin) == expected


@pytest.mark.parametrize(
    ("ssim", "published", "expected"),
    [
        (0.8960, 0.8960, 0),
        (0.89605, 0.8960, 0),
        (0.8961, 0.8960, 0),  # one unit of the last printed digit
        (0.89614, 0.8960, 0),
        (0.89616, 0.8960, 2),
        (0.8959, 0.8960, 0),
        (0.89586, 0.8960, 0),
        (0.89584, 0.8960, -2),
        (0.71025, 0.7101, 2),  # SRCNN's x4 on B100 under matlab-y-v1, in VDSR's table
        (0.5, None, 0),
    ],
)
def test_ssim_counts_in_the_digits_that_are_printed(ssim: float, published: float | None, expected: int) -> None:
    assert ssim_gap(ssim, published) == expected


@pytest.mark.parametrize(
    ("psnr_db", "gap", "expected"),
    [
        (32.39, 0, "matches"),
        (32.39, 2, "exceeds"),
        (32.39, -2, "short"),
        (32.50, -2, "exceeds"),  # PSNR comes first
        (32.30, 2, "short"),
        (30.0, 2, "below-bicubic"),
    ],
)
def test_ssim_decides_where_psnr_agrees(psnr_db: float, gap: int, expected: str) -> None:
    found = verdict(
        psnr_db,
        bicubic_psnr_db=BICUBIC,
        published_psnr_db=PUBLISHED,
        bound_db=0.01,
        reproduction=False,
        ssim_gap=gap,
    )
    assert found == expected
