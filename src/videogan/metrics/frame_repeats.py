"""How often a clip shows an earlier frame again: MDP's t-PSNR and t-DSSIM, and a bounded share of repeated frames.

Yushchenko et al. 2019 (arXiv 1909.12400) compare each frame with the most similar earlier frame of its clip. A fixed
lag, as in `motion_health`, misses clips that stop halfway, that run backwards after half their length, or that are
still under noise.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

LEVELS = 255.0
ROUNDING_ERROR = 1 / 12
"""Variance of rounding to whole levels: the least mean squared error of bytes. It bounds t-PSNR at 58.9 dB."""
REAL_QUANTILE = 0.01
"""A frame repeats if it is at least as near to an earlier one as the nearest 1 % of real frames."""
WINDOW = 7
"""Side of the uniform window of SSIM (scikit-image's default)."""
UNBIASED = WINDOW**2 / (WINDOW**2 - 1)
"""scikit-image divides variances by the number of pixels in a window less one."""
STABILISERS = ((0.01 * LEVELS) ** 2, (0.03 * LEVELS) ** 2)
"""C1 and C2 of SSIM (Wang et al. 2004)."""


class Repeats(NamedTuple):
    """Shares of frames 2 to T that repeat the frame before (`freezing`), or an older one and not the frame before."""

    freezing: float
    looping: float

    @property
    def repeats(self) -> float:
        return self.freezing + self.looping


def frame_errors(frames: Tensor) -> Tensor:
    """Mean squared errors between the frames of each clip, in levels squared: float64 (n, T, T).

    `frames`: uint8 (n, T, H, W, C). [:, i, j] is the error of frame i to frame j < i; infinite for j >= i. Exact.
    """
    return torch.stack([_squared_errors(clip) for clip in _checked(frames)])


def repeat_threshold(real_errors: Tensor) -> float:
    """The largest error of a repeat: the 1 % quantile of real frames' errors to their nearest earlier frame.

    `real_errors`: `frame_errors` of real clips. It is 0 if 1 % of the real frames are copies of earlier ones.
    """
    return nearest_earlier(real_errors).flatten().quantile(REAL_QUANTILE).item()


def frame_repeats(errors: Tensor, threshold: float) -> Repeats:
    """Shares of repeated frames by `frame_errors` (n, T, T): those with an error of at most `threshold`.

    A frame that is near to the frame before freezes, even if noise makes an older frame a little nearer. Slow motion
    freezes too: `still_share` at a longer lag tells it apart.
    """
    repeats = nearest_earlier(errors) <= threshold
    freezes = errors.diagonal(-1, 1, 2) <= threshold
    freezing, looping = (share.double().mean().item() for share in (freezes, repeats & ~freezes))
    return Repeats(freezing, looping)


def still_share(errors: Tensor, threshold: float, lag: int) -> float:
    """Share of pairs of frames `lag` apart, 1 to T - 1, with an error of at most `threshold`; `freezing` at lag 1.

    Real motion at 1/k of its speed changes as much in k frames as real clips do in one; a still never does.
    """
    return (errors.diagonal(-lag, 1, 2) <= threshold).double().mean().item()


def nearest_earlier(errors: Tensor) -> Tensor:
    """The errors of frames 2 to T to their nearest earlier frame, (n, T - 1), by `frame_errors` (n, T, T)."""
    return errors.amin(2)[:, 1:]


def t_psnr(errors: Tensor) -> float:
    """Mean over clips and frames i of max over j < i of PSNR(x_i, x_j), in dB; high if frames repeat.

    `errors`: `frame_errors` (n, T, T). Errors below those of rounding count as such, so it is at most 58.9 dB. It has
    no threshold: compare it with that of real clips.
    """
    return (10 * torch.log10(LEVELS**2 / nearest_earlier(errors).clamp(min=ROUNDING_ERROR))).mean().item()


def t_dssim(frames: Tensor) -> float:
    """Mean over clips and frames i of min over j < i of (1 - SSIM(x_i, x_j)) / 2, in [0, 1]; low if frames repeat.

    `frames`: uint8 (n, T, H, W, C), H and W at least 7. SSIM as scikit-image's: uniform 7 x 7 windows, per channel.
    """
    return torch.stack([_least_dissimilarities(clip) for clip in _checked(frames)]).mean().item()


class _Windows(NamedTuple):
    """Images (n, C, H, W) in levels, and over each of their windows the mean and the variance (divided by 48)."""

    pixels: Tensor
    mean: Tensor
    variance: Tensor

    @classmethod
    def of(cls, images: Tensor) -> "_Windows":
        """`images`: uint8 (n, H, W, C)."""
        pixels = images.double().movedim(-1, 1)
        mean = _window_mean(pixels)
        return cls(pixels, mean, UNBIASED * (_window_mean(pixels.square()) - mean.square()))

    def some(self, which: slice) -> "_Windows":
        return _Windows(*(part[which] for part in self))


def ssim(images: Tensor, others: Tensor) -> Tensor:
    """SSIM of pairs of images, uint8 (n, H, W, C): float64 (n,), the mean over channels and whole windows."""
    return _similarity(_Windows.of(images), _Windows.of(others))


def _similarity(x: _Windows, y: _Windows) -> Tensor:
    """SSIM (Wang et al. 2004, eq. 13) of n pairs, or of one image with n: float64 (n,)."""
    covariance = UNBIASED * (_window_mean(x.pixels * y.pixels) - x.mean * y.mean)
    c1, c2 = STABILISERS
    luminance = (2 * x.mean * y.mean + c1) / (x.mean.square() + y.mean.square() + c1)
    structure = (2 * covariance + c2) / (x.variance + y.variance + c2)
    return (luminance * structure).flatten(1).mean(1)


def _least_dissimilarities(clip: Tensor) -> Tensor:
    """Of frames 2 to T of a clip, the least (1 - SSIM) / 2 to an earlier frame: (T - 1,)."""
    windows = _Windows.of(clip)
    pairs = [(windows.some(slice(i, i + 1)), windows.some(slice(i))) for i in range(1, len(clip))]
    return torch.stack([((1 - _similarity(frame, earlier)) / 2).min() for frame, earlier in pairs])


def _squared_errors(clip: Tensor) -> Tensor:
    """Mean squared errors between frames, (T, T), infinite from the diagonal on; exact in float64, as bytes are."""
    pixels = clip.flatten(1).double()
    squares = pixels.square().sum(1)
    errors = (squares[:, None] + squares[None, :] - 2 * pixels @ pixels.T) / pixels.shape[1]
    return errors.masked_fill(torch.ones_like(errors, dtype=torch.bool).triu(), math.inf)


def _window_mean(images: Tensor) -> Tensor:
    return avg_pool2d(images, WINDOW, stride=1)


def _checked(frames: Tensor) -> Tensor:
    if frames.ndim != 5 or frames.dtype != torch.uint8 or not len(frames) or frames.shape[1] < 2:
        raise ValueError(
            f"repeats need uint8 clips (n, T, H, W, C), n >= 1, T >= 2, got {frames.dtype} {tuple(frames.shape)}."
        )
    return frames
