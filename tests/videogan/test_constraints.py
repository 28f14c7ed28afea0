"""Singular value clipping equals the SVD's for every layout, precision and spectrum.

Gammas and weights obey their bounds.
"""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d
from torch.nn.utils.parametrizations import spectral_norm

from videogan.constraints import (
    clip_gammas_,
    clip_singular_values_,
    clip_weights_,
    retract_to_orthogonal_,
    singular_value_clipping_,
)


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


def with_spectrum(s: Tensor, n: int) -> Tensor:
    """A weight (len(s), n) in fp64 with the singular values `s`."""
    rng = torch.Generator().manual_seed(0)
    u = nn.init.orthogonal_(torch.empty(len(s), len(s), dtype=torch.float64), generator=rng)
    return (u * s) @ nn.init.orthogonal_(torch.empty(len(s), n, dtype=torch.float64), generator=rng)


SHAPES = [(8, 3, 4, 4, 4), (64, 32, 4, 4, 4), (40, 7), (7, 40), (1, 64), (64, 1), (1, 1), (16, 16)]
SPECTRA = {
    "a few above": lambda m: torch.cat([torch.tensor([1.2, 1.1, 1.05]), torch.linspace(0.99, 0.05, m - 3)]),
    "half above": lambda m: torch.linspace(1.5, 0.01, m),
    "all above": lambda m: torch.linspace(1.67, 1.1, m),
    "all near the bound": lambda m: 1 + 1e-4 * torch.linspace(-1, 1, m),
    "some just above, one far": lambda m: torch.cat([torch.tensor([1.99]), 1 + 2e-5 * torch.linspace(-1, 1, m - 1)]),
    "up to 3.9": lambda m: torch.linspace(3.9, 0.01, m),
    "up to 500": lambda m: torch.logspace(2.7, -3, m),
    "up to 1e5": lambda m: torch.logspace(5, -3, m),
    "Gaussian": lambda m: torch.randn(m, generator=torch.Generator().manual_seed(0)).abs(),
    "rank 2": lambda m: torch.cat([torch.tensor([7.0, 1.5]), torch.zeros(m - 2)]),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [0.5, 1.1, 3.0, 50.0, 1e4])
@pytest.mark.parametrize("shape", SHAPES)
def test_svc_equals_the_svd(shape: tuple[int, ...], scale: float, dtype: torch.dtype):
    weight = random_weight(shape, scale, dtype)
    expected = clipped_by_svd(weight)
    clip_singular_values_(weight)
    assert (weight.double() - expected).abs().max() < 1e-5
    assert largest_singular_value(weight) < 1 + 1e-5


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_svc_equals_the_svd_on_every_spectrum_and_a_second_clipping_changes_no_bit(spectrum: str, dtype: torch.dtype):
    weight = with_spectrum(SPECTRA[spectrum](192).double(), 1536).to(dtype)
    expected = clipped_by_svd(weight)
    clip_singular_values_(weight)
    assert torch.linalg.matrix_norm(weight.double() - expected, 2) < 1e-5
    assert largest_singular_value(weight) < 1 + 6e-6
    once = weight.clone()
    assert torch.equal(clip_singular_values_(weight), once)


@pytest.mark.parametrize("n_exceeding", [1, 3, 20, 31])
def test_svc_does_not_change_singular_values_below_the_bound(n_exceeding: int):
    u, _, vh = torch.linalg.svd(random_weight((32, 50), dtype=torch.float64), full_matrices=False)
    s = torch.cat([torch.linspace(5, 1.2, n_exceeding), torch.linspace(0.99, 0.01, 32 - n_exceeding)]).double()
    weight = (u * s) @ vh
    clip_singular_values_(weight)
    assert torch.allclose(torch.linalg.svdvals(weight), s.clamp(max=1), atol=1e-12)


def test_svc_obeys_another_bound():
    weight = random_weight((20, 30), 9.0, torch.float64)
    expected = clipped_by_svd(weight, 2.5)
    assert torch.allclose(clip_singular_values_(weight, bound=2.5), expected, atol=1e-10)


def test_svc_changes_no_bit_if_nothing_exceeds_the_bound():
    weight = random_weight((32, 8, 4, 4, 4), 0.999)
    before = weight.clone()
    clip_singular_values_(weight)
    assert torch.equal(weight, before)


