"""What a driver writes beside the ledger is made up from it, and what it reads may be damaged."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from tests.builders import tiny_sweep
from vgsearch.experiment.end import STOPPED, End
from vgsearch.experiment.ledger import Event, Ledger, read_events
from vgsearch.experiment.paths import Experiment
from vgsearch.runtime.feed.inputs import Inputs
from vgsearch.runtime.study.proposal import Proposal
from vgsearch.runtime.sweep.driver import Driver, _tail
from vgsearch.runtime.sweep.rerun import RerunDriver
from vgsearch.terminal.sweep_table import SweepView
from vgsearch.trackers.contract import Search, Tracker
from vgsearch.trackers.following import tell


def driver_of(folder: Path, follow: Callable[[Event], None] = lambda event: None) -> Driver:
    """A driver that reads the ledger in the folder, as a resumed sweep does."""
    sweep, experiment = tiny_sweep(), Experiment(folder)
    ledger = Ledger(experiment.ledger)
    view = SweepView(Console(file=io.StringIO()), ledger.record, 8)
    return Driver(experiment, sweep, Inputs("data", "plain_32", None), ledger, view, follow)


def test_a_stopped_run_of_a_confirmation_names_the_command_that_continues_it(tmp_path: Path):
    driver = driver_of(tmp_path / "s")
    begun(driver, 0)
    driver.ledger.append("confirm_sweep_started", objective=["s3"], protocol="", split="test", top=1, seeds=[7])
    again = RerunDriver(driver.experiment, driver.sweep, driver.inputs, driver.ledger, driver.view)
    run = again.begin(Proposal(0, driver.sweep.paper_points[0], is_paper_point=True, changed={"seed": 7}))
    again.ended(run, End("interrupted", STOPPED, step=5))
    (ended,) = again.record.trials.values()
    assert (ended.state, ended.reason) == ("interrupted", "stopped; the same vgsearch confirm continues it")


def begun(driver: Driver, index: int) -> dict:
    parameters = driver.begin(Proposal(index, driver.sweep.paper_points[0], is_paper_point=index == 0))
    assert parameters is not None
    return parameters


def test_a_tracker_understands_every_event_that_a_driver_writes(tmp_path: Path):
    events, calls = [], []

    class Told(Tracker):
        def begin(self, trial, settings):
            calls.append(("begin", trial, settings["model.sigma_a"]))

        def log(self, trial, step, values):
            calls.append((trial, step, dict(values)))

        def end(self, trial, state, pictures):
            calls.append(("end", trial, state))

        def close(self):
            pass

    driver = driver_of(tmp_path / "s", events.append)
    done, failed = begun(driver, 0), begun(driver, 1)
    health = {"states": {}, "vitals": {}}
    driver.progressed(done, {"step": 10, "look": 0.5, "losses/d_image": 1.0, "health": json.dumps(health)})
    driver.progressed(done, {"step": 15})
    driver.ended(done, End("done", step=20, scores={"s3": 0.5}))
    driver.ended(failed, End("failed", "KeyError", step=5))
    assert events == list(read_events(tmp_path / "s" / "ledger.jsonl"))
    tracker = Told(Search("s", str(tmp_path / "s"), {}))
    for event in events:
        tell(tracker, event, lambda trial: tmp_path / trial)
    first, second = done["trial_id"], failed["trial_id"]
    sigma = driver.sweep.paper_points[0]["model.sigma_a"]
    assert calls == [
        ("begin", first, sigma), ("begin", second, sigma), (first, 10, {"look": 0.5, "loss/d_image": 1.0}),
        (first, 20, {"score/s3": 0.5}), ("end", first, "done"), ("end", second, "failed"),
    ]  # fmt: skip


@pytest.mark.filterwarnings("ignore::videogan.storage.set_aside.DamagedFile")
def test_the_status_of_an_ended_trial_is_made_up_if_it_is_missing_or_damaged(tmp_path: Path):
    driver = driver_of(tmp_path)
    ended = [begun(driver, index) for index in range(5)]
    begun(driver, 5)
    for parameters in ended:
        driver.ended(parameters, End("done", step=200, scores={"s3": 0.5}))
    files = [driver.folder_of(parameters["trial_id"]).status for parameters in ended]
    whole = [path.read_bytes() for path in files]
    missing, cut, garbled, folder, _ = files
    missing.unlink()
    cut.write_bytes(whole[1][:-20])
    garbled.write_bytes(b"\xff\x00")
    folder.unlink()
    (folder / "x").mkdir(parents=True)
    before = files[-1].stat()
    driver_of(tmp_path).make_up_statuses()
    assert [path.read_bytes() for path in files] == whole
    assert json.loads(whole[0])["state"] == "done"
    assert files[-1].stat().st_mtime_ns == before.st_mtime_ns, "a whole one is left alone"
    assert len(list(tmp_path.glob("trials/*/status.json"))) == 5, "a running trial has none"


def test_a_failed_trial_whose_log_is_a_folder_ends_as_any_other(tmp_path: Path):
    driver = driver_of(tmp_path)
    parameters = begun(driver, 0)
    folder = driver.folder_of(parameters["trial_id"])
    folder.log.mkdir()
    driver.ended(parameters, End("failed", "RuntimeError: x"))
    assert (driver.record.trials[parameters["trial_id"]].state, _tail(folder)) == ("failed", "")
