"""MVT-GAN: the paper's sizes to the parameter, its noise, its variants, and what its configuration refuses."""

import copy
import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from videogan.config import ConfigurationError, parse_config
from videogan.families.contract import Fakes
from videogan.families.mvt import MVTGAN, MVTConfig, sample_z
from videogan.flow.pwc_net import PWCNet
from videogan.flow.video_flow import video_flow
from videogan.motion import RememberedFlows
from videogan.nets.spectral_norm import NORMALISED

TINY = {"resolution": 32, "n_classes": 3, "channels": 2, "gru_hidden": 8, "n_frames_image": 4}


def tiny(**settings: Any) -> MVTGAN:
    torch.manual_seed(0)
    return MVTGAN.build(MVTConfig(**{**TINY, **settings}))


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draws_and_real(networks: MVTGAN, n: int = 4) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    labels = torch.arange(n) % networks.config.n_classes
    side = networks.config.resolution
    real = torch.rand(n, networks.config.n_frames, 3, side, side, generator=rng(1)) * 2 - 1
    return networks.draw(n, rng(), torch.ones(networks.config.n_classes), labels), real, labels


def n_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def counts(**settings: Any) -> tuple[int, int, int, int]:
    with torch.device("meta"):
        networks = MVTGAN.build(MVTConfig(**settings))
    generator, discriminators = networks.generator, networks.discriminators
    return tuple(
        map(n_parameters, (generator.sequence, generator.image, discriminators["image"], discriminators["video"]))
    )


# channels, resolution, classes: G_Image, D_Image, D_Video; counted independently of this code (SCIENCE.md part F)
COUNTS = {
    (8, 96, 10): (1_045_828, 603_098, 174_497),
    (8, 96, 27): (1_047_868, 605_274, 175_585),
    (8, 96, 101): (1_056_748, 614_746, 180_321),
    (8, 128, 10): (1_261_764, 603_098, 174_497),
    (8, 128, 27): (1_263_804, 605_274, 175_585),
    (8, 128, 101): (1_272_684, 614_746, 180_321),
    (96, 96, 10): (74_621_044, 86_496_290, 24_802_177),
    (96, 96, 27): (74_623_084, 86_522_402, 24_815_233),
    (96, 96, 101): (74_631_964, 86_636_066, 24_872_065),
    (96, 128, 10): (77_212_276, 86_496_290, 24_802_177),
    (96, 128, 27): (77_214_316, 86_522_402, 24_815_233),
    (96, 128, 101): (77_223_196, 86_636_066, 24_872_065),
}


@pytest.mark.parametrize(("channels", "resolution", "n_classes"), COUNTS)
def test_parameter_counts_are_exact(channels: int, resolution: int, n_classes: int):
    got = counts(channels=channels, resolution=resolution, n_classes=n_classes)
    assert got == (13_592_880, *COUNTS[channels, resolution, n_classes])


def test_the_biggan_places_of_attention_have_their_counts():
    got = counts(resolution=96, n_classes=101, attention_after_g=4, attention_after_d=1)
    assert (got[1], got[2]) == (74_493_724, 86_601_506)
    assert counts(resolution=128, n_classes=101, attention_after_g=4)[1] == 77_084_956


def test_batch_norm_and_ladder_of_d_video_have_their_counts():
    assert counts(resolution=96, n_classes=101, d_video_norm="none")[3] == 24_869_377
    assert counts(resolution=96, n_classes=101, d_video="mocogan")[3] == 24_872_065


def test_temporal_shift_adds_no_parameter():
    with_shift = counts(resolution=96, n_classes=10, channels=8)
    assert with_shift == counts(resolution=96, n_classes=10, channels=8, variant="mvt_var")


@pytest.mark.parametrize(
    ("variant", "sigma", "shift_blocks"),
    [("mvt", (1, 1, 1), 0), ("mvt_var", (0.5, 1, 2), 0), ("mvt_tsa", (0.5, 1, 2), 2)],
)
def test_a_variant_sets_its_defaults(variant: str, sigma: tuple[float, ...], shift_blocks: int):
    config = MVTConfig(variant=variant, n_classes=10)
    assert (config.sigma_a, config.sigma_b, config.sigma_c) == sigma
    assert config.shift_blocks == shift_blocks
    assert config.alpha == 0


