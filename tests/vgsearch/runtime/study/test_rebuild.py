"""The ledger is authoritative: a killed driver or a missing database changes no proposal."""

import itertools
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FrozenTrial, TrialState
from ray.tune.search.searcher import Searcher

from tests.builders import CONSTRAINT, SIGMA_A, three_domains, tiny_sweep
from vgsearch.experiment.end import End
from vgsearch.experiment.ledger import Ledger, SweepRecord, read_events, read_ledger
from vgsearch.experiment.paths import Experiment
from vgsearch.runtime.study.proposal import Proposal
from vgsearch.runtime.study.rebuild import driven_study, study_of
from vgsearch.runtime.study.searcher import StudySearcher
from vgsearch.runtime.study.study import open_study
from vgsearch.runtime.sweep.resuming import left_to_do
from vgsearch.space.sweep import Sweep

N_STARTUP, N_TRIALS = 2, 14
HALVING = {"pruner": "successive_halving", "warm_up": 10, "smoothing": 2}
HYPERBAND = HALVING | {"pruner": "hyperband"}
MEDIAN = {"pruner": "median", "warm_up": 10, "n_startup_trials": 2, "smoothing": 2}


def a_sweep(pruning: dict[str, Any] = MEDIAN, objective: Any = "s3") -> Sweep:
    """Three domains of mvt_tsa, one of them conditional."""
    limits, overrides = {"n_startup_trials": N_STARTUP, "pruning": pruning}, {"evaluation.objective": objective}
    return tiny_sweep(three_domains(), limits=limits, overrides=overrides, n_trials=N_TRIALS)


class Killed(BaseException):
    """Simulates kill -9: nothing is written after it."""


class Book:
    """Writes the ledger as a driver does, and dies before or after its n-th line."""

    def __init__(self, ledger: Ledger, dies_before: int | None = None, dies_after: int | None = None,
                 then: dict[int, Callable[[], object]] | None = None) -> None:  # fmt: skip
        """`then` is what happens after a line."""
        self.ledger, self.before, self.after, self.n, self.then = ledger, dies_before, dies_after, 0, then or {}

    def begin(self, proposal: Proposal) -> dict[str, Any]:
        name = f"t{proposal.index:04d}-aaaaaa"
        self._append("trial_started", trial=name, index=proposal.index, overrides=proposal.overrides,
                     is_paper_point=proposal.is_paper_point, n_steps=30)  # fmt: skip
        return {"trial_id": name, "index": proposal.index, **proposal.overrides}

    def progressed(self, parameters: dict[str, Any], result: dict[str, Any]) -> None:
        if result["step"] not in self.ledger.record.trials[parameters["trial_id"]].looks:
            self._append("look", trial=parameters["trial_id"], step=result["step"], look=result["look"], losses={})

    def ended(self, parameters: dict[str, Any], end: End) -> None:
        self._append("trial_ended", trial=parameters["trial_id"], **end.to_event())

    def _append(self, event: str, **fields: Any) -> None:
        self.n += 1
        if self.n == self.before:
            raise Killed
        self.ledger.append(event, **fields)
        if self.n == self.after:
            raise Killed
        self.then.get(self.n, int)()


def drive(experiment: Experiment, sweep: Sweep, **events: Any) -> SweepRecord:
    """Runs one driver from the ledger's state: instant fake trials, one at a time, scored by their values."""
    ledger = Ledger(experiment.ledger)
    waiting = left_to_do(ledger.record, sweep)
    with driven_study(experiment.study, sweep, read_events(experiment.ledger)) as study:
        searcher = StudySearcher(study, sweep, waiting, Book(ledger, **events), ledger.record.next_index)
        for name in map(str, itertools.count()):
            chosen = searcher.suggest(name)
            if chosen == Searcher.FINISHED:
                break
            run_fake_trial(searcher, name, chosen)
    return read_ledger(experiment.ledger)


