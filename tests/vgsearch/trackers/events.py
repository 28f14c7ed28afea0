"""The events of three trials of a search: one resumed and done, one pruned, one interrupted."""

from typing import Any

from vgsearch.trackers.contract import Search

DONE, PRUNED, LEFT = "t0000-aaaaaa", "t0001-bbbbbb", "t0002-cccccc"
SIGMA = {DONE: 0.5, PRUNED: 0.25, LEFT: 0.125}
SEARCH = Search("a's search", "/runs/a's search", {"space": "mvt_tsa"})


def started(trial: str) -> dict[str, Any]:
    chosen = {"model.sigma_a": SIGMA[trial], "model.constraint_d_video": "svc"}
    return {"event": "trial_started", "trial": trial, "overrides": chosen, "is_paper_point": trial == DONE}


def look(trial: str, step: int) -> dict[str, Any]:
    losses = {"d_image": 1.5, "g_image": None}
    return {"event": "look", "trial": trial, "step": step, "look": step / 100, "losses": losses}


def ended(trial: str, state: str, step: int, **scores: float) -> dict[str, Any]:
    return {"event": "trial_ended", "trial": trial, "state": state, "step": step, "scores": scores}


FIRST = [{"event": "sweep_started"}, started(DONE), look(DONE, 10), ended(DONE, "interrupted", 10), {"event": "floor"}]
SECOND = [started(DONE), started(PRUNED), look(PRUNED, 10), look(DONE, 20), ended(PRUNED, "pruned", 10),
          ended(DONE, "done", 20, s3=0.625), started(LEFT), look(LEFT, 10)]  # fmt: skip
"""What two drivers of the search write; the second ends with a trial that runs."""
