"""A GRU over maps: its matrices are 3x3 convolutions."""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, relu

CandidateActivation = Literal["relu", "tanh"]


class ConvGRU(nn.Module):
    """r, u = sigmoid(W [h; x] + b), c = relu(W_c [x; r h] + b_c), h_t = u h_(t-1) + (1 - u) c, h_0 = 0 (DVD-GAN).

    As wide as its input; activation "tanh" replaces relu, as in other convolutional GRUs.
    forward: x (B, T, C, H, W), or (B, 1, C, H, W) for the same map at each step -> h_1 .. h_T, (B, n_steps, C, H, W).
    """

    def __init__(self, n_channels: int, activation: CandidateActivation = "relu") -> None:
        super().__init__()
        self.gates = nn.Conv2d(2 * n_channels, 2 * n_channels, 3, padding=1)
        self.candidate = nn.Conv2d(2 * n_channels, n_channels, 3, padding=1)
        self.activation = relu if activation == "relu" else torch.tanh

    def forward(self, x: Tensor, n_steps: int) -> Tensor:
        n = x.shape[2]
        # Read once: each read of a spectrally normalised weight is a power iteration.
        gates, candidate = self.gates.weight, self.candidate.weight
        biases = torch.cat([b for b in (self.gates.bias, self.candidate.bias) if b is not None])
        # What all steps need of x, in one convolution.
        of_x = conv2d(x.flatten(0, 1), torch.cat([gates[:, n:], candidate[:, :n]]), biases, padding=1)
        of_x = of_x.unflatten(0, x.shape[:2])
        h, steps = of_x.new_zeros(len(x), *x.shape[2:]), []
        for t in range(n_steps):
            gates_x, candidate_x = of_x[:, min(t, x.shape[1] - 1)].split([2 * n, n], dim=1)
            r, u = (gates_x + conv2d(h, gates[:, :n], padding=1)).sigmoid().chunk(2, dim=1)
            c = self.activation(candidate_x + conv2d(r * h, candidate[:, n:], padding=1))
            h = u * h + (1 - u) * c
            steps.append(h)
        return torch.stack(steps, dim=1)
