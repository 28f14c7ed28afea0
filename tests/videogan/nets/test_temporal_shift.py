"""Temporal shift moves the right channels the right way, within one clip, and back again in its gradient."""

import pytest
import torch

from videogan.nets.temporal_shift import temporal_shift


def clips(b: int = 2, t: int = 5, c: int = 16) -> torch.Tensor:
    return torch.randn(b, t, c, 3, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("fold_div", [2, 3, 8, 16])
def test_the_first_fold_comes_from_the_future_and_the_second_from_the_past(fold_div: int):
    x = clips()
    fold, out = 16 // fold_div, temporal_shift(x, fold_div)
    assert torch.equal(out[:, :-1, :fold], x[:, 1:, :fold])
    assert torch.equal(out[:, 1:, fold : 2 * fold], x[:, :-1, fold : 2 * fold])
    assert torch.equal(out[:, :, 2 * fold :], x[:, :, 2 * fold :])


def test_frames_beyond_the_clip_are_zero():
    out = temporal_shift(clips(), 8)
    assert (out[:, -1, :2] == 0).all()
    assert (out[:, 0, 2:4] == 0).all()


def test_one_direction_looks_only_back():
    x = clips()
    out = temporal_shift(x, 4, "uni")
    assert torch.equal(out[:, 1:, :4], x[:, :-1, :4])
    assert (out[:, 0, :4] == 0).all()
    assert torch.equal(out[:, :, 4:], x[:, :, 4:])


def test_videos_of_a_batch_never_mix():
    x = clips()
    both = temporal_shift(x, 4)
    assert torch.equal(both[1:], temporal_shift(x[1:], 4))


def test_a_clip_of_one_frame_loses_its_shifted_channels():
    out = temporal_shift(clips(t=1), 4)
    assert (out[:, :, :8] == 0).all()


def test_the_gradient_is_the_shift_back():
    x = clips().requires_grad_()
    grad = torch.randn(x.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    temporal_shift(x, 8).backward(grad)
    swapped = torch.cat([grad[:, :, 2:4], grad[:, :, :2], grad[:, :, 4:]], dim=2)
    back = temporal_shift(swapped, 8)
    assert torch.equal(x.grad, torch.cat([back[:, :, 2:4], back[:, :, :2], back[:, :, 4:]], dim=2))


def test_the_input_and_the_memory_layout_do_not_change():
    frames = clips().flatten(0, 1).contiguous(memory_format=torch.channels_last)
    before = frames.clone()
    out = temporal_shift(frames.unflatten(0, (2, 5)), 8)
    assert torch.equal(frames, before)
    assert out.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("fold_div", "direction"), [(1, "bi"), (0, "bi"), (0, "uni")])
def test_folds_that_do_not_fit_are_refused(fold_div: int, direction: str):
    with pytest.raises(ValueError, match="fold_div must be at least"):
        temporal_shift(clips(), fold_div, direction)
