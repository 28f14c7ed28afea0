"""The sequence generator: from one code per video to one code per frame."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import linear


class SequenceGenerator(nn.Module):
    """Recurrent z -> z_gru: x_0 = FC(z), h_t = GRU(x_{t-1}, h_{t-1}), x_t = W_p h_t + b_p (MVT-GAN sec. 4.1.2).

    A projection maps the 2048 cells of the paper's GRU to d numbers (released code). feed "auto": each x_t
    is the next input; "repeat": x_0 is every input. seq_bn "per_step": batch norm without gain and bias on each emitted
    x_t, with statistics over the batch only; the feedback is not normalised (released code).
    forward: z (B, d) -> (B, T, d) for any T. Raises ValueError in training with B = 1 under per_step.
    """

    def __init__(
        self,
        dim: int,
        hidden: int,
        feed: Literal["auto", "repeat"] = "auto",
        seq_bn: Literal["per_step", "none"] = "per_step",
        n_steps: int = 16,
    ) -> None:
        super().__init__()
        self.feed = feed
        self.input = nn.Linear(dim, dim)
        self.cell = nn.GRUCell(dim, hidden)
        self.projection = nn.Linear(hidden, dim)
        n_norms = n_steps if seq_bn == "per_step" else 0
        self.norms = nn.ModuleList(nn.BatchNorm1d(dim, affine=False) for _ in range(n_norms))
        self.register_load_state_dict_pre_hook(_spread_shared_statistics_)

    def forward(self, z: Tensor, n_frames: int) -> Tensor:
        if self.training and len(z) < 2 and self.norms:
            raise ValueError(
                f"seq_bn = per_step needs at least 2 videos in a training batch, got {len(z)}; set seq_bn = none."
            )
        x = first = self.input(z)
        hidden = x.new_zeros(len(z), self.cell.hidden_size)
        weight = self.projection.weight  # read once: each read of a spectrally normalised weight is a power iteration
        codes = []
        for step in range(n_frames):
            hidden = self.cell(first if self.feed == "repeat" else x, hidden)
            x = linear(hidden, weight, self.projection.bias)
            codes.append(self.norms[min(step, len(self.norms) - 1)](x) if self.norms else x)
        return torch.stack(codes, dim=1)


def _spread_shared_statistics_(module: SequenceGenerator, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Give every step the statistics that all steps shared in earlier checkpoints; each evaluation estimates them anew.

    Up to version 0.1 `norm` served all steps. `state` is the copy that load_state_dict reads from.
    """
    shared = f"{prefix}norm."
    for key in [key for key in state if module.norms and key.startswith(shared)]:
        value = state.pop(key)
        for step in range(len(module.norms)):
            state[f"{prefix}norms.{step}.{key.removeprefix(shared)}"] = value.clone()
