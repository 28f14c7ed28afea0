"""The contract of every family: its step is pure, works on slices of a batch, and trains every parameter."""

import copy
import io
import itertools
import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from tests.contracts.tiny_families import CASES, NONE, tiny_config
from videogan.config import ConfigurationError
from videogan.families import FAMILIES
from videogan.families.contract import AnyGAN, Generator, Settings
from videogan.losses import CROSS_ENTROPY_OF_GUESSING
from videogan.nets.layout import lay_channels_last_
from videogan.sampling.sampling import between_classes, between_codes, codes, frames_between, render, sampling_copy
from videogan.sampling.subspaces import resample, subspaces_of

EVERY_CASE = pytest.mark.parametrize(("family", "settings"), CASES)


def built(family: str, settings: Settings = NONE) -> AnyGAN:
    torch.manual_seed(0)
    return FAMILIES[family].build(tiny_config(family, settings))


def drawn(networks: AnyGAN, n: int = 4, seed: int = 0) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    config, rng = networks.config, torch.Generator().manual_seed(seed)
    labels = torch.randint(config.n_classes, (n,), generator=rng)
    real = torch.rand(n, config.n_frames, config.colours, config.resolution, config.resolution, generator=rng) * 2 - 1
    return networks.draw(n, rng, torch.ones(config.n_classes), labels), real, labels


@pytest.mark.parametrize("family", FAMILIES)
def test_the_published_networks_have_exactly_the_parameters_counted_independently(family: str):
    kind = FAMILIES[family]
    with torch.device("meta"):
        networks = kind.build(kind.config_type(**{"n_classes": 101, **kind.facts.published}))
    parts = {"generator": networks.generator, **networks.discriminators}
    counted = {name: sum(weight.numel() for weight in part.parameters()) for name, part in parts.items()}
    assert counted == kind.facts.n_parameters


@pytest.mark.parametrize("family", FAMILIES)
def test_a_configuration_names_its_family(family: str):
    assert tiny_config(family).family == family


@EVERY_CASE
def test_draws_are_a_pure_function_of_the_generator_with_one_row_per_clip(family: str, settings: Settings):
    networks = built(family, settings)
    torch.manual_seed(1)
    first, _, _ = drawn(networks)
    torch.manual_seed(2)
    before = torch.get_rng_state()
    second, _, _ = drawn(networks)
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert all(len(draw) == 4 and draw.device.type == "cpu" for draw in first.values())
    assert any(not torch.equal(first[name], draw) for name, draw in drawn(networks, seed=5)[0].items())


@EVERY_CASE
def test_the_step_uses_no_randomness_but_its_draws(family: str, settings: Settings):
    networks = built(family, settings)
    draws, real, labels = drawn(networks)
    before = torch.get_rng_state()
    fakes = networks.generate(networks.generator, draws)
    networks.discriminator_losses(networks.discriminators, real, labels, fakes, draws)
    networks.generator_losses(networks.discriminators, fakes, draws)
    networks.constrain_update_()
    networks.constrain_(1)
    assert torch.equal(before, torch.get_rng_state())


@EVERY_CASE
def test_scores_and_losses_have_fp32s_digits_under_bf16_autocast(family: str, settings: Settings):
    networks = built(family, settings)
    draws, real, labels = drawn(networks)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        fakes = networks.generate(networks.generator, draws)
        losses_d = networks.discriminator_losses(networks.discriminators, real, labels, fakes, draws)
        losses_g = networks.generator_losses(networks.discriminators, fakes, draws)
        scores = networks.realness(real, labels)
    assert {value.dtype for value in (scores, *losses_d.values(), *losses_g.values())} == {torch.float32}
    assert not torch.equal(scores, scores.bfloat16().float()), "the last layer computes in fp32"


@EVERY_CASE
def test_videos_are_clips_in_range(family: str, settings: Settings):
    networks = built(family, settings)
    draws, real, labels = drawn(networks)
    with torch.no_grad():
        fakes = networks.generate(networks.generator, draws)
        clips = networks.generator(networks.generator.sample_z(4, torch.Generator().manual_seed(0)), labels)
    assert clips.shape == real.shape
    assert fakes.videos.shape[2:] == real.shape[2:], "a family may train on fewer frames"
    assert max(videos.abs().max() for videos in (clips, fakes.videos)) <= 1


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_in_eval_mode_a_clip_depends_only_on_its_own_code(family: str):
    generator, rng = sampler_of(family).double(), torch.Generator().manual_seed(0)
    y = torch.tensor([0, 1, 2, 1])
    z, others = generator.sample_z(4, rng).double(), generator.sample_z(4, rng).double()
    others[2] = z[2]
    whole, among_others = generator(z, y), generator(others, y)
    assert torch.equal(whole[2], among_others[2])
    assert not torch.equal(whole[1], among_others[1])
    assert torch.allclose(generator(z[2:3], y[2:3]), whole[2:3], atol=1e-9)


