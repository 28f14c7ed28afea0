"""The inception score at its limits, against torchmetrics and against the papers' pipeline."""

import math

import pytest
import torch
from torch import nn
from torchmetrics.image.inception import InceptionScore

from videogan.metrics.inception_score import inception_score


def random_probabilities(n, n_classes, scale=2.0, seed=0):
    logits = torch.randn(n, n_classes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (scale * logits).softmax(1)


@pytest.mark.parametrize("n_classes", [2, 7, 101])
def test_certain_predictions_spread_over_all_classes_score_k(n_classes):
    assert inception_score(torch.eye(n_classes).repeat(3, 1)) == pytest.approx(n_classes, rel=1e-12)


def test_predictions_that_do_not_depend_on_the_clip_score_one():
    assert inception_score(torch.full((9, 5), 0.2, dtype=torch.float64)) == pytest.approx(1, abs=1e-12)
    assert inception_score(torch.tensor([[0.7, 0.2, 0.1]]).repeat(4, 1)) == pytest.approx(1, abs=1e-12)
    assert inception_score(torch.eye(5)[:1].repeat(4, 1)) == 1  # all clips of one class, surely


def test_one_clip_scores_one():
    assert inception_score(random_probabilities(1, 6)) == pytest.approx(1, abs=1e-12)


def test_two_clips_by_hand():
    # p(y) = (.7, .3): KL of (.9, .1) and of (.5, .5) to it.
    first = 0.9 * math.log(0.9 / 0.7) + 0.1 * math.log(0.1 / 0.3)
    second = 0.5 * math.log(0.5 / 0.7) + 0.5 * math.log(0.5 / 0.3)
    score = inception_score(torch.tensor([[0.9, 0.1], [0.5, 0.5]], dtype=torch.float64))
    assert score == pytest.approx(math.exp((first + second) / 2), rel=1e-12)


@pytest.mark.parametrize("scale", [0.1, 1.0, 10.0, 100.0])
def test_scores_are_between_one_and_k_in_any_order(scale):
    probabilities = random_probabilities(50, 8, scale)
    score = inception_score(probabilities)
    assert 1 <= score <= 8
    assert inception_score(probabilities.flip(0)) == pytest.approx(score, rel=1e-12)


@pytest.mark.filterwarnings("ignore:Metric `InceptionScore` will save")
def test_the_score_equals_torchmetrics():
    logits = 3 * torch.randn(200, 11, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    peer = InceptionScore(feature=nn.Identity(), splits=1)
    peer.update(logits)
    with pytest.warns(UserWarning, match="degrees of freedom"):  # of its standard deviation over one split
        expected = peer.compute()[0].item()
    assert inception_score(logits.softmax(1)) == pytest.approx(expected, rel=1e-10)


def test_the_papers_small_constant_inside_logs_changes_log_is_by_less_than_k_times_itself():
    for p in (random_probabilities(100, 101, scale=20.0), torch.eye(101, dtype=torch.float64)):
        with_constant = (p * ((p + 1e-7).log() - (p.mean(0) + 1e-7).log())).sum(1).mean()
        assert abs(math.log(inception_score(p)) - with_constant.item()) < 101e-7


@pytest.mark.parametrize(
    "rows",
    [
        torch.tensor([[0.5, 0.4]]),
        torch.tensor([[1.5, -0.5]]),
        torch.tensor([[math.nan, 1.0]]),
        torch.tensor([[2.0, 1.0], [0.5, 0.5]]),
    ],
)
def test_rows_that_are_not_probabilities_are_refused(rows):
    with pytest.raises(ValueError, match="non-negative and sum to 1"):
        inception_score(rows)


def test_no_clips_are_refused():
    with pytest.raises(ValueError, match=r"got \(0, 5\)"):
        inception_score(torch.empty(0, 5))
