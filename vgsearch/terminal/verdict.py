"""What the scores of a search say in words: from their 95 % intervals, the floor's, and the signal."""

import math
from collections.abc import Sequence
from statistics import fmean

from vgsearch.experiment.ledger import SweepRecord, TrialRecord
from vgsearch.experiment.objective import COST, DISTANCES, LABELS, Objective
from vgsearch.experiment.paths import short_id
from vgsearch.experiment.score import Score
from vgsearch.experiment.signal import has_several_seeds, signal_of_search
from vgsearch.terminal.words import typed
from videogan.amounts import n_of
from videogan.metrics.interval import Interval
from videogan.metrics.seed_interval import seed_interval
from videogan.storage.places import Place

UNTRAINED, PAPER = "an untrained generator", "the paper's point"
TRAIN_LONGER = "train longer, by a larger --budget or --set loop.n_steps"
"""The remedy where the best score and the floor's lie in each other's interval."""
WHOLE = Interval(1.0, 1.0, 1.0)
"""The untrained generator's share of its own distance."""
FEW_GROUPS = 10
"""Scored groups below which testing every group, by folds, is worth its cost."""


def verdict(record: SweepRecord, experiment: Place) -> str:
    """Whether the best trial is distinguishable from an untrained generator and from the paper's point, on how much
    data that rests, and what would tell. Empty before a trial is scored.

    Two scores are distinguishable if their intervals do not overlap; of a distance, if the interval of its share of the
    untrained generator's leaves out 1.
    """
    best, objective = record.best, _objective(record)
    own = None if best is None else best.score.interval(objective.name)
    if best is None or own is None or objective.name not in best.scores:
        return ""
    if math.isnan(own.low) or math.isnan(own.high):
        unknown = f"{LABELS[objective.name]} of {short_id(best.trial_id)} has no interval, so chance may explain it"
        return f"{unknown}; {_remedy(best, experiment)}"
    floor = None if record.floor is None else record.floor.score.interval(objective.name)
    share = share_of_untrained([best.score], record, objective)
    compared, untrained = (own, floor) if share is None else (share, WHOLE)
    against_floor = against(UNTRAINED, compared, untrained, objective)
    if untrained is None or not _differ(compared, untrained):
        is_alike = floor is not None and _contains(own, floor.mean) and _contains(floor, own.mean)
        remedy = TRAIN_LONGER if is_alike else _remedy(best, experiment)
        return f"{against_floor}: {_rests_on(best.score, objective, record)}; {remedy}"
    return f"{against_floor}; {_against_paper(best, own, objective, record, experiment)}"


def _objective(record: SweepRecord) -> Objective:
    """The first that is a score."""
    return next(objective for objective in record.objectives if objective.name != COST)


def share_of_untrained(scores: Sequence[Score], record: SweepRecord, objective: Objective) -> Interval | None:
    """The mean of some trainings' distances as a share of the untrained generator's by the same classifier.

    The interval is Student's over classifiers. None unless the same classifiers measured all of them, and for a score
    that is itself a mean over trainings, of which only the first has its classifiers' distances.
    """
    name = objective.name
    floor = None if record.floor is None else record.floor.score.features.get(name)
    if name not in DISTANCES or floor is None:
        return None
    measured = [None if name in score.over_training_seeds else score.features.get(name) for score in scores]
    shares = [[] if each is None else each.shares_of(floor) for each in measured]
    return seed_interval(list(map(fmean, zip(*shares, strict=True)))) if shares and all(shares) else None


def against(what: str, own: Interval, other: Interval | None, objective: Objective) -> str:
    """Better than, worse than, or not distinguishable from what the score `other` belongs to."""
    if other is None or math.isnan(other.mean):
        return f"not compared with {what}, which has no score"
    if not _differ(own, other):
        return f"not distinguishable from {what}"
    is_better = (own.mean > other.mean) == (objective.direction == "maximize")
    return f"{'better' if is_better else 'worse'} than {what}"


def _differ(one: Interval, other: Interval) -> bool:
    """Whether two intervals do not overlap; one without bounds is its mean."""
    (low, high), (other_low, other_high) = (
        (part.mean, part.mean) if math.isnan(part.low) or math.isnan(part.high) else (part.low, part.high)
        for part in (one, other)
    )
    return low > other_high or other_low > high


def _contains(interval: Interval, value: float) -> bool:
    return interval.low <= value <= interval.high


def _against_paper(
    best: TrialRecord, own: Interval, objective: Objective, record: SweepRecord, experiment: Place
) -> str:
    if best.is_paper_point:
        is_alone = sum(objective.name in trial.scores for trial in record.done) == 1
        return f"no trial but {PAPER} has a score" if is_alone else f"no trial scores higher than {PAPER}"
    paper = next((trial for trial in record.done if trial.is_paper_point), None)
    papers = None if paper is None else paper.score.interval(objective.name)
    said = against(PAPER, own, papers, objective)
    if papers is None:
        return said
    if _differ(own, papers):
        return f"{said} on the clips that chose it; fresh seeds may differ: vgsearch confirm {typed(experiment)}"
    return f"{said}: {_rests_on(best.score, objective, record)}; {_remedy(best, experiment)}"


def _rests_on(score: Score, objective: Objective, record: SweepRecord) -> str:
    """16 test clips of 4 groups; or what the search's own seeds say."""
    n_seeds = max(map(len, score.over_training_seeds.values()), default=1)
    trainings = "one training" if n_seeds == 1 else f"{n_seeds} trainings"
    if has_several_seeds(record):
        noise = signal_of_search(record)[objective.name]
        if noise.seeds is not None and noise.seeds.n is not None:
            return f"{n_seeds} seeds a point, where {noise.seeds.n} would be needed"
    s3, of_features = score.s3, score.features.get(objective.name)
    if s3 is not None and s3.n_test:
        groups = f" of {n_of(s3.n_groups, 'group')}" if s3.n_groups else ""
        return f"{_clips(s3.n_test, s3.split)}{groups}, {trainings}"
    if of_features is not None and (n_clips := of_features.n_real or of_features.n_real_test):
        return f"{_clips(n_clips, of_features.split)}, {trainings}"
    return trainings


def _clips(n: int, split: str | None) -> str:
    return n_of(n, f"{split or 'test'} clip")


def _remedy(best: TrialRecord, experiment: Place) -> str:
    """The command that would tell more: on folds if few groups were scored."""
    s3 = best.score.s3
    few = s3 is not None and s3.n_groups is not None and s3.n_groups < FEW_GROUPS
    # Every class has a group in each split, and there may be no select split.
    n_folds = 3 if s3 is not None and s3.split == "select" else 2
    folds = f" --folds {n_folds}" if few else ""
    return f"vgsearch confirm {typed(experiment)} --seeds 5{folds} would tell more"
