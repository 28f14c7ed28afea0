"""PWC-Net has the published size, names and cost volume."""

import pytest
import torch
from torch import Tensor, nn

from videogan.flow.pwc_net import PWCNet, correlation, warped_features


def n_parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def narrow(seed: int = 0) -> PWCNet:
    """A network with random weights in its last layers too, which begin as zeros."""
    torch.manual_seed(seed)
    network = PWCNet(0.1).eval()
    for parameter in network.parameters():
        if parameter.dim() == 4 and not parameter.any():
            nn.init.kaiming_normal_(parameter)
    return network


def frames(size: tuple[int, int] = (64, 64), n: int = 2, seed: int = 0) -> Tensor:
    return torch.rand(n, 3, *size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_the_parts_have_the_published_numbers_of_parameters():
    with torch.device("meta"):
        network = PWCNet()
    decoders = [network.get_submodule(name) for name in ("netSix", "netFiv", "netFou", "netThr", "netTwo")]
    assert n_parameters(network) == 9_374_274
    assert n_parameters(network.netExtractor) == 1_665_804
    assert sum(map(n_parameters, decoders)) == 6_577_204
    assert n_parameters(network.netRefiner) == 1_131_266


def test_names_are_the_reimplementations():
    with torch.device("meta"):
        state = PWCNet().state_dict()
    shapes = {name: tuple(value.shape) for name, value in state.items()}
    assert len(shapes) == 2 * (6 * 3 + 5 * 6 + 4 * 2 + 7)
    assert shapes["netExtractor.netOne.0.weight"] == (16, 3, 3, 3)
    assert shapes["netExtractor.netSix.4.bias"] == (196,)
    assert shapes["netSix.netOne.0.weight"] == (128, 81, 3, 3)
    assert shapes["netTwo.netUpflow.weight"] == (2, 2, 4, 4)
    assert shapes["netFiv.netUpfeat.weight"] == (81 + 448, 2, 4, 4)
    assert shapes["netTwo.netSix.0.weight"] == (2, 81 + 32 + 4 + 448, 3, 3)
    assert shapes["netRefiner.netMain.0.weight"] == (128, 565, 3, 3)
    assert shapes["netRefiner.netMain.12.weight"] == (2, 32, 3, 3)
    assert not any(name.startswith("netSix.netUp") for name in shapes)


def test_a_cost_volume_is_the_mean_over_channels_by_displacement():
    rng = torch.Generator().manual_seed(0)
    first, second = (torch.randn(2, 5, 6, 7, generator=rng, dtype=torch.float64) for _ in range(2))
    volume = correlation(first, second)
    padded = nn.functional.pad(second, (4, 4, 4, 4))
    expected = [(first * padded[..., v : v + 6, u : u + 7]).mean(1) for v in range(9) for u in range(9)]
    assert torch.allclose(volume, torch.stack(expected, dim=1), atol=1e-12)


@pytest.mark.parametrize(("u", "v"), [(3, 0), (0, 2), (-4, -4), (4, -1)])
def test_a_motion_within_reach_is_the_highest_cost(u: int, v: int):
    first = torch.randn(1, 64, 16, 16, generator=torch.Generator().manual_seed(0))
    volume = correlation(first, first.roll((v, u), dims=(2, 3)))
    assert (volume[0, :, 4:12, 4:12].argmax(0) == (v + 4) * 9 + (u + 4)).all()


def test_the_cost_volumes_gradient_is_its_derivative():
    rng = torch.Generator().manual_seed(0)
    first, second = (torch.randn(1, 2, 3, 4, generator=rng, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(correlation, (first, second))


def test_warped_features_are_zero_outside_the_image():
    features = torch.ones(1, 2, 4, 4)
    flow = torch.zeros(1, 2, 4, 4)
    flow[:, 0] = 2.0
    assert warped_features(features, flow)[0, 0].tolist() == [[1.0, 1.0, 0.0, 0.0]] * 4


@pytest.mark.parametrize("size", [(32, 32), (64, 64), (96, 96), (40, 70)])
@torch.no_grad()
def test_flow_has_the_size_of_the_frames_even_if_the_network_resizes_them(size: tuple[int, int]):
    assert narrow()(frames(size), frames(size, seed=1)).shape == (2, 2, *size)


@torch.no_grad()
def test_flow_counts_the_pixels_of_the_frame_given():
    network = narrow()
    first, second = frames(seed=0), frames(seed=1)
    small = [nn.functional.interpolate(frame, (32, 32), mode="area") for frame in (first, second)]
    enlarged = [nn.functional.interpolate(frame, (64, 64), mode="bilinear", align_corners=False) for frame in small]
    expected = nn.functional.interpolate(network(*enlarged), (32, 32), mode="area") / 2
    assert torch.allclose(network(*small), expected, rtol=0.2, atol=0.05 * expected.abs().max().item())


@torch.no_grad()
def test_the_network_sees_colours_from_0_to_1_in_the_order_blue_green_red():
    network, seen = narrow(), []
    network.netExtractor.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    red = torch.tensor([1.0, -1.0, 0.0])[:, None, None].expand(1, 3, 64, 64)
    network.features(red)
    assert seen[0][0, :, 0, 0].tolist() == [0.5, 0.0, 1.0]


@torch.no_grad()
def test_flow_i_depends_only_on_pair_i():
    network = narrow().double()
    first, second = frames(n=3).double(), frames(n=3, seed=1).double()
    assert torch.allclose(network(first, second)[1:2], network(first[1:2], second[1:2]), atol=1e-10)


def test_bf16_gives_flow_in_fp32_close_to_that_of_fp32():
    network, first, second = narrow(), frames(), frames(seed=1)
    with torch.no_grad():
        plain = network(first, second)
    with torch.autocast("cpu", torch.bfloat16):
        flow = network(first.requires_grad_(), second)
    assert flow.dtype == torch.float32
    assert (flow - plain).norm() < 0.1 * plain.norm()
    flow.sum().backward()
    assert first.grad.isfinite().all()


def test_gradients_of_the_frozen_network_flow_into_both_frames_only():
    network = narrow().requires_grad_(False)
    first, second = frames().requires_grad_(), frames(seed=1).requires_grad_()
    network(first, second).square().sum().backward()
    assert first.grad.any()
    assert second.grad.any()
    assert all(parameter.grad is None for parameter in network.parameters())


def test_the_gradient_of_the_whole_network_is_its_derivative_in_both_frames():
    network = narrow().double().requires_grad_(False)
    pair = [frames(n=1, seed=seed).double().requires_grad_() for seed in range(2)]
    assert torch.autograd.gradcheck(network, pair, eps=1e-6, atol=1e-5, fast_mode=True)


@torch.no_grad()
def test_an_untrained_network_estimates_zero_flow():
    assert not PWCNet(0.1)(frames(), frames(seed=1)).any()


def test_a_width_outside_its_range_is_refused():
    with pytest.raises(ValueError, match="width must be in"):
        PWCNet(0)


def test_a_width_scales_every_convolution_except_cost_volumes_and_flows():
    with torch.device("meta"):
        network = PWCNet(0.25)
    assert network.netExtractor.netSix[4].weight.shape == (49, 49, 3, 3)
    assert network.netTwo.netOne[0].weight.shape == (32, 81 + 8 + 4, 3, 3)
    assert network.netRefiner.netMain[0].weight.shape == (32, 81 + 8 + 4 + 112, 3, 3)
