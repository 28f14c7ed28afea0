"""vgsearch replay reads an experiment, prints tables that fit a terminal, and writes nothing."""

import io
import json
import sys
from pathlib import Path

import pytest
from rich.console import Console

from tests.builders import three_domains, tiny_sweep
from tests.recorded_trials import events_of, learns_late, near_the_paper, record_of
from vgsearch import cli
from vgsearch.replay.output import print_replay
from vgsearch.replay.request import ReplayRequest
from vgsearch.runtime.study.replay import replay

SWEEP = tiny_sweep(three_domains(), limits={"pruning": {"pruner": "median", "n_startup_trials": 3}})
EVENTS = events_of(SWEEP, 12, near_the_paper, learns_late)
QUICK = ("--trials", "4", "--parallel", "1", "--repeats", "20")


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    folder = tmp_path / "mvt_tsa-001"
    folder.mkdir()
    SWEEP.save(folder / "sweep.yaml")
    (folder / "ledger.jsonl").write_text("".join(json.dumps(event) + "\n" for event in EVENTS))
    return folder


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["vgsearch", "replay", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_prints_the_samplers_and_writes_nothing(experiment: Path, capsys, monkeypatch):
    before = files(experiment)
    assert run(monkeypatch, experiment, "--sampler", "random", *QUICK) == 0
    printed = capsys.readouterr().out
    assert "mvt_tsa-001   12 done trials   best S3 0." in printed
    assert "Samplers: 20 simulated searches of the 12 recorded trials" in printed
    assert "Pruners" not in printed
    assert files(experiment) == before


def test_json_has_every_setting_with_its_intervals(experiment: Path, capsys, monkeypatch):
    assert run(monkeypatch, experiment, "--pruner", "none", "--pruner", "median", *QUICK, "--json") == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["samplers"] is None
    none, *median = answer["pruners"]["settings"]
    assert none["setting"] == {"pruner": "none", "warm_up": 0}
    assert none["saved"] == {"mean": 0, "low": 0, "high": 0}
    assert [each["setting"]["warm_up"] for each in median] == [0, 50, 100, 150]
    assert len(answer["trials"]) == answer["pruners"]["n_trials"] == 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--sampler", "tpee"), "error: --sampler: there is no 'tpee' to replay; did you mean 'tpe'"),
        (("--pruner", "mediam"), "error: --pruner: there is no 'mediam' to replay; did you mean 'median'"),
        (("--sampler", "gp", *QUICK), "is a choice, which a Gaussian process can't model"),
        (("--sampler", "random", "--trials", "12"), "error: --trials 12: the table has 12 trials"),
    ],
)
def test_what_can_not_be_replayed_is_one_line(experiment: Path, capsys, monkeypatch, arguments, message):
    assert run(monkeypatch, experiment, *arguments) == 1
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line


def test_a_folder_without_a_sweep_is_named(tmp_path: Path, capsys, monkeypatch):
    assert run(monkeypatch, tmp_path) == 1
    assert "contains no sweep" in capsys.readouterr().err


@pytest.mark.parametrize("width", [80, 120])
def test_no_line_is_wider_than_the_terminal_and_no_number_is_cut(width: int):
    request = ReplayRequest(("random", "tpe"), ("none", "successive_halving"), (4, 8), (1, 4), 6)
    answer = replay("runs/mvt_tsa-001", SWEEP, record_of(EVENTS), request)
    text = io.StringIO()
    print_replay(answer, Console(file=text, width=width, highlight=False))
    assert max(map(len, text.getvalue().splitlines())) <= width
    assert "…" not in text.getvalue()
    rows = [line.split() for line in text.getvalue().splitlines() if line.startswith("successive_halving")]
    assert [row[1] for row in rows] == ["0", "50", "100", "150"]
    assert all(len(row) == 11 for row in rows), "each row is one line"
