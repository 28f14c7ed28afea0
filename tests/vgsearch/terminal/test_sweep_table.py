"""A sweep in a terminal: tables and lines for people, JSON for programs."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from vgsearch.experiment.ledger import GPU_LEFT_OUT, Ledger
from vgsearch.terminal.sweep_table import SweepView, event_line, phases, pruning_line, s3_cells, steps, sweep_table
from vgsearch.terminal.time_left import SCORING, TimeLeft
from vgsearch.terminal.trial import seconds_taken


def score(s3: float, ser: float = 0.581, res: float = 0.61) -> dict[str, Any]:
    return {"s3": {"mean": s3, "low": s3 - 0.02, "high": s3 + 0.02}, "ser": {"mean": ser}, "res": {"mean": res}}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "ledger.jsonl")


def start(ledger: Ledger, index: int) -> dict[str, Any]:
    overrides = {"optimiser.lr_g": 5e-5, "model.n_frames_image": 4}
    if index:
        overrides["model.n_clip"] = 5
    fields = {"trial": f"t{index:04d}-3fa9c1", "index": index, "overrides": overrides}
    return ledger.append("trial_started", **fields, is_paper_point=index == 0, n_steps=300)


def end(ledger: Ledger, index: int, state: str, **fields: Any) -> dict[str, Any]:
    return ledger.append("trial_ended", trial=f"t{index:04d}-3fa9c1", state=state, step=300, **fields)


def shown(ledger: Ledger, width: int = 240) -> list[str]:
    """The table's lines on a plain screen."""
    console = Console(file=io.StringIO(), width=width)
    console.print(sweep_table(ledger.record, width))
    return console.file.getvalue().splitlines()


def view(ledger: Ledger, n_trials: int = 8, **options: Any) -> SweepView:
    return SweepView(Console(file=io.StringIO(), **options), ledger.record, n_trials)


def test_the_table_shows_every_trial_in_order_and_marks_the_best_done_one(ledger: Ledger):
    for index in (1, 0, 2, 3):
        start(ledger, index)
    ledger.append(
        "look", trial="t0003-3fa9c1", step=50, look=0.9, losses={"d_image": 1.0, "d_video": 0.5, "g_image": 7}
    )
    end(ledger, 0, "done", score=score(0.62))
    end(ledger, 1, "done", score=score(0.66))
    end(ledger, 2, "pruned", reason="")
    header, *rows = shown(ledger)
    assert [row.split()[0] for row in rows] == ["t0000", "*t0001", "t0002", "t0003"]
    assert [row.split()[1] for row in rows] == ["done", "done", "pruned", "running"]
    assert "0.66 [0.64, 0.68]" in rows[1]
    assert "58.1/61.0" in rows[1]
    assert "paper point" in rows[0]
    assert "50/300" in rows[3]
    assert "90.0" in rows[3]
    assert " 1.50 " in rows[3]
    assert all(name in header.split() for name in ("lr_g", "n_frames_image", "n_clip"))
    n_clip = header.split().index("n_clip") - header.split().index("lr_g")
    assert rows[0].split()[rows[0].split().index("5e-05") + n_clip] == "-"


def test_a_trial_without_a_score_shows_its_reason(ledger: Ledger):
    start(ledger, 0)
    event = end(ledger, 0, "diverged", reason="g_image is not finite")
    assert "g_image is not finite" in shown(ledger)[1]
    assert event_line(event, ledger.record).startswith("t0000-3fa9c1 diverged at step 300  g_image is not finite")


def test_a_narrow_screen_keeps_scores_whole_and_names_the_values_it_leaves_out(ledger: Ledger):
    start(ledger, 0)
    end(ledger, 0, "done", score=score(0.62))
    header, row, *caption = shown(ledger, width=92)
    assert "0.62 [0.60, 0.64]" in row
    assert "n_frames_image" not in header.split()
    assert "n_frames_image" in " ".join(caption)
    assert len(shown(ledger)) == 2


@pytest.mark.parametrize("state", ["pruned", "out_of_memory"])
def test_80_columns_hold_id_state_step_look_score_and_health_whole(ledger: Ledger, state: str):
    for index in range(2):
        start(ledger, index)
        ledger.append("look", trial=f"t{index:04d}-3fa9c1", step=150, look=0.625, losses={"d_image": 1.0},
                      health={"states": {"exploding norms": "x"}, "vitals": {}})  # fmt: skip
    end(ledger, 0, "done", score=score(0.62))
    ledger.append("trial_ended", trial="t0001-3fa9c1", state=state, reason="no memory " * 9, step=150)
    lines = shown(ledger, 80)
    assert lines[0].split()[:6] == ["id", "state", "step", "look", "S3", "[95"]
    assert lines[1].split()[:7] == ["*t0000", "done", "300/300", "62.5", "0.62", "[0.60,", "0.64]"]
    assert lines[2].split()[:5] == ["t0001", state, "150/300", "62.5", "-"]
    assert all("exploding norms" in line for line in lines[1:3])
    assert all(len(line) <= 80 for line in lines)
    assert len(lines) == 4, "one line names the columns left out"


