"""The ledger alone gives a sweep's state, also after a crash of its writer."""

import json
import resource
import shutil
from pathlib import Path
from typing import Any

import pytest

from vgsearch.experiment.ledger import DamagedLedger, Ledger, read_ledger
from vgsearch.experiment.moved import MovedExperiment


def started(ledger: Ledger, index: int, **more: Any) -> str:
    trial = f"t{index:04d}-abcdef"
    fields = {"overrides": {"model.sigma_a": 0.1 * index}, "is_paper_point": index == 0, "n_steps": 300, **more}
    ledger.append("trial_started", trial=trial, index=index, **fields)
    return trial


def score(s3: float | None) -> dict[str, Any]:
    return {"s3": {"mean": s3, "low": None, "high": None}}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "sweep" / "ledger.jsonl")


def test_a_ledger_read_from_its_file_equals_its_writers_record(ledger: Ledger):
    ledger.append("sweep_started", space="mvt_tsa", budget="smoke")
    first, second = started(ledger, 0), started(ledger, 1)
    ledger.append("look", trial=first, step=50, look=0.25, losses={"d_image": 2.0})
    ledger.append("look", trial=first, step=100, look=0.5, losses={"d_image": 1.5})
    ledger.append("trial_ended", trial=first, state="done", step=300, score=score(0.6))
    ledger.append("trial_ended", trial=second, state="diverged", step=70, reason="g_image is not finite")
    ledger.append("floor", score=score(0.1))
    ledger.append("sweep_ended", how="finished")
    record = read_ledger(ledger.path)
    assert record == ledger.record
    assert record.header["space"] == "mvt_tsa"
    assert record.floor is not None
    assert (record.floor.to_json(), record.ended) == (score(0.1), "finished")
    done, diverged = record.trials.values()
    assert (done.state, done.step, done.look, done.losses) == ("done", 300, 0.5, {"d_image": 1.5})
    assert done.scores == {"s3": 0.6}
    assert (done.is_paper_point, done.overrides, done.n_steps) == (True, {"model.sigma_a": 0.0}, 300)
    assert (diverged.state, diverged.step, diverged.reason) == ("diverged", 70, "g_image is not finite")
    assert [record.count(state) for state in ("done", "diverged", "running")] == [1, 1, 0]


def test_a_missing_ledger_is_an_empty_sweep(tmp_path: Path):
    record = read_ledger(tmp_path / "ledger.jsonl")
    assert (record.trials, record.best, record.ended) == ({}, None, "")


def test_a_ledger_whose_trial_would_be_another_folder_is_damaged(ledger: Ledger):
    line = {"time": 0, "event": "trial_started", "index": 0, "overrides": {}, "is_paper_point": True, "n_steps": 1}
    for prefix in ("", "confirm_"):
        ledger.path.write_text(json.dumps({**line, "event": f"{prefix}trial_started", "trial": "../../victim"}) + "\n")
        with pytest.raises(DamagedLedger, match=r"line 1 is not a valid event \(a trial's id must be the name of one"):
            read_ledger(ledger.path)


def test_only_done_trials_can_be_best(ledger: Ledger):
    for index, (state, s3) in enumerate([("done", 0.4), ("done", 0.7), ("unscored", None), ("pruned", None)]):
        trial = started(ledger, index)
        ledger.append("look", trial=trial, step=50, look=0.1 if state == "done" else 0.9, losses={})
        ended = {"score": score(s3)} if state == "done" else {"reason": state}
        ledger.append("trial_ended", trial=trial, state=state, **ended)
    assert ledger.record.best.index == 1


def sweep_of(ledger: Ledger, objective: list[str], *scores: dict[str, float]) -> None:
    ledger.append("sweep_started", space="mvt", objective=objective)
    for index, measured in enumerate(scores):
        ledger.append("trial_ended", trial=started(ledger, index), state="done", score={}, scores=measured)


def test_a_minimised_objective_is_best_at_its_smallest_value(ledger: Ledger):
    sweep_of(ledger, ["-kvd"], {"kvd": 0.2, "s3": 0.9}, {"kvd": -0.1, "s3": 0.1}, {"kvd": 0.0, "s3": 0.5})
    assert ledger.record.best.index == 1
    assert [trial.index for trial in ledger.record.front] == [1]


