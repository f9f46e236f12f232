"""When a run first reached a published value: made-up logs with known answers."""

from typing import Any

import pytest

from srrepro.evaluation.weights import Subject
from srrepro.reporting.evidence import Evidence
from srrepro.reporting.reached import COLUMNS, reached


def run(
    seed: int, psnr_db: list[float], *, scale: int | None = 3, column: str = "Set5_psnr_db", **about: Any
) -> Evidence:
    subject = Subject(
        name="srcnn-915-quick", model="SRCNN 9-1-5", origin="trained", training_set="T91", scale=scale, seed=seed,
        budget=1.0,
    )  # fmt: skip
    log = [
        {"backprops": 100 * (n + 1), "seconds": 10.0 * (n + 1) + seed, column: value, "loss": 1.0}
        for n, value in enumerate(psnr_db)
    ]
    made = {"device": "cpu", "precision": "float32", "threads": 2, "machine": "M"} | about
    return Evidence(f"run{seed}", subject, made, [], log)


def test_the_first_log_point_at_the_value_counts() -> None:
    row = reached([run(0, [30.0, 32.39, 32.3, 32.5])]).iloc[0]  # the paper: 32.39
    assert (row["published_psnr_db"], row["reached"], row["backprops"], row["seconds"]) == (32.39, True, 200, 20.0)
    assert (row["core_seconds"], row["log_every"], row["mode"], row["run"]) == (40.0, 100, "eager", "run0")


def test_a_run_that_misses_has_a_row() -> None:
    table = reached([run(0, [30.0, 32.38])])
    assert list(table["reached"]) == [False]
    assert table[["backprops", "seconds", "core_seconds", "seconds_median"]].isna().all(axis=None)


def test_median_and_range_of_seeds() -> None:
    table = reached([run(seed, [30.0] * seed + [33.0]) for seed in (0, 1, 2)])  # 10, 21 and 32 seconds
    for row in table.to_dict("records"):
        found = row["seeds"], row["seconds_median"], row["seconds_min"], row["seconds_max"]
        assert found == (3, 21.0, 10.0, 32.0)


def test_no_median_where_a_seed_missed() -> None:
    table = reached([run(0, [33.0]), run(1, [30.0])])
    assert list(table["seeds"]) == [2, 2]
    assert table["seconds_median"].isna().all()


@pytest.mark.parametrize("key", ["mode", "machine", "precision"])
def test_what_was_made_otherwise_is_not_mixed(key: str) -> None:
    table = reached([run(0, [33.0]), run(1, [33.0], **{key: "another"})])
    assert list(table["seeds"]) == [1, 1]


def test_one_network_for_several_scales() -> None:
    table = reached([run(0, [33.0], scale=None, column="Set5_x3_psnr_db")])
    assert list(table["scale"]) == [3]


def test_sets_without_a_published_value_and_untrained_runs_have_none() -> None:
    assert list(reached([run(0, [33.0], column="val20_psnr_db"), run(1, [])]).columns) == COLUMNS
    assert reached([run(0, [33.0], column="val20_psnr_db"), run(1, [])]).empty


def test_a_log_is_held_against_values_of_its_own_protocol() -> None:
    clamped = {"recipe": {"training": {"protocol": "vdsr-y-v1"}}}
    logs = [run(0, [33.0], column="Set14_psnr_db"), run(0, [33.0], column="Set14_psnr_db", **clamped)]
    assert list(reached(logs)["protocol"]) == ["matlab-y-v1"]  # no value of Set14 under the other one
    both = reached([run(0, [33.0]), run(0, [33.0], **clamped)])
    assert list(both["protocol"]) == ["matlab-y-v1", "vdsr-y-v1"]
    assert list(both["seeds"]) == [1, 1]
