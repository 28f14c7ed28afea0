"""Repeated frames in clips that freeze, stop halfway, loop, run backwards, are still under noise, or move slowly."""

import math

import pytest
import torch
from torch import Tensor

from videogan.metrics.frame_repeats import (
    Repeats,
    frame_repeats,
    nearest_earlier,
    ssim,
    t_dssim,
    t_psnr,
)
from videogan.metrics.motion_health import motion_health

N, T, SIZE = 48, 16, 32
MOST_PSNR = 10 * math.log10(255**2 * 12)


def discs(times: Tensor, seed: int, n: int = N) -> Tensor:
    """A disc that crosses a still texture on a path of its own, at the `times` (T,): uint8 (n, T, SIZE, SIZE, 3)."""
    rng = torch.Generator().manual_seed(seed)
    texture = torch.randint(60, 120, (n, 1, SIZE, SIZE, 3), generator=rng).float()
    # It never leaves the frame, where a real clip would stand still.
    start = 2 + 6 * torch.rand(n, 2, generator=rng)
    angle, speed = torch.rand(n, generator=rng) * 0.5 * math.pi, 1 + 0.4 * torch.rand(n, generator=rng)
    step = torch.stack([angle.cos(), angle.sin()], 1) * speed[:, None]
    places = start[:, None] + times[None, :, None] * step[:, None]  # (n, T, 2)
    rows, columns = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    away = (rows - places[..., 0, None, None]).square() + (columns - places[..., 1, None, None]).square()
    mask = (4.5 - away.sqrt()).clamp(0, 1)[..., None]
    return (texture * (1 - mask) + 235 * mask).round().to(torch.uint8)


IN_ORDER = torch.arange(T).float()
REAL = discs(IN_ORDER, 0)
LATE_FREEZE = discs(IN_ORDER.clamp(max=7), 1)
THERE_AND_BACK = discs(torch.cat([IN_ORDER[:8], IN_ORDER[:8].flip(0)]), 1)
FROZEN = discs(torch.zeros(T), 1)
NOISY_STILL = (
    (FROZEN.float() + 4 * torch.randn(FROZEN.shape, generator=torch.Generator().manual_seed(2)))
    .round()
    .clamp(0, 255)
    .to(torch.uint8)
)


@pytest.mark.parametrize(
    ("clips", "freezing", "looping"),
    [
        pytest.param(discs(IN_ORDER, 1), 0, 0, id="real"),
        pytest.param(FROZEN, 1, 0, id="frozen"),
        pytest.param(discs(IN_ORDER % 4, 1), 0, 12 / 15, id="loop-of-4"),
        pytest.param(discs(IN_ORDER % 8, 1), 0, 8 / 15, id="loop-of-8"),
        pytest.param(LATE_FREEZE, 8 / 15, 0, id="moves-8-frames-then-stands"),
        # Its ninth frame is its eighth again; the others were seen earlier.
        pytest.param(THERE_AND_BACK, 1 / 15, 7 / 15, id="8-forwards-8-backwards"),
        pytest.param(discs(IN_ORDER / 4, 1), 1, 0, id="a-quarter-of-the-speed"),
    ],
)
def test_the_share_of_repeated_frames_is_what_the_clips_were_made_with(clips, freezing, looping):
    found = frame_repeats(clips, REAL)
    assert found.freezing == pytest.approx(freezing, abs=0.03)
    assert found.looping == pytest.approx(looping, abs=0.03)


def test_a_still_under_noise_repeats_everywhere_whichever_frame_is_nearest():
    assert frame_repeats(NOISY_STILL, REAL).repeats == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("clips", [LATE_FREEZE, THERE_AND_BACK, NOISY_STILL])
def test_a_fixed_lag_sees_none_of_what_the_nearest_earlier_frame_shows(clips):
    health = motion_health(clips, REAL)
    assert max(health.freezing, health.looping) < 0.1
    assert frame_repeats(clips, REAL).repeats > 0.5


def test_real_clips_repeat_as_rarely_as_the_threshold_says():
    assert frame_repeats(REAL, REAL).repeats <= 0.0125  # 1 %, between two of 720 frames


def test_the_nearest_earlier_frame_is_that_of_a_plain_search():
    errors, nearest = nearest_earlier(THERE_AND_BACK[:3])
    for clip, of_clip, at in zip(THERE_AND_BACK[:3].double(), errors, nearest, strict=True):
        for i in range(1, T):
            distances = (clip[i] - clip[:i]).square().flatten(1).mean(1)
            assert of_clip[i - 1] == pytest.approx(distances.min().item(), abs=1e-9)
            assert distances[at[i - 1]] == pytest.approx(distances.min().item(), abs=1e-9)


def test_a_repeated_frame_has_the_psnr_of_rounding_and_no_structural_difference():
    assert t_psnr(FROZEN) == pytest.approx(MOST_PSNR)
    assert t_dssim(FROZEN[:2]) == pytest.approx(0, abs=1e-12)


def test_psnr_and_dssim_order_clips_by_how_much_they_repeat():
    clips = [discs(IN_ORDER, 1), LATE_FREEZE, discs(IN_ORDER % 4, 1), FROZEN]
    psnr, dssim = [t_psnr(some) for some in clips], [t_dssim(some[:4]) for some in clips]
    assert psnr == sorted(psnr)
    assert dssim == sorted(dssim, reverse=True)


def test_one_repeat_in_n_frames_moves_the_mean_by_its_share():
    real = discs(IN_ORDER, 1)
    moving = nearest_earlier(real)[0].clamp(min=1 / 12)[:, :7]
    expected = (7 * (10 * torch.log10(255**2 / moving)).mean().item() + 8 * MOST_PSNR) / 15
    assert t_psnr(LATE_FREEZE) == pytest.approx(expected, rel=1e-9)


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
        nearest_earlier(clips)


def test_clips_of_two_sizes_are_refused():
    with pytest.raises(ValueError, match="need one size"):
        frame_repeats(REAL[:, :8], REAL)


def test_repeats_are_the_sum_of_both_kinds():
    assert Repeats(0.25, 0.5).repeats == 0.75