def test_of_two_objectives_the_front_is_kept_and_the_first_names_the_best(ledger: Ledger):
    sweep_of(
        ledger,
        ["s3", "-cost"],
        {"s3": 0.4, "cost": 10},
        {"s3": 0.7, "cost": 90},
        {"s3": 0.4, "cost": 11},
        {"s3": 0.6, "cost": 20},
    )
    record = read_ledger(ledger.path)
    assert [trial.index for trial in record.front] == [0, 1, 3]
    assert record.best.index == 1


def test_a_done_trial_without_the_objective_is_on_no_front(ledger: Ledger):
    sweep_of(ledger, ["-kvd"], {"s3": 0.9})
    assert (ledger.record.front, ledger.record.best) == ([], None)


def test_the_objective_of_an_old_ledger_without_one_is_s3(ledger: Ledger):
    ledger.append("sweep_started", space="mvt")
    for index, s3 in enumerate((0.3, 0.5, 0.4)):
        parts = {"ser": {"mean": 0.6, "low": 0.5, "high": 0.7}, "seeds": [0, 1], "warnings": []}
        ledger.append("trial_ended", trial=started(ledger, index), state="done", score=score(s3) | parts)
    record = read_ledger(ledger.path)
    assert [str(objective) for objective in record.objectives] == ["s3"]
    assert record.best.index == 1
    assert record.best.scores == {"s3": 0.5, "ser": 0.6}


def test_a_new_trial_has_no_look_and_no_score(ledger: Ledger):
    trial = ledger.record.trials[started(ledger, 0)]
    assert trial.look != trial.look
    assert trial.scores == {}


def test_a_resumed_trial_keeps_its_looks_and_adds_its_seconds(ledger: Ledger, monkeypatch: pytest.MonkeyPatch):
    clock = iter([100.0, 110.0, 130.0, 1000.0, 1005.0])
    monkeypatch.setattr("time.time", lambda: next(clock))
    trial = started(ledger, 0)
    ledger.append("look", trial=trial, step=50, look=0.25, losses={})
    ledger.append("trial_ended", trial=trial, state="interrupted", step=60, reason="stopped")
    started(ledger, 0)
    record = ledger.record.trials[trial]
    assert (record.state, record.reason, record.looks, record.step) == ("running", "", {50: 0.25}, 60)
    ledger.append("trial_ended", trial=trial, state="done", step=300, score=score(0.5))
    assert record.seconds == 35.0


def test_a_sweep_that_starts_again_has_not_ended(ledger: Ledger):
    ledger.append("sweep_started", space="mvt")
    ledger.append("sweep_ended", how="interrupted")
    ledger.append("sweep_started", space="mvt")
    assert ledger.record.ended == ""


def test_an_incomplete_last_line_is_ignored_wherever_it_is_cut(ledger: Ledger):
    ledger.append("sweep_started", space="mvt")
    before = ledger.path.read_bytes()
    started(ledger, 0)
    whole = ledger.path.read_bytes()
    for n_bytes in range(len(before), len(whole)):
        ledger.path.write_bytes(whole[:n_bytes])
        assert not read_ledger(ledger.path).trials
    ledger.path.write_bytes(whole)
    assert len(read_ledger(ledger.path).trials) == 1


def test_a_writer_continues_after_an_incomplete_line_and_loses_no_event(ledger: Ledger):
    started(ledger, 0)
    with open(ledger.path, "a") as stream:
        stream.write('{"time": 1, "event": "tri')
    reopened = Ledger(ledger.path)
    started(reopened, 1)
    assert [trial.index for trial in read_ledger(ledger.path).trials.values()] == [0, 1]


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "3",
        '"text"',
        "{}",
        "[" * 100_000,
        '{"event": "trial_started"}',
        '{"event": ["x"]}',
        '{"event": null}',
        '{"event": "look", "trial": "t0009-000000", "step": 1, "look": 0.1}',
    ],
)
def test_a_damaged_line_is_an_error_that_names_the_line(ledger: Ledger, line: str):
    ledger.append("sweep_started", space="mvt")
    with open(ledger.path, "a") as stream:
        stream.write(line + "\n")
    with pytest.raises(DamagedLedger, match=r"ledger\.jsonl line 2 is not a valid event "):
        read_ledger(ledger.path)


