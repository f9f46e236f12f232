"""What fits what: devices, precisions, modes; what is picked where nothing is asked for."""

from pathlib import Path

import pytest
import torch

from srrepro import hardware
from srrepro.errors import InputError
from srrepro.hardware import PLAIN, Hardware, fastest_mode, fastest_precision, machine, modes


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"device": "cuda", "mode": "native"}, "native.*--device cpu --precision float32"),
        ({"precision": "bfloat16", "mode": "native"}, "native.*--device cpu --precision float32"),
        ({"precision": "tf32"}, "tf32 on cpu .* but cpu has float32, bfloat16"),
        ({"mode": "graph"}, "mode graph was asked for, but that is for GPUs"),
        ({"mode": "compiled"}, "mode compiled was asked for, but that is for GPUs"),
    ],
    ids=str,
)
def test_device_precision_and_mode_must_fit(asked: dict[str, str], why: str) -> None:
    with pytest.raises(InputError, match=why):
        Hardware(**asked)


def test_what_is_asked_for_stays_and_the_rest_is_settled() -> None:
    assert not Hardware().is_settled
    settled = Hardware(memory=5).settled()
    assert settled.is_settled
    assert (settled.memory, settled.threads) == (5, torch.get_num_threads())
    asked = Hardware(precision="bfloat16", mode="eager", threads=3)
    assert asked.settled() == asked
    assert Hardware(mode="eager").settled("bfloat16").precision == "bfloat16"


def test_numbers_are_float32_and_pictures_may_be_bfloat16() -> None:
    bfloat16 = Hardware(precision="bfloat16")
    assert bfloat16.for_numbers() == Hardware(precision="float32").settled()
    assert bfloat16.for_pictures().precision == "bfloat16"
    assert Hardware().for_pictures() == Hardware().for_numbers()
    assert Hardware(mode="eager").for_numbers().mode == "eager"
    recording = Hardware(device="cuda", precision="tf32", mode="graph")
    assert (recording.for_numbers().precision, recording.for_numbers().mode) == ("float32", "eager")


def test_the_plain_one_is_a_processor_as_pytorch_uses_it() -> None:
    assert (PLAIN.device, PLAIN.precision, PLAIN.mode, PLAIN.is_settled) == ("cpu", "float32", "eager", True)


def test_a_gpu_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="no CUDA device here"):
        Hardware.here("cuda")
    assert Hardware.here().device == "cpu"


def test_native_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_compiles", lambda: False)
    with pytest.raises(InputError, match="no C compiler"):
        Hardware.here("cpu", mode="native")
    assert modes("cpu", "float32") == ("eager",)


def test_the_fastest_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    for compiles, expected in ((True, "native"), (False, "eager")):
        monkeypatch.setattr(hardware, "_compiles", lambda compiles=compiles: compiles)
        assert fastest_mode("cpu", "float32") == expected
        assert fastest_mode("cpu", "bfloat16") == fastest_mode("cuda", "float32") == "eager"


@pytest.mark.parametrize(
    ("flags", "compiles", "expected"),
    [
        ("avx2 amx_bf16", True, "bfloat16"),
        ("avx512_bf16 sse", True, "float32"),
        ("avx512_bf16 sse", False, "bfloat16"),
        ("avx512f amx_int8", True, "float32"),
        ("avx512f amx_int8", False, "float32"),
    ],
    ids=["matrix unit", "vector unit", "vector unit without a compiler", "neither", "nothing"],
)
def test_the_fastest_precision_is_the_processors(
    flags: str, compiles: bool, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hardware, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(hardware, "_compiles", lambda: compiles)
    assert fastest_precision("cpu") == "float32"  # no such file: no Linux
    (tmp_path / "cpuinfo").write_text(f"processor : 0\nflags : fpu {flags}\n", encoding="utf-8")
    assert fastest_precision("cpu") == expected


def test_the_fastest_precision_of_a_gpu(cuda: str) -> None:
    assert fastest_precision(cuda) in {"float32", "bfloat16"}


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [
        ("model name : A fast one\ncpu family : 6\nmodel : 85\n", "A fast one (family/model 6/85), "),
        ("processor : 0\n", " (family/model ), "),
    ],
)
def test_the_machine_is_named(cpuinfo: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "CPUINFO", tmp_path / "cpuinfo")
    assert machine("cpu").endswith(" cores")
    (tmp_path / "cpuinfo").write_text(cpuinfo, encoding="utf-8")
    assert expected in machine("cpu")
