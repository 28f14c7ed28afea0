"""S3 by a named protocol: classifiers trained on real and tested on synthetic clips, and vice versa."""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from videogan.amounts import n_of
from videogan.classifiers.contract import VideoClassifier
from videogan.classifiers.fit import Epoch, classes_of, fit, predict_windows
from videogan.config import Config
from videogan.data.clip_set import CLIPS_AT_ONCE, ClipSet, Grouped, RealSet, Spooled, in_batches
from videogan.data.manifest import ScoredSplit
from videogan.metrics import ACCURACIES
from videogan.metrics.interval import FEWEST_GROUPS, Interval
from videogan.metrics.s3 import (
    Judged,
    accuracy,
    bootstrap_intervals,
    confusion_matrix,
    per_class_accuracy,
    s3_of_guessing,
    whole_interval,
)
from videogan.metrics.seed_interval import MAX_SEEDS, seed_interval
from videogan.protocols.classifier import (
    ClassifierProtocol,
    DataFacts,
    RealClassifier,
    digest_of,
    refuse_other_lengths,
)
from videogan.storage.json_values import json_values

Purpose = Literal["train", "test", "look", "samples", "unlabelled"]
SyntheticSet = Callable[[Purpose, Tensor, int], ClipSet]
"""(purpose, labels (n,), seed) -> synthetic clips with these labels.

"train" replaces the real training set, one clip in each draw for each of its clips, in its order; "test" clips are
recognised by real-trained classifiers; "look" and "samples" are for looks and for scores on samples; "unlabelled" is
for scores that read no labels: videos of other programs then need not have the `labels`.
"""


class S3Protocol(Config):
    """The settings of S3; two scores are comparable only if their `digest`, of protocol and data set, is equal."""

    name: str
    classifier: ClassifierProtocol
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1, max_length=MAX_SEEDS)
    """For each seed: one real-trained and one synthetic-trained classifier, one synthetic train and test set."""
    n_samples: int = Field(1000, ge=1)
    """Synthetic clips that ReS is measured on, over all seeds; equally many of each class."""

    @model_validator(mode="after")
    def _trains(self) -> "S3Protocol":
        if not self.classifier.trained:
            raise ValueError("S3 needs a classifier that is trained, got trained = false; set trained = true.")
        return self

    @property
    def leak(self) -> str:
        """How the scored clips reach the training of the classifiers; empty if they do not."""
        if not self.classifier.recipe.paper_protocol:
            return ""
        return (
            "leak: the classifiers' learning rate and best epoch follow their accuracy on the scored clips, as in "
            "MVT-GAN's App. B.1; SeR and ReR come out too high, so choose nothing by this score."
        )

    def digest(self, data: DataFacts, split: ScoredSplit) -> str:
        """sha256 (hex) of the protocol on a split of one data set; its first 6 digits are displayed."""
        facts = {
            "name": self.name,
            "seeds": list(self.seeds),
            "n_samples": self.n_samples,
            "labels": "train: those of the real clips; test: balanced, weighted like the real clips",
            "truncation": None,
            "split": split,
        }
        return digest_of(facts | self.classifier.facts() | data.facts())

    def test_labels(self, scored: ClipSet) -> Tensor:
        """The labels (m,) of one seed's synthetic test clips: equally many of each class of the real clips."""
        present = scored.labels.unique()
        return present.repeat_interleave(math.ceil(self.n_samples / (len(self.seeds) * len(present))))


def look(protocol: ClassifierProtocol, network: VideoClassifier, features: Tensor, labels: Tensor) -> float:
    """The cheap score during training: ReS with one shared real-trained `network`; not an S3.

    features: (n, d), the network's penultimate features of synthetic clips with `labels` (n,).
    """
    return accuracy(classes_of(network, features, protocol.recipe), labels)


@dataclass(frozen=True)
class RealSide:
    """The real side of a score: the clips of one data set, and the classifiers trained on them."""

    classifiers: list[RealClassifier]
    """One for each seed of the protocol."""
    train: RealSet
    scored: RealSet
    """The clips of `split`."""
    split: ScoredSplit
    held_back: RealSet
    """Real clips that take the place of samples to show what real clips score: `select` for scores on `test`, else
    `train`."""


