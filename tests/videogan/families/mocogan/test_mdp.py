"""MDP: its released sizes to the parameter, a critic that never looks ahead, and its losses of scores and values."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce

from videogan.config import ConfigurationError, parse_config
from videogan.families.mocogan.mdp import MDP, MDPConfig, discounted_means, discounted_value

TINY = {"resolution": 32, "n_classes": 3, "width": 1 / 32, "noise_sigma": 0.0}


def tiny(**settings: Any) -> MDP:
    torch.manual_seed(0)
    return MDP.build(MDPConfig(**{**TINY, **settings}))


def n_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def on_meta(**settings: Any) -> MDP:
    with torch.device("meta"):
        return MDP.build(MDPConfig(n_classes=10, **settings))


# counted independently of this code, from the sizes of the layers
GENERATORS = {32: 905_748, 64: 3_249_684, 96: 11_701_780, 128: 12_131_860}
CRITICS = {"n_blocks": {2: 406_912, 3: 1_984_384, 4: 8_285_056}, "width": {1 / 8: 33_008}}


@pytest.mark.parametrize("resolution", GENERATORS)
def test_parameter_counts_are_exact_at_every_size(resolution: int):
    networks = on_meta(resolution=resolution)
    assert n_parameters(networks.generator) == GENERATORS[resolution]
    assert n_parameters(networks.discriminators["image"]) == 663_296
    assert n_parameters(networks.discriminators["video"]) == 1_984_384


@pytest.mark.parametrize("name", CRITICS)
def test_parameter_counts_of_other_critics_are_exact(name: str):
    for value, expected in CRITICS[name].items():
        assert n_parameters(on_meta(**{name: value}).discriminators["video"]) == expected


@pytest.mark.parametrize(("resolution", "n_patches"), [(32, 4), (64, 16), (96, 36), (128, 64)])
def test_every_frame_and_patch_has_a_score_and_a_value(resolution: int, n_patches: int):
    critic = tiny(resolution=resolution, width=1 / 64).discriminators["video"]
    with torch.no_grad():
        assert critic(torch.rand(2, 7, 3, resolution, resolution)).shape == (2, 2, 7, n_patches)


def test_the_critic_sees_14_frames_back_and_none_ahead():
    critic = tiny(norm="none").discriminators["video"]
    video = torch.rand(1, 20, 3, 32, 32)
    changed = video.clone()
    changed[:, 3] *= -1
    with torch.no_grad():
        differs = (critic(video) != critic(changed)).any(3).any(1)[0]
    assert differs.tolist() == [3 <= t <= 3 + 14 for t in range(20)]


def test_remaining_scores_are_discounted_means_of_their_own_length():
    scores = torch.tensor([[[1.0], [2.0], [4.0]]])
    first, second, last = (1 + 0.5 * 2 + 0.25 * 4) / 3, (2 + 0.5 * 4) / 2, 4.0
    assert discounted_means(scores, 0.5)[0, :, 0].tolist() == pytest.approx([first, second, last])
    assert torch.allclose(discounted_means(torch.ones(2, 5, 3), 1.0), torch.ones(2, 5, 3))


def test_a_value_counts_less_the_later_it_is():
    values = torch.zeros(2, 4, 3)
    values[1, 2, 0] = 6.0
    assert discounted_value(values, 0.5).item() == pytest.approx(0.5**3)
    assert discounted_value(torch.ones(2, 4, 3), 1.0).item() == pytest.approx(4)


def step(networks: MDP) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """The draws of one update, and D_V's outputs on real clips and on fakes."""
    config, rng = networks.config, torch.Generator().manual_seed(0)
    real = torch.rand(2, 16, 3, 32, 32, generator=rng) * 2 - 1
    draws = networks.draw(2, rng, torch.ones(config.n_classes), torch.tensor([0, 1]))
    return draws, real, networks.generate(networks.generator, draws).videos


def test_losses_are_cross_entropies_of_scores_and_squared_errors_of_values():
    networks = tiny(norm="none", lambda_value=10.0)
    draws, real, fake = step(networks)
    critic, fakes = networks.discriminators["video"], networks.generate(networks.generator, draws)
    (s_real, g_real), (s_fake, g_fake) = critic(real).unbind(1), critic(fake).unbind(1)
    d = networks.discriminator_losses(networks.discriminators, real, torch.tensor([0, 1]), fakes, draws)
    assert d["video"].item() == pytest.approx((bce(s_real, s_real * 0 + 1) + bce(s_fake, s_fake * 0)).item())
    errors = [(g - discounted_means(s, 0.9)).square().mean() for s, g in ((s_real, g_real), (s_fake, g_fake))]
    assert d["value"].item() == pytest.approx(sum(errors).item(), rel=1e-5)
    g = networks.generator_losses(networks.discriminators, fakes, draws)
    assert g["video"].item() == pytest.approx(bce(s_fake, s_fake * 0 + 1).item())
    discounts = 0.7 ** torch.arange(1, 17)
    assert g["value"].item() == pytest.approx(-10 * (discounts * g_fake.mean((0, 2))).sum().item(), rel=1e-4)


def test_the_value_loss_moves_the_scores_too():
    networks = tiny(norm="none")
    draws, real, _ = step(networks)
    fakes = networks.generate(networks.generator, draws)
    losses = networks.discriminator_losses(networks.discriminators, real, torch.tensor([0, 1]), fakes, draws)
    losses["value"].backward()
    assert networks.discriminators["video"].score.weight.grad.abs().sum() > 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_frames_image": 20}, "n_frames_image (N) = 20 is more than the clip length T = 16."),
        ({"sigma": 1.5}, "sigma"),
        ({"n_blocks": 5}, "n_blocks"),
        ({"conditional": True}, "conditional"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str):
    with pytest.raises(ConfigurationError) as error:
        parse_config(MDPConfig, {**TINY, **settings})
    assert message in str(error.value)
