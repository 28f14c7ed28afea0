"""The fields of a ledger's events and their types: a value of another type is found where the ledger is read."""

from collections.abc import Mapping, Sequence
from typing import Any

from vgsearch.experiment.objective import parsed
from videogan.storage.json_values import fits

_PARENT = ("trial", "index", "step")
_FIELDS: dict[str, Any] = {
    # of every event
    "event": str, "time": float,
    # of trials
    "trial": str, "index": int, "overrides": Mapping[str, Any], "is_paper_point": bool, "n_steps": int,
    "parent": Mapping[str, str | int] | None, "changed": Mapping[str, Any], "anew": bool,
    "step": int, "look": float, "losses": Mapping[str, float | None] | None, "seconds": float,
    "health": Mapping[str, Mapping[str, Any] | None] | None,
    "state": str, "reason": str, "log_tail": str | None, "scores": Mapping[str, float], "why": str,
    # of the sweep
    "score": Mapping[str, Any] | None, "how": str, "trials": Sequence[Mapping[str, Any]],
    "objective": Sequence[str], "best_may_copy": bool, "protocol": str | None, "split": str | None,
    "lack_of_select": str | None, "resumed": bool, "argv": Sequence[str], "versions": Mapping[str, Any],
    "sweep": Mapping[str, Any], "space": str, "budget": str, "data": str, "seed": int, "n_trials": int,
}  # fmt: skip


def checked_event(event: Any) -> dict[str, Any]:
    """Return an event as JSON holds it; raises ValueError, which names the field, for a value of another type."""
    if not isinstance(event, dict):
        raise ValueError(f"an event must be a mapping, got {_shown(event)}")
    for name, kind in _FIELDS.items():
        if name in event and not fits(event[name], kind):
            raise ValueError(f"{name} must be {_named(kind)}, got {_shown(event[name])}")
    if event.get("parent") is not None and not (
        set(_PARENT) <= set(event["parent"]) and fits(event["parent"]["trial"], str)
    ):
        raise ValueError(f"parent must have {', '.join(_PARENT)}, got {_shown(event['parent'])}")
    if "objective" in event and not parsed(event["objective"]):
        raise ValueError("objective must name at least one score, got []")
    if event.get("health") is not None:
        _refuse_damaged_health(event["health"])
    return event


def _refuse_damaged_health(health: Mapping[str, Any]) -> None:
    states, vitals = health.get("states"), health.get("vitals", "")
    if not (fits(states, Mapping[str, str]) and fits(vitals, Mapping[str, float | None] | None)):
        raise ValueError(f"health must have states, a text each, and vitals, a number each, got {_shown(health)}")


def _named(kind: Any) -> str:
    return getattr(kind, "__name__", str(kind)) if isinstance(kind, type) else str(kind).replace("collections.abc.", "")


def _shown(value: Any) -> str:
    return repr(value)[:80]
