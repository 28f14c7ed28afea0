"""What the training loop may expect of every family: its step is pure, sliceable, and reaches every parameter."""

import copy
import io
import itertools
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from videogan.config import ConfigurationError
from videogan.families import FAMILIES
from videogan.nets.layout import lay_channels_last_
from videogan.sampling.sampling import ALONE, between_classes, between_codes, codes, render, sampling_copy
from videogan.sampling.subspaces import resample

SMALL: dict[str, dict[str, Any]] = {
    "mvt": {"resolution": 32, "n_classes": 3, "channels": 2, "gru_hidden": 8, "n_frames_image": 4},
    "vgan": {"resolution": 32, "n_classes": 3, "n_frames": 16, "width": 1 / 32, "dim_z": 8, "noise_sigma": 0.2},
    "mocogan": {"resolution": 32, "n_classes": 3, "width": 1 / 32},
    "tgan": {"resolution": 32, "n_classes": 3, "width": 1 / 16, "dim_z": 6},
    "volume3d": {"resolution": 32, "n_classes": 3, "width": 1 / 32, "dim_z": 6},
}
WITHOUT_STATISTICS: dict[str, dict[str, Any]] = {
    "mvt": {"norm_g": "none", "seq_bn": "none", "d_video_norm": "none"},
    "vgan": {"norm": "none"},
    "mocogan": {"norm": "none"},
    "tgan": {},
    "volume3d": {},
}
"""Settings without batch norm, where a family has them; elsewhere its batch norms are put to their running statistics."""

CONDITIONAL: dict[str, dict[str, Any]] = {"mvt": {}, "mocogan": {}, "tgan": {"conditional": True}}
"""Settings under which a family is told classes, where it can be."""


def built(family: str, **settings: Any) -> Any:
    torch.manual_seed(0)
    kind = FAMILIES[family]
    return kind.build(kind.config_type(**{**SMALL[family], **settings}))


def drawn(networks: Any, n: int = 4, seed: int = 0) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    config, rng = networks.config, torch.Generator().manual_seed(seed)
    labels = torch.randint(config.n_classes, (n,), generator=rng)
    real = torch.rand(n, config.n_frames, 3, config.resolution, config.resolution, generator=rng) * 2 - 1
    return networks.draw(n, rng, torch.ones(config.n_classes), labels), real, labels


AT_PAPER_SCALE: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "mvt": (
        {"n_classes": 101, "resolution": 128},
        {"generator": 90_816_076, "image": 86_636_066, "video": 24_872_065},
    ),
    "vgan": ({"n_classes": 101}, {"generator": 16_245_383, "video": 11_057_858}),
    "mocogan": ({"n_classes": 101}, {"generator": 4_077_076, "image": 663_296, "video": 14_366_464}),
    "tgan": ({"n_classes": 101}, {"generator": 825_444 + 3_622_691, "video": 11_032_385}),
    "volume3d": ({"n_classes": 101}, {"generator": 11_867_459, "video": 11_032_385}),
}
"""A family as published, on UCF-101, and the parameters of its networks, counted apart from this code."""