def test_explicit_values_win_over_the_variant():
    config = MVTConfig(variant="mvt", n_classes=10, sigma_c=3.0)
    assert (config.sigma_a, config.sigma_c) == (1.0, 3.0)


def test_the_motion_constraint_of_the_paper_has_weight_1_and_the_labels_of_the_real_clips():
    config = MVTConfig(variant="mvt_mc", n_classes=10)
    assert (config.alpha, config.label_sampling, config.flow_cos) == (1.0, "match_real", "clip")
    assert (config.sigma_a, config.sigma_b, config.sigma_c, config.shift_blocks) == (1.0, 1.0, 1.0, 0)


def test_the_motion_constraint_brings_the_labels_of_the_real_clips_to_mvt_tsa_too():
    def labels_of(**values: Any) -> str:
        return MVTConfig(variant="mvt_tsa", n_classes=10, **values).label_sampling

    assert (labels_of(), labels_of(alpha=0.5)) == ("uniform", "match_real")
    assert labels_of(alpha=0.5, label_sampling="uniform") == "uniform"


@pytest.mark.parametrize("variant", ["mvt", "mvt_mc", "mvt_var", "mvt_tsa"])
def test_a_resolved_configuration_reads_back_as_itself(variant: str):
    config = MVTConfig(variant=variant, n_classes=10)
    assert parse_config(MVTConfig, config.model_dump()) == config


REFUSED = [
    ({"n_frames_image": 20}, "n_frames_image (N) = 20 is more than the clip length T = 16."),
    ({"n_frames": 15}, "n_frames (T) must be at least 16 for D_Video (released) to keep a time step, got 15."),
    ({"n_frames": 12, "d_video": "mocogan"}, "at least 13 for D_Video (mocogan)"),
    ({"variant": "mvt", "alpha": 1.0}, "alpha = 1 needs another variant, got mvt. Set model.variant=mvt_mc"),
    ({"variant": "mvt_var", "alpha": 1.0}, "Set model.variant=mvt_tsa, which has shift too."),
    ({"variant": "mvt_var", "shift_blocks": 2}, "shift_blocks = 2 needs variant = mvt_tsa, got mvt_var."),
    ({"variant": "mvt_var", "fold_div": 4}, "fold_div = 4 has no effect under variant = mvt_var."),
    ({"variant": "mvt", "shift_place": "inplace"}, "shift_place = inplace has no effect"),
    ({"variant": "mvt_tsa", "shift_blocks": 0}, "Without shift it is model.variant=mvt_var."),
    ({"fold_div": 1}, "fold_div must be between 2 (bi) and 32"),
    ({"fold_div": 33}, "fold_div must be between 2 (bi) and 32"),
    ({"n_clip": 2}, "n_clip = 2 has no effect under constraint_d_video = spectral_norm."),
    ({"variant": "mvt_mc", "alpha": 0.0}, "Without the motion constraint it is mvt."),
    ({"flow_cos": "frame"}, "flow_cos = frame has no effect without motion constraint."),
    ({"alpha": 1.0, "flow": "pwc_net"}, "flow = pwc_net and flow_weights = None do not go together"),
    ({"alpha": 1.0, "flow_weights": "w.pt"}, "flow = lucas_kanade and flow_weights = w.pt do not go together"),
    ({"variant": "mvt_x"}, "variant"),
    ({"sigma_a": 0.0}, "sigma_a"),
    ({"sigma_a": float("inf")}, "sigma_a"),
    ({"sigma_d": 1.0}, "did you mean 'sigma_"),
]


@pytest.mark.parametrize(("settings", "message"), REFUSED)
def test_impossible_configurations_are_refused(settings: Mapping[str, Any], message: str):
    with pytest.raises(ConfigurationError) as refusal:
        parse_config(MVTConfig, {**TINY, **settings})
    assert message in str(refusal.value)


def test_all_problems_are_reported_at_once():
    with pytest.raises(ConfigurationError) as refusal:
        parse_config(MVTConfig, {**TINY, "variant": "mvt", "alpha": 1.0, "n_frames_image": 20, "shift_blocks": 1})
    assert all(word in str(refusal.value) for word in ("alpha = 1", "(N) = 20", "shift_blocks = 1"))


