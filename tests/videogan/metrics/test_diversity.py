"""Diversity within classes at its limits and against hand-computed values."""

import math

import pytest
import torch

from videogan.metrics.diversity import class_diversity


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


LABELS = torch.arange(90) % 3


def test_real_clips_are_as_diverse_as_themselves_and_scaled_ones_by_the_scale():
    features = normal(90, 5)
    torch.testing.assert_close(class_diversity(features, LABELS, features, LABELS, 3), torch.ones(3).double())
    torch.testing.assert_close(
        class_diversity(100 + 2.5 * features, LABELS, features, LABELS, 3), torch.full((3,), 2.5).double()
    )


def test_a_class_collapsed_onto_one_clip_has_diversity_zero_exactly_and_others_keep_theirs():
    real, fake = normal(90, 5), normal(90, 5, seed=1)
    fake[LABELS == 1] = fake[1].clone()
    diversity = class_diversity(fake, LABELS, real, LABELS, 3)
    assert diversity[1] == 0
    assert diversity[[0, 2]].sub(1).abs().max() < 0.2


def test_pairs_by_hand_in_any_order():
    # Fakes 0, 3, 4: distances 3, 4, 1, mean 8/3. Real ones 0, 2: distance 2.
    fake, real = torch.tensor([[0.0], [3], [4]]), torch.tensor([[0.0], [2]])
    zeros = torch.zeros(3, dtype=torch.int64)
    assert class_diversity(fake, zeros, real, zeros[:2], 1).tolist() == pytest.approx([4 / 3])
    assert class_diversity(fake.flip(0), zeros, real.flip(0), zeros[:2], 1).tolist() == pytest.approx([4 / 3])


def test_classes_without_a_pair_or_with_equal_real_clips_are_undefined():
    features = torch.tensor([[0.0], [1], [0], [1], [5], [5]])
    both, one_fake, alike = torch.tensor([0, 0, 1, 1, 3, 3]), torch.tensor([0, 0, 1, 2, 2, 2]), features.clone()
    diversity = class_diversity(features, one_fake, alike, both, 4)
    assert diversity[0] == 1
    assert diversity[1:].isnan().all()  # one fake; no real clip; no fake
    equal_real = class_diversity(features, both, torch.tensor([[0.0], [1], [2], [2], [0], [1]]), both, 4)
    assert math.isnan(equal_real[1])


def test_labels_that_fit_no_clip_or_class_and_other_networks_features_are_refused():
    features, labels = normal(3, 2), torch.tensor([0, 0, 1])
    with pytest.raises(ValueError, match=r"fake_labels must be \(3,\)"):
        class_diversity(features, labels[:2], features, labels, 2)
    with pytest.raises(ValueError, match="real_labels must be in 0 to 0, got 0 to 1"):
        class_diversity(features, labels * 0, features, labels, 1)
    with pytest.raises(ValueError, match="got 2 and 4"):
        class_diversity(features, labels, normal(3, 4), labels, 2)
