"""How a trial ended; a dict only where Ray or a file needs one."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vgsearch.experiment.score import Score

KILLED = "killed"
"""The state of a trial whose driver ended without a word, which no event records; it continues when it is resumed."""
ENDS = (
    "done",  # the only one with scores
    "pruned",  # its looks, or its health, were worse than `pruning` and `health.stop_on` allow
    "diverged",  # a loss was not finite: which, and at which step
    "unscored",  # trained, but a score has no value
    "failed",  # it raised: why, and the end of its log
    "out_of_memory",  # even at half the batch, if that could be tried
    "stalled",  # no sign of life, so the driver ended it
    "lost",  # its process or its node died, and died again when it was retried
    "interrupted",  # saved and ended on request, or by a full disk; continues when the sweep is resumed
)

STOPPED = "stopped; vgsearch resume continues it"
"""The reason of a trial that was asked to save and end."""


@dataclass(frozen=True)
class End:
    """How a trial ended: its state, one of `ENDS`, and what belongs to it."""

    state: str
    reason: str = ""
    step: int | None = None
    """None if the process that reports the end does not know it."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """The value of each score, and the cost, by name; of a done trial."""
    score: Score = field(default_factory=Score)
    """The scores with their intervals, protocols and warnings."""
    halts: bool = False
    """Whether every other trial would end like this, so that the sweep stops."""
    never_began: bool = False
    """Whether the attempt did nothing, by no fault of the trial, so that it is tried again at once."""
    log_tail: str | None = None
    """The last lines of the log, if the trial ended by an error."""

    @property
    def is_done(self) -> bool:
        return self.state == "done"

    def to_result(self) -> dict[str, Any]:
        """The dict that a trial reports to Ray; the score as text, since Ray Tune flattens dicts and drops lists."""
        result: dict[str, Any] = {"end": self.state}
        if self.is_done:
            result |= {"scores": dict(self.scores), "score": json.dumps(self.score.to_json())}
        else:
            result["reason"] = self.reason
        result |= {} if self.step is None else {"step": self.step}
        return result | ({"halts": True} if self.halts else {})

    @classmethod
    def from_result(cls, result: Mapping[str, Any]) -> "End":
        """The end in a trial's last result, which Ray Tune flattens; pruned if the result has none. Any: Ray's type."""
        return cls(
            result.get("end", "pruned"),
            result.get("reason", ""),
            result.get("step"),
            reported(result, "scores"),
            Score.from_json(json.loads(result.get("score", "{}"))),
            result.get("halts", False),
        )

    def to_event(self) -> dict[str, Any]:
        """The fields of the ledger's event `trial_ended`."""
        event: dict[str, Any] = {"state": self.state} | ({} if self.step is None else {"step": self.step})
        if self.is_done:
            event |= {"scores": dict(self.scores), "score": self.score.to_json()}
        else:
            event["reason"] = self.reason
        return event | ({} if self.log_tail is None else {"log_tail": self.log_tail})

    @classmethod
    def from_event(cls, event: Mapping[str, Any]) -> "End":
        """The end in the ledger's event `trial_ended`, of this version or an older one. Any: JSON."""
        score = Score.from_json(event.get("score") or {})
        return cls(
            event["state"],
            event.get("reason", ""),
            event.get("step"),
            event.get("scores", score.means),  # a ledger from before objectives had names holds the score alone
            score,
            log_tail=event.get("log_tail"),
        )


def reported(result: Mapping[str, Any], name: str) -> dict[str, float]:
    """What a trial reported under `name`, which Ray Tune flattens: {"losses/d_image": 1.5} as {"d_image": 1.5}."""
    prefix = f"{name}/"
    return {key.removeprefix(prefix): value for key, value in result.items() if key.startswith(prefix)}
