"""Temporal shift: features move between neighbouring frames, without parameters or arithmetic."""

from typing import Literal

import torch
from torch import Tensor

ShiftDirection = Literal["bi", "uni"]


def temporal_shift(x: Tensor, fold_div: int = 8, direction: ShiftDirection = "bi") -> Tensor:
    """Temporal shift of a fraction of the channels (TSM, Lin et al. 2019; MVT-GAN sec. 4.1.3, fig. 4b).

    With f = floor(C / fold_div): out[t, :f] = x[t+1, :f], out[t, f:2f] = x[t-1, f:2f], the rest does not move; frames
    outside the clip are zero. direction="uni" looks back only, for streaming: out[t, :f] = x[t-1, :f].

    x: (B, T, C, H, W) of any memory layout, which the result keeps; x does not change. Raises ValueError if
    the shifted folds do not fit: fold_div must be at least 2 (bi) or 1 (uni).
    """
    smallest = 2 if direction == "bi" else 1
    if fold_div < smallest:
        raise ValueError(
            f"fold_div must be at least {smallest} with direction '{direction}', got {fold_div}; raise fold_div."
        )
    fold = x.shape[2] // fold_div
    out = torch.zeros_like(x)
    if direction == "bi":
        out[:, :-1, :fold] = x[:, 1:, :fold]
        out[:, 1:, fold : 2 * fold] = x[:, :-1, fold : 2 * fold]
        out[:, :, 2 * fold :] = x[:, :, 2 * fold :]
    else:
        out[:, 1:, :fold] = x[:, :-1, :fold]
        out[:, :, fold:] = x[:, :, fold:]
    return out
