"""Runs of Weights & Biases, which its own settings send to a server, or with WANDB_MODE=offline to ./wandb/."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vgsearch.trackers.contract import Search, Tracker
from videogan.config import ConfigurationError

PROJECT = "vgsearch"
"""The default project; $WANDB_PROJECT names another. The runs of a search are a group of it."""


class WandbRuns(Tracker):
    """A group with the search's name, a run for each trial."""

    def __init__(self, search: Search) -> None:
        super().__init__(search)
        import wandb

        self._wandb, self._runs = wandb, dict[str, Any]()
        self._settings = wandb.setup().settings
        # The prompt for a key would wait in the terminal of a search that runs.
        if self._settings.mode == "online" and not wandb.login(prompt=False):
            raise ConfigurationError("no key of Weights & Biases: run wandb login, or set WANDB_MODE=offline.")

    def begin(self, trial: str, settings: Mapping[str, Any]) -> None:
        digest = hashlib.sha256(f"{self.search.place} {trial}".encode()).hexdigest()[:16]
        run = self._wandb.init(
            project=self._settings.project or PROJECT,
            group=self.search.name, name=trial, id=digest, resume="allow", reinit="create_new",
            config={**self.search.facts, **settings}, settings=self._wandb.Settings(silent=True, console="off"),
        )  # fmt: skip
        # A resumed run may repeat a step, which wandb's own step counter would refuse.
        run.define_metric("*", step_metric="step")
        self._runs[trial] = run

    def log(self, trial: str, step: int, values: Mapping[str, float]) -> None:
        self._runs[trial].log({"step": step, **values})

    def end(self, trial: str, state: str, pictures: Path | None) -> None:
        run = self._runs.pop(trial)
        if pictures is not None:
            run.log({"samples": self._wandb.Video(str(pictures), format="gif")})
        run.summary["end"] = state
        run.finish(exit_code=int(state not in ("done", "pruned")))

    def close(self) -> None:
        for run in self._runs.values():
            run.mark_preempting()
            run.finish(exit_code=1)
        self._wandb.teardown()  # its own process may still write
