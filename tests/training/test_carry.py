"""Which copy of an unfinished run is resumed, told by made-up descents; and durations."""

from pathlib import Path

import pytest

from srrepro.errors import InputError
from srrepro.training import carry, checkpoint, deadline
from srrepro.training.carry import CHECKPOINT, Stretch
from srrepro.training.deadline import NEVER, Deadline, seconds_of
from srrepro.whole import part_of


def write(path: Path, *lengths: tuple[str, int], run: str = "a-run") -> None:
    """A copy with these stretches: their ids, and how many steps of 8 patches each took."""
    stretches, begun = [], 0
    for identity, steps in lengths:
        made_with = {"machine": "M"}
        stretch = Stretch(
            id=identity, begun_at=begun, steps=steps, backprops=8 * steps, seconds=1.0, made_with=made_with
        )
        stretches.append(vars(stretch))
        begun += steps
    checkpoint.save(path, {"run": run, "state": {"step": begun, "stretches": stretches}})


@pytest.mark.parametrize(
    ("local", "carried", "taken"),
    [
        ((("a", 5),), (("a", 5),), "local"),
        ((("a", 6),), (("a", 5),), "local"),  # the process that carried it went on
        ((("a", 5),), (("a", 6),), "carried"),  # the last local checkpoint is older
        ((("a", 5),), (("a", 5), ("b", 2)), "carried"),
        ((("a", 4),), (("a", 5), ("b", 2)), "carried"),
        ((("a", 5), ("b", 2)), (("a", 5),), "local"),
        ((("a", 6),), (("a", 5), ("b", 2)), None),
        ((("a", 5), ("c", 1)), (("a", 5), ("b", 2)), None),
        ((("a", 5), ("c", 9)), (("a", 5), ("b", 2)), None),
        ((("c", 5),), (("a", 5),), None),
    ],
)
def test_the_copy_that_continues_the_other_is_taken(
    local: tuple[tuple[str, int], ...],
    carried: tuple[tuple[str, int], ...],
    taken: str | None,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    here, there = tmp_path / CHECKPOINT, tmp_path / "carried.safetensors"
    write(here, *local)
    write(there, *carried)
    if taken is None:
        with pytest.raises(InputError, match=r"trained apart .* Delete one of the two files, or .*--fresh") as refused:
            carry.newest(tmp_path, there, "a-run")
        for lengths in (local, carried):
            assert f"has {8 * sum(steps for _, steps in lengths)}" in str(refused.value)
        return
    copy = carry.newest(tmp_path, there, "a-run", says=True)
    assert copy is not None
    assert copy.path == {"local": here, "carried": there}[taken]
    assert ("has continued from" in " ".join(capsys.readouterr().err.split())) == (taken == "carried")


def test_one_copy_is_taken_as_it_is(tmp_path: Path) -> None:
    there = tmp_path / "carried.safetensors"
    assert carry.newest(tmp_path, there, "a-run") is None
    write(there, ("a", 5))
    copy = carry.newest(tmp_path, there, "a-run")
    assert copy is not None
    assert (copy.path, copy.step, copy.backprops) == (there, 5, 40)
    assert carry.newest(tmp_path, None, "a-run") is None


@pytest.mark.parametrize("state", [{}, {"stretches": []}, {"stretches": [{"id": "a"}]}], ids=str)
def test_a_copy_without_its_descent_is_damaged(state: dict[str, object], tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "file", {"run": "a-run", "state": state})
    with pytest.raises(InputError, match="damaged"):
        carry.read(tmp_path / "file", "a-run")


def test_nothing_is_left_of_what_is_removed(tmp_path: Path) -> None:
    there = tmp_path / "carried.safetensors"
    write(tmp_path / CHECKPOINT, ("a", 5))
    write(there, ("b", 5))
    (tmp_path / "checkpoint.pt").touch()
    part_of(there).touch()
    carry.remove(tmp_path, there)
    assert list(tmp_path.iterdir()) == []
    carry.remove(tmp_path, there)


def test_versions_are_listed_where_they_differ() -> None:
    first, second = (
        Stretch(id=n, begun_at=0, steps=1, backprops=8, seconds=2.0, made_with={"versions": {"torch": n}, "machine": n})
        for n in ("1", "2")
    )
    assert carry.evidence_of([first, second], {"torch": "2"}) == [
        {"backprops": 8, "seconds": 2.0, "versions": {"torch": "1"}, "machine": "1"},
        {"backprops": 8, "seconds": 2.0, "machine": "2"},
    ]


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("45m", 2700), ("2h", 7200), ("1h30m", 5400), ("1h0m1s", 3601), ("100m", 6000)]
)
def test_durations(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "0s", "45", "m", "-1h", "1.5h", "30m1h", "1d", "1h 30m", "1H"])
def test_no_durations(text: str) -> None:
    with pytest.raises(InputError, match=r"A duration was to be given, but .* is none\. Give one such as 2h"):
        seconds_of(text)


def test_a_deadline_passes_on_its_second(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [10.0]
    monkeypatch.setattr(deadline, "monotonic", lambda: now[0])
    until = Deadline.after(5)
    assert not until.passed
    now[0] = 14.9
    assert not until.passed
    now[0] = 15.0
    assert until.passed
    now[0] = 1e12
    assert not NEVER.passed
