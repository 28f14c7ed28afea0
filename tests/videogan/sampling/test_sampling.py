"""Samples depend only on seeds, standing statistics are averages, interpolations end at the given codes."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from videogan.config import ConfigurationError
from videogan.data.clips import to_frames
from videogan.families import FAMILIES
from videogan.families.contract import Generator
from videogan.sampling.sampling import (
    ALONE,
    between_classes,
    between_codes,
    codes,
    frames_between,
    in_classes,
    render,
    sample_grid,
    sampling_copy,
    synthesise,
)
from videogan.seeds import seed_of


@pytest.fixture(scope="module")
def generator() -> nn.Module:
    torch.manual_seed(0)
    family = FAMILIES["mvt"]
    config = family.config_type(variant="mvt_tsa", resolution=32, n_classes=3, channels=8, gru_hidden=32)
    return family.build(config).generator


@pytest.fixture(scope="module")
def sampler(generator) -> nn.Module:
    return sampling_copy(generator, 3, n_batches=2, batch_size=8)


def nearly_equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Equal but for rounding, which may differ with the size of the batch."""
    return a.shape == b.shape and (a.int() - b.int()).abs().max().item() <= 1


class OneNorm(Generator):
    """A generator that is one batch norm over noise of mean 3 and standard deviation 2."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(5)

    def sample_z(self, n, generator=None, n_frames=None, truncation=None):
        return 3 + 2 * torch.randn(n, 5, generator=generator)

    def forward(self, z, y, n_frames=16):
        return self.norm(z)


def test_standing_statistics_are_the_plain_average_over_the_sampling_batches():
    copied = sampling_copy(OneNorm(), 1, n_batches=4, batch_size=25, seed=7)
    batches = codes(copied, 100, seed_of("standing", 7)).split(25)
    torch.testing.assert_close(copied.norm.running_mean, torch.stack([z.mean(0) for z in batches]).mean(0))
    torch.testing.assert_close(copied.norm.running_var, torch.stack([z.var(0) for z in batches]).mean(0))
    assert copied.norm.momentum == 0.1
    assert not copied.norm.training


@torch.no_grad()
def test_each_frames_code_deviates_by_less_than_5_percent_from_training_on_a_large_batch(generator):
    copied = sampling_copy(generator, 3, n_batches=1, batch_size=8)
    training, z = copy.deepcopy(copied.sequence), codes(copied, 4096, seed=99)
    training.norms.train()  # each step is normalised by the statistics of its own batch
    expected = training(z, 16)
    deviation = (copied.sequence(z, 16) - expected).square().mean((0, 2)).sqrt()
    assert (deviation / expected.square().mean((0, 2)).sqrt()).max() < 0.05


def test_standing_statistics_of_codes_depend_neither_on_stored_ones_nor_on_the_batches_of_clips(generator):
    stored = copy.deepcopy(generator)
    for norm in stored.sequence.norms:
        norm.running_mean.fill_(7)
    one, other = sampling_copy(generator, 3, 1, 4), sampling_copy(stored, 3, 2, 8)
    settled = one.sequence.state_dict()
    assert all(torch.equal(value, settled[name]) for name, value in other.sequence.state_dict().items())
    assert {norm.num_batches_tracked.item() for norm in other.sequence.norms} == {1}


def test_sampling_copy_changes_neither_the_generator_nor_its_power_iterations(generator, sampler):
    before = {name: value.clone() for name, value in generator.state_dict().items()}
    generator.train()
    copied = sampling_copy(generator, 3, n_batches=1, batch_size=4)
    assert generator.training
    assert all(torch.equal(before[name], value) for name, value in generator.state_dict().items())
    assert not any(module.training for module in copied.modules())
    vectors = [name for name in before if name.endswith(("._u", "._v"))]
    assert vectors, "the generator is spectrally normalised"
    assert all(torch.equal(before[name], copied.state_dict()[name]) for name in vectors)


def test_clip_i_depends_only_on_seed_index_and_label(sampler):
    labels = torch.tensor([0, 1, 2, 0, 1, 2, 0])
    clips = synthesise(sampler, labels, seed=3, batch_size=7)
    assert clips.dtype == torch.uint8
    assert clips.shape == (7, 16, 32, 32, 3)
    assert torch.equal(clips, synthesise(sampler, labels, seed=3, batch_size=7))
    assert nearly_equal(clips, synthesise(sampler, labels, seed=3, batch_size=2))
    assert nearly_equal(clips[:3], synthesise(sampler, labels[:3], seed=3))
    assert not nearly_equal(clips, synthesise(sampler, labels, seed=4))
    assert torch.equal(codes(sampler, 2, seed=3, first=4), codes(sampler, 6, seed=3)[4:])


def test_samples_are_the_generators_own_videos(sampler):
    z = codes(sampler, 2, seed=0)
    y = torch.tensor([2, 0])
    with torch.no_grad():
        expected = to_frames(sampler(z, y, 20))
    assert torch.equal(render(sampler, z, y, n_frames=20), expected)


def test_a_generator_in_train_mode_is_refused(generator):
    generator.train()
    with pytest.raises(ValueError, match="use sampling_copy"):
        synthesise(generator, torch.tensor([0, 1]), seed=0)


def test_grid_has_classes_in_rows_and_one_code_in_each_column(sampler):
    grid = sample_grid(sampler, n_classes=3, n_per_class=2, seed=5)
    assert grid.shape == (16, 3 * 32 + 2 * 2, 2 * 32 + 2, 3)
    z = codes(sampler, 2, seed=5)
    row_1 = render(sampler, z, torch.tensor([1, 1]))
    assert nearly_equal(grid[:, 34:66, :32], row_1[0])
    assert nearly_equal(grid[:, 34:66, 34:], row_1[1])


def test_the_middle_clip_between_two_codes_is_that_of_their_mean(sampler):
    z0, z1 = codes(sampler, 4, seed=1).chunk(2)
    y = torch.tensor([0, 2])
    clips = between_codes(sampler, (z0, z1), y, n_steps=3, n_frames=12)
    assert clips.shape == (2, 3, 12, 32, 32, 3)
    assert nearly_equal(clips[:, 1], render(sampler, (z0 + z1) / 2, y, 12, ALONE))


def test_midway_between_two_classes_every_conditional_layer_gets_their_mean(sampler):
    z, y = codes(sampler, 2, seed=1), (torch.tensor([0, 2]), torch.tensor([1, 0]))
    clips = between_classes(sampler, z, y, n_steps=3)
    embedded = sampler.image.embedding.weight
    assert nearly_equal(clips[:, 1], render(sampler, z, (embedded[y[0]] + embedded[y[1]]) / 2, 16, ALONE))
    assert not nearly_equal(clips[:, 1], clips[:, 0])


def test_an_interpolation_of_one_step_is_refused(sampler):
    z = codes(sampler, 2, seed=1).split(1)
    with pytest.raises(ConfigurationError, match="at least 2 steps, got 1"):
        between_codes(sampler, z, torch.tensor([0]), n_steps=1)


def test_the_same_code_has_the_same_bits_in_every_picture(sampler):
    z, y = codes(sampler, 3, seed=1), torch.tensor([1])
    alone = render(sampler, z[1:2], y, 16)
    assert torch.equal(in_classes(sampler, z, torch.arange(3))[1, 1], alone[0])
    assert torch.equal(between_codes(sampler, (z[:1], z[1:2]), y, 4)[0, -1], alone[0])
    assert torch.equal(between_classes(sampler, z[1:2], (y, y - 1), 4)[0, 0], alone[0])


def test_only_tgan_makes_frames_between(sampler):
    with pytest.raises(ConfigurationError, match="mvt makes no frames between frames"):
        frames_between(sampler, codes(sampler, 1, seed=0), torch.tensor([0]), 2)


@pytest.mark.parametrize(
    ("family", "settings", "n_same"),
    [("mvt", {"variant": "mvt_var"}, 16), ("mvt", {"shift_blocks": 2}, 14), ("mocogan", {}, 16)],
    ids=["mvt", "mvt with a shift that looks two frames ahead", "mocogan"],
)
def test_a_longer_clip_starts_as_the_shorter_one_of_the_same_seed(family: str, settings: dict[str, Any], n_same: int):
    torch.manual_seed(0)
    kind = FAMILIES[family]
    networks = kind.build(kind.config_type(**{"n_classes": 3, **kind.facts.tiny, **settings}))
    sampler, y = sampling_copy(networks.generator, 3, n_batches=2, batch_size=8), torch.tensor([1])
    short, long = (render(sampler, codes(sampler, 1, 3, n_frames=n), y, n, ALONE) for n in (16, 40))
    difference = (long[:, :16].int() - short.int()).abs().flatten(2).amax(2)
    assert difference[:, :n_same].max() <= 1, "rounding may differ with the number of frames"
    assert n_same == 16 or difference[0, -1] > 1
    assert not torch.equal(long[:, 16:32], short)
