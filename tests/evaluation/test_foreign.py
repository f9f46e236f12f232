"""Weight files of other programs: names do not matter, shapes and order do."""

from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from srrepro import models
from srrepro.errors import InputError
from srrepro.evaluation import foreign
from srrepro.evaluation.foreign import matched, read_foreign
from srrepro.evaluation.upscaler import load

CASES = Path(__file__).parents[1] / "cases"


def state(name: str, scale: int = 3) -> dict[str, Tensor]:
    torch.manual_seed(1)
    return models.recipe(name).network(scale).state_dict()


def equal(one: nn.Module, other: dict[str, Tensor]) -> bool:
    return all(
        torch.equal(mine, theirs) for mine, theirs in zip(one.state_dict().values(), other.values(), strict=True)
    )


def conv_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """`layers.0.weight` as `conv1.weight`."""
    return {f"conv{int(name.split('.')[1]) + 1}.{name.split('.')[2]}": tensor for name, tensor in tensors.items()}


@pytest.mark.parametrize("name", ["srcnn_x3.pth", "yjn.safetensors"])
def test_public_names_are_understood(name: str) -> None:
    ours = load("srcnn-915-quick", 3)
    theirs = load(CASES / name, 3)
    assert theirs.subject.model == "SRCNN 9-1-5"
    assert theirs.subject.origin == "given"
    assert equal(theirs.network, ours.network.state_dict())


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".ckpt", ".safetensors"])
@pytest.mark.parametrize("prefix", ["", "module.", "model.module."])
def test_a_network_of_many_like_layers_keeps_their_order(prefix: str, suffix: str, tmp_path: Path) -> None:
    """VDSR has eighteen layers of one shape; a .safetensors file has conv10 before conv2."""
    own = state("vdsr")
    tensors = {prefix + name: tensor for name, tensor in conv_names(own).items()}
    path = tmp_path / f"vdsr{suffix}"
    save_file(tensors, path) if suffix == ".safetensors" else torch.save(tensors, path)
    assert equal(read_foreign(path, 3, "vdsr")[1], own)


def test_the_inner_layers_may_be_named_first(tmp_path: Path) -> None:
    own = conv_names(state("vdsr"))
    first, last = "conv1", max(own, key=lambda name: int(name[4:].split(".")[0])).split(".")[0]
    inner = {name: tensor for name, tensor in own.items() if name.split(".")[0] not in {first, last}}
    outer = {name: tensor for name, tensor in own.items() if name not in inner}
    torch.save({**inner, **outer}, tmp_path / "a.pth")
    assert equal(read_foreign(tmp_path / "a.pth", 3, "vdsr")[1], state("vdsr"))


@pytest.mark.parametrize("key", ["state_dict", "params", "model"])
def test_a_checkpoint_is_searched_for_its_tensors(key: str, tmp_path: Path) -> None:
    own = state("srcnn-915")
    torch.save({key: OrderedDict(own), "epoch": 7, "optimizer": {"state": {}, "lr": 0.1}}, tmp_path / "a.pth")
    assert equal(read_foreign(tmp_path / "a.pth", 3)[1], own)


def test_filters_of_tensorflow_are_turned(tmp_path: Path) -> None:
    own = state("srcnn-915")
    turned = {
        name: tensor.permute(2, 3, 1, 0).contiguous() if tensor.ndim == 4 else tensor for name, tensor in own.items()
    }
    torch.save(turned, tmp_path / "a.pth")
    assert equal(read_foreign(tmp_path / "a.pth", 3)[1], own)


def test_every_network_fits_itself_by_shapes_alone(tmp_path: Path) -> None:
    for recipe in models.recipes().values():
        if recipe.training is None:
            continue
        network = recipe.network(3)
        names = {f"n{number // 2}.{name.rpartition('.')[2]}": name for number, name in enumerate(network.state_dict())}
        if len(names) == len(network.state_dict()) and recipe.name.startswith(("srcnn", "vdsr")):
            renamed = {new: network.state_dict()[old] for new, old in names.items()}
            assert matched(network, renamed) == {old: new for new, old in names.items()}
        assert matched(network, network.state_dict()) == {name: name for name in network.state_dict()}


def test_what_fits_nothing_is_told_what_it_holds(tmp_path: Path) -> None:
    torch.save({"conv.weight": torch.zeros(7, 1, 3, 3), "conv.bias": torch.zeros(7)}, tmp_path / "a.pth")
    with pytest.raises(InputError, match=r"do not fit any network .* The file has conv\.weight \(7, 1, 3, 3\)"):
        load(tmp_path / "a.pth", 3)


def test_one_layer_too_many_or_too_few_is_refused() -> None:
    network, own = models.recipe("srcnn-915").network(3), state("srcnn-915")
    assert matched(network, own | {"extra.weight": torch.zeros(3)}) is None
    assert matched(network, dict(list(own.items())[:-1])) is None


def test_what_fits_two_papers_is_not_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No two that are known here are of one shape; the next one may be."""
    monkeypatch.setattr(foreign, "matched", lambda network, tensors: {"a": "a"})
    with pytest.raises(InputError, match="fit several networks. Name the right one: .* or srcnn-915=.*yjn"):
        read_foreign(CASES / "yjn.safetensors", 3)


def test_weights_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(InputError, match="holds values that are not finite"):
        load(CASES / "nan.safetensors", 3)


def test_a_whole_pickled_network_is_refused_with_the_line_that_converts_it(tmp_path: Path) -> None:
    torch.save(nn.Sequential(nn.Conv2d(1, 1, 3)), tmp_path / "whole.pth")
    message = r"it holds a whole object \(torch\.nn.*\.state_dict\(\), \"weights\.pth\"\)"
    with pytest.raises(InputError, match=message):
        load(tmp_path / "whole.pth", 3)


def test_two_sets_of_tensors_are_refused(tmp_path: Path) -> None:
    own = state("srcnn-915")
    torch.save({"params": own, "params_ema": own}, tmp_path / "a.pth")
    with pytest.raises(InputError, match="it holds params, params_ema"):
        load(tmp_path / "a.pth", 3)


def test_a_file_that_is_not_there_is_called_missing(tmp_path: Path) -> None:
    for suffix in (".pth", ".pt", ".safetensors"):
        with pytest.raises(InputError, match="no such file"):
            load(tmp_path / f"a{suffix}", 3)
    with pytest.raises(InputError, match="no name of a weight file"):
        load("bicubic", 3, model="vdsr")


def test_complex_numbers_are_not_read_as_their_real_part(tmp_path: Path) -> None:
    own = models.recipe("srcnn-915").network(3).state_dict()
    state = {name: values.to(torch.complex64) for name, values in own.items()}
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(InputError, match="do not fit any network"):
        read_foreign(tmp_path / "a.pth", 3)


def test_arrays_of_keras_have_a_way_out(tmp_path: Path) -> None:
    (tmp_path / "a.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    with pytest.raises(InputError, match=r"'\.h5' is none of .* Of a Keras model, save the arrays"):
        load(tmp_path / "a.h5", 3)
