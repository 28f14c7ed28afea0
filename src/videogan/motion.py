"""The motion constraint: fakes should move like real clips of their class (MVT-GAN sec. 4.3)."""

from typing import Literal

import torch
from torch import Tensor

from videogan.nets.precision import without_autocast

FlowCos = Literal["clip", "frame"]
SMALLEST_PRODUCT = 1e-8
"""Of two flows' lengths; below it neither has a direction to compare."""


def motion_similarity(
    real_flow: Tensor, fake_flow: Tensor, real_labels: Tensor, fake_labels: Tensor, flow_cos: FlowCos = "clip"
) -> tuple[Tensor, Tensor]:
    """L_M, the mean cosine between flows of real and fake clips of one class, and C, the number of such pairs (eq. 5).

        L_M = 1/C sum_i sum_j [y_f_i = y_r_j] cos(f_r_j, f_f_i)

    Printed is y_f_i = y_r_i, which would leave j free. As one masked matrix product; cos = <u, v> / max(|u||v|, 1e-8), so
    a clip without motion counts as 0, and where the maximum is 1e-8 no gradient flows: it would have no direction, and
    a length of 1e8. Where C = 0, L_M is 0.

    real_flow: (B_r, T - 1, 2, H, W), fake_flow: (B_f, T - 1, 2, H, W); real_labels: (B_r,), fake_labels: (B_f,), integer.
    flow_cos: "clip" compares whole clips as one vector (the paper's "flow"), "frame" each pair of frames and takes
    the mean over time. Computed in fp32 at least. Returns scalars, L_M in [-1, 1] and C (int64).
    """
    _refuse_unlike(real_flow, fake_flow, real_labels, fake_labels)
    same_class = real_labels[:, None] == fake_labels
    n_pairs = same_class.sum()
    with without_autocast(fake_flow):
        cosines = _cosines(_vectors(real_flow, flow_cos), _vectors(fake_flow, flow_cos)).mean(0)
        return (cosines * same_class).sum() / n_pairs.clamp(min=1), n_pairs


def motion_constraint_loss(
    real_flow: Tensor,
    fake_flow: Tensor,
    real_labels: Tensor,
    fake_labels: Tensor,
    alpha: float = 1.0,
    flow_cos: FlowCos = "clip",
    pairs_per_rank: Tensor | float | None = None,
) -> Tensor:
    """alpha (1 - L_M), the term that the motion constraint adds to the generator's loss (eq. 6); in [0, 2 alpha].

    Arguments as in `motion_similarity`; gradients flow into the fakes only. Where no pair has one class the term is 0
    (the paper leaves 1/C undefined).

    pairs_per_rank: under data parallelism C / R, for C pairs of the global batch over R ranks. Each rank then compares
    its own fakes with the real clips of all ranks, and the mean of the ranks' terms, so of their gradients, is
    the global batch's term. None: C of the arguments.
    """
    similarity, n_pairs = motion_similarity(real_flow.detach(), fake_flow, real_labels, fake_labels, flow_cos)
    if pairs_per_rank is None:
        return alpha * ((n_pairs > 0).to(similarity.dtype) - similarity)
    per_rank = torch.as_tensor(pairs_per_rank, dtype=similarity.dtype, device=similarity.device)
    share = n_pairs / torch.where(per_rank > 0, per_rank, 1)
    return alpha * ((per_rank > 0).to(similarity.dtype) - share * similarity)


def _vectors(flow: Tensor, flow_cos: FlowCos) -> Tensor:
    """Flows (B, T - 1, 2, H, W) as vectors (times, B, length) of which those of one time are compared."""
    flow = flow.to(torch.promote_types(flow.dtype, torch.float32))
    return flow.flatten(1)[None] if flow_cos == "clip" else flow.flatten(2).transpose(0, 1)


def _cosines(real: Tensor, fake: Tensor) -> Tensor:
    """Cosine of each real with each fake vector: (n, B_r, L), (n, B_f, L) -> (n, B_r, B_f)."""
    # vector_norm has a gradient of 0 at 0, a square root would have NaN
    lengths = (
        torch.linalg.vector_norm(real, dim=-1)[..., :, None] * torch.linalg.vector_norm(fake, dim=-1)[..., None, :]
    )
    cosines = real @ fake.mT / lengths.clamp(min=SMALLEST_PRODUCT)
    return torch.where(lengths < SMALLEST_PRODUCT, cosines.detach(), cosines)


def _refuse_unlike(real_flow: Tensor, fake_flow: Tensor, real_labels: Tensor, fake_labels: Tensor) -> None:
    if real_flow.ndim != 5 or fake_flow.ndim != 5 or real_flow.shape[1:] != fake_flow.shape[1:]:
        raise ValueError(
            "flows must be (B, T - 1, 2, H, W) alike but for B, "
            f"got real {tuple(real_flow.shape)} and fake {tuple(fake_flow.shape)}; use one flow size and stride for both."
        )
    if real_labels.shape != real_flow.shape[:1] or fake_labels.shape != fake_flow.shape[:1]:
        raise ValueError(
            f"each flow needs one label, got labels {tuple(real_labels.shape)} for {len(real_flow)} real clips and "
            f"{tuple(fake_labels.shape)} for {len(fake_flow)} fakes; give integers, not one-hot rows."
        )
