"""Warping takes pixels from where the flow points."""

import torch

from videogan.flow.warping import warp


def image() -> torch.Tensor:
    return torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_no_flow_changes_nothing():
    warped, inside = warp(image(), torch.zeros(2, 2, 5, 7, dtype=torch.float64))
    assert torch.allclose(warped, image(), atol=1e-12)
    assert inside.all()


def test_a_flow_of_whole_pixels_copies_pixels_exactly():
    flow = torch.tensor([2.0, -1.0], dtype=torch.float64)[:, None, None].expand(2, 2, 5, 7)
    warped, inside = warp(image(), flow)
    assert torch.allclose(warped[..., 1:, :5], image()[..., :4, 2:], atol=1e-12)
    assert inside[..., 1:, :5].all()
    assert not inside[..., 0, :].any()
    assert not inside[..., 5:].any()
    assert torch.allclose(warped[..., 1:, 6], image()[..., :4, 6], atol=1e-12)  # beyond the border, its nearest pixel


def test_the_gradient_is_the_derivative_in_image_and_flow():
    rng = torch.Generator().manual_seed(1)
    # Between pixels, where a bilinear image has a derivative.
    flow = torch.rand(2, 2, 5, 7, generator=rng, dtype=torch.float64) * 0.8 + 0.1
    seen, moved = image().requires_grad_(), flow.requires_grad_()
    assert torch.autograd.gradcheck(lambda *given: warp(*given)[0], (seen, moved))


def test_half_a_pixel_is_the_mean_of_its_neighbours():
    flow = torch.tensor([0.5, 0.0], dtype=torch.float64)[:, None, None].expand(2, 2, 5, 7)
    warped, _ = warp(image(), flow)
    assert torch.allclose(warped[..., :6], (image()[..., :6] + image()[..., 1:]) / 2, atol=1e-12)


def test_a_nan_flow_gives_nan_only_at_its_pixel_and_its_gradient_does_not_crash():
    image, flow = torch.ones(1, 3, 8, 8, requires_grad=True), torch.zeros(1, 2, 8, 8)
    flow[0, 0, 2, 3] = torch.nan
    flow.requires_grad_()
    warped, inside = warp(image, flow)
    warped.sum().backward()
    wrong = torch.zeros(8, 8, dtype=torch.bool)
    wrong[2, 3] = True
    assert torch.equal(warped.isnan(), wrong.expand(1, 3, 8, 8))
    assert torch.equal(inside, ~wrong.expand(1, 1, 8, 8))
