"""What `vgsearch evaluate` can judge: a checkpoint's generator, videos of another program, a rung of the ladder."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from rich.console import Console

from vgsearch.evaluation.measures import N_FRAMES
from vgsearch.evaluation.request import UNLABELLED, EvaluationPlan, EvaluationRequest, refuse_too_few
from vgsearch.runtime.feed.decode import inspect_videos
from vgsearch.runtime.feed.inputs import Inputs
from vgsearch.runtime.judging.judge import Judge, sampling_copy_of, synthetic_set
from vgsearch.runtime.judging.prepare import decoded
from vgsearch.terminal.words import progress_bar, shown
from videogan.data.cache import cache_folder
from videogan.data.clips import DataConfig
from videogan.data.manifest import SCHEMA, write_manifest
from videogan.data.preprocessing import preprocessing_named
from videogan.protocols.ladder import RUNGS, RealParts
from videogan.protocols.s3 import SyntheticSet
from videogan.protocols.video_pool import UnlabelledVideos, VideoPool
from videogan.training.checkpoint import generator_from


class Subject(Protocol):
    """Something to judge; it is pickled to the process that judges it, and opened there."""

    @property
    def name(self) -> str: ...

    def opened(self, judge: Judge, device: str) -> SyntheticSet: ...


@dataclass(frozen=True)
class CheckpointSubject:
    """The generator of a checkpoint."""

    path: str

    @property
    def name(self) -> str:
        return Path(self.path).stem

    def opened(self, judge: Judge, device: str) -> SyntheticSet:
        generator, config = generator_from(self.path)
        # A model is scored at its own length; only standard_fvd takes others.
        n_frames = None if judge.n_frames == N_FRAMES else judge.n_frames
        return synthetic_set(sampling_copy_of(generator.to(device), config), config, n_frames)


@dataclass(frozen=True)
class VideosSubject:
    """Decoded videos of another program, with the data set's classes, or without."""

    name: str
    inputs: Inputs
    data: DataConfig
    n_frames: int
    labelled: bool = True

    def opened(self, judge: Judge, device: str) -> SyntheticSet:
        pool = self.inputs.real_clips(self.data, self.n_frames, "train")
        return VideoPool(pool, judge.train, judge.scored) if self.labelled else UnlabelledVideos(pool)


def videos_subject(
    folder: Path, plan: EvaluationPlan, inputs: Inputs, n_frames: int, console: Console
) -> VideosSubject:
    """The videos that a plan found in DIR, decoded like its data set; prints which ones cannot be used.

    Raises DataError if fewer than 2 of a class can be used.
    """
    classes, data = plan.video_classes, plan.data
    labelled = classes != UNLABELLED
    with progress_bar(console) as bars:
        task = bars.add_task("decoding videos", total=len(plan.videos))
        seen = inspect_videos(
            [video.path for video in plan.videos],
            data.limits,
            lambda done, total: bars.update(task, completed=done, total=total),
        )
        # No split and no groups: `VideoPool` chooses which videos stand for the train set.
        rows = [
            {"path": str(v.path), "label": v.label, "group": str(v.path), "split": "train", **_columns(seen[v.path])}
            for v in plan.videos
        ]
        unusable = {
            row["path"]: reason for row in rows if (reason := _unusable(row, inputs.preprocessing, n_frames, data))
        }
        for path, reason in unusable.items():
            console.print(f"skipped {shown(Path(path))}: {reason}", style="yellow", soft_wrap=True)
        n_of_class = Counter(row["label"] for row in rows if row["path"] not in unusable)
        refuse_too_few(folder, classes, n_of_class, "usable videos")
        if labelled:
            _print_repeated(n_of_class, classes, inputs, data, n_frames, console)
        manifest = write_manifest(cache_folder("evaluations") / _digest(rows), rows, classes)
        decoded_clips = decoded(manifest, inputs.preprocessing, data, bars)
    own = replace(inputs, data=str(manifest.folder), cache=decoded_clips, manifest_digest=manifest.digest)
    return VideosSubject(folder.absolute().name, own, data, n_frames, labelled)


def _print_repeated(
    n_of_class: Counter[str], classes: Sequence[str], inputs: Inputs, data: DataConfig, n_frames: int, console: Console
) -> None:
    real = [inputs.selection(data, n_frames, split).labels for split in ("train", "test")]
    wanted = np.bincount(np.concatenate(real), minlength=len(classes))
    short = [
        f"{label} {n_of_class[label]} of {n}" for label, n in zip(classes, wanted, strict=True) if n_of_class[label] < n
    ]
    if short:
        console.print(
            f"note: fewer videos than real clips, so some are used more than once: {', '.join(short)}.",
            style="yellow",
            soft_wrap=True,
        )


def _unusable(row: dict[str, Any], preprocessing: str, n_frames: int, data: DataConfig) -> str | None:
    """Why a video gives no clip; None if it gives one."""
    if row["skipped"] is not None:
        return row["skipped"]
    if row["n_frames"] < n_frames and data.short_clips == "skip":
        return f"{row['n_frames']} frames decode, {n_frames} are needed"
    return preprocessing_named(preprocessing).problem(row["width"], row["height"])


def _columns(seen: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in seen.items() if name in SCHEMA.names}


def _digest(rows: list[dict[str, Any]]) -> str:
    facts = [(row["path"], row["sha"], row["label"]) for row in rows]
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class RungSubject:
    """A rung of the calibration ladder, made of real clips."""

    name: str

    def opened(self, judge: Judge, device: str) -> SyntheticSet:
        return RUNGS[self.name](RealParts(judge.train, judge.scored, judge.held_back))


def subjects_of(
    request: EvaluationRequest, plan: EvaluationPlan, inputs: Inputs, n_frames: int, console: Console
) -> list[Subject]:
    """The subjects to judge: one model, one folder of videos, or rungs of the ladder."""
    if request.checkpoint is not None:
        return [CheckpointSubject(str(request.checkpoint.absolute()))]
    if request.videos is not None:
        return [videos_subject(request.videos, plan, inputs, n_frames, console)]
    return [RungSubject(name) for name in plan.rungs]
