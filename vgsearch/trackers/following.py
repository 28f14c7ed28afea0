"""Follows a search's ledger and passes each event on to trackers, beside the search, which no tracker can hold up."""

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vgsearch.terminal.line import is_own, print_line
from vgsearch.trackers.contract import Search, Tracker
from vgsearch.trackers.mlflow_runs import MlflowRuns
from vgsearch.trackers.trackio_runs import TrackioRuns
from vgsearch.trackers.wandb_runs import WandbRuns
from videogan.config import ConfigurationError

KINDS: dict[str, type[Tracker]] = {"mlflow": MlflowRuns, "wandb": WandbRuns, "trackio": TrackioRuns}
NOTHING = "none"
SECONDS_AT_THE_END = 120.0
"""How long an ended search waits for what its trackers have not written yet."""
Follow = Callable[[Mapping[str, Any]], None]


def checked_trackers(names: Sequence[str]) -> list[str]:
    """The trackers of `--log`, each once; empty for none. Raises ConfigurationError for an unknown name."""
    unknown = [name for name in names if name not in (*KINDS, NOTHING)]
    if unknown:
        raise ConfigurationError(f"--log must be {', '.join(KINDS)} or {NOTHING}, got {unknown[0]!r}.")
    if NOTHING in names and len(set(names)) > 1:
        raise ConfigurationError(f"--log {NOTHING} turns all trackers off; leave it out beside others.")
    return [name for name in dict.fromkeys(names) if name != NOTHING]


def refuse_missing_trackers(names: Sequence[str]) -> None:
    """Raise ConfigurationError, with the pip command, for a tracker whose package is not installed."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise ConfigurationError(
            f"--log {missing[0]} needs another package: pip install 'vgsearch[{','.join(missing)}]'. "
            f"--log {NOTHING} does without."
        )


@contextmanager
def following(names: Sequence[str], search: Search, pictures_of: Callable[[str], Path]) -> Iterator[Follow]:
    """Yields what to call with each event of the ledger; it returns at once. `pictures_of` a trial: its GIF of samples.

    A tracker that fails says so once and is left out from then on; the search goes on.
    """
    threads = [_Thread(name, search, pictures_of) for name in names]
    for thread in threads:
        thread.start()

    def follow(event: Mapping[str, Any]) -> None:
        for thread in threads:
            thread.events.put(event)

    try:
        yield follow
    finally:
        for thread in threads:
            thread.events.put(None)
        for thread in threads:
            thread.join(SECONDS_AT_THE_END)
            if thread.is_alive():
                thread.warn(f"still writing after {SECONDS_AT_THE_END:.0f} s; the rest is lost")


class _Thread(threading.Thread):
    """Passes events on to one tracker; a daemon, so that a tracker that hangs does not keep the program alive."""

    def __init__(self, name: str, search: Search, pictures_of: Callable[[str], Path]) -> None:
        super().__init__(name=f"tracker {name}", daemon=True)
        self._kind, self._search, self._pictures_of = name, search, pictures_of
        self.events: queue.SimpleQueue[Mapping[str, Any] | None] = queue.SimpleQueue()

    def run(self) -> None:
        try:
            tracker = KINDS[self._kind](self._search)
            while (event := self.events.get()) is not None:
                tell(tracker, event, self._pictures_of)
            tracker.close()
        except Exception as error:  # noqa: BLE001 (whatever a tracker raises, the search goes on)
            reason = " ".join(str(error).split())[:200]
            self.warn(reason if is_own(error) else f"{type(error).__name__}: {reason}")

    def warn(self, why: str) -> None:
        print_line(f"note: --log {self._kind} stopped, the search goes on: {why}", error=True)


def tell(tracker: Tracker, event: Mapping[str, Any], pictures_of: Callable[[str], Path]) -> None:
    """Pass one event of the ledger on; those that are not of trials are nothing to a tracker."""
    kind, trial = event["event"], event.get("trial", "")
    if kind == "trial_started":
        tracker.begin(trial, {"paper_point": event["is_paper_point"], **event["overrides"]})
    elif kind == "look":
        losses = {f"loss/{name}": loss for name, loss in (event["losses"] or {}).items() if loss is not None}
        tracker.log(trial, event["step"], {"look": event["look"], **losses})
    elif kind == "trial_ended":
        if scores := event.get("scores"):
            tracker.log(trial, event["step"], {f"score/{name}": value for name, value in scores.items()})
        pictures = pictures_of(trial)
        tracker.end(trial, event["state"], pictures if pictures.is_file() else None)
