"""Spectral normalisation of whole networks, in full precision."""

from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import _SpectralNorm

from videogan.nets.precision import without_autocast

NORMALISED = (nn.Linear, nn.Conv2d, nn.Conv3d, nn.Embedding)
"""The layers that spectral normalisation divides; a GRU cell is not among them (MVT-GAN's released code)."""


class SpectralNorm(_SpectralNorm):
    """W / sigma(W), sigma by one power iteration per training forward (Miyato et al. 2018, eq. 8), never autocast.

    Under autocast torch's own runs its matrix-vector products in bf16: sigma is right to two digits only.
    weight: (out, ...), seen as (out, rest).
    """

    def forward(self, weight: Tensor) -> Tensor:
        with without_autocast(weight):
            return super().forward(weight)

    def _power_method(self, weight_mat: Tensor, n_power_iterations: int) -> None:
        if not weight_mat.is_meta:  # a network that is only counted has no singular vectors
            super()._power_method(weight_mat, n_power_iterations)


def normalise_spectrally(network: nn.Module, without: tuple[nn.Module, ...] = ()) -> nn.Module:
    """Add a SpectralNorm to every layer of NORMALISED in `network`, except those in `without`; returns `network`.

    Call it after initialisation: its vectors start from a draw of torch's global generator and 15 power iterations
    on the current weights.
    """
    for layer in list(network.modules()):
        if isinstance(layer, NORMALISED) and all(layer is not other for other in without):
            parametrize.register_parametrization(layer, "weight", SpectralNorm(layer.weight))
    return network
