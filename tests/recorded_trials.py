"""Finished sweeps as their ledgers record them, without training: scores and looks are functions of the points."""

import math
import random
from collections.abc import Callable, Mapping
from typing import Any

from vgsearch.experiment.ledger import Event, SweepRecord
from vgsearch.space.sweep import Sweep

N_STEPS, LOOK_EVERY = 200, 25


def events_of(
    sweep: Sweep,
    n: int,
    score: Callable[[Mapping[str, Any]], float],
    look: Callable[[float, float, random.Random], float] = lambda score, share, rng: score * share,
    seed: int = 0,
) -> list[Event]:
    """The ledger of `n` done trials: the paper's point, then random points.

    `score(point)` is the first objective; `look(score, share, rng)` is the look after a share of the steps.
    """
    rng, noise = random.Random(f"{seed}/points"), random.Random(f"{seed}/looks")
    objectives = [str(objective) for objective in sweep.objectives()]
    events: list[Event] = [
        {
            "event": "sweep_started",
            "space": sweep.space.name,
            "budget": sweep.budget,
            "objective": objectives,
            "n_trials": n,
        }
    ]
    for index in range(n):
        point = sweep.paper_points[0] if index == 0 else _allowed(sweep, rng)
        value, trial = score(point), f"t{index:04d}-aaaaaa"
        events.append(
            {
                "event": "trial_started",
                "trial": trial,
                "index": index,
                "overrides": point,
                "is_paper_point": index == 0,
                "n_steps": N_STEPS,
            }
        )
        events += [
            {
                "event": "look",
                "trial": trial,
                "step": step,
                "look": look(value, step / N_STEPS, noise),
                "losses": {},
                "seconds": float(step),
            }
            for step in range(LOOK_EVERY, N_STEPS + 1, LOOK_EVERY)
        ]
        scores = {objective.name: value for objective in sweep.objectives()[:1]} | {"cost": 60.0 + index}
        events.append({"event": "trial_ended", "trial": trial, "state": "done", "step": N_STEPS, "scores": scores})
    return [{"time": float(second), **event} for second, event in enumerate(events)]


def _allowed(sweep: Sweep, rng: random.Random) -> dict[str, Any]:
    while sweep.searched.broken_by(point := sweep.searched.draw(rng)):
        pass
    return point


def record_of(events: list[Event]) -> SweepRecord:
    """The state of a sweep after its events."""
    record = SweepRecord()
    for event in events:
        record.apply(event)
    return record


def learns_late(score: float, share: float, rng: random.Random) -> float:
    """A look that is noise at first and nearly the score at the end."""
    return share * score + (1 - share) * rng.gauss(0.5, 0.2) + rng.gauss(0, 0.01)


def near_the_paper(point: Mapping[str, Any]) -> float:
    """A score in [0, 1] that is best at a learning rate of 1e-4 and a sigma_a of .3."""
    rate = math.log10(point.get("optimiser.lr_g", 1e-4) / 1e-4)
    sigma = math.log2(point["model.sigma_a"] / 0.3)
    return 0.8 * math.exp(-(rate**2) - 0.3 * sigma**2) + 0.05 * (point.get("model.constraint_d_video") == "svc")
