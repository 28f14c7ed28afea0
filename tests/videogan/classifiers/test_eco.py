"""ECO-Lite: published sizes, the step from 2-D to 3-D, its units."""

import pytest
import torch

from videogan.classifiers.eco import ECOLite, PreActivationUnit


@pytest.mark.parametrize(("n_classes", "expected"), [(27, 37_312_507), (101, 37_350_469), (400, 37_503_856)])
def test_parameter_counts_are_those_of_the_released_network(n_classes, expected):
    with torch.device("meta"):
        assert sum(p.numel() for p in ECOLite(n_classes).parameters()) == expected


def test_frames_of_224_pixels_stack_to_96_maps_of_28_and_end_at_4x7x7():
    with torch.device("meta"):
        eco = ECOLite(27)
        maps = eco.frames(torch.empty(16, 3, 224, 224))
        assert maps.shape == (16, 96, 28, 28)
        assert eco.clip(maps.transpose(0, 1)[None]).shape == (1, 512, 4, 7, 7)


@pytest.mark.parametrize("size", [32, 33, 112, 224])
def test_frames_from_32_pixels_up_fit(size):
    with torch.device("meta"):
        assert ECOLite(7).eval()(torch.empty(2, 16, 3, size, size)).shape == (2, 7)


def test_a_unit_whose_last_convolution_is_zero_is_its_shortcut():
    x = torch.randn(2, 4, 4, 6, 6)
    same, halved = PreActivationUnit(4, 4).eval(), PreActivationUnit(4, 6).eval()
    for unit in (same, halved):
        torch.nn.init.zeros_(unit.residual[-1].weight)
        torch.nn.init.zeros_(unit.residual[-1].bias)
    assert torch.equal(same(x), x)
    assert torch.equal(halved(x), halved.project(halved.activate(x)))
    assert halved(x).shape == (2, 6, 2, 3, 3)
