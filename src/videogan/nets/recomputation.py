"""Activation checkpointing: the backward pass computes a block's activations again, which the forward then drops."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from videogan.nets.spectral_norm import SpectralNorm


class Recomputing(nn.Module):
    """A network that runs its blocks by `run`, and so can drop their activations (Chen et al. 2016, arXiv 1604.06174).

    A block must draw no random numbers. Its spectrally normalised weights must be divided by its whole network's
    forward (`normalise_spectrally`).
    """

    recomputes = False

    def run(self, block: nn.Module, *inputs: Tensor) -> Tensor:
        """block(*inputs). If `recomputes`, the graph keeps the inputs only; gradients are equal bit for bit on a CPU.

        The second run takes the divided weights of the first, without power iterations, and updates no running
        statistics.
        """
        if not (self.recomputes and torch.is_grad_enabled()):
            first: Tensor = block(*inputs)
            return first
        result: Tensor = checkpoint(_Runs(block), *inputs, use_reentrant=False, preserve_rng_state=False)
        return result


def recompute_activations_(network: nn.Module) -> None:
    """Let every part of `network` that can drop its blocks' activations do so."""
    for part in network.modules():
        if isinstance(part, Recomputing):
            part.recomputes = True


class _Runs:
    """A block that runs once in the forward pass and again in the backward pass."""

    def __init__(self, block: nn.Module) -> None:
        self._block, self._is_first = block, True
        norms = [layer for layer in block.modules() if isinstance(layer, SpectralNorm)]
        self._divided = [(norm, norm.divided) for norm in norms]

    def __call__(self, *inputs: Tensor) -> Tensor:
        if self._is_first:
            self._is_first = False
            first: Tensor = self._block(*inputs)
            return first
        with self._as_in_the_first():
            again: Tensor = self._block(*inputs)
            return again

    @contextmanager
    def _as_in_the_first(self) -> Iterator[None]:
        """The first run's divided weights; batch norms update copies of their statistics."""
        layers = [layer for layer in self._block.modules() if isinstance(layer, _BatchNorm)]
        buffers = [dict(layer.named_buffers(recurse=False)) for layer in layers]
        try:
            for norm, divided in self._divided:
                norm.divided = divided
            for layer, own in zip(layers, buffers, strict=True):
                layer._buffers.update({name: buffer.clone() for name, buffer in own.items()})
            yield
        finally:  # torch ends the second run early, by an exception
            for norm, _ in self._divided:
                norm.divided = None
            for layer, own in zip(layers, buffers, strict=True):
                layer._buffers.update(own)
