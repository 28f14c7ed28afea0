"""How a score's classifier is built and trained, and the cache of real-trained classifiers that all trials share."""

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from videogan.classifiers import CLASSIFIERS
from videogan.classifiers.contract import VideoClassifier
from videogan.classifiers.fit import Epoch, Recipe, fit, predict_windows
from videogan.classifiers.weights import load_weights_, n_classes_of
from videogan.config import Config, ConfigurationError
from videogan.data.clip_set import ClipSet, RealSet
from videogan.data.clips import to_video
from videogan.data.windows import EveryNth
from videogan.metrics.s3 import accuracy
from videogan.nets.layout import lay_channels_last_
from videogan.shard import Shard
from videogan.storage.atomic import write_atomically
from videogan.storage.cached_file import made_once
from videogan.storage.places import Place
from videogan.storage.step_files import read_checkpoint

TrainPart = Literal["all", "half"]
"""The clips that real classifiers are fitted on: train, or half of the groups of train and select; the calibration
ladder holds the other half back."""


@dataclass(frozen=True)
class DataFacts:
    """The facts of a data set that scores depend on."""

    manifest_digest: str
    preprocessing: str
    n_classes: int
    n_clips: tuple[tuple[str, int], ...]
    """The used clips of each split: ("train", 40), ..."""
    every_nth: EveryNth = 1
    part: TrainPart = "all"

    def facts(self) -> dict[str, Any]:
        """The content of a digest."""
        return asdict(self)


class WeightsFile(Config):
    """A user's file of initial weights, or of a detector; its sha256 identifies it, not its path."""

    path: str
    sha256: str


class ClassifierProtocol(Config):
    """Everything a trained classifier depends on except its seed and its data."""

    classifier: Literal["r3d18", "tsn", "eco_lite", "c3d", "i3d"]
    width: int = Field(64, ge=1)
    shortcut: Literal["A", "B"] | None = None
    """Only for the 3-D ResNet-18, whose default is B."""
    dropout: float = Field(ge=0, lt=1)
    size: int | None = Field(ge=32)
    """Side in pixels to which frames are resized before the classifier; None: not resized."""
    crop: int | None = Field(None, ge=32)
    """Side in pixels of the centre that is cut out of the resized frames; None: the whole frame."""
    n_frames: int = Field(16, ge=8)
    recipe: Recipe
    test_windows: int = Field(4, ge=1)
    """Evenly spaced windows of each real test clip."""
    weights: WeightsFile | None = None
    trained: bool = True
    """False: use the weights file unchanged, with the classes of the file."""

    @model_validator(mode="after")
    def _consistent(self) -> "ClassifierProtocol":
        if self.shortcut is not None and self.classifier != "r3d18":
            raise ValueError(f"shortcut {self.shortcut} is only for r3d18, got {self.classifier}; remove it.")
        if self.crop is not None and (self.size is None or self.crop > self.size):
            raise ValueError(f"crop must be at most size, got {self.crop} of {self.size}; give a larger size.")
        if not self.trained and self.weights is None:
            raise ValueError(
                "a classifier that is not trained needs a weights file; give weights, or set trained = true."
            )
        return self

    def facts(self) -> dict[str, Any]:
        """The content of a digest: all settings, with the weights file's sha256 instead of its path."""
        return self.model_dump(mode="json", exclude={"weights"}) | {
            "initial_weights": self.weights.sha256 if self.weights else "random"
        }

    def digest(self, data: DataFacts) -> str:
        """sha256 (hex) of the classifier on one data set: the name of its folder in the cache."""
        return digest_of(self.facts() | data.facts())

    def build(self, n_classes: int, seed: int) -> "ResizingClassifier":
        """Build the classifier with random weights from `seed`, then load the weights file if there is one.

        A network that is not trained has the classes of its file; `n_classes` is then ignored. Raises
        ConfigurationError if the file does not fit, has another sha256, or lacks the classification layer that it then
        needs.
        """
        if self.weights is None:
            return self.fresh(n_classes, seed)
        if not self.trained:
            n_classes = n_classes_of(self.weights.path)
        built = self.fresh(n_classes, seed)
        found = load_weights_(built.network, self.weights.path)
        if found != self.weights.sha256:
            raise ConfigurationError(
                f"{self.weights.path}: the classifier weights must have sha256 {self.weights.sha256[:6]}..., as the "
                f"scores' protocol says, got {found[:6]}...: the file has changed, or differs on this machine. "
                "Restore the file, or start a new experiment with it."
            )
        return built

    def fresh(self, n_classes: int, seed: int) -> "ResizingClassifier":
        """The network with random weights from `seed`, on the GPU if this process has one."""
        options = {} if self.shortcut is None else {"shortcut": self.shortcut}
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = CLASSIFIERS[self.classifier](n_classes, width=self.width, dropout=self.dropout, **options)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        # The same memory layout as in `fit`: a loaded network must compute exactly the same numbers as the fitted one.
        lay_channels_last_(network)
        return ResizingClassifier(network, self.size, self.crop).to(device)


