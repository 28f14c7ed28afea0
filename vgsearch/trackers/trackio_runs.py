"""Runs of Trackio, in its folder on this machine ($TRACKIO_DIR), or where its other variables say."""

import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vgsearch.trackers.contract import Search, Tracker


class TrackioRuns(Tracker):
    """A project with the search's name, a run for each trial."""

    def __init__(self, search: Search) -> None:
        super().__init__(search)
        import trackio
        from trackio import run, utils

        # It prints lines for each run, in between the table or the JSON of the search.
        for module in (trackio, run, utils):
            vars(module)["print"] = _say_nothing
        self._trackio, self._runs = trackio, dict[str, Any]()
        # Trackio resumes a run by its name, and trials of another search of this name may have the same ids.
        self._suffix = hashlib.sha256(search.place.encode()).hexdigest()[:4]

    def begin(self, trial: str, settings: Mapping[str, Any]) -> None:
        self._runs[trial] = self._trackio.init(
            project=self.search.name, name=f"{trial}-{self._suffix}", resume="allow", embed=False,
            auto_log_gpu=False, auto_log_cpu=False, config={**self.search.facts, **settings},
        )  # fmt: skip

    def log(self, trial: str, step: int, values: Mapping[str, float]) -> None:
        self._runs[trial].log({name: value for name, value in values.items() if math.isfinite(value)}, step=step)

    def end(self, trial: str, state: str, pictures: Path | None) -> None:
        run = self._runs.pop(trial)
        run.log({"end": state})
        run.finish()

    def close(self) -> None:
        for run in self._runs.values():
            run.finish()


def _say_nothing(*texts: object, **settings: object) -> None:
    """In place of `print`."""
