"""vgsearch show: what it prints about a trial, and what it refuses."""

import io
import json
import math
import re
import sys
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from vgsearch.cli import app
from vgsearch.experiment.chosen_checkpoint import find_trial
from vgsearch.experiment.ledger import Ledger
from vgsearch.experiment.paths import Experiment
from vgsearch.terminal.trial import print_trial, sparkline
from videogan.config import ConfigurationError

PAPER = {"optimiser.lr_g": 5e-5, "model.fold_div": 8}


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    return Experiment(tmp_path / "s")


@pytest.fixture
def ledger(experiment: Experiment) -> Ledger:
    ledger = Ledger(experiment.ledger)
    ledger.append("sweep_started", space="mvt_tsa", budget="smoke", objective=["s3"], n_trials=3)
    chosen = [PAPER, {**PAPER, "optimiser.lr_g": 1e-4, "model.n_clip": 5}, PAPER]
    for index, overrides in enumerate(chosen):
        ledger.append("trial_started", trial=f"t000{index}-abcdef", index=index, overrides=overrides,
                      is_paper_point=index == 0, n_steps=300)  # fmt: skip
    return ledger


def printed(ledger: Ledger, experiment: Experiment, trial: str) -> str:
    console = Console(file=io.StringIO(), width=300)
    print_trial(ledger.record, find_trial(ledger.record, trial), experiment.trial(trial), console)
    return console.file.getvalue()


def test_a_trial_is_found_by_a_unique_prefix_of_its_id(ledger: Ledger):
    assert find_trial(ledger.record, "t0001").index == 1
    assert find_trial(ledger.record, "t0002-abcdef").index == 2
    for written, problem in (("t000", "matches 3 trials"), ("t9", "there are 3, t0000-abcdef to"), ("", "no trial")):
        with pytest.raises(ConfigurationError, match=problem):
            find_trial(ledger.record, written)


def test_values_that_differ_from_the_papers_point_come_first(ledger: Ledger, experiment: Experiment):
    lines = [line.split() for line in printed(ledger, experiment, "t0001-abcdef").splitlines()]
    assert lines[1] == ["config", "optimiser.lr_g", "0.0001", "paper", "5e-05"]
    assert lines[2] == ["model.n_clip", "5", "paper", "-"]
    assert lines[3] == ["as", "the", "paper's", "point:", "fold_div", "8"]
    assert "the paper's point" in printed(ledger, experiment, "t0000-abcdef")


def test_the_reason_it_ended_and_its_last_log_lines_are_printed_unchanged(ledger: Ledger, experiment: Experiment):
    folder = experiment.trial("t0001-abcdef")
    folder.folder.mkdir(parents=True)
    folder.log.write_text("\n".join(["x" * 1700, *(f"line {n} [bold]" for n in range(29, 40))]))
    ledger.append("look", trial="t0001-abcdef", step=50, look=0.25, losses={"d_image": math.nan})
    ledger.append("trial_ended", trial="t0001-abcdef", state="failed", step=60, reason="KeyError: [/red] 'x'")
    text = printed(ledger, experiment, "t0001-abcdef")
    assert "failed at step 60/300" in text
    assert "why          KeyError: [/red] 'x'" in text
    assert "d_image -" in text
    assert "line 39 [bold]" in text
    assert f"{'x' * 200}... (1,500 more characters)\n" in text


def test_a_curve_has_one_bar_per_look_and_a_dot_for_a_value_that_is_not_finite():
    assert sparkline([0.0, 0.5, 1.0]) == "▁▅█"
    assert sparkline([0.3, 0.3]) == "▁▁"
    assert sparkline([0.0, math.nan, 1.0, math.inf]) == "▁·█·"
    assert sparkline([]) == ""


def test_bars_are_ascii_where_the_terminals_encoding_has_no_others(monkeypatch):
    for encoding, drawn in (("ascii", "_:#?"), ("latin-1", "_:#?"), ("utf-8", "▁▅█·")):
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding))
        assert sparkline([0.0, 0.5, 1.0, math.nan]) == drawn


def test_the_command_reads_only_the_ledger_and_accepts_the_trials_own_folder(ledger: Ledger, experiment: Experiment):
    ledger.append("look", trial="t0001-abcdef", step=50, look=0.25, losses={})
    for written in (experiment.folder / "t0001", experiment.trial("t0001-abcdef").folder):
        shown = CliRunner().invoke(app, ["show", str(written), "--json"])
        assert shown.exit_code == 0, shown.output
        assert json.loads(shown.stdout)["trial_id"] == "t0001-abcdef"
    refused = CliRunner().invoke(app, ["show", str(experiment.folder / "nothing" / "t0001")])
    assert "contains no sweep" in str(refused.exception)


def test_health_is_printed_with_its_evidence_and_measurements(ledger: Ledger, experiment: Experiment):
    states = {"D saturated": "D's loss 0.4 % of that of guessing", "frozen": "90 % hardly move"}
    for trial, found in (("t0001-abcdef", states), ("t0002-abcdef", {})):
        health = {"states": found, "vitals": {"loss_share": 0.004}}
        ledger.append("look", trial=trial, step=50, look=0.25, losses={}, health=health)
    lines = [line.strip() for line in printed(ledger, experiment, "t0001-abcdef").splitlines()]
    at = lines.index("health       D saturated: D's loss 0.4 % of that of guessing")
    assert lines[at + 1] == "frozen: 90 % hardly move"
    assert re.fullmatch(r"measured +D's loss, of that of guessing +0.4 %", lines[at + 2])
    assert "health       ok" in printed(ledger, experiment, "t0002-abcdef")
    assert "\nhealth " not in printed(ledger, experiment, "t0000-abcdef")


def test_deleted_checkpoints_are_reported_with_the_reason(ledger: Ledger, experiment: Experiment):
    ledger.append("checkpoints_dropped", trial="t0001-abcdef", bytes=1000, why="--disk-budget 4 MB")
    assert "checkpoints  deleted: --disk-budget 4 MB" in printed(ledger, experiment, "t0001-abcdef")