@EVERY_CASE
def test_labels_reach_the_video_if_a_gan_is_conditional_and_only_then(family: str, settings: Settings):
    networks = built(family, settings)
    generator, z = networks.generator.eval(), networks.generator.sample_z(2, torch.Generator().manual_seed(0))
    with torch.no_grad():
        one, other = (generator(z, torch.tensor(y)) for y in ([0, 1], [2, 1]))
    assert torch.equal(one[0], other[0]) != networks.config.is_conditional
    assert torch.equal(one[1], other[1])


@EVERY_CASE
def test_discriminator_losses_reach_every_discriminator_parameter_and_no_generator_parameter(
    family: str, settings: Settings
):
    networks = built(family, settings)
    draws, real, labels = drawn(networks)
    for n_clips_seen in FAMILIES[family].facts.clips_seen:
        networks.begin_step_(n_clips_seen)
        fakes = networks.generate(networks.generator, draws)
        losses = networks.discriminator_losses(networks.discriminators, real, labels, fakes, draws)
        assert all(loss.ndim == 0 and loss.isfinite() for loss in losses.values())
        sum(losses.values()).backward()
    for name, discriminator in networks.discriminators.items():
        missed = [parameter for parameter, value in discriminator.named_parameters() if value.grad is None]
        assert not missed, name
    assert all(parameter.grad is None for parameter in networks.generator.parameters())


@EVERY_CASE
def test_generator_losses_reach_every_generator_parameter(family: str, settings: Settings):
    networks = built(family, settings)
    draws, _, _ = drawn(networks)
    for n_clips_seen in FAMILIES[family].facts.clips_seen:
        networks.begin_step_(n_clips_seen)
        losses = networks.generator_losses(networks.discriminators, networks.generate(networks.generator, draws), draws)
        assert all(loss.ndim == 0 and loss.isfinite() for loss in losses.values())
        sum(losses.values()).backward()
    assert not [name for name, parameter in networks.generator.named_parameters() if parameter.grad is None]


@EVERY_CASE
def test_some_parameters_rest_in_a_step_if_a_family_says_so_and_only_then(family: str, settings: Settings):
    networks = built(family, settings)
    draws, real, labels = drawn(networks)
    networks.begin_step_(0)
    fakes = networks.generate(networks.generator, draws)
    losses = networks.discriminator_losses(networks.discriminators, real, labels, fakes, draws)
    of_generator = networks.generator_losses(networks.discriminators, fakes, draws)
    sum([*losses.values(), *of_generator.values()]).backward()
    weights = [p for network in (networks.generator, *networks.discriminators.values()) for p in network.parameters()]
    assert networks.has_idle == any(weight.grad is None for weight in weights)


def in_fp64(draw: Tensor) -> Tensor:
    return draw.double() if draw.is_floating_point() else draw


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_of_half_batches_average_to_those_of_the_whole_without_batch_statistics(family: str):
    whole, halves = built(family, FAMILIES[family].facts.without_batch_norm), []
    for network in (whole.generator, *whole.discriminators.values()):
        for layer in network.double().modules():
            if isinstance(layer, _BatchNorm):
                layer.eval()
    draws, real, labels = drawn(whole)
    draws, real = {name: in_fp64(draw) for name, draw in draws.items()}, real.double()

    def gradients(networks: AnyGAN, rows: slice) -> list[Tensor | None]:
        part = {name: draw[rows] for name, draw in draws.items()}
        fakes = networks.generate(networks.generator, part)
        d_losses = networks.discriminator_losses(networks.discriminators, real[rows], labels[rows], fakes, part)
        g_losses = networks.generator_losses(networks.discriminators, fakes, part)
        d_parameters = [p for d in networks.discriminators.values() for p in d.parameters()]
        g_parameters, may_rest = list(networks.generator.parameters()), networks.has_idle
        d_gradients = torch.autograd.grad(sum(d_losses.values()), d_parameters, allow_unused=may_rest)
        return [*d_gradients, *torch.autograd.grad(sum(g_losses.values()), g_parameters, allow_unused=may_rest)]

    halves = [gradients(copy.deepcopy(whole), rows) for rows in (slice(0, 2), slice(2, 4))]
    for expected, first, second in zip(gradients(whole, slice(0, 4)), *halves, strict=True):
        if expected is first is second is None:
            continue
        assert (expected - (first + second) / 2).abs().max() <= 1e-7 * expected.abs().max() + 1e-9


