"""Preparation of scores: decoded clips, real-trained classifiers, and the floor, measured beside the trials."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

import ray
import torch
from rich.console import Console
from rich.progress import Progress

from vgsearch.experiment.score import DIGITS_OF_DIGEST, Score
from vgsearch.runtime.feed.decode import build_cache
from vgsearch.runtime.feed.inputs import Inputs
from vgsearch.runtime.judging.judge import Judge, objective_scores, sampling_copy_of, score_of, synthetic_set
from vgsearch.runtime.judging.real_classifiers import fit_real_classifiers
from vgsearch.runtime.waits.beats import beating
from vgsearch.runtime.waits.failed_task import TaskFailed, why_failed
from vgsearch.runtime.waits.waiting import waiting
from vgsearch.runtime.waits.watch import state_of_tasks
from vgsearch.space.sweep import Sweep
from vgsearch.terminal.words import progress_bar
from videogan.config import parse_config
from videogan.data.cache import cache_folder
from videogan.data.clips import DataConfig
from videogan.data.manifest import SPLITS, Manifest, ScoredSplit
from videogan.metrics.seed_interval import seed_interval
from videogan.protocols.classifier import ClassifierProtocol, RealClassifier, TrainPart
from videogan.protocols.copies import load_training_windows
from videogan.protocols.features import FeatureMetric
from videogan.protocols.training_features import load_training_features
from videogan.storage.cached_file import read_if_whole
from videogan.storage.places import Place, RemotePath
from videogan.training.loop import untrained
from videogan.training.run_config import RunConfig
from videogan.training.scored_run import ScoredRun

WINDOWS, FLOOR = "windows of training clips", "the floor"
Needed = Mapping[ClassifierProtocol, tuple[int, ...]]
"""The classifiers that scores need, and their seeds."""


def prepare_inputs(sweep: Sweep, manifest: Manifest, scored: ScoredSplit, console: Console) -> Inputs:
    """What the trials of a sweep share, prepared or found in the cache; prints the protocol and ReR.

    scored: the split that the trials are scored on.
    """
    config = sweep.run_config(sweep.paper_points[0], 0)
    protocol, objectives = config.evaluation.s3_protocol, sweep.objectives()
    seeds, n_frames = protocol.seeds, config.n_frames
    needed = {protocol.classifier: seeds}
    for metric in (objective.name for objective in objectives if objective.is_of_features):
        of_features = config.evaluation.feature_protocol(cast(FeatureMetric, metric))
        # S3's own classifiers, unless they start from a user's weights, which distances leave as they are.
        needed.setdefault(of_features.classifier, of_features.seeds)
    workers = sweep.n_workers, sweep.gpus_per_worker
    inputs = prepare(manifest, config.preprocessing, config.data, n_frames, needed, *workers, console)
    _prepare_copies(inputs, config, console)
    inputs = replace(inputs, scored=scored)
    names, digest = ", ".join(map(str, objectives)), protocol.digest(inputs.facts, scored)[:DIGITS_OF_DIGEST]
    classifiers = inputs.real_classifiers(protocol.classifier, seeds)
    judge = described(classifiers, protocol.classifier, scored)
    console.print(
        f"objective {names} on {scored}   protocol {protocol.name} {digest}   judge {judge}   "
        f"clips {'cache' if inputs.cache else 'stream'}",
        soft_wrap=True,
    )
    warn_of_guessing(classifiers, scored, console)
    return inputs


def _prepare_copies(inputs: Inputs, config: ScoredRun, console: Console) -> None:
    """Read all training windows, by which trials find copies, unless they are in the cache."""
    protocol = config.evaluation.s3_protocol.classifier
    windows, features = inputs.windows_path(config.n_frames), inputs.features_path(protocol)
    if _is_whole(windows, load_training_windows) and _is_whole(features, load_training_features):
        return
    with progress_bar(console) as bars:
        bar = bars.add_task(WINDOWS, total=1)
        find = ray.remote(num_cpus=1, num_gpus=inputs.gpus_per_worker)(_find_windows)
        with waiting(WINDOWS, "it ends when all are read; Ctrl-C stops", state_of_tasks(WINDOWS)):
            try:
                ray.get(find.remote(inputs, config.data, config.n_frames, protocol))
            except ray.exceptions.RayError as error:
                raise TaskFailed(f"the {WINDOWS} of {inputs.data} could not be read: {why_failed(error)}.") from error
        bars.advance(bar)


def _is_whole(path: Place, read: Callable[[Place], object]) -> bool:
    """Whether a cached file exists and is not damaged; one on an object store is checked where it is used."""
    return path.exists() if isinstance(path, RemotePath) else read_if_whole(path, read) is not None


def _find_windows(inputs: Inputs, data: DataConfig, n_frames: int, protocol: ClassifierProtocol) -> None:
    torch.set_num_threads(1)
    with beating(WINDOWS):
        Judge(inputs, data, n_frames).prepare_copies(protocol)


def described(trained: Sequence[RealClassifier], protocol: ClassifierProtocol, scored: ScoredSplit) -> str:
    """The classifiers of each seed in words, with their ReR on the scored split if they were trained."""
    named = f"{protocol.classifier} of width {protocol.width}"
    if trained[0].n_classes < 2 or not protocol.trained:
        return f"{named}, not trained" if protocol.trained else f"{named}, weights as they are in the file"
    accuracy = sum(classifier.rer[scored] for classifier in trained) / len(trained)
    n_seeds = f"{len(trained)} seeds" if len(trained) > 1 else "1 seed"
    return f"{named}, {n_seeds}: ReR {100 * accuracy:.1f} %"


def warn_of_guessing(trained: Sequence[RealClassifier], scored: ScoredSplit, console: Console) -> None:
    """Print a warning if the classifiers recognise no more real clips than guessing: then no S3 means anything."""
    over_seeds, n_classes = seed_interval([each.rer[scored] for each in trained]), trained[0].n_classes
    if n_classes < 2 or not min(over_seeds.mean, over_seeds.low) <= 1 / n_classes:
        return
    console.print(
        f"warning: the classifiers recognise {100 * over_seeds.mean:.0f} % of the real {scored} clips, and "
        f"guessing among {n_classes} classes {100 / n_classes:.0f} %: no S3 and no look on these data means anything. "
        "Import more clips of each class; the laptop budget trains its classifiers for longer than smoke.",
        style="yellow",
        soft_wrap=True,
    )


def prepare(
    manifest: Manifest,
    preprocessing: str,
    config: DataConfig,
    n_frames: int,
    needed: Needed,
    n_workers: int,
    gpus_per_worker: float,
    console: Console,
    part: TrainPart = "all",
) -> Inputs:
    """Decode a data set and train the classifiers that are `needed`, or find them in the cache."""
    with progress_bar(console) as bars:
        feed = config.chosen_feed(manifest, preprocessing)
        inputs = Inputs(
            data=str(manifest.folder.absolute()),
            preprocessing=preprocessing,
            cache=str(decoded(manifest, preprocessing, config, bars)) if feed == "cache" else None,
            n_workers=n_workers,
            gpus_per_worker=gpus_per_worker,
            classifiers=str(cache_folder("classifiers")),
            manifest_digest=manifest.digest,
            n_classes=len(manifest.classes),
            every_nth=config.every_nth,
            part=part,
        )
        used = [split for split in SPLITS if len(manifest.split(split))]
        n_clips = tuple((split, len(inputs.selection(config, n_frames, split))) for split in used)
        inputs = replace(inputs, n_clips=n_clips)
        fit_real_classifiers(inputs, config, n_frames, needed, bars)
    return inputs


def decoded(manifest: Manifest, preprocessing: str, config: DataConfig, bars: Progress) -> str:
    """The folder of the data set's decoded clips, decoded if they are not in the cache."""
    task = bars.add_task("decoding clips", total=len(manifest.usable))
    folder = build_cache(
        manifest, preprocessing, config, lambda done, total: bars.update(task, completed=done, total=total)
    )
    bars.update(task, completed=len(manifest.usable))
    return str(folder)


class FloorTask:
    """The score of an untrained generator of the paper's point, measured in parallel with the trials."""

    def __init__(self, sweep: Sweep, inputs: Inputs) -> None:
        values = sweep.run_config(sweep.paper_points[0], 0).model_dump(mode="json")
        self._result = ray.remote(num_cpus=1, num_gpus=inputs.gpus_per_worker)(_measure_floor).remote(inputs, values)

    def result(self, timeout: float) -> Score | None:
        """The score, None if it is not measured after `timeout` seconds; raises the task's own error."""
        ready, _ = ray.wait([self._result], timeout=timeout)
        return ray.get(ready[0]) if ready else None


def _measure_floor(inputs: Inputs, values: dict[str, Any]) -> Score:
    torch.set_num_threads(1)
    config = parse_config(RunConfig, values)
    with beating(FLOOR):
        judge = Judge(inputs, config.data, config.n_frames)
        sampler = sampling_copy_of(untrained(config).generator.to(inputs.device), config)
        return score_of(objective_scores(config, judge, synthetic_set(sampler, config)))
