"""Optuna's own dashboard shows an experiment: its name, its trials with ids, looks, scores, reasons and samples."""

import io
import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import optuna
import pytest
from optuna.artifacts import get_all_artifact_meta

from tests.builders import three_domains, tiny_sweep
from tests.recorded_trials import events_of, near_the_paper
from vgsearch.experiment.paths import Experiment
from vgsearch.runtime.study.dashboard_study import ShownStudy

SWEEP = tiny_sweep(three_domains())
EVENTS = events_of(SWEEP, 4, near_the_paper)


def written(folder: Path, n_events: int) -> Experiment:
    """The experiment as its ledger was after so many events."""
    folder.mkdir(exist_ok=True)
    SWEEP.save(folder / "sweep.yaml")
    (folder / "ledger.jsonl").write_text("".join(json.dumps(event) + "\n" for event in EVENTS[:n_events]))
    return Experiment.at(folder)


def answer(application: Any, path: str) -> Any:
    environ: dict[str, Any] = {"PATH_INFO": path}
    setup_testing_defaults(environ)
    environ["wsgi.input"] = io.BytesIO()
    body = b"".join(application(environ, lambda status, headers, *_: None))
    return json.loads(body)


def test_the_dashboards_own_server_lists_the_experiment_and_its_trials(tmp_path: Path):
    optuna_dashboard = pytest.importorskip("optuna_dashboard", reason="pip install optuna-dashboard")
    shown = ShownStudy(written(tmp_path / "mvt_tsa-001", len(EVENTS)), tmp_path)
    application = optuna_dashboard.wsgi(shown.storage, artifact_store=shown.artifacts)
    (listed,) = answer(application, "/api/studies")["study_summaries"]
    assert listed["study_name"] == "mvt_tsa-001"
    trials = answer(application, f"/api/studies/{listed['study_id']}")["trials"]
    assert [trial["state"] for trial in trials] == ["Complete"] * 4
    attributes = [{each["key"]: each["value"] for each in trial["user_attrs"]} for trial in trials]
    assert [each["trial"] for each in attributes] == ["t0000", "t0001", "t0002", "t0003"]
    assert attributes[0]["point"] == "the paper's"
    first = shown.study.trials[0]
    took = EVENTS[-1]["time"] - next(event["time"] for event in EVENTS if event.get("trial") == "t0003-aaaaaa")
    assert shown.study.trials[3].duration == timedelta(seconds=took)
    assert first.datetime_start < first.datetime_complete < datetime(2000, 1, 1), "the ledger's clock, not this run's"


def test_a_running_sweep_is_taken_over_as_its_ledger_grows(tmp_path: Path):
    folder = tmp_path / "mvt_tsa-001"
    starts = [number for number, event in enumerate(EVENTS) if event["event"] == "trial_started"]
    shown = ShownStudy(written(folder, starts[1] + 3), tmp_path)
    first, second = shown.study.trials
    assert (first.state.name, second.state.name) == ("COMPLETE", "RUNNING")
    assert len(second.intermediate_values) == 2
    samples = folder / "trials" / "t0001-aaaaaa" / "samples" / "grid.gif"
    samples.parent.mkdir(parents=True)
    samples.write_bytes(b"GIF89a")
    written(folder, len(EVENTS))
    shown.update()
    assert [trial.state.name for trial in shown.study.trials] == ["COMPLETE"] * 4
    assert shown.study.trials[0] == first, "what has ended is not touched"
    assert shown.study.trials[1].value == EVENTS[starts[2] - 1]["scores"]["s3"]
    (artifact,) = get_all_artifact_meta(shown.study.trials[1], storage=shown.storage)
    assert artifact.filename == "grid.gif"


def test_a_trial_without_a_score_ends_as_failed_with_its_reason(tmp_path: Path):
    experiment = written(tmp_path / "a", 2)
    events = [*EVENTS[:2], {"event": "trial_ended", "trial": "t0000-aaaaaa", "state": "diverged", "reason": "NaN in d_video",
                            "step": 3, "time": 1.0}]  # fmt: skip
    experiment.ledger.write_text("".join(json.dumps(event) + "\n" for event in events))
    (trial,) = ShownStudy(experiment, tmp_path).study.trials
    assert trial.state is optuna.trial.TrialState.FAIL
    assert trial.user_attrs["reason"] == "NaN in d_video"


@pytest.mark.parametrize(("space", "look"), [("mvt_tsa", "ReS"), ("tgan_svc", "minus the kernel distance")])
def test_it_says_what_the_looks_of_the_search_are(tmp_path: Path, space: str, look: str):
    sweep = tiny_sweep(space)
    sweep.save(tmp_path / "sweep.yaml")
    (tmp_path / "ledger.jsonl").write_text(json.dumps(events_of(sweep, 0, near_the_paper)[0]) + "\n")
    attributes = ShownStudy(Experiment.at(tmp_path), tmp_path).study.user_attrs
    assert attributes["intermediate values"] == f"looks: {look} by one classifier, not the score"
