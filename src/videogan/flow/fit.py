"""Fitting PWC-Net on generated pairs: an iterator of progress, whose caller reports and saves checkpoints."""

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from videogan.config import ConfigurationError
from videogan.divergence import TrainingDiverged
from videogan.flow.generated_pairs import FlowPairs, generated_pairs
from videogan.flow.held_out import endpoint_error
from videogan.flow.pwc_net import FLOW_UNIT, LEVELS, PWCNet
from videogan.flow.recipe import FlowRecipe
from videogan.nets.layout import lay_channels_last_
from videogan.storage.step_files import StepFiles, read_checkpoint

LEVEL_WEIGHTS = {6: 0.32, 5: 0.08, 4: 0.02, 3: 0.01, 2: 0.005}
"""alpha_l of the training loss (PWC-Net sec. 4)."""
N_STANDARDISING = 64


@dataclass(frozen=True)
class FlowCheckpoint:
    """The state of a fit after `step`. Saved as a dict, it is also a file of weights that `pwc_net_from` reads."""

    step: int
    width: float
    recipe: dict[str, Any]
    state_dict: dict[str, Tensor]
    optimiser: dict[str, Any]


class FlowCheckpoints(StepFiles[FlowCheckpoint]):
    """The checkpoints of one fit."""

    @staticmethod
    def load(path: Path) -> FlowCheckpoint:
        """Read one file onto the CPU. Raises UnreadableCheckpoint."""
        return read_checkpoint(path, lambda stored: FlowCheckpoint(**stored))

    def save(self, checkpoint: FlowCheckpoint) -> Path:
        """Write the file atomically; the newest two are kept."""
        return self.write(checkpoint.step, vars(checkpoint))


