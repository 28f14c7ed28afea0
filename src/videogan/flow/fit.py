"""Fitting PWC-Net on generated pairs: an iterator of progress; whoever iterates reports and saves checkpoints."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from videogan.config import Config, ConfigurationError
from videogan.flow.generated_pairs import FlowPairs, PairSettings, generated_pairs
from videogan.flow.pwc_net import FLOW_UNIT, LEVELS, PWCNet
from videogan.training.divergence import TrainingDiverged

LEVEL_WEIGHTS = {6: 0.32, 5: 0.08, 4: 0.02, 3: 0.01, 2: 0.005}
"""alpha_l of the training loss (PWC-Net sec. 4)."""
HALVINGS = (1 / 3, 1 / 2, 2 / 3, 5 / 6)
"""Parts of the training after which the rate is halved: .4, .6, .8 and 1 of 1.2 million steps (S_long)."""


class FlowRecipe(Config):
    """How PWC-Net was first trained, its sec. 4, on our pairs in place of FlyingChairs; steps, not hours, are counted."""

    n_steps: int = Field(1_200_000, ge=1, description="Updates (S_long)")
    batch_size: int = Field(8, ge=1, description="Pairs a step (sec. 4: 8)")
    lr: float = Field(1e-4, gt=0, description="First learning rate, halved four times (S_long)")
    weight_decay: float = Field(4e-4, ge=0, description="gamma of eq. 1, the weights' squared norm in the loss")
    precision: Literal["fp32", "bf16"] = Field("fp32", description="bf16 is autocast; weights and the loss stay fp32")
    seed: int = Field(0, ge=0, description="Of the pairs")
    pairs: PairSettings = PairSettings()


@torch.no_grad()
def standardise_features_(network: PWCNet, frames: Tensor) -> None:
    """Before a fit from random weights: every channel of the feature extractor gets mean 0 and variance 1 on `frames`.

    Ours, after Kraehenbuehl et al. (ICLR 2016). Otherwise brightness, the same everywhere, makes most of each cost
    volume, and short fits find no motion in it: at width 0.25 the first 550 steps without stay at zero flow's error, with
    it they leave that after 300. frames: (N, 3, H, W) in [-1, 1].
    """

    def standardise_(layer: nn.Conv2d, inputs: tuple[Tensor], outputs: Tensor) -> Tensor:
        deviation, mean = torch.std_mean(outputs, dim=(0, 2, 3), keepdim=True)
        deviation = deviation.clamp(min=1e-3)
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

    def checkpoint(self) -> dict[str, Any]:
        """The state after this step, for torch.save; `pwc_net_from` reads such a file. Valid until the iterator moves on."""
        return self.fit.checkpoint(self.step)


def fit_flow(network: PWCNet, recipe: FlowRecipe, start: dict[str, Any] | None = None) -> Iterator[FlowProgress]:
    """Trains `network` in place, on the device it is on, from checkpoint `start` (or from its weights) to `n_steps`.

    From random weights call `standardise_features_` first. Pairs are a function of (seed, step), so a fit that starts
    from a checkpoint continues bit for bit (CPU, fp32).
    Raises TrainingDiverged at the first loss that is not finite, ConfigurationError for a start of another fit.
    """
    fit = _FlowFit(network, recipe)
    if start is not None:
        fit.load_(start)
    for step in range((start["step"] if start else 0) + 1, recipe.n_steps + 1):
        began = time.perf_counter()
        loss, error = fit.step_(step)
        if not math.isfinite(loss):
            raise TrainingDiverged(step, "flow loss")
        yield FlowProgress(step, loss, error, fit.lr, time.perf_counter() - began, fit)


class _FlowFit:
    """A network, its optimiser and its pairs."""

    def __init__(self, network: PWCNet, recipe: FlowRecipe) -> None:
        self.network, self.recipe = network.train().requires_grad_(True), recipe
        self.device = next(network.parameters()).device
        # weight decay inside the gradient: gamma |Theta|^2 is a term of the paper's loss
        self.optimiser = torch.optim.Adam(network.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay)

    @property
    def lr(self) -> float:
        return self.optimiser.param_groups[0]["lr"]

    def step_(self, step: int) -> tuple[float, float]:
        """One update; the loss before it, and the endpoint error in pixels."""
        recipe = self.recipe
        n_halvings = sum(step > part * recipe.n_steps for part in HALVINGS)
        self.optimiser.param_groups[0]["lr"] = recipe.lr / 2**n_halvings
        indices = range((step - 1) * recipe.batch_size, step * recipe.batch_size)
        pairs = FlowPairs(*(x.to(self.device) for x in generated_pairs(indices, recipe.seed, recipe.pairs)))
        with torch.autocast(self.device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
            first, second = self.network.features(pairs.first), self.network.features(pairs.second)
            flows = self.network.flows(first, second)
        loss = multiscale_loss([flow.float() for flow in flows], pairs.flow)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        finest = FLOW_UNIT * flows[-1].detach().float()
        return loss.item(), endpoint_error(finest, _at(pairs.flow, finest)).item()

    def checkpoint(self, step: int) -> dict[str, Any]:
        return {
            "step": step,
            "width": self.network.width,
            "recipe": self.recipe.model_dump(mode="json"),
            "state_dict": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def load_(self, start: dict[str, Any]) -> None:
        for name, ours in (("width", self.network.width), ("recipe", self.recipe.model_dump(mode="json"))):
            if start.get(name) != ours:
                raise ConfigurationError(
                    f"a fit goes on as it began: {name} must be {start.get(name)}, got {ours}; begin a new one."
                )
        self.network.load_state_dict(start["state_dict"])
        self.optimiser.load_state_dict(start["optimiser"])


def multiscale_loss(flows: list[Tensor], truth: Tensor) -> Tensor:
    """sum_l alpha_l sum_x |flow_l(x) - truth_l(x)|, the mean over the batch (PWC-Net eq. 1 without its decay).

    flows: (B, 2, ., .) at levels 6 to 2 in units of 20 pixels; truth: (B, 2, H, W) in pixels.
    """
    terms = [
        LEVEL_WEIGHTS[level] * torch.linalg.vector_norm(flow - _at(truth, flow) / FLOW_UNIT, dim=1).sum()
        for level, flow in zip(LEVELS, flows, strict=True)
    ]
    return sum(terms) / len(truth)


def endpoint_error(flow: Tensor, truth: Tensor) -> Tensor:
    """Mean distance between `flow` and `truth`, both (B, 2, H, W), in their unit."""
    return torch.linalg.vector_norm(flow - truth, dim=1).mean()


@torch.no_grad()
def held_out_error(
    estimator: Callable[[Tensor, Tensor], Tensor], settings: PairSettings, seed: int, n_pairs: int = 128
) -> float:
    """Endpoint error in pixels of a flow (first, second) -> flow on the first `n_pairs` held-out pairs of `seed`, CPU."""
    pairs = generated_pairs(range(n_pairs), seed, settings, "held_out")
    parts = zip(pairs.first.split(16), pairs.second.split(16), strict=True)
    return endpoint_error(torch.cat([estimator(first, second) for first, second in parts]), pairs.flow).item()


def zero_flow(first: Tensor, second: Tensor) -> Tensor:
    """No motion anywhere, (B, 2, H, W): the floor that an estimator must beat."""
    return first.new_zeros(len(first), 2, *second.shape[-2:])


def _at(truth: Tensor, flow: Tensor) -> Tensor:
    """`truth` averaged to the resolution of `flow`; its unit stays that of the frame."""
    return adaptive_avg_pool2d(truth, flow.shape[-2:])