@dataclass(frozen=True)
class S3Result:
    """S3 and its accuracies over the classifier seeds, with intervals, confusion and warnings."""

    protocol: str
    digest: str
    split: str
    """The real clips that the score is measured on."""
    s3: Interval
    ser: Interval
    res: Interval
    rer: Interval
    s3_chance_corrected: Interval
    covers: str
    """What the intervals cover."""
    s3_of_guessing: float
    bootstrap: dict[str, Interval]
    """The 95 % interval of each score over resampled groups and clips, with fixed classifiers."""
    over_seeds: dict[str, Interval]
    """Student's 95 % interval of each score over classifier seeds."""
    per_seed: dict[str, list[float]]
    seeds: list[int]
    n_classes: int
    n_train: int
    n_test: int
    """Real clips of `split`."""
    n_groups: int
    """Groups of these clips."""
    n_windows: int
    """Windows of each of these clips."""
    n_samples: int
    """Synthetic clips that ReS is measured on, over all seeds."""
    warnings: list[str]
    confusion: dict[str, list[list[int]]]
    """For ser, res and rer: windows of class i (row) predicted as class j (column), over all seeds."""
    per_class: dict[str, list[float]]
    """For ser, res and rer: the accuracy on each class; NaN for a class without test clips."""

    def __repr__(self) -> str:
        """The scores in one line, for a print in a notebook; `to_json` has every field."""
        scores = ", ".join(f"{name} {getattr(self, name).brief}" for name in ("s3", *ACCURACIES))
        return f"S3Result({self.protocol} {self.digest[:6]} on {n_of(self.n_test, f'{self.split} clip')}: {scores})"

    def to_json(self) -> dict[str, Any]:
        """Values for JSON, with null for NaN."""
        return json_values(asdict(self))

    def summary(self) -> dict[str, Any]:
        """`to_json` without the fields whose size grows with the number of classes."""
        return {name: value for name, value in self.to_json().items() if name not in ("confusion", "per_class")}


@dataclass(frozen=True)
class SeedFindings:
    """What the classifiers of one seed found of synthetic clips."""

    ser: Tensor
    """(n_windows, n) classes of the real clips, predicted by the synthetic-trained classifier."""
    res: Tensor
    """(1, m) classes of the synthetic test clips, predicted by the real-trained classifier."""
    n_different: dict[str, int]
    """How many clips of the synthetic "training" and "test" sets differ."""


def s3_evaluation(
    protocol: S3Protocol,
    digest: str,
    real: RealSide,
    synthesise: SyntheticSet,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
    found: Mapping[int, SeedFindings] = {},
) -> S3Result:
    """S3 of the generator behind `synthesise`: one ReS, one SeR and so one S3 for each real-trained classifier.

    A synthetic training set has the size and labels of the real one, and as many draws of each clip as a fit shows
    windows. The synthetic-trained classifiers start from fresh weights, validate on the same positions and see no real
    clip before the test, so only the clips differ from the training on real ones. `on_progress(done, total)` counts
    epochs. found: the findings of seeds that other processes computed; the result is equal to the last digit. Raises
    ValueError if there are fewer than 2 classes, a class has no training clip, or synthetic clips have another shape
    than real ones.
    """
    seeds = [classifier.seed for classifier in real.classifiers]
    missing = [seed for seed in seeds if seed not in found]
    by_seed = {**found, **findings(protocol, real, synthesise, missing, on_progress)}
    in_order = [by_seed[seed] for seed in seeds]
    predictions = {
        "ser": torch.stack([of_seed.ser for of_seed in in_order]),
        "res": torch.stack([of_seed.res for of_seed in in_order]),
        "rer": torch.stack([classifier.predictions[real.split] for classifier in real.classifiers]),
    }
    result = _result(protocol, digest, predictions, real)
    for part, n in (("training", len(real.train)), ("test", len(protocol.test_labels(real.scored)))):
        n_different = [of_seed.n_different[part] for of_seed in in_order]
        result.warnings.extend(warnings_of_copies(f"clips of the synthetic {part} set", n_different, n))
    return result


