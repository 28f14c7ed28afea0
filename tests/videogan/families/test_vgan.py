"""Video GAN: the paper's sizes to the parameter, its two streams and their mask, its losses, and what it refuses."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from videogan.config import ConfigurationError, parse_config
from videogan.families.vgan import VGANConfig, VideoGAN

TINY = {"resolution": 32, "n_classes": 3, "n_frames": 16, "width": 1 / 16, "dim_z": 8}


def tiny(**settings: Any) -> VideoGAN:
    torch.manual_seed(0)
    return VideoGAN.build(VGANConfig(**{**TINY, **settings}))


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draws_and_real(networks: VideoGAN, n: int = 4) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    config, labels = networks.config, torch.zeros(n, dtype=torch.int64)
    real = torch.rand(n, config.n_frames, 3, config.resolution, config.resolution, generator=rng(1)) * 2 - 1
    return networks.draw(n, rng(), torch.ones(config.n_classes), labels), real, labels


def n_parameters(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


def on_meta(**settings: Any) -> VideoGAN:
    with torch.device("meta"):
        return VideoGAN.build(VGANConfig(n_classes=1, **settings))


def test_the_papers_networks_have_their_parameter_counts():
    networks = on_meta()
    generator = networks.generator
    assert n_parameters(generator.foreground) == 12_651_328
    assert n_parameters(generator.background, generator.background_head) == 3_577_667
    assert n_parameters(generator.foreground_head, generator.mask_head) == 16_388
    assert n_parameters(generator) == 16_245_383
    assert n_parameters(networks.discriminators["video"]) == 11_057_858


def test_variants_have_their_parameter_counts():
    assert n_parameters(on_meta(n_frames=16).generator) == 15_426_183
    assert n_parameters(on_meta(loss="wgan_svc").discriminators["video"]) == 11_041_473


@pytest.mark.parametrize(("n_frames", "resolution", "first"), [(32, 64, 2), (16, 64, 1), (32, 32, 4), (16, 32, 2)])
def test_every_size_is_doubled_from_four_positions_and_judged_by_one_number(n_frames: int, resolution: int, first: int):
    networks = tiny(n_frames=n_frames, resolution=resolution, width=1 / 64)
    assert networks.generator.foreground[0].kernel_size == (first, 4, 4)
    assert networks.discriminators["video"].top.kernel_size == (first, 4, 4)
    video = networks.generator(torch.randn(2, 8))
    assert video.shape == (2, n_frames, 3, resolution, resolution)
    assert networks.discriminators["video"](video).shape == (2,)


def test_width_scales_the_channels():
    assert VGANConfig(n_classes=1).widths == [64, 128, 256, 512]
    assert VGANConfig(n_classes=1, width=0.25).widths == [16, 32, 64, 128]
    assert VGANConfig(n_classes=1, resolution=32, n_frames=16).widths == [64, 128, 256]


def test_a_video_is_foreground_at_mask_one_and_background_at_mask_zero():
    networks, z = tiny(), torch.randn(2, 8)
    generator = networks.generator.eval()
    with torch.no_grad():
        for head in (generator.mask_head, generator.foreground_head):
            head.weight.mul_(100)
        video, mask = generator(z, with_mask=True)
        features = generator.foreground(z[:, :, None, None, None])
        foreground = generator.foreground_head(features).tanh().transpose(1, 2)
        background = generator.background_head(generator.background(z[:, :, None, None])).tanh()[:, None]
    assert mask.shape == (2, 16, 1, 32, 32)
    assert mask.min() >= 0
    assert mask.max() <= 1
    assert torch.allclose(video, mask * foreground + (1 - mask) * background, atol=1e-6)


def test_without_foreground_a_video_is_static():
    generator = tiny().generator.eval()
    with torch.no_grad():
        assert not torch.equal(*generator(torch.randn(2, 8))[:, :2].unbind(1))
        generator.mask_head.bias.fill_(-200)
        video = generator(torch.randn(2, 8))
    assert torch.equal(video, video[:, :1].expand_as(video))


def test_labels_change_nothing_and_clips_do_not_depend_on_others_of_the_batch():
    networks = tiny()
    generator, z = networks.generator.eval(), networks.generator.sample_z(4, rng())
    with torch.no_grad():
        video = generator(z, torch.arange(4))
        assert torch.equal(video, generator(z, torch.zeros(4, dtype=torch.int64), 16))
        assert torch.allclose(video[2:], generator(z[2:]), atol=1e-6)
    assert not networks.config.is_conditional


def test_a_generator_refuses_lengths_it_was_not_built_for():
    with pytest.raises(ValueError, match="n_frames must be the 16 that this Video GAN was built for, got 24"):
        tiny().generator(torch.randn(2, 8), None, 24)


def test_cross_entropy_over_two_logits_is_that_of_their_difference():
    networks = tiny()
    draws, real, labels = draws_and_real(networks)
    video, fakes = networks.discriminators["video"], networks.generate(networks.generator, draws)

    def logits(clips: Tensor) -> Tensor:
        seen: list[Tensor] = []
        handle = video.top.register_forward_hook(lambda *call: seen.append(call[2].flatten(1)))
        video(clips)
        handle.remove()
        return seen[0]

    is_real, is_fake = torch.zeros(4, dtype=torch.int64), torch.ones(4, dtype=torch.int64)
    expected = cross_entropy(logits(real), is_real) + cross_entropy(logits(fakes.videos), is_fake)
    assert networks.discriminator_losses({"video": video}, real, labels, fakes, draws)["video"].item() == pytest.approx(
        expected.item(), rel=1e-5
    )
    g_loss = networks.generator_losses({"video": video}, fakes, draws)["video"]
    assert g_loss.item() == pytest.approx(cross_entropy(logits(fakes.videos), is_real).item(), rel=1e-5)


def test_the_mask_penalty_is_lambda_times_its_mean():
    networks = tiny(lambda_mask=0.3)
    draws, _, _ = draws_and_real(networks)
    with torch.no_grad():
        networks.generator.mask_head.weight.zero_()
        networks.generator.mask_head.bias.fill_(torch.logit(torch.tensor(0.2)))
        losses = networks.generator_losses(networks.discriminators, networks.generate(networks.generator, draws), draws)
    assert losses["mask"].item() == pytest.approx(0.3 * 0.2, rel=1e-5)


def test_the_masks_penalty_pushes_the_mask_down():
    networks = tiny()
    draws, _, _ = draws_and_real(networks)
    fakes = networks.generate(networks.generator, draws)
    networks.generator_losses(networks.discriminators, fakes, draws)["mask"].backward()
    assert (networks.generator.mask_head.bias.grad > 0).all()
    assert networks.generator.background_head.bias.grad is None


def test_wgan_losses_are_means_of_scores():
    networks = tiny(loss="wgan_svc")
    draws, real, labels = draws_and_real(networks)
    video, fakes = networks.discriminators["video"], networks.generate(networks.generator, draws)
    losses = networks.discriminator_losses({"video": video}, real, labels, fakes, draws)
    assert losses["video"].item() == pytest.approx((video(fakes.videos).mean() - video(real).mean()).item(), abs=1e-6)
    assert networks.generator_losses({"video": video}, fakes, draws)["video"].item() == pytest.approx(
        -video(fakes.videos).mean().item(), abs=1e-6
    )


def test_initial_weights_are_normal_with_the_released_deviations():
    networks = tiny(width=0.5)
    for network in (networks.generator, *networks.discriminators.values()):
        for name, parameter in network.named_parameters():
            if parameter.ndim > 1:
                assert parameter.std().item() == pytest.approx(0.01, rel=0.1), name
            elif name.endswith("bias"):
                assert not parameter.any(), name
            else:  # gamma
                assert parameter.mean().item() == pytest.approx(1, abs=0.03), name
                assert 0.01 < parameter.std().item() < 0.03, name


def test_noise_depends_on_its_seeds_and_is_absent_in_evaluation():
    networks = tiny(noise_sigma=0.2)
    draws, real, labels = draws_and_real(networks)
    video = networks.discriminators["video"].eval()
    scores = video(real, draws["noise_real"])
    assert torch.equal(scores, video(real, draws["noise_real"]))
    assert not torch.equal(scores, video(real, draws["noise_fake"]))
    assert torch.equal(networks.realness(real, labels), video(real))
    assert not torch.equal(networks.realness(real, labels), scores)


def test_with_noise_no_batch_norm_of_d_has_a_scale():
    with_noise, without = tiny(noise_sigma=0.2), tiny()
    assert not [n for n, _ in with_noise.discriminators["video"].named_parameters() if "norms" in n]
    assert len([n for n, _ in without.discriminators["video"].named_parameters() if "norms" in n]) == 4


def norms_after(networks: VideoGAN, step: int) -> list[float]:
    """Largest singular values of D's weights, grown tenfold, after the constraint of `step`."""
    video = networks.discriminators["video"]
    weights = [layer.weight for layer in video.modules() if isinstance(layer, nn.Conv3d)]
    with torch.no_grad():
        for weight in weights:
            weight.mul_(10 / torch.linalg.matrix_norm(weight.flatten(1), 2))
    networks.constrain_(step)
    return [torch.linalg.matrix_norm(weight.flatten(1), 2).item() for weight in weights]


