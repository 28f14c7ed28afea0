"""3-D ResNet-18: published sizes, padding of blocks, and bf16 gradients."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from videogan.classifiers.resnet3d import Conv3x3x3, PaddedSubsample, ResNet3D18


@pytest.mark.parametrize(
    ("n_classes", "shortcut", "expected"),
    [
        (10, "B", 33_209_034),
        (10, "A", 33_035_210),
        (27, "B", 33_217_755),
        (27, "A", 33_043_931),
        (101, "B", 33_255_717),
        (101, "A", 33_081_893),
        (400, "B", 33_409_104),
        (400, "A", 33_235_280),
    ],
)
def test_parameter_counts_are_those_of_hara(n_classes, shortcut, expected):
    with torch.device("meta"):
        classifier = ResNet3D18(n_classes, shortcut=shortcut)
    assert sum(p.numel() for p in classifier.parameters()) == expected


def test_a_clip_takes_16_6_gflop():
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        ResNet3D18(101).eval()(torch.empty(1, 16, 3, 112, 112))
    assert counter.get_total_flops() / 1e9 == pytest.approx(16.6, abs=0.1)


@pytest.mark.parametrize("shortcut", ["A", "B"])
@pytest.mark.parametrize("size", [32, 48])
def test_clips_from_32_pixels_up_give_logits_and_features(shortcut, size):
    classifier = ResNet3D18(4, width=8, shortcut=shortcut).eval()
    video = torch.rand(2, 16, 3, size, size) * 2 - 1
    assert classifier(video).shape == (2, 4)
    assert classifier.features(video).shape == (2, classifier.n_features) == (2, 64)


def test_logits_of_a_clip_do_not_depend_on_its_batch():
    torch.manual_seed(0)
    classifier = ResNet3D18(4, width=8).eval()
    video = torch.rand(3, 16, 3, 32, 32)
    torch.testing.assert_close(classifier(video)[:1], classifier(video[:1]), rtol=1e-4, atol=1e-5)


def test_shortcut_a_subsamples_and_appends_zero_channels():
    x = torch.randn(2, 3, 4, 6, 6)
    y = PaddedSubsample(stride=2, n_extra=5)(x)
    assert torch.equal(y[:, :3], x[:, :, ::2, ::2, ::2])
    assert y.shape == (2, 8, 2, 3, 3)
    assert not y[:, 3:].any()


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 2, 2), (2, 5, 5), (4, 4, 4)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("bias", [False, True])
def test_convolution_equals_torchs_padded_one(shape, stride, bias):
    torch.manual_seed(0)
    ours, theirs = Conv3x3x3(4, 6, stride, bias), nn.Conv3d(4, 6, 3, stride, padding=1, bias=bias)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, 4, *shape)
    torch.testing.assert_close(ours(x), theirs(x))


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 2, 2), (2, 4, 4), (2, 7, 7), (4, 4, 4)])
@pytest.mark.parametrize("stride", [1, 2])
def test_bf16_weight_gradient_is_the_fp32_one_on_maps_smaller_than_the_kernel(shape, stride):
    # Plain nn.Conv3d returns uninitialised memory here on CPUs with AVX512-BF16 and without AMX.
    torch.manual_seed(0)
    conv = Conv3x3x3(16, 16, stride).to(memory_format=torch.channels_last_3d)
    x = torch.randn(5, 16, *shape).to(memory_format=torch.channels_last_3d)
    gradients = []
    for enabled in (False, True):
        _fill_free_memory_with_large_numbers()
        conv.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            y = conv(x)
        _fill_free_memory_with_large_numbers()
        y.float().square().sum().backward()
        gradients.append(conv.weight.grad.clone())
    exact, rounded = gradients
    assert ((rounded - exact).norm() / exact.norm()).item() < 0.05


def _fill_free_memory_with_large_numbers() -> None:
    blocks = [torch.full((n,), 3e38) for n in (100, 1000, 4000, 7000, 16_000, 64_000) for _ in range(3)]
    del blocks