def test_the_subspaces_have_their_means_and_deviations_in_order():
    config = MVTConfig(n_classes=2, dim_a=2, dim_b=3, dim_c=4, sigma_a=0.5, sigma_b=1, sigma_c=2, mean_b=7)
    z = sample_z(config, 40_000, rng())
    sigma, mean = torch.tensor([0.5] * 2 + [1.0] * 3 + [2.0] * 4), torch.tensor([0.0] * 2 + [7.0] * 3 + [0.0] * 4)
    assert z.shape == (40_000, 9)
    assert torch.allclose(z.std(0) / sigma, torch.ones(9), atol=0.02)
    assert ((z.mean(0) - mean).abs() < 5 * sigma / 200).all()


@pytest.mark.parametrize(("variant", "expected"), [("mvt", 120), ("mvt_var", 345)])
def test_the_squared_norm_of_z_is_the_papers(variant: str, expected: float):
    z = sample_z(MVTConfig(variant=variant, n_classes=2), 4000, rng())
    assert abs(z.square().sum(1).mean().item() - expected) < 0.02 * expected


def test_z_is_the_same_for_the_same_generator():
    networks = tiny()
    assert torch.equal(networks.generator.sample_z(5, generator=rng()), networks.generator.sample_z(5, generator=rng()))


@pytest.mark.parametrize("resolution", [32, 64, 96, 128])
def test_videos_have_their_shape_and_range(resolution: int):
    networks = tiny(resolution=resolution)
    with torch.no_grad():
        video = networks.generator(networks.generator.sample_z(2, generator=rng()), torch.tensor([0, 2]))
    assert video.shape == (2, 16, 3, resolution, resolution)
    assert video.abs().max() <= 1


def test_the_length_of_a_sample_is_free():
    networks = tiny(variant="mvt")
    networks.generator.eval()
    z, y = networks.generator.sample_z(2, generator=rng()), torch.tensor([0, 1])
    with torch.no_grad():
        longer, shorter = networks.generator(z, y, n_frames=24), networks.generator(z, y)
    assert longer.shape[1] == 24
    assert torch.allclose(longer[:, :16], shorter, atol=1e-5)


@pytest.mark.parametrize("variant", ["mvt", "mvt_tsa"])
def test_in_eval_mode_a_sample_never_depends_on_another(variant: str):
    networks = tiny(variant=variant)
    draws, _, _ = draws_and_real(networks)
    with torch.no_grad():
        networks.generate(networks.generator, draws)  # changes the initial running statistics
        networks.generator.eval()
        together = networks.generate(networks.generator, draws).videos
        alone = networks.generate(networks.generator, {name: draw[2:3] for name, draw in draws.items()}).videos
    assert torch.allclose(together[2:3], alone, atol=1e-5)


def test_an_embedding_in_place_of_its_label_gives_the_same_video():
    networks = tiny()
    generator = networks.generator.eval()
    z, y = generator.sample_z(2, generator=rng()), torch.tensor([2, 1])
    with torch.no_grad():
        assert torch.equal(generator(z, y), generator(z, generator.image.embedding(y)))


@pytest.mark.parametrize(("settings", "reach"), [({}, 2), ({"shift_blocks": 3}, 3), ({"variant": "mvt"}, 0)])
def test_shifting_couples_as_many_neighbouring_frames_as_blocks(settings: dict[str, Any], reach: int):
    image = tiny(channels=4, seq_bn="none", **settings).generator.image.eval()
    codes = torch.randn(1, 16, 120, generator=rng(), requires_grad=True)
    image(codes, torch.tensor([0]))[0, 8].square().sum().backward()
    touched = codes.grad[0].abs().sum(1) > 0
    assert touched.nonzero().flatten().tolist() == list(range(8 - reach, 8 + reach + 1))


def test_uni_directional_shift_never_looks_ahead():
    image = tiny(channels=4, shift_direction="uni").generator.image.eval()
    codes = torch.randn(1, 16, 120, generator=rng(), requires_grad=True)
    image(codes, torch.tensor([0]))[0, 8].square().sum().backward()
    assert (codes.grad[0].abs().sum(1) > 0).nonzero().flatten().tolist() == [6, 7, 8]


