"""Ray Data on video: checking files, decoding them into the shared cache, and streams of training windows."""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from videogan.config import ConfigurationError
from videogan.data.cache import clip_cache_folder, is_complete, staged, write_index, write_shard
from videogan.data.decode import (
    Limits,
    MissingVideo,
    UnreadableVideo,
    decode,
    file_sha,
    inspect,
    preprocessing_named,
)
from videogan.data.manifest import DataError, Manifest
from videogan.data.windows import Selection, WindowSchedule, select_clips, window

if TYPE_CHECKING:
    import torch
    from ray.data import DataIterator, Dataset
    from ray.train import DataConfig as TrainDataConfig

    from videogan.data.clips import DataConfig

OnProgress = Callable[[int, int], None]  # (clips done, clips in all)
DECODE_CPUS = 1.0  # of a task that decodes whole files, before any training starts
STREAM_CPUS = 0.5  # of a task of a stream: two fit on the CPU that trainings leave
FILES_PER_TASK = 8
CLIPS_PER_SHARD = 16
MOST_STREAM_BLOCKS = 1000


def inspect_videos(paths: Sequence[Path], limits: Limits, on_progress: OnProgress) -> dict[Path, dict[str, Any]]:
    """Decodes every file from end to end, in parallel: the manifest's columns of each, and `warning` (None: fine)."""
    ray_data = _ray_data()
    dataset = ray_data.from_items([{"path": str(path)} for path in paths], override_num_blocks=_n_tasks(paths))
    found = {}
    for row in dataset.map(partial(_inspected, limits=limits), num_cpus=DECODE_CPUS).iter_rows():
        path = Path(row.pop("path"))
        found[path] = row | {name: row[name] or None for name in ("skipped", "warning", "sha", "codec")}
        on_progress(len(found), len(paths))
    return found


def _inspected(row: dict[str, str], limits: Limits) -> dict[str, Any]:
    # Every row has the same types ("" for none), since Arrow blocks of one data set must.
    unknown = {"n_frames": 0, "fps": 0.0, "width": 0, "height": 0, "codec": "", "sha": "", "warning": ""}
    try:
        seen = inspect(row["path"], limits)
    except UnreadableVideo as error:
        return {**row, **unknown, "skipped": error.reason}
    info = {name: getattr(seen.info, name) for name in ("fps", "width", "height", "codec")}
    return {**row, **info, "n_frames": seen.n_frames, "sha": seen.sha, "warning": seen.warning or "", "skipped": ""}


def build_cache(
    manifest: Manifest, preprocessing: str, config: "DataConfig", on_progress: OnProgress = lambda done, total: None
) -> Path:
    """The folder of the data set's decoded clips; decodes them where no earlier run did.

    Tasks write shards into a private folder, which is renamed when whole. Files that don't decode are recorded as
    skipped. Raises DataError where files are gone or changed since the manifest was made.
    """
    named = preprocessing_named(preprocessing)
    folder = clip_cache_folder(manifest, named)
    if is_complete(folder):
        return folder
    usable = manifest.usable.select(["sha", "path"]).to_pylist()
    files = {row["sha"]: str(manifest.location(row["path"])) for row in usable}
    rows = [{"sha": sha, "path": path} for sha, path in files.items()]
    n_shards = math.ceil(len(rows) / CLIPS_PER_SHARD)
    with staged(folder) as staging:
        write = partial(_write_shard, folder=staging, preprocessing=preprocessing, limits=config.limits)
        dataset = _ray_data().from_items(rows, override_num_blocks=n_shards)
        written = dataset.map_batches(write, batch_size=CLIPS_PER_SHARD, num_cpus=DECODE_CPUS)
        shards: dict[str, list[str]] = {}
        skipped, lost = {}, []
        for n_done, row in enumerate(written.iter_rows(), start=1):
            if row["lost"]:
                lost.append(f"{files[row['sha']]}: {row['lost']}")
            elif row["skipped"]:
                skipped[row["sha"]] = row["skipped"]
            else:
                shards.setdefault(row["shard"], []).append(row["sha"])
            on_progress(n_done, len(rows))
        if lost:
            raise DataError(f"{lost[0]} ({len(lost)} such files). Make the manifest again with: vgsearch data import")
        write_index(staging, named, shards, skipped)
    return folder