def first_network(recipe: FlowRecipe) -> PWCNet:
    """The network that a fit starts with: random weights from the recipe's seed, with standardised features.

    Restores the state of torch's global generator."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = PWCNet(recipe.width)
    standardise_features_(network, generated_pairs(range(N_STANDARDISING), recipe.seed, recipe.pairs).first)
    return network


@torch.no_grad()
def standardise_features_(network: PWCNet, frames: Tensor) -> None:
    """Scale the feature extractor's random weights so that each channel has mean 0 and variance 1 on `frames`.

    Ours, after Kraehenbuehl et al. (ICLR 2016). Otherwise brightness dominates each cost volume, and short fits find no
    motion: at width 0.25 the error stays at that of zero flow for 550 steps, with standardised features for 300.
    frames: (N, 3, H, W) in [-1, 1].
    """

    def standardise_(layer: nn.Conv2d, inputs: tuple[Tensor], outputs: Tensor) -> Tensor:
        deviation, mean = torch.std_mean(outputs, dim=(0, 2, 3), keepdim=True)
        deviation = deviation.clamp(min=1e-3)
        assert layer.bias is not None, "every convolution of the feature extractor has one"
        layer.weight.div_(deviation.view(-1, 1, 1, 1))
        layer.bias.copy_(((layer.bias.view_as(mean[0]) - mean[0]) / deviation[0]).flatten())
        return (outputs - mean) / deviation

    layers = [layer for layer in network.netExtractor.modules() if isinstance(layer, nn.Conv2d)]
    hooks = [layer.register_forward_hook(standardise_) for layer in layers]
    network.features(frames)
    for hook in hooks:
        hook.remove()


@dataclass(frozen=True)
class FlowProgress:
    """One finished step of a fit: its loss, the mean endpoint error of its batch in pixels, its seconds."""

    step: int
    loss: float
    endpoint_error: float
    lr: float
    seconds: float
    fit: "_FlowFit"

    def checkpoint(self) -> FlowCheckpoint:
        """The state after this step. Call it before the next step."""
        return self.fit.checkpoint(self.step)


def fit_flow(
    recipe: FlowRecipe, start: FlowCheckpoint | None = None, device: torch.device | str = "cpu"
) -> Iterator[FlowProgress]:
    """Train a network from checkpoint `start`, or from `first_network`, to step `n_steps`.

    Pairs are a function of (seed, step), so a fit that starts from a checkpoint continues bit for bit (on the CPU, with
    the same number of threads). Raises ConfigurationError at once if `start` is from another fit, TrainingDiverged at
    the first loss that is not finite.
    """
    return _steps(_FlowFit(recipe, start, device), start.step + 1 if start else 1)


def _steps(fit: "_FlowFit", first: int) -> Iterator[FlowProgress]:
    recipe = fit.recipe
    for step in range(first, recipe.n_steps + 1):
        began = time.perf_counter()
        loss, error = fit.step_(step)
        if not math.isfinite(loss):
            raise TrainingDiverged(step, "flow loss")
        yield FlowProgress(step, loss, error, recipe.lr_at(step), time.perf_counter() - began, fit)


class _FlowFit:
    """A network, its optimiser and its pairs."""

    def __init__(self, recipe: FlowRecipe, start: FlowCheckpoint | None, device: torch.device | str) -> None:
        self.recipe, self.device = recipe, torch.device(device)
        if start is not None:
            _refuse_another_fit(start, recipe)
        network = (first_network(recipe) if start is None else PWCNet(recipe.width)).to(self.device)
        self.network = lay_channels_last_(network)
        # weight decay inside the gradient: gamma |Theta|^2 is a term of the paper's loss
        self.optimiser = torch.optim.Adam(
            self.network.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, fused=True
        )
        if start is not None:
            self.network.load_state_dict(start.state_dict)
            self.optimiser.load_state_dict(start.optimiser)

    def step_(self, step: int) -> tuple[float, float]:
        """Make one update. Returns the loss before it, and the endpoint error in pixels."""
        recipe = self.recipe
        self.optimiser.param_groups[0]["lr"] = recipe.lr_at(step)
        indices = range((step - 1) * recipe.batch_size, step * recipe.batch_size)
        pairs = FlowPairs(*(x.to(self.device) for x in generated_pairs(indices, recipe.seed, recipe.pairs)))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
            frames = torch.cat([pairs.first, pairs.second]).contiguous(memory_format=torch.channels_last)
            features = self.network.features(frames)
            of_first, of_second = zip(*(level.chunk(2) for level in features), strict=True)
            flows = self.network.flows(list(of_first), list(of_second))
        loss = multiscale_loss([flow.float() for flow in flows], pairs.flow)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        if recipe.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), recipe.clip_norm)
        self.optimiser.step()
        finest = FLOW_UNIT * flows[-1].detach().float()
        return loss.item(), endpoint_error(finest, _at(pairs.flow, finest)).item()

    def checkpoint(self, step: int) -> FlowCheckpoint:
        recipe = self.recipe.model_dump(mode="json")
        return FlowCheckpoint(step, self.network.width, recipe, self.network.state_dict(), self.optimiser.state_dict())


def _refuse_another_fit(start: FlowCheckpoint, recipe: FlowRecipe) -> None:
    started, ours = start.recipe, recipe.model_dump(mode="json")
    changed = [name for name in sorted(started.keys() | ours.keys()) if started.get(name) != ours.get(name)]
    if changed:
        changes = ", ".join(f"{name} must be {started.get(name)}, got {ours.get(name)}" for name in changed)
        raise ConfigurationError(
            f"a fit must continue with its own recipe: {changes}; start a new fit in another folder."
        )


def multiscale_loss(flows: list[Tensor], truth: Tensor) -> Tensor:
    """sum_l alpha_l sum_x |flow_l(x) - truth_l(x)|, the mean over the batch (PWC-Net eq. 1 without its decay).

    flows: (B, 2, ., .) at levels 6 to 2 in units of 20 pixels; truth: (B, 2, H, W) in pixels.
    """
    terms = [
        LEVEL_WEIGHTS[level] * torch.linalg.vector_norm(flow - _at(truth, flow) / FLOW_UNIT, dim=1).sum()
        for level, flow in zip(LEVELS, flows, strict=True)
    ]
    return sum(terms) / len(truth)


def _at(truth: Tensor, flow: Tensor) -> Tensor:
    """`truth` averaged to the resolution of `flow`; its unit remains pixels of the frame."""
    return adaptive_avg_pool2d(truth, (flow.shape[-2], flow.shape[-1]))
