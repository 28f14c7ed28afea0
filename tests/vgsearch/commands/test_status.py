"""vgsearch status reads a sweep from its ledger, also while another process writes it."""

import json
import os
import socket
import subprocess
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vgsearch.cli import app
from vgsearch.experiment.driver_signs import DriverSigns
from vgsearch.experiment.ledger import Ledger, LedgerReader
from vgsearch.experiment.paths import Experiment
from videogan.metrics.retraining_noise import retraining_noise

N_MANY = 1000


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger(tmp_path / "s" / "ledger.jsonl")
    ledger.append("sweep_started", space="mvt_tsa", budget="smoke", objective=["s3"], n_trials=1)
    return ledger


def start(ledger: Ledger, index: int) -> str:
    trial = f"t{index:04d}-abcdef"
    ledger.append("trial_started", trial=trial, index=index, overrides={"optimiser.lr_g": 1e-4 / (index + 1)},
                  is_paper_point=index == 0, n_steps=300)  # fmt: skip
    return trial


def test_a_following_reader_returns_every_event_once_and_no_partial_line(ledger: Ledger):
    reader, events = LedgerReader(ledger.path), []
    with open(ledger.path, "rb") as stream:
        before = stream.read()
    start(ledger, 0)
    whole = ledger.path.read_bytes()
    for n_bytes in range(len(before) - 3, len(whole) + 1):
        ledger.path.write_bytes(whole[:n_bytes])
        events += reader.read()
    assert [event["event"] for event in events] == ["sweep_started", "trial_started"]
    assert reader.record == ledger.record


def killed(ledger: Ledger) -> int:
    """Leave the lock of a driver that has ended; returns its process."""
    with subprocess.Popen(["true"]) as driver:
        driver.wait()
    (ledger.path.parent / ".lock").write_text(f"process {driver.pid} on {socket.gethostname()}\n")
    return driver.pid


def test_watching_ends_when_the_driver_is_gone_and_says_how_to_resume(ledger: Ledger):
    start(ledger, 0)
    driver = killed(ledger)
    once = CliRunner().invoke(app, ["status", str(ledger.path.parent)])
    assert f"killed; vgsearch resume {ledger.path.parent} continues it; last event" in once.output
    watched = CliRunner().invoke(app, ["status", str(ledger.path.parent), "--watch"])
    assert watched.exit_code == 1
    assert f"its driver, process {driver} on {socket.gethostname()}, ended without a word" in watched.output
    assert f"vgsearch resume {ledger.path.parent}" in watched.output


def test_a_trial_whose_driver_was_killed_does_not_run_and_its_clock_stands(ledger: Ledger):
    trial, experiment = start(ledger, 0), Experiment(ledger.path.parent)
    ledger.append("look", trial=trial, step=50, look=0.25, losses={}, seconds=40.0)
    metrics = experiment.trial(trial).metrics
    metrics.parent.mkdir(parents=True)
    metrics.write_text('{"step": 50, "seconds_training": 38.0}\n{"step": 70, "seconds_training": 61.0}\n{"st')
    for is_gone, state, step in ((False, "running", 50), (True, "killed", 70)):
        if is_gone:
            killed(ledger)
        table = CliRunner().invoke(app, ["status", str(experiment.folder)]).output.splitlines()
        assert table[2].split()[:3] == ["t0000", state, f"{step}/300"]
        head = CliRunner().invoke(app, ["show", str(experiment.folder / "t0000")]).output.splitlines()[0]
        assert f"{state} at step {step}/300" in head
    assert head.endswith("killed at step 70/300   1m01s   its driver was killed; vgsearch resume continues it")
    as_json = json.loads(CliRunner().invoke(app, ["status", str(experiment.folder), "--json"]).output)
    assert (as_json["ended"], as_json["trials"][0]["state"], as_json["trials"][0]["seconds"]) == (
        "killed",
        "killed",
        61,
    )