def _write_shard(
    batch: dict[str, np.ndarray], folder: Path, preprocessing: str, limits: Limits
) -> dict[str, list[str]]:
    """Decodes a batch of files one by one into one shard; a row for each file tells where it went or why it did not."""
    skipped, lost = {}, {}

    def clips() -> Iterator[tuple[str, np.ndarray]]:
        for sha, path in zip(batch["sha"], batch["path"], strict=True):
            try:
                if Path(path).is_file() and file_sha(path) != sha:
                    lost[sha] = "changed since the manifest was made"
                    continue
                frames = decode(path, preprocessing_named(preprocessing), limits)
            except MissingVideo as error:
                lost[sha] = error.reason
            except UnreadableVideo as error:
                skipped[sha] = error.reason
            else:
                yield str(sha), frames

    shard, written = write_shard(folder, clips())
    others = [str(sha) for sha in (*skipped, *lost)]
    # The written ones first and in the shard's order: the index counts on it.
    return {
        "sha": written + others,
        "shard": [shard] * len(written) + [""] * len(others),
        "skipped": [skipped.get(sha, "") for sha in written + others],
        "lost": [lost.get(sha, "") for sha in written + others],
    }


@dataclass(frozen=True)
class StreamPlan:
    """Which windows a stream brings, in which order: the same ones TrainingClips takes from the cache for this seed."""

    selection: Selection
    schedule: WindowSchedule
    batch_size: int
    preprocessing: str
    limits: Limits

    def decoded(self, position: int) -> tuple[np.ndarray, int]:
        """The window at a position of the stream, uint8 (T, H, W, 3), and its label. Raises UnreadableVideo."""
        (clip,), (start,) = self.schedule.at(np.array([position]))
        path, length = self.selection.paths[clip], int(self.selection.lengths[clip])
        frames = _decoded_window(path, int(start), length, self.preprocessing, self.limits, self.schedule.n_frames)
        return frames, int(self.selection.labels[clip])


def stream_plan(
    manifest: Manifest, preprocessing: str, config: "DataConfig", batch_size: int, n_frames: int, seed: int
) -> StreamPlan:
    """The plan for the training split of `manifest`, for data whose cache would be too large."""
    selection = select_clips(manifest, "train", preprocessing_named(preprocessing), n_frames, config.short_clips)
    schedule = WindowSchedule(selection.lengths, n_frames, seed)
    return StreamPlan(selection, schedule, batch_size, preprocessing, config.limits)


def stream_datasets(plan: StreamPlan, n_batches: int, start: int = 0, n_ranks: int = 1) -> dict[str, "Dataset"]:
    """For each rank a lazy Dataset of its rows of the global batches [start, n_batches), named by `stream_name(rank)`.

    Nothing is split by Ray: each rank's rows follow from the plan, so any number of ranks sees the same global batches.
    """
    per_rank = plan.batch_size // n_ranks
    n_rows = (n_batches - start) * per_rank
    n_blocks = max(1, min(n_batches - start, MOST_STREAM_BLOCKS))
    datasets = {}
    for rank in range(n_ranks):
        windows = partial(_decoded_windows, plan=plan, start=start, rank=rank, n_ranks=n_ranks)
        dataset = _ray_data().range(n_rows, override_num_blocks=n_blocks)
        dataset = dataset.map_batches(windows, batch_size=per_rank, num_cpus=STREAM_CPUS)
        dataset.context.execution_options.preserve_order = True
        datasets[stream_name(rank)] = dataset
    return datasets


def stream_name(rank: int) -> str:
    """The name of a rank's data set in a TorchTrainer."""
    return f"train_{rank}"


def stream_data_config() -> "TrainDataConfig":
    """What a TorchTrainer needs to hand each rank its own stream, whole and in order."""
    from ray.data import ExecutionOptions
    from ray.train import DataConfig

    return DataConfig(datasets_to_split=[], execution_options=ExecutionOptions(preserve_order=True))


