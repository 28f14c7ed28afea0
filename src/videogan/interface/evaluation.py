"""Scores of a model in one process, without Ray: the same numbers as `vgsearch evaluate`, to the last digit."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from videogan.config import ConfigurationError, suggestion
from videogan.data.cache import cache_folder
from videogan.data.clip_set import RealClips
from videogan.data.clips import ClipStore, open_cache
from videogan.data.manifest import SPLITS, Manifest, read_manifest
from videogan.data.shard_decoding import decode_into_cache
from videogan.interface.model import Model, load
from videogan.protocols import USUAL_CLASSIFIER, protocol_named
from videogan.protocols.classifier import DataFacts, cached_real_classifier
from videogan.protocols.features import FeatureProtocol, FeatureResult, feature_score
from videogan.protocols.initial_weights import with_weights
from videogan.protocols.s3 import RealSide, S3Protocol, S3Result, SyntheticSet, s3_evaluation
from videogan.sampling.generated_clips import GeneratedClips
from videogan.seeds import seed_of
from videogan.storage.places import Place
from videogan.training.run_config import EvaluationConfig

OnProgress = Callable[[str, int, int], None]
"""Is called with the name of what is done, and (done, total)."""


def evaluate(
    model: Model | Path | str,
    data: Place | str,
    metrics: str | Sequence[str] = ("s3", "kvd"),
    on_progress: OnProgress = lambda what, done, total: None,
) -> dict[str, S3Result | FeatureResult]:
    """The scores of a model, or of the one at a path, on the test clips of an imported data set, by protocol.

    metrics: names as of `vgsearch evaluate --metrics`, but gam and blind_spots. Decoded clips and classifiers of real
    clips are cached where that command caches them, so that each finds the other's. Torch computes in one thread
    meanwhile, as there: sums depend on the number of threads. Raises ConfigurationError for what cannot be measured.
    """
    model = model if isinstance(model, Model) else load(model)
    manifest, config = read_manifest(data), model.config
    _refuse_unfit(model, manifest)
    names = [metrics] if isinstance(metrics, str) else list(metrics)
    protocols = [_protocol(name, config.evaluation) for name in names]
    if not protocols:
        raise ConfigurationError("metrics must name at least one, such as s3 or kvd.")
    of_labels = [protocol.name for protocol in protocols if isinstance(protocol, S3Protocol)]
    if of_labels and config.n_conditions < 2:
        raise ConfigurationError(f"{of_labels[0]} needs samples of each class, {model.source} makes one; use kvd.")
    with _one_thread():
        real = _RealClips(model, manifest, protocols[0].classifier.n_frames, on_progress)
        return {protocol.name: real.score(protocol, _synthetic(model), on_progress) for protocol in protocols}


def _refuse_unfit(model: Model, manifest: Manifest) -> None:
    """Raise ConfigurationError for a generator of one class, and for data that the model may have been trained on."""
    if model.config.data.only_class is not None:
        raise ConfigurationError(
            f"{model.source} generates class {model.config.data.only_class} only: it is one of several generators that "
            "are scored together; scores.json of its trial has their scores."
        )
    if manifest.digest != model.trained_on:
        raise ConfigurationError(
            f"{model.source} was trained on the train split of manifest {model.trained_on[:6]}; {manifest.folder} is "
            f"{manifest.digest[:6]}, so it may have trained on those test clips. Give its own data set."
        )


def _protocol(name: str, evaluation: EvaluationConfig) -> S3Protocol | FeatureProtocol:
    """The protocol of a metric, with the initial weights that the run was scored with, if they are of its network."""
    protocol = protocol_named(name, evaluation.protocol)
    if protocol is None:
        raise ConfigurationError(f"metrics: '{name}' is unknown{suggestion(name, list(USUAL_CLASSIFIER))}")
    own, network = evaluation.s3_protocol.classifier, protocol.classifier
    is_of_it = (network.classifier, network.width) == (own.classifier, own.width)
    weights = evaluation.classifier_weights
    return protocol if weights is None or not is_of_it else with_weights(protocol, weights)


def _synthetic(model: Model) -> SyntheticSet:
    bf16 = model.config.loop.precision == "bf16"  # as the generator was trained
    return lambda purpose, labels, seed: GeneratedClips(model.generator, labels, seed_of(purpose, seed), bf16)


class _RealClips:
    """The real clips of a data set as the model's run reads them, and the classifiers trained on them."""

    def __init__(self, model: Model, manifest: Manifest, n_frames: int, on_progress: OnProgress) -> None:
        config = model.config
        folder = decode_into_cache(
            manifest, config.preprocessing, config.data.limits, lambda done, total: on_progress("decoding", done, total)
        )
        store = open_cache(folder, manifest, config.data.short_clips, config.data.every_nth, config.data.limits)
        self._clips = _clips_of(store, manifest, n_frames)
        n_clips = tuple((split, len(clips)) for split, clips in self._clips.items())
        self._facts = DataFacts(
            manifest.digest, config.preprocessing, len(manifest.classes), n_clips, config.data.every_nth
        )

    def score(
        self, protocol: S3Protocol | FeatureProtocol, synthetic: SyntheticSet, on_progress: OnProgress
    ) -> S3Result | FeatureResult:
        train, test = self._clips["train"], self._clips["test"]
        held_back = {split: clips for split, clips in self._clips.items() if split != "train" and len(clips)}
        folder, classifiers = cache_folder("classifiers") / protocol.classifier.digest(self._facts)[:16], []
        for number, seed in enumerate(protocol.seeds):
            on_progress("real-trained classifiers", number, len(protocol.seeds))
            classifiers.append(cached_real_classifier(folder, protocol.classifier, train, held_back, seed))
        real = RealSide(classifiers, train, test, "test", held_back.get("select", train))
        digest = protocol.digest(self._facts, "test")
        on_score = lambda done, total: on_progress(protocol.name, done, total)  # noqa: E731 (a name for the line)
        if isinstance(protocol, S3Protocol):
            return s3_evaluation(protocol, digest, real, synthetic, on_score)
        return feature_score(protocol, digest, real, synthetic, on_score)


def _clips_of(store: ClipStore, manifest: Manifest, n_frames: int) -> dict[str, RealClips]:
    """The real clips of each split that has any."""
    return {split: store.real_clips(split, n_frames) for split in SPLITS if len(manifest.split(split))}


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