def run_fake_trial(searcher: StudySearcher, name: str, chosen: dict[str, Any]) -> None:
    if chosen["index"] % 5 == 3:
        return searcher.on_trial_complete(name, {"step": 7, "end": "diverged"})
    s3 = 1 - abs(chosen[SIGMA_A] - 0.3) + 0.1 * (chosen[CONSTRAINT] == "svc")
    # It starts at its newest checkpoint and reports its earlier looks again.
    for step in (10, 20, 30):
        if searcher.take(name, {"step": step, "look": s3 * step / 30, "losses": {}}):
            return searcher.on_trial_complete(name, {"step": step})
    scores = {"scores/s3": s3, "scores/cost": 100 * chosen[SIGMA_A]}
    return searcher.on_trial_complete(name, {"step": 30, "end": "done", **scores})


def outcome(record: SweepRecord) -> list[tuple[Any, ...]]:
    return [(t.index, t.state, t.overrides, t.looks, t.scores) for t in record.trials.values()]


def ends_in(experiment: Experiment, sweep: Sweep) -> dict[int, tuple[Any, ...]]:
    """How the study on disk remembers the newest start of each trial."""
    trials = open_study(experiment.study, sweep).trials
    return {
        trial.user_attrs["index"]: (trial.state, trial.values, trial.params, trial.intermediate_values)
        for trial in trials
        if "index" in trial.user_attrs
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Experiment, SweepRecord]:
    experiment = Experiment(tmp_path_factory.mktemp("whole"))
    return experiment, drive(experiment, a_sweep())


def test_the_sweep_under_test_reaches_tpe_prunes_and_fails(whole):
    _, record = whole
    assert len(record.trials) == N_TRIALS > N_STARTUP + 10, [t.state for t in record.trials.values()]
    assert {trial.state for trial in record.trials.values()} == {"done", "pruned", "diverged"}


@pytest.mark.parametrize(("moment", "n"), [("dies_before", 21), ("dies_after", 21), ("dies_after", 38)])
def test_a_driver_killed_at_any_line_of_the_ledger_resumes_with_the_same_proposals(whole, tmp_path: Path, n, moment):
    uninterrupted, record = whole
    experiment = Experiment(tmp_path)
    with pytest.raises(Killed):
        drive(experiment, a_sweep(), **{moment: n})
    assert outcome(drive(experiment, a_sweep())) == outcome(record)
    assert ends_in(experiment, a_sweep()) == ends_in(uninterrupted, a_sweep())


@pytest.mark.filterwarnings("ignore::videogan.storage.set_aside.DamagedFile")
@pytest.mark.parametrize("harm", ["deleted", "damaged", "behind", "a folder", "locked"])
def test_a_damaged_database_is_rebuilt_and_proposes_the_same(
    whole, tmp_path: Path, harm: str, monkeypatch: pytest.MonkeyPatch
):
    uninterrupted, record = whole
    experiment = Experiment(tmp_path)
    with pytest.raises(Killed):
        drive(experiment, a_sweep(), dies_after=20)
    behind = experiment.study.read_bytes()
    with pytest.raises(Killed):
        drive(experiment, a_sweep(), dies_after=17)
    other = sqlite3.connect(experiment.study)
    if harm == "locked":
        monkeypatch.setattr("vgsearch.runtime.study.rebuild.SECONDS_OF_A_LOCK", 0.1)
        other.execute("BEGIN EXCLUSIVE")
    elif harm in ("deleted", "a folder"):
        experiment.study.unlink()
        (experiment.study / "x").mkdir(parents=True) if harm == "a folder" else None
    else:
        experiment.study.write_bytes(behind if harm == "behind" else b"no database")
    assert outcome(drive(experiment, a_sweep())) == outcome(record)
    other.close()
    assert ends_in(experiment, a_sweep()) == ends_in(uninterrupted, a_sweep())
    assert not list(tmp_path.glob(".optuna*"))


LOCKS = """
import sqlite3, sys
other = sqlite3.connect(sys.argv[1], timeout=60)
other.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
input()
"""


@contextmanager
def other_program(study: Path) -> Iterator[tuple[Callable[[], object], Callable[[], object]]]:
    """Another process; yields what makes it lock the database, and what makes it end."""
    running: list[subprocess.Popen[str]] = []

    def lock() -> None:
        running.append(subprocess.Popen([sys.executable, "-c", LOCKS, study], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE))  # fmt: skip
        assert running[0].stdout
        assert running[0].stdout.readline() == "locked\n"

    def end() -> None:
        running[0].communicate("\n")

    yield lock, end
    if running[0].poll() is None:
        end()


