"""Measure what a subspace of the code controls: redraw it and keep the rest of the code (MVT-GAN fig. 12)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from videogan.config import ConfigurationError
from videogan.data.clips import to_video
from videogan.families.contract import Generator
from videogan.flow.lucas_kanade import LucasKanade
from videogan.flow.video_flow import video_flow
from videogan.metrics.change import appearance_distance, flow_distance, normal_interval
from videogan.metrics.s3 import Interval
from videogan.sampling.sampling import ALONE, codes, render

N_CODES = 64
"""Number of base codes over which a change is measured."""
ALL = "all"
FIRST_FRESH = 1_000_000  # replacement codes are those of clips from this number, which no picture shows


@dataclass(frozen=True)
class Change:
    """The change from redrawing one subspace: the mean over base codes with its 95 % interval."""

    appearance: Interval
    """`appearance_distance`, in levels of 255."""
    flow: Interval
    """`flow_distance` of the weight-free flow, in pixels per frame."""

    def to_json(self) -> dict[str, Any]:
        return {"appearance": self.appearance._asdict(), "flow": self.flow._asdict()}


@dataclass(frozen=True)
class Resampled:
    """Changes by redrawn subspace, the whole code last; and clips of the first base codes to look at."""

    changes: Mapping[str, Change]
    clips: Tensor
    """uint8 (1 + len(changes), n, T, H, W, 3): the base codes' own clips, then those of each change, in their order."""


def resample(z: Tensor, fresh: Tensor, subspace: slice) -> Tensor:
    """Codes z (n, d) with `subspace` taken from `fresh` (n, d)."""
    resampled = z.clone()
    resampled[:, subspace] = fresh[:, subspace]
    return resampled


def subspaces_of(generator: Generator) -> dict[str, slice]:
    """The named parts of a generator's codes. Raises ConfigurationError if they have none."""
    if not generator.subspaces:
        raise ConfigurationError(
            f"{generator.config.family} has one code without subspaces; take a family that has some."
        )
    return generator.subspaces


def resample_subspaces(
    generator: Generator,
    labels: Tensor,
    seed: int,
    n_frames: int = 16,
    truncation: float | None = None,
    n_pictured: int = 5,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Resampled:
    """Redraw each subspace of one base code for each of `labels` (n,), n >= 30, and measure the change.

    Code i and its replacement depend on (seed, i) only. Raises ConfigurationError for codes without named subspaces.
    """
    if n_frames < 2:
        raise ConfigurationError(f"motion needs clips of at least 2 frames, got n_frames = {n_frames}.")
    parts = {**subspaces_of(generator), ALL: slice(None)}
    distances: dict[str, list[tuple[float, float]]] = {name: [] for name in parts}
    pictured = []
    for i, y in enumerate(labels.split(1)):
        z, fresh = (codes(generator, 1, seed, first, n_frames, truncation) for first in (i, FIRST_FRESH + i))
        every_z = torch.cat([z, *(resample(z, fresh, part) for part in parts.values())])
        clips = render(generator, every_z, y.expand(len(every_z)), n_frames, ALONE)
        flow = video_flow(LucasKanade(), to_video(clips))
        of_clips = zip(
            appearance_distance(clips[:1], clips[1:]).tolist(), flow_distance(flow[:1], flow[1:]).tolist(), strict=True
        )
        for name, measured in zip(parts, of_clips, strict=True):
            distances[name].append(measured)
        if i < n_pictured:
            pictured.append(clips)
        on_progress(i + 1, len(labels))
    columns = {name: torch.tensor(pairs, dtype=torch.float64).unbind(1) for name, pairs in distances.items()}
    changes = {name: Change(*map(normal_interval, column)) for name, column in columns.items()}
    return Resampled(changes, torch.stack(pictured, dim=1))
