"""Files of flow weights: the published names load, with or without a width; anything else is refused."""

import hashlib
import pickle
from pathlib import Path

import pytest
import torch
from torch import Tensor

from videogan.config import ConfigurationError
from videogan.flow.pwc_net import PWCNet
from videogan.flow.weights import pwc_net_from

WIDTH = 0.1


def state(width: float = WIDTH, seed: int = 0) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return PWCNet(width).state_dict()


def saved(path: Path, content: object) -> Path:
    torch.save(content, path)
    return path


def refused(path: Path) -> str:
    with pytest.raises(ConfigurationError) as error:
        pwc_net_from(path)
    assert str(error.value).startswith(f"{path}: flow weights must be")
    return str(error.value)


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("part", ["net", "module"])
def test_both_public_namings_load_with_the_width_beside_them(tmp_path: Path, part: str, prefix: str):
    ours = state()
    theirs = {prefix + name.replace("net", part): value for name, value in ours.items()}
    path = saved(tmp_path / "flow.pt", {"state_dict": theirs, "width": WIDTH, "step": 3})
    network, digest = pwc_net_from(path)
    assert network.width == WIDTH
    assert all(torch.equal(value, ours[name]) for name, value in network.state_dict().items())
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())


def test_a_plain_state_dict_is_the_published_networks(tmp_path: Path):
    message = refused(saved(tmp_path / "flow.pt", state()))
    assert "a PWC-Net of width 1, got" in message
    assert "misshapen (netExtractor.netOne.0.weight (2, 3, 3, 3) instead of (16, 3, 3, 3)" in message
    assert "add the width" in message


def test_the_published_size_loads_as_published(tmp_path: Path):
    theirs = {name.replace("net", "module"): value for name, value in state(1.0).items()}
    network, _ = pwc_net_from(saved(tmp_path / "network-default.pytorch", theirs))
    assert network.width == 1
    assert torch.equal(network.state_dict()["netTwo.netSix.0.bias"], theirs["moduleTwo.moduleSix.0.bias"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("netTwo.netOne.0.bias"), "1 missing (netTwo.netOne.0.bias)"),
        (lambda s: s.update(other=torch.zeros(1)), "1 unexpected (other)"),
        (lambda s: s["netTwo.netOne.0.bias"].fill_(torch.nan), "1 not finite (netTwo.netOne.0.bias)"),
    ],
)
def test_anything_missing_unexpected_or_not_finite_is_named(tmp_path: Path, change, message: str):
    weights = state()
    change(weights)
    assert message in refused(saved(tmp_path / "flow.pt", {"state_dict": weights, "width": WIDTH}))


def test_damaged_and_foreign_files_are_refused_without_running_their_code(tmp_path: Path):
    class Touch:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    whole = saved(tmp_path / "whole.pt", {"state_dict": state(), "width": WIDTH}).read_bytes()
    (tmp_path / "half.pt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "code.pt").write_bytes(pickle.dumps(Touch()))
    saved(tmp_path / "network.pt", PWCNet(WIDTH))
    for name in ("half.pt", "code.pt", "network.pt"):
        assert "does not load" in refused(tmp_path / name)
    assert not (tmp_path / "ran").exists()
    assert "No such file" in refused(tmp_path / "none.pt")
    assert "got a list" in refused(saved(tmp_path / "list.pt", [1, 2]))
    assert "got a dict with step" in refused(saved(tmp_path / "dict.pt", {"step": 1}))
