"""S3 by a named protocol: classifiers trained on real and tested on synthetic clips, and vice versa."""

import hashlib
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from videogan.classifiers.contract import VideoClassifier
from videogan.classifiers.fit import Epoch, LabelledClips, classes_of, fit, predict
from videogan.config import Config
from videogan.metrics.interval import Interval
from videogan.metrics.s3 import (
    MAX_SEEDS,
    accuracy,
    bootstrap_intervals,
    confusion_matrix,
    per_class_accuracy,
    s3_chance_corrected,
    s3_of_guessing,
    s3_score,
    seed_interval,
)
from videogan.protocols.classifier import (
    ClassifierProtocol,
    DataFacts,
    RealClassifier,
    digest_of,
    refuse_other_lengths,
)
from videogan.storage.json_values import json_values

Purpose = Literal["train", "test", "look", "samples"]
SyntheticSet = Callable[[Purpose, Tensor, int], Tensor]
"""(purpose, labels (n,), seed) -> synthetic clips, uint8 (n, T, H, W, C).

"train" and "test" replace the real set of that split, one clip for each of its clips, in its order; "look" and
"samples" are for looks and for scores on samples.
"""


class S3Protocol(Config):
    """The settings of S3; two scores are comparable only if their `digest`, of protocol and data set, is equal."""

    name: str
    classifier: ClassifierProtocol
    seeds: tuple[int, ...] = Field((0, 1, 2), min_length=1, max_length=MAX_SEEDS)
    """For each seed: one real-trained and one synthetic-trained classifier, one synthetic train and test set."""

    @model_validator(mode="after")
    def _trains(self) -> "S3Protocol":
        if not self.classifier.trained:
            raise ValueError("S3 needs a classifier that is trained, got trained = false; set trained = true.")
        return self

    def digest(self, data: DataFacts) -> str:
        """sha256 (hex) of the protocol on one data set; its first 6 digits are displayed."""
        facts = {
            "name": self.name,
            "seeds": list(self.seeds),
            "labels": "one synthetic clip for each real clip, with its label",
            "truncation": None,
        }
        return digest_of(facts | self.classifier.facts() | data.facts())


def look(protocol: ClassifierProtocol, network: VideoClassifier, features: Tensor, labels: Tensor) -> float:
    """The cheap score during training: ReS with one shared real-trained `network`; not an S3.

    features: (n, d), the network's penultimate features of synthetic clips with `labels` (n,).
    """
    return accuracy(classes_of(network, features, protocol.recipe), labels)


@dataclass(frozen=True)
class S3Result:
    """S3 and its accuracies over the classifier seeds, with intervals, confusion and warnings."""

    protocol: str
    digest: str
    s3: Interval
    ser: Interval
    res: Interval
    rer: Interval
    s3_chance_corrected: Interval
    s3_of_guessing: float
    bootstrap: dict[str, Interval]
    """The 95 % interval of each score over resampled test clips, with fixed classifiers."""
    per_seed: dict[str, list[float]]
    seeds: list[int]
    n_classes: int
    n_train: int
    n_test: int
    warnings: list[str]
    confusion: dict[str, list[list[int]]]
    """For ser, res and rer: test clips of class i (row) predicted as class j (column), over all seeds."""
    per_class: dict[str, list[float]]
    """For ser, res and rer: the accuracy on each class; NaN for a class without test clips."""

    def to_json(self) -> dict[str, Any]:
        """Values for JSON, with null for NaN."""
        return json_values(asdict(self))

    def summary(self) -> dict[str, Any]:
        """`to_json` without the fields whose size grows with the number of classes."""
        return {name: value for name, value in self.to_json().items() if name not in ("confusion", "per_class")}


