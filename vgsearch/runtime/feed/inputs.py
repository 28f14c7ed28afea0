"""The inputs that all trials of a sweep share, prepared before the first: clips and real-trained classifiers."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from vgsearch.runtime.feed import stream
from videogan.data.clip_set import RealClips
from videogan.data.clips import ClipStore, DataConfig, TrainingClips, open_cache
from videogan.data.manifest import DataError, ScoredSplit, read_manifest
from videogan.data.prefetch import PrefetchedClips
from videogan.data.preprocessing import preprocessing_named
from videogan.data.windows import EveryNth, Selection, halves_by_group, select_clips
from videogan.protocols.classifier import (
    ClassifierProtocol,
    DataFacts,
    RealClassifier,
    TrainPart,
    load_real_classifier,
    real_classifier_path,
)
from videogan.protocols.copies import windows_digest
from videogan.storage.places import Place, RemotePath, place
from videogan.training.loop import ClipSource
from videogan.training.run_config import RunConfig


@dataclass(frozen=True)
class Inputs:
    """Plain values that can be sent to any node; all nodes reach the folders they name."""

    data: str
    preprocessing: str
    cache: str | None
    """Folder of the decoded clips; None if clips are streamed."""
    n_workers: int = 1
    gpus_per_worker: float = 0
    classifiers: str = ""
    """Folder of all real-trained classifiers, by the digest of their protocol on their data."""
    manifest_digest: str = ""
    n_classes: int = 0
    n_clips: tuple[tuple[str, int], ...] = ()
    """The used clips of each split: ("train", 40), ..."""
    every_nth: EveryNth = 1
    """Frame stride of all real clips of the sweep, also of those that classifiers see."""
    scored: ScoredSplit = "test"
    """The real clips that scores are measured on: the `search_split` for a search, test for results."""
    part: TrainPart = "all"
    """The clips that real classifiers are fitted on; half: the calibration ladder holds the others back."""

    @property
    def reserved_cpus(self) -> int:
        """CPUs that trainings must leave free for the decoding of a stream, which would otherwise wait forever."""
        return 0 if self.cache else 1

    @property
    def device(self) -> str:
        """The torch device of a process that has this sweep's resources per worker."""
        return "cuda" if self.gpus_per_worker else "cpu"

    @property
    def facts(self) -> "DataFacts":
        """The facts of the data that a score depends on."""
        return DataFacts(
            self.manifest_digest, self.preprocessing, self.n_classes, self.n_clips, self.every_nth, self.part
        )

    @property
    def held_back_splits(self) -> tuple[ScoredSplit, ...]:
        """The splits that no classifier is fitted on."""
        names: tuple[ScoredSplit, ...] = ("select", "test") if self.part == "all" else ("test",)
        return tuple(name for name in names if dict(self.n_clips).get(name))

    def training_clips(self, config: "RunConfig", first_batch: int) -> AbstractContextManager["ClipSource"]:
        """The training split for a run in one process, ready from global batch `first_batch` on."""
        if self.cache:
            return self.cached_clips(config)
        # Ray Data itself fetches ahead.
        plan = self.stream_plan(config)
        datasets = stream.stream_datasets(plan, n_batches(config), first_batch)
        return stream.StreamedClips(plan, datasets[stream.stream_name(0)].iterator())

    def cached_clips(self, config: "RunConfig", rank: int = 0, n_ranks: int = 1) -> "PrefetchedClips":
        """One rank's part of the training split from the cache, fetched one batch ahead; close it."""
        store, size, n_frames = self._store(config.data), config.loop.batch_size, config.model.n_frames
        data, colours = config.data, config.model.colours
        return PrefetchedClips(
            TrainingClips(store, size, n_frames, config.seed, rank, n_ranks, data.sampling, data.only_class, colours)
        )

    def stream_plan(self, config: "RunConfig") -> stream.StreamPlan:
        manifest = read_manifest(self.data)
        size, model = config.loop.batch_size, config.model
        return stream.stream_plan(
            manifest, self.preprocessing, config.data, size, model.n_frames, config.seed, model.colours
        )

    def real_clips(self, data: "DataConfig", n_frames: int, split: str) -> RealClips:
        """The real clips of a split, read from the cache or a stream when they are needed."""
        size = preprocessing_named(self.preprocessing).size
        read = self._store(data).read if self.cache else stream.WindowStream(self.preprocessing, data.limits).read
        return RealClips(self.selection(data, n_frames, split), n_frames, size, read)

    def train_parts(self, data: "DataConfig", n_frames: int) -> tuple[RealClips, RealClips | None]:
        """The clips that classifiers are fitted on, and those that `part` holds back."""
        whole = self.real_clips(data, n_frames, "train")
        if self.part == "all":
            return whole, None
        if dict(self.n_clips).get("select"):
            both = whole.selection.joined(self.selection(data, n_frames, "select"))
            whole = replace(whole, selection=both)
        fitted, held_back = (
            replace(whole, selection=whole.selection.where(m)) for m in halves_by_group(whole.selection)
        )
        return fitted, held_back

    def classifier_path(self, protocol: "ClassifierProtocol", seed: int) -> Place:
        """The file of the real-trained classifier of `seed`, shared by all scores and sweeps that need the same one."""
        return real_classifier_path(place(self.classifiers) / protocol.digest(self.facts)[:16], seed)

    def windows_path(self, n_frames: int) -> Place:
        """The file of all training windows, by which copies are found, shared by all scores of these data."""
        return place(self.classifiers) / windows_digest(self.facts, n_frames)[:16] / "training-windows.pt"

    def moments_path(self, digest: str) -> Place:
        """The file of what the field's FVD needs of the real clips, by the digest of all that it depends on."""
        return place(self.classifiers) / digest[:16] / "real-moments.pt"

    def features_path(self, protocol: "ClassifierProtocol") -> Place:
        """The file of the features of training windows, by the first real-trained classifier."""
        return self.classifier_path(protocol, 0).parent / "training-features-0.pt"

    def real_classifiers(self, protocol: "ClassifierProtocol", seeds: Sequence[int]) -> list["RealClassifier"]:
        """The real-trained classifiers, one for each of `seeds`."""
        return [load_real_classifier(self.classifier_path(protocol, seed)) for seed in seeds]

    def selection(self, data: "DataConfig", n_frames: int, split: str) -> Selection:
        """The clips of a split that runs use: with a cache, those that could be decoded."""
        if self.cache:
            return self._store(data).select(split, n_frames)
        named, manifest = preprocessing_named(self.preprocessing), read_manifest(self.data)
        selection = select_clips(manifest, split, named, n_frames, data.short_clips, every_nth=data.every_nth)
        remote = next((path for path in selection.paths if isinstance(place(path), RemotePath)), None)
        if remote is not None:
            raise DataError(f"{remote}: a stream reads local files. Copy the videos, or --set data.feed=cache.")
        return selection

    def _store(self, data: "DataConfig") -> "ClipStore":
        assert self.cache is not None, "streamed clips have no store"
        return open_cache(self.cache, self.data, data.short_clips, data.every_nth, data.limits)


def n_batches(config: "RunConfig") -> int:
    """Global batches that a run of this config takes."""
    return config.loop.n_steps * config.loop.n_d
