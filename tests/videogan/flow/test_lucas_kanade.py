"""The flow without weights finds textured motions up to 4 px to a quarter of a pixel, and its gradient is right."""

import pytest
import torch
from torch import Tensor

from videogan.flow.generated_pairs import FlowPairs, PairSettings, generated_pairs
from videogan.flow.held_out import endpoint_error, zero_flow
from videogan.flow.lucas_kanade import LucasKanade

TEXTURED = {"n_shapes": 0, "still_background": 0.0, "max_motion": 4.0}


def textured(size: int, n: int = 16, **settings: float) -> FlowPairs:
    return generated_pairs(range(n), 3, PairSettings(**{"size": size, **TEXTURED, **settings}))


def translation(flow: tuple[float, float], size: int = 64) -> tuple[Tensor, Tensor]:
    """A texture of plane waves (4, 3, size, size) and the same moved by `flow` pixels (u, v)."""
    rng = torch.Generator().manual_seed(0)
    angle, phase = (torch.rand(4, 3, 12, 1, 1, generator=rng) * 2 * torch.pi for _ in range(2))
    speed = 0.1 + torch.rand(4, 3, 12, 1, 1, generator=rng)  # radians a pixel, waves of 6 to 60 pixels
    y, x = torch.meshgrid(*[torch.arange(size).float()] * 2, indexing="ij")

    def shown(u: float, v: float) -> Tensor:
        return (speed * (angle.cos() * (x - u) + angle.sin() * (y - v)) + phase).cos().mean(2)

    return shown(0, 0), shown(*flow)


@pytest.mark.parametrize("size", [32, 48, 64, 96])
def test_the_endpoint_error_on_textured_affine_motions_up_to_4_px_is_below_a_quarter_of_a_pixel(size: int):
    pairs = textured(size, max_rotation=2 / size)  # 1 px more at the border
    error = endpoint_error(LucasKanade()(pairs.first, pairs.second), pairs.flow)
    zero = endpoint_error(zero_flow(pairs.first, pairs.second), pairs.flow)
    print(f"Lucas-Kanade at {size} px: endpoint error {error:.3f} px, of zero flow {zero:.2f} px")
    assert zero > 1.5
    assert error < 0.25


@pytest.mark.parametrize("flow", [(4.0, 0.0), (0.0, -4.0), (-2.8, 2.8), (0.3, -0.2), (0.0, 0.0)])
def test_a_translation_is_found_right_and_down_positive(flow: tuple[float, float]):
    found = LucasKanade()(*translation(flow))
    error = (found - torch.tensor(flow)[:, None, None]).norm(dim=1).mean()
    print(f"translation {flow}: endpoint error {error:.3f} px")
    assert error < 0.25


def test_equal_frames_and_frames_without_texture_have_no_flow_and_finite_gradients():
    frame, _ = translation((1.0, 1.0))
    flat = torch.zeros_like(frame)
    # rounding of a filter's sum over 0.5 looks like a slope of 1e-7, against a regularisation of 3e-4
    for first, second, most in ((frame, frame, 1e-4), (flat, flat, 0), (flat, flat + 0.5, 1e-2)):
        first, second = first.clone().requires_grad_(), second.clone().requires_grad_()
        flow = LucasKanade()(first, second)
        assert flow.abs().max() <= most
        (flow * torch.randn_like(flow)).sum().backward()
        assert first.grad.isfinite().all()
        assert second.grad.isfinite().all()


def test_each_pairs_flow_is_its_own():
    pairs = textured(32, n=3)
    together = LucasKanade()(pairs.first, pairs.second)
    alone = LucasKanade()(pairs.first[1:2], pairs.second[1:2])
    assert torch.allclose(together[1:2], alone, atol=1e-5)


@pytest.mark.parametrize("shape", [(17, 17), (20, 33)])
def test_frames_of_any_size_have_a_flow_of_their_size(shape: tuple[int, int]):
    first, second = (frame[..., : shape[0], : shape[1]] for frame in translation((1.0, -0.5)))
    flow = LucasKanade()(first, second)
    assert flow.shape == (4, 2, *shape)
    assert (flow - torch.tensor([1.0, -0.5])[:, None, None]).norm(dim=1).mean() < 0.25


def test_the_gradient_is_the_derivative_in_both_frames():
    pairs = textured(16, n=1, max_motion=1.0)
    first, second = (frame.double().requires_grad_() for frame in pairs[:2])
    assert torch.autograd.gradcheck(LucasKanade(n_iterations=2), (first, second), eps=1e-6, atol=1e-5, fast_mode=True)


def test_autocast_changes_nothing():
    pairs = textured(32, n=2)
    plain = LucasKanade()(pairs.first, pairs.second)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(LucasKanade()(pairs.first, pairs.second), plain)


def test_lucas_kanade_has_no_parameters():
    assert not list(LucasKanade().parameters())
