"""Shared by many tests: a tiny sweep, a small search space's values, a source of noise clips, real clips in memory."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vgsearch.space.space import Space, load_space
from vgsearch.space.sweep import Sweep
from videogan.data.clip_set import RealClips
from videogan.data.windows import Selection, window
from videogan.shard import Shard
from videogan.training.run_config import RunConfig

SIGMA_A, CONSTRAINT, N_CLIP = "model.sigma_a", "model.constraint_d_video", "model.n_clip"
NO_DATA = {"data": "data", "manifest_digest": "0" * 64, "n_classes": 4}
"""A data set that no test reads."""


def tiny_sweep(
    space: str | Space | dict[str, Any] = "mvt_tsa",
    budget: str = "smoke",
    *,
    limits: dict[str, Any] | None = None,
    **settings: Any,
) -> Sweep:
    """A sweep of a shipped space, or of one given by its values, on data that no test reads.

    `limits` replaces settings of the budget; `settings` are the sweep's own, 8 trials by default.
    """
    found = load_space(space) if isinstance(space, str) else space
    if limits:
        found = found.model_dump() if isinstance(found, Space) else found
        found = {**found, "budgets": {**found["budgets"], budget: {**found["budgets"][budget], **limits}}}
    return Sweep(**{"space": found, "budget": budget, "n_trials": 8, **NO_DATA, **settings})


def space_values(space: str = "mvt_tsa", domains: dict[str, Any] | None = None, **values: Any) -> dict[str, Any]:
    """The values of a shipped space with some domains added or replaced, and some of its top-level values replaced."""
    found = load_space(space).model_dump()
    return {**found, "domains": found["domains"] | (domains or {}), **values}


def three_domains() -> dict[str, Any]:
    """The values of mvt_tsa with three of its domains: a number, a choice, and a number under one of the choices."""
    kept, found = (SIGMA_A, CONSTRAINT, N_CLIP), load_space("mvt_tsa").model_dump()
    found["domains"] = {path: domain for path, domain in found["domains"].items() if path in kept}
    found["paper_points"] = [{path: v for path, v in point.items() if path in kept} for point in found["paper_points"]]
    return {**found, "constraints": [], "budgets": budgets_of(found, found["domains"])}


def budgets_of(space: dict[str, Any], domains: dict[str, Any]) -> dict[str, Any]:
    """The budgets of a space's values, searching only `domains`."""
    return {
        name: {**budget, "domains": {path: domain for path, domain in budget["domains"].items() if path in domains}}
        for name, budget in space["budgets"].items()
    }


def manifest_row(path: Any, group: str, split: str | None, label: str = "run", **columns: Any) -> dict[str, Any]:
    """A row of a manifest of clips of 20 frames of 64 px."""
    facts = {"n_frames": 20, "width": 64, "height": 64, "sha": str(path)}
    return {"path": path, "label": label, "group": group, "split": split} | facts | columns


class NoiseClips:
    """A clip source of uniform noise: batch i is a pure function of i, and each rank gets its part of it."""

    def __init__(
        self,
        batch_size: int = 4,
        n_classes: int = 3,
        n_frames: int = 16,
        resolution: int = 32,
        shard: Shard = Shard(),
        manifest: str = "noise",
    ) -> None:
        self._shape, self._shard = (batch_size, n_frames, resolution, resolution, 3), shard
        self.label_counts, self.manifest_digest = torch.ones(n_classes), manifest

    @classmethod
    def of(cls, config: RunConfig) -> "NoiseClips":
        """Batches of a run's size."""
        model = config.model
        return cls(config.loop.batch_size, model.n_classes, model.n_frames, model.resolution)

    def batch(self, index: int) -> tuple[Tensor, Tensor]:
        """Frames, uint8 (B, T, H, W, C), and labels (B,) of this rank."""
        rng = torch.Generator().manual_seed(index)
        frames = torch.randint(256, self._shape, generator=rng, dtype=torch.uint8)
        labels = torch.randint(len(self.label_counts), self._shape[:1], generator=rng)
        return self._shard.of(frames), self._shard.of(labels)


def real_clips(
    videos: Sequence[Tensor], labels: Sequence[int], groups: Sequence[str], n_frames: int, stride: int = 1
) -> RealClips:
    """Real clips whose windows are read from `videos` in memory, uint8 (T, H, W, 3) each, of any lengths."""
    frames = [video.numpy() for video in videos]

    def read(selection: Selection, windows: Iterable[tuple[np.ndarray, np.ndarray]], n_frames: int) -> Iterator[Tensor]:
        for clips, starts in windows:
            videos_read = (frames[int(selection.shas[clip])] for clip in clips)
            rows = zip(videos_read, starts, selection.strides[clips], strict=True)
            yield torch.from_numpy(np.stack([window(video, start, n_frames, step) for video, start, step in rows]))

    numbers = tuple(str(number) for number in range(len(videos)))
    selection = Selection(
        paths=numbers,
        shas=numbers,
        labels=np.array(labels, dtype=np.int64),
        groups=tuple(groups),
        lengths=np.array([len(video) for video in videos], dtype=np.int64),
        strides=np.full(len(videos), stride, dtype=np.int64),
        n_classes=max(labels) + 1,
        skipped=(),
    )
    return RealClips(selection, n_frames, videos[0].shape[1], read)


def numbered_clips(
    lengths: Sequence[int], labels: Sequence[int], groups: Sequence[str], n_frames: int, stride: int = 1
) -> RealClips:
    """Real clips of one pixel, whose first two channels are the numbers of the clip and of the frame."""
    videos = [
        torch.stack([torch.full((n,), clip), torch.arange(n), torch.zeros(n)], 1).to(torch.uint8).view(n, 1, 1, 3)
        for clip, n in enumerate(lengths)
    ]
    return real_clips(videos, labels, groups, n_frames, stride)
