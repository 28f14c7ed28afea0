"""The step that TGAN and the 3D model share: its three regularisers, and what each loss then is."""

from typing import Any

import pytest
import torch
from torch.nn.functional import softplus
from torch.nn.modules.batchnorm import _BatchNorm

from videogan.config import ConfigurationError, parse_config
from videogan.families.tgan.volume3d import Volume3D, Volume3DConfig


def tiny(**settings: Any) -> Volume3D:
    torch.manual_seed(0)
    return Volume3D.build(Volume3DConfig(**{"resolution": 32, "n_classes": 3, "width": 1 / 32, **settings}))


def losses(networks: Volume3D) -> tuple[torch.Tensor, ...]:
    """Discriminator's and generator's loss, and the scores of real and fake they come from."""
    rng = torch.Generator().manual_seed(0)
    labels, real = torch.zeros(4, dtype=torch.int64), torch.rand(4, 16, 3, 32, 32, generator=rng) * 2 - 1
    draws = networks.draw(4, rng, torch.ones(3), labels)
    fakes = networks.generate(networks.generator, draws)
    judge = networks.discriminators["video"]
    scores = judge(real, None, draws.get("noise_real")), judge(fakes.videos, None, draws.get("noise_fake"))
    terms = networks.discriminator_losses(networks.discriminators, real, labels, fakes, draws)
    return terms["video"], networks.generator_losses(networks.discriminators, fakes, draws)["video"], *scores


@pytest.mark.parametrize("regulariser", ["svc", "weight_clip"])
def test_a_wgan_compares_mean_scores(regulariser: str):
    of_d, of_g, real, fake = losses(tiny(regulariser=regulariser))
    assert of_d.item() == pytest.approx((fake.mean() - real.mean()).item(), abs=1e-6)
    assert of_g.item() == pytest.approx(-fake.mean().item(), abs=1e-6)


def test_the_normal_gan_does_not_saturate_and_its_noise_comes_from_the_draws():
    of_d, of_g, real, fake = losses(tiny(regulariser="none"))
    assert of_d.item() == pytest.approx((softplus(-real).mean() + softplus(fake).mean()).item(), abs=1e-5)
    assert of_g.item() == pytest.approx(softplus(-fake).mean().item(), abs=1e-5)
    silent = losses(tiny(regulariser="none", noise_sigma=0.0))
    assert not torch.isclose(silent[0], of_d, atol=1e-4)


def test_the_normal_gans_discriminator_has_neither_gamma_nor_beta_the_wgans_has_gamma():
    def gamma_and_beta(**settings: Any) -> set[tuple[bool, bool]]:
        norms = [m for m in tiny(**settings).discriminators["video"].modules() if isinstance(m, _BatchNorm)]
        return {(norm.weight is not None, norm.bias is not None) for norm in norms}

    assert gamma_and_beta(regulariser="none") == {(False, False)}
    assert gamma_and_beta() == {(True, False)}
    assert gamma_and_beta(bn_beta=True) == {(True, True)}


def test_svc_clips_at_steps_1_6_11_to_spectral_norms_of_one():
    networks = tiny()
    layers = [*networks.discriminators["video"].convolutions, networks.discriminators["video"].full_connection]
    for step in range(1, 12):
        for layer in layers:
            layer.weight.data *= 10
        networks.constrain_update_()
        networks.constrain_(step)
        norms = [torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() for layer in layers]
        assert (max(norms) <= 1 + 2e-5) == (step in (1, 6, 11))


def test_weight_clipping_leaves_every_parameter_within_c_after_each_update():
    networks = tiny(regulariser="weight_clip", clip_bound=0.003)
    for parameter in networks.discriminators["video"].parameters():
        parameter.data += 1
    networks.constrain_(1)
    assert all(parameter.abs().max() > 0.5 for parameter in networks.discriminators["video"].parameters())
    networks.constrain_update_()
    assert all(
        (parameter == 0.003).all()
        for parameter in networks.discriminators["video"].parameters()
        if (parameter > 0).all()
    )
    assert all(parameter.abs().max() <= 0.003 for parameter in networks.discriminators["video"].parameters())


def test_the_normal_gan_is_not_constrained():
    networks = tiny(regulariser="none")
    before = [parameter.clone() for parameter in networks.discriminators["video"].parameters()]
    networks.constrain_update_()
    networks.constrain_(1)
    assert all(torch.equal(a, b) for a, b in zip(before, networks.discriminators["video"].parameters(), strict=True))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (
            {"clip_bound": 0.1},
            "clip_bound = 0.1 has no effect under regulariser = svc.*set model.regulariser=weight_clip",
        ),
        ({"noise_sigma": 0.0}, "noise_sigma = 0.0 has no effect under regulariser = svc.*set model.regulariser=none"),
        ({"regulariser": "none", "n_clip": 1}, "n_clip = 1 has no effect under regulariser = none"),
    ],
)
def test_a_setting_of_another_regulariser_is_refused(settings: dict[str, Any], problem: str):
    with pytest.raises(ConfigurationError, match=problem):
        parse_config(Volume3DConfig, {"n_classes": 3, **settings})
