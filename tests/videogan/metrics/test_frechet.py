"""The Frechet distance in closed forms and against torchmetrics."""

import math

import pytest
import torch
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance

from videogan.metrics.frechet import frechet_distance, moments


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def covariance(d, seed=0):
    root = normal(d, d, seed=seed)
    return root @ root.T


def rotation(d, seed=0):
    return torch.linalg.qr(normal(d, d, seed=seed)).Q


def test_a_gaussian_has_distance_zero_to_itself():
    mean, cov = normal(6), covariance(6)
    assert frechet_distance(mean, cov, mean, cov) == pytest.approx(0, abs=1e-10)


def test_a_shifted_gaussian_is_as_far_as_the_squared_shift():
    cov = covariance(4)
    shift = torch.tensor([3.0, 0.0, -4.0, 0.0])
    assert frechet_distance(torch.zeros(4), cov, shift, cov) == pytest.approx(25)


def test_diagonal_covariances_are_as_far_as_the_squared_differences_of_deviations():
    # (1 - 2)^2 + (2 - 5)^2 + (3 - 3)^2, deviations 1, 2, 3 and 2, 5, 3.
    mean = torch.zeros(3)
    assert frechet_distance(mean, torch.tensor([1.0, 4, 9]).diag(), mean, torch.tensor([4.0, 25, 9]).diag()) == (
        pytest.approx(10)
    )


def test_covariances_that_do_not_commute_by_hand():
    # For 2 x 2 matrices Tr sqrt(M) = sqrt(Tr M + 2 sqrt(det M)); M = S_x S_y has trace 2 * 2 + 1 * 1 + 1 = 6, det
    # 3 * 2.
    cov_x, cov_y = torch.tensor([[2.0, 1], [1, 2]]), torch.tensor([[2.0, 0], [0, 1]])
    mean = torch.zeros(2)
    expected = 4 + 3 - 2 * math.sqrt(6 + 2 * math.sqrt(6))
    assert frechet_distance(mean, cov_x, mean, cov_y) == pytest.approx(expected, rel=1e-12)


def test_the_distance_is_symmetric_and_does_not_change_under_rotation():
    x, y, q = (normal(5), covariance(5)), (normal(5, seed=1), covariance(5, seed=1)), rotation(5, seed=2)
    distance = frechet_distance(*x, *y)
    rotated = [(q @ mean, q @ cov @ q.T) for mean, cov in (x, y)]
    assert frechet_distance(*y, *x) == pytest.approx(distance, rel=1e-9)
    assert frechet_distance(*rotated[0], *rotated[1]) == pytest.approx(distance, rel=1e-9)


def test_the_distance_to_a_point_includes_the_variance_and_is_never_complex():
    mean, cov = torch.zeros(3), covariance(3)
    assert frechet_distance(mean, torch.zeros(3, 3), mean, cov) == pytest.approx(cov.trace().item())


def test_fewer_clips_than_features_give_a_finite_distance():
    x, y = moments(normal(10, 40)), moments(normal(10, 40, seed=1))
    assert 0 < frechet_distance(*x, *y) < math.inf
    assert frechet_distance(*x, *x) == pytest.approx(0, abs=1e-5)


def test_moments_are_the_mean_and_the_unbiased_covariance_in_any_order_and_number_of_blocks():
    features = normal(2500, 7) * 3 + 100
    mean, cov = moments(features)
    torch.testing.assert_close(mean, features.mean(0))
    torch.testing.assert_close(cov, torch.cov(features.T))
    torch.testing.assert_close(moments(features.flip(0)), (mean, cov))
    by_hand = moments(torch.tensor([[0.0], [2.0]]))
    assert [t.tolist() for t in by_hand] == [[1.0], [[2.0]]]


def test_the_distance_equals_torchmetrics():
    x, y = normal(300, 16), 1.5 * normal(200, 16, seed=1) + 0.3
    network = nn.Identity()
    network.num_features = 16
    peer = FrechetInceptionDistance(feature=network).set_dtype(torch.float64)
    peer.update(x, real=True)
    peer.update(y, real=False)
    assert frechet_distance(*moments(x), *moments(y)) == pytest.approx(peer.compute().item(), rel=1e-8)


def test_float32_features_lose_nothing_that_float64_would_keep():
    features = (normal(500, 4) + 1000).float()
    torch.testing.assert_close(moments(features), moments(features.double()))


def test_one_clip_and_features_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="at least 2 clips, got 1"):
        moments(normal(1, 4))
    with pytest.raises(ValueError, match="must be finite"):
        moments(torch.tensor([[1.0], [math.nan]]))
    with pytest.raises(ValueError, match="finite means"):
        frechet_distance(torch.tensor([math.nan]), torch.eye(1), torch.zeros(1), torch.eye(1))


def test_moments_of_different_networks_are_refused():
    with pytest.raises(ValueError, match=r"\(3, 3\)"):
        frechet_distance(torch.zeros(2), torch.eye(2), torch.zeros(3), torch.eye(3))
