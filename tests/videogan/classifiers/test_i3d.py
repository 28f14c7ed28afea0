"""I3D: published sizes and names, and TensorFlow's padding."""

import pytest
import torch
from torch import nn

from videogan.classifiers.i3d import I3D, SamePadding, max_pool


def test_parameter_counts_are_those_of_kinetics_with_and_without_gains():
    with torch.device("meta"):
        i3d = I3D(400)
    assert sum(p.numel() for p in i3d.parameters()) == 12_697_264
    gains = sum(m.weight.numel() for m in i3d.modules() if isinstance(m, nn.BatchNorm3d))
    assert 12_697_264 - gains == 12_689_984


def test_layers_are_named_as_in_the_public_pytorch_weights():
    with torch.device("meta"):
        shapes = {name: tuple(value.shape) for name, value in I3D(400).state_dict().items()}
    assert shapes["Conv3d_1a_7x7.conv3d.weight"] == (64, 3, 7, 7, 7)
    assert shapes["Conv3d_2c_3x3.conv3d.weight"] == (192, 64, 3, 3, 3)
    assert shapes["Mixed_3b.b1a.conv3d.weight"] == (96, 192, 1, 1, 1)
    assert shapes["Mixed_4f.b2b.bn.running_mean"] == (128,)
    assert shapes["Mixed_5c.b3b.conv3d.weight"] == (128, 832, 1, 1, 1)


def test_a_clip_of_224_pixels_ends_at_2x7x7():
    with torch.device("meta"):
        i3d, seen = I3D(2), []
        i3d.Mixed_5c.register_forward_hook(lambda module, inputs, output: seen.append(tuple(output.shape)))
        i3d.features(torch.empty(1, 16, 3, 224, 224))
    assert seen == [(1, 1024, 2, 7, 7)]


@pytest.mark.parametrize("size", [32, 33, 112])
def test_frames_from_32_pixels_up_fit(size):
    with torch.device("meta"):
        assert I3D(7).eval()(torch.empty(2, 16, 3, size, size)).shape == (2, 7)


@pytest.mark.parametrize(
    ("n", "kernel", "stride", "before", "after"),
    [(224, 7, 2, 2, 3), (16, 7, 2, 2, 3), (112, 3, 2, 0, 1), (7, 3, 2, 1, 1), (4, 2, 2, 0, 0), (5, 2, 2, 0, 1), (9, 3, 1, 1, 1)],
)  # fmt: skip
def test_same_padding_is_tensorflows(n, kernel, stride, before, after):
    x = torch.ones(1, 1, n, 1, 1)
    padded = SamePadding((kernel, 1, 1), (stride, 1, 1))(x).flatten()
    assert padded.tolist() == [0.0] * before + [1.0] * n + [0.0] * after


def test_pools_halve_sizes_rounded_up():
    x = torch.rand(1, 2, 5, 7, 8)
    y = max_pool((3, 3, 3), (2, 2, 2))(x)
    assert y.shape == (1, 2, 3, 4, 4)
    assert y[0, 0, 0, 0, 0] == x[0, 0, :2, :2, :3].max()  # odd sizes begin with a zero, even ones end with it