def weights_file(path: Path, what: str = "this file of classifier weights") -> WeightsFile:
    """The file at `path`, called `what` in errors; raises ConfigurationError if it cannot be read."""
    try:
        with open(path, "rb") as stream:
            return WeightsFile(path=str(path.absolute()), sha256=hashlib.file_digest(stream, "sha256").hexdigest())
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot read {what} ({error.strerror}); check the path.") from None


def digest_of(facts: dict[str, Any]) -> str:
    """sha256 (hex) of canonical JSON; its first 6 digits are displayed."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class ResizingClassifier(VideoClassifier):
    """A classifier that first resizes frames to `size` x `size`, bilinear and antialiased, and crops their centre.

    None as `size`: no resizing; None as `crop`: the whole frame.
    """

    def __init__(self, network: VideoClassifier, size: int | None, crop: int | None = None) -> None:
        super().__init__()
        self.network, self.size, self.crop = network, size, crop

    @property
    def classify(self) -> nn.Linear:  # type: ignore[override]  # a view: a second registration would rename weights
        """The last layer of the wrapped network."""
        return self.network.classify

    def features(self, video: Tensor) -> Tensor:
        """Penultimate features (B, n_features) of `video` (B, T, 3, H, W) in [-1, 1]."""
        return self.network.features(self._prepared(video))

    def forward(self, video: Tensor) -> Tensor:
        """Class logits (B, K) of `video` (B, T, 3, H, W) in [-1, 1]."""
        return self.network(self._prepared(video))

    def _prepared(self, video: Tensor) -> Tensor:
        if self.size is not None and video.shape[-2:] != (self.size, self.size):
            frames = F.interpolate(video.flatten(0, 1), (self.size, self.size), mode="bilinear", antialias=True)
            video = frames.unflatten(0, video.shape[:2])
        if self.size is None or self.crop is None:
            return video
        first = (self.size - self.crop) // 2
        return video[..., first : first + self.crop, first : first + self.crop]


@dataclass(frozen=True)
class RealClassifier:
    """A classifier trained on real clips and its predictions on real held-back clips; one per protocol and data set."""

    seed: int
    n_classes: int
    """Classes of the network: the data set's, or those of an untrained weights file."""
    predictions: dict[str, Tensor]
    """For each split but train: (test_windows, n) predicted classes of the windows of its real clips."""
    rer: dict[str, float]
    """For each of these splits: accuracy over all windows; NaN if the network's classes are not the data set's."""
    weights: dict[str, Tensor]

    def network(self, protocol: ClassifierProtocol) -> ResizingClassifier:
        """The network with its weights, in eval mode."""
        network = protocol.fresh(self.n_classes, self.seed)
        network.load_state_dict(self.weights)
        return network.eval()


