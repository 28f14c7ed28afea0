"""An LSTM over maps: its equations step by step, and zeros after the last input."""

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from videogan.nets.conv_lstm import ConvLSTM


def by_equations(lstm: ConvLSTM, x: Tensor) -> Tensor:
    weight = torch.cat([lstm.of_input.weight, lstm.of_state.weight], dim=1)
    h, c, steps = torch.zeros_like(x[:, 0]), torch.zeros_like(x[:, 0]), []
    for x_t in x.unbind(1):
        gates = conv2d(torch.cat([x_t, h], 1), weight, lstm.of_input.bias, padding=1)
        i, f, o, g = gates.split(x.shape[2], dim=1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        steps.append(h)
    return torch.stack(steps, 1)


def test_steps_follow_the_equations():
    torch.manual_seed(0)
    lstm, x = ConvLSTM(3).double(), torch.randn(2, 4, 3, 5, 5, dtype=torch.float64)
    assert torch.allclose(lstm(x, 4), by_equations(lstm, x))


def test_after_its_last_step_the_input_is_zero_and_the_steps_before_do_not_change():
    torch.manual_seed(0)
    lstm, x = ConvLSTM(3).double(), torch.randn(2, 1, 3, 5, 5, dtype=torch.float64)
    followed_by_zeros = torch.cat([x, torch.zeros(2, 3, 3, 5, 5, dtype=torch.float64)], dim=1)
    assert torch.allclose(lstm(x, 4), by_equations(lstm, followed_by_zeros))
    assert torch.equal(lstm(x, 6)[:, :4], lstm(x, 4))