def findings(
    protocol: S3Protocol,
    real: RealSide,
    synthesise: SyntheticSet,
    seeds: Sequence[int],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[int, SeedFindings]:
    """The findings of some of the protocol's seeds; those of a seed do not depend on the others.

    Calls `on_progress` and raises ValueError as `s3_evaluation` does.
    """
    refuse_other_lengths(protocol.classifier, real.train, real.scored)
    _refuse_empty_classes(protocol, real.train)
    by_seed: dict[int, SeedFindings] = {}
    synthesise, n_epochs = like_real(synthesise, real.train), protocol.classifier.recipe.max_epochs
    for position, seed in enumerate(seeds):
        classifier = next(each for each in real.classifiers if each.seed == seed)

        def on_epoch(epoch: Epoch, before: int = position * n_epochs) -> None:
            on_progress(before + epoch.number, len(seeds) * n_epochs)

        by_seed[seed] = _findings_of_seed(protocol, real, synthesise, classifier, on_epoch)
        on_progress((position + 1) * n_epochs, len(seeds) * n_epochs)  # the training may have stopped early
    return by_seed


def _findings_of_seed(
    protocol: S3Protocol,
    real: RealSide,
    synthesise: SyntheticSet,
    classifier: RealClassifier,
    on_epoch: Callable[[Epoch], None],
) -> SeedFindings:
    judge, train = protocol.classifier, real.train
    test = Spooled(synthesise("test", protocol.test_labels(real.scored), classifier.seed))
    res = predict_windows(classifier.network(judge), test, judge.recipe)
    # With the groups of the real clips, so that both fits validate on the same positions.
    training = Spooled(Grouped(synthesise("train", train.labels, classifier.seed), train.groups))
    n_different = {"training": n_different_clips(training), "test": n_different_clips(test)}
    return SeedFindings(_trained_on(judge, training, real.scored, classifier.seed, on_epoch), res, n_different)


def like_real(synthesise: SyntheticSet, real: ClipSet) -> SyntheticSet:
    """`synthesise` with a check that its clips have the shape of the `real` ones; else scores would measure resolution.

    A call raises ValueError if they do not.
    """

    def checked(purpose: Purpose, labels: Tensor, seed: int) -> ClipSet:
        clips = synthesise(purpose, labels, seed)
        if clips.shape != real.shape or len(clips) != len(labels):
            raise ValueError(
                f"synthetic clips must be {len(labels)} of shape {real.shape} (T, H, W, C), as the real ones are, "
                f"got {len(clips)} of {clips.shape}."
            )
        return clips

    return checked


def n_different_clips(clips: ClipSet) -> int:
    """How many different windows draw 0 of a set has."""
    return len(set().union(*map(different_clips, clips.windows(in_batches(len(clips), CLIPS_AT_ONCE)))))


def different_clips(frames: Tensor) -> set[bytes]:
    """The digests of the clips uint8 (n, T, H, W, C), one for each different clip."""
    return {hashlib.blake2b(clip.contiguous().numpy(), digest_size=16).digest() for clip in frames}


def warnings_of_copies(what: str, n_different: list[int], n: int) -> list[str]:
    """One warning if sets of `n` clips contain copies, for example from a collapsed generator or too few videos."""
    fewest = min(n_different)
    return [f"only {fewest} of {n} {what} differ: the others are copies of them."] if fewest < n else []


def _trained_on(
    protocol: ClassifierProtocol,
    synthetic: ClipSet,
    scored: RealSet,
    seed: int,
    on_epoch: Callable[[Epoch], None],
) -> Tensor:
    """Predictions (n_windows, n) on the real clips by a fresh classifier trained on `synthetic`."""
    network, shown = protocol.build(synthetic.n_classes, seed), scored.spaced(protocol.test_windows)
    schedule_on = shown if protocol.recipe.paper_protocol else None
    fit(network, synthetic, protocol.recipe, seed, schedule_on, on_epoch)
    return predict_windows(network, shown, protocol.recipe, protocol.test_windows)


def _result(protocol: S3Protocol, digest: str, predictions: dict[str, Tensor], real: RealSide) -> S3Result:
    """predictions: (seeds, n_windows, n) of each kind."""
    scored, n_classes = real.scored, real.train.n_classes
    labels = {"ser": scored.labels, "rer": scored.labels, "res": protocol.test_labels(scored)}
    right = {name: said == labels[name] for name, said in predictions.items()}
    groups = _group_numbers(scored)
    judged = Judged(
        ser=right["ser"].double().mean(1),
        rer=right["rer"].double().mean(1),
        res=right["res"][:, 0],
        groups=groups,
        classes=labels["res"],
        class_weights=torch.bincount(scored.labels, minlength=n_classes).double() / len(scored),
    )
    per_seed = {name: values.tolist() for name, values in judged.per_seed().items()}
    over_seeds = {name: seed_interval(values) for name, values in per_seed.items()}
    over_clips = bootstrap_intervals(judged)
    whole = {
        name: whole_interval(over_seeds[name], over_clips[name], 1.0 if name in ACCURACIES else math.inf)
        for name in over_seeds
    }
    confusion = {
        name: confusion_matrix(said.flatten(), labels[name].expand_as(said).flatten(), n_classes)
        for name, said in predictions.items()
    }
    n_seeds, n_groups = len(real.classifiers), len(groups.unique())
    return S3Result(
        protocol=protocol.name,
        digest=digest,
        split=real.split,
        **whole,
        covers=f"{n_of(n_groups, 'group')} of {n_of(len(scored), 'clip')}"
        + (f", {n_seeds} classifier seeds" if n_seeds > 1 else ""),
        s3_of_guessing=s3_of_guessing(whole["rer"].mean, n_classes),
        bootstrap=over_clips,
        over_seeds=over_seeds,
        per_seed=per_seed,
        seeds=[classifier.seed for classifier in real.classifiers],
        n_classes=n_classes,
        n_train=len(real.train),
        n_test=len(scored),
        n_groups=n_groups,
        n_windows=protocol.classifier.test_windows,
        n_samples=right["res"].numel(),
        warnings=[text for text in (protocol.leak,) if text] + _warnings(whole, 1 / n_classes, n_seeds, n_groups),
        confusion={name: matrix.tolist() for name, matrix in confusion.items()},
        per_class={name: per_class_accuracy(matrix).tolist() for name, matrix in confusion.items()},
    )


def _group_numbers(clips: ClipSet) -> Tensor:
    """The number of each clip's group, int64 (n,); a clip without a group is its own."""
    if clips.groups is None:
        return torch.arange(len(clips))
    numbers = {group: number for number, group in enumerate(dict.fromkeys(clips.groups))}
    return torch.tensor([numbers[group] for group in clips.groups])


def _warnings(whole: dict[str, Interval], chance: float, n_seeds: int, n_groups: int) -> list[str]:
    warnings, rer, ser = [], whole["rer"], whole["ser"]
    if rer.mean < 0.9:
        warnings.append(f"ReR is {100 * rer.mean:.1f} %, below 90 %: dividing by it inflates S3.")
    if n_seeds == 1:
        warnings.append("one classifier seed: the intervals do not cover the spread over seeds.")
    if n_groups < FEWEST_GROUPS:
        warnings.append(f"the intervals rest on {n_groups} groups of clips, fewer than {FEWEST_GROUPS}: too narrow.")
    if ser.low <= chance:
        warnings.append(
            f"SeR's interval [{100 * ser.low:.1f}, {100 * ser.high:.1f}] % includes chance ({100 * chance:.1f} %)."
        )
    return warnings


def _refuse_empty_classes(protocol: S3Protocol, train: ClipSet) -> None:
    if train.n_classes < 2:
        raise ValueError(f"{protocol.name} needs at least 2 classes, got {train.n_classes}; use kvd.")
    empty = (torch.bincount(train.labels, minlength=train.n_classes) == 0).nonzero().flatten().tolist()
    if empty:
        raise ValueError(f"{protocol.name} needs training clips of each class, got none of {empty}; fix the split.")