@pytest.mark.parametrize("layout", ["channels_last_3d", "transposed", "strided", "tall", "parameter of a layer"])
def test_svc_clips_weights_of_any_memory_layout(layout: str):
    values = random_weight((12, 10, 4, 4, 4), 4.0)
    expected = clipped_by_svd(values)
    if layout == "channels_last_3d":
        weight = values.contiguous(memory_format=torch.channels_last_3d)
    elif layout == "transposed":
        weight = values.transpose(0, 1).contiguous().transpose(0, 1)
    elif layout == "strided":
        weight = torch.stack([values, values], dim=-1)[..., 0]
    elif layout == "tall":
        values = random_weight((90, 2, 3, 3), 4.0)
        expected = clipped_by_svd(values)
        weight = values.contiguous(memory_format=torch.channels_last)
    else:
        layer = nn.Conv3d(10, 12, 4)
        layer.weight.data = values.contiguous(memory_format=torch.channels_last_3d)
        weight = layer.weight
    stride = weight.stride()
    clip_singular_values_(weight)
    assert weight.stride() == stride
    assert (weight.detach() - expected).abs().max() < 1e-5


def test_svc_of_zero_and_rank_deficient_weights_equals_the_svd():
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


def test_svc_keeps_its_precision_under_autocast():
    weight = random_weight((32, 16, 3, 3), 3.0)
    expected = clip_singular_values_(weight.clone())
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(clip_singular_values_(weight), expected)


def test_equal_weights_at_different_addresses_are_clipped_to_equal_bits():
    weight = random_weight((96, 48, 4, 4), 2.0)
    moved = torch.empty(weight.numel() + 1)[1:].view_as(weight).copy_(weight)
    assert torch.equal(clip_singular_values_(moved), clip_singular_values_(weight))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_weight_that_is_not_finite_does_not_change(bad: float, dtype: torch.dtype):
    weight = random_weight((12, 5, 3), 4.0, dtype)
    weight[7, 2, 1] = bad
    before = weight.clone()
    clip_singular_values_(weight)
    torch.testing.assert_close(weight, before, rtol=0, atol=0, equal_nan=True)


def test_a_weight_whose_squares_overflow_is_still_clipped():
    for scale, dtype in ((1e30, torch.float32), (1e200, torch.float64)):
        weight = random_weight((6, 9), scale, dtype)
        clip_singular_values_(weight)
        assert largest_singular_value(weight) < 1 + 1e-5


def test_svc_refuses_vectors_bad_bounds_and_integer_weights():
    with pytest.raises(ValueError, match="at least 2 dimensions"):
        clip_singular_values_(torch.ones(3))
    with pytest.raises(ValueError, match="bound must be positive, got 0"):
        clip_singular_values_(torch.ones(3, 3), bound=0)
    for dtype in (torch.int64, torch.complex64):
        with pytest.raises(ValueError, match="must be bf16, fp16, fp32 or fp64, got torch"):
            clip_singular_values_(torch.ones(3, 3, dtype=dtype))


