"""DVD-GAN: its sizes to the parameter, statistics of each frame alone, sums over frames, and what it refuses."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, relu

from videogan.config import ConfigurationError, parse_config
from videogan.families.dvdgan import DVDGAN, DVDGANConfig, Group

TINY = {
    "resolution": 32,
    "n_classes": 3,
    "channels": 2,
    "dim_z": 8,
    "dim_embedding": 4,
    "n_frames": 4,
    "n_frames_image": 2,
}


def tiny(**settings: Any) -> DVDGAN:
    torch.manual_seed(0)
    return DVDGAN.build(DVDGANConfig(**{**TINY, **settings}))


def n_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


# a, resolution, K: G, D_S, D_T; counted independently of this code, from the sizes of the layers
COUNTS = {
    (8, 32, 10): (1_312_243, 594_145, 724_897),
    (8, 32, 101): (1_323_163, 605_793, 736_545),
    (8, 64, 10): (1_808_371, 601_137, 634_257),
    (8, 64, 101): (1_819_291, 612_785, 645_905),
    (8, 96, 10): (1_747_443, 602_777, 611_273),
    (8, 96, 101): (1_758_363, 614_425, 622_921),
    (8, 128, 10): (1_855_411, 602_777, 611_273),
    (8, 128, 101): (1_866_331, 614_425, 622_921),
    (128, 64, 10): (305_211_571, 153_203_457, 161_474_817),
    (128, 64, 101): (305_222_491, 153_389_825, 161_661_185),
    (96, 128, 10): (176_892_339, 86_450_209, 87_616_609),
}


@pytest.mark.parametrize(("channels", "resolution", "n_classes"), COUNTS)
def test_parameter_counts_are_exact(channels: int, resolution: int, n_classes: int):
    with torch.device("meta"):
        networks = DVDGAN.build(DVDGANConfig(channels=channels, resolution=resolution, n_classes=n_classes))
    got = tuple(n_parameters(network) for network in (networks.generator, *networks.discriminators.values()))
    assert got == COUNTS[channels, resolution, n_classes]


@pytest.mark.parametrize("resolution", [32, 64, 96, 128])
def test_every_size_is_generated_and_scored_at_every_pooling(resolution: int):
    for phi in (1, 2, 4) if resolution != 96 else (1, 2):
        networks = tiny(resolution=resolution, channels=1, phi=phi)
        rng = torch.Generator().manual_seed(0)
        draws = networks.draw(2, rng, torch.ones(3), torch.tensor([0, 1]))
        with torch.no_grad():
            videos = networks.generate(networks.generator, draws).videos
            assert videos.shape == (2, 4, 3, resolution, resolution)
            assert networks.realness(videos, draws["y"]).shape == (2,)


def test_in_training_a_frame_learns_nothing_of_later_frames():
    torch.manual_seed(0)
    group, maps, condition = Group(6, 2, DVDGANConfig(**TINY)), torch.randn(3, 4, 6, 5, 5), torch.randn(3, 12)
    changed = maps.clone()
    changed[:, 2] += 1
    with torch.no_grad():
        before, after = group(maps, condition), group(changed, condition)
    assert before.shape == (3, 4, 2, 10, 10)
    assert torch.equal(before[:, :2], after[:, :2])
    assert all(not torch.equal(before[:, t], after[:, t]) for t in (2, 3))


def judge(name: str) -> tuple[nn.Module, Tensor, Tensor]:
    """A discriminator in eval mode, 2 clips and their labels."""
    videos = torch.rand(2, 4, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return tiny().discriminators[name].eval(), videos, torch.tensor([2, 0])


@torch.no_grad()
def test_the_spatial_discriminator_sums_over_frames():
    spatial, videos, y = judge("spatial")
    bias = spatial.head.linear.bias
    first, others = spatial(videos[:, :1], y), spatial(videos[:, 1:], y)
    assert torch.allclose(spatial(videos, y) + bias, first + others, atol=1e-5)
    assert torch.allclose(spatial(videos.flip(1), y), spatial(videos, y), atol=1e-5)


@torch.no_grad()
def test_the_temporal_discriminator_sees_the_order_of_pooled_frames():
    temporal, videos, y = judge("temporal")
    assert not torch.allclose(temporal(videos.flip(1), y), temporal(videos, y))
    pooled = avg_pool2d(videos.flatten(0, 1), 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.allclose(temporal(pooled.unflatten(0, (2, 4)), y), temporal(videos, y), atol=1e-5)


def test_losses_are_hinges_of_each_discriminator_and_lambda_weighs_the_temporal_ones():
    networks, rng = tiny(lambda_temporal=0.5, norm="none"), torch.Generator().manual_seed(0)
    spatial, temporal = (network.eval() for network in networks.discriminators.values())
    networks.generator.eval()
    labels = torch.tensor([0, 1])
    real, draws = torch.rand(2, 4, 3, 32, 32, generator=rng), networks.draw(2, rng, torch.ones(3), labels)
    fakes, rows = networks.generate(networks.generator, draws), torch.arange(2)[:, None]
    on_real, on_fake = spatial(real[rows, draws["frames_real"]], labels), temporal(fakes.videos, draws["y"])
    d = networks.discriminator_losses(networks.discriminators, real, labels, fakes, draws)
    fake = spatial(fakes.videos[rows, draws["frames_fake"]], draws["y"])
    assert d["spatial"].item() == pytest.approx((relu(1 - on_real).mean() + relu(1 + fake).mean()).item(), rel=1e-5)
    hinge = relu(1 - temporal(real, labels)).mean() + relu(1 + on_fake).mean()
    assert d["temporal"].item() == pytest.approx(0.5 * hinge.item(), rel=1e-5)
    g = networks.generator_losses(networks.discriminators, fakes, draws)
    assert g["temporal"].item() == pytest.approx(-0.5 * on_fake.mean().item(), rel=1e-5)


def test_without_labels_every_clip_has_the_same_embedding():
    networks = tiny(conditional=False)
    assert networks.generator.embedding.weight.shape == (1, 4)
    assert networks.draw(50, torch.Generator().manual_seed(0), torch.ones(3), torch.zeros(50))["y"].unique().item() == 0
    _, videos, y = judge("spatial")
    with torch.no_grad():
        for network in networks.discriminators.values():
            network.eval()
        assert torch.equal(networks.realness(videos, y), networks.realness(videos, y.flip(0)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_frames_image": 5}, "n_frames_image (k) = 5 is more than the clip length T = 4."),
        ({"resolution": 96, "phi": 4}, "phi = 4 leaves D_T 24 px, which it cannot halve 5 times. Lower model.phi."),
        ({"resolution": 48}, "resolution"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str):
    with pytest.raises(ConfigurationError) as error:
        parse_config(DVDGANConfig, {**TINY, **settings})
    assert message in str(error.value)
