"""The motion constraint: fakes should move like real clips of the same class (MVT-GAN sec. 4.3)."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from videogan.flow.video_flow import FlowEstimator, video_flow
from videogan.nets.precision import without_autocast

FlowCos = Literal["clip", "frame"]
SMALLEST_PRODUCT = 1e-8
"""Product of two flows' lengths below which their directions are not compared."""


def motion_similarity(
    real_flow: Tensor, fake_flow: Tensor, real_labels: Tensor, fake_labels: Tensor, flow_cos: FlowCos = "clip"
) -> tuple[Tensor, Tensor]:
    """L_M, the mean cosine between flows of real and fake clips of one class, and C, the number of such pairs (eq. 5).

        L_M = 1/C sum_i sum_j [y_f_i = y_r_j] cos(f_r_j, f_f_i)

    The paper prints y_f_i = y_r_i, which leaves j free. Computed as one masked matrix product with cos = <u, v> /
    max(|u||v|, 1e-8): the cosine of a clip without motion is 0. If the maximum is 1e-8 no gradient flows: it would have
    length 1e8 and no direction. If C = 0, L_M is 0.

    real_flow: (B_r, T - 1, 2, H, W), fake_flow: (B_f, T - 1, 2, H, W); real_labels: (B_r,), fake_labels: (B_f,),
    integer. flow_cos: "clip" compares whole clips as one vector (the paper's "flow"), "frame" each pair of frames and
    takes the mean over time. Computed in fp32 at least. Returns scalars, L_M in [-1, 1] and C (int64).
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

    Arguments as in `motion_similarity`; gradients flow into the fakes only. The term is 0 if no pair shares a class
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


@dataclass(frozen=True)
class MotionConstraint:
    """alpha (1 - L_M) between the flows that one frozen estimator finds in real clips and in fakes (MVT-GAN eq. 5, 6).

    `warm_up`: steps over which alpha rises evenly from 0; `stride` and `size` are those of `video_flow`, and change the
    loss. Flows of real clips are cached.
    """

    estimator: FlowEstimator
    alpha: float
    warm_up: int
    flow_cos: FlowCos
    stride: int
    size: int | None
    remembered: "RememberedFlows"

    def loss(
        self,
        real: Tensor,
        real_labels: Tensor,
        fake: Tensor,
        fake_labels: Tensor,
        step: int,
        gathered: Callable[[Tensor], Tensor] = lambda tensor: tensor,
    ) -> tuple[Tensor, Tensor]:
        """The term of the generator's loss at `step`, counted from 1, and C, the pairs of the global batch (int64).

        real, fake: this rank's clips (b, T, 3, H, W) in [-1, 1]; real_labels, fake_labels: theirs, (b,). `gathered`
        concatenates a tensor of all ranks. Gradients flow into the fakes only.
        """
        all_labels = gathered(real_labels)
        n_pairs = (all_labels[:, None] == gathered(fake_labels)).sum()
        real_flow = gathered(self.remembered(real, self._flow))
        alpha = self.alpha * (min(1.0, step / self.warm_up) if self.warm_up else 1.0)
        loss = motion_constraint_loss(
            real_flow,
            self._flow(fake),
            all_labels,
            fake_labels,
            alpha,
            self.flow_cos,
            n_pairs * len(real) / len(all_labels),
        )
        return loss, n_pairs

    def _flow(self, videos: Tensor) -> Tensor:
        return video_flow(self.estimator, videos, self.stride, self.size)


class RememberedFlows:
    """A cache of flows by the content of a clip, so that a repeated window is not estimated again, on CPUs only.

    On a GPU, where a digest would need the clips on the host, the flows of each batch are estimated anew, together. On
    a CPU each clip's flow is estimated alone, so it does not depend on which other clips of the batch were cached: a
    resumed run starts with an empty cache and continues bit for bit. Above `most_bytes` the least recently used flows
    are dropped.
    """

    def __init__(self, most_bytes: int = 2**30) -> None:
        self._most_bytes, self._bytes = most_bytes, 0
        self._flows: OrderedDict[bytes, Tensor] = OrderedDict()
        self.n_estimated = self.n_asked = 0

    @torch.no_grad()
    def __call__(self, videos: Tensor, flow: Callable[[Tensor], Tensor]) -> Tensor:
        """`flow` of each of `videos` (b, T, 3, H, W), (b, T - 1, 2, H, W)."""
        if not videos.is_cpu:
            return flow(videos)
        return torch.cat([self._of(clip, flow) for clip in videos.split(1)])

    def _of(self, clip: Tensor, flow: Callable[[Tensor], Tensor]) -> Tensor:
        self.n_asked += 1
        # by value, independent of the memory layout
        key = hashlib.blake2b(clip.cpu().contiguous().numpy().data, digest_size=16).digest()
        found = self._flows.get(key)
        if found is None:
            self.n_estimated += 1
            found = self._flows[key] = flow(clip)
            self._bytes += found.nbytes
            while self._bytes > self._most_bytes and len(self._flows) > 1:
                self._bytes -= self._flows.popitem(last=False)[1].nbytes
        else:
            self._flows.move_to_end(key)
        return found


def _vectors(flow: Tensor, flow_cos: FlowCos) -> Tensor:
    """Flows (B, T - 1, 2, H, W) as vectors (times, B, length); only vectors of one time are compared."""
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
            "flows must be (B, T - 1, 2, H, W), equal except for B, "
            f"got real {tuple(real_flow.shape)} and fake {tuple(fake_flow.shape)}; use the same flow size and stride."
        )
    if real_labels.shape != real_flow.shape[:1] or fake_labels.shape != fake_flow.shape[:1]:
        raise ValueError(
            f"each flow needs one label, got labels {tuple(real_labels.shape)} for {len(real_flow)} real clips and "
            f"{tuple(fake_labels.shape)} for {len(fake_flow)} fakes; give integers, not one-hot rows."
        )
