"""An LSTM over maps: its matrices are 3x3 convolutions."""

import torch
from torch import Tensor, nn


class ConvLSTM(nn.Module):
    """[i, f, o, g] = W x_t + U h_(t-1) + b, c_t = sig(f) c_(t-1) + sig(i) tanh(g), h_t = sig(o) tanh(c_t) (TGANv2).

    W and U are convolutions, h_0 = c_0 = 0; no peepholes. As wide as its input.
    forward: x (B, S, C, H, W), after whose S steps the input is zero -> h_1 .. h_T, (B, n_steps, C, H, W).
    """

    def __init__(self, n_channels: int) -> None:
        super().__init__()
        self.of_input = nn.Conv2d(n_channels, 4 * n_channels, 3, padding=1)
        self.of_state = nn.Conv2d(n_channels, 4 * n_channels, 3, padding=1, bias=False)

    def forward(self, x: Tensor, n_steps: int) -> Tensor:
        assert self.of_input.bias is not None
        of_x = self.of_input(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        of_zeros = self.of_input.bias[:, None, None].to(of_x.dtype)
        h = c = of_x.new_zeros(len(x), *x.shape[2:])
        steps = []
        for t in range(n_steps):
            gates = (of_x[:, t] if t < x.shape[1] else of_zeros) + self.of_state(h)
            i, f, o, g = gates.chunk(4, dim=1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            steps.append(h)
        return torch.stack(steps, dim=1)
