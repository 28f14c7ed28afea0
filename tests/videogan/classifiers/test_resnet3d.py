"""3-D ResNet-18: published sizes and shortcuts."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from videogan.classifiers.resnet3d import PaddedSubsample, ResNet3D18


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
