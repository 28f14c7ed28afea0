"""The cost of a run, counted on the meta device without memory for its tensors."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from videogan.families import FAMILIES
from videogan.families.contract import AnyGAN, Draws, Fakes, Losses
from videogan.losses import total
from videogan.nets.recomputation import recompute_activations_
from videogan.training.counting import Bf16OnMeta, Counted
from videogan.training.run_config import RunConfig

BYTES_FP32 = 4
STATES = {"adam": 2, "rmsprop": 1}
"""Moments that an optimiser keeps for each parameter."""


@dataclass(frozen=True)
class Forecast:
    """Counted costs of one run: parameters by network, and of one step FLOPs and bytes.

    flops_per_step, bytes_moved_per_step: over all workers; FLOPs are twice the multiply-adds, and each operation reads
    its inputs from memory and writes its outputs to it. memory_bytes: the most that one worker's tensors take in a
    step; bucket_bytes: of the buckets in which data-parallel workers exchange gradients.
    """

    parameters: dict[str, int]
    flops_per_step: float
    bytes_moved_per_step: float
    memory_bytes: float
    bucket_bytes: float
    checkpoint_bytes: float


def forecast(config: RunConfig, n_workers: int = 1) -> Forecast:
    """Count the parameters of `config`'s networks, and the cost of its second step on one worker's part of the batch.

    Memory is one worker's tensors at `loop.precision`: weights, the optimiser's moments, the generator's average if
    there is one, and the peak of all that a step makes, gradients and activations. `gpus.needed_bytes` adds what a
    process needs beside its tensors.
    """
    networks = _on_meta(config)
    traced = _TracedStep(config, networks, n_workers)
    parameters = _parameters(networks)
    saved = _saved_bytes(config, parameters)
    buckets = bucket_bytes(config, n_workers)
    memory, moved = saved + traced.peak_bytes, traced.bytes_moved * n_workers
    return Forecast(parameters, traced.flops * n_workers, moved, memory, buckets, saved)


def bucket_bytes(config: RunConfig, n_workers: int) -> int:
    """Bytes of the buckets in which data-parallel workers exchange gradients: as many as all gradients."""
    return 0 if n_workers == 1 else sum(_parameters(_on_meta(config)).values()) * BYTES_FP32


def checkpoint_bytes(config: RunConfig) -> int:
    """Bytes of one checkpoint: weights, the optimiser's moments, and the generator's average if there is one."""
    return _saved_bytes(config, _parameters(_on_meta(config)))


def _saved_bytes(config: RunConfig, parameters: dict[str, int]) -> int:
    n_averaged = 0 if config.loop.ema_decay is None else parameters["generator"]
    return (sum(parameters.values()) * (1 + STATES[config.optimiser.name]) + n_averaged) * BYTES_FP32


def _on_meta(config: RunConfig) -> AnyGAN:
    with torch.device("meta"):
        networks = FAMILIES[config.model.family].build(config.model)
    for network in networks.frozen:
        network.to("meta")
    if config.loop.checkpoint_activations:
        for network in (networks.generator, *networks.discriminators.values()):
            recompute_activations_(network)
    return networks


def _parameters(networks: AnyGAN) -> dict[str, int]:
    players = {"generator": networks.generator, **{f"discriminator {k}": v for k, v in networks.discriminators.items()}}
    return {name: sum(p.numel() for p in network.parameters()) for name, network in players.items()}


class _TracedStep:
    """One worker's second step: FLOPs, bytes moved and peak bytes of n_d discriminator updates and one of G.

    Of the parts of a batch (`loop.accumulate`) two are traced, the second of which starts with the first's gradients.
    """

    def __init__(self, config: RunConfig, networks: AnyGAN, n_workers: int) -> None:
        self.networks, self.loop = networks, config.loop
        self._n, self._traced = config.loop.batch_size // n_workers, min(config.loop.accumulate, 2)
        model = config.model
        shape = self._n, model.n_frames, model.colours, model.resolution, model.resolution
        self.flops = self.bytes_moved = self.peak_bytes = 0.0
        self._reused: Fakes | None = None
        made = Counted()
        with made:
            self._real, self._labels = torch.empty(shape, device="meta"), torch.zeros(self._n, dtype=torch.int64)
            held = [torch.empty_like(parameter) for parameter in networks.generator.parameters()]  # of the last step
            draws = self._draws()
            self._count(made, config.loop.n_d, lambda: self._discriminators(draws))
            del held
            for network in networks.discriminators.values():
                network.requires_grad_(False)
            self._count(made, 1, lambda: self._generator(draws))
        self.peak_bytes = made.peak_bytes

    def _count(self, made: Counted, times: int, update: Callable[[], Losses]) -> None:
        """Add the costs of `times` updates."""
        flops, bytes_moved = made.flops, made.bytes_moved
        for _ in range(self._traced):
            with self._precision():
                _backward(total(update().values()))
        share = times * self.loop.accumulate / self._traced
        self.flops += (made.flops - flops) * share
        self.bytes_moved += (made.bytes_moved - bytes_moved) * share

    def _precision(self) -> AbstractContextManager[object]:
        return Bf16OnMeta() if self.loop.precision == "bf16" else nullcontext()

    def _draws(self) -> Draws:
        rng, counts = torch.Generator().manual_seed(0), torch.ones(self.networks.config.n_classes)
        draws = self.networks.draw(self._n, rng, counts, self._labels)
        self._labels = self._labels.to("meta")
        return {name: self._part(tensor.to("meta")) for name, tensor in draws.items()}

    def _part(self, tensor: Tensor) -> Tensor:
        return tensor[: self._n // self.loop.accumulate]

    def _discriminators(self, draws: Draws) -> Losses:
        networks = self.networks
        with torch.set_grad_enabled(self.loop.reuse_fakes):
            fakes = networks.generate(networks.generator, draws)
        self._reused = fakes if self.loop.reuse_fakes else None
        real, labels = self._part(self._real), self._part(self._labels)
        return networks.discriminator_losses(networks.discriminators, real, labels, fakes, draws)

    def _generator(self, draws: Draws) -> Losses:
        networks, fakes = self.networks, self._reused
        if fakes is None:
            fakes = networks.generate(networks.generator, draws)
        terms = networks.generator_losses(networks.discriminators, fakes, draws)
        motion = networks.motion_loss(self._part(self._real), self._part(self._labels), fakes, draws, 1)
        return terms if motion is None else {**terms, "motion": motion[0]}


def _backward(loss: Tensor) -> None:
    """loss.backward(), which would leave the mode that stands for autocast; blocks that run again need it."""
    arguments = (loss,), (torch.ones_like(loss),), False, False, ()
    torch.autograd.Variable._execution_engine.run_backward(*arguments, allow_unreachable=True, accumulate_grad=True)