def test_steps_of_a_long_training_are_short(ledger: Ledger):
    start(ledger, 0)
    (trial,) = ledger.record.trials.values()
    trial.n_steps, trial.step = 100_000, 14_500
    assert steps(trial) == "14.5k/100k"


def test_a_line_says_what_each_running_trial_does(ledger: Ledger):
    for index in range(4):
        start(ledger, index)
    trials = list(ledger.record.trials.values())
    trials[1].step, trials[2].step, trials[2].phase = 150, 300, "scoring 18/24"
    end(ledger, 3, "done", score=score(0.62))
    line = phases(ledger.record)
    assert line == "t0000 starting   t0001 training 150/300   t0002 scoring 18/24"
    console = Console(file=io.StringIO(), force_terminal=True, width=80, height=20, color_system=None)
    console.print(SweepView(console, ledger.record, 8).renderable())
    assert line in console.file.getvalue().splitlines()[-3:][0]


def test_the_time_left_follows_the_steps_and_does_not_grow_while_work_is_done(ledger: Ledger):
    start(ledger, 0)
    (trial,) = ledger.record.trials.values()
    left, seen = TimeLeft(ledger.record, 4, began=1000.0), []
    assert left.seconds(1010.0) is None
    trial.step = 30
    assert left.seconds(1010.0) == pytest.approx(10 / 30 * (4 * 300 * (1 + SCORING) - 30))
    # Steps become slower, then the trial is scored, and takes longer for that than expected.
    for step, now in ((60, 1020.0), (90, 1100.0), (300, 1300.0), (300, 2000.0)):
        trial.step = step
        seen.append(left.seconds(now))
    assert seen == sorted(seen, reverse=True)
    end(ledger, 0, "done", score=score(0.5))
    assert left.seconds(2010.0) <= seen[-1]
    ledger.append("trial_started", trial=trial.trial_id, changed={"loop.batch_size": 8}, anew=True)
    trial.step = 3
    assert left.seconds(2020.0) > seen[-1], "all of the trial's work is to do again"


@pytest.mark.parametrize("width", [80, 120, 200])
def test_a_long_reason_hides_no_id_and_no_state(ledger: Ledger, width: int):
    start(ledger, 0)
    start(ledger, 1)
    end(ledger, 0, "done", score=score(0.62))
    end(ledger, 1, "out_of_memory", reason="RuntimeError: DefaultCPUAllocator: can't allocate memory " * 5)
    rows = [line for line in shown(ledger, width) if "t000" in line]
    assert [row.split()[:2] for row in rows] == [["*t0000", "done"], ["t0001", "out_of_memory"]]
    assert width < 120 or "0.62 [0.60, 0.64]" in rows[0]
    assert all(len(row) <= width for row in rows)


def test_a_retried_trial_shows_its_changed_settings(ledger: Ledger):
    start(ledger, 1)
    end(ledger, 1, "out_of_memory", reason="MemoryError")
    ledger.append("trial_started", trial="t0001-3fa9c1", changed={"loop.batch_size": 8}, anew=True)
    end(ledger, 1, "done", score=score(0.62))
    assert any("retried with batch_size=8" in line for line in shown(ledger))


def test_brackets_in_a_reason_are_text(ledger: Ledger):
    start(ledger, 0)
    event = end(ledger, 0, "failed", reason="KeyError: [/tmp] [bold]x")
    assert "KeyError: [/tmp] [bold]x" in shown(ledger)[1]
    log = view(ledger)
    log.print_event(event)
    assert "KeyError: [/tmp] [bold]x" in log.console.file.getvalue()


def test_each_event_is_one_line_for_a_log(ledger: Ledger):
    began = event_line(start(ledger, 0), ledger.record)
    assert began == "t0000-3fa9c1 started (paper point)  lr_g=5e-05 n_frames_image=4"
    looked = ledger.append("look", trial="t0000-3fa9c1", step=50, look=0.251, losses={})
    assert event_line(looked, ledger.record) == "t0000-3fa9c1 step 50/300  look 25.1"
    ended = event_line(end(ledger, 0, "done", score=score(0.62)), ledger.record)
    assert ended.startswith("t0000-3fa9c1 done at step 300  S3 0.62 [0.60, 0.64]  SeR/ReS 58.1/61.0  ")
    floor = event_line(ledger.append("floor", score=score(0.1)), ledger.record)
    assert floor == "floor   S3 0.10 [0.08, 0.12]  (an untrained generator of the paper's point)"
    assert event_line(ledger.append("sweep_ended", how="finished"), ledger.record) == ""


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_gpu_that_is_left_out_is_told_on_a_terminal_too(ledger: Ledger, is_terminal: bool):
    output = io.StringIO()
    console = Console(file=output, force_terminal=is_terminal, width=80, color_system=None)
    SweepView(console, ledger.record, 8).print_event(ledger.append(GPU_LEFT_OUT, why="GPU 0 of [10.0.0.1] is left out"))
    assert output.getvalue() == "GPU 0 of [10.0.0.1] is left out\n"


