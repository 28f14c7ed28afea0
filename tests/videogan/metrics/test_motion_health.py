"""Freezing, looping and frame order on clips constructed to freeze, loop, move on and flicker."""

import math

import pytest
import torch

from videogan.metrics.motion_health import (
    MotionHealth,
    flow_magnitude,
    flow_ratio,
    freezing_rate,
    looping_rate,
    motion,
    motion_health,
    repeat_single_frame,
    shuffle_frames,
    typical_motion,
)

T, SIZE = 16, 24


def square_at(lefts):
    """A clip (1, T, SIZE, SIZE, 3) of a white square of 6 pixels whose left edge is at `lefts`, one per frame."""
    clip = torch.zeros(len(lefts), SIZE, SIZE, 3, dtype=torch.uint8)
    for frame, left in zip(clip, lefts, strict=True):
        frame[9:15, left : left + 6] = 255
    return clip.unsqueeze(0)


def noise(n, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(256, (n, T, SIZE, SIZE, 3), dtype=torch.uint8, generator=generator)


FROZEN = square_at([5] * T)
TRANSLATING = square_at(range(1, T + 1))
PERIODIC = square_at([4 + t % 4 for t in range(T)])
TO_AND_FRO = square_at([5 + abs(t % 6 - 3) for t in range(T)])
BETWEEN_FRAMES = square_at([round(8 + 7 * math.sin(2 * math.pi * t / 7.5)) for t in range(T)])  # a period of 7.5 frames
TYPICAL = typical_motion(TRANSLATING)


def test_motion_is_the_mean_absolute_difference_of_adjacent_frames():
    # Two columns of 6 pixels change by 255 in each step.
    assert motion(TRANSLATING).item() == pytest.approx(255 * 12 / SIZE**2)
    assert motion(torch.cat([FROZEN, TRANSLATING])).tolist() == [0, motion(TRANSLATING).item()]


def test_motion_is_the_mean_change_and_does_not_wrap_around_as_bytes_do():
    clips = noise(5)
    torch.testing.assert_close(motion(clips), clips.double().diff(dim=1).abs().flatten(1).mean(1))


@pytest.mark.parametrize(
    ("clip", "freezes", "loops"),
    [
        (FROZEN, True, False),
        (TRANSLATING, False, False),
        (PERIODIC, False, True),
        (TO_AND_FRO, False, True),
        (BETWEEN_FRAMES, False, True),
        (noise(1), False, False),
    ],
    ids=["frozen", "translating", "periodic", "to and fro", "a period between two frames", "noise"],
)
def test_constructed_clips_are_classified_correctly(clip, freezes, loops):
    assert freezing_rate(clip, TYPICAL) == freezes
    assert looping_rate(clip, TYPICAL) == loops


def test_flicker_of_less_than_a_tenth_of_real_motion_is_still_frozen_and_no_loop():
    clip = FROZEN.clone()
    clip[:, ::2, :, 0] = 1
    assert 0 < motion(clip).item() < 0.1 * TYPICAL
    assert freezing_rate(clip, TYPICAL) == 1
    assert looping_rate(clip, TYPICAL) == 0


def test_looping_is_seen_behind_the_noise_of_a_camera():
    grain = noise(1, seed=1).short() // 64 - 2
    clip = (PERIODIC.short() + grain).clamp(0, 255).to(torch.uint8)
    assert looping_rate(clip, TYPICAL) == 1


def test_rates_are_shares_of_fakes_and_of_real_clips():
    real = torch.cat([TRANSLATING, TRANSLATING.flip(1), TRANSLATING, PERIODIC])
    fakes = torch.cat([FROZEN, FROZEN, PERIODIC, TRANSLATING, noise(1)])
    assert motion_health(fakes, real) == MotionHealth(freezing=0.4, freezing_real=0, looping=0.2, looping_real=0.25)


def test_real_clips_that_do_not_move_leave_both_rates_undefined():
    assert all(map(math.isnan, motion_health(PERIODIC, FROZEN)))


def constant_flow(*vectors):
    """Flow (n, 3, 2, 4, 5) of clips all of whose pixels move by one vector."""
    return torch.tensor(vectors, dtype=torch.float32)[:, None, :, None, None].expand(-1, 3, -1, 4, 5)


def test_flow_magnitude_is_the_mean_length_of_a_clips_flow():
    assert flow_magnitude(constant_flow((3, -4), (0, 0))).tolist() == [5, 0]
    half = constant_flow((0, 2)).clone()
    half[..., :2, :] = 0
    assert flow_magnitude(half).item() == 1


def test_flow_ratio_is_one_of_real_clips_zero_of_stills_and_the_speed_between():
    real = flow_magnitude(constant_flow((1, 0), (0, 2), (3, 0)))
    assert flow_ratio(real, real) == 1
    assert flow_ratio(real / 4, real) == 0.25
    assert flow_ratio(torch.tensor([0.0, 0.0, 9.0], dtype=torch.float64), real) == 0, (
        "one moving clip can't hide that most are still"
    )
    assert math.isnan(flow_ratio(real, torch.zeros(3, dtype=torch.float64)))


def test_flow_of_other_shapes_and_of_no_clips_is_refused():
    for shape in ((2, 3, 4, 5), (2, 15, 3, 4, 5), (0, 15, 2, 4, 5), (2, 0, 2, 4, 5)):
        with pytest.raises(ValueError, match="flow must be"):
            flow_magnitude(torch.zeros(shape))


def test_other_sizes_short_clips_and_no_clips_are_refused():
    with pytest.raises(ValueError, match="must have the same size"):
        motion_health(PERIODIC[:, :8], TRANSLATING)
    with pytest.raises(ValueError, match="T >= 4"):
        motion(PERIODIC[:, :3])
    with pytest.raises(ValueError, match="n >= 1"):
        motion(PERIODIC[:0])
    with pytest.raises(ValueError, match=r"torch\.float32"):
        motion(PERIODIC.float())


def test_shuffled_clips_have_the_same_frames_in_another_order_each_its_own():
    clips = torch.arange(T, dtype=torch.uint8).view(1, T, 1, 1, 1).expand(30, T, 2, 2, 3)
    orders = shuffle_frames(clips, seed=0)[:, :, 0, 0, 0]
    assert orders.sort(1).values.equal(clips[:, :, 0, 0, 0])
    assert len({tuple(order) for order in orders.tolist()}) == 30
    assert shuffle_frames(clips, seed=0)[:, :, 0, 0, 0].equal(orders)
    assert not shuffle_frames(clips, seed=1)[:, :, 0, 0, 0].equal(orders)


def test_two_frames_are_always_swapped_and_one_is_refused():
    clips = torch.arange(2, dtype=torch.uint8).view(1, 2, 1, 1, 1).expand(50, 2, 1, 1, 3)
    assert shuffle_frames(clips, seed=0).equal(clips.flip(1))
    with pytest.raises(ValueError, match="at least 2 frames, got 1"):
        shuffle_frames(clips[:, :1], seed=0)


def test_a_shuffled_translation_does_not_loop_but_moves_more():
    assert motion(shuffle_frames(TRANSLATING, seed=0)) > 2 * motion(TRANSLATING)
    assert looping_rate(shuffle_frames(TRANSLATING, seed=0), TYPICAL) == 0


def test_a_repeated_frame_is_one_of_the_clips_own_and_freezes_it():
    clips = noise(20)
    still = repeat_single_frame(clips, seed=0)
    assert (still == still[:, :1]).all()
    shown = (still[:, :1] == clips).flatten(2).all(2).long()
    assert shown.sum(1).tolist() == [1] * 20
    assert len(shown.argmax(1).unique()) > 5
    assert freezing_rate(still, TYPICAL) == 1
    assert repeat_single_frame(clips, seed=0).equal(still)
