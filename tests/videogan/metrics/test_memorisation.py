"""Nearest neighbours against all pairs, the ratio at its limits."""

import math

import pytest
import torch

from videogan.metrics.memorisation import memorisation_ratio, nearest_neighbours


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def all_pairs(queries, references, distance):
    """The definition, one pair at a time."""
    if distance == "euclidean":
        return torch.stack([torch.stack([(q - r).norm() for r in references]) for q in queries])
    return torch.stack([torch.stack([1 - q @ r / (q.norm() * r.norm()) for r in references]) for q in queries])


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
@pytest.mark.parametrize("block", [3, 256])
def test_neighbours_are_the_nearest_of_all_pairs_for_any_block_size(distance, block, monkeypatch):
    monkeypatch.setattr("videogan.metrics.memorisation.BLOCK", block)
    queries, references = normal(10, 6), normal(17, 6, seed=1)
    expected = all_pairs(queries, references, distance).sort(1)
    distances, indices = nearest_neighbours(queries, references, 4, distance)
    torch.testing.assert_close(distances, expected.values[:, :4])
    assert indices.equal(expected.indices[:, :4])


@pytest.mark.parametrize("distance", ["cosine", "euclidean"])
def test_a_copy_is_at_distance_zero_exactly_and_found(distance):
    references = 1000 + normal(40, 30)
    shown = torch.randperm(40, generator=torch.Generator().manual_seed(0))
    distances, indices = nearest_neighbours(references[shown], references, 1, distance)
    assert indices[:, 0].equal(shown)
    assert not distances.any()


def test_cosine_sees_directions_only_and_euclidean_lengths_too():
    query = torch.tensor([[1.0, 0.0]])
    references = torch.tensor([[100.0, 0.0], [0.0, 1.0], [-2.0, 0.0]])
    distances, indices = nearest_neighbours(query, references, 3, "cosine")
    assert indices.tolist() == [[0, 1, 2]]
    torch.testing.assert_close(distances, torch.tensor([[0.0, 1.0, 2.0]], dtype=torch.float64))
    assert nearest_neighbours(query, references, 3, "euclidean")[1].tolist() == [[1, 2, 0]]


def test_invalid_arguments_are_refused():
    features = normal(3, 2)
    with pytest.raises(ValueError, match=r"k must be 1 to the number of references \(3\), got 4"):
        nearest_neighbours(features, features, 4)
    with pytest.raises(ValueError, match="references must not be all 0 for cosine"):
        nearest_neighbours(features, torch.zeros(1, 2), 1)
    with pytest.raises(ValueError, match="got 2, 5"):
        nearest_neighbours(features, normal(3, 5), 1)
    with pytest.raises(ValueError, match="queries must be finite"):
        nearest_neighbours(torch.tensor([[math.nan]]), torch.ones(1, 1), 1)
    with pytest.raises(ValueError, match="references must hold at least 1 clips, got 0"):
        nearest_neighbours(features, features[:0], 1)


def test_copies_of_training_clips_have_ratio_zero_and_clips_like_unseen_ones_about_one():
    train, test, like_test = (normal(300, 5, seed=seed) for seed in range(3))
    test_to_train = nearest_neighbours(test, train, 3, "euclidean")[0]
    ratios = [
        memorisation_ratio(nearest_neighbours(fake, train, 3, "euclidean")[0], test_to_train)
        for fake in (train, train + 0.05 * normal(300, 5, seed=3), like_test, 10 + train)
    ]
    assert ratios[0] == 0
    assert 0 < ratios[1] < 0.3
    assert ratios[2] == pytest.approx(1, abs=0.1)
    assert ratios[3] > 3


def test_the_ratio_is_of_medians_of_nearest_distances():
    fake, test = torch.tensor([[1.0, 9], [2, 9], [6, 9], [100, 900]]), torch.tensor([2.0, 1.0, 7.0])
    assert memorisation_ratio(fake, test) == 4 / 2


def test_the_ratio_is_undefined_if_half_of_the_test_clips_are_training_clips():
    assert math.isnan(memorisation_ratio(torch.tensor([1.0]), torch.tensor([0.0, 0.0, 5.0])))
    assert math.isnan(memorisation_ratio(torch.tensor([0.0]), torch.tensor([0.0])))


def test_invalid_distances_are_refused():
    with pytest.raises(ValueError, match="fake_to_train needs at least one clip"):
        memorisation_ratio(torch.empty(0, 3), torch.ones(1))
    with pytest.raises(ValueError, match="test_to_train must be distances"):
        memorisation_ratio(torch.ones(1), torch.tensor([1.0, math.nan]))
