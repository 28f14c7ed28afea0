"""Clips for training and testing: uint8 windows from the cache, and their conversion to [-1, 1] and back."""

from collections.abc import Iterable, Iterator
from typing import Any, Literal, Protocol

import numpy as np
import torch
from pydantic import Field, field_validator
from torch import Tensor

from videogan.config import Config
from videogan.data.cache import CachedFiles, DamagedShard, decoded_bytes
from videogan.data.clip_set import RealClips
from videogan.data.decode import Limits
from videogan.data.manifest import Manifest, read_manifest
from videogan.data.preprocessing import preprocessing_named
from videogan.data.shard_repair import repair_shard
from videogan.data.windows import EveryNth, Sampling, Selection, ShortClips, select_clips, window, with_colours
from videogan.storage.places import Place

USUAL_LIMITS = Limits()


class DataConfig(Config):
    """Settings for turning video files into clips."""

    preprocessing: str | None = Field(None, description="name, e.g. plain_64; default: plain_<model.resolution>")
    every_nth: EveryNth = Field(
        1, description="take every n-th frame, also in scores; released: 2 if a clip has at least 2 T frames, else 1"
    )
    short_clips: ShortClips = Field(
        "skip", description="clips too short for a window (see every_nth): skip them, or pad with the last frame"
    )
    sampling: Sampling = Field(
        "shuffled", description="class_balanced: equally many windows of each class, regardless of its number of clips"
    )
    flip: bool = Field(
        False, description="train on each window or, by a coin, its mirror image; refused for classes of left and right"
    )
    only_class: int | None = Field(
        None, ge=0, description="train on the clips of this class number only; one_per_class sets it for each class"
    )
    feed: Literal["auto", "cache", "stream"] = Field(
        "auto", description="auto: stream if the cache would exceed cache_limit_gb"
    )
    cache_limit_gb: float = Field(50.0, gt=0, description="maximum size of the decoded clips of one data set")
    max_pixels: int = Field(
        USUAL_LIMITS.max_pixels, ge=1, description="larger videos are skipped before they are decoded"
    )
    max_seconds: float = Field(
        USUAL_LIMITS.max_seconds, gt=0, description="longer videos are skipped before they are decoded"
    )

    @field_validator("preprocessing")
    @classmethod
    def _preprocessing_exists(cls, name: str | None) -> str | None:
        if name is not None:
            preprocessing_named(name)
        return name

    @field_validator("every_nth", mode="plain")
    @classmethod
    def _is_a_stride(cls, value: Any) -> EveryNth:
        if value == "released" or (type(value) is int and value >= 1):
            return value
        raise ValueError(f"must be a whole number from 1, or released, got {value!r}.")

    @property
    def limits(self) -> Limits:
        return Limits(self.max_pixels, self.max_seconds)

    def chosen_feed(self, manifest: Manifest, preprocessing: str) -> Literal["cache", "stream"]:
        """`feed`, with auto resolved: cache, or stream if the decoded clips would exceed `cache_limit_gb`."""
        if self.feed != "auto":
            return self.feed
        return (
            "stream"
            if decoded_bytes(manifest, preprocessing_named(preprocessing)) > self.cache_limit_gb * 1e9
            else "cache"
        )


def to_video(frames: Tensor) -> Tensor:
    """uint8 frames (B, T, H, W, C) -> float32 video (B, T, C, H, W) in [-1, 1]: x / 127.5 - 1."""
    # Move the channels after the arithmetic: contiguous memory makes it several times faster.
    return frames.to(torch.float32).div_(127.5).sub_(1).movedim(-1, 2)