@pytest.mark.parametrize(
    "settings",
    [
        {"shift_place": "inplace"},
        {"shift_direction": "uni"},
        {"fold_div": 3},
        {"feed": "repeat"},
        {"seq_bn": "none"},
        {"norm_g": "none"},
        {"init": "xavier"},
        {"mean_a": 1.0},
        {"sigma_b": 2.0},
    ],
)
def test_each_setting_of_the_generator_changes_its_video(settings: dict[str, Any]):
    videos = []
    for networks in (tiny(), tiny(**settings)):
        draws, _, _ = draws_and_real(networks)
        with torch.no_grad():
            videos.append(networks.generate(networks.generator, draws).videos)
    assert (videos[0] - videos[1]).abs().max() > 1e-4


def test_spectral_norm_on_the_embedding_of_g_divides_it_by_its_norm():
    networks = tiny(sn_embed_g=True, init="xavier")
    embedding = networks.generator.image.embedding.eval()
    original = embedding.parametrizations.weight.original
    assert torch.allclose(embedding.weight * torch.linalg.matrix_norm(original, 2), original, rtol=1e-2)
    assert not torch.allclose(embedding.weight, original, rtol=1e-2)


def test_frames_are_distinct_sorted_and_drawn_separately_for_real_and_fake():
    draws = tiny().draw(200, rng(), torch.ones(3), torch.zeros(200, dtype=torch.long))
    for name in ("frames_real", "frames_fake"):
        assert draws[name].shape == (200, 4)
        assert (draws[name].diff(dim=1) > 0).all()
        assert draws[name].unique().tolist() == list(range(16))
    assert not torch.equal(draws["frames_real"], draws["frames_fake"])


def test_frames_drawn_with_replacement_repeat():
    draws = tiny(replace_frames=True).draw(200, rng(), torch.ones(3), torch.zeros(200, dtype=torch.long))
    assert (draws["frames_real"].diff(dim=1) == 0).any()


def test_labels_follow_the_named_distribution():
    label_counts, real_labels = torch.tensor([1, 0, 3]), torch.full((4000,), 1)
    drawn = {
        how: tiny(label_sampling=how).draw(4000, rng(), label_counts, real_labels)["y"].bincount(minlength=3) / 4000
        for how in ("uniform", "empirical", "match_real")
    }
    assert torch.allclose(drawn["uniform"], torch.full((3,), 1 / 3), atol=0.03)
    assert torch.allclose(drawn["empirical"], torch.tensor([0.25, 0, 0.75]), atol=0.03)
    assert drawn["match_real"].tolist() == [0, 1, 0]


def test_d_image_sees_the_drawn_frames_only():
    networks = tiny()
    draws, real, labels = draws_and_real(networks)
    real.requires_grad_()
    losses = networks.discriminator_losses(networks.discriminators, real, labels, Fakes(real.detach()), draws)
    (grad,) = torch.autograd.grad(losses["image"], real)
    seen = grad.flatten(2).abs().sum(2) > 0
    expected = torch.zeros_like(seen).scatter(1, draws["frames_real"], True)
    assert torch.equal(seen, expected)


def test_the_weights_of_both_terms_scale_them():
    plain, weighted = tiny(), tiny(lambda_img=0.5, lambda_vid=3.0)
    results = []
    for networks in (plain, weighted):
        draws, real, labels = draws_and_real(networks)
        fakes = networks.generate(networks.generator, draws)
        results.append(
            (
                networks.discriminator_losses(networks.discriminators, real, labels, fakes, draws),
                networks.generator_losses(networks.discriminators, fakes, draws),
            )
        )
    for before, after in zip(*results, strict=True):
        assert torch.allclose(after["image"], 0.5 * before["image"])
        assert torch.allclose(after["video"], 3 * before["video"])


def test_under_svc_d_video_has_no_spectral_norm_and_is_clipped_every_n_clip_steps():
    networks = tiny(constraint_d_video="svc", n_clip=3)
    video = networks.discriminators["video"]
    weights = [layer.weight for layer in video.modules() if isinstance(layer, NORMALISED)]
    assert len(weights) == 6
    clipped_at = []
    for step in range(1, 8):
        with torch.no_grad():
            for parameter in video.parameters():
                parameter.mul_(3).add_(0.1)
        before = copy.deepcopy(video.state_dict())
        networks.constrain_(step)
        if any(not torch.equal(before[name], value) for name, value in video.state_dict().items()):
            clipped_at.append(step)
            assert all(torch.linalg.matrix_norm(weight.flatten(1), 2) < 1 + 1e-5 for weight in weights)
            norms = [layer for layer in video.modules() if isinstance(layer, nn.BatchNorm3d)]
            assert all((norm.weight.square() <= norm.running_var + 2 * norm.eps).all() for norm in norms)
    assert clipped_at == [1, 4, 7]