def test_a_log_gets_lines_and_a_terminal_gets_the_table(ledger: Ledger):
    event = start(ledger, 0)
    log, terminal = view(ledger), view(ledger, force_terminal=True, width=200)
    for seen in (log, terminal):
        with seen.live():
            seen.print_event(event)
    assert log.console.file.getvalue() == "t0000-3fa9c1 started (paper point)  lr_g=5e-05 n_frames_image=4\n"
    assert "started" not in terminal.console.file.getvalue()
    assert "t0000" in terminal.console.file.getvalue()


def test_programs_get_one_json_object_per_event_and_nothing_else(ledger: Ledger, capsys: pytest.CaptureFixture):
    json_view = SweepView(Console(stderr=True, force_terminal=True), ledger.record, 8, json_lines=True)
    with json_view.live():
        events = [start(ledger, 0), end(ledger, 0, "done", score=score(0.6))]
        for event in events:
            json_view.print_event(event)
    printed = capsys.readouterr()
    assert [json.loads(line) for line in printed.out.splitlines()] == events
    assert printed.err == ""


def test_the_summary_counts_what_has_ended_and_names_the_best(ledger: Ledger):
    for index in range(4):
        start(ledger, index)
    end(ledger, 0, "done", score=score(0.62))
    end(ledger, 1, "failed", reason="x")
    end(ledger, 2, "interrupted", reason="stopped")
    summary = view(ledger).summary()
    assert summary.startswith("2/8 trials   1 done 1 failed 1 running   best t0000 s3 0.62   ETA")


def with_objectives(ledger: Ledger, objective: list[str], *trials: tuple[dict[str, Any], dict[str, float]]) -> None:
    """A sweep for `objective` whose trials ended with these scores."""
    ledger.append("sweep_started", space="mvt_tsa", objective=objective)
    for index, (summary, measured) in enumerate(trials):
        start(ledger, index)
        end(ledger, index, "done", score=summary, scores=measured)


def test_two_objectives_are_both_shown_and_the_front_is_marked_and_named(ledger: Ledger):
    trials = [(score(s3), {"s3": s3, "cost": cost}) for s3, cost in ((0.5, 61.0), (0.4, 90.0), (0.66, 312.4))]
    with_objectives(ledger, ["s3", "-cost"], *trials)
    header, *rows = shown(ledger)
    assert [row.split()[0] for row in rows] == ["*t0000", "t0001", "*t0002"]
    assert "cost" in header.split()
    assert rows[2].split()[4:9] == ["0.66", "[0.64,", "0.68]", "58.1/61.0", "5m12s"]
    assert "   front t0000 t0002   ETA" in view(ledger).summary()


def test_data_without_classes_show_the_objective_and_no_s3(ledger: Ledger):
    with_objectives(
        ledger, ["-kvd"], *[({"kvd": {"mean": kvd}}, {"kvd": kvd, "cost": 9.0}) for kvd in (0.0312, 0.0041)]
    )
    looked = ledger.append("look", trial="t0001-3fa9c1", step=50, look=-0.0125, losses={})
    header, *rows = shown(ledger)
    assert "S3" not in header
    assert "SeR/ReS" not in header
    assert [row.split()[0] for row in rows] == ["t0000", "*t0001"]
    assert rows[1].split()[3:5] == ["-0.0125", "0.0041"]
    assert event_line(looked, ledger.record) == "t0001-3fa9c1 step 50/300  look -0.0125"
    assert "   best t0001 kvd 0.0041   ETA" in view(ledger).summary()
    floor = ledger.append("floor", score={"kvd": {"mean": 0.52, "real": 0.001}})
    assert event_line(floor, ledger.record) == "floor   kvd 0.52  (an untrained generator of the paper's point)"


