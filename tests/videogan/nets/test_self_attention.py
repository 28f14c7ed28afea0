"""Self-attention starts as the identity, is a softmax over pooled positions, and equal in both implementations."""

from typing import Any

import pytest
import torch
from torch.nn.functional import max_pool2d
from torch.utils._python_dispatch import TorchDispatchMode

from videogan.nets import self_attention
from videogan.nets.self_attention import SelfAttention


def attention_and_input(n_channels: int = 16, side: int = 6) -> tuple[SelfAttention, torch.Tensor]:
    torch.manual_seed(0)
    return SelfAttention(n_channels), torch.randn(2, n_channels, side, side)


def test_it_starts_as_the_identity():
    attention, x = attention_and_input()
    assert torch.equal(attention(x), x)


def test_it_equals_the_written_out_softmax():
    attention, x = attention_and_input()
    torch.nn.init.constant_(attention.gamma, 0.7)
    out = attention(x)
    theta, phi, g = attention.theta(x), max_pool2d(attention.phi(x), 2), max_pool2d(attention.g(x), 2)
    energy = torch.einsum("bchw,bcij->bhwij", theta, phi)
    weights = energy.flatten(3).softmax(3).view_as(energy)
    expected = x + 0.7 * attention.output(torch.einsum("bhwij,bcij->bchw", weights, g))
    assert torch.allclose(out, expected, atol=1e-5)


class Operations(TorchDispatchMode):
    """Records the names of the operations that run."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.append(func.__name__)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("n_channels", [4, 16, 48])
def test_widths_of_an_eighth_and_a_half_run_in_the_fused_kernel_forwards_and_backwards(
    n_channels: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(self_attention, "MOST_POSITIONS_AT_ONCE", 0)
    attention, x = attention_and_input(n_channels)
    with Operations() as ran:
        attention.to(dtype)(x.to(dtype).requires_grad_()).sum().backward()
    kernels = [name for name in ran.names if "attention" in name or name.startswith("bmm")]
    assert kernels == [f"_scaled_dot_product_flash_attention_for_cpu{part}.default" for part in ("", "_backward")]


def test_the_fused_kernel_gives_the_same_values_and_gradients(monkeypatch: pytest.MonkeyPatch):
    attention, x = attention_and_input()
    torch.nn.init.constant_(attention.gamma, 1.0)
    x.requires_grad_()
    plain = attention(x)
    (grad_plain,) = torch.autograd.grad(plain.square().sum(), x)
    monkeypatch.setattr(self_attention, "MOST_POSITIONS_AT_ONCE", 0)
    fused = attention(x)
    (grad_fused,) = torch.autograd.grad(fused.square().sum(), x)
    assert torch.allclose(plain, fused, atol=1e-5)
    assert torch.allclose(grad_plain, grad_fused, atol=1e-4)


@pytest.mark.parametrize("n_channels", [1, 4, 9])
def test_a_tiny_width_keeps_at_least_one_key_channel(n_channels: int):
    attention, x = attention_and_input(n_channels)
    assert attention.theta.out_channels == 1
    assert attention(x).shape == x.shape
