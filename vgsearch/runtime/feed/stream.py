"""Streams of training windows: Ray Data decodes, during the training, videos too large for a cache."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ray.data import DataIterator, Dataset, ExecutionOptions
from ray.train import DataConfig as TrainDataConfig

from vgsearch.runtime.feed.decode import decoding, silent_ray_data
from vgsearch.runtime.waits.beats import beating
from videogan.config import ConfigurationError
from videogan.data.decode import Limits, decode
from videogan.data.journal import signature
from videogan.data.manifest import DataError, Manifest
from videogan.data.preprocessing import preprocessing_named
from videogan.data.shard_repair import why_lost
from videogan.data.windows import Selection, WindowSchedule, rank_positions, select_clips, span, window, with_colours

if TYPE_CHECKING:  # they import torch, which workers that decode do without
    import torch

    from videogan.data.clips import DataConfig

STREAM_CPUS = 0.5  # CPUs of a decoding task: two fit on the CPU that trainings leave free
MOST_STREAM_BLOCKS = 1000
STREAM = "stream of clips"


@dataclass(frozen=True)
class StreamPlan:
    """The windows of a stream and their order: those that TrainingClips takes from the cache for this seed."""

    manifest_digest: str
    selection: Selection
    schedule: WindowSchedule
    batch_size: int
    preprocessing: str
    limits: Limits
    n_colours: int
    """Of the networks that are trained; 1 refuses windows in colour."""

    def decoded(self, positions: np.ndarray) -> Iterator[tuple[np.ndarray, int]]:
        """The window at each position of the stream, uint8 (T, H, W, n_colours), and its label.

        Raises UnreadableVideo, and ConfigurationError for a window that is not grey if it must be.
        """
        for clip, start in zip(*self.schedule.at(positions), strict=True):
            selected = _row(self.selection, clip, start)
            frames = _decoded_window(selected, self.preprocessing, self.limits, self.schedule.n_frames)
            yield with_colours(frames, self.n_colours, self.selection.paths[clip]), int(self.selection.labels[clip])


def stream_plan(
    manifest: Manifest,
    preprocessing: str,
    config: "DataConfig",
    batch_size: int,
    n_frames: int,
    seed: int,
    n_colours: int = 3,
) -> StreamPlan:
    """The plan for the training split of `manifest`."""
    named = preprocessing_named(preprocessing)
    selection = select_clips(manifest, "train", named, n_frames, config.short_clips, every_nth=config.every_nth)
    selection = selection.of_class(config.only_class)
    schedule = selection.schedule(n_frames, seed, config.sampling)
    return StreamPlan(manifest.digest, selection, schedule, batch_size, preprocessing, config.limits, n_colours)


def stream_datasets(plan: StreamPlan, n_batches: int, start: int = 0, n_ranks: int = 1) -> dict[str, "Dataset"]:
    """A lazy Dataset for each rank, its rows of the global batches [start, n_batches), named by `stream_name(rank)`.

    Ray splits nothing: each rank's rows follow from the plan, so any number of ranks sees the same global batches.
    """
    per_rank = rank_positions(np.arange(1), plan.batch_size, n_ranks=n_ranks).size
    n_rows = (n_batches - start) * per_rank
    n_blocks = max(1, min(n_batches - start, MOST_STREAM_BLOCKS))
    datasets = {}
    for rank in range(n_ranks):
        windows = partial(_decoded_windows, plan=plan, start=start, rank=rank, n_ranks=n_ranks)
        dataset = silent_ray_data().range(n_rows, override_num_blocks=n_blocks)
        dataset = decoding(dataset.map_batches, windows, STREAM_CPUS, batch_size=per_rank)
        dataset.context.execution_options.preserve_order = True
        # A full stream makes no progress while the training looks or scores, which may take hours.
        dataset.context.execution_no_progress_timeout_s = -1
        datasets[stream_name(rank)] = dataset
    return datasets


def stream_name(rank: int) -> str:
    """The name of a rank's dataset in a TorchTrainer."""
    return f"train_{rank}"


def stream_data_config() -> TrainDataConfig:
    """The configuration by which a TorchTrainer gives each rank its own stream, whole and in order."""
    return TrainDataConfig(datasets_to_split=[], execution_options=ExecutionOptions(preserve_order=True))


