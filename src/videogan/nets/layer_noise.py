"""Gaussian noise on the layers of a discriminator, drawn per clip: reproducible, and the same on any rank."""

import torch
from torch import Tensor

NOISE_DRAWS = ("noise_real", "noise_fake")
"""Names of the draws that are such seeds."""


def draw_noise_seeds(n: int, rng: torch.Generator) -> Tensor:
    """One seed for each of n clips, (n,) int64 on the CPU."""
    return torch.randint(2**62, (n,), generator=rng)


class LayerNoise:
    """x + sigma * N(0, 1) for each layer of one discriminator pass, in order (TGAN sec. 6.3; MoCoGAN's released code).

    On CPUs the noise of clip i depends on its seed and the layer's number only, not on its batch or rank. On GPUs,
    where a draw for each clip is slow, a layer's noise is one draw for all clips of the pass, by the seed of the first:
    it repeats in the same run, and differs between numbers of ranks.
    seeds: (b,) int64 on the CPU, because to read them from a GPU would wait for it; None adds nothing, as in
    evaluation. Call: x (b n, ...) with n rows a clip -> the same shape.
    """

    def __init__(self, sigma: float, seeds: Tensor | None) -> None:
        # On the meta device, where models are only counted, seeds have no values.
        self._sigma, self._seeds = sigma, None if seeds is None or seeds.is_meta or sigma == 0 else seeds
        self._clips: list[torch.Generator] = []

    def __call__(self, x: Tensor) -> Tensor:
        if self._seeds is None:
            return x
        if not self._clips:
            drawn = self._seeds[:1] if x.is_cuda else self._seeds
            self._clips = [torch.Generator(x.device).manual_seed(seed) for seed in drawn.tolist()]
        shape = (len(x) // len(self._clips), *x.shape[1:])
        noise = torch.cat([torch.randn(shape, generator=clip, device=x.device) for clip in self._clips])
        return x + self._sigma * noise.to(x.dtype)
