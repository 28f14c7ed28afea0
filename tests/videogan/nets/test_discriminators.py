"""Discriminators score each frame or clip by its label, in fp32, and refuse clips that are too short."""

import pytest
import torch
from torch import nn

from videogan.nets.conv3d import Conv3d
from videogan.nets.image_discriminator import ImageDiscriminator
from videogan.nets.projection_head import ProjectionHead
from videogan.nets.video_discriminator import N_FRAMES_MIN, VideoDiscriminator


def test_the_head_is_linear_plus_projection_of_the_pooled_features():
    torch.manual_seed(0)
    head, x, y = ProjectionHead(5, 3), torch.randn(4, 5, 2, 3, 3), torch.tensor([0, 2, 1, 2])
    pooled = x.sum((2, 3, 4))
    expected = (pooled * (head.linear.weight + head.embedding(y))).sum(1) + head.linear.bias
    assert torch.allclose(head(x, y), expected, atol=1e-5)


def test_logits_are_fp32_under_bf16_autocast():
    head = ProjectionHead(512, 2)
    with torch.autocast("cpu", torch.bfloat16):
        assert head(torch.randn(2, 512, 2, 2).bfloat16(), torch.tensor([0, 1])).dtype == torch.float32


def test_frames_of_one_video_are_scored_one_by_one_under_its_label():
    torch.manual_seed(0)
    net = ImageDiscriminator(2, 3, attention_after=2)
    frames, y = torch.randn(2, 3, 3, 32, 32), torch.tensor([1, 2])
    logits = net(frames, y)
    one_by_one = [net(frames[b : b + 1, n : n + 1], y[b : b + 1]) for b in range(2) for n in range(3)]
    assert logits.shape == (6,)
    assert torch.allclose(logits, torch.cat(one_by_one), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("ladder", "n_frames", "n_steps"), [("released", 16, 1), ("released", 32, 2), ("mocogan", 16, 4)]
)
def test_time_steps_left_by_the_ladder(ladder: str, n_frames: int, n_steps: int):
    net = VideoDiscriminator(1, 2, ladder)
    assert net.layers(torch.zeros(1, 3, n_frames, 32, 32)).shape == (1, 8, n_steps, 2, 2)


@pytest.mark.parametrize("ladder", ["released", "mocogan"])
def test_the_shortest_clip_is_scored_and_a_shorter_one_is_not(ladder: str):
    net, t = VideoDiscriminator(1, 2, ladder), N_FRAMES_MIN[ladder]
    assert net(torch.zeros(2, t, 3, 32, 32), torch.tensor([0, 1])).shape == (2,)
    with pytest.raises(RuntimeError):
        net(torch.zeros(2, t - 1, 3, 32, 32), torch.tensor([0, 1]))


def test_only_layers_two_to_four_have_batch_norm():
    kinds = [type(layer) for layer in VideoDiscriminator(1, 2).layers]
    assert kinds == [Conv3d, nn.LeakyReLU, *[Conv3d, nn.BatchNorm3d, nn.LeakyReLU] * 3]
    assert not any(isinstance(layer, nn.BatchNorm3d) for layer in VideoDiscriminator(1, 2, norm="none").layers)


def test_the_order_of_frames_matters_to_the_video_discriminator():
    torch.manual_seed(0)
    net, video, y = VideoDiscriminator(2, 2, norm="none"), torch.randn(1, 16, 3, 32, 32), torch.tensor([0])
    assert not torch.allclose(net(video, y), net(video.flip(1), y))
