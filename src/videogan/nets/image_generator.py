"""G_Image: BigGAN's residual generator, frame by frame, with temporal shift between the frames."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from videogan.nets.conditional_norm import Normalisation
from videogan.nets.narrow_norm import own_batch_norm
from videogan.nets.recomputation import Recomputing
from videogan.nets.resblocks import UpBlock
from videogan.nets.self_attention import SelfAttention
from videogan.nets.temporal_shift import ShiftDirection, temporal_shift

MULTIPLES = (16, 16, 8, 4, 2, 1)
"""Channels in multiples of a: of the first map, then after each of the five blocks (MVT-GAN app. A; BigGAN)."""


@dataclass(frozen=True)
class TemporalShift:
    """Temporal shift before the first n_blocks blocks (TSA): of the residual branch, or "inplace" of the input."""

    n_blocks: int
    fold_div: int = 8
    place: Literal["residual", "inplace"] = "residual"
    direction: ShiftDirection = "bi"

    def __call__(self, x: Tensor, n_frames: int) -> tuple[Tensor, Tensor]:
        """Branch and shortcut of a block with input x (B * T, C, H, W); frames of different videos never mix."""
        shifted = temporal_shift(x.unflatten(0, (-1, n_frames)), self.fold_div, self.direction).flatten(0, 1)
        return shifted, x if self.place == "residual" else shifted


class ImageGenerator(Recomputing):
    """G_Image: Z_F = [x_t; e(y)] -> linear -> five up-blocks given Z_F -> BN-ReLU-conv-tanh (MVT-GAN sec. 4.1.3).

    forward: codes (B, T, dim_code), y (B,) integer labels or (B, dim_embedding) embeddings ->
    videos (B, T, n_colours, R, R) in [-1, 1], R = 32 w. All T frames of a video share e(y). Self-attention follows
    block number `attention_after`.
    """

    def __init__(
        self,
        channels: int,
        resolution: int,
        embedding: nn.Embedding,
        dim_code: int,
        shift: TemporalShift,
        attention_after: int = 3,
        norm: Normalisation = "batch",
        n_colours: int = 3,
    ) -> None:
        super().__init__()
        widths = [channels * multiple for multiple in MULTIPLES]
        dim_condition = dim_code + embedding.embedding_dim
        self.embedding = embedding
        self.first_map = (widths[0], resolution // 32, resolution // 32)
        self.linear = nn.Linear(dim_condition, widths[0] * (resolution // 32) ** 2)
        self.shift = shift
        self.blocks = nn.ModuleList(UpBlock(n_in, n_out, dim_condition, norm) for n_in, n_out in pairwise(widths))
        self.attention_after = attention_after
        self.attention = SelfAttention(widths[attention_after])
        self.norm = nn.BatchNorm2d(channels) if norm == "batch" else nn.Identity()
        self.output = nn.Conv2d(channels, n_colours, 3, padding=1)

    def forward(self, codes: Tensor, y: Tensor) -> Tensor:
        n_frames = codes.shape[1]
        embedded = y if y.is_floating_point() else self.embedding(y)
        condition = torch.cat([codes, embedded[:, None].expand(-1, n_frames, -1)], dim=2).flatten(0, 1)
        x = self.linear(condition).unflatten(1, self.first_map)
        for i, block in enumerate(self.blocks, start=1):
            branch, shortcut = self.shift(x, n_frames) if i <= self.shift.n_blocks else (x, x)
            x = self.run(block, branch, shortcut, condition)
            if i == self.attention_after:
                x = self.run(self.attention, x)
        if isinstance(self.norm, nn.BatchNorm2d):
            x = own_batch_norm(self.norm, x)
        return self.output(relu(x)).tanh().unflatten(0, (-1, n_frames))
