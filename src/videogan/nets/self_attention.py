"""Self-attention over the positions of an image."""

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, pad, scaled_dot_product_attention

MOST_POSITIONS_AT_ONCE = 32 * 32
"""Up to this many positions the whole attention map is computed on CPUs. Above, and on GPUs, a fused kernel saves the
map's memory (17 GB for 64 clips of 16 frames at 64 x 64)."""


class SelfAttention(nn.Module):
    """Non-local block x + gamma W_o softmax(theta(x)^T phi(x)) g(x), gamma starting at 0 (SAGAN sec. 3, as in BigGAN).

    phi and g are max-pooled 2x2 (BigGAN), so each position attends to a quarter as many.
    x: (B, C, H, W), H and W at least 2 -> the same shape. No biases.
    """

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        n_keys, n_values = max(1, n_channels // 8), max(1, n_channels // 2)
        self.theta = nn.Conv2d(n_channels, n_keys, 1, bias=False)
        self.phi = nn.Conv2d(n_channels, n_keys, 1, bias=False)
        self.g = nn.Conv2d(n_channels, n_values, 1, bias=False)
        self.output = nn.Conv2d(n_values, n_channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        queries = _positions(self.theta(x))
        keys = _positions(max_pool2d(self.phi(x), 2))
        values = _positions(max_pool2d(self.g(x), 2))
        if queries.shape[1] <= MOST_POSITIONS_AT_ONCE and not x.is_cuda:
            attended = (queries @ keys.transpose(1, 2)).softmax(2) @ values
        else:
            attended = _fused(queries, keys, values)
        return x + self.gamma * self.output(attended.transpose(1, 2).unflatten(2, x.shape[2:]))


def _fused(queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """softmax(queries keys^T) values, by a kernel that never stores the map.

    Such kernels need a dimension of heads, rows that are contiguous, and queries, keys and values of one width: zeros
    fill up the narrow ones and change no product. Without any of these torch silently computes the whole map.
    """
    width = values.shape[2]
    q, k, v = (pad(x, (0, width - x.shape[2]))[:, None].contiguous() for x in (queries, keys, values))
    return scaled_dot_product_attention(q, k, v, scale=1.0).squeeze(1)


def _positions(x: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, H * W, C)."""
    return x.flatten(2).transpose(1, 2)
