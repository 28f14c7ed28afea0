"""Parts of progressively growing networks (Karras et al., arXiv 1710.10196), on maps (B, C, T, H, W)."""

import math
from collections.abc import Callable
from typing import Self, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool3d, interpolate, linear

from videogan.nets.conv3d import Conv3d, safe_conv3d

Size: TypeAlias = tuple[int, int, int]
"""Frames, rows and columns of a map."""
EPSILON = 1e-8


class EqualisedConv3d(Conv3d):
    """A convolution whose weights are N(0, 1), times gain / sqrt(fan-in) at every use (sec. 4.1).

    All weights of a network then have one scale, and Adam moves each equally fast. It keeps the side of its input.
    """

    def __init__(self, n_in: int, n_out: int, kernel: int, gain: float = math.sqrt(2)) -> None:
        super().__init__(n_in, n_out, kernel, padding=kernel // 2)
        self.scale = gain / math.sqrt(n_in * kernel**3)

    def reset_parameters(self) -> None:
        """Weights ~ N(0, 1), biases 0."""
        _standard_normal_(self)

    def forward(self, x: Tensor) -> Tensor:
        assert not isinstance(self.padding, str)
        return safe_conv3d(x, self.weight * self.scale, self.bias, self.stride, self.padding)


class EqualisedLinear(nn.Linear):
    """A linear layer whose weights are N(0, 1), times gain / sqrt(fan-in) at every use (sec. 4.1)."""

    def __init__(self, n_in: int, n_out: int, gain: float = math.sqrt(2), bias: bool = True) -> None:
        super().__init__(n_in, n_out, bias)
        self.scale = gain / math.sqrt(n_in)

    def reset_parameters(self) -> None:
        """Weights ~ N(0, 1), biases 0."""
        _standard_normal_(self)

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight * self.scale, self.bias)


def _standard_normal_(layer: nn.Conv3d | nn.Linear) -> None:
    # On the meta device, where models are only counted, normal_ spends 10 s importing torch's compiler.
    if not layer.weight.is_meta:
        nn.init.normal_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def pixel_norm(x: Tensor) -> Tensor:
    """x (B, C, ...) divided by the root of its mean square over channels: each pixel gets length sqrt(C) (sec. 4.2)."""
    return x * ((x * x).mean(1, keepdim=True) + EPSILON).rsqrt()


def with_deviation(x: Tensor, group: int) -> Tensor:
    """x (B, C, T, H, W) with one more channel: how much the clips of a group differ (sec. 3).

    It is the standard deviation over each `group` of consecutive clips, averaged over channels and positions; a last
    group may be smaller. Consecutive, so that a part of a batch which holds whole groups has those of the whole batch.
    """
    deviations = []
    for clips in x.split(group):
        deviation = (clips.var(0, unbiased=False) + EPSILON).sqrt().mean()
        deviations.append(deviation.expand(len(clips), 1, *x.shape[2:]))
    return torch.cat([x, torch.cat(deviations)], dim=1)


def resized(x: Tensor, size: Size) -> Tensor:
    """x (B, C, T, H, W) at `size`: averaged over blocks down, or each value repeated up, by whole factors."""
    before, after = tuple(x.shape[2:]), tuple(size)
    if before == after:
        return x
    if before > after:
        return avg_pool3d(x, [n // m for n, m in zip(before, after, strict=True)])
    return interpolate(x, size=after, mode="nearest")


def faded(old: Tensor, new: Tensor, t: float) -> Tensor:
    """(1 - t) old + t new, also where autocast gave them two precisions, which `torch.lerp` refuses."""
    return old + t * (new - old)


class Growing(nn.Module):
    """A network of levels, of which the first work: the buffer `grown` is 2.0 with two, 1.5 with the second half in.

    It is a buffer, so that checkpoints, averages and copies have it, and stays on the CPU: each forward pass reads it,
    and to read it from a GPU would wait for that. A new network is fully grown.
    """

    grown: Tensor
    _ddp_params_and_buffers_to_ignore = ("grown",)  # every rank sets it, and NCCL sends nothing from CPUs

    def __init__(self, n_levels: int) -> None:
        super().__init__()
        self.n_levels = n_levels
        self.register_buffer("grown", torch.tensor(float(n_levels)))

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """What moves or converts a module; `grown` stays."""
        grown = self.grown
        super()._apply(fn, recurse)
        self.grown = grown
        return self

    def grow_to_(self, grown: float) -> None:
        """Set how many levels work, 1 to n_levels."""
        self.grown.fill_(grown)

    def levels(self) -> tuple[int, float]:
        """How many levels work wholly, and the share t in [0, 1) of the next."""
        # A meta tensor has no value: models are counted at their largest.
        grown = float(self.n_levels) if self.grown.is_meta else self.grown.item()
        return int(grown), grown % 1


def grown_after(n_clips: int, clips_a_phase: int, n_levels: int) -> float:
    """How far networks have grown once D has seen `n_clips`: each level works alone for a phase, then the next fades in
    for one (sec. 2)."""
    n_whole, within = divmod(n_clips / clips_a_phase, 2)
    return min(1 + n_whole + max(within - 1, 0.0), float(n_levels))


def real_as_grown(real: Tensor, sizes: list[Size], levels: tuple[int, float]) -> Tensor:
    """Real videos (B, T, 3, R, R) as blurred as what networks at `levels` make of them, at their own size.

    While a level fades in, real clips fade from the smaller size to the larger one, as fakes do. `sizes`: by level.
    """
    n_whole, t = levels
    x = real.transpose(1, 2)
    small = resized(x, sizes[n_whole - 1])
    if t > 0:
        small = faded(resized(small, sizes[n_whole]), resized(x, sizes[n_whole]), t)
    return resized(small, sizes[-1]).transpose(1, 2)
