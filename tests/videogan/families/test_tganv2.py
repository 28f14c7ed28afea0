"""TGANv2: its sizes to the parameter, what its levels see, its gradient penalty, its initial weights."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool3d, softplus

from videogan.config import ConfigurationError, parse_config
from videogan.families.tganv2 import TGANv2, TGANv2Config, levels_of
from videogan.nets.conditional_norm import ConditionalNorm
from videogan.sampling.sampling import sampling_copy

TINY = {"resolution": 32, "n_classes": 3, "width": 1 / 32, "dim_z": 8}


def tiny(**settings: Any) -> TGANv2:
    torch.manual_seed(0)
    return TGANv2.build(TGANv2Config(**{**TINY, **settings}))


def n_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


# resolution, width, K (0: without labels): G, all discriminators; counted independently, from the sizes of the layers
COUNTS = {
    (32, 1, 0): (6_404_425, 87_057_795),
    (64, 1, 0): (6_425_036, 116_077_060),
    (64, 1, 101): (7_037_132, 116_490_756),
    (96, 1, 0): (22_616_268, 116_077_060),
    (128, 1, 10): (23_650_956, 116_118_020),
    (192, 1, 0): (88_032_460, 116_077_060),
    (192, 1, 101): (89_622_476, 116_490_756),
    (32, 1, 10): (6_461_513, 87_088_515),
    (96, 1, 101): (23_433_676, 116_490_756),
    (32, 1 / 8, 0): (216_257, 1_364_019),
    (64, 1 / 8, 0): (216_708, 1_818_692),
    (96, 1 / 8, 0): (484_452, 1_818_692),
    (128, 1 / 8, 0): (599_588, 1_818_692),
}


@pytest.mark.parametrize(("resolution", "width", "n_classes"), COUNTS)
def test_parameter_counts_are_exact(resolution: int, width: float, n_classes: int):
    labels = {"n_classes": n_classes, "conditional": True} if n_classes else {"n_classes": 3}
    with torch.device("meta"):
        networks = TGANv2.build(TGANv2Config(resolution=resolution, width=width, **labels))
    got = n_parameters(networks.generator), sum(map(n_parameters, networks.discriminators.values()))
    assert got == COUNTS[resolution, width, n_classes]


@pytest.mark.parametrize(
    ("resolution", "sides"), [(32, [8, 16, 32]), (96, [12, 24, 48, 96]), (256, [32, 64, 128, 256])]
)
def test_levels_double_the_side_and_see_half_the_frames(resolution: int, sides: list[int]):
    with torch.device("meta"):
        generator = TGANv2.build(TGANv2Config(**{**TINY, "resolution": resolution})).generator
        phases = torch.zeros(2, len(sides) - 1, dtype=torch.int64)
        levels = generator(torch.empty(2, 8), phases=phases)
    assert [level.shape for level in levels] == [
        (2, n_frames, 3, side, side) for n_frames, side in zip((16, 8, 4, 2), sides, strict=False)
    ]


def test_levels_keep_frames_by_the_phases_of_each_clip():
    frames = torch.arange(16.0)[None, :, None, None, None].expand(2, 16, 3, 8, 8)
    levels = levels_of(frames, torch.tensor([[0, 0, 0], [1, 0, 1]]))
    seen = [level[:, :, 0, 0, 0].long().tolist() for level in levels]
    assert [clip[0] for clip in seen] == [list(range(16)), list(range(0, 16, 2)), [0, 4, 8, 12], [0, 8]]
    assert [clip[1] for clip in seen] == [list(range(16)), list(range(1, 16, 2)), [1, 5, 9, 13], [5, 13]]


def test_levels_of_real_clips_are_averaged_down():
    videos = torch.rand(2, 8, 3, 32, 32)
    smallest, *_, largest = levels_of(videos, torch.zeros(2, 2, dtype=torch.int64))
    assert torch.allclose(smallest, avg_pool3d(videos.transpose(1, 2), (1, 4, 4)).transpose(1, 2))
    assert torch.equal(largest, videos[:, ::4])


@torch.no_grad()
def test_a_generators_last_level_has_those_frames_of_the_whole_clip_that_the_phases_keep():
    networks = tiny(norm="none")
    generator, z = networks.generator, networks.generator.sample_z(3, torch.Generator().manual_seed(0))
    phases = torch.tensor([[0, 0], [0, 1], [1, 1]])
    whole, last = generator(z), generator(z, phases=phases)[-1]
    for clip, first in enumerate((0, 2, 3)):
        assert torch.allclose(last[clip], whole[clip, first::4], atol=1e-6)


@torch.no_grad()
def test_sampling_makes_any_number_of_frames_of_which_the_first_ones_stay():
    sampler = sampling_copy(tiny().generator, n_classes=3, n_batches=2, batch_size=4)
    z = sampler.sample_z(2, torch.Generator().manual_seed(0))
    longer = sampler(z, None, 21)
    assert longer.shape == (2, 21, 3, 32, 32)
    for n_frames in (1, 5, 16):
        assert torch.allclose(sampler(z, None, n_frames), longer[:, :n_frames], atol=1e-5)


def phases_drawn(networks: TGANv2, n: int) -> tuple[Tensor, Tensor]:
    draws = networks.draw(n, torch.Generator().manual_seed(0), torch.ones(3), torch.zeros(n, dtype=torch.int64))
    return draws["phases_real"], draws["phases_fake"]


def test_phases_are_drawn_for_each_clip_and_level_apart_for_real_and_fake_clips():
    for phases in phases_drawn(tiny(), 1000):
        assert phases.shape == (1000, 2)
        assert phases.unique().tolist() == [0, 1]
        assert phases.double().mean(0).tolist() == pytest.approx([0.5, 0.5], abs=0.05)
        assert 0.4 < (phases[:, 0] == phases[:, 1]).double().mean() < 0.6
    real, fake = phases_drawn(tiny(), 1000)
    assert 0.4 < (real == fake).double().mean() < 0.6


def losses(networks: TGANv2) -> tuple[dict[str, Tensor], dict[str, Tensor], list[Tensor], list[Tensor]]:
    """Losses of D and G on 2 clips; the levels of the real ones and of the fakes."""
    rng, labels = torch.Generator().manual_seed(0), torch.tensor([0, 1])
    real, draws = torch.rand(2, 16, 3, 32, 32, generator=rng) * 2 - 1, networks.draw(2, rng, torch.ones(3), labels)
    fakes = networks.generate(networks.generator, draws)
    of_d = networks.discriminator_losses(networks.discriminators, real, labels, fakes, draws)
    of_g = networks.generator_losses(networks.discriminators, fakes, draws)
    return of_d, of_g, levels_of(real, draws["phases_real"]), fakes.levels


def test_each_level_has_a_third_of_its_cross_entropy():
    networks = tiny()
    of_d, of_g, real, fake = losses(networks)
    for (name, judge), shown, made in zip(networks.discriminators.items(), real, fake, strict=True):
        expected = (softplus(-judge(shown)).mean() + softplus(judge(made)).mean()) / 3
        assert of_d[name].item() == pytest.approx(expected.item(), rel=1e-5)
        assert of_g[name].item() == pytest.approx(softplus(-judge(made)).mean().item() / 3, rel=1e-5)


def test_the_penalty_is_the_mean_squared_gradient_at_real_clips_summed_over_levels():
    networks = tiny(lambda_gp=0.5)
    of_d, _, real, _ = losses(networks)
    expected = 0.0
    for judge, level in zip(networks.discriminators.values(), real, strict=True):
        for clip in level:
            alone = clip[None].clone().requires_grad_()
            judge(alone).backward()
            expected += alone.grad.square().sum().item() / len(level)
    assert of_d["penalty"].item() == pytest.approx(0.5 * expected, rel=1e-4)


def test_labels_set_gains_that_start_at_one():
    networks = tiny(conditional=True)
    norms = [layer for layer in networks.generator.modules() if isinstance(layer, ConditionalNorm)]
    assert norms
    for norm in norms:
        assert norm.gain.weight.shape[1] == norm.bias.weight.shape[1] == 3
        assert not norm.gain.weight.any()
        assert not norm.bias.weight.any()
        assert norm.norm.eps == 2e-5


def test_initial_weights_are_glorots_in_residual_blocks_and_lecuns_elsewhere():
    networks = tiny(width=1 / 4)
    generator, judge = networks.generator, networks.discriminators["level_1"]
    block, down = generator.levels[0].blocks[0], judge.blocks[3]

    def deviation(layer: nn.Module) -> float:
        return layer.weight.std().item()

    assert deviation(block.conv1) == pytest.approx(math.sqrt(4 / (9 * (64 + 32))), rel=0.03)
    assert deviation(block.shortcut) == pytest.approx(math.sqrt(2 / (64 + 32)), rel=0.05)
    assert deviation(down.conv1) == pytest.approx(math.sqrt(4 / (27 * (64 + 64))), rel=0.03)
    assert deviation(generator.lstms[0].of_state) == pytest.approx(math.sqrt(1 / (9 * 64)), rel=0.03)
    assert not any(bias.any() for name, bias in generator.named_parameters() if name.endswith(".bias"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_frames": 6}, "n_frames must be a multiple of 4, which the 3 levels at 32 px halve 2 times, got 6."),
        ({"resolution": 64, "n_frames": 12}, "a multiple of 8, which the 4 levels at 64 px halve 3 times, got 12."),
        ({"resolution": 48}, "resolution"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str):
    with pytest.raises(ConfigurationError) as error:
        parse_config(TGANv2Config, {**TINY, **settings})
    assert message in str(error.value)
