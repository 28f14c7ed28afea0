"""Repeated frames in clips that freeze, stop halfway, loop, run backwards, are still under noise, or move slowly."""

import math
from types import SimpleNamespace

import pytest
import torch

from tests.repeating_clips import FROZEN, IN_ORDER, MADE, REAL, SIZE, T, discs
from videogan.metrics.frame_repeats import (
    Repeats,
    frame_errors,
    frame_repeats,
    nearest_earlier,
    repeat_threshold,
    ssim,
    still_share,
    t_dssim,
    t_psnr,
)
from videogan.metrics.motion_health import motion_health

MOST_PSNR = 10 * math.log10(255**2 * 12)
THRESHOLD = repeat_threshold(frame_errors(REAL))
ERRORS = {name: frame_errors(clips) for name, clips in MADE.items()}
LATE_FREEZE, THERE_AND_BACK = MADE["moves 8 frames, then stands"], MADE["8 frames forwards, 8 backwards"]


def row(freezing, looping, psnr, frozen_clips=0, looping_clips=0):
    """What is measured of clips: shares of frames, t-PSNR, and shares of clips by fixed lags."""
    return SimpleNamespace(
        freezing=freezing, looping=looping, psnr=psnr, frozen_clips=frozen_clips, looping_clips=looping_clips
    )


TABLE = {
    "other real clips": row(0.02, 0, 24.2),
    "frozen": row(1, 0, MOST_PSNR, frozen_clips=1),
    "loop of 4": row(0.02, 12 / 15, 52.0, looping_clips=1),
    "loop of 8": row(0.02, 8 / 15, 42.7, looping_clips=1),
    "moves 8 frames, then stands": row(8 / 15, 0, 42.7),
    # Its ninth frame is its eighth again.
    "8 frames forwards, 8 backwards": row(1 / 15 + 0.02, 7 / 15, 42.7),
    "frozen, noise of 4 levels": row(1, 0, 33.2),
    "frozen, noise of 1 level": row(1, 0, 44.9),
    "a quarter of the speed": row(1, 0, 34.9),
}


@pytest.mark.parametrize("made", MADE)
def test_the_share_of_repeated_frames_is_what_the_clips_were_made_with(made):
    expected, found = TABLE[made], frame_repeats(ERRORS[made], THRESHOLD)
    assert found.freezing == pytest.approx(expected.freezing, abs=0.03)
    assert found.looping == pytest.approx(expected.looping, abs=0.03)
    assert t_psnr(ERRORS[made]) == pytest.approx(expected.psnr, abs=0.1)


@pytest.mark.parametrize("made", MADE)
def test_a_fixed_lag_sees_only_clips_that_never_move_or_return_throughout(made):
    health = motion_health(MADE[made], REAL)
    assert (health.freezing, health.freezing_real) == (TABLE[made].frozen_clips, 0)
    assert (health.looping, health.looping_real) == (TABLE[made].looping_clips, 0)


@pytest.mark.parametrize(
    ("made", "lag", "share"),
    [
        ("a quarter of the speed", 1, 1),
        ("a quarter of the speed", 5, 0),
        ("moves 8 frames, then stands", 5, 4 / 11),
        ("frozen", 5, 1),
        ("frozen, noise of 4 levels", 5, 1),
    ],
)
def test_slow_motion_stops_repeating_at_a_longer_lag_and_a_still_never_does(made, lag, share):
    assert still_share(ERRORS[made], THRESHOLD, lag) == pytest.approx(share, abs=0.03)


def test_noise_does_not_make_a_still_return_to_older_frames():
    nearest = ERRORS["frozen, noise of 4 levels"].argmin(2)[:, 1:]
    assert (nearest < torch.arange(T - 1)).double().mean() > 0.5, "most frames are nearest to an older one"
    assert frame_repeats(ERRORS["frozen, noise of 4 levels"], THRESHOLD).looping == 0


def test_real_clips_repeat_as_rarely_as_the_threshold_says():
    assert frame_repeats(frame_errors(REAL), THRESHOLD).repeats <= 0.0125  # 1 %, between two of 720 frames


def test_errors_are_those_of_a_plain_search():
    clips = THERE_AND_BACK[:3]
    errors = frame_errors(clips)
    for clip, of_clip, least in zip(clips.double(), errors, nearest_earlier(errors), strict=True):
        for i in range(1, T):
            distances = (clip[i] - clip[:i]).square().flatten(1).mean(1)
            torch.testing.assert_close(of_clip[i, :i], distances, rtol=0, atol=1e-9)
            assert of_clip[i, i:].isinf().all()
            assert least[i - 1] == of_clip[i, :i].min()


def test_a_repeated_frame_has_the_psnr_of_rounding_and_no_structural_difference():
    assert t_psnr(ERRORS["frozen"]) == pytest.approx(MOST_PSNR)
    assert t_dssim(FROZEN[:2]) == pytest.approx(0, abs=1e-12)


def test_psnr_and_dssim_order_clips_by_how_much_they_repeat():
    order = ["other real clips", "moves 8 frames, then stands", "loop of 4", "frozen"]
    psnr, dssim = [t_psnr(ERRORS[made]) for made in order], [t_dssim(MADE[made][:4]) for made in order]
    assert psnr == sorted(psnr)
    assert dssim == sorted(dssim, reverse=True)


def test_one_repeat_in_n_frames_moves_the_mean_by_its_share():
    moving = nearest_earlier(frame_errors(discs(IN_ORDER, 1)))[:, :7]
    expected = (7 * (10 * torch.log10(255**2 / moving)).mean().item() + 8 * MOST_PSNR) / 15
    assert t_psnr(frame_errors(LATE_FREEZE)) == pytest.approx(expected, rel=1e-9)


def test_ssim_is_the_mean_over_windows_of_its_definition():
    x, y = REAL[0, :1].double(), REAL[1, :1].double()
    values = []
    for row in range(SIZE - 6):
        for column in range(SIZE - 6):
            for channel in range(3):
                a, b = (side[0, row : row + 7, column : column + 7, channel].flatten() for side in (x, y))
                covariance = torch.stack([a, b]).cov()  # divided by n - 1, as scikit-image does
                luminance = (2 * a.mean() * b.mean() + 2.55**2) / (a.mean() ** 2 + b.mean() ** 2 + 2.55**2)
                structure = (2 * covariance[0, 1] + 7.65**2) / (covariance[0, 0] + covariance[1, 1] + 7.65**2)
                values.append(luminance * structure)
    torch.testing.assert_close(ssim(REAL[0, :1], REAL[1, :1])[0], torch.stack(values).mean())


def test_ssim_is_one_for_equal_images_symmetric_and_lower_for_noise():
    noise = torch.randint(256, REAL[0].shape, generator=torch.Generator().manual_seed(3)).to(torch.uint8)
    torch.testing.assert_close(ssim(REAL[0], REAL[0]), torch.ones(T, dtype=torch.float64))
    torch.testing.assert_close(ssim(REAL[0], noise), ssim(noise, REAL[0]))
    assert ssim(REAL[0], noise).max() < 0.2


@pytest.mark.parametrize("clips", [REAL[:0], REAL[:, :1], REAL.float(), REAL[0]])
def test_clips_that_show_no_repeat_are_refused(clips):
    with pytest.raises(ValueError, match="repeats need uint8 clips"):
        frame_errors(clips)


def test_repeats_are_the_sum_of_both_kinds():
    assert Repeats(0.25, 0.5).repeats == 0.75
