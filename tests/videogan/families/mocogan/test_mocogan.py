"""MoCoGAN: its released sizes to the parameter, content, motion and category, its losses, and what it refuses."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from torch.nn.functional import cross_entropy, one_hot

from videogan.config import ConfigurationError, parse_config
from videogan.families.mocogan.mocogan import MoCoGAN, MoCoGANConfig

TINY = {"resolution": 32, "n_classes": 3, "width": 1 / 32, "noise_sigma": 0.0}


def tiny(**settings: Any) -> MoCoGAN:
    torch.manual_seed(0)
    return MoCoGAN.build(MoCoGANConfig(**{**TINY, **settings}))


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draws_and_real(networks: MoCoGAN, n: int = 4) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    config, labels = networks.config, torch.arange(n) % networks.config.n_classes
    real = torch.rand(n, config.n_frames, 3, config.resolution, config.resolution, generator=rng(1)) * 2 - 1
    return networks.draw(n, rng(), torch.ones(config.n_classes), labels), real, labels


def n_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def on_meta(**settings: Any) -> MoCoGAN:
    with torch.device("meta"):
        return MoCoGAN.build(MoCoGANConfig(**settings))


# categories: generator, D_V; counted independently of this code (SCIENCE.md part F)
COUNTS = {
    0: (3_249_684, 11_056_896),
    4: (3_282_452, 11_187_968),
    6: (3_298_836, 11_253_504),
    10: (3_331_604, 11_384_576),
    101: (4_077_076, 14_366_464),
}


@pytest.mark.parametrize("n_categories", COUNTS)
def test_parameter_counts_are_exact(n_categories: int):
    networks = on_meta(n_classes=max(n_categories, 1), conditional=n_categories > 0)
    got = n_parameters(networks.generator), n_parameters(networks.discriminators["video"])
    assert got == COUNTS[n_categories]
    assert n_parameters(networks.generator.recurrent) == 660


def test_discriminators_of_frames_and_patches_have_their_counts():
    assert n_parameters(on_meta(n_classes=4).discriminators["image"]) == 663_296
    assert n_parameters(on_meta(n_classes=4, d_image="dcgan").discriminators["image"]) == 2_765_568
    patch = on_meta(n_classes=4, conditional=False, d_video="patch")
    assert n_parameters(patch.discriminators["video"]) == 2_650_880


def test_video_discriminator_has_the_same_parameters_above_64_px():
    counts = {r: n_parameters(on_meta(n_classes=4, resolution=r).discriminators["video"]) for r in (64, 96, 128)}
    assert set(counts.values()) == {11_187_968}


@pytest.mark.parametrize("d_image", ["patch", "dcgan"])
@pytest.mark.parametrize("resolution", [32, 64, 96, 128])
def test_every_size_is_generated_and_scored(resolution: int, d_image: str):
    networks = tiny(resolution=resolution, width=1 / 64, d_image=d_image, n_frames_image=2)
    draws, real, labels = draws_and_real(networks, n=2)
    with torch.no_grad():
        fakes = networks.generate(networks.generator, draws)
        image = networks.discriminators["image"](fakes.videos[:, :2])
        video = networks.discriminators["video"](fakes.videos)
    assert fakes.videos.shape == (2, 16, 3, resolution, resolution)
    assert image.shape == (2, 2 * (resolution // 16) ** 2 if d_image == "patch" else 2)
    assert video.shape == (2, 1 + 3)
    assert networks.realness(real, labels).shape == (2,)


def test_the_logit_of_a_larger_clip_is_the_sum_over_positions_and_the_released_size_has_one():
    seen: list[Tensor] = []
    for resolution, positions in ((64, (1, 1, 1)), (96, (1, 3, 3)), (32, (4, 1, 1))):
        video = tiny(resolution=resolution, width=1 / 64).discriminators["video"]
        video.top.register_forward_hook(lambda *call: seen.append(call[2]))
        with torch.no_grad():
            outputs = video(torch.rand(1, 16, 3, resolution, resolution))
        assert seen[-1].shape[2:] == positions
        assert torch.equal(outputs, seen[-1].flatten(2).sum(2))


def test_patch_discriminator_of_videos_returns_a_logit_per_patch():
    networks = tiny(resolution=64, conditional=False, d_video="patch", width=1 / 64)
    draws, real, labels = draws_and_real(networks, n=2)
    assert networks.discriminators["video"](real).shape == (2, 4 * 4 * 4)
    fakes = networks.generate(networks.generator, draws)
    losses = networks.discriminator_losses(networks.discriminators, real, labels, fakes, draws)
    assert losses.keys() == {"image", "video"}
    assert networks.realness(real, labels).shape == (2,)


def test_a_frame_depends_only_on_the_noise_of_its_past():
    generator = tiny().generator.eval()
    z = generator.sample_z(2, rng())
    changed = z.clone()
    changed[:, 50 + 10 * (1 + 8) : 50 + 10 * (1 + 9)] += 1  # behind z_C and h_0: the noise of the ninth frame
    with torch.no_grad():
        one, other = generator(z, torch.zeros(2, dtype=torch.int64)), generator(changed, torch.zeros(2).long())
    assert torch.allclose(one[:, :8], other[:, :8], atol=1e-6)
    assert all(not torch.allclose(one[:, t], other[:, t], atol=1e-6) for t in range(8, 16))


def test_a_longer_clip_starts_with_the_shorter_one():
    generator, y = tiny().generator.eval(), torch.tensor([0, 2])
    z = generator.sample_z(2, rng(), n_frames=40)
    with torch.no_grad():
        longer = generator(z, y)
        assert longer.shape[1] == 40
        assert torch.allclose(longer[:, :16], generator(z, y, 16), atol=1e-6)
        assert torch.allclose(longer[:, :16], generator(z[:, : 50 + 10 * 17], y), atol=1e-6)


def test_noise_for_too_few_frames_is_refused():
    generator = tiny().generator
    with pytest.raises(
        ValueError, match=r"noise for the 20 frames asked for, got it for 16; draw it with sample_z\(n, "
    ):
        generator(generator.sample_z(2), torch.zeros(2, dtype=torch.int64), 20)


def test_classes_differ_and_a_label_is_its_one_hot_vector():
    generator = tiny().generator.eval()
    z = generator.sample_z(1, rng()).expand(3, -1)
    with torch.no_grad():
        videos = generator(z, torch.arange(3))
        assert torch.equal(videos, generator(z, one_hot(torch.arange(3)).float()))
    assert not torch.allclose(videos[0], videos[1])


def test_an_unconditional_generator_does_not_look_at_labels():
    networks = tiny(conditional=False)
    z = networks.generator.eval().sample_z(2, rng())
    with torch.no_grad():
        assert torch.equal(networks.generator(z, torch.tensor([0, 1])), networks.generator(z))
    assert not networks.config.is_conditional
    assert tiny().config.is_conditional


def test_losses_are_cross_entropies_of_realness_and_of_categories():
    networks = tiny(n_frames_image=2, lambda_infogan=0.5)
    draws, real, labels = draws_and_real(networks)
    image, video = networks.discriminators["image"], networks.discriminators["video"]
    fakes = networks.generate(networks.generator, draws)
    rows = torch.arange(4)[:, None]
    on_real, on_fake = image(real[rows, draws["frames_real"]]), image(fakes.videos[rows, draws["frames_fake"]])
    judged_real, judged_fake = video(real), video(fakes.videos)
    ones, zeros = torch.ones_like, torch.zeros_like
    d_losses = networks.discriminator_losses(networks.discriminators, real, labels, fakes, draws)
    assert_close(d_losses, "image", bce(on_real, ones(on_real)) + bce(on_fake, zeros(on_fake)))
    on_real, on_fake = judged_real[:, 0], judged_fake[:, 0]
    assert_close(d_losses, "video", bce(on_real, ones(on_real)) + bce(on_fake, zeros(on_fake)))
    assert_close(d_losses, "category", cross_entropy(judged_real[:, 1:], labels))
    g_losses = networks.generator_losses(networks.discriminators, fakes, draws)
    assert_close(g_losses, "video", bce(on_fake, ones(on_fake)))
    assert_close(g_losses, "category", 0.5 * cross_entropy(judged_fake[:, 1:], draws["y"]))


def test_realness_adds_both_discriminators_logits_and_that_of_the_class():
    networks = tiny()
    _, real, labels = draws_and_real(networks)
    image, video = (networks.discriminators[name].eval() for name in ("image", "video"))
    of_class = video(real)[:, 1:].softmax(1)[torch.arange(4), labels].log()
    expected = image(real).mean(1) + video(real)[:, 0] + of_class
    assert torch.allclose(networks.realness(real, labels), expected, atol=1e-5)


def assert_close(losses: dict[str, Tensor], term: str, expected: Tensor) -> None:
    assert losses[term].item() == pytest.approx(expected.item(), rel=1e-5), term


def test_without_infogan_or_categories_their_terms_are_absent():
    for settings, d_terms in (
        ({"lambda_infogan": 0.0}, {"image", "video", "category"}),
        ({"conditional": False}, {"image", "video"}),
    ):
        networks = tiny(**settings)
        draws, real, labels = draws_and_real(networks)
        fakes = networks.generate(networks.generator, draws)
        assert networks.discriminator_losses(networks.discriminators, real, labels, fakes, draws).keys() == d_terms
        assert networks.generator_losses(networks.discriminators, fakes, draws).keys() == {"image", "video"}


@pytest.mark.parametrize("n_frames_image", [1, 4, 16])
def test_the_image_discriminator_sees_distinct_frames_with_equal_frequency(n_frames_image: int):
    networks = tiny(n_frames_image=n_frames_image)
    draws = networks.draw(4000, rng(), torch.ones(3), torch.zeros(4000, dtype=torch.int64))
    for of in ("real", "fake"):
        frames = draws[f"frames_{of}"]
        assert frames.shape == (4000, n_frames_image)
        assert (frames.diff(dim=1) > 0).all()
        shares = frames.flatten().bincount(minlength=16) / frames.numel()
        assert (shares - 1 / 16).abs().max() < 0.02


def test_fake_labels_are_uniform_over_the_classes():
    y = tiny().draw(6000, rng(), torch.tensor([1.0, 0, 0]), torch.zeros(6000, dtype=torch.int64))["y"]
    assert ((y.bincount(minlength=3) / 6000) - 1 / 3).abs().max() < 0.03


def test_real_and_fake_clips_have_different_noise_in_both_discriminators():
    networks = tiny(noise_sigma=0.1)
    draws, real, _ = draws_and_real(networks)
    seeds = torch.cat([draws["noise_real"], draws["noise_fake"]], dim=1)
    assert seeds.shape == (4, 4)
    assert len(seeds.unique()) == 16
    video = networks.discriminators["video"]
    assert torch.equal(video(real, seeds[:, 0]), video(real, seeds[:, 0]))
    assert not torch.equal(video(real, seeds[:, 0]), video(real))
    assert "noise_real" not in draws_and_real(tiny())[0]


def test_no_constraint_changes_a_weight():
    networks = tiny()
    before = [p.clone() for d in networks.discriminators.values() for p in d.parameters()]
    networks.constrain_(1)
    after = [p for d in networks.discriminators.values() for p in d.parameters()]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


REFUSED = [
    ({"n_frames_image": 20}, "n_frames_image (N) = 20 is more than the clip length T = 16."),
    ({"d_video": "patch"}, "conditional = true needs D_V's category logits, which d_video = patch does not have."),
    ({"conditional": False, "lambda_infogan": 0.5}, "lambda_infogan = 0.5 has no effect without categories."),
    ({"n_frames": 15}, "n_frames"),
    ({"resolution": 48}, "resolution"),
]


@pytest.mark.parametrize(("settings", "message"), REFUSED)
def test_impossible_settings_and_settings_without_effect_are_refused(settings: dict[str, Any], message: str):
    with pytest.raises(ConfigurationError) as error:
        parse_config(MoCoGANConfig, {**TINY, **settings})
    assert message in str(error.value)


def test_a_resolved_configuration_reads_back_as_itself():
    for settings in ({}, {"conditional": False, "d_video": "patch"}, {"d_image": "dcgan", "lambda_infogan": 0.0}):
        config = MoCoGANConfig(**{**TINY, **settings})
        assert parse_config(MoCoGANConfig, config.model_dump()) == config


def test_the_subspaces_of_a_code_are_content_and_motion():
    assert tuple(tiny().generator.subspaces) == ("content", "motion")


def test_truncation_is_in_standard_deviations():
    assert tiny().generator.sample_z(200, rng(), truncation=0.7).abs().max() <= 0.7
