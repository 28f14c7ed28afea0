"""What `vgsearch evaluate` can judge: a checkpoint's generator, videos of any other program, a rung of the ladder."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console

from vgsearch.runtime.data import inspect_videos
from vgsearch.runtime.evaluation import decoded
from vgsearch.runtime.inputs import Inputs
from vgsearch.runtime.judge import Judge, sampler_of, synthetic_set
from vgsearch.terminal import progress_bar
from videogan.config import suggestion
from videogan.data.cache import cache_folder
from videogan.data.clips import DataConfig
from videogan.data.formats import plain_folders
from videogan.data.formats.contract import ImportOptions
from videogan.data.manifest import SCHEMA, DataError, Manifest, write_manifest
from videogan.protocols.ladder import RUNGS
from videogan.protocols.s3 import SyntheticSet
from videogan.protocols.video_pool import VideoPool
from videogan.training.checkpoint import generator_from


class Subject(Protocol):
    """Something that travels to the process that judges it, and is opened there."""

    name: str

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
        return synthetic_set(sampler_of(generator.to(device), config), config)


@dataclass(frozen=True)
class VideosSubject:
    """Decoded videos that another program made, their classes numbered as the data set's."""

    name: str
    inputs: Inputs
    data: DataConfig
    n_frames: int

    def opened(self, judge: Judge, device: str) -> VideoPool:
        pool = self.inputs.real_clips(self.data, self.n_frames, "train")
        return VideoPool(pool, judge.clips("train"), judge.clips("test"))


def videos_subject(
    folder: Path, like: Manifest, inputs: Inputs, data: DataConfig, n_frames: int, console: Console
) -> VideosSubject:
    """The videos DIR/<class>/*, decoded as the data set `like` was; a bad file is skipped and told.

    Raises DataError where a class of the data set has no usable video, or DIR one that it does not know.
    """
    source = folder.absolute()
    found = plain_folders.find(source, ImportOptions())
    labels = {video.label for video in found.videos}
    for label in sorted(labels - set(like.classes)):
        raise DataError(f"{source / label}: the data set has no class '{label}'{suggestion(label, like.classes)}")
    with progress_bar(console) as bars:
        task = bars.add_task("decoding videos", total=len(found.videos))
        seen = inspect_videos(
            [video.path for video in found.videos],
            data.limits,
            lambda done, total: bars.update(task, completed=done, total=total),
        )
        # No split and no groups: which of them stand for the train set is the pool's to say.
        rows = [
            {"path": str(v.path), "label": v.label, "group": str(v.path), "split": "train", **_columns(seen[v.path])}
            for v in found.videos
        ]
        manifest = write_manifest(cache_folder("evaluations") / _digest(rows), rows, like.classes)
        lacking = sorted(set(like.classes) - set(manifest.usable["label"].to_pylist()))
        if lacking:
            raise DataError(
                f"{source}: no usable video of {', '.join(lacking)}; every class of the data set needs some."
            )
        decoded_clips = decoded(manifest, inputs.preprocessing, data, bars)
    skipped = [row for row in rows if row["skipped"]]
    for row in skipped:
        console.print(f"skipped {row['path']}: {row['skipped']}", style="yellow", soft_wrap=True)
    own = replace(inputs, data=str(manifest.folder), cache=decoded_clips, manifest_digest=manifest.digest)
    return VideosSubject(folder.absolute().name, own, data, n_frames)


def _columns(seen: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in seen.items() if name in SCHEMA.names}


def _digest(rows: list[dict[str, Any]]) -> str:
    return hashlib.sha256(repr([(row["path"], row["sha"]) for row in rows]).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class RungSubject:
    """A rung of the calibration ladder, made of the real clips themselves."""

    name: str

    def opened(self, judge: Judge, device: str) -> SyntheticSet:
        return RUNGS[self.name](judge.clips("train"), judge.clips("test"))