def test_a_trial_that_waits_after_its_driver_was_killed_does_not_run(ledger: Ledger):
    for index in range(2):
        ledger.append("look", trial=start(ledger, index), step=50, look=0.25, losses={}, seconds=40.0)
    ledger.append("sweep_started", space="mvt_tsa", budget="smoke", objective=["s3"], n_trials=2, resumed=True)
    start(ledger, 1)
    first, second = ledger.record.trials.values()
    assert [(trial.state, trial.step, trial.seconds) for trial in (first, second)] == [
        ("killed", 50, 40.0),
        ("running", 50, 40.0),
    ]


@pytest.mark.parametrize(
    "holder",
    [f"process {os.getpid()} on {socket.gethostname()}\n", "process 1 on elsewhere\n", ""],
    ids=["this process", "another machine", "unknown"],  # every worker of pytest must name the tests alike
)
def test_a_driver_that_runs_or_may_run_on_another_machine_is_not_gone(ledger: Ledger, holder: str):
    (ledger.path.parent / ".lock").write_text(holder)
    assert DriverSigns(Experiment(ledger.path.parent)).gone(0.0) == ""


def test_watching_prints_what_another_process_writes_and_stops_when_the_sweep_ends(ledger: Ledger):
    def write() -> None:
        trial = start(ledger, 0)
        time.sleep(0.7)
        ledger.append("trial_ended", trial=trial, state="diverged", step=7, reason="g_image is not finite")
        ledger.append("sweep_ended", how="finished")

    writer = threading.Thread(target=write)
    writer.start()
    watched = CliRunner().invoke(app, ["status", str(ledger.path.parent), "--watch"])
    writer.join()
    assert watched.exit_code == 0, watched.output
    assert "t0000-abcdef diverged at step 7  g_image is not finite" in watched.output
    assert watched.output.rstrip().endswith("finished")


def test_watching_prints_of_old_events_what_held_then(ledger: Ledger):
    trial = start(ledger, 0)
    for step, look in ((50, 0.25), (100, 0.5)):
        ledger.append("look", trial=trial, step=step, look=look, losses={}, seconds=float(step))
    ledger.append("trial_ended", trial=trial, state="interrupted", step=120, reason="stopped", seconds=130.0)
    ledger.append("trial_started", trial=trial, index=0, overrides={}, is_paper_point=True, n_steps=300)
    ledger.append("trial_ended", trial=trial, state="diverged", step=200, reason="not finite", seconds=70.0)
    ledger.append("sweep_ended", how="finished")
    watched = CliRunner().invoke(app, ["status", str(ledger.path.parent), "--watch"])
    lines = watched.output.splitlines()
    assert [line for line in lines if " step " in line] == [
        f"{trial} step 50/300  look 25.0",
        f"{trial} step 100/300  look 50.0",
        f"{trial} interrupted at step 120  stopped  2m10s",
        f"{trial} diverged at step 200  not finite  3m20s",
    ]


def test_watching_with_json_prints_one_event_per_line(ledger: Ledger):
    start(ledger, 0)
    ledger.append("sweep_ended", how="interrupted")
    watched = CliRunner().invoke(app, ["status", str(ledger.path.parent), "--watch", "--json"])
    events = [json.loads(line)["event"] for line in watched.stdout.splitlines()]
    assert events == ["sweep_started", "trial_started", "sweep_ended"]


def test_a_trial_in_place_of_its_sweep_is_named_with_both(ledger: Ledger):
    experiment = Experiment(ledger.path.parent)
    experiment.sweep.touch()
    for trial in (experiment.folder / "t0003", experiment.folder / "trials" / "t0003-abcdef"):
        refused = CliRunner().invoke(app, ["status", str(trial)]).exception
        assert f"{trial} is a trial; give its experiment, {experiment.folder}, or see the trial: " in str(refused)
        assert str(refused).endswith(f"vgsearch show {experiment.folder}/{trial.name}")


def test_a_sweep_before_its_first_event_says_so(tmp_path: Path):
    (tmp_path / "ledger.jsonl").write_text("")
    shown = CliRunner().invoke(app, ["status", str(tmp_path)])
    assert shown.exit_code == 0, shown.output
    assert "no events yet" in shown.output


