"""Singular value clipping equals the SVD's for every layout, precision and spectrum; gamma obeys its bound."""

import pytest
import torch
from torch import Tensor, nn

from videogan.constraints import clip_batch_norm_gamma_, clip_singular_values_


def random_weight(
    shape: tuple[int, ...], scale: float = 1.0, dtype: torch.dtype = torch.float32, seed: int = 0
) -> Tensor:
    """A Gaussian weight whose largest singular value is `scale`."""
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return (weight * scale / torch.linalg.matrix_norm(weight.flatten(1), 2)).to(dtype)


def clipped_by_svd(weight: Tensor, bound: float = 1.0) -> Tensor:
    u, s, vh = torch.linalg.svd(weight.double().flatten(1), full_matrices=False)
    return ((u * s.clamp(max=bound)) @ vh).view(weight.shape)


def largest_singular_value(weight: Tensor) -> float:
    return torch.linalg.matrix_norm(weight.double().flatten(1), 2).item()


SHAPES = [(8, 3, 4, 4, 4), (64, 32, 4, 4, 4), (40, 7), (7, 40), (1, 64), (64, 1), (1, 1), (16, 16)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [0.5, 1.1, 3.0, 50.0, 1e4])
@pytest.mark.parametrize("shape", SHAPES)
def test_svc_equals_the_svd(shape: tuple[int, ...], scale: float, dtype: torch.dtype):
    weight = random_weight(shape, scale, dtype)
    expected = clipped_by_svd(weight)
    clip_singular_values_(weight)
    assert (weight.double() - expected).abs().max() < 1e-5
    assert largest_singular_value(weight) < 1 + 1e-5


@pytest.mark.parametrize("n_exceeding", [1, 3, 20, 31])
def test_svc_leaves_the_values_below_the_bound_as_they_are(n_exceeding: int):
    u, _, vh = torch.linalg.svd(random_weight((32, 50), dtype=torch.float64), full_matrices=False)
    s = torch.cat([torch.linspace(5, 1.2, n_exceeding), torch.linspace(0.99, 0.01, 32 - n_exceeding)]).double()
    weight = (u * s) @ vh
    clip_singular_values_(weight)
    assert torch.allclose(torch.linalg.svdvals(weight), s.clamp(max=1), atol=1e-12)


def test_svc_obeys_another_bound():
    weight = random_weight((20, 30), 9.0, torch.float64)
    expected = clipped_by_svd(weight, 2.5)
    assert torch.allclose(clip_singular_values_(weight, bound=2.5), expected, atol=1e-10)


def test_svc_changes_not_one_bit_where_nothing_exceeds_the_bound():
    weight = random_weight((32, 8, 4, 4, 4), 0.999)
    before = weight.clone()
    clip_singular_values_(weight)
    assert torch.equal(weight, before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [2.0, 30.0])
def test_svc_is_idempotent(scale: float, dtype: torch.dtype):
    weight = clip_singular_values_(random_weight((64, 16, 4, 4, 4), scale, dtype))
    once = weight.clone()
    clip_singular_values_(weight)
    assert (weight - once).abs().max() < 1e-6


@pytest.mark.parametrize("layout", ["channels_last_3d", "transposed", "strided", "parameter of a layer"])
def test_svc_reaches_weights_of_any_memory_layout(layout: str):
    values = random_weight((12, 10, 4, 4, 4), 4.0)
    expected = clipped_by_svd(values)
    if layout == "channels_last_3d":
        weight = values.contiguous(memory_format=torch.channels_last_3d)
    elif layout == "transposed":
        weight = values.transpose(0, 1).contiguous().transpose(0, 1)
    elif layout == "strided":
        weight = torch.stack([values, values], dim=-1)[..., 0]
    else:
        layer = nn.Conv3d(10, 12, 4)
        layer.weight.data = values.contiguous(memory_format=torch.channels_last_3d)
        weight = layer.weight
    stride = weight.stride()
    clip_singular_values_(weight)
    assert weight.stride() == stride
    assert (weight.detach() - expected).abs().max() < 1e-5


def test_svc_of_zero_and_of_deficient_rank():
    assert torch.equal(clip_singular_values_(torch.zeros(6, 9)), torch.zeros(6, 9))
    weight = random_weight((24, 2), 1.0) @ random_weight((2, 36), 5.0)
    weight *= 7 / torch.linalg.matrix_norm(weight, 2)
    expected = clipped_by_svd(weight)
    assert (clip_singular_values_(weight) - expected).abs().max() < 1e-5


def test_svc_of_orthogonal_rows_sets_all_values_to_the_bound():
    weight = 3 * nn.init.orthogonal_(torch.empty(16, 40), generator=torch.Generator().manual_seed(0))
    clip_singular_values_(weight)
    assert torch.allclose(torch.linalg.svdvals(weight), torch.ones(16), atol=1e-5)


def test_bf16_is_clipped_in_fp32_and_rounded_once():
    weight = random_weight((32, 16, 3, 3), 3.0, torch.bfloat16)
    expected = clip_singular_values_(weight.float()).bfloat16()
    assert torch.equal(clip_singular_values_(weight), expected)


def test_svc_refuses_vectors_bad_bounds_and_what_is_not_finite():
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        clip_singular_values_(torch.ones(3))
    with pytest.raises(ValueError, match="bound must be positive, got 0"):
        clip_singular_values_(torch.ones(3, 3), bound=0)
    for bad in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match="finite"):
            clip_singular_values_(torch.tensor([[1.0, bad], [0.0, 1.0]]))


def test_gamma_is_kept_between_a_hundredth_and_the_whole_of_the_running_deviation():
    batch_norm = nn.BatchNorm3d(4)
    batch_norm.running_var.copy_(torch.tensor([4.0, 4.0, 4.0, 0.0]))
    with torch.no_grad():
        batch_norm.weight.copy_(torch.tensor([5.0, -1.0, 1.5, 1.0]))
    clip_batch_norm_gamma_(batch_norm)
    upper = (batch_norm.running_var + batch_norm.eps).sqrt()
    assert torch.allclose(
        batch_norm.weight.detach(), torch.stack([upper[0], 0.01 * upper[1], torch.tensor(1.5), upper[3]])
    )


def test_a_batch_norm_with_clipped_gamma_is_1_lipschitz_in_eval_mode():
    batch_norm = nn.BatchNorm1d(8).eval()
    generator = torch.Generator().manual_seed(0)
    batch_norm.running_var.copy_(torch.rand(8, generator=generator))
    with torch.no_grad():
        batch_norm.weight.copy_(3 * torch.rand(8, generator=generator))
    x, y = torch.randn(2, 100, 8, generator=generator)
    assert ((batch_norm(x) - batch_norm(y)).norm(dim=1) > (x - y).norm(dim=1)).any()
    clip_batch_norm_gamma_(batch_norm)
    assert ((batch_norm(x) - batch_norm(y)).norm(dim=1) <= (x - y).norm(dim=1) * (1 + 1e-6)).all()


def test_gamma_clipping_refuses_a_batch_norm_without_gamma():
    with pytest.raises(ValueError, match="gamma"):
        clip_batch_norm_gamma_(nn.BatchNorm3d(4, affine=False))