def s3_evaluation(
    protocol: S3Protocol,
    digest: str,
    real: list[RealClassifier],
    train: LabelledClips,
    test: LabelledClips,
    synthesise: SyntheticSet,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> S3Result:
    """S3 of the generator behind `synthesise`: one ReS, one SeR and so one S3 for each real-trained classifier.

    The synthetic sets have the sizes and labels of the real `train` and `test`. The synthetic-trained classifiers start
    from fresh weights, validate on the same positions and see no real clip before the test, so only the clips differ
    from the training on real ones. `on_progress(done, total)` counts epochs. Raises ValueError if there are fewer than
    2 classes, a class has no training clip, or synthetic clips have another shape than real ones.
    """
    refuse_other_lengths(protocol.classifier, train, test)
    _refuse_empty_classes(protocol, train)
    n_epochs = protocol.classifier.recipe.max_epochs
    predictions: dict[str, list[Tensor]] = {"ser": [], "res": [], "rer": []}
    n_different: dict[str, list[int]] = {"train": [], "test": []}
    synthesise = like_real(synthesise, train)
    for position, classifier in enumerate(real):

        def on_epoch(epoch: Epoch, before: int = position * n_epochs) -> None:
            on_progress(before + epoch.number, len(real) * n_epochs)

        synthetic_test = synthesise("test", test.labels, classifier.seed)
        network = classifier.network(protocol.classifier)
        predictions["res"].append(predict(network, synthetic_test, protocol.classifier.recipe))
        predictions["rer"].append(classifier.predictions)
        synthetic_train = synthesise("train", train.labels, classifier.seed)
        synthetic = LabelledClips(synthetic_train, train.labels, train.n_classes, train.groups)
        predictions["ser"].append(_trained_on(protocol.classifier, synthetic, test, classifier.seed, on_epoch))
        n_different["train"].append(len(different_clips(synthetic_train)))
        n_different["test"].append(len(different_clips(synthetic_test)))
        on_progress((position + 1) * n_epochs, len(real) * n_epochs)  # the training may have stopped early
    result = _result(protocol, digest, predictions, [classifier.seed for classifier in real], train, test)
    for split, clips in (("train", train), ("test", test)):
        result.warnings.extend(
            warnings_of_copies(f"clips of the synthetic {split} set", n_different[split], len(clips))
        )
    return result


def like_real(synthesise: SyntheticSet, real: LabelledClips) -> SyntheticSet:
    """`synthesise` with a check that its clips have the shape of the `real` ones; else scores would measure resolution.

    A call raises ValueError if they do not.
    """

    def checked(purpose: Purpose, labels: Tensor, seed: int) -> Tensor:
        clips, expected = synthesise(purpose, labels, seed), (len(labels), *real.frames.shape[1:])
        if clips.dtype != torch.uint8 or clips.shape != expected:
            raise ValueError(
                f"synthetic clips must be uint8 {expected} (n, T, H, W, C), as the real ones are, "
                f"got {clips.dtype} {tuple(clips.shape)}."
            )
        return clips

    return checked


def different_clips(frames: Tensor) -> set[bytes]:
    """The digests of the clips uint8 (n, T, H, W, C), one for each different clip."""
    return {hashlib.blake2b(clip.contiguous().numpy(), digest_size=16).digest() for clip in frames}


def warnings_of_copies(what: str, n_different: list[int], n: int) -> list[str]:
    """One warning if sets of `n` clips contain copies, for example from a collapsed generator or too few videos."""
    fewest = min(n_different)
    return [f"only {fewest} of {n} {what} differ: the others are copies of them."] if fewest < n else []


def _trained_on(
    protocol: ClassifierProtocol,
    synthetic: LabelledClips,
    test: LabelledClips,
    seed: int,
    on_epoch: Callable[[Epoch], None],
) -> Tensor:
    """Predictions (n_test,) on the real test clips by a fresh classifier trained on `synthetic`."""
    network = protocol.build(synthetic.n_classes, seed)
    schedule_on = test if protocol.recipe.paper_protocol else None
    fit(network, synthetic, protocol.recipe, seed, schedule_on, on_epoch)
    return predict(network, test.frames, protocol.recipe)


def _result(
    protocol: S3Protocol,
    digest: str,
    predictions: dict[str, list[Tensor]],
    seeds: list[int],
    train: LabelledClips,
    test: LabelledClips,
) -> S3Result:
    n_classes, chance = train.n_classes, 1 / train.n_classes
    correct = {name: torch.stack(said) == test.labels for name, said in predictions.items()}
    per_seed = {name: right.double().mean(1).tolist() for name, right in correct.items()}
    accuracies = list(zip(per_seed["ser"], per_seed["res"], per_seed["rer"], strict=True))
    per_seed["s3"] = [s3_score(*values) for values in accuracies]
    per_seed["s3_chance_corrected"] = [s3_chance_corrected(*values, n_classes) for values in accuracies]
    intervals = {name: seed_interval(values) for name, values in per_seed.items()}
    bootstrap = bootstrap_intervals(correct["ser"], correct["res"], correct["rer"], n_classes)
    confusion = {
        name: confusion_matrix(torch.cat(said), test.labels.repeat(len(said)), n_classes)
        for name, said in predictions.items()
    }
    return S3Result(
        protocol=protocol.name,
        digest=digest,
        **intervals,
        s3_of_guessing=s3_of_guessing(intervals["rer"].mean, n_classes),
        bootstrap=bootstrap,
        per_seed=per_seed,
        seeds=seeds,
        n_classes=n_classes,
        n_train=len(train),
        n_test=len(test),
        warnings=_warnings(intervals["ser"], bootstrap["ser"], intervals["rer"], chance),
        confusion={name: matrix.tolist() for name, matrix in confusion.items()},
        per_class={name: per_class_accuracy(matrix).tolist() for name, matrix in confusion.items()},
    )


def _warnings(ser: Interval, ser_over_clips: Interval, rer: Interval, chance: float) -> list[str]:
    warnings = []
    if rer.mean < 0.9:
        warnings.append(f"ReR is {rer.mean:.3f}, below 0.9: dividing by it inflates S3.")
    if math.isnan(ser.low):
        warnings.append("one classifier seed: the scores have no interval over seeds.")
        ser = ser_over_clips
    if ser.low <= chance:
        warnings.append(f"SeR's interval [{ser.low:.3f}, {ser.high:.3f}] includes chance ({chance:.3f}).")
    return warnings


def _refuse_empty_classes(protocol: S3Protocol, train: LabelledClips) -> None:
    if train.n_classes < 2:
        raise ValueError(f"{protocol.name} needs at least 2 classes, got {train.n_classes}; use kvd.")
    empty = (torch.bincount(train.labels, minlength=train.n_classes) == 0).nonzero().flatten().tolist()
    if empty:
        raise ValueError(f"{protocol.name} needs training clips of each class, got none of {empty}; fix the split.")
