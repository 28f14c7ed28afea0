"""How the trials of a search were scored: by which protocol, on which clips, and what a reader must know about it.

Imports no torch, so that ledgers are read without it.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from vgsearch.experiment.ledger import SweepRecord
from vgsearch.experiment.score import Score
from videogan.metrics import VERSION, earlier_version

PROTOCOL = "evaluation.protocol"


def split_of(record: SweepRecord) -> str | None:
    """The real clips that the trials are scored on, select or test; None if the ledger does not say, as before v2."""
    return record.header.get("split") or next((part.split for score in _scores(record) for part in score.parts), None)


def protocol_of(record: SweepRecord) -> str | None:
    """The name of the first protocol in the ledger: of a score, else of the sweep's settings; None if it has none."""
    named = (part.protocol for score in _scores(record) for part in score.parts if part.protocol)
    return next(named, None) or _in_settings(record.header)


def made_by_earlier_version(record: SweepRecord) -> str | None:
    """That the scores are by an earlier version, and by which protocol; None for scores of this version."""
    protocol = protocol_of(record)
    if earlier_version(protocol) is None:
        return None
    return f"scored by {protocol}, an earlier version of the score; not comparable with {VERSION}"


def notes_on_scores(record: SweepRecord) -> list[str]:
    """What a reader of the scores must know: an earlier version, or the split and how to get a score on test."""
    if earlier := made_by_earlier_version(record):
        return [earlier]
    if lack := record.header.get("lack_of_select"):
        return [lack]
    if split_of(record) != "select":
        return []
    return [
        "scores are on select, the clips by which the search chose; vgsearch confirm and vgsearch evaluate measure "
        "the score on test"
    ]


def _scores(record: SweepRecord) -> Iterator[Score]:
    yield from (trial.score for trial in record.done)
    if record.floor is not None:
        yield record.floor.score


def _in_settings(header: Mapping[str, Any]) -> str | None:
    """The protocol of a sweep by its settings in the ledger. Any: JSON."""
    sweep = header.get("sweep", {})
    space = sweep.get("space", {})
    budget = space.get("budgets", {}).get(sweep.get("budget"), {})
    settings = {**budget.get("overrides", {}), **sweep.get("overrides", {})}
    return settings.get(PROTOCOL) or space.get("base", {}).get("evaluation", {}).get("protocol")
