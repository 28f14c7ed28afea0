"""Runs of Trackio, in its folder on this machine ($TRACKIO_DIR), or where its other variables say."""

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

        self._trackio, self._runs = trackio, dict[str, Any]()

    def begin(self, trial: str, settings: Mapping[str, Any]) -> None:
        self._runs[trial] = self._trackio.init(
            project=self.search.name, name=trial, resume="allow", embed=False, config={**self.search.facts, **settings}
        )

    def log(self, trial: str, step: int, values: Mapping[str, float]) -> None:
        self._runs[trial].log({name: value for name, value in values.items() if math.isfinite(value)}, step=step)

    def end(self, trial: str, state: str, pictures: Path | None) -> None:
        run = self._runs.pop(trial)
        run.log({"end": state})
        run.finish()

    def close(self) -> None:
        for run in self._runs.values():
            run.finish()
