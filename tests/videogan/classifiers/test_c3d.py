"""C3D: published sizes, and the one clip size its fully connected layers fit."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from videogan.classifiers.c3d import C3D
from videogan.config import ConfigurationError


@pytest.mark.parametrize(("n_classes", "expected"), [(101, 78_409_573), (487, 79_991_015)])
def test_parameter_counts_are_those_of_tran(n_classes, expected):
    with torch.device("meta"):
        c3d = C3D(n_classes)
    assert sum(p.numel() for p in c3d.parameters()) == expected
    assert sum(p.numel() for p in c3d.convolutions.parameters()) == 27_655_936


def test_a_clip_takes_77_gflop():
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        C3D(101).eval()(torch.empty(1, 16, 3, 112, 112))
    assert counter.get_total_flops() / 1e9 == pytest.approx(77.0, abs=0.1)


def test_the_last_pool_rounds_up_so_that_4x4_positions_see_the_whole_of_112_pixels():
    torch.manual_seed(0)
    c3d, video = C3D(2, width=4).eval(), torch.zeros(1, 16, 3, 112, 112)
    edge = video.clone()
    edge[..., -1, :] = 1
    with torch.no_grad():
        maps, changed = (c3d.convolutions(x.transpose(1, 2)) for x in (video, edge))
    assert maps.shape == (1, 32, 1, 4, 4)
    assert not torch.equal(maps[..., 3, :], changed[..., 3, :])


@pytest.mark.parametrize(
    ("n_frames", "height", "width"), [(16, 111, 112), (16, 112, 64), (16, 224, 224), (7, 112, 112)]
)
def test_other_sizes_are_an_error_with_the_sizes_that_fit(n_frames, height, width):
    with torch.device("meta"), pytest.raises(ConfigurationError, match=rf"112x112, got {n_frames} of {height}x{width}"):
        C3D(2, width=1)(torch.empty(1, n_frames, 3, height, width))


@pytest.mark.parametrize(("n_frames", "size"), [(8, 112), (16, 112), (16, 128), (23, 143)])
def test_accepted_sizes_fit(n_frames, size):
    with torch.device("meta"):
        assert C3D(2, width=1)(torch.empty(1, n_frames, 3, size, size)).shape == (1, 2)