def test_under_spectral_norm_the_constraint_changes_nothing():
    networks = tiny()
    before = copy.deepcopy(networks.discriminators["video"].state_dict())
    networks.constrain_(1)
    assert all(
        torch.equal(before[name], value) for name, value in networks.discriminators["video"].state_dict().items()
    )


def test_every_layer_except_the_generators_class_embedding_is_spectrally_normalised():
    networks = tiny()
    bare = {
        f"{side}.{name}"
        for side, network in {"generator": networks.generator, **networks.discriminators}.items()
        for name, layer in network.named_modules()
        if isinstance(layer, NORMALISED) and not hasattr(layer, "parametrizations")
    }
    assert bare == {"generator.image.embedding"}
    assert hasattr(tiny(sn_embed_g=True).generator.image.embedding, "parametrizations")


def test_networks_in_bf16_autocast_stay_close_to_fp32():
    videos = []
    for enabled in (False, True):
        networks = tiny(channels=8)
        draws, _, _ = draws_and_real(networks)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            videos.append(networks.generate(networks.generator, draws).videos.float())
    assert (videos[0] - videos[1]).abs().mean() < 0.02


def motion_step(step: int = 1, **settings: Any) -> tuple[MVTGAN, Tensor, Tensor, Tensor]:
    """Networks under motion constraint, fakes with their graph, the term and its pairs."""
    networks = tiny(**{"variant": "mvt_mc", **settings})
    draws, real, labels = draws_and_real(networks)
    fakes = networks.generate(networks.generator, draws)
    return networks, fakes, *networks.motion_loss(real, labels, fakes, draws, step)


def test_the_motion_constraint_reaches_the_generator_and_every_fake_clip_and_trains_no_flow():
    networks, fakes, loss, n_pairs = motion_step()
    assert n_pairs == 2 * 2 + 1 + 1  # labels 0 1 2 0, of real clips and of fakes
    assert 0 < loss < 2
    (into_fakes,) = torch.autograd.grad(loss, fakes.videos, retain_graph=True)
    assert (into_fakes.flatten(1).abs().sum(1) > 0).all()
    loss.backward()
    assert not [name for name, p in networks.generator.named_parameters() if p.grad is None]
    assert not list(networks.motion.estimator.parameters())


def test_with_real_clips_as_fakes_only_pairs_of_different_clips_have_a_loss():
    networks = tiny(variant="mvt_mc")
    real = draws_and_real(networks)[1]
    alone = torch.arange(4)
    loss, n_pairs = networks.motion.loss(real, alone, real.clone(), alone, 1)
    assert n_pairs == 4
    assert loss.item() == pytest.approx(0, abs=1e-5)


def test_without_a_pair_of_one_class_the_term_is_zero():
    networks = tiny(variant="mvt_mc", label_sampling="uniform", n_classes=8)
    real = draws_and_real(networks)[1]
    loss, n_pairs = networks.motion.loss(real, torch.arange(4), real, torch.arange(4, 8), 1)
    assert (loss.item(), n_pairs.item()) == (0.0, 0)


def test_alpha_scales_the_term_and_rises_evenly_over_its_warm_up():
    whole = motion_step()[2]
    assert motion_step(alpha=3.0)[2].item() == pytest.approx(3 * whole.item())
    for step, part in ((1, 0.25), (3, 0.75), (4, 1), (9, 1)):
        assert motion_step(step, alpha_warm_up=4)[2].item() == pytest.approx(part * whole.item())


def test_the_flow_of_a_real_clip_is_estimated_once_over_all_batches():
    networks = tiny(variant="mvt_mc")
    draws, real, labels = draws_and_real(networks)
    fakes = networks.generate(networks.generator, draws)
    first, _ = networks.motion_loss(real, labels, fakes, draws, 1)
    order = torch.tensor([2, 0, 3, 1])
    again, _ = networks.motion_loss(real[order], labels[order], fakes, draws, 2)
    remembered = networks.motion.remembered
    assert (remembered.n_asked, remembered.n_estimated) == (8, 4)
    assert again.item() == pytest.approx(first.item(), rel=1e-5)
    fresh, _ = tiny(variant="mvt_mc").motion_loss(real[order], labels[order], fakes, draws, 2)
    assert torch.equal(fresh, again)