def end(ledger: Ledger, trial: str, s3: list[float]) -> None:
    score = {"s3": {"mean": sum(s3) / len(s3)}} | ({"over_training_seeds": {"s3": s3}} if len(s3) > 1 else {})
    ledger.append("trial_ended", trial=trial, state="done", step=300, scores={"s3": score["s3"]["mean"]}, score=score)


def test_a_search_of_several_seeds_a_point_ends_with_its_signal(ledger: Ledger):
    end(ledger, start(ledger, 0), [0.52, 0.55, 0.49])
    folder = str(ledger.path.parent)
    shown = CliRunner().invoke(app, ["status", folder])
    assert "signal  unknown for S3: it needs at least 2 points with a score, got 1" in shown.output
    end(ledger, start(ledger, 1), [0.61, 0.60, 0.66])
    shown = CliRunner().invoke(app, ["status", folder])
    noise = retraining_noise([[0.52, 0.55, 0.49], [0.61, 0.60, 0.66]])
    *_, last = shown.output.splitlines()
    assert last.startswith(f"signal  {100 * noise.icc.mean:.0f} % [")
    assert f"the rest is retraining; {noise.seeds.n} [" in last
    state = json.loads(CliRunner().invoke(app, ["status", folder, "--json"]).output)
    assert state["signal"]["s3"]["icc"]["mean"] == pytest.approx(noise.icc.mean)
    assert state["signal"]["s3"]["seeds"]["n"] == noise.seeds.n


def test_a_search_of_one_seed_a_point_has_no_line_of_its_signal_and_a_reason_in_json(ledger: Ledger):
    for index, s3 in enumerate((0.5, 0.6)):
        end(ledger, start(ledger, index), [s3])
    folder = str(ledger.path.parent)
    assert "signal" not in CliRunner().invoke(app, ["status", folder]).output
    signal = json.loads(CliRunner().invoke(app, ["status", folder, "--json"]).output)["signal"]["s3"]
    assert (signal["icc"]["mean"], signal["seeds"]) == (None, None)
    assert signal["reason"].endswith("several seeds, each was with one")


def test_a_folder_a_space_and_a_reason_cannot_write_markup_or_controls(tmp_path: Path):
    hostile = "x[/red]\x1b[2J"
    ledger = Ledger(tmp_path / hostile / "ledger.jsonl")
    ledger.append("sweep_started", space=hostile, budget="smoke", objective=["s3"], n_trials=1)
    ledger.append("trial_ended", trial=start(ledger, 0), state="failed", step=7, reason=hostile)
    for command in (["status", str(ledger.path.parent)], ["show", str(ledger.path.parent / "t0000")]):
        told = CliRunner().invoke(app, command)
        assert told.exit_code == 0, told.exception
        assert "\x1b" not in told.output
        assert told.output.count(r"x[/red]\x1b[2J") >= 2


def test_the_verdict_and_what_fresh_seeds_say_are_printed_and_the_verdict_is_in_json(ledger: Ledger):
    trial, experiment = start(ledger, 0), Experiment.at(ledger.path.parent)
    score = {"s3": {"mean": 0.6, "low": 0.5, "high": 0.7}, "n_test": 16, "n_groups": 4, "split": "select"}
    ledger.append("trial_ended", trial=trial, state="done", step=300, score=score)
    ledger.append("floor", score={"s3": {"mean": 0.4, "low": 0.2, "high": 0.6}})
    for written, line in (
        ('{"verdict": "v", "answer": "a"}', "confirm v; a"),
        ('{"verdict": "none yet: v", "answer": "none yet: a"}', "confirm none yet: v"),
        ("[", f"confirm {experiment.confirm} is damaged; vgsearch confirm makes it again"),
    ):
        experiment.confirm.write_text(written)
        printed = CliRunner().invoke(app, ["status", str(experiment.folder)], catch_exceptions=False).stdout
        assert "verdict not distinguishable from an untrained generator: 16 select clips of 4 groups" in printed
        assert line in printed.splitlines()
    as_json = CliRunner().invoke(app, ["status", str(experiment.folder), "--json"], catch_exceptions=False).stdout
    assert json.loads(as_json)["verdict"].startswith("not distinguishable")
