"""The cost of a run, counted on the meta device without memory for its tensors."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from videogan.families import FAMILIES
from videogan.families.contract import AnyGAN
from videogan.losses import total
from videogan.training.run_config import RunConfig

BYTES_FP32 = 4
STATES = {"adam": 2, "rmsprop": 1}
"""Moments that an optimiser keeps for each parameter."""


@dataclass(frozen=True)
class Forecast:
    """Counted costs of one run: parameters by network, bytes, and FLOPs (twice the multiply-adds) of one step."""

    parameters: dict[str, int]
    flops_per_step: float
    memory_bytes: float
    checkpoint_bytes: float


def forecast(config: RunConfig, n_workers: int = 1) -> Forecast:
    """Count the parameters of `config`'s networks, and the cost of one step on two clips, scaled to the batch.

    Memory is one worker's, in fp32: weights, gradients, the optimiser's moments, the generator's average if there is
    one, and the activations that the larger of the two updates keeps for its backward pass.
    """
    networks = _on_meta(config)
    flops, activations = _traced_step(config, networks)
    scale = config.loop.batch_size / _TRACED_CLIPS
    parameters = _parameters(networks)
    saved, gradients = checkpoint_bytes(config), sum(parameters.values()) * BYTES_FP32
    return Forecast(parameters, flops * scale, saved + gradients + activations * scale / n_workers, saved)


def checkpoint_bytes(config: RunConfig) -> int:
    """Bytes of one checkpoint: weights, the optimiser's moments, and the generator's average if there is one."""
    parameters = _parameters(_on_meta(config))
    n_averaged = 0 if config.loop.ema_decay is None else parameters["generator"]
    return (sum(parameters.values()) * (1 + STATES[config.optimiser.name]) + n_averaged) * BYTES_FP32


def _on_meta(config: RunConfig) -> AnyGAN:
    with torch.device("meta"):
        return FAMILIES[config.model.family].build(config.model)


def _parameters(networks: AnyGAN) -> dict[str, int]:
    players = {"generator": networks.generator, **{f"discriminator {k}": v for k, v in networks.discriminators.items()}}
    return {name: sum(p.numel() for p in network.parameters()) for name, network in players.items()}


_TRACED_CLIPS = 2  # batch norm needs two


def _traced_step(config: RunConfig, networks: AnyGAN) -> tuple[float, float]:
    """FLOPs and kept activation bytes of one step (n_d discriminator updates, one generator update) on two clips."""
    model, n = config.model, _TRACED_CLIPS
    rng = torch.Generator().manual_seed(0)
    labels = torch.zeros(n, dtype=torch.int64)
    draws = networks.draw(n, rng, torch.ones(model.n_classes), labels)
    draws = {name: tensor.to("meta") for name, tensor in draws.items()}
    labels = labels.to("meta")
    for network in networks.frozen:
        network.to("meta")
    real = torch.empty(n, model.n_frames, 3, model.resolution, model.resolution, device="meta")
    kept = {"d": _Kept(), "g": _Kept()}
    with FlopCounterMode(display=False) as counter, kept["d"]:
        with torch.no_grad():
            fakes = networks.generate(networks.generator, draws)
        total(networks.discriminator_losses(networks.discriminators, real, labels, fakes, draws).values()).backward()
    flops = counter.get_total_flops() * config.loop.n_d
    for network in networks.discriminators.values():
        network.requires_grad_(False)
    with FlopCounterMode(display=False) as counter, kept["g"]:
        fakes = networks.generate(networks.generator, draws)
        motion = networks.motion_loss(real, labels, fakes, draws, 1)
        terms = networks.generator_losses(networks.discriminators, fakes, draws).values()
        total([*terms, motion[0]] if motion else terms).backward()
    return flops + counter.get_total_flops(), max(k.n_bytes for k in kept.values())


class _Kept(torch.autograd.graph.saved_tensors_hooks):
    """Counts the bytes of the tensors that autograd keeps, each storage once."""

    def __init__(self) -> None:
        self._storages: dict[int, torch.UntypedStorage] = {}
        super().__init__(self._keep, lambda tensor: tensor)

    def _keep(self, tensor: Tensor) -> Tensor:
        if not isinstance(tensor, torch.nn.Parameter):
            storage = tensor.untyped_storage()
            self._storages[storage._cdata] = storage
        return tensor

    @property
    def n_bytes(self) -> int:
        return sum(storage.nbytes() for storage in self._storages.values())
