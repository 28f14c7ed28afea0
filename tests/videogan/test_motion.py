"""The motion constraint equals eq. 5 as a double loop, is 0 without pairs, and makes fakes move like real clips."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from videogan.motion import motion_constraint_loss, motion_similarity


def flows(seed: int, n: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(n, 3, 2, 4, 5, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def labels(*values: int) -> Tensor:
    return torch.tensor(values)


def by_double_loop(real: Tensor, fake: Tensor, real_labels: Tensor, fake_labels: Tensor, flow_cos: str) -> Tensor:
    terms = []
    for f, fake_label in zip(fake, fake_labels, strict=True):
        for r, real_label in zip(real, real_labels, strict=True):
            if fake_label == real_label:
                pair = (r.flatten(1), f.flatten(1)) if flow_cos == "frame" else (r.flatten()[None], f.flatten()[None])
                terms.append(cosine_similarity(*pair, dim=1).mean())
    return torch.stack(terms).mean()


REAL_LABELS, FAKE_LABELS = labels(0, 1, 1, 2, 0, 3), labels(1, 0, 5, 1, 2)


@pytest.mark.parametrize("flow_cos", ["clip", "frame"])
def test_similarity_equals_the_double_loop_in_value_and_gradient(flow_cos: str):
    real, fake = flows(0, 6), flows(1, 5).requires_grad_()
    similarity, n_pairs = motion_similarity(real, fake, REAL_LABELS, FAKE_LABELS, flow_cos)
    expected = by_double_loop(real, fake, REAL_LABELS, FAKE_LABELS, flow_cos)
    assert torch.allclose(similarity, expected, atol=1e-12)
    assert n_pairs == 2 + 2 + 0 + 2 + 1
    (ours,), (theirs,) = (torch.autograd.grad(value, fake) for value in (similarity, expected))
    assert torch.allclose(ours, theirs, atol=1e-12)
    assert not ours[2].any()  # label 5 has no real clip


def test_clip_weights_frames_by_their_motion_and_frame_weights_them_equally():
    real = torch.zeros(1, 2, 2, 1, 1)
    real[0, 0, 0], real[0, 1, 0] = 3.0, 1.0
    fake = torch.zeros(1, 2, 2, 1, 1)
    fake[0, 0, 0], fake[0, 1, 0] = 3.0, -1.0
    for flow_cos, expected in (("clip", 0.8), ("frame", 0.0)):
        similarity, _ = motion_similarity(real, fake, labels(0), labels(0), flow_cos)
        assert similarity.item() == pytest.approx(expected)


def test_equal_motion_costs_nothing_and_opposite_motion_two_alpha():
    real = flows(0, 4)
    for sign, expected in ((3.0, 0.0), (-0.5, 2 * 0.7)):
        loss = motion_constraint_loss(real, sign * real, labels(0, 1, 2, 3), labels(0, 1, 2, 3), alpha=0.7)
        assert loss.item() == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("pairs_per_rank", [None, 0.0])
def test_without_a_pair_of_one_class_the_term_is_zero_and_so_is_its_gradient(pairs_per_rank: float | None):
    real, fake = flows(0, 2), flows(1, 2).requires_grad_()
    similarity, n_pairs = motion_similarity(real, fake, labels(0, 1), labels(2, 3))
    assert similarity == 0
    assert n_pairs == 0
    loss = motion_constraint_loss(real, fake, labels(0, 1), labels(2, 3), 5.0, pairs_per_rank=pairs_per_rank)
    loss.backward()
    assert loss == 0
    assert not fake.grad.any()


@pytest.mark.parametrize("flow_cos", ["clip", "frame"])
def test_clips_without_motion_count_as_zero_and_give_finite_gradients(flow_cos: str):
    real, fake = flows(0, 3), flows(1, 3)
    real[0], fake[1] = 0, 0
    real[2, 1] = 0  # one pair of frames
    fake.requires_grad_()
    same = labels(0, 0, 0)
    similarity, n_pairs = motion_similarity(real, fake, same, same, flow_cos)
    assert n_pairs == 9
    assert torch.allclose(similarity, by_double_loop(real, fake, same, same, flow_cos))
    similarity.backward()
    assert fake.grad.isfinite().all()
    assert not fake.grad[1].any()
    assert fake.grad[0].any()


def test_gradients_flow_into_the_fakes_only():
    real, fake = flows(0, 3).requires_grad_(), flows(1, 3).requires_grad_()
    motion_constraint_loss(real, fake, labels(0, 1, 2), labels(0, 1, 2)).backward()
    assert real.grad is None
    assert fake.grad.any()


def test_a_step_down_the_gradient_makes_motion_more_similar():
    real, fake = flows(0, 4), flows(1, 4).requires_grad_()
    before = motion_constraint_loss(real, fake, labels(0, 0, 1, 1), labels(0, 1, 0, 1))
    before.backward()
    after = motion_constraint_loss(real, fake - 0.1 * fake.grad, labels(0, 0, 1, 1), labels(0, 1, 0, 1))
    assert after < before


def test_the_mean_over_ranks_with_gathered_real_flows_is_the_global_batchs_term():
    real, fake, real_labels, fake_labels = flows(0, 6), flows(1, 6).requires_grad_(), REAL_LABELS, REAL_LABELS.flip(0)
    whole = motion_constraint_loss(real, fake, real_labels, fake_labels, 2.0)
    n_pairs = motion_similarity(real, fake, real_labels, fake_labels)[1]
    parts = [
        motion_constraint_loss(real, f, real_labels, y, 2.0, pairs_per_rank=n_pairs / 3)
        for f, y in zip(fake.split(2), fake_labels.split(2), strict=True)
    ]
    mean = torch.stack(parts).mean()
    assert torch.allclose(mean, whole, atol=1e-12)
    assert torch.allclose(*(torch.autograd.grad(value, fake)[0] for value in (mean, whole)), atol=1e-12)


def test_half_precision_flows_are_compared_in_fp32():
    real, fake = flows(0, 2).bfloat16(), flows(1, 2).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        similarity, _ = motion_similarity(real, fake, labels(0, 1), labels(0, 1))
    expected, _ = motion_similarity(real.double(), fake.double(), labels(0, 1), labels(0, 1))
    assert similarity.dtype == torch.float32
    assert similarity.item() == pytest.approx(expected.item(), abs=1e-6)


def test_flows_of_other_sizes_and_labels_of_another_number_are_refused():
    with pytest.raises(ValueError, match="the same flow size and stride"):
        motion_similarity(flows(0, 2), flows(0, 2)[:, :1], labels(0, 1), labels(0, 1))
    with pytest.raises(ValueError, match="each flow needs one label"):
        motion_similarity(flows(0, 2), flows(0, 2), labels(0), labels(0, 1))
