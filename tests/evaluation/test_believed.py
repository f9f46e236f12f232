"""Results folders and checkpoints of strangers: names and numbers of the kinds that srrepro writes, or one message."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from srrepro import models
from srrepro.data.registry import DataFolder
from srrepro.errors import InputError
from srrepro.evaluation import believed
from srrepro.jobs import importing
from srrepro.jobs.job import Workspace
from srrepro.reporting import inputs
from srrepro.reporting.curves import read as curve
from srrepro.reporting.evidence import read
from srrepro.reporting.tables import differing
from srrepro.reporting.unfinished import unfinished
from srrepro.training import carry, checkpoint

SUBJECT = {"name": "srcnn-915", "model": "SRCNN 9-1-5", "origin": "trained", "training_set": "T91", "scale": 3}
SUBJECT |= {"seed": 0, "budget": 1.0, "of_the_paper": True, "note": "", "setting": ""}
MADE_WITH = {"device": "cpu", "mode": "eager", "machine": "a processor, 2 cores", "threads": 2, "commit": "c"}
MADE_WITH |= {"versions": {"torch": "2.9"}}
METRICS = {"psnr_db": 32, "ssim": 0.9, "bicubic_psnr_db": 30, "bicubic_ssim": 0.8}
HOSTILE = ("../../x", "/tmp/x", "a|b", "a\nb", "<script>", "=1+1", "\x1b[31m", "\u202ex", "$x^$")
LOG = "backprops,seconds\n64,1.5\n"
pytestmark = pytest.mark.usefixtures("unchecked")  # in a user's installation nothing checks annotations


def folder(place: Path, about: dict[str, Any], image: str = "baby.bmp", log: str = LOG) -> Path:
    run = place / "srcnn-915_x3_s0_abc"
    run.mkdir(parents=True, exist_ok=True)
    (run / "run.json").write_text(json.dumps(about), encoding="utf-8")
    rows = [f"Set5,3,{image},matlab-y-v1,{metric},{value}" for metric, value in METRICS.items()]
    (run / "scores.csv").write_text("\n".join(["dataset,scale,image,protocol,metric,value", *rows]), encoding="utf-8")
    (run / "log.csv").write_text(log, encoding="utf-8")
    return run


def test_what_srrepro_writes_is_believed(tmp_path: Path) -> None:
    about = {"subject": SUBJECT, **MADE_WITH, "stretches": [MADE_WITH], "recipe": {"training": {"protocol": None}}}
    assert read(folder(tmp_path, about)).subject.name == "srcnn-915"


@pytest.mark.parametrize("key", ["name", "model", "training_set", "scale", "seed", "budget", "of_the_paper"])
@pytest.mark.parametrize("value", HOSTILE, ids=ascii)
def test_a_subject_has_names_and_numbers(key: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not whole: .* cannot stand as") as refused:
        read(folder(tmp_path, {"subject": SUBJECT | {key: value}, **MADE_WITH}))
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("key", ["name", "model", "training_set", "note", "setting"])
@pytest.mark.parametrize("value", [3, [], {"a": 1}, "a\nb", "\x1b[31m", "\u202ex"], ids=ascii)
def test_words_of_a_subject_are_of_one_line(key: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not whole: .* cannot stand as"):
        read(folder(tmp_path, {"subject": SUBJECT | {key: value}, **MADE_WITH}))


@pytest.mark.parametrize("key", ["machine", "mode", "device", "precision", "threads", "commit", "versions"])
@pytest.mark.parametrize("value", ["a\nb", "\x1b[31m", [3], {"a": [1]}], ids=ascii)
def test_what_a_run_was_made_with_is_words_and_numbers(key: str, value: object, tmp_path: Path) -> None:
    for about in ({**MADE_WITH, key: value}, {"stretches": [{**MADE_WITH, key: value}]}):
        with pytest.raises(InputError, match="is not whole: .* cannot stand as"):
            read(folder(tmp_path, {"subject": SUBJECT, **about}))


@pytest.mark.parametrize("image", ["../../x.png", "a|b.png", "<script>.png", "=1+1", "\x1b[31m.png"])
def test_images_have_names(image: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot stand as an image"):
        read(folder(tmp_path, {"subject": SUBJECT}, image=image))


@pytest.mark.parametrize(
    "log",
    [
        "backprops,Set5_psnr_db\n64,30\n",
        "backprops,seconds,Set5_psnr_db\n64,1.5,high\n",
        "backprops,seconds,=cmd|x\n64,1.5,1\n",
        "backprops\n0.5\n",
        "backprops\n-1\n",
        "backprops\n1e300\n",
        "step\n1\n",
    ],
)
def test_a_log_is_numbers_by_name(log: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not whole"):
        read(folder(tmp_path, {"subject": SUBJECT}, log=log))


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "null", '{"subject": []}', '{"subject": {"name": 1}}'])
def test_strange_json_is_one_message(text: str, tmp_path: Path) -> None:
    run = folder(tmp_path, {"subject": SUBJECT})
    (run / "run.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="is not whole"):
        read(run)


@pytest.mark.parametrize("name", ["run.json", "scores.csv", "log.csv"])
def test_a_large_file_is_not_read(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = folder(tmp_path, {"subject": SUBJECT})
    monkeypatch.setattr(believed, "LARGEST", (run / name).stat().st_size - 1)
    with pytest.raises(InputError, match=r"\w+ has more than 0 MiB"):
        read(run)


def test_a_scale_without_end_is_one_message(tmp_path: Path) -> None:
    run = folder(tmp_path, {"subject": SUBJECT})
    scores = (run / "scores.csv").read_text(encoding="utf-8").replace("Set5,3", "Set5,inf")
    (run / "scores.csv").write_text(scores, encoding="utf-8")
    with pytest.raises(InputError, match="is not whole"):
        read(run)


def values() -> dict[str, Any]:
    """A checkpoint of a run of `srcnn-915`; the file that it makes is unfinished."""
    stretch = {"id": "a", "begun_at": 0, "steps": 2, "backprops": 64, "seconds": 1.5, "made_with": dict(MADE_WITH)}
    row = {"backprops": 64, "step": 2, "Set5_psnr_db": 30.0, "seconds": 1.5}
    return {
        "run": "a-run",
        "about": {"recipe": "srcnn-915", "scale": 3, "seed": 0, "budget": 1.0, "precision": "float32"},
        "state": {"step": 2, "seconds": 1.5, "losses": 0.5, "log": [row], "stretches": [stretch]},
        "network": dict(models.recipe("srcnn-915").network(3).state_dict()),
    }


def takes_in(path: Path) -> object:
    return importing.read(path, Workspace(DataFolder(path.parent / "data", path.parent), path.parent / "results"))


def test_a_checkpoint_is_believed_until_its_images_are_asked_for(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "a-run.safetensors", values())
    with pytest.raises(InputError, match="of the set T91 was asked for, but the mirror has no"):
        takes_in(tmp_path / "a-run.safetensors")


def test_a_checkpoint_without_its_recipe_is_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "a-run.safetensors"
    checkpoint.save(path, {key: value for key, value in values().items() if key != "about"})
    with pytest.raises(InputError, match="does not say of which recipe it is. Resume it with `srrepro train`"):
        takes_in(path)


@pytest.mark.parametrize(
    ("key", "strange"),
    [
        ("recipe", ["../../x", ["srcnn-915"], None]),
        ("scale", ["/../../../tmp/x", "3", 3.0, 5, True, -1]),
        ("seed", ["x/../../../../tmp/x", -1, 2**64, 1.5, True, None]),
        ("budget", ["1", math.nan, math.inf, -1.0, 0, None]),
        ("precision", ["../../x", "float16", None, ["float32"]]),
    ],
)
def test_what_names_a_run_becomes_no_path(key: str, strange: list[object], tmp_path: Path) -> None:
    for value in strange:
        made = values()
        made["about"][key] = value
        checkpoint.save(tmp_path / "a-run.safetensors", made)
        with pytest.raises(InputError, match="damaged|There is no recipe"):
            takes_in(tmp_path / "a-run.safetensors")
    assert [path.name for path in tmp_path.rglob("*")] == ["a-run.safetensors"]


SPOILT: list[Callable[[dict[str, Any]], object]] = [
    lambda made: made.update(run=["a-run"]),
    lambda made: made.update(run=torch.ones(3)),
    lambda made: made.update(state=torch.ones(3)),
    lambda made: made["state"].update(log={"a": 1}),
    lambda made: made["state"]["log"].append("words"),
    lambda made: made["state"]["log"][0].update({"=cmd|x": 1.0}),
    lambda made: made["state"]["log"][0].update(Set5_psnr_db="high"),
    lambda made: made["state"]["log"][0].pop("backprops"),
    lambda made: made["state"]["stretches"][0].update(backprops="many"),
    lambda made: made["state"]["stretches"][0].update(steps=-1),
    lambda made: made["state"]["stretches"][0]["made_with"].update(machine="\x1b[31m"),
    lambda made: made["state"]["stretches"][0]["made_with"].update(versions=torch.ones(3)),
    lambda made: made["state"]["stretches"][0].update(made_with=[]),
]


@pytest.mark.parametrize("number", range(len(SPOILT)))
def test_a_strange_checkpoint_is_one_message(number: int, tmp_path: Path) -> None:
    made = values()
    SPOILT[number](made)
    path = tmp_path / "a-run.safetensors"
    checkpoint.save(path, made)
    for reader in (lambda: carry.read(path, None), lambda: unfinished(tmp_path), lambda: takes_in(path)):
        with pytest.raises(InputError, match="damaged"):
            reader()


@pytest.mark.parametrize("text", ["null", '{"$tensor": "a"}', "[]", "3"])
def test_values_of_a_checkpoint_are_a_mapping(text: str, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    about = {"srrepro_checkpoint": f'{{"format": 1, "values": {text}}}'}
    save_file({"a": torch.ones(2)}, tmp_path / "a.safetensors", about)
    with pytest.raises(InputError, match="damaged"):
        carry.read(tmp_path / "a.safetensors", None)


@pytest.mark.parametrize("strides", [[10**12, 1], [0, 0], [-1, 3], [1], "31", [3, 2], {"a": 1}])
def test_strides_that_leave_gaps_take_no_memory(strides: object, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    text = json.dumps({"format": 1, "values": {"t": {"$tensor": "a", "stride": strides}}})
    save_file({"a": torch.ones(2, 3)}, tmp_path / "a.safetensors", {"srrepro_checkpoint": text})
    with pytest.raises(InputError, match="damaged"):
        checkpoint.load(tmp_path / "a.safetensors")


def test_a_log_that_is_not_believed_is_not_plotted(tmp_path: Path) -> None:
    run = folder(tmp_path, {"subject": SUBJECT | {"scale": "x"}}, log="backprops,seconds,Set5_psnr_db\n64,1.5,30\n")
    with pytest.raises(InputError, match="is no log of a run"):
        curve(str(run), tmp_path)
    made = values()
    made["state"]["log"][0]["Set5_psnr_db"] = [1]
    checkpoint.save(tmp_path / "a-run.safetensors", made)
    with pytest.raises(InputError, match="is no checkpoint of a run"):
        curve(str(tmp_path / "a-run.safetensors"), tmp_path)


TIMED = "model,task,device,machine,mode,precision,batch,height,width,median_ms,samples_per_s,megapixels_per_s\n"


@pytest.mark.parametrize(
    "content",
    [
        b'a,b\n1,"x\n',
        b"\xff\xfe\0",
        b"",
        b"a,b\n1,2\n",
        TIMED.encode() + b"srcnn-915,infer,cpu,m,plain,float32,1,256,256,fast,1,1\n",
        TIMED.encode() + b"srcnn-915,infer,cpu,\x1b[31m,plain,float32,1,256,256,1,1,1\n",
    ],
    ids=["half a cell", "no text", "empty", "other columns", "words for times", "escape codes"],
)
def test_a_strange_speed_csv_is_one_message(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "speed.csv").write_bytes(content)
    with pytest.raises(
        InputError, match=r"The table .*speed\.csv was to be read, but cannot be: .* Mend it, or delete"
    ):
        inputs.read(tmp_path)


def test_a_generated_file_that_is_no_text_differs(tmp_path: Path) -> None:
    (tmp_path / "quality.csv").write_bytes(b"\xff\xfe\0")
    assert tmp_path / "quality.csv" in differing(tmp_path, None)
