"""A point trained with several seeds, one after the other in one trial: its score is their mean."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from vgsearch.experiment.end import End
from vgsearch.experiment.metrics_lines import whole_lines
from vgsearch.experiment.objective import COST, Objective, parsed
from vgsearch.experiment.trial_records import SCORE
from vgsearch.runtime.sweep.attempt import Attempt, OpenClips
from videogan.metrics.seed_interval import score_interval, seed_interval

APART = 10_000
"""Between the seeds of one point: above the indices of trials in a sweep, below the fresh seeds of `confirm`."""


def over_seeds(first: Attempt, end: End, open_clips: OpenClips) -> End:
    """Train a trial's remaining seeds, until a race is lost; returns the mean scores, or the first failure.

    Looks, pruning and health are those of the first training. Every rank calls this, and all run the same trainings.
    """
    if first.spec.n_seeds == 1:
        return end
    ends, objective = [end], parsed(first.config.evaluation.objective)[0]
    for number in range(1, first.spec.n_seeds):
        lost = first.shard.rank == 0 and has_lost(ends, objective, first.spec.to_beat)
        if first.seen_by_any(lost or not ends[-1].is_done):
            break
        ends.append(_trained_with(first, number, open_clips))
    if first.seen_by_any(not ends[-1].is_done):
        reason = ends[-1].reason or "on another rank"
        return (
            end if len(ends) == 1 else dataclasses.replace(ends[-1], reason=f"seed {len(ends)} of the point: {reason}")
        )
    return averaged(ends) if first.shard.rank == 0 and len(ends) > 1 else end


def has_lost(ends: Sequence[End], objective: Objective, to_beat: float | None) -> bool:
    """Whether a race is lost: the interval of a point's trainings so far does not reach `to_beat`; None: no race."""
    if to_beat is None or not all(objective.name in end.scores for end in ends):
        return False
    over_seeds = seed_interval([objective.value_of(end.scores) for end in ends])
    return not objective.reaches(over_seeds if len(ends) > 1 else ends[0].score.interval(objective.name), to_beat)


def _trained_with(first: Attempt, number: int, open_clips: OpenClips) -> End:
    """The end of the point's training `number`, in its own folder below the trial's."""
    spec = first.spec
    config = {**spec.config, "seed": spec.config["seed"] + APART * number}
    own = dataclasses.replace(spec, folder=str(first.folder.seed(number)), config=config, n_seeds=1)

    def report(result: dict[str, Any]) -> None:
        # A sign of life; the trial's own looks and steps are those of the first training.
        n_steps = first.config.n_steps
        does = result.get("phase") or f"{result['step']}/{n_steps}"
        phase = f"seed {number + 1} of {first.spec.n_seeds}: {does}"
        first.report({"step": n_steps, "losses": result["losses"], "phase": phase})

    further = type(first)(own, report, first.wrap, first.shard, first.device)
    scores = _earlier_scores(further)
    was_scored = first.seen_by_any(bool(scores))
    end = End("done", scores=scores) if was_scored else further.finish(open_clips)
    # Only the first training is ever continued; the forecast of disk counts no checkpoints of others.
    if first.shard.rank == 0 and end.is_done:
        further.folder.working_copy.remove(further.folder.checkpoints.name)
    return end


def _earlier_scores(further: Attempt) -> dict[str, float]:
    """The scores, on rank 0, of a training that an earlier attempt finished; otherwise empty."""
    if further.shard.rank != 0:
        return {}
    metrics = further.folder.metrics
    further.folder.working_copy.pull(lambda name: name == metrics.name)
    lines = whole_lines(metrics)
    return {name.removeprefix(SCORE): value for line in lines for name, value in line.items() if name.startswith(SCORE)}


def averaged(ends: Sequence[End]) -> End:
    """The first training's end with each score's mean and Student's 95 % interval over the seeds; costs add up."""
    first = ends[0]
    names = [name for name in first.scores if all(name in end.scores for end in ends)]
    values = {name: [end.scores[name] for end in ends] for name in names}
    intervals = {name: score_interval(name, of_seeds) for name, of_seeds in values.items()}
    scores = {name: sum(of_seeds) / len(of_seeds) for name, of_seeds in values.items()}
    scores[COST] = sum(values[COST])
    measured = [end.score.copies for end in ends if end.score.copies is not None]
    copies = max(measured, key=lambda found: found.share, default=None)  # a point copies if one of its trainings does
    score = dataclasses.replace(first.score.over_seeds(intervals, values), copies=copies)
    return dataclasses.replace(first, scores=scores, score=score)
