"""The end of a sweep: its verdict, and next commands that exist and name what the sweep wrote."""

import io
import shlex
from pathlib import Path

import typer
from rich.console import Console

from vgsearch import cli
from vgsearch.experiment.ledger import Ledger, SweepRecord
from vgsearch.experiment.paths import Experiment
from vgsearch.runtime.sweep.result import print_result


def searched(folder: Path, *states: str) -> SweepRecord:
    """A trial for each state, the first the paper's point; done ones have an S3 of .5, .6, ..."""
    ledger = Ledger(folder / "ledger.jsonl")
    ledger.append("sweep_started", space="mvt_tsa", budget="smoke", objective=["s3"])
    for index, state in enumerate(states):
        name, s3 = f"t{index:04d}-abcdef", 0.5 + 0.1 * index
        fields = {"overrides": {"optimiser.lr_g": 1e-4}, "is_paper_point": index == 0, "n_steps": 300}
        ledger.append("trial_started", trial=name, index=index, **fields)
        score = {"s3": {"mean": s3, "low": s3 - 0.1, "high": s3 + 0.1}, "n_test": 16, "n_groups": 4, "split": "select"}
        ledger.append("trial_ended", trial=name, state=state, step=300, **({"score": score} if state == "done" else {}))
    ledger.append("floor", score={"s3": {"mean": 0.5, "low": 0.2, "high": 0.8}})
    return ledger.record


def printed(record: SweepRecord, folder: Path) -> list[str]:
    console = Console(file=io.StringIO(), width=80)
    print_result(record, Experiment.at(folder), console)
    return console.file.getvalue().splitlines()


def test_a_sweep_ends_with_its_verdict_and_names_report_confirm_and_show(tmp_path: Path):
    lines = printed(searched(tmp_path, "done", "done", "pruned"), tmp_path)
    (said,) = [line for line in lines if line.startswith("verdict")]
    assert "not distinguishable from an untrained generator: 16 select clips of 4 groups" in said
    first = next(at for at, line in enumerate(lines) if line.startswith("next "))
    named = [shlex.split(line.removeprefix("next"))[:3] for line in lines[first:]]
    place = str(tmp_path)
    assert named[:5] == [
        ["vgsearch", "report", place],
        ["vgsearch", "confirm", place],
        ["vgsearch", "show", f"{place}/t0001"],
        ["vgsearch", "evaluate", place],
        ["vgsearch", "sample", place],
    ]
    commands = typer.main.get_command(cli.app).commands
    assert {words[1] for words in named if words[0] == "vgsearch"} <= set(commands)


def test_a_sweep_without_a_score_names_status_and_no_checkpoint(tmp_path: Path):
    lines = printed(searched(tmp_path, "diverged", "pruned"), tmp_path)
    assert lines[-1] == f"no trial was scored; why each ended: vgsearch status {tmp_path}"