def test_every_family_is_under_contract():
    assert set(SMALL) == set(WITHOUT_STATISTICS) == set(AT_PAPER_SCALE) == set(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_at_the_papers_scale_networks_have_exactly_the_parameters_that_were_counted(family: str):
    settings, expected = AT_PAPER_SCALE[family]
    with torch.device("meta"):
        networks = FAMILIES[family].build(FAMILIES[family].config_type(**settings))
    parts = {"generator": networks.generator, **networks.discriminators}
    assert {name: sum(weight.numel() for weight in part.parameters()) for name, part in parts.items()} == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_a_configuration_names_its_family(family: str):
    assert FAMILIES[family].config_type(**SMALL[family]).family == family


@pytest.mark.parametrize("family", FAMILIES)
def test_draws_are_a_pure_function_of_the_generator_with_one_row_a_clip(family: str):
    networks = built(family)
    torch.manual_seed(1)
    first, _, _ = drawn(networks)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second, _, _ = drawn(networks)
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(len(draw) == 4 and draw.device.type == "cpu" for draw in first.values())
    assert any(not torch.equal(first[name], draw) for name, draw in drawn(networks, seed=5)[0].items())


@pytest.mark.parametrize("family", FAMILIES)
def test_the_step_uses_no_randomness_but_its_draws(family: str):
    networks = built(family)
    draws, real, labels = drawn(networks)
    before = torch.get_rng_state()
    fake = networks.generate(networks.generator, draws)
    networks.discriminator_losses(networks.discriminators, real, labels, fake, draws)
    networks.generator_losses(networks.discriminators, fake, draws)
    FAMILIES[family].constrain_update_(networks)
    networks.constrain_(1)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("family", FAMILIES)
def test_videos_are_clips_in_range(family: str):
    networks = built(family)
    draws, real, _ = drawn(networks)
    with torch.no_grad():
        fake = networks.generate(networks.generator, draws)
    assert fake.shape == real.shape
    assert fake.abs().max() <= 1


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_in_eval_mode_a_clip_follows_from_its_own_code_whatever_else_is_in_its_batch(family: str):
    generator, rng = sampler_of(family).double(), torch.Generator().manual_seed(0)
    y = torch.tensor([0, 1, 2, 1])
    z, others = generator.sample_z(4, rng).double(), generator.sample_z(4, rng).double()
    others[2] = z[2]
    whole, among_others = generator(z, y), generator(others, y)
    assert torch.equal(whole[2], among_others[2])
    assert not torch.equal(whole[1], among_others[1])
    assert torch.allclose(generator(z[2:3], y[2:3]), whole[2:3], atol=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
def test_labels_reach_the_video_where_a_family_is_conditional_and_only_there(family: str):
    networks = built(family)
    generator, z = networks.generator.eval(), networks.generator.sample_z(2, torch.Generator().manual_seed(0))
    with torch.no_grad():
        one, other = (generator(z, torch.tensor(y)) for y in ([0, 1], [2, 1]))
    assert torch.equal(one[0], other[0]) != FAMILIES[family].is_conditional(networks.config)
    assert torch.equal(one[1], other[1])


@pytest.mark.parametrize("family", FAMILIES)
def test_discriminator_losses_reach_every_discriminator_parameter_and_no_generator_parameter(family: str):
    networks = built(family)
    draws, real, labels = drawn(networks)
    fake = networks.generate(networks.generator, draws)
    losses = networks.discriminator_losses(networks.discriminators, real, labels, fake, draws)
    assert all(loss.ndim == 0 and loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()
    for name, discriminator in networks.discriminators.items():
        missed = [parameter for parameter, value in discriminator.named_parameters() if value.grad is None]
        assert not missed, name
    assert all(parameter.grad is None for parameter in networks.generator.parameters())


@pytest.mark.parametrize("family", FAMILIES)
def test_generator_losses_reach_every_generator_parameter(family: str):
    networks = built(family)
    draws, _, _ = drawn(networks)
    losses = networks.generator_losses(networks.discriminators, networks.generate(networks.generator, draws), draws)
    assert all(loss.ndim == 0 and loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()
    assert not [name for name, parameter in networks.generator.named_parameters() if parameter.grad is None]


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_of_half_batches_average_to_those_of_the_whole_without_batch_statistics(family: str):
    whole, halves = built(family, **WITHOUT_STATISTICS[family]), []
    for network in (whole.generator, *whole.discriminators.values()):
        for layer in network.modules():
            if isinstance(layer, _BatchNorm):
                layer.eval()
    draws, real, labels = drawn(whole)

    def gradients(networks: Any, rows: slice) -> list[Tensor]:
        part = {name: draw[rows] for name, draw in draws.items()}
        fake = networks.generate(networks.generator, part)
        d_losses = networks.discriminator_losses(networks.discriminators, real[rows], labels[rows], fake, part)
        g_losses = networks.generator_losses(networks.discriminators, fake, part)
        d_parameters = [p for d in networks.discriminators.values() for p in d.parameters()]
        d_gradients = torch.autograd.grad(sum(d_losses.values()), d_parameters)
        return [*d_gradients, *torch.autograd.grad(sum(g_losses.values()), list(networks.generator.parameters()))]

    halves = [gradients(copy.deepcopy(whole), rows) for rows in (slice(0, 2), slice(2, 4))]
    for expected, first, second in zip(gradients(whole, slice(0, 4)), *halves, strict=True):
        assert (expected - (first + second) / 2).abs().max() <= 1e-4 * expected.abs().max() + 1e-6


@pytest.mark.parametrize("family", FAMILIES)
def test_a_deep_copy_and_a_reloaded_state_generate_the_same_video(family: str):
    networks = built(family)
    draws, _, _ = drawn(networks)
    torch.manual_seed(99)
    other = FAMILIES[family].build(networks.config)
    other.generator.load_state_dict(networks.generator.state_dict())
    copied = copy.deepcopy(networks.generator)
    with torch.no_grad():
        videos = [networks.generate(g.eval(), draws) for g in (networks.generator, copied, other.generator)]
    assert torch.equal(videos[0], videos[1])
    assert torch.equal(videos[0], videos[2])


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_discriminators_of_a_saved_state_judge_the_same_clips_alike(family: str):
    networks, videos, labels = scored(family)
    torch.manual_seed(99)
    other, stored = FAMILIES[family].build(networks.config), io.BytesIO()
    before = other.realness(videos, labels)
    torch.save({name: network.state_dict() for name, network in networks.discriminators.items()}, stored)
    stored.seek(0)
    for name, state in torch.load(stored, weights_only=True).items():
        other.discriminators[name].load_state_dict(state)
        other.discriminators[name].eval()
    assert torch.equal(other.realness(videos, labels), networks.realness(videos, labels))
    assert not torch.equal(before, other.realness(videos, labels))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_same_seed_builds_the_same_networks_and_gives_the_same_bits(family: str):
    first, second = built(family), built(family)
    for one, other in zip(
        (first.generator, *first.discriminators.values()),
        (second.generator, *second.discriminators.values()),
        strict=True,
    ):
        assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())
    for seen in zip(videos_and_losses(first), videos_and_losses(second), strict=True):
        assert torch.equal(*seen)


def videos_and_losses(networks: Any) -> list[Tensor]:
    draws, real, labels = drawn(networks)
    fake = networks.generate(networks.generator, draws)
    d_losses = networks.discriminator_losses(networks.discriminators, real, labels, fake, draws)
    return [fake, *d_losses.values(), *networks.generator_losses(networks.discriminators, fake, draws).values()]


@pytest.mark.parametrize("family", FAMILIES)
def test_memory_layout_changes_no_loss(family: str):
    totals = []
    for channels_last in (False, True):
        networks = built(family)
        if channels_last:
            for network in (networks.generator, *networks.discriminators.values()):
                lay_channels_last_(network)
        totals.append(torch.stack(videos_and_losses(networks)[1:]))
    assert torch.allclose(totals[0], totals[1], rtol=1e-4, atol=1e-4)


def scored(family: str) -> tuple[Any, Tensor, Tensor]:
    """Networks with discriminators in eval mode, and 3 clips, each of a class of its own."""
    networks = built(family)
    for discriminator in networks.discriminators.values():
        discriminator.eval()
    _, videos, _ = drawn(networks, n=3)
    return networks, videos, torch.arange(3)


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_realness_is_one_finite_score_a_clip_that_depends_on_no_other_clip_of_its_batch(family: str):
    networks, videos, labels = scored(family)
    before = torch.get_rng_state()
    scores = networks.realness(videos, labels)
    alone = torch.cat([networks.realness(videos[i : i + 1], labels[i : i + 1]) for i in range(3)])
    assert torch.equal(before, torch.get_rng_state())
    assert scores.shape == (3,)
    assert scores.isfinite().all()
    assert torch.allclose(scores, alone, rtol=1e-4, atol=1e-5)
    of_others = networks.realness(videos.roll(1, 0), labels)
    assert not torch.isclose(scores, of_others, rtol=1e-6, atol=0).any()


@pytest.mark.parametrize("family", ["mvt"])
@torch.no_grad()
def test_realness_depends_on_the_label_where_discriminators_are_told_it(family: str):
    networks, videos, labels = scored(family)
    scores, under_others = networks.realness(videos, labels), networks.realness(videos, labels.roll(1))
    assert not torch.isclose(scores, under_others, rtol=1e-6, atol=0).any()


def sampler_of(family: str, **settings: Any) -> Any:
    return sampling_copy(built(family, **settings).generator, n_classes=3, n_batches=2, batch_size=8)


@pytest.mark.parametrize("family", FAMILIES)
def test_interpolation_between_codes_begins_and_ends_bit_for_bit_at_what_they_make_alone(family: str):
    sampler, y = sampler_of(family), torch.tensor([2])
    z = codes(sampler, 2, seed=0).split(1)
    (clips,) = between_codes(sampler, z, y, n_steps=4)
    assert torch.equal(clips[:1], render(sampler, z[0], y, 16))
    assert torch.equal(clips[-1:], render(sampler, z[1], y, 16))
    assert all(not torch.equal(one, other) for one, other in itertools.pairwise(clips))


@pytest.mark.parametrize("family", CONDITIONAL)
def test_interpolation_between_classes_begins_and_ends_bit_for_bit_at_both(family: str):
    sampler, y = sampler_of(family, **CONDITIONAL[family]), (torch.tensor([2]), torch.tensor([0]))
    z = codes(sampler, 1, seed=0)
    (clips,) = between_classes(sampler, z, y, n_steps=4)
    assert torch.equal(clips[:1], render(sampler, z, y[0], 16))
    assert torch.equal(clips[-1:], render(sampler, z, y[1], 16))
    assert not torch.equal(clips[0], clips[-1])
    assert torch.equal(render(sampler, z, sampler.class_vectors(y[0]), 16), clips[:1])


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "mvt"])
def test_interpolation_between_classes_is_refused_where_none_are_told(family: str):
    settings = {"conditional": False} if family in CONDITIONAL else {}
    sampler, y = sampler_of(family, **settings), (torch.tensor([2]), torch.tensor([0]))
    with pytest.raises(
        ConfigurationError, match=f"needs a generator that is told classes, got an unconditional {family}"
    ):
        between_classes(sampler, codes(sampler, 1, seed=0), y, n_steps=4)


@pytest.mark.parametrize("n_frames", [5, 16, 21])
@pytest.mark.parametrize("family", FAMILIES)
def test_another_length_is_made_or_refused_before_anything_is_drawn(family: str, n_frames: int):
    generator = built(family).generator.eval()
    if family not in ("mvt", "mocogan") and n_frames != 16:
        with pytest.raises(ConfigurationError, match=f"n_frames must be .*16.* got {n_frames}"):
            codes(generator, 1, seed=0, n_frames=n_frames)
        return
    z = codes(generator, 2, seed=0, n_frames=n_frames)
    assert render(generator, z, torch.tensor([0, 1]), n_frames).shape == (2, n_frames, 32, 32, 3)


@pytest.mark.parametrize(
    ("family", "settings", "n_same"),
    [("mvt", {"variant": "mvt_var"}, 16), ("mvt", {"shift_blocks": 2}, 14), ("mocogan", {}, 16)],
    ids=["mvt", "mvt with a shift that looks two frames ahead", "mocogan"],
)
def test_a_longer_clip_begins_as_the_shorter_one_of_the_same_seed(family: str, settings: dict[str, Any], n_same: int):
    sampler, y = sampler_of(family, **settings), torch.tensor([1])
    short, long = (render(sampler, codes(sampler, 1, 3, n_frames=n), y, n, ALONE) for n in (16, 40))
    difference = (long[:, :16].int() - short.int()).abs().flatten(2).amax(2)
    assert difference[:, :n_same].max() <= 1, "rounding may differ with the number of frames"
    assert n_same == 16 or difference[0, -1] > 1
    assert not torch.equal(long[:, 16:32], short)


@pytest.mark.parametrize("family", FAMILIES)
def test_truncated_codes_are_the_same_ones_with_what_lies_outside_drawn_again(family: str):
    generator, tau = built(family).generator, 0.7
    z = codes(generator, 50, seed=0)
    if family in ("tgan", "volume3d"):
        with pytest.raises(ConfigurationError, match=r"truncation needs normal codes, got 0\.7"):
            codes(generator, 50, seed=0, truncation=tau)
        return
    truncated = codes(generator, 50, seed=0, truncation=tau)
    sigma = torch.ones(z.shape[1])
    if family == "mvt":
        for name, part in generator.subspaces.items():
            sigma[part] = getattr(generator.config, f"sigma_{name.lower()}")
    inside = (z / sigma).abs() <= tau
    assert 0.4 < inside.double().mean() < 0.6
    assert torch.equal(truncated[inside], z[inside])
    assert (truncated / sigma).abs().max() <= tau * (1 + 1e-6)
    assert (truncated / sigma)[~inside].abs().std() > 0.1
    assert torch.equal(truncated, codes(generator, 50, seed=0, truncation=tau))


@pytest.mark.parametrize(("family", "names"), [("mvt", "ABC"), ("mocogan", ("content", "motion"))])
def test_subspaces_are_parts_that_make_up_the_whole_code(family: str, names: tuple[str, ...]):
    generator = built(family).generator
    z, fresh = codes(generator, 2, seed=0, n_frames=20).split(1)
    resampled = z
    for part in generator.subspaces.values():
        before, resampled = resampled, resample(resampled, fresh, part)
        assert torch.equal(resampled[:, part], fresh[:, part])
        assert (resampled != before).sum() == z[:, part].numel(), "nothing else changes"
    assert tuple(generator.subspaces) == tuple(names)
    assert torch.equal(resampled, fresh)