@pytest.mark.parametrize("family", FAMILIES)
def test_a_deep_copy_and_a_reloaded_state_generate_the_same_video(family: str):
    networks = built(family)
    draws, _, _ = drawn(networks)
    torch.manual_seed(99)
    other = FAMILIES[family].build(networks.config)
    other.generator.load_state_dict(networks.generator.state_dict())
    copied = copy.deepcopy(networks.generator)
    with torch.no_grad():
        videos = [networks.generate(g.eval(), draws).videos for g in (networks.generator, copied, other.generator)]
    assert torch.equal(videos[0], videos[1])
    assert torch.equal(videos[0], videos[2])


@pytest.mark.parametrize("family", FAMILIES)
@torch.no_grad()
def test_discriminators_of_a_saved_state_give_the_same_scores(family: str):
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


@EVERY_CASE
def test_the_same_seed_builds_the_same_networks_and_gives_the_same_bits(family: str, settings: Settings):
    first, second = built(family, settings), built(family, settings)
    for one, other in zip(
        (first.generator, *first.discriminators.values()),
        (second.generator, *second.discriminators.values()),
        strict=True,
    ):
        assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())
    for seen in zip(videos_and_losses(first), videos_and_losses(second), strict=True):
        assert torch.equal(*seen)


def videos_and_losses(networks: AnyGAN) -> list[Tensor]:
    draws, real, labels = drawn(networks)
    fakes = networks.generate(networks.generator, draws)
    d_losses = networks.discriminator_losses(networks.discriminators, real, labels, fakes, draws)
    return [
        fakes.videos,
        *d_losses.values(),
        *networks.generator_losses(networks.discriminators, fakes, draws).values(),
    ]


@EVERY_CASE
def test_memory_layout_changes_no_loss(family: str, settings: Settings):
    totals = []
    for channels_last in (False, True):
        networks = built(family, settings)
        if channels_last:
            for network in (networks.generator, *networks.discriminators.values()):
                lay_channels_last_(network)
        totals.append(torch.stack(videos_and_losses(networks)[1:]))
    assert torch.allclose(totals[0], totals[1], rtol=1e-4, atol=1e-4)


def scored(family: str, settings: Settings = NONE) -> tuple[AnyGAN, Tensor, Tensor]:
    """Networks with discriminators in eval mode, and 3 clips, each of another class."""
    networks = built(family, settings)
    for discriminator in networks.discriminators.values():
        discriminator.eval()
    _, videos, _ = drawn(networks, n=3)
    return networks, videos, torch.arange(3)


@EVERY_CASE
@torch.no_grad()
def test_realness_is_one_finite_score_per_clip_and_depends_on_no_other_clip(family: str, settings: Settings):
    networks, videos, labels = scored(family, settings)
    before = torch.get_rng_state()
    scores = networks.realness(videos, labels)
    alone = torch.cat([networks.realness(videos[i : i + 1], labels[i : i + 1]) for i in range(3)])
    assert torch.equal(before, torch.get_rng_state())
    assert scores.shape == (3,)
    assert scores.isfinite().all()
    assert torch.allclose(scores, alone, rtol=1e-4, atol=1e-5)
    of_others = networks.realness(videos.roll(1, 0), labels)
    assert not torch.isclose(scores, of_others, rtol=1e-6, atol=0).any()


def sampler_of(family: str, settings: Settings = NONE) -> Generator:
    return sampling_copy(built(family, settings).generator, n_classes=3, n_batches=2, batch_size=8)


@EVERY_CASE
def test_zero_is_undecided_exactly_where_realness_is_the_logit_of_one_cross_entropy(family: str, settings: Settings):
    networks = built(family, settings)
    losses = list(networks.losses_of_guessing(networks.config).values())
    is_one_logit = len(networks.discriminators) == 1 and losses == [pytest.approx(CROSS_ENTROPY_OF_GUESSING)]
    assert networks.zero_is_undecided(networks.config) == is_one_logit


@pytest.mark.parametrize("family", FAMILIES)
def test_interpolation_between_codes_begins_and_ends_bit_for_bit_at_their_own_clips(family: str):
    sampler, y = sampler_of(family), torch.tensor([2])
    z = codes(sampler, 2, seed=0).split(1)
    (clips,) = between_codes(sampler, z, y, n_steps=4)
    assert torch.equal(clips[:1], render(sampler, z[0], y, 16))
    assert torch.equal(clips[-1:], render(sampler, z[1], y, 16))
    assert all(not torch.equal(one, other) for one, other in itertools.pairwise(clips))


