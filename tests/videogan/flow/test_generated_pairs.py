"""Generated pairs are deterministic, and their flow is exactly what leads from the first frame to the second."""

import pytest
import torch

from videogan.flow.generated_pairs import PairSettings, generated_pairs
from videogan.flow.warping import warp

SMOOTH = PairSettings(n_shapes=0, still_background=0.0, max_motion=4.0)


def test_a_pair_is_a_function_of_seed_split_and_index():
    whole = generated_pairs(range(4), 5, PairSettings())
    again = generated_pairs([2], 5, PairSettings())
    for ours, theirs in zip(whole, again, strict=True):
        assert torch.equal(ours[2:3], theirs)
    others = [generated_pairs([2], 6, PairSettings()), generated_pairs([2], 5, PairSettings(), "held_out")]
    assert all(not torch.equal(other.first, again.first) for other in others)


def test_shapes_and_ranges():
    pairs = generated_pairs(range(5), 0, PairSettings(size=48))
    assert pairs.first.shape == pairs.second.shape == (5, 3, 48, 48)
    assert pairs.flow.shape == (5, 2, 48, 48)
    assert {x.dtype for x in pairs} == {torch.float32}
    assert pairs.first.abs().max() <= 1
    assert pairs.first.std() > 0.2


def test_the_second_frame_seen_through_the_flow_is_the_first():
    pairs = generated_pairs(range(8), 0, SMOOTH)
    warped, inside = warp(pairs.second, pairs.flow)
    difference = ((warped - pairs.first) * inside).abs()
    assert difference.mean() < 0.02  # what bilinear warping loses
    unmoved = ((pairs.second - pairs.first) * inside).abs().mean()
    assert difference.mean() < 0.15 * unmoved


def test_the_flow_of_several_layers_is_exact_except_at_hidden_pixels():
    pairs = generated_pairs(range(16), 0, PairSettings(max_motion=4.0))
    warped, inside = warp(pairs.second, pairs.flow)
    fits = ((warped - pairs.first).abs().amax(1, keepdim=True) < 0.15) | ~inside
    assert fits.float().mean() > 0.9


def test_without_motion_the_frames_are_equal_and_the_flow_is_zero():
    still = PairSettings(max_motion=1e-9, max_rotation=0.0, max_stretch=0.0)
    pairs = generated_pairs(range(3), 1, still)
    assert (pairs.first - pairs.second).abs().max() < 1e-6
    assert pairs.flow.abs().max() < 1e-6


def test_some_backgrounds_are_static_and_no_translation_exceeds_the_maximum():
    settings = PairSettings(n_shapes=0, max_rotation=0.0, max_stretch=0.0, max_motion=3.0)
    lengths = generated_pairs(range(60), 0, settings).flow.norm(dim=1).flatten(1)
    assert torch.allclose(lengths.amax(1), lengths.amin(1), atol=1e-4)  # one translation a pair
    assert lengths.max() <= 3
    assert lengths.max() > 2.5
    assert (lengths[:, 0] == 0).float().mean().item() == pytest.approx(0.25, abs=0.15)
