"""The objectives of a search: one score by its name, or two for a Pareto front."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from videogan.config import ConfigurationError, suggestion
from videogan.metrics import OF_PACKAGES, SCORES_OF_S3
from videogan.metrics.interval import Interval
from videogan.plug_ins import METRICS, installed_names

OF_CLASSES = (*SCORES_OF_S3, "is")
"""Scores that need at least 2 classes; better when larger."""
DISTANCES = ("fid", "fvd", "kvd")
"""Distances between features of real and synthetic clips."""
COST = "cost"
"""Seconds of a trial's training steps, with waits for clips, without looks, checkpoints and scoring."""
NAMES = (*OF_CLASSES, *DISTANCES, COST)


class _Labels(dict[str, str]):
    def __missing__(self, name: str) -> str:
        return name.removeprefix(OF_PACKAGES)


LABELS = _Labels({
    "s3": "S3", "s3_chance_corrected": "S3, chance corrected", "ser": "SeR", "res": "ReS", "is": "IS",
    "fid": "FID", "fvd": "FVD", "kvd": "kernel distance", COST: "cost",
})  # fmt: skip
"""Names of the objectives in tables and charts; a package's metric has its own."""


@dataclass(frozen=True)
class Objective:
    """One score that a search maximises or, written with a minus ("-kvd"), minimises."""

    name: str
    of_package: Literal["maximize", "minimize"] | None = None
    """The direction of a package's metric, metric:flicker or -metric:flicker, as it is written."""

    @classmethod
    def parse(cls, written: str) -> "Objective":
        """The objective named `written`; raises ConfigurationError for an unknown score or the wrong sign."""
        name = written.removeprefix("-")
        if name.startswith(OF_PACKAGES):
            # Where a search is only looked at, the package need not be installed; `read_objectives` asks for it.
            return cls(name, "minimize" if name != written else "maximize")
        objective = cls(name)
        if objective.name not in NAMES:
            raise ConfigurationError(
                f"evaluation.objective '{objective.name}' is unknown{suggestion(objective.name, list(NAMES))}"
            )
        if written != str(objective):
            better = "larger" if objective.direction == "maximize" else "smaller"
            raise ConfigurationError(
                f"evaluation.objective '{written}': {objective.name} is better when {better}; write {objective}."
            )
        return objective

    def __str__(self) -> str:
        return self.name if self.direction == "maximize" else f"-{self.name}"

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        """Optuna's name for the direction."""
        return self.of_package or ("maximize" if self.name in OF_CLASSES else "minimize")

    @property
    def is_part_of_s3(self) -> bool:
        """Whether an evaluation of S3 measures it."""
        return self.name in SCORES_OF_S3

    @property
    def is_of_features(self) -> bool:
        """Whether it is a score on features, which has its own protocol."""
        return self.name not in (*SCORES_OF_S3, COST) and self.of_package is None

    def value_of(self, scores: Mapping[str, float]) -> float:
        """The measured value."""
        return scores[self.name]

    def worse_end(self, interval: Interval | None) -> float | None:
        """The worse end of an interval of this score; None for one that has no ends."""
        end = math.nan if interval is None else interval.low if self.direction == "maximize" else interval.high
        return None if math.isnan(end) else end

    def reaches(self, interval: Interval | None, to_beat: float) -> bool:
        """Whether the better end of an interval of this score is at least as good as `to_beat`; an open one is."""
        if interval is None or math.isnan(interval.high):
            return True
        return interval.high >= to_beat if self.direction == "maximize" else interval.low <= to_beat

    def loss(self, scores: Mapping[str, float]) -> float:
        """The value, with the sign that makes smaller better."""
        return -self.value_of(scores) if self.direction == "maximize" else self.value_of(scores)


def parsed(written: Sequence[str]) -> tuple[Objective, ...]:
    """Objectives as they are written in a run's configuration; raises ConfigurationError as `Objective.parse` does."""
    return tuple(map(Objective.parse, written))


def read_objectives(written: Sequence[str], n_classes: int) -> tuple[Objective, ...]:
    """The objectives of a search on data of `n_classes`; raises ConfigurationError for impossible ones."""
    if not 1 <= len(written) <= 2:
        raise ConfigurationError(
            f"evaluation.objective must name one score, or two for a Pareto front, got {len(written)}; "
            "such as s3, -kvd or [s3,-cost]."
        )
    objectives = parsed(written)
    _refuse_not_installed([each.name.removeprefix(OF_PACKAGES) for each in objectives if each.of_package])
    if len({objective.name for objective in objectives}) < len(objectives):
        raise ConfigurationError(
            f"evaluation.objective names {objectives[0]} twice; name it once, or another beside it."
        )
    if [objective.name for objective in objectives] == [COST]:
        raise ConfigurationError(
            "evaluation.objective: cost cannot be the only objective; add a quality metric, such as [s3,-cost]."
        )
    unusable = [objective.name for objective in objectives if objective.name in OF_CLASSES]
    if n_classes < 2 and unusable:
        raise ConfigurationError(
            f"evaluation.objective: {' and '.join(unusable)} need at least 2 classes, the data set has {n_classes}. "
            "Use --set evaluation.objective=-kvd, or import DIR/<class>/<clip>."
        )
    return objectives


def _refuse_not_installed(metrics: Sequence[str]) -> None:
    installed = installed_names(METRICS)
    for name in metrics:
        if name not in installed:
            near = suggestion(name, installed) if installed else "; none has any: install the one that brings it."
            raise ConfigurationError(f"evaluation.objective: no installed package has the metric '{name}'{near}")


def notes_of(objectives: Sequence[Objective], pruning: bool) -> list[str]:
    """Notes for the user on the objectives, before the sweep starts; `pruning`: whether the budget prunes trials."""
    notes = []
    if {objective.name for objective in objectives} - {COST} == {"is"}:
        notes.append(
            "warning: do not search by IS alone: MVT-TSA's 42.79 is above the real data's 34.49, so IS can be "
            "exploited, and it sees neither memorisation nor collapse within a class. Stop, and --set "
            "evaluation.objective=s3 or [s3,is]"
        )
    if len(objectives) > 1 and pruning:
        notes.append(
            f"two objectives ({', '.join(map(str, objectives))}): trials are not pruned; each trains to its last step"
        )
    return notes


def looks_at_distance(objectives: Sequence[Objective]) -> bool:
    """Whether looks are minus a kernel distance; otherwise they are ReS. Larger is better in both cases.

    The first objective but cost decides: its looks prune trials and mark the best checkpoint. A package's metric may
    need no classes, so its looks are distances.
    """
    first = next(objective for objective in objectives if objective.name != COST)
    return first.name in DISTANCES or first.of_package is not None


def compared_scores(objectives: Sequence[Objective]) -> list[str]:
    """The scores by which trials are compared: the objectives, the parts of S3 if it is measured, the cost."""
    parts = ("s3", "ser", "res") if any(objective.is_part_of_s3 for objective in objectives) else ()
    return list(dict.fromkeys([*(objective.name for objective in objectives), *parts, COST]))


def pareto_front(points: Sequence[Mapping[str, float]], objectives: Sequence[Objective]) -> list[int]:
    """Indices of the points that no other point dominates, by being as good in every objective and better in one.

    With one objective these are the best point and those that equal it.
    """
    losses = [tuple(objective.loss(point) for objective in objectives) for point in points]
    front: list[int] = []
    # In this order a point comes after each that dominates it, one of which is on the front.
    for index in sorted(range(len(points)), key=losses.__getitem__):
        if not any(_dominates(losses[other], losses[index]) for other in front):
            front.append(index)
    return sorted(front)


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