@EVERY_CASE
def test_interpolation_between_classes_begins_and_ends_bit_for_bit_at_both_or_is_refused(
    family: str, settings: Settings
):
    sampler, y = sampler_of(family, settings), (torch.tensor([2]), torch.tensor([0]))
    z = codes(sampler, 1, seed=0)
    if not sampler.config.is_conditional:
        with pytest.raises(ConfigurationError, match=f"needs a conditional generator, got an unconditional {family}"):
            between_classes(sampler, z, y, n_steps=4)
        return
    (clips,) = between_classes(sampler, z, y, n_steps=4)
    assert torch.equal(clips[:1], render(sampler, z, y[0], 16))
    assert torch.equal(clips[-1:], render(sampler, z, y[1], 16))
    assert not torch.equal(clips[0], clips[-1])
    assert torch.equal(render(sampler, z, sampler.class_vectors(y[0]), 16), clips[:1])


@pytest.mark.parametrize("n_frames", [5, 16, 21])
@pytest.mark.parametrize("family", FAMILIES)
def test_another_length_is_made_or_refused_before_anything_is_drawn(family: str, n_frames: int):
    generator = built(family).generator.eval()
    if refusal := refusal_of(lambda: codes(generator, 1, seed=0, n_frames=n_frames)):
        assert n_frames != 16
        assert re.match(f"n_frames must be .*16.* got {n_frames}", refusal)
        assert (
            refusal_of(lambda: render(generator, codes(generator, 1, seed=0), torch.tensor([0]), n_frames)) == refusal
        )
        return
    z = codes(generator, 2, seed=0, n_frames=n_frames)
    assert render(generator, z, torch.tensor([0, 1]), n_frames).shape == (2, n_frames, 32, 32, 3)


def refusal_of(attempt: Callable[[], object]) -> str:
    """The message with which a configuration is refused; empty if it is not."""
    try:
        attempt()
    except ConfigurationError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("family", FAMILIES)
def test_truncation_redraws_the_outermost_numbers_of_a_code_or_is_refused(family: str):
    generator, tau = built(family).generator, 0.7
    z = codes(generator, 60, seed=0)
    if refusal := refusal_of(lambda: codes(generator, 60, seed=0, truncation=tau)):
        assert "truncation needs normal codes, got 0.7" in refusal
        return
    truncated = codes(generator, 60, seed=0, truncation=tau)
    kept = truncated == z
    assert 0.4 < kept.double().mean() < 0.6, "52 % of a normal distribution is within 0.7 deviations"
    for column, new, same in zip(z.T, truncated.T, kept.T, strict=True):
        nearest_redrawn = column[~same].abs().min()
        assert column[same].abs().max() < nearest_redrawn
        assert new.abs().max() < nearest_redrawn
    assert (truncated - truncated.mean(0))[~kept].std() > 0.1
    assert torch.equal(truncated, codes(generator, 60, seed=0, truncation=tau))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_subspaces_of_a_code_cover_the_whole_code(family: str):
    generator = built(family).generator
    z, fresh = codes(generator, 2, seed=0, n_frames=16).split(1)
    resampled = z
    for part in generator.subspaces.values():
        before, resampled = resampled, resample(resampled, fresh, part)
        assert torch.equal(resampled[:, part], fresh[:, part])
        assert (resampled != before).sum() == z[:, part].numel(), "nothing else changes"
    if generator.subspaces:
        assert torch.equal(resampled, fresh)
    else:
        with pytest.raises(ConfigurationError, match=f"{family} has one code without subspaces"):
            subspaces_of(generator)


@pytest.mark.parametrize("family", FAMILIES)
def test_frames_between_frames_keep_the_frames_or_are_refused(family: str):
    sampler, y = sampler_of(family), torch.tensor([1])
    z = codes(sampler, 1, seed=0)
    if not sampler.makes_frames_between:
        for refused in (frames_between, lambda *asked: type(sampler).with_frames_between(*asked)):
            with pytest.raises(ConfigurationError, match=f"{family} makes no frames between frames"):
                refused(sampler, z, y, 1)
        return
    longer = frames_between(sampler, z, y, 1)
    assert longer.shape[1] == 31
    assert torch.equal(longer[:, ::2], render(sampler, z, y, 16))