def test_an_appended_event_is_on_disk_when_append_returns(ledger: Ledger):
    event = ledger.append("floor", score=score(0.2))
    assert json.loads(ledger.path.read_text()) == event
    assert event["time"] > 1e9


def test_setting_the_clock_changes_no_trials_seconds(ledger: Ledger, monkeypatch: pytest.MonkeyPatch):
    clock = iter([1e9, 1e9 - 3600, 2e9, 1e9, 1.0])
    monkeypatch.setattr("time.time", lambda: next(clock))
    trial = started(ledger, 0)
    ledger.append("trial_ended", trial=trial, state="interrupted", seconds=20.0)
    started(ledger, 0)
    ledger.append("trial_ended", trial=trial, state="done", score={}, seconds=7.5)
    assert ledger.record.trials[trial].seconds == 27.5


def test_a_trial_whose_driver_was_killed_keeps_the_seconds_it_had_reported(ledger: Ledger):
    trial = started(ledger, 0)
    ledger.append("look", trial=trial, step=50, look=0.25, losses={"d_image": 2.0}, seconds=12.0)
    started(ledger, 0)  # of a new driver, after a kill
    ledger.append("look", trial=trial, step=100, look=0.25, losses={}, seconds=3.0)
    record = ledger.record.trials[trial]
    assert (record.seconds, record.losses, record.state) == (12.0, {"d_image": 2.0}, "running")
    ledger.append("trial_ended", trial=trial, state="done", score={}, seconds=5.0)
    assert record.seconds == 17.0


