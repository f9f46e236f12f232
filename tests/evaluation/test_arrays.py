"""Weight files of others: what is read, and that nothing in them runs."""

from pathlib import Path

import pytest
import torch

from srrepro.errors import InputError
from srrepro.evaluation.arrays import read_arrays


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
