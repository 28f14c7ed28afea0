"""A trial that copies training clips keeps its score and is named with the reason, but is nowhere called best."""

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from vgsearch.evaluation.confirmation import points_to_confirm
from vgsearch.experiment.ledger import Ledger, SweepRecord
from vgsearch.experiment.paths import Experiment
from vgsearch.runtime.sweep.result import print_result
from vgsearch.terminal.sweep_table import sweep_table, table_lines
from vgsearch.terminal.trial import print_trial
from videogan.config import ConfigurationError

FLAGGED = "50 % of its samples copy training clips"


def a_search(folder: Path, shares: list[float], **header: Any) -> SweepRecord:
    """Done trials with S3 of .1, .2, ..., the first the paper's point, and these shares of copies."""
    ledger = Ledger(folder / "ledger.jsonl")
    ledger.append("sweep_started", space="mvt_tsa", budget="smoke", objective=["s3"], **header)
    for index, share in enumerate(shares):
        name = f"t{index:04d}-abcdef"
        fields = {"overrides": {}, "is_paper_point": index == 0, "n_steps": 300}
        ledger.append("trial_started", trial=name, index=index, **fields)
        score = {"s3": {"mean": 0.1 * (index + 1), "low": None, "high": None}}
        copies = {"share": share, "limit": 0.05, "n_samples": 200, "split": "select"}
        ledger.append("trial_ended", trial=name, state="done", step=300, score=score | {"copies": copies})
    return ledger.record


def printed(show: Any) -> str:
    console = Console(file=io.StringIO(), width=200)
    show(console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_end_of_a_search_names_the_best_and_the_one_passed_over(tmp_path: Path):
    record = a_search(tmp_path, [0.0, 0.0, 0.5])
    text = printed(lambda console: print_result(record, Experiment.at(tmp_path), console))
    passed, reason = text.splitlines()[2:4]
    assert passed.startswith("passed over: S3 0.30")
    assert passed.endswith("t0002-abcdef")
    assert FLAGGED in reason
    assert "evaluation.best_may_copy=true" in reason
    assert any(line.startswith("best    S3 0.20") for line in text.splitlines())


def test_a_search_in_which_every_trial_copies_has_no_best(tmp_path: Path):
    record = a_search(tmp_path, [0.5])
    text = printed(lambda console: print_result(record, Experiment.at(tmp_path), console))
    assert "every scored trial copies training clips" in text
    with pytest.raises(ConfigurationError, match="every scored trial copies training clips, so there is nothing"):
        points_to_confirm(record, 3)


def test_the_table_marks_the_best_that_does_not_copy_and_says_which_does(tmp_path: Path):
    table = sweep_table(a_search(tmp_path, [0.0, 0.5]), 300)
    honest, copying = [line.plain for line in table_lines(table)][1:3]
    assert honest.startswith("*t0000")
    assert FLAGGED not in honest
    assert copying.startswith(" t0001")
    assert FLAGGED in copying


def test_show_says_what_was_measured(tmp_path: Path):
    record = a_search(tmp_path, [0.0, 0.5])
    trial = record.trials["t0001-abcdef"]
    folder = Experiment.at(tmp_path).trial(trial.trial_id)
    text = printed(lambda console: print_trial(record, trial, folder, console))
    assert "50 % of 200 samples (flagged above 5 %); it copies, so it is not called best" in text
    assert "the best of the sweep" not in text


def test_confirm_trains_no_trial_again_that_copies_except_the_papers_point(tmp_path: Path):
    record = a_search(tmp_path / "a", [0.5, 0.0, 0.5, 0.0])
    assert [point.index for point in points_to_confirm(record, 3)] == [3, 1, 0]
    allowed = a_search(tmp_path / "b", [0.5, 0.0, 0.5, 0.0], best_may_copy=True)
    assert [point.index for point in points_to_confirm(allowed, 3)] == [3, 2, 1, 0]
