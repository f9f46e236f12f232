"""The vocabulary of claims: what the notes say, what is compared to settle it, and the rule that decides.

All of it is frozen data, written down before anything runs; `srrepro.reporting.claims` applies it to run folders.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from srrepro.models.recipe import Network, Recipe

Verdict = Literal["holds", "does not hold", "undecided"]
Answer = Literal["holds", "does not hold", "in part", "undecided"]
"""Of a claim as a whole: its rows may differ."""
BOUND_DB = 0.05  # ours: by which this project calls two numbers equal; three seeds of one recipe lie within it
LEAVES_BICUBIC_DB = 0.05  # ours: as above; what has not gained that much on bicubic has not begun to learn
SHARE = 0.1  # ours: "already gives the effect" is taken for nine tenths of the gain over bicubic
SEEDS = (0, 1, 2)  # ours: as srcnn-915-quick has; fewer show no spread


@dataclass(frozen=True)
class Text:
    """The same in English and in Chinese."""

    en: str
    zh: str


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A recipe as it is trained for a claim, at a scale.

    A name with "@" is a variant that exists for claims only. Any other is a recipe of a paper's file: its evidence is
    the ordinary one, at its full budget.
    """

    recipe: Recipe
    scale: int

    @property
    def name(self) -> str:
        return self.recipe.name

    @property
    def is_variant(self) -> bool:
        return "@" in self.name


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Weights that are there already: released, or of a recipe that ships; in their own network, or in `network`."""

    name: str
    weights: str
    scale: int
    network: Network | None = None

    @property
    def is_variant(self) -> bool:
        return "@" in self.name


Candidate = Trained | Weights


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One side of a comparison. Of several candidates, seed 0 of each is trained; the best on val20 is the finalist."""

    name: Text
    candidates: tuple[Candidate, ...]


def arm(en: str, zh: str, *candidates: Candidate) -> Arm:
    return Arm(name=Text(en, zh), candidates=candidates)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One row: by how many dB the `claimed` side is ahead of the `other`, image by image; `other` None is bicubic.

    `statement` is what is true if the difference is above the threshold. That is `bound_db` or, where there is a
    `share`, minus that share of the other side's gain over bicubic. `main` rows decide the claim, others stand beside
    them. `at_equal_seconds` reads both off their curves on Set5 where they have cost the same time.
    """

    name: str
    statement: Text
    claimed: Arm
    other: Arm | None
    condition: Text
    bound_db: float
    share: float | None = None
    datasets: tuple[str, ...] = ("Set5", "Set14")
    metric: str = "psnr_db"
    seeds: tuple[int, ...] = SEEDS
    main: bool = True
    at_equal_seconds: bool = False

    @property
    def arms(self) -> tuple[Arm, ...]:
        return (self.claimed,) if self.other is None else (self.claimed, self.other)


@dataclass(frozen=True, kw_only=True)
class Vanishing:
    """One row: whether the gradient of a network's first layer is too small to move its weights at the first batch.

    It is where rate times gradient is below the rounding of the weights: 2^-24 of their norm in float32.
    """

    name: str
    statement: Text
    of: Trained
    condition: Text
    main: bool = True


Row = Comparison | Vanishing
VANISHED = 2.0**-24  # ours: float32 has 24 bits
"""Of a weight: less than that is lost when it is added in float32."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One point of the notes. `budget` says in words what is trained; `answers` are for the notes' author."""

    name: str
    words: Text
    question: Text
    budget: Text
    rule: Text
    rows: tuple[Row, ...]
    answers: Mapping[Answer, Text]
    beside: Text | None = None
    metrics: tuple[str, ...] = ()  # measured besides those of the protocol
    watched: tuple[Trained, ...] = ()  # whose gradients are taken at the first batch
    suspects: tuple[str, ...] = ()  # rows of one fault of the notes' each; the answer names them

    @property
    def comparisons(self) -> tuple[Comparison, ...]:
        return tuple(row for row in self.rows if isinstance(row, Comparison))
