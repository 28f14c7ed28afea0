"""DCGAN's two stacks, over frames or clips: transposed convolutions up, strided convolutions down."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from videogan.nets.layer_noise import LayerNoise

Layer = Callable[..., nn.Module]


def deconvolutions(deconvolution: Layer, norm: Layer, widths: Sequence[int], first_kernel: Sequence[int]) -> nn.Module:
    """Transposed convolutions through `widths`, each with normalisation and ReLU (Radford et al. 2016, DCGAN).

    The first maps a code's single position to `first_kernel` positions; the others (kernel 4, stride 2, padding 1)
    double every side. deconvolution: (n_in, n_out, kernel, ...) -> layer; norm: (channels) -> layer.
    """
    layers: list[nn.Module] = []
    for i, (n_in, n_out) in enumerate(pairwise(widths)):
        up = deconvolution(n_in, n_out, first_kernel) if i == 0 else deconvolution(n_in, n_out, 4, 2, 1)
        layers += [up, norm(n_out), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


class Convolutions(nn.Module):
    """Strided convolutions through `widths` with LeakyReLU 0.2, normalised from the second one on (DCGAN).

    convolution: (n_in, n_out) -> layer; norm: (channels) -> layer. noise_before: where each layer adds
    the noise of the pass, if any. forward: x (B, widths[0], ...) -> (B, widths[-1], ...).
    """

    def __init__(
        self,
        convolution: Layer,
        norm: Layer,
        widths: Sequence[int],
        noise_before: Literal["convolution", "activation"],
    ) -> None:
        super().__init__()
        self.noise_before = noise_before
        self.convolutions = nn.ModuleList(convolution(n_in, n_out) for n_in, n_out in pairwise(widths))
        self.norms = nn.ModuleList(norm(width) if i else nn.Identity() for i, width in enumerate(widths[1:]))

    def forward(self, x: Tensor, noise: LayerNoise) -> Tensor:
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = norm(convolution(noise(x))) if self.noise_before == "convolution" else noise(norm(convolution(x)))
            x = leaky_relu(x, 0.2, inplace=True)
        return x
