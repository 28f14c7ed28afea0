"""Runs of MLflow, in the store that $MLFLOW_TRACKING_URI names, by default MLflow's own in the working folder."""

import logging
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vgsearch.trackers.contract import Search, Tracker

TRIAL, PLACE, END = "vgsearch.trial", "vgsearch.experiment", "vgsearch.end"
"""Tags of a run: its trial, the experiment's folder or address, and how the trial ended."""
STATUS = {"done": "FINISHED", "pruned": "FINISHED", "interrupted": "KILLED"}
MOST_LETTERS = 500
"""Of a parameter's value, in MLflow's stores."""


class MlflowRuns(Tracker):
    """An MLflow experiment with the search's name, a run for each trial."""

    def __init__(self, search: Search) -> None:
        super().__init__(search)
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # which may carry the search's JSON
        from mlflow import MlflowClient

        for name in ("mlflow", "alembic"):  # tables that a new store gets
            logging.getLogger(name).setLevel(logging.WARNING)
        self._client, self._runs = MlflowClient(), dict[str, str]()
        found = self._client.get_experiment_by_name(search.name)
        self._experiment = found.experiment_id if found else self._client.create_experiment(search.name)

    def begin(self, trial: str, settings: Mapping[str, Any]) -> None:
        own = f"tags.`{TRIAL}` = '{trial}' and tags.`{PLACE}` = '{_quoted(self.search.place)}'"
        if earlier := self._client.search_runs([self._experiment], own, max_results=1):
            self._runs[trial] = earlier[0].info.run_id
            self._client.update_run(self._runs[trial], status="RUNNING")
            return
        tags = {TRIAL: trial, PLACE: _quoted(self.search.place)}
        self._runs[trial] = self._client.create_run(self._experiment, tags=tags, run_name=trial).info.run_id
        for name, value in {**self.search.facts, **settings}.items():
            self._client.log_param(self._runs[trial], name, str(value)[:MOST_LETTERS])

    def log(self, trial: str, step: int, values: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now = round(1000 * time.time())
        metrics = [Metric(name, value, now, step) for name, value in values.items() if math.isfinite(value)]
        self._client.log_batch(self._runs[trial], metrics=metrics)

    def end(self, trial: str, state: str, pictures: Path | None) -> None:
        run = self._runs.pop(trial)
        if pictures is not None:
            self._client.log_artifact(run, str(pictures), "samples")
        self._client.set_tag(run, END, state)
        self._client.set_terminated(run, STATUS.get(state, "FAILED"))

    def close(self) -> None:
        for run in self._runs.values():
            self._client.set_terminated(run, "KILLED")


def _quoted(text: str) -> str:
    """A text without quotation marks, which a filter of MLflow ends at."""
    return text.replace("'", "%27")