def test_a_full_cache_drops_the_least_recently_used_flow():
    flow = RememberedFlows(most_bytes=2 * 3 * 4)
    clips = torch.arange(3.0).view(3, 1, 1, 1, 1)
    for i in (0, 1, 0, 2, 0, 1):
        found = flow(clips[i : i + 1], lambda clip: clip.expand(1, 3, 1, 1, 1).clone())
        assert found.unique() == i
    assert flow.n_estimated == 4  # 0, 1, 2, and 1 again


def test_clips_that_are_not_on_the_cpu_are_estimated_together_and_not_remembered():
    flow, clips = RememberedFlows(), torch.empty(3, 1, 1, 1, 1, device="meta")
    assert flow(clips, lambda together: together) is clips
    assert flow.n_asked == 0


def test_pwc_net_stays_frozen_and_guides_the_generator(tmp_path: Path):
    torch.manual_seed(0)
    network = PWCNet(0.05)
    for parameter in network.parameters():  # its initial flow is zero and gives no gradient
        nn.init.normal_(parameter, std=0.1)
    torch.save({"state_dict": network.state_dict(), "width": 0.05}, tmp_path / "flow.pt")
    networks, _, loss, _ = motion_step(flow="pwc_net", flow_weights=str(tmp_path / "flow.pt"))
    loss.backward()
    estimator = networks.motion.estimator
    assert not estimator.training
    assert all(p.grad is None and not p.requires_grad for p in estimator.parameters())
    assert sum(p.grad.abs().sum() for p in networks.generator.parameters()) > 0


@pytest.mark.slow
def test_one_step_at_paper_scale_runs():
    torch.manual_seed(0)
    networks = MVTGAN.build(MVTConfig(resolution=96, n_classes=10, n_frames_image=4))
    draws, real, labels = draws_and_real(networks, n=2)
    with torch.no_grad():
        fakes = networks.generate(networks.generator, draws)
    losses = networks.discriminator_losses(networks.discriminators, real, labels, fakes, draws)
    sum(losses.values()).backward()
    networks.constrain_(1)
    fakes = networks.generate(networks.generator, draws)
    losses = networks.generator_losses(networks.discriminators, fakes, draws)
    sum(losses.values()).backward()
    assert fakes.videos.shape == (2, 16, 3, 96, 96)
    for network in (networks.generator, *networks.discriminators.values()):
        assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


def test_another_flow_and_other_weights_of_it_are_another_motion_constraint(tmp_path: Path):
    motion, network = {"alpha": 1.0, "flow_stride": 8}, PWCNet(0.05)
    all_networks = [tiny(**motion)]
    for seed in range(2):
        torch.manual_seed(seed)
        for weight in network.parameters():
            nn.init.normal_(weight, std=0.1)
        path = tmp_path / f"{seed}.pt"
        torch.save({"state_dict": network.state_dict(), "width": 0.05}, path)
        all_networks.append(tiny(**motion, flow="pwc_net", flow_weights=str(path)))
    _, real, _ = draws_and_real(all_networks[0])
    flows = [video_flow(networks.motion.estimator, real, stride=8) for networks in all_networks]
    assert not any(torch.equal(one, other) for one, other in itertools.combinations(flows, 2))


@torch.no_grad()
def test_realness_depends_on_the_label():
    networks = tiny()
    for discriminator in networks.discriminators.values():
        discriminator.eval()
    _, videos, labels = draws_and_real(networks, n=3)
    scores, under_others = networks.realness(videos, labels), networks.realness(videos, labels.roll(1))
    assert not torch.isclose(scores, under_others, rtol=1e-6, atol=0).any()


def test_the_subspaces_of_a_code_are_a_b_and_c():
    assert tuple(tiny().generator.subspaces) == ("A", "B", "C")


def test_truncation_is_in_standard_deviations_of_each_subspace():
    generator, tau = tiny().generator, 0.7
    z = generator.sample_z(200, rng(), truncation=tau)
    for name, part in generator.subspaces.items():
        assert z[:, part].abs().max() <= tau * getattr(generator.config, f"sigma_{name.lower()}") * (1 + 1e-6)