def fit_on_real(
    protocol: ClassifierProtocol,
    train: RealSet,
    held_back: Mapping[str, RealSet],
    seed: int,
    on_epoch: Callable[[Epoch], None] | None = None,
    wrap: Callable[[nn.Module], nn.Module] = lambda module: module,
    shard: Shard = Shard(),
) -> RealClassifier:
    """Train on real, test on real: the classifier of ReR and ReS, whose features also serve other scores.

    It is trained on random windows of the clips of `train` and predicts evenly spaced windows of each set in
    `held_back` (by split). With one class there is nothing to train: the network keeps its initial weights, and only
    the statistics of its batch norms come from the real clips (random features, Naeem et al. 2020, sec. 5). A user's
    weights with trained = false are unchanged. Raises ValueError for clips of another length, or too few to train on.
    """
    refuse_other_lengths(protocol, train, *held_back.values())
    network, shown = protocol.build(train.n_classes, seed), train.random(seed)
    tests = {split: clips.spaced(protocol.test_windows) for split, clips in held_back.items()}
    if not protocol.trained:
        network.eval()
    elif train.n_classes == 1:
        _settle_statistics_(network, shown, protocol.recipe)
    else:
        schedule_on = tests["test"] if protocol.recipe.paper_protocol else None
        fit(network, shown, protocol.recipe, seed, schedule_on, on_epoch, wrap=wrap, shard=shard)
    recipe, n_windows, n_classes = protocol.recipe, protocol.test_windows, network.classify.out_features
    predictions = {split: predict_windows(network, clips, recipe, n_windows) for split, clips in tests.items()}
    rer = {
        split: accuracy(said.flatten(), tests[split].labels.repeat(n_windows))
        if n_classes == train.n_classes
        else math.nan
        for split, said in predictions.items()
    }
    return RealClassifier(seed, n_classes, predictions, rer, network.cpu().state_dict())


@torch.no_grad()
def _settle_statistics_(network: nn.Module, clips: ClipSet, recipe: Recipe) -> None:
    """Set the running statistics of every batch norm to plain averages over batches of `clips`; ends in eval mode."""
    if len(clips) < 2:
        raise ValueError(f"batch norm statistics need at least 2 training clips, got {len(clips)}.")
    network.eval()  # dropout must not draw
    norms = [module for module in network.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()  # a weights file has its own
        norm.momentum = None  # torch: cumulative average instead of a moving one
        norm.train()
    device = next(network.parameters()).device
    batches = torch.arange(len(clips)).tensor_split(max(1, len(clips) // recipe.batch_size))
    for frames in clips.windows((rows, 0) for rows in batches):
        network(to_video(frames.to(device)))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()


def refuse_other_lengths(protocol: ClassifierProtocol, *sets: ClipSet) -> None:
    """Raise ValueError unless all clips have the number of frames of `protocol`."""
    for clips in sets:
        n_frames = clips.shape[0]
        if n_frames != protocol.n_frames:
            raise ValueError(f"the protocol's classifier needs clips of {protocol.n_frames} frames, got {n_frames}.")


def cached_real_classifier(
    folder: Place,
    protocol: ClassifierProtocol,
    train: RealSet,
    held_back: Mapping[str, RealSet],
    seed: int,
    on_epoch: Callable[[Epoch], None] | None = None,
) -> RealClassifier:
    """Load the classifier of `seed` from its digest's `folder`; fit and save it first if it is missing or damaged."""
    path = real_classifier_path(folder, seed)

    def make() -> None:
        save_real_classifier(path, fit_on_real(protocol, train, held_back, seed, on_epoch))

    return made_once(path, load_real_classifier, make)


def real_classifier_path(folder: Place, seed: int) -> Place:
    """The file of the classifier of `seed` in the folder of its protocol's digest."""
    return folder / f"real-{seed}.pt"


def save_real_classifier(path: Place, classifier: RealClassifier) -> None:
    """Write the classifier atomically; the last of two writers wins."""
    write_atomically(path, lambda stream: torch.save(asdict(classifier), stream))


def load_real_classifier(path: Place) -> RealClassifier:
    """Read a file written by `save_real_classifier`; raises DamagedCheckpoint."""
    return read_checkpoint(path, lambda stored: RealClassifier(**stored))
