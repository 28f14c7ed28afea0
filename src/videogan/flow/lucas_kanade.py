"""Optical flow without weights: pyramidal, iterative Lucas-Kanade, dense and differentiable."""

import torch
from torch import Tensor, nn

from videogan.flow.warping import warp
from videogan.nets.precision import without_autocast


class LucasKanade(nn.Module):
    """The flow that maps each window of the first frame to the second in least squares (Lucas & Kanade 1981).

    Solved on a pyramid (Bouguet 2001), at each level again after the second frame was warped by the flow so far.
    Windows are Gaussian; all three colours count. Places whose window has no texture keep the flow of the coarser
    level. Has no parameters; computes in fp32 (fp64 on fp64) even under autocast, and gradients flow into both
    frames.
    """

    def __init__(
        self,
        n_iterations: int = 3,
        n_at_finest: int = 1,
        sigma: float = 2.0,
        coarsest: int = 8,
        regularisation: float = 3e-4,
    ) -> None:
        """n_iterations: per level; the finest, which has three quarters of all pixels, gets `n_at_finest` instead.

        More at the finest level halve the speed and reduce the error by a tenth on motions up to 4 pixels. sigma: of
        the window, in pixels of each level; coarsest: minimum pixels per side of a level; regularisation: squared
        gradient in (levels of 1 / pixel)^2 below which a window counts as without texture.
        """
        super().__init__()
        self.n_iterations, self.n_at_finest = n_iterations, n_at_finest
        self.sigma, self.coarsest = sigma, coarsest
        self.regularisation = regularisation

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Flow (B, 2, H, W) in pixels, u right, v down, from frames `first` to `second`, (B, 3, H, W) in [-1, 1]."""
        return self.between(self.features(first), self.features(second))

    def features(self, frames: Tensor) -> list[Tensor]:
        """The pyramid of `frames` (N, 3, H, W), finest level first: each level halves the one before."""
        with without_autocast(frames):
            levels = [frames if frames.dtype == torch.float64 else frames.float()]
            while min(levels[-1].shape[-2:]) >= 2 * self.coarsest:
                levels.append(_filtered(levels[-1], *(_halving(n, levels[-1]) for n in levels[-1].shape[-2:])))
        return levels

    def between(self, first: list[Tensor], second: list[Tensor]) -> Tensor:
        """Flow (N, 2, H, W) from frames with pyramid `first` to those with `second`."""
        with without_autocast(first[0]):
            coarsest = first[-1]
            flow = coarsest.new_zeros(len(coarsest), 2, *coarsest.shape[-2:])
            for one, two in zip(reversed(first), reversed(second), strict=True):
                flow = _resized(flow, one)
                for _ in range(self.n_at_finest if one is first[0] else self.n_iterations):
                    flow = flow + self._increment(one, two, flow)
        return flow

    def _increment(self, first: Tensor, second: Tensor, flow: Tensor) -> Tensor:
        """Least squares of the linearised difference: sum(g g^T) increment = -sum(g difference) in a window."""
        warped, inside = warp(second, flow)
        mean, difference = (first + warped) / 2, warped - first
        # the derivative at the middle of the motion makes the linearisation exact to second order
        dy, dx = torch.gradient(mean, dim=(-2, -1))
        products = torch.stack(
            [(dx * dx).sum(1), (dx * dy).sum(1), (dy * dy).sum(1), (dx * difference).sum(1), (dy * difference).sum(1)],
            dim=1,
        )
        rows, columns = (_window(n, self.sigma, mean) for n in mean.shape[-2:])
        xx, xy, yy, xt, yt = _filtered(products * inside, rows, columns).unbind(1)
        xx, yy = xx + self.regularisation, yy + self.regularisation
        determinant = xx * yy - xy * xy  # at least regularisation^2: the matrix without it is positive semidefinite
        return torch.stack([xy * yt - yy * xt, xy * xt - xx * yt], dim=1) / determinant[:, None]


def _filtered(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """A separable filter as matrices, rows x columns^T: on small frames several times faster than convolutions."""
    return rows @ (x @ columns.T)


def _window(n: int, sigma: float, like: Tensor) -> Tensor:
    """(n, n): Gaussian weights around each pixel, cut at the border and summing to 1."""
    place = torch.arange(n, dtype=like.dtype, device=like.device)
    return torch.softmax(-((place[:, None] - place) ** 2) / (2 * sigma**2), dim=1)


def _halving(n: int, like: Tensor) -> Tensor:
    """(n // 2, n): a blurred signal at the middles of pairs of pixels."""
    place = torch.arange(n, dtype=like.dtype, device=like.device)
    middle = (torch.arange(n // 2, dtype=like.dtype, device=like.device) + 0.5) * n / (n // 2) - 0.5
    return torch.softmax(-((middle[:, None] - place) ** 2) / 2, dim=1)


def _resized(flow: Tensor, level: Tensor) -> Tensor:
    """`flow` at the size of `level`, in its pixels."""
    height, width = level.shape[-2:]
    if flow.shape[-2:] == (height, width):
        return flow
    scale = flow.new_tensor([width / flow.shape[-1], height / flow.shape[-2]])[:, None, None]
    return nn.functional.interpolate(flow, (height, width), mode="bilinear", align_corners=False) * scale
