"""What a look says of clips that freeze, stop halfway, loop, run backwards, are noisy stills, pale, or slow."""

import math

import pytest
import torch
from torch import Tensor

from tests.repeating_clips import FROZEN, IN_ORDER, MADE, REAL, N, T, discs, under_noise
from videogan.flow.speed import flow_speeds
from videogan.metrics.frame_repeats import frame_errors
from videogan.training import motion_check
from videogan.training.health import Course, SampleCheck, State, Vitals, states
from videogan.training.motion_check import MotionCheck

LABELS = torch.arange(N) % 3


def features_of(frames: Tensor) -> Tensor:
    """(n, d): the pixels of every fourth frame, row and column."""
    return frames[:, ::4, ::4, ::4].float().flatten(1)


CHECK = SampleCheck(REAL, features_of(REAL), LABELS, n_classes=3)


def seen(frames: Tensor) -> tuple[dict[str, float], dict[State, str]]:
    """The vitals and the states of a look at samples, as a trial computes them."""
    vitals = Course({"video": 2.0}).vitals(CHECK(frames, features_of(frames)))
    return vitals.measured(), states(vitals)


@pytest.mark.parametrize(
    ("made", "state"),
    [
        ("other real clips", None),
        ("frozen", "frozen"),
        ("loop of 4", "looping"),
        ("loop of 8", "looping"),
        ("moves 8 frames, then stands", "frozen"),
        ("8 frames forwards, 8 backwards", "looping"),
        ("frozen, noise of 4 levels", "frozen"),
        ("frozen, noise of 1 level", "frozen"),
        ("a quarter of the speed", "slow motion"),
    ],
)
def test_each_kind_of_repeat_is_one_state(made: str, state: State | None):
    _, found = seen(MADE[made])
    assert set(found) == ({state} if state else set())


def test_the_evidence_says_what_repeats_and_how_fast_the_samples_are():
    assert seen(MADE["moves 8 frames, then stands"])[1]["frozen"] == (
        "55 % of the samples' frames repeat the frame before, 1 % of real ones"
    )
    assert (
        "of the samples' frames repeat an older frame, 0 % of real ones"
        in (seen(MADE["8 frames forwards, 8 backwards"])[1]["looping"])
    )
    vitals, found = seen(MADE["a quarter of the speed"])
    assert vitals["flow_ratio"] == pytest.approx(0.22, abs=0.05)
    assert found["slow motion"] == (
        f"samples move {vitals['flow_ratio']:.2f} times as fast as real clips (optical flow)"
    )


@pytest.mark.parametrize("speed", [0.25, 0.5, 0.75])
@pytest.mark.parametrize("levels", [0, 1])
def test_slow_motion_is_seen_at_several_speeds_and_behind_a_little_noise(speed: float, levels: int):
    assert set(seen(under_noise(discs(speed * IN_ORDER, 1), levels))[1]) == {"slow motion"}


@pytest.mark.parametrize(("last", "speed"), [(2, 1), (4, 1), (8, 1), (11, 1), (4, 0.5), (8, 0.5)])
def test_clips_that_stop_are_frozen_whenever_they_stop_and_if_they_were_slow_before(last: int, speed: float):
    assert set(seen(discs(speed * IN_ORDER.clamp(max=last), 1))[1]) == {"frozen"}


def test_stills_among_moving_clips_are_not_excused_by_the_speed_of_the_others():
    frozen = (torch.arange(N) % 5 < 2)[:, None, None, None, None]
    vitals, found = seen(torch.where(frozen, FROZEN, discs(IN_ORDER, 1)))
    assert vitals["still_frames"] == pytest.approx(0.4 + 0.6 * 0.02, abs=0.03)
    assert set(found) == {"frozen"}


def test_pale_clips_that_move_like_real_ones_are_not_frozen_and_pale_stills_are():
    def pale(clips: Tensor) -> Tensor:
        return (128 + (clips.float() - 128) / 2).round().to(torch.uint8)

    assert seen(pale(discs(IN_ORDER, 1)))[0]["still_frames"] < 0.1
    assert "frozen" in seen(pale(FROZEN))[1]
    assert "frozen" in seen(torch.full_like(FROZEN, 128))[1], "one grey has no contrast"


