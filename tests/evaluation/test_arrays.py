"""Weight files of others: what is read, and that nothing in them runs."""

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from srrepro.errors import InputError
from srrepro.evaluation.arrays import read_arrays
from srrepro.evaluation.weights import read_authors

CASES = Path(__file__).parents[1] / "cases"


class Harmful:
    """Would write a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.target,)


def test_a_state_dict_is_read_wherever_it_was_saved(tmp_path: Path) -> None:
    torch.save({"layer.weight": torch.ones(2, 3)}, tmp_path / "a.pth")
    arrays = read_arrays(tmp_path / "a.pth")
    assert list(arrays) == ["layer.weight"]
    assert torch.equal(arrays["layer.weight"], torch.ones(2, 3))


def test_a_pickle_that_would_run_something_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "made"
    torch.save({"layer.weight": Harmful(target)}, tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"a\.pth were to be read, but could not be"):
        read_arrays(tmp_path / "a.pth")
    assert not target.exists()


def test_a_mat_file_of_version_7_3_is_a_network() -> None:
    subject, network = read_authors(CASES / "v73.mat", 3)
    assert subject.model == "SRCNN 9-1-5"
    assert sum(parameter.numel() for parameter in network.parameters()) == 8129


def test_an_archive_with_compressed_parts_is_not_unpacked(tmp_path: Path) -> None:
    """A megabyte would become a thousand."""
    torch.save({"a": torch.zeros(4)}, tmp_path / "a.pth")
    with (
        zipfile.ZipFile(tmp_path / "a.pth") as plain,
        zipfile.ZipFile(tmp_path / "b.pth", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in plain.namelist():
            packed.writestr(name, plain.read(name))
    with pytest.raises(InputError, match="an archive with compressed parts"):
        read_arrays(tmp_path / "b.pth")


def test_parts_that_lie_over_each_other_are_not_read(tmp_path: Path) -> None:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("a/data.pkl", bytes(1000))
    start = content.getvalue().index(b"PK\1\2")
    entry = content.getvalue()[start : content.getvalue().index(b"PK\5\6")]
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 9, 9, 9 * len(entry), start, 0)
    (tmp_path / "a.pth").write_bytes(content.getvalue()[:start] + 9 * entry + end)
    with pytest.raises(InputError, match="an archive with compressed parts"):
        read_arrays(tmp_path / "a.pth")


@pytest.mark.parametrize(
    "made",
    [
        lambda: torch.zeros(3, 3, device="meta"),
        lambda: torch.eye(3).to_sparse(),
        lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8),
    ],
    ids=["without numbers", "sparse", "quantised"],
)
@pytest.mark.filterwarnings("ignore:.*")
def test_tensors_of_strange_kinds_are_refused(made: Callable[[], torch.Tensor], tmp_path: Path) -> None:
    torch.save({"a.weight": made()}, tmp_path / "a.pth")
    with pytest.raises(InputError, match="could not be"):
        read_arrays(tmp_path / "a.pth")


@pytest.mark.parametrize("content", [b"", b"words", b"\x80\x02."], ids=str)
@pytest.mark.parametrize("suffix", [".pth", ".mat", ".caffemodel"])
def test_what_is_no_weight_file_is_refused(suffix: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content)
    with pytest.raises(InputError, match="were to be read, but could not be"):
        read_arrays(path)


def test_what_holds_other_things_is_refused(tmp_path: Path) -> None:
    torch.save([torch.ones(1)], tmp_path / "a.pth")
    with pytest.raises(InputError, match="tensors by name were expected, once; there are none"):
        read_arrays(tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"'\.txt' is none of \.mat \.pth \.caffemodel"):
        read_arrays(tmp_path / "a.txt")
