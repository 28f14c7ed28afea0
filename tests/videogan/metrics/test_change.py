"""Distances between clips: zero for equal ones, exact for constructed ones, appearance separate from motion."""

import math

import pytest
import torch

from videogan.metrics.change import appearance_distance, flow_distance, normal_interval


def clips(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def test_a_clip_has_no_distance_to_itself():
    frames, flow = clips(3, 8, 6, 6, 3), torch.randn(3, 7, 2, 6, 6)
    assert appearance_distance(frames, frames).tolist() == flow_distance(flow, flow).tolist() == [0, 0, 0]


def test_clips_brighter_by_ten_have_distance_ten_and_bytes_do_not_wrap_around():
    dark = clips(2, 8, 6, 6, 3) // 2
    assert appearance_distance(dark, dark + 10).tolist() == pytest.approx([10, 10])
    assert appearance_distance(dark + 10, dark).tolist() == pytest.approx([10, 10])


def test_appearance_distance_ignores_the_order_of_frames():
    frames = clips(2, 8, 6, 6, 3)
    assert appearance_distance(frames, frames.flip(1)).tolist() == pytest.approx([0, 0], abs=1e-9)


def test_flow_distance_is_the_mean_length_of_the_difference():
    flow = torch.randn(2, 7, 2, 6, 6)
    other = flow + torch.tensor([3.0, -4.0])[:, None, None]
    assert flow_distance(flow, other).tolist() == pytest.approx([5, 5], rel=1e-6)


def test_one_clip_is_compared_with_many():
    frames, flow = clips(4, 8, 6, 6, 3), torch.randn(4, 7, 2, 6, 6)
    assert appearance_distance(frames[:1], frames)[2] == appearance_distance(frames[:1], frames[2:3])[0]
    assert flow_distance(flow[:1], flow)[2] == flow_distance(flow[:1], flow[2:3])[0]


def test_the_interval_is_1_96_standard_errors_wide_and_needs_thirty_values():
    values = torch.tensor([0.0, 2.0] * 50, dtype=torch.float64)
    mean, low, high = normal_interval(values)
    margin = 1.96 * math.sqrt(100 / 99 / 100)
    assert (mean, low, high) == pytest.approx((1, 1 - margin, 1 + margin))
    assert normal_interval(torch.zeros(30)) == (0, 0, 0)
    with pytest.raises(ValueError, match="at least 30 values, got 29"):
        normal_interval(torch.zeros(29))