def test_slow_motion_is_no_freeze_where_real_clips_differ_so_much_that_some_hardly_move():
    """Films: some people wave, others run, so a quarter of a slow clip's motion is little beside the median's."""
    share = torch.linspace(0.05, 1.2, N) ** 2

    def films(speed: float, seed: int) -> Tensor:
        return torch.cat([discs(speed * of_clip * IN_ORDER, seed, n=N)[i : i + 1] for i, of_clip in enumerate(share)])

    real = films(1, 0)
    check = SampleCheck(real, features_of(real), LABELS, n_classes=3)
    samples = films(0.25, 1)
    vitals = check(samples, features_of(samples))
    assert vitals["freezing"] > 0.25, "which counts as frozen without the flow"
    assert set(states(Vitals(**vitals))) == {"slow motion"}


def test_samples_that_move_at_less_than_half_the_speed_are_slow_though_no_frame_repeats():
    moving = {"freezing": 0.0, "freezing_real": 0.0, "still_frames": 0.0, "still_frames_real": 0.0}
    assert set(states(Vitals(**moving, flow_ratio=0.49))) == {"slow motion"}
    assert states(Vitals(**moving, flow_ratio=0.51)) == {}
    evidence = {"frozen": "samples move 0.09 times as fast as real clips (optical flow)"}
    assert states(Vitals(**moving, flow_ratio=0.09)) == evidence


def test_slow_motion_is_unknown_where_a_clip_is_too_short_to_show_it():
    vitals, found = seen(discs(IN_ORDER / T, 1))
    assert not {"still_frames_at_pace", "freezing_at_pace"} & set(vitals)
    assert set(found) == {"frozen"}


def test_real_clips_that_stand_still_leave_the_speed_unknown():
    vitals = MotionCheck(FROZEN)(REAL)
    assert math.isnan(vitals["flow_ratio"])
    assert math.isnan(vitals["still_frames_at_pace"])
    assert math.isnan(vitals["freezing_at_pace"])
    assert vitals["still_frames_real"] == 1


def test_a_look_compares_64_clips_and_the_flow_of_16_however_many_it_gets(monkeypatch):
    compared, flowed = [], []

    def counting(measure, counts):
        return lambda frames, *args, **settings: (counts.append(len(frames)), measure(frames, *args, **settings))[1]

    monkeypatch.setattr(motion_check, "frame_errors", counting(frame_errors, compared))
    monkeypatch.setattr(motion_check, "flow_speeds", counting(flow_speeds, flowed))
    some, many = (discs(IN_ORDER[:4], seed, n=n) for seed, n in ((0, 20), (1, 300)))
    MotionCheck(many)(many)
    MotionCheck(some)(some)
    assert compared == [64, 64, 20, 20]
    assert flowed == [16, 16, 16, 16]


def test_the_compared_clips_are_spread_over_all_samples():
    clips = torch.cat([discs(IN_ORDER, 1, n=64), discs(torch.zeros(T), 1, n=64)])
    vitals = MotionCheck(discs(IN_ORDER, 0, n=128))(clips)
    assert vitals["freezing"] == 0.5
    assert vitals["still_frames"] == pytest.approx(0.5, abs=0.03)


def test_samples_of_another_size_than_the_real_clips_are_refused():
    with pytest.raises(ValueError, match=r"need one size \(T, H, W, C\), got \(8, 32, 32, 3\) and \(16, 32, 32, 3\)"):
        MotionCheck(REAL)(REAL[:, :8])


def test_frames_that_repeat_at_the_speed_of_real_clips_are_frozen_not_slow():
    repeating = {"freezing": 0.0, "freezing_real": 0.0, "still_frames": 0.6, "still_frames_real": 0.0,
                 "freezing_at_pace": 0.0, "still_frames_at_pace": 0.0}  # fmt: skip
    assert set(states(Vitals(**repeating, flow_ratio=0.75))) == {"slow motion"}
    assert set(states(Vitals(**repeating, flow_ratio=0.95))) == {"frozen"}
