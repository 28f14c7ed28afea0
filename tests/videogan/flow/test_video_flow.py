"""A video's flow is that of its pairs, with half the feature extractions; stride selects pairs, size resizes frames."""

import pytest
import torch
from torch import Tensor

from videogan.flow.lucas_kanade import LucasKanade
from videogan.flow.pwc_net import PWCNet
from videogan.flow.video_flow import video_flow


def videos(size: int = 64, n_frames: int = 5) -> Tensor:
    return torch.rand(2, n_frames, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1


def estimator(name: str) -> torch.nn.Module:
    if name == "lucas_kanade":
        return LucasKanade()
    torch.manual_seed(0)
    network = PWCNet(0.1).eval()
    for parameter in network.parameters():
        if parameter.dim() == 4 and not parameter.any():  # last layers begin as zeros
            torch.nn.init.kaiming_normal_(parameter)
    return network


def pair_by_pair(flow: torch.nn.Module, clips: Tensor) -> Tensor:
    return torch.stack([flow(clips[:, t], clips[:, t + 1]) for t in range(clips.shape[1] - 1)], dim=1)


@pytest.mark.parametrize("name", ["lucas_kanade", "pwc_net"])
@torch.no_grad()
def test_sharing_the_middle_frames_features_changes_no_flow(name: str):
    flow, clips = estimator(name).double(), videos().double()
    shared = video_flow(flow, clips)
    assert shared.shape == (2, 4, 2, 64, 64)
    assert shared.abs().mean() > 0.01
    assert torch.allclose(shared, pair_by_pair(flow, clips), atol=1e-9)


@torch.no_grad()
def test_a_video_of_t_frames_needs_t_extractions_instead_of_twice_t_minus_1():
    flow, clips = estimator("pwc_net"), videos()
    counts: list[int] = []
    flow.netExtractor.register_forward_hook(lambda module, args, output: counts.append(len(args[0])))
    video_flow(flow, clips)
    assert sum(counts) == 2 * 5
    counts.clear()
    pair_by_pair(flow, clips)
    assert sum(counts) == 2 * 8


@pytest.mark.parametrize(("stride", "starts"), [(2, [0, 2]), (3, [0, 3]), (4, [0])])
@torch.no_grad()
def test_a_stride_keeps_every_kth_pair(stride: int, starts: list[int]):
    flow, clips = estimator("lucas_kanade"), videos(32)
    assert torch.allclose(video_flow(flow, clips, stride=stride), video_flow(flow, clips)[:, starts], atol=1e-5)


@torch.no_grad()
def test_a_size_is_that_of_the_flow_and_counts_its_pixels():
    clips = videos(16, n_frames=2)
    small = torch.nn.functional.interpolate(clips[:, 0], (64, 64), mode="bicubic", align_corners=False)
    moved = torch.stack([small, small.roll(4, dims=-1)], dim=1)
    full = video_flow(LucasKanade(), moved)
    half = video_flow(LucasKanade(), moved, size=32)
    assert half.shape == (2, 1, 2, 32, 32)
    middle = slice(12, 20)
    assert full[..., 0, 24:40, 24:40].mean().item() == pytest.approx(4, abs=0.3)
    assert half[..., 0, middle, middle].mean().item() == pytest.approx(2, abs=0.3)


@pytest.mark.parametrize("name", ["lucas_kanade", "pwc_net"])
def test_gradients_of_a_frozen_estimator_flow_into_the_videos_only(name: str):
    flow, clips = estimator(name).requires_grad_(False), videos(32, 3).requires_grad_()
    video_flow(flow, clips).square().mean().backward()
    assert clips.grad.isfinite().all()
    assert all(clips.grad[:, t].any() for t in range(3))
    assert all(parameter.grad is None for parameter in flow.parameters())


def test_one_frame_has_no_flow():
    with pytest.raises(ValueError, match="at least 2 frames"):
        video_flow(LucasKanade(), videos(32, 1))