def test_an_event_that_does_not_fit_on_the_disk_leaves_no_trace(ledger: Ledger):
    started(ledger, 0)
    before = ledger.path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, hard))
    try:
        with pytest.raises(OSError, match="No space left"):
            started(ledger, 1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert ledger.path.read_bytes() == before
    assert list(ledger.record.trials) == ["t0000-abcdef"]
    started(ledger, 1)
    assert len(read_ledger(ledger.path).trials) == 2


def test_a_trial_that_starts_from_nothing_keeps_only_its_seconds(ledger: Ledger):
    trial = started(ledger, 0)
    ledger.append("look", trial=trial, step=50, look=0.25, losses={"d_image": 2.0}, health={"states": {}, "vitals": {}})
    ledger.append("trial_ended", trial=trial, state="out_of_memory", step=60, reason="MemoryError", log_tail="Traceback",
                  seconds=20.0)  # fmt: skip
    assert ledger.record.trials[trial].log_tail == "Traceback"
    started(ledger, 0, changed={"loop.batch_size": 8}, anew=True)
    record = ledger.record.trials[trial]
    assert (record.step, record.looks, record.losses, record.health, record.reason, record.log_tail) == (
        0, {}, {}, None, "", "",
    )  # fmt: skip
    assert (record.changed, record.seconds, record.state) == ({"loop.batch_size": 8}, 20.0, "running")
    assert read_ledger(ledger.path) == ledger.record


def ended_with_copies(ledger: Ledger, shares: list[float | None]) -> list[str]:
    """Trials with S3 of .1, .2, ..., and these shares of copies; None: measured by a version that did not look."""
    trials = []
    for index, share in enumerate(shares):
        trials.append(started(ledger, index))
        copies = {} if share is None else {"copies": {"share": share, "limit": 0.1, "n_samples": 200}}
        ended = {"state": "done", "step": 300, "score": score(0.1 * (index + 1)) | copies}
        ledger.append("trial_ended", trial=trials[-1], **ended)
    return trials


def test_a_trial_that_copies_is_passed_over_and_its_score_stays(ledger: Ledger):
    ledger.append("sweep_started", space="mvt_tsa", budget="smoke")
    older, honest, copying = ended_with_copies(ledger, [None, 0.1, 0.5])
    record = read_ledger(ledger.path)
    assert record.best is not None
    assert [trial.trial_id for trial in record.front] == [record.best.trial_id] == [honest]
    assert [trial.trial_id for trial in record.passed_over] == [copying]
    trial = record.trials[copying]
    assert (trial.state, trial.copies) == ("done", "50 % of its samples copy training clips")
    assert trial.scores == {"s3": pytest.approx(0.3)}
    assert record.trials[older].score.copies is None
    assert (record.trials[older].copies, record.trials[honest].copies) == ("", "")


def test_a_trial_that_copies_can_be_best_if_the_search_allows_it(ledger: Ledger):
    ledger.append("sweep_started", space="mvt_tsa", budget="smoke", best_may_copy=True)
    copying = ended_with_copies(ledger, [0.0, 0.5])[-1]
    record = read_ledger(ledger.path)
    assert record.best is not None
    assert (record.best.trial_id, record.passed_over) == (copying, [])


def test_trials_that_copy_and_score_worse_are_not_named(ledger: Ledger):
    ledger.append("sweep_started", space="mvt_tsa", budget="smoke")
    _, honest = ended_with_copies(ledger, [0.5, 0.0])
    record = read_ledger(ledger.path)
    assert record.best is not None
    assert (record.best.trial_id, record.passed_over) == (honest, [])


def test_without_an_honest_trial_there_is_no_best(ledger: Ledger):
    ledger.append("sweep_started", space="mvt_tsa", budget="smoke")
    copying = ended_with_copies(ledger, [0.2])
    record = read_ledger(ledger.path)
    assert (record.best, record.front) == (None, [])
    assert [trial.trial_id for trial in record.passed_over] == copying


@pytest.mark.parametrize("another_took_the_place", [False, True])
def test_a_ledger_that_was_moved_is_not_begun_again_at_its_old_place(ledger: Ledger, another_took_the_place: bool):
    old, moved = ledger.path.parent, ledger.path.parent.with_name("moved")
    started(ledger, 0)
    shutil.move(old, moved)
    if another_took_the_place:
        started(Ledger(ledger.path), 5)
    before = sorted(old.parent.rglob("*"))
    with pytest.raises(MovedExperiment, match=r"moved, deleted or replaced .* vgsearch resume FOLDER"):
        started(ledger, 1)
    assert sorted(old.parent.rglob("*")) == before
    assert list(ledger.record.trials) == ["t0000-abcdef"]
    again = Ledger(moved / "ledger.jsonl")
    started(again, 1)
    assert [trial.index for trial in read_ledger(again.path).trials.values()] == [0, 1]


def test_a_folder_moved_before_the_first_event_is_not_begun_again(ledger: Ledger):
    shutil.move(ledger.path.parent, ledger.path.parent.with_name("moved"))
    with pytest.raises(MovedExperiment):
        started(ledger, 0)
    assert not ledger.path.parent.exists()


def test_a_ledger_that_is_a_folder_is_named(tmp_path: Path):
    (tmp_path / "ledger.jsonl").mkdir()
    with pytest.raises(DamagedLedger, match=r"ledger.jsonl must be a readable file \(Is a directory\)"):
        read_ledger(tmp_path / "ledger.jsonl")


@pytest.mark.parametrize(
    ("number", "field", "value"),
    [
        (0, "objective", []), (0, "objective", ["s4"]), (0, "argv", "vgsearch"), (1, "index", True), (1, "overrides", [1]),
        (1, "time", "noon"), (1, "parent", {"trial": "t0"}), (2, "look", None), (2, "step", 1.5), (2, "losses", {"d": "x"}),
        (2, "health", {"states": ["x"], "vitals": None}), (2, "health", {"states": {}}), (3, "seconds", [1]),
        (3, "score", {"s3": {"mean": "high"}}), (3, "score", {"s3": {"mean": 0.5}, "n_test": "many"}),
        (3, "score", {"s3": {"mean": 0.5}, "over_training_seeds": {"s3": 1}}), (3, "reason", 7), (3, "state", None),
    ],
)  # fmt: skip
def test_a_field_of_another_type_is_named_with_its_line(ledger: Ledger, number: int, field: str, value: Any):
    ledger.append("sweep_started", space="mvt_tsa", budget="smoke", objective=["s3"], argv=["vgsearch"])
    trial = started(ledger, 0)
    ledger.append(
        "look", trial=trial, step=50, look=0.25, losses={"d_image": 2.0}, health={"states": {}, "vitals": None}
    )
    ledger.append("trial_ended", trial=trial, state="done", step=300, score=score(0.6), seconds=1.0)
    lines = [json.loads(line) for line in ledger.path.read_text().splitlines()]
    assert read_ledger(ledger.path) == ledger.record
    lines[number][field] = value
    ledger.path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(DamagedLedger, match=f"line {number + 1} is not a valid event"):
        read_ledger(ledger.path)
