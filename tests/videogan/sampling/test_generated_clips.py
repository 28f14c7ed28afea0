"""Generated clips: any number of samples for each label, each a function of (seed, draw, position, label)."""

import pytest
import torch

from videogan.data.clip_set import Spooled, all_windows
from videogan.families import FAMILIES
from videogan.families.contract import Generator
from videogan.sampling.generated_clips import GeneratedClips
from videogan.sampling.sampling import sampling_copy, synthesise

LABELS = torch.tensor([0, 2, 1, 1, 0])


@pytest.fixture(scope="module")
def sampler() -> Generator:
    torch.manual_seed(0)
    family = FAMILIES["mvt"]
    config = family.config_type(variant="mvt_tsa", resolution=32, n_classes=3, channels=4, gru_hidden=16)
    return sampling_copy(family.build(config).generator, 3, n_batches=1, batch_size=8)


def nearly_equal(a: torch.Tensor, b: torch.Tensor) -> bool:
    """Equal but for rounding, which may differ with the size of the batch."""
    return a.shape == b.shape and (a.int() - b.int()).abs().max().item() <= 1


def test_a_set_has_the_shape_and_classes_of_its_generator(sampler):
    clips = GeneratedClips(sampler, LABELS, seed=3)
    assert (len(clips), clips.shape, clips.n_classes, clips.groups) == (5, (16, 32, 32, 3), 3, None)
    assert torch.equal(clips.labels, LABELS)


def test_draw_0_is_the_synthetic_set_of_the_seed_and_draw_d_continues_its_codes(sampler):
    clips = GeneratedClips(sampler, LABELS, seed=3)
    twice = synthesise(sampler, LABELS.repeat(2), seed=3)
    assert nearly_equal(all_windows(clips), twice[:5])
    assert nearly_equal(all_windows(clips, 1), twice[5:])
    assert not nearly_equal(all_windows(clips, 1), all_windows(clips))


def test_a_clip_depends_only_on_seed_draw_position_and_label_whatever_the_batches(sampler):
    clips = GeneratedClips(sampler, LABELS, seed=3)
    whole = [all_windows(clips, draw) for draw in range(2)]
    asked = [(torch.tensor([4, 1]), 1), (torch.tensor([2]), 0), (torch.tensor([0, 0]), 1)]
    for (rows, draw), frames in zip(asked, GeneratedClips(sampler, LABELS, seed=3).windows(asked), strict=True):
        assert nearly_equal(frames, whole[draw][rows])
    assert not nearly_equal(all_windows(GeneratedClips(sampler, LABELS, seed=4)), whole[0])


def test_spooled_clips_are_bit_equal_however_they_are_read(sampler):
    spooled = Spooled(GeneratedClips(sampler, LABELS, seed=3))
    whole = all_windows(spooled, 1)
    for rows in (torch.tensor([4, 1]), torch.tensor([0])):
        assert torch.equal(next(spooled.windows([(rows, 1)])), whole[rows])


def test_clips_of_bf16_differ_from_those_of_fp32_by_rounding_only(sampler):
    exact, rounded = (all_windows(GeneratedClips(sampler, LABELS, 3, bf16=bf16)).float() for bf16 in (False, True))
    assert 0 < (exact - rounded).abs().mean() < 3


@pytest.mark.parametrize("family", ["mocogan", "tgan", "vgan"])
def test_clips_have_the_length_that_the_generator_was_trained_on(family):
    torch.manual_seed(0)
    found = FAMILIES[family]
    config = found.config_type(**{"n_classes": 2, **found.facts.tiny})
    sampler = sampling_copy(found.build(config).generator, 2, n_batches=1, batch_size=4)
    labels = torch.tensor([1, 0])
    clips = GeneratedClips(sampler, labels, seed=5)
    assert nearly_equal(all_windows(clips), synthesise(sampler, labels, 5, config.n_frames))
    assert all_windows(clips).shape[1] == config.n_frames