def test_svc_clips_every_layer_of_d_in_steps_1_and_6_and_no_other():
    networks = tiny(loss="wgan_svc")
    for step in range(1, 8):
        assert norms_after(networks, step) == pytest.approx([1.0 if step in (1, 6) else 10.0] * 4, rel=1e-4)


def test_cross_entropy_constrains_no_weight():
    assert norms_after(tiny(), 1) == pytest.approx([10.0] * 4, rel=1e-4)


REFUSED = [
    ({"n_clip": 2}, "n_clip = 2 has no effect under loss = bce. Remove it or set model.loss=wgan_svc."),
    ({"loss": "wgan_svc", "noise_sigma": 0.2}, "noise_sigma must be 0 under loss = wgan_svc"),
    ({"n_frames": 24}, "n_frames"),
    ({"resolution": 96}, "resolution"),
    ({"lambda_mask": -1}, "lambda_mask"),
]


@pytest.mark.parametrize(("settings", "message"), REFUSED)
def test_impossible_settings_and_settings_without_effect_are_refused(settings: dict[str, Any], message: str):
    with pytest.raises(ConfigurationError) as error:
        parse_config(VGANConfig, {**TINY, **settings})
    assert message in str(error.value)


def test_a_resolved_configuration_reads_back_as_itself():
    for settings in ({}, {"loss": "wgan_svc", "n_clip": 2}, {"noise_sigma": 0.2}):
        config = VGANConfig(**{**TINY, **settings})
        assert parse_config(VGANConfig, config.model_dump()) == config
