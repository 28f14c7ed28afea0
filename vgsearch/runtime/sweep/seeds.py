"""A point trained with several seeds, one after the other in one trial: its score is their mean."""

import dataclasses
import json

from vgsearch.experiment.objective import COST
from vgsearch.experiment.trial_records import SCORE, whole_lines
from vgsearch.runtime.sweep.trial import Ended, OpenClips, Trial
from videogan.metrics.s3 import seed_interval

APART = 10_000
"""Between the seeds of one point: above the places of trials in a sweep, below the fresh seeds of `confirm`."""


def over_seeds(first: Trial, ended: Ended, open_clips: OpenClips) -> Ended:
    """The end of a trial whose first training ended so, after its others: done with the means, or as the first that is not.

    Looks, pruning and health are the first training's. Every rank calls it, and all go through the same trainings.
    """
    if first.spec.n_seeds == 1:
        return ended
    ends = [ended]
    for number in range(1, first.spec.n_seeds):
        if first.seen_by_any(ends[-1]["end"] != "done"):
            break
        ends.append(_trained_with(first, number, open_clips))
    if first.seen_by_any(ends[-1]["end"] != "done"):
        reason = ends[-1].get("reason", "on another rank")
        return ends[-1] if len(ends) == 1 else {**ends[-1], "reason": f"seed {len(ends)} of the point: {reason}"}
    return averaged(ends) if first.shard.rank == 0 else ended


def _trained_with(first: Trial, number: int, open_clips: OpenClips) -> Ended:
    """The end of the point's training `number`, in a folder of its own below the trial's."""
    spec = first.spec
    config = {**spec.config, "seed": spec.config["seed"] + APART * number}
    own = dataclasses.replace(spec, folder=str(first.folder.seed(number)), config=config, n_seeds=1)
    told: Ended = {}

    def report(result: Ended) -> None:
        if "end" in result:
            told.update(result)
        else:  # a sign of life; the trial's own looks and steps are the first training's
            first.report({"step": first.config.loop.n_steps, "losses": result["losses"]})

    further = type(first)(own, report, first.wrap, first.shard, first.device)
    scores = _scored(further)
    if first.seen_by_any(bool(scores)):
        told = {"end": "done", "scores": scores}  # by an earlier attempt
    else:
        further.run(open_clips)
    # Only the first training is gone on with; the disk was forecast for that.
    if first.shard.rank == 0 and told["end"] == "done":
        further.folder.working_copy.remove(further.folder.checkpoints.name)
    return told


def _scored(further: Trial) -> dict[str, float]:
    """The scores that rank 0 finds of a training which an earlier attempt has ended; none before that."""
    if further.shard.rank != 0:
        return {}
    metrics = further.folder.metrics
    further.folder.working_copy.pull(lambda name: name == metrics.name)
    lines = whole_lines(metrics)
    return {name.removeprefix(SCORE): value for line in lines for name, value in line.items() if name.startswith(SCORE)}


def averaged(ends: list[Ended]) -> Ended:
    """The first training's summary with every score's mean and Student's 95 % over the seeds; costs add up."""
    names = [name for name in ends[0]["scores"] if all(name in ended["scores"] for ended in ends)]
    values = {name: [ended["scores"][name] for ended in ends] for name in names}
    summary = json.loads(ends[0]["score"])
    for name, of_seeds in values.items():
        if isinstance(summary.get(name), dict):
            mean, low, high = seed_interval(of_seeds)
            summary[name] = {**summary[name], "mean": mean, "low": low, "high": high}
    scores = {name: sum(of_seeds) / len(of_seeds) for name, of_seeds in values.items()}
    scores[COST] = sum(values[COST])
    return {**ends[0], "scores": scores, "score": json.dumps({**summary, "over_training_seeds": values})}