class SmallDiscriminator(nn.Module):
    """One layer of each kind that has a constraint, and a GRU cell, which has none."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv3d(3, 6, (2, 3, 3)), nn.BatchNorm3d(6), nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5), nn.Conv1d(4, 8, 2)
        )
        self.transposed = nn.ConvTranspose2d(3, 7, 4, groups=1)
        self.linear = nn.Linear(20, 1)
        self.embedding = nn.Embedding(5, 20)
        self.recurrent = nn.GRUCell(4, 4)


def small_discriminator(scale: float = 1.0) -> SmallDiscriminator:
    """A SmallDiscriminator with parameters drawn from N(0, scale^2)."""
    network = SmallDiscriminator()
    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, scale, generator=rng)
    return network


def test_svc_of_a_discriminator_clips_linears_convolutions_embeddings_and_gammas_and_nothing_else():
    network = small_discriminator(scale=3.0)
    before = copy.deepcopy(network.state_dict())
    singular_value_clipping_(network)
    matrices = {
        name: weight.transpose(0, 1) if "transposed" in name else weight
        for name, weight in before.items()
        if weight.ndim > 1 and "recurrent" not in name
    }
    gammas = {"convolutions.1.weight", "convolutions.3.weight"}
    assert len(matrices) == 6
    for name, value in network.state_dict().items():
        if name in matrices:
            clipped = value.transpose(0, 1) if "transposed" in name else value
            assert torch.allclose(clipped.double(), clipped_by_svd(matrices[name]), atol=1e-5), name
            assert largest_singular_value(clipped) < 1 + 1e-5
        elif name in gammas:
            assert value.min() > 0
            assert value.square().max() < 1 + 2e-5
        else:
            assert torch.equal(value, before[name]), name


def test_svc_of_a_discriminator_under_spectral_norm_is_refused():
    network = nn.Sequential(nn.Linear(4, 4), spectral_norm(nn.Linear(4, 1)))
    with pytest.raises(ValueError, match=r"1\.weight must be a parameter to be clipped"):
        singular_value_clipping_(network)


@pytest.mark.parametrize(("size", "stride", "operator_norm"), [(3, 1, 2.93), (4, 2, 1.93)])
def test_svc_does_not_bound_the_operator_of_a_convolution(size: int, stride: int, operator_norm: float):
    layer = nn.Conv2d(1, 1, size, stride, padding=1, bias=False)
    nn.init.constant_(layer.weight, 1 / size)
    assert largest_singular_value(layer.weight.detach()) == pytest.approx(1)
    before = layer.weight.detach().clone()
    singular_value_clipping_(layer)
    assert torch.equal(layer.weight, before)
    every_pixel = torch.eye(256).view(256, 1, 16, 16)  # the columns of the operator on 16x16
    operator = conv2d(every_pixel, layer.weight, stride=stride, padding=1).detach().flatten(1)
    assert torch.linalg.matrix_norm(operator, 2).item() == pytest.approx(operator_norm, abs=0.01)


@pytest.mark.parametrize(("gamma_eps", "eps"), [(True, 1e-5), (False, 0.0)])
def test_gamma_is_clipped_between_a_hundredth_of_the_running_deviation_and_the_whole(gamma_eps: bool, eps: float):
    network = nn.Sequential(nn.BatchNorm3d(4), nn.ReLU())
    network[0].running_var.copy_(torch.tensor([4.0, 4.0, 4.0, 0.0]))
    with torch.no_grad():
        network[0].weight.copy_(torch.tensor([5.0, -1.0, 1.5, 1.0]))
    clip_gammas_(network, gamma_eps)
    expected = torch.tensor([(4 + eps) ** 0.5, 0.01 * (4 + eps) ** 0.5, 1.5, eps**0.5])
    assert torch.allclose(network[0].weight.detach(), expected, atol=1e-9)


def test_a_batch_norm_with_clipped_gamma_is_1_lipschitz_in_eval_mode():
    batch_norm = nn.BatchNorm1d(8).eval()
    generator = torch.Generator().manual_seed(0)
    batch_norm.running_var.copy_(torch.rand(8, generator=generator))
    with torch.no_grad():
        batch_norm.weight.copy_(3 * torch.rand(8, generator=generator))
    x, y = torch.randn(2, 100, 8, generator=generator)
    assert ((batch_norm(x) - batch_norm(y)).norm(dim=1) > (x - y).norm(dim=1)).any()
    clip_gammas_(batch_norm)
    assert ((batch_norm(x) - batch_norm(y)).norm(dim=1) <= (x - y).norm(dim=1) * (1 + 1e-6)).all()


def test_gamma_clipping_refuses_a_batch_norm_without_gamma_or_running_statistics():
    for bare in (nn.BatchNorm3d(4, affine=False), nn.BatchNorm3d(4, track_running_stats=False)):
        with pytest.raises(ValueError, match="norm must have gamma and running statistics"):
            clip_gammas_(nn.ModuleDict({"norm": bare}))


def test_weight_clipping_clips_every_parameter_and_no_buffer():
    network = small_discriminator()
    before = copy.deepcopy(network.state_dict())
    clip_weights_(network)
    buffers = dict(network.named_buffers())
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name] if name in buffers else before[name].clamp(-0.01, 0.01)), name
    clip_weights_(network, bound=0.002)
    assert max(parameter.abs().max() for parameter in network.parameters()) == torch.tensor(0.002)
    with pytest.raises(ValueError, match="bound must be positive, got -1"):
        clip_weights_(network, bound=-1)


@pytest.mark.parametrize("constrain_", [clip_weights_, clip_gammas_, singular_value_clipping_])
def test_no_constraint_turns_nan_into_a_number(constrain_):
    network = small_discriminator()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.flatten()[-1:].fill_(float("nan"))
    where = {name: parameter.isnan() for name, parameter in network.named_parameters()}
    constrain_(network)
    assert all(torch.equal(parameter.isnan(), where[name]) for name, parameter in network.named_parameters())


def test_a_retracted_weight_is_orthogonal_and_spans_the_same_columns_first_to_last():
    weight = random_weight((128, 128), scale=3.0)
    kept = weight.clone()
    retract_to_orthogonal_(weight)
    assert (weight.double().T @ weight.double() - torch.eye(128)).abs().max() < 1e-6
    triangle = weight.double().T @ kept.double()
    assert triangle.tril(-1).abs().max() < 1e-5
    assert (triangle.diagonal() > 0).all(), "no column flips"
    again = weight.clone()
    retract_to_orthogonal_(again)
    assert (again - weight).abs().max() < 1e-6


def test_a_retraction_acts_on_a_transposed_view_and_leaves_what_is_not_finite():
    layer = nn.Linear(5, 5, bias=False)
    retract_to_orthogonal_(layer.weight.T)
    assert torch.allclose(layer.weight @ layer.weight.T, torch.eye(5), atol=1e-6)
    broken = torch.full((3, 3), torch.inf)
    retract_to_orthogonal_(broken)
    assert broken.isinf().all()
