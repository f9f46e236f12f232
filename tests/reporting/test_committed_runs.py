"""Evidence outlives code: committed run folders stay valid, and a recipe leads to the same folder still."""

from pathlib import Path

import pytest

from srrepro import models
from srrepro.models.recipe import digest
from srrepro.reporting import checksums
from srrepro.reporting.audit import LIST, audit
from srrepro.reporting.evidence import SUMS, folders, read

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / "results").is_dir(), reason="the evidence lies in a clone only")
COMMITTED = [folder.name for folder in folders(ROOT / "results/runs")]


def test_no_run_folder_was_lost_and_all_are_as_they_were_written() -> None:
    """The list was made once, of the 86 folders that there were; later ones carry their own."""
    listed = checksums.read(ROOT / "results" / LIST)
    assert len({Path(name).parent for name in listed}) == 86
    assert not [name for name in listed if (ROOT / "results" / name).with_name(SUMS).exists()]
    assert audit(ROOT / "results", ROOT / "README.md") == []


@pytest.mark.parametrize("name", [name for name in COMMITTED if "_s" in name])
def test_a_recipe_leads_to_the_same_folder_still(name: str) -> None:
    run = read(ROOT / "results/runs" / name)
    recipe, about = models.recipe(run.subject.name), run.about
    store = about["store"]["digest"]
    found = digest(recipe.name, recipe.network, recipe.training, store, run.subject.budget, about["precision"])
    assert name.endswith(f"_s{run.subject.seed}_{found}")
