"""The endpoint error of a flow on generated pairs that no fit has seen, by kind of pair."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from videogan.flow.generated_pairs import PairSettings, generated_pairs

Flow = Callable[[Tensor, Tensor], Tensor]
"""An estimator as a function of frames (B, 3, H, W) in [-1, 1]: (first, second) -> flow (B, 2, H, W) in pixels."""

TEXTURED = PairSettings(n_shapes=0, still_background=0, max_motion=4)
"""One texture with one motion: pixels are hidden at the border only."""
SLOW_LAYERS = PairSettings(max_motion=4)


def endpoint_error(flow: Tensor, truth: Tensor) -> Tensor:
    """Mean distance between `flow` and `truth`, both (B, 2, H, W), in their unit."""
    return torch.linalg.vector_norm(flow - truth, dim=1).mean()


@torch.no_grad()
def held_out_errors(
    estimators: Mapping[str, Flow], settings: PairSettings, seed: int, n_pairs: int = 128
) -> dict[str, Tensor]:
    """By estimator, the endpoint errors (n_pairs,) in pixels on the first held-out pairs of `seed`."""
    pairs = generated_pairs(range(n_pairs), seed, settings, "held_out")
    errors = {}
    for name, estimator in estimators.items():
        parts = zip(pairs.first.split(16), pairs.second.split(16), strict=True)
        flow = torch.cat([estimator(first, second) for first, second in parts])
        errors[name] = torch.linalg.vector_norm(flow - pairs.flow, dim=1).mean(dim=(1, 2))
    return errors


def zero_flow(first: Tensor, second: Tensor) -> Tensor:
    """No motion anywhere, (B, 2, H, W): the floor that an estimator must beat."""
    return first.new_zeros(len(first), 2, *second.shape[-2:])