def test_a_distance_is_shown_with_its_interval_and_a_running_search_for_it_without_columns_of_s3(ledger: Ledger):
    found = {"kvd": {"mean": 7.762, "low": -1.732, "high": 17.256}}
    with_objectives(ledger, ["-kvd"], (found, {"kvd": 7.762}))
    floor = ledger.append("floor", score={"kvd": {"mean": 27.0, "low": 1.8, "high": 52.2}})
    assert event_line(floor, ledger.record).startswith("floor   kvd 27.00 [1.80, 52.20]  ")
    assert "kvd 7.76 [-1.73, 17.26]" in event_line(
        end(ledger, 0, "done", score=found, scores={"kvd": 7.762}), ledger.record
    )
    assert "  7.76 [-1.73, 17.26]  " in shown(ledger, 80)[1]
    start(ledger, 1)
    assert not {"S3", "SeR/ReS"} & set(shown(ledger)[0].split())


def test_s3_is_shown_beside_another_objective_if_it_is_measured(ledger: Ledger):
    ledger.append("sweep_started", space="mvt_tsa", objective=["-fvd"])
    start(ledger, 0)
    summary = score(0.62) | {"fvd": {"mean": 310.517}}
    ended = event_line(end(ledger, 0, "done", score=summary, scores={"s3": 0.62, "fvd": 310.517}), ledger.record)
    assert ended.startswith("t0000-3fa9c1 done at step 300  S3 0.62 [0.60, 0.64]  SeR/ReS 58.1/61.0  fvd 310.52  ")
    assert {"S3", "fvd"} <= set(shown(ledger)[0].split())


def test_a_floor_that_could_not_be_measured_says_why(ledger: Ledger):
    floor = ledger.append("floor", score={"reason": "the floor could not be measured: out of memory"})
    assert event_line(floor, ledger.record).startswith("floor   the floor could not be measured: out of memory  (")


def test_the_estimate_after_a_resume_counts_this_drivers_trials_only(ledger: Ledger, monkeypatch: pytest.MonkeyPatch):
    start(ledger, 0)
    end(ledger, 0, "done", score=score(0.5))
    start(ledger, 1)
    ledger.append("trial_ended", trial="t0001-3fa9c1", state="interrupted", reason="stopped", step=0)
    monkeypatch.setattr("time.monotonic", lambda: 1000.0)
    resumed = view(ledger, n_trials=4)
    start(ledger, 1)
    monkeypatch.setattr("time.monotonic", lambda: 1060.0)
    assert "ETA -" in resumed.summary()
    end(ledger, 1, "done", score=score(0.5))
    assert "2/4 trials" in resumed.summary()
    assert "ETA 2m00s" in resumed.summary()


def test_the_saving_of_pruning_is_the_share_of_the_steps_of_done_and_pruned_trials(ledger: Ledger):
    for index in range(4):
        start(ledger, index)
    assert pruning_line(ledger.record) == "", "none was pruned"
    end(ledger, 0, "done", scores={"s3": 0.5})
    for index, state, step in ((1, "pruned", 150), (2, "diverged", 10)):
        ledger.append("trial_ended", trial=f"t{index:04d}-3fa9c1", state=state, step=step)
    assert ledger.record.steps_saved == 150 / 600, "neither diverged nor running trials count"
    assert pruning_line(ledger.record) == "pruning: 1 of 2 trials stopped early, 25 % of the steps saved"


def test_a_trial_without_s3_shows_dashes(ledger: Ledger):
    start(ledger, 0)
    assert s3_cells(ledger.record.trials["t0000-3fa9c1"]) == ("-", "-")


def look_event(ledger: Ledger, index: int, **states: str) -> dict[str, Any]:
    health = {"states": {name.replace("_", " "): evidence for name, evidence in states.items()}, "vitals": {}}
    fields = {"trial": f"t{index:04d}-3fa9c1", "step": 50, "look": 0.3, "losses": {}}
    return ledger.append("look", **fields, health=health)


def test_the_table_shows_the_worst_of_a_trials_health_and_a_log_line_the_evidence(ledger: Ledger):
    for index in (0, 1, 2):
        start(ledger, index)
    event = look_event(ledger, 1, mode_collapse="samples differ 0.05 times as much", frozen="90 % hardly move")
    assert "health" not in event_line(look_event(ledger, 0), ledger.record)
    header, *rows = shown(ledger)
    column = header.index("health")
    assert [row[column : column + 15].strip() for row in rows] == ["ok", "mode collapse", "-"]
    line = event_line(event, ledger.record)
    assert line.endswith("mode collapse: samples differ 0.05 times as much  frozen: 90 % hardly move")


def test_an_old_ledger_without_health_is_read(ledger: Ledger):
    start(ledger, 0)
    ledger.append("look", trial="t0000-3fa9c1", step=50, look=0.3, losses={})
    assert ledger.record.trials["t0000-3fa9c1"].worst_health == ""


def test_a_trial_that_started_by_a_clock_ahead_of_this_one_has_taken_no_negative_time(ledger: Ledger):
    start(ledger, 0)
    (trial,) = ledger.record.trials.values()
    assert seconds_taken(trial, now=trial.started - 3600) == 0.0
