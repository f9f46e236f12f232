"""The word for one row, and how far a number may be from the published one."""

import pytest

from srrepro.reporting.verdict import Bounds, bounds, verdict

BICUBIC, PUBLISHED = 30.39, 32.39


def word(
    psnr_db: float,
    *,
    published: float | None = PUBLISHED,
    bound: float = 0.05,
    reproduction: bool = True,
    ssim: float = 0.9,
    published_ssim: float | None = None,
    bound_ssim: float | None = 0.0001,
    bicubic: float = BICUBIC,
) -> str:
    return verdict(
        psnr_db,
        ssim,
        bicubic_psnr_db=bicubic,
        published_psnr_db=published,
        published_ssim=published_ssim,
        within=Bounds(psnr_db=bound, ssim=bound_ssim),
        reproduction=reproduction,
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
@pytest.mark.parametrize("bound", [0.05, 0.04, 0.01])
def test_a_gap_of_exactly_the_bound_counts(published: float, bound: float) -> None:
    for sign, beyond in ((1, "exceeds"), (-1, "short")):
        at_bound = published + sign * bound
        for psnr_db, expected in ((at_bound, "matches"), (at_bound + sign * 1e-6, beyond)):
            found = word(psnr_db, bicubic=20.0, published=published, bound=bound, reproduction=False)
            assert found == expected, (published, psnr_db, bound)


def test_the_bound_decides() -> None:
    assert word(32.42, bound=0.05) == "reproduced"
    assert word(32.42, bound=0.04) == "reproduced"
    assert word(32.42, bound=0.01) == "exceeds"


def test_below_bicubic_comes_first() -> None:
    assert word(30.0, published=30.0) == "below-bicubic"
    assert word(30.0, published=None) == "below-bicubic"
    assert word(30.0, published=29.0) == "below-bicubic"


@pytest.mark.parametrize("reproduction", [True, False])
def test_without_a_published_value_there_is_no_target(reproduction: bool) -> None:
    assert word(32.39, published=None, reproduction=reproduction) == "no-target"
    assert word(30.39, published=None, reproduction=reproduction) == "no-target"


@pytest.mark.parametrize(
    ("ssim", "expected"),
    [
        (0.9001, "matches"),  # exactly the bound, whatever binary fractions say
        (0.8999, "matches"),
        (0.900101, "exceeds"),
        (0.899899, "short"),
    ],
)
def test_ssim_counts_where_it_is_printed_and_asked_for(ssim: float, expected: str) -> None:
    assert word(32.39, reproduction=False, ssim=ssim, published_ssim=0.9) == expected
    assert word(32.39, reproduction=False, ssim=ssim, published_ssim=None) == "matches"
    assert word(32.39, reproduction=False, ssim=ssim, published_ssim=0.9, bound_ssim=None) == "matches"
    assert word(32.5, reproduction=False, ssim=ssim, published_ssim=0.9) == "exceeds"  # PSNR speaks first


def test_bounds() -> None:
    assert bounds("authors") == bounds("interpolation") == Bounds(psnr_db=0.01, ssim=0.0001)
    assert bounds("trained") == Bounds(psnr_db=0.05, ssim=None)
    assert bounds("authors", 0.0005).ssim == 0.0005
