"""A GRU over maps: its equations step by step, and one map for all steps."""

import pytest
import torch
from torch import Tensor, relu
from torch.nn.functional import conv2d

from videogan.nets.conv_gru import CandidateActivation, ConvGRU


def by_equations(gru: ConvGRU, x: Tensor, activation: CandidateActivation) -> Tensor:
    h, steps = torch.zeros_like(x[:, 0]), []
    for x_t in x.unbind(1):
        gates = conv2d(torch.cat([h, x_t], 1), gru.gates.weight, gru.gates.bias, padding=1).sigmoid()
        r, u = gates[:, : h.shape[1]], gates[:, h.shape[1] :]
        c = conv2d(torch.cat([x_t, r * h], 1), gru.candidate.weight, gru.candidate.bias, padding=1)
        h = u * h + (1 - u) * (relu(c) if activation == "relu" else c.tanh())
        steps.append(h)
    return torch.stack(steps, 1)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_steps_follow_the_equations(activation: CandidateActivation):
    torch.manual_seed(0)
    gru, x = ConvGRU(3, activation).double(), torch.randn(2, 4, 3, 5, 5, dtype=torch.float64)
    assert torch.allclose(gru(x, 4), by_equations(gru, x, activation))


def test_one_map_is_the_input_of_every_step():
    torch.manual_seed(0)
    gru, x = ConvGRU(3).double(), torch.randn(2, 1, 3, 5, 5, dtype=torch.float64)
    assert torch.allclose(gru(x, 4), gru(x.expand(-1, 4, -1, -1, -1), 4))