def _decoded_windows(
    batch: dict[str, np.ndarray], plan: StreamPlan, start: int, rank: int, n_ranks: int
) -> dict[str, np.ndarray]:
    per_rank = plan.batch_size // n_ranks
    positions = (start + batch["id"] // per_rank) * plan.batch_size + rank * per_rank + batch["id"] % per_rank
    clips = [plan.decoded(position) for position in positions]
    return {
        "position": positions,
        "frames": np.stack([frames for frames, _ in clips]),
        "label": np.array([label for _, label in clips], dtype=np.int64),
    }


class StreamedClips:
    """A rank's clips out of a Ray Data stream, batch after batch: what TrainingClips gives out of the cache.

    A context manager: a stream that is left open keeps decoding, and Ray cannot shut down beneath it.
    """

    def __init__(self, plan: StreamPlan, stream: "DataIterator", rank: int = 0, n_ranks: int = 1) -> None:
        import torch

        self.plan, self.rank, self.per_rank = plan, rank, plan.batch_size // n_ranks
        self.n_clips = len(plan.selection)
        self.label_counts = torch.from_numpy(plan.selection.label_counts)
        self._batches = iter(stream.iter_torch_batches(batch_size=self.per_rank, prefetch_batches=2))

    def __enter__(self) -> "StreamedClips":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stops the decoding."""
        self._batches.close()

    def batch(self, index: int) -> tuple["torch.Tensor", "torch.Tensor"]:
        """This rank's part of global batch `index`: uint8 (b, T, H, W, C) and labels (b,). A stream only goes forward.

        Batches before `index` are passed over (a training that resumed); raises ValueError for one that is gone by.
        """
        wanted = index * self.plan.batch_size + self.rank * self.per_rank
        for batch in self._batches:
            position = int(batch["position"][0])
            if position == wanted:
                return batch["frames"], batch["label"]
            if position > wanted:
                break
        raise ValueError(
            f"batch {index} is not ahead in this stream; start a new one with stream_datasets(start={index})."
        )


def streamed_centre_windows(
    selection: Selection, preprocessing: str, limits: Limits, n_frames: int
) -> tuple["torch.Tensor", "torch.Tensor"]:
    """What `centre_windows` gives, without a cache: uint8 (n, T, H, W, C) and int64 labels (n,), in order."""
    import torch

    columns = zip(selection.paths, selection.centre_starts(n_frames), selection.lengths, strict=True)
    rows = [
        {"index": index, "path": path, "start": int(start), "length": int(length)}
        for index, (path, start, length) in enumerate(columns)
    ]
    decoded = partial(_centre_window, preprocessing=preprocessing, limits=limits, n_frames=n_frames)
    dataset = _ray_data().from_items(rows, override_num_blocks=_n_tasks(selection.paths))
    clips = {row["index"]: row["frames"] for row in dataset.map(decoded, num_cpus=STREAM_CPUS).iter_rows()}
    frames = np.stack([clips[index] for index in range(len(selection))])
    return torch.from_numpy(frames), torch.from_numpy(selection.labels)


def _centre_window(row: dict[str, Any], preprocessing: str, limits: Limits, n_frames: int) -> dict[str, Any]:
    frames = _decoded_window(row["path"], row["start"], row["length"], preprocessing, limits, n_frames)
    return {"index": row["index"], "frames": frames}


def _decoded_window(
    path: str, start: int, length: int, preprocessing: str, limits: Limits, n_frames: int
) -> np.ndarray:
    """uint8 (n_frames, H, W, 3) from `start` of a file of `length` frames; a short file repeats its last frame."""
    named = preprocessing_named(preprocessing)
    return window(decode(path, named, limits, start=start, n_frames=min(n_frames, length)), 0, n_frames)


def refuse_starved_stream(n_cpus: float, n_reserved: float) -> None:
    """Raises ConfigurationError where the workers leave less than one CPU: Ray Data would wait for it for ever."""
    if n_cpus - n_reserved < 1:
        raise ConfigurationError(
            f"data.feed=stream needs 1 CPU beside the training workers; the cluster has {n_cpus:g} and they reserve "
            f"{n_reserved:g}. Lower --workers-per-trial or --max-concurrent, or --set data.feed=cache."
        )


def _ray_data() -> Any:
    """ray.data, silent: the commands print their own progress."""
    import ray.data

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    return ray.data


def _n_tasks(paths: Sequence[Path | str]) -> int:
    return max(1, math.ceil(len(paths) / FILES_PER_TASK))
