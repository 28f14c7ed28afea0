"""A search space that `extends` another: what its file names changes, all else stays."""

from collections.abc import Mapping
from typing import Any

from videogan.config import ConfigurationError, suggestion

EXTENDS = "extends"
"""The key of a space's file that names the other space, or its file."""
Written = Mapping[str, Any]
"""A space's file as it is written. Any: YAML."""


def extended(parent: Written, own: Written) -> dict[str, Any]:
    """The written values of a space that extends `parent`; its own name must be given.

    A setting of `base`, a domain and a setting of a budget replace the parent's; null removes a domain. Points of the
    parent keep the values of the domains that are left, unless the space names its own. Raises ConfigurationError.
    """
    if "name" not in own:
        raise ConfigurationError(f"name is missing: a space that {EXTENDS} another has its own.")
    merged = {**parent, **{key: value for key, value in own.items() if key != EXTENDS}}
    for key in ("base", "domains", "budgets"):
        if key in parent and isinstance(own.get(key), Mapping):
            merged[key] = _merged(parent[key], own[key])
    removed = {path for path, domain in _section(own, "domains").items() if domain is None}
    above = list(_section(parent, "domains"))
    for path in removed.difference(above):
        raise ConfigurationError(f"domains: {path} is null, but is no domain to remove{suggestion(path, above)}")
    merged["domains"] = {path: domain for path, domain in _section(merged, "domains").items() if path not in removed}
    if removed and "paper_points" not in own and isinstance(parent.get("paper_points"), list):
        merged["paper_points"] = [_without(point, removed) for point in parent["paper_points"]]
    if removed and "constraints" not in own and "constraints" in parent:
        merged["constraints"] = [each for each in parent["constraints"] if not removed & set(str(each).split())]
    if removed:
        merged["budgets"] = {name: _searching(budget, removed) for name, budget in _section(merged, "budgets").items()}
    return merged


def _merged(parent: Any, own: Any) -> Any:
    """Own values in place of the parent's, at any depth; a domain is replaced whole."""
    if not (isinstance(parent, Mapping) and isinstance(own, Mapping)) or "type" in own:
        return own
    return {**parent, **{key: _merged(parent.get(key), value) for key, value in own.items()}}


def _section(values: Written, key: str) -> Mapping[str, Any]:
    found = values.get(key)
    return found if isinstance(found, Mapping) else {}


def _without(values: Any, removed: set[str]) -> Any:
    return (
        {path: value for path, value in values.items() if path not in removed}
        if isinstance(values, Mapping)
        else values
    )


def _searching(budget: Any, removed: set[str]) -> Any:
    """A budget without own domains of paths that are no longer searched."""
    if not isinstance(budget, Mapping) or not isinstance(budget.get("domains"), Mapping):
        return budget
    return {**budget, "domains": _without(budget["domains"], removed)}
