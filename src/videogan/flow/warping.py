"""Backward warping of an image by a flow."""

import torch
from torch import Tensor
from torch.nn.functional import grid_sample


def warp(image: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """`image` (B, C, H, W) at x + flow(x), bilinear, and whether that position is inside the image, bool (B, 1, H, W).

    flow: (B, 2, H, W) in pixels, u right, v down. Outside, the nearest border pixel is taken; where the flow is NaN,
    so is the result. Differentiable in both.
    """
    height, width = image.shape[-2:]
    x = torch.arange(width, device=flow.device, dtype=flow.dtype) + flow[:, 0]
    y = torch.arange(height, device=flow.device, dtype=flow.dtype)[:, None] + flow[:, 1]
    # grid_sample counts from -1 to 1, edges of the outer pixels, so that one pixel is 2 / size
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    # A NaN position would read a border pixel, and its gradient kills the process (torch 2.13 on the CPU).
    unknown = grid.isnan().any(-1)
    sampled = grid_sample(image, grid.masked_fill(unknown[..., None], 0.0), padding_mode="border", align_corners=False)
    return sampled.masked_fill(unknown[:, None], torch.nan), inside[:, None]
