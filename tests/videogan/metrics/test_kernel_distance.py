"""The kernel distance is unbiased and equals hand-computed values and torchmetrics."""

import math

import pytest
import torch
from torch import nn
from torchmetrics.image.kid import KernelInceptionDistance

from videogan.metrics.kernel_distance import kernel_distance


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def expected_by_pairs(x, y):
    """The definition, pair by pair."""
    d = x.shape[1]

    def kernel(a, b):
        return ((a @ b).item() / d + 1) ** 3

    def mean(values):
        return math.fsum(values) / len(values)

    within = [mean([kernel(a, b) for i, a in enumerate(s) for j, b in enumerate(s) if i != j]) for s in (x, y)]
    return sum(within) - 2 * mean([kernel(a, b) for a in x for b in y])


def test_two_points_each_by_hand():
    # d = 1: k(1, 2) = 27; k(0, 3) = 1; k(1, 0) = k(2, 0) = 1, k(1, 3) = 64, k(2, 3) = 343: 27 + 1 - 2 * 409 / 4.
    x, y = torch.tensor([[1.0], [2.0]]), torch.tensor([[0.0], [3.0]])
    assert kernel_distance(x, y) == pytest.approx(27 + 1 - 2 * 409 / 4)


def test_unequal_numbers_of_clips_agree_with_the_definition():
    x, y = normal(7, 3), normal(5, 3, seed=1)
    assert kernel_distance(x, y) == pytest.approx(expected_by_pairs(x, y), rel=1e-12)


def test_blocks_change_nothing(monkeypatch):
    x, y = normal(37, 6), normal(23, 6, seed=1)
    whole = kernel_distance(x, y)
    monkeypatch.setattr("videogan.metrics.kernel_distance.BLOCK", 5)
    assert kernel_distance(x, y) == pytest.approx(whole, rel=1e-12)


def test_it_is_unbiased_and_falls_below_zero_on_equal_distributions_however_few_the_clips():
    distances = torch.tensor([kernel_distance(draw[:4], draw[4:]) for draw in normal(4000, 8, 3)])
    error = distances.std().item() / math.sqrt(len(distances))
    assert abs(distances.mean().item()) < 3 * error
    assert 0.2 < (distances < 0).double().mean() < 0.8


def test_its_expectation_on_shifted_normals_is_the_closed_form_for_few_clips_and_many():
    # d = 1, x ~ N(0, 1), y ~ N(a, 1): E (x x' + 1)^3 = 1 + 3 E[x^2] E[x'^2] = 4 (odd moments vanish); with m2 = 1 +
    # a^2, m3 = a^3 + 3 a: E (y y' + 1)^3 = 1 + 3 a^2 + 3 m2^2 + m3^2 and E (x y + 1)^3 = 1 + 3 m2.
    a = 0.5
    m2, m3 = 1 + a**2, a**3 + 3 * a
    expected = 4 + (1 + 3 * a**2 + 3 * m2**2 + m3**2) - 2 * (1 + 3 * m2)
    for n, n_draws in ((2, 6000), (20, 600)):
        draws = normal(n_draws, 2 * n, 1)
        distances = torch.tensor([kernel_distance(draw[:n], draw[n:] + a) for draw in draws])
        assert abs(distances.mean().item() - expected) < 3.5 * distances.std().item() / math.sqrt(n_draws)


def test_order_within_a_set_and_of_the_sets_changes_nothing():
    x, y = normal(20, 5), normal(30, 5, seed=1) + 1
    distance = kernel_distance(x, y)
    assert kernel_distance(y, x) == pytest.approx(distance, rel=1e-12)
    assert kernel_distance(x.flip(0), y.roll(7, 0)) == pytest.approx(distance, rel=1e-12)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance` will save")
def test_the_distance_equals_torchmetrics():
    x, y = normal(60, 8), normal(60, 8, seed=1) + 0.2
    peer = KernelInceptionDistance(feature=nn.Identity(), subsets=1, subset_size=60)
    peer.update(x, real=True)
    peer.update(y, real=False)
    assert kernel_distance(x, y) == pytest.approx(peer.compute()[0].item(), rel=1e-9)


@pytest.mark.parametrize(("n", "m", "name"), [(1, 5, "x"), (5, 1, "y"), (0, 5, "x")])
def test_fewer_than_two_clips_are_refused_by_name(n, m, name):
    with pytest.raises(ValueError, match=rf"{name} must hold at least 2 clips, got {min(n, m)}"):
        kernel_distance(torch.ones(n, 3), torch.ones(m, 3))


def test_features_of_different_networks_and_nan_are_refused():
    with pytest.raises(ValueError, match="got 3 and 4"):
        kernel_distance(torch.ones(2, 3), torch.ones(2, 4))
    with pytest.raises(ValueError, match="y must be finite"):
        kernel_distance(torch.ones(2, 1), torch.tensor([[1.0], [math.inf]]))
