"""Weights files of users: what loads, what gets a warning, what is refused."""

import hashlib
import pickle
import warnings
import zipfile

import pytest
import torch

from videogan.classifiers.i3d import I3D
from videogan.classifiers.resnet3d import ResNet3D18
from videogan.classifiers.tsn import TSN
from videogan.classifiers.weights import load_weights_
from videogan.config import ConfigurationError


def r3d18(seed: int, n_classes: int = 3, width: int = 2) -> ResNet3D18:
    torch.manual_seed(seed)
    return ResNet3D18(n_classes, width=width)


def saved(path, content):
    torch.save(content, path)
    return path


def same_state(one, other) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_state_dict_loads_plain_or_nested_with_and_without_a_prefix(tmp_path, nested, prefix):
    source, target = r3d18(0), r3d18(1)
    state = {prefix + name: value for name, value in source.state_dict().items()}
    path = saved(tmp_path / "w.pt", {"state_dict": state, "epoch": 3, "arch": "resnet"} if nested else state)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        digest = load_weights_(target, path)
    assert same_state(source.state_dict(), target.state_dict())
    assert digest == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("n_classes", [None, 5])
def test_a_different_or_missing_classification_layer_keeps_ours_as_initialised_with_a_warning(tmp_path, n_classes):
    source, target = r3d18(0, n_classes or 3), r3d18(1)
    before = {name: value.clone() for name, value in target.classify.state_dict().items()}
    state = source.state_dict()
    if n_classes is None:
        state = {name: value for name, value in state.items() if not name.startswith("classify.")}
    message = "none" if n_classes is None else r"{'classify.weight': \(5, 16\), 'classify.bias': \(5,\)}"
    with pytest.warns(UserWarning, match=rf"'classify.weight': \(3, 16\).*, got {message}; ours stays as initialised"):
        load_weights_(target, saved(tmp_path / "w.pt", state))
    assert same_state(before, target.classify.state_dict())
    assert same_state(source.blocks.state_dict(), target.blocks.state_dict())


def test_torchvisions_and_the_public_i3ds_classification_layers_are_known(tmp_path):
    torch.manual_seed(0)
    tsn, i3d = TSN(4, width=1), I3D(4, width=2)
    public_tsn = {name.replace("classify.", "fc."): value for name, value in tsn.state_dict().items()}
    public_i3d = {name.replace("classify.", "logits.conv3d."): value for name, value in i3d.state_dict().items()}
    public_i3d["logits.conv3d.weight"] = public_i3d["logits.conv3d.weight"][..., None, None, None]
    for network, state, fresh in ((tsn, public_tsn, TSN(4, width=1)), (i3d, public_i3d, I3D(4, width=2))):
        load_weights_(fresh, saved(tmp_path / "w.pt", state))
        assert same_state(network.state_dict(), fresh.state_dict())


def test_files_without_num_batches_tracked_load(tmp_path):
    source, target = r3d18(0), r3d18(1)
    state = {name: value for name, value in source.state_dict().items() if "num_batches" not in name}
    load_weights_(target, saved(tmp_path / "w.pt", state))
    assert same_state(source.state_dict(), target.state_dict())


def refused(network, path) -> str:
    """The error message; the network must not have changed."""
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with warnings.catch_warnings(record=True) as warned, pytest.raises(ConfigurationError) as caught:
        load_weights_(network, path)
    assert not [warning for warning in warned if "ours stays" in str(warning.message)]
    assert str(caught.value).startswith(f"{path}: classifier weights must be ")
    assert same_state(before, network.state_dict())
    return str(caught.value)


def test_another_classifiers_weights_are_refused_with_the_first_names_and_how_many(tmp_path):
    torch.manual_seed(0)
    other, ours = TSN(3, width=2).state_dict(), r3d18(1).state_dict()
    message = refused(r3d18(1), saved(tmp_path / "w.pt", other))
    n_missing = sum("num_batches" not in name and "classify" not in name for name in ours)
    n_unexpected = sum("classify" not in name for name in other)
    assert "must be those of a ResNet3D18" in message
    assert f"{n_missing} missing (stem.0.weight, stem.1.weight, stem.1.bias, ...)" in message
    assert f"{n_unexpected} unexpected (conv1.weight, bn1.weight, bn1.bias, ...)" in message


def test_another_width_is_refused_with_both_shapes(tmp_path):
    message = refused(r3d18(1), saved(tmp_path / "w.pt", r3d18(0, width=3).state_dict()))
    assert "misshapen (stem.0.weight (3, 3, 7, 7, 7) instead of (2, 3, 7, 7, 7)" in message
    assert "missing" not in message


def test_one_missing_layer_is_one_clear_error(tmp_path):
    state = r3d18(0).state_dict()
    del state["blocks.3.residual.0.weight"]
    assert "got 1 missing (blocks.3.residual.0.weight);" in refused(r3d18(1), saved(tmp_path / "w.pt", state))


def test_weights_that_are_not_finite_are_refused(tmp_path):
    state = {name: value.clone() for name, value in r3d18(0).state_dict().items()}
    state["stem.0.weight"][0, 0, 0, 0, 0] = float("nan")
    assert "got 1 not finite (stem.0.weight);" in refused(r3d18(1), saved(tmp_path / "w.pt", state))


def test_truncated_files_are_refused(tmp_path):
    whole = saved(tmp_path / "w.pt", r3d18(0).state_dict()).read_bytes()
    for kept in (0, 1, 1000, len(whole) // 2, len(whole) - 1):
        path = tmp_path / f"first-{kept}.pt"
        path.write_bytes(whole[:kept])
        message = refused(r3d18(1), path)
        assert f"{kept:,} bytes that does not load" in message
        assert "copy it again" in message


def test_foreign_files_are_refused_without_running_their_code(tmp_path):
    class Touch:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    (tmp_path / "code.pt").write_bytes(pickle.dumps(Touch()))
    saved(tmp_path / "network.pt", r3d18(0))
    (tmp_path / "text.pt").write_text("not weights")
    with zipfile.ZipFile(tmp_path / "zip.pt", "w") as archive:
        archive.writestr("readme", "not weights")
    for name in ("code.pt", "network.pt", "text.pt", "zip.pt"):
        assert "does not load" in refused(r3d18(1), tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "held"),
    [([1, 2], "a list"), ({}, "a dict with nothing"), ({"weights": {"a": 1}, "seed": 0}, "a dict with weights, seed")],
)
def test_files_without_a_state_dict_are_refused(tmp_path, content, held):
    assert f"got {held};" in refused(r3d18(1), saved(tmp_path / "w.pt", content))


def test_a_path_without_a_file_is_refused(tmp_path):
    assert "No such file" in refused(r3d18(1), tmp_path / "none.pt")
    assert "directory" in refused(r3d18(1), tmp_path)