def to_frames(video: Tensor) -> Tensor:
    """Video (B, T, C, H, W) -> uint8 frames (B, T, H, W, 3): the inverse of `to_video`, clamped and rounded.

    Grey video (C = 1) gets three equal colours, as grey clips have when they are decoded.
    """
    frames = ((video.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).movedim(2, -1)
    return frames.expand(*frames.shape[:-1], 3).contiguous()


def flipped(frames: Tensor, which: Tensor) -> Tensor:
    """uint8 frames (B, T, H, W, C) where the clips that `which` (B,) names are mirrored left to right."""
    return torch.where(which.view(-1, 1, 1, 1, 1), frames.flip(3), frames)


class ClipStore:
    """A data set and its decoded files; pickles as a few short values and reopens the cache after unpickling."""

    def __init__(
        self,
        manifest: Manifest,
        files: CachedFiles,
        short_clips: ShortClips = "skip",
        every_nth: EveryNth = 1,
        limits: Limits = USUAL_LIMITS,
    ) -> None:
        """limits: those that the files were decoded with; a damaged shard is decoded again."""
        self.manifest, self.files, self.limits = manifest, files, limits
        self.short_clips, self.every_nth = short_clips, every_nth
        self.preprocessing = preprocessing_named(files.preprocessing_name)
        self._grey: set[str] = set()
        """The files that are known to be grey."""

    def __reduce__(self) -> tuple:
        return open_cache, (self.files.folder, self.manifest.folder, self.short_clips, self.every_nth, self.limits)

    @property
    def classes(self) -> list[str]:
        return self.manifest.classes

    def select(self, split: str, n_frames: int) -> Selection:
        """The clips of `split` that give windows of `n_frames`, with labels, groups and reasons for skipped clips."""
        return select_clips(
            self.manifest, split, self.preprocessing, n_frames, self.short_clips, self.files.skipped, self.every_nth
        )

    def windows(
        self, selection: Selection, clips: np.ndarray, starts: np.ndarray, n_frames: int, n_colours: int = 3
    ) -> Tensor:
        """One window of each of the `clips` (m,) of a selection, from its start: uint8 (m, n_frames, H, W, n_colours).

        A file whose frames are needed in one colour is compared when it is first read; raises ConfigurationError.
        """
        taken = []
        for clip, start in zip(clips, starts, strict=True):
            sha = selection.shas[clip]
            frames = self._frames(sha)
            if n_colours == 1 and sha not in self._grey:
                with_colours(frames, n_colours, selection.paths[clip])
                self._grey.add(sha)
            taken.append(window(frames[..., :n_colours], start, n_frames, selection.strides[clip]))
        return torch.from_numpy(np.stack(taken))

    def _frames(self, sha: str) -> np.ndarray:
        """The whole file as uint8 (T, H, W, 3); a damaged shard is repaired, with a warning."""
        try:
            return self.files.frames(sha)
        except DamagedShard as damaged:
            repair_shard(self.files, damaged, self.manifest, self.limits)
            return self.files.frames(sha)

    def read(
        self, selection: Selection, windows: Iterable[tuple[np.ndarray, np.ndarray]], n_frames: int
    ) -> Iterator[Tensor]:
        """A WindowReader: the windows of each (clip numbers, first frames), uint8 (m, n_frames, H, W, 3)."""
        return (self.windows(selection, clips, starts, n_frames) for clips, starts in windows)

    def real_clips(self, split: str, n_frames: int) -> RealClips:
        """The clips of `split`, read from the cache when they are needed."""
        return RealClips(self.select(split, n_frames), n_frames, self.preprocessing.size, self.read)


def open_cache(
    folder: Place | str,
    manifest: Manifest | Place | str,
    short_clips: ShortClips = "skip",
    every_nth: EveryNth = 1,
    limits: Limits = USUAL_LIMITS,
) -> ClipStore:
    """Open the finished cache in `folder` with the clips of `manifest`, a manifest or its data folder."""
    manifest = manifest if isinstance(manifest, Manifest) else read_manifest(manifest)
    return ClipStore(manifest, CachedFiles(folder), short_clips, every_nth, limits)


class ClipSource(Protocol):
    """Where a rank's real clips come from: the cache or a stream."""

    label_counts: Tensor
    """(K,) int64: windows of each class in an epoch."""
    manifest_digest: str
    """The digest of the manifest that these training clips come from."""

    def batch(self, index: int) -> tuple[Tensor, Tensor]:
        """This rank's part of global batch `index` (from 0): uint8 (b, T, H, W, C) and int64 labels (b,).

        C are the colours of the networks that are trained.
        """
        ...


class TrainingClips:
    """Windows for training out of the cache in WindowSchedule's order; each rank gets its part of each global batch."""

    def __init__(
        self,
        store: ClipStore,
        batch_size: int,
        n_frames: int,
        seed: int,
        rank: int = 0,
        n_ranks: int = 1,
        sampling: Sampling = "shuffled",
        only_class: int | None = None,
        n_colours: int = 3,
    ) -> None:
        """n_colours: of the networks that are trained; 1 refuses clips in colour when they are read."""
        self.store, self.batch_size, self.n_frames, self.n_colours = store, batch_size, n_frames, n_colours
        self.rank, self.n_ranks = rank, n_ranks
        self.manifest_digest = store.manifest.digest
        self.selection = store.select("train", n_frames).of_class(only_class)
        self.schedule = self.selection.schedule(n_frames, seed, sampling)
        self.label_counts = torch.from_numpy(self.selection.label_counts_in(self.schedule))

    def batch(self, index: int) -> tuple[Tensor, Tensor]:
        """This rank's part of global batch `index` (from 0): uint8 (b, T, H, W, C) and int64 labels (b,).

        A pure function of (seed, index).
        """
        clips, starts = self.schedule.batch(index, self.batch_size, self.rank, self.n_ranks)
        frames = self.store.windows(self.selection, clips, starts, self.n_frames, self.n_colours)
        return frames, torch.from_numpy(self.selection.labels[clips])


def centre_windows(store: ClipStore, split: str, n_frames: int) -> tuple[Tensor, Tensor]:
    """Each clip's centre window, in the order of `store.select`: uint8 (n, T, H, W, C) and int64 labels (n,)."""
    selection = store.select(split, n_frames)
    starts = selection.centre_starts(n_frames)
    frames = store.windows(selection, np.arange(len(selection)), starts, n_frames)
    return frames, torch.from_numpy(selection.labels)