def _decoded_windows(
    batch: dict[str, np.ndarray], plan: StreamPlan, start: int, rank: int, n_ranks: int
) -> dict[str, np.ndarray]:
    batches, places = np.divmod(batch["id"], plan.batch_size // n_ranks)
    positions = rank_positions(start + batches, plan.batch_size, rank, n_ranks)[np.arange(len(batches)), places]
    with beating(STREAM):
        clips = list(plan.decoded(positions))
    return {
        "position": positions,
        "frames": np.stack([frames for frames, _ in clips]),
        "label": np.array([label for _, label in clips], dtype=np.int64),
    }


class StreamedClips:
    """A rank's clips from a Ray Data stream: the batches that TrainingClips reads from the cache.

    A context manager: a stream left open keeps decoding, and Ray cannot shut down.
    """

    def __init__(self, plan: StreamPlan, stream: "DataIterator", rank: int = 0, n_ranks: int = 1) -> None:
        import torch

        self.plan, self.rank, self.per_rank = plan, rank, plan.batch_size // n_ranks
        self.label_counts = torch.from_numpy(plan.selection.label_counts_in(plan.schedule))
        self.manifest_digest = plan.manifest_digest
        # Any: Ray declares an Iterator; the object is a generator, whose `close` ends the decoding.
        self._batches: Any = iter(stream.iter_torch_batches(batch_size=self.per_rank, prefetch_batches=2))

    def __enter__(self) -> "StreamedClips":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop the decoding."""
        self._batches.close()

    def batch(self, index: int) -> tuple["torch.Tensor", "torch.Tensor"]:
        """This rank's part of global batch `index`: uint8 (b, T, H, W, C) and labels (b,).

        Skips the batches before `index`, as a resumed training needs; raises ValueError for a batch already passed.
        """
        wanted = index * self.plan.batch_size + self.rank * self.per_rank
        for batch in self._batches:
            position = int(batch["position"][0])
            if position == wanted:
                return batch["frames"], batch["label"]
            if position > wanted:
                break
        raise ValueError(
            f"batch {index} has already passed in this stream; start a new one with stream_datasets(start={index})."
        )


@dataclass(frozen=True)
class WindowStream:
    """Reads windows of real clips by decoding them on Ray Data, as the cache would give them."""

    preprocessing: str
    limits: Limits

    def read(
        self, selection: Selection, windows: Iterable[tuple[np.ndarray, np.ndarray]], n_frames: int
    ) -> Iterator["torch.Tensor"]:
        """A WindowReader: the windows of each (clip numbers (m,), first frames (m,)), uint8 (m, n_frames, H, W, 3)."""
        import torch

        requests = list(windows)
        rows = [
            _row(selection, clip, start)
            for clips, starts in requests
            for clip, start in zip(clips, starts, strict=True)
        ]
        decoded = partial(_window_of, preprocessing=self.preprocessing, limits=self.limits, n_frames=n_frames)
        dataset = silent_ray_data().from_items(rows, override_num_blocks=max(1, min(len(rows), MOST_STREAM_BLOCKS)))
        dataset = decoding(dataset.map, decoded, STREAM_CPUS)
        dataset.context.execution_options.preserve_order = True
        dataset.context.execution_no_progress_timeout_s = -1  # a fit may take long over each batch
        # Any: Ray declares an Iterator; the object is a generator, whose `close` ends the decoding.
        clips_read: Any = iter(dataset.iter_rows())
        try:
            for clips, _ in requests:
                yield torch.from_numpy(np.stack([next(clips_read)["frames"] for _ in clips]))
        finally:
            clips_read.close()


def _window_of(row: dict[str, Any], preprocessing: str, limits: Limits, n_frames: int) -> dict[str, Any]:
    with beating(STREAM):
        return {"frames": _decoded_window(row, preprocessing, limits, n_frames)}


def _row(selection: Selection, clip: int, start: int) -> dict[str, Any]:
    """The window of a selected clip as plain values, which Ray Data's tasks take."""
    stride, length = int(selection.strides[clip]), int(selection.lengths[clip])
    named = {"path": selection.paths[clip], "sha": selection.shas[clip]}
    return {**named, "start": int(start), "stride": stride, "length": length}


def _decoded_window(row: dict[str, Any], preprocessing: str, limits: Limits, n_frames: int) -> np.ndarray:
    """The window of `_row`: uint8 (n_frames, H, W, 3); a shorter file repeats its last frame.

    Raises DataError if the file is not the one that was imported.
    """
    _refuse_changed(row["path"], row["sha"], signature(Path(row["path"])))
    named, start, stride = preprocessing_named(preprocessing), row["start"], row["stride"]
    frames = decode(row["path"], named, limits, start=start, n_frames=min(span(n_frames, stride), row["length"]))
    return window(frames, 0, n_frames, stride)


@lru_cache(maxsize=100_000)
def _refuse_changed(path: str, sha: str, seen: str | None) -> None:
    """Raise DataError unless the file's content is `sha`; read once a process for each `seen`, its size and times."""
    if (reason := why_lost(Path(path), sha)) is not None:
        raise DataError(f"{path}: {reason}. Restore it, or make the manifest again with: vgsearch data import")


def refuse_starved_stream(n_cpus: float, n_reserved: float) -> None:
    """Raise ConfigurationError if the workers leave less than one CPU, for which Ray Data would wait forever."""
    if n_cpus - n_reserved < 1:
        raise ConfigurationError(
            f"data.feed=stream needs 1 CPU beside the training workers; the cluster has {n_cpus:g} and they reserve "
            f"{n_reserved:g}. Lower --workers-per-trial or --max-concurrent, or --set data.feed=cache."
        )
