"""What a cluster's driver and nodes do with files, without a cluster; `test_cluster.py` has one."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from srrepro.data.registry import DataFolder
from srrepro.errors import InputError
from srrepro.evaluation.measure import Score
from srrepro.evaluation.weights import Subject
from srrepro.hardware import Hardware
from srrepro.jobs.carry_out import Measured
from srrepro.jobs.cluster import Cluster, _received, _together
from srrepro.jobs.executing import Suite
from srrepro.jobs.job import Measure, Workspace
from srrepro.jobs.on_node import Depot, Errand, _check_node
from srrepro.reporting import evidence
from srrepro.reporting.provenance import commit
from srrepro.training import checkpoint

RUN, TITLE = "srcnn-915-demo_x3_s0_12345678", "srcnn-915-demo x3 seed 0"
VALUES = {"psnr_db": 30.0, "ssim": 0.9, "bicubic_psnr_db": 29.0, "bicubic_ssim": 0.8}


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(DataFolder(tmp_path / "data"), tmp_path / "results")


def sent(*stretches: tuple[str, int]) -> bytes:
    """A checkpoint of these stretches, each with its id and its steps, of one backprop each."""
    begun, rows = 0, []
    for name, steps in stretches:
        made_with = {"device": "cpu", "mode": "eager", "machine": "a", "threads": 1, "commit": None, "versions": {}}
        rows.append(
            {"id": name, "begun_at": begun, "steps": steps, "backprops": steps, "seconds": 1.0, "made_with": made_with}
        )
        begun += steps
    log = [
        {
            "backprops": begun,
            "step": begun,
            "lr": 0.1,
            "loss": 1.0,
            "val20_psnr_db": 27.5,
            "seconds": 1.0,
            "samples_per_s": 1.0,
        }
    ]
    return checkpoint.packed({"run": RUN, "state": {"stretches": rows, "log": log, "seconds": 1.0}})


def test_a_depot_keeps_what_continues_and_nothing_else(workspace: Workspace) -> None:
    depot = Depot(workspace, 60.0)
    assert depot.newest(RUN) is None
    depot.keep(RUN, TITLE, sent(("one", 10)))
    assert depot.newest(RUN) == sent(("one", 10))
    assert depot.progress() == {TITLE: "10 backprops  val20 27.500 dB"}
    depot.keep(RUN, TITLE, sent(("one", 10), ("two", 5)))
    for behind in (sent(("one", 12)), sent(("other", 40)), sent(("one", 10))):  # of a node that was given up
        depot.keep(RUN, TITLE, behind)
        assert depot.newest(RUN) == sent(("one", 10), ("two", 5))
    depot.forget(TITLE)
    assert depot.progress() == {}
    assert [path.name for path in workspace.carried(RUN).parent.iterdir()] == [f"{RUN}.safetensors"]


def test_a_depot_refuses_what_did_not_arrive_whole(workspace: Workspace) -> None:
    depot = Depot(workspace, 60.0)
    depot.keep(RUN, TITLE, sent(("one", 10)))
    with pytest.raises(InputError):
        depot.keep(RUN, TITLE, sent(("one", 20))[:-8])
    assert depot.newest(RUN) == sent(("one", 10))


def folder(place: Path, name: str, psnr_db: float = 30.0) -> dict[str, bytes]:
    scores = [Score("Set5", 3, "baby", "matlab-y-v1", VALUES | {"psnr_db": psnr_db})]
    subject = Subject(name="bicubic", model="bicubic", origin="interpolation", training_set="", scale=3, setting="")
    kept = evidence.write(place, name, subject, scores, about={"device": "cpu", "mode": "eager"})
    return {path.name: path.read_bytes() for path in kept.iterdir()}


def test_a_run_folder_comes_whole_or_not_at_all(workspace: Workspace, tmp_path: Path) -> None:
    files = folder(tmp_path / "there", "bicubic_x3")
    damaged = files | {"scores.csv": files["scores.csv"].replace(b"30.0", b"31.0")}
    for bad in (damaged, {name: files[name] for name in files if name != "run.json"}):
        with pytest.raises(InputError, match="not whole"):
            _received("bicubic_x3", bad, workspace)
        assert not workspace.runs.exists()
    _received("bicubic_x3", files, workspace)
    assert {path.name: path.read_bytes() for path in (workspace.runs / "bicubic_x3").iterdir()} == files


def test_what_comes_again_is_compared(workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _received("bicubic_x3", folder(tmp_path / "first", "bicubic_x3"), workspace)
    _received("bicubic_x3", folder(tmp_path / "second", "bicubic_x3", 30.5), workspace)
    assert "differs by up to 0.500000 dB on an image; the evidence stays as it was" in capsys.readouterr().err
    assert evidence.read(workspace.runs / "bicubic_x3").scores[0].values["psnr_db"] == 30.0


def test_sets_that_were_measured_apart_name_their_machines() -> None:
    subject = Subject(name="bicubic", model="bicubic", origin="interpolation", training_set="", scale=3)

    def part(name: str, machine: str, finished: str) -> Measured:
        return Measured(
            subject, [Score(name, 3, "a", "matlab-y-v1", VALUES)], {"machine": machine, "finished": finished}
        )

    whole = _together(
        [part("Set5", "small", "2026-01-02"), part("Set14", "large", "2026-01-01"), part("B100", "small", "2026-01-01")]
    )
    assert [score.dataset for score in whole.scores] == ["Set5", "Set14", "B100"]
    assert whole.about == {"machine": "small + large", "finished": "2026-01-02"}


def test_a_node_with_other_code_or_without_the_mirror_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    errand = Errand(Measure(name="bicubic", scale=3), "", workspace.folder, Hardware(), commit())
    _check_node(errand)
    with pytest.raises(InputError, match="of commit 0123abc, but the node .* has srrepro of commit"):
        _check_node(replace(errand, commit="0123abc"))
    lacking = DataFolder(tmp_path, tmp_path / "nowhere")
    with pytest.raises(InputError, match="has no such folder. Put it where all nodes see it"):
        _check_node(replace(errand, folder=lacking))


@pytest.mark.parametrize(
    ("cluster", "missing", "message"),
    [
        (Cluster(), True, "Ray is not installed"),
        (Cluster(address="ray://head:10001"), False, "Start the command on a node of the cluster"),
    ],
    ids=["no-ray", "client"],
)
def test_what_cannot_be_carried_out_there_is_said_before_anything_is_done(
    cluster: Cluster, missing: bool, message: str, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in: Any = None if missing else type(sys)("ray")  # None: as if it were not installed
    monkeypatch.setitem(sys.modules, "ray", stand_in)
    monkeypatch.setitem(sys.modules, "ray.exceptions", stand_in)
    with pytest.raises(InputError, match=message):
        list(cluster(Suite([Measure(name="bicubic", scale=3)], workspace)))
    assert not workspace.results.exists()


@pytest.mark.parametrize(
    ("cluster", "hardware", "message"),
    [
        (Cluster(gpus=0.5), Hardware(device="cuda"), "Give --precision float32, tf32 or bfloat16"),
        (Cluster(), Hardware(device="cuda", precision="tf32"), "Give --gpus 1, or --device cpu"),
    ],
)
def test_jobs_on_gpus_say_which_and_how(
    cluster: Cluster, hardware: Hardware, message: str, workspace: Workspace
) -> None:
    with pytest.raises(InputError, match=message):
        cluster._there(replace(workspace, hardware=hardware))


def test_a_log_cannot_be_followed_from_elsewhere(workspace: Workspace) -> None:
    with pytest.raises(InputError, match="Leave out --tensorboard"):
        Cluster()._there(replace(workspace, hardware=Hardware(device="cpu"), tensorboard=Path("logs")))


def test_what_nodes_are_told_is_the_same_wherever_they_stand(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workspace.folder.root.parent)
    near = replace(workspace, folder=DataFolder(Path("data")), results=Path("results"), hardware=Hardware())
    there = Cluster(cores=3)._there(near)
    assert (there.folder.root, there.results) == (workspace.folder.root, workspace.results)
    assert there.hardware.threads == 3
    assert there.hardware.precision != "auto", "each node would choose its own"