@pytest.mark.parametrize("until", [30, 1000], ids=["for a while", "to the end"])
def test_a_database_that_another_process_locks_stops_no_sweep(
    whole, tmp_path: Path, until: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    uninterrupted, record = whole
    monkeypatch.setattr("vgsearch.runtime.study.study.SECONDS_OF_A_TRY", 0.01)
    for name in ("SECONDS_BETWEEN_TRIES", "SECONDS_AT_END", "FIRST_TOLD"):
        monkeypatch.setattr(f"vgsearch.runtime.study.mirror.{name}", 0.0)
    experiment = Experiment(tmp_path)
    with other_program(experiment.study) as (lock, end):
        assert outcome(drive(experiment, a_sweep(), then={10: lock, until: end})) == outcome(record)
        told = capsys.readouterr().err
        assert f"note: {experiment.study} could not be written for" in told
        assert "(database is locked); the sweep goes on without it" in told
        assert told.count("it misses nothing") == (until == 30)
        assert told.count("and the next start of this sweep writes them") == (until != 30)
    study_of(experiment.study, a_sweep(), read_events(experiment.ledger))  # as the next start does
    assert ("rebuilt from the ledger" in capsys.readouterr().err) == (until != 30)
    assert ends_in(experiment, a_sweep()) == ends_in(uninterrupted, a_sweep())


def test_a_trial_deleted_from_the_database_stops_no_sweep(whole, tmp_path: Path):
    _, record = whole
    experiment = Experiment(tmp_path)

    def delete() -> None:
        with sqlite3.connect(experiment.study) as other:
            other.execute("DELETE FROM trials")

    assert outcome(drive(experiment, a_sweep(), then={10: delete})) == outcome(record)


def rungs(trial: FrozenTrial) -> dict[str, Any]:
    return {name: value for name, value in trial.system_attrs.items() if name.startswith("completed_rung")}


@pytest.mark.parametrize(
    "sweep",
    [a_sweep(HALVING), a_sweep(HYPERBAND), a_sweep(objective=["s3", "-cost"])],
    ids=["halving", "hyperband", "front"],
)
def test_a_rebuilt_study_equals_the_original(tmp_path: Path, sweep: Sweep):
    experiment = Experiment(tmp_path)
    with pytest.raises(Killed):
        drive(experiment, sweep, dies_after=25)
    drive(experiment, sweep)
    study = open_study(experiment.study, sweep)
    trials, settings = study.trials, (study.directions, study.metric_names)
    experiment.study.unlink()
    after = study_of(experiment.study, sweep, read_events(experiment.ledger))
    assert [trial.number for trial in after.trials] == [trial.number for trial in trials]
    for one, other in zip(after.trials, trials, strict=True):
        for told_of in ("state", "values", "params", "intermediate_values", "user_attrs"):
            assert getattr(one, told_of) == getattr(other, told_of)
        assert rungs(one) == rungs(other)
    assert any(rungs(trial) for trial in trials) == (sweep.limits.pruning.pruner in ("successive_halving", "hyperband"))
    assert (after.directions, after.metric_names) == settings


def test_a_study_that_agrees_with_its_ledger_is_not_rewritten(whole):
    experiment, _ = whole
    before = experiment.study.stat().st_ino
    study_of(experiment.study, a_sweep(), read_events(experiment.ledger))
    assert experiment.study.stat().st_ino == before


def test_an_end_that_is_only_in_the_ledger_counts(tmp_path: Path):
    experiment = Experiment(tmp_path)
    with pytest.raises(Killed):
        drive(experiment, a_sweep(), dies_after=5)  # start, three looks, and the end that never reached the study
    assert [trial.state for trial in read_ledger(experiment.ledger).trials.values()] == ["done"]
    study = study_of(experiment.study, a_sweep(), read_events(experiment.ledger))
    assert [trial.state for trial in study.trials] == [TrialState.COMPLETE]
