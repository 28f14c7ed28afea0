"""A study proposes the same in every storage."""

import shutil
import sqlite3
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import optuna
import pytest

from tests.builders import tiny_sweep
from vgsearch.experiment.paths import Experiment
from vgsearch.runtime.study.rebuild import driven_study
from vgsearch.runtime.study.samplers import suggest_all
from vgsearch.runtime.study.study import open_study, replace_study
from vgsearch.runtime.sweep.tune import BrokenStudy, files_told
from vgsearch.space.sweep import Sweep, checked_storage
from videogan.config import ConfigurationError


def a_sweep(**settings: Any) -> Sweep:
    return tiny_sweep("mvt", **settings)


def proposed(study: optuna.Study, sweep: Sweep, indices: range) -> list[dict[str, Any]]:
    points = []
    for index in indices:
        study.sampler.begin(index)
        trial = study.ask()
        points.append(suggest_all(trial, sweep.searched))
        study.tell(trial, points[-1]["optimiser.lr_g"])
    return points


def test_a_study_in_a_journal_proposes_as_one_in_sqlite(tmp_path: Path):
    sqlite = proposed(open_study(tmp_path / "optuna.db", a_sweep()), a_sweep(), range(6))
    kept = a_sweep(storage=str(tmp_path / "studies.journal"), study_name="mvt-001-a")
    other = kept.model_copy(update={"study_name": "mvt-001-b"})
    first = proposed(open_study(tmp_path / "unused.db", kept), kept, range(4))
    assert open_study(tmp_path / "unused.db", other).trials == []
    assert first + proposed(open_study(tmp_path / "unused.db", kept), kept, range(4, 6)) == sqlite
    assert not (tmp_path / "unused.db").exists()


def test_a_copied_experiment_gets_its_own_study_in_a_shared_journal(tmp_path: Path):
    kept = a_sweep(storage=str(tmp_path / "studies.journal"), study_name="mvt-001-a")
    first = open_study(tmp_path / "first" / "optuna.db", kept)
    running = first.ask()
    copy = open_study(tmp_path / "copy" / "optuna.db", kept)
    assert copy.trials == []
    copy.add_trial(optuna.trial.create_trial(value=1.0))
    replace_study(tmp_path / "copy" / "optuna.db", kept, copy.trials)
    first.tell(running, 0.5)  # the copy has not closed it as a killed driver's
    assert [trial.value for trial in open_study(tmp_path / "first" / "optuna.db", kept).trials] == [0.5]
    assert [trial.value for trial in open_study(tmp_path / "copy" / "optuna.db", kept).trials] == [1.0]


def test_others_can_read_the_sqlite_study_while_the_driver_writes(tmp_path: Path):
    path = tmp_path / "optuna.db"
    study = open_study(path, a_sweep())
    with sqlite3.connect(path) as writer:
        assert writer.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        writer.execute("BEGIN IMMEDIATE")
        names = [row[0] for row in sqlite3.connect(path, timeout=0.1).execute("SELECT study_name FROM studies")]
    assert names == [study.study_name]


def test_a_database_that_another_program_locks_is_told_in_one_line_with_the_way_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("vgsearch.runtime.study.study.SECONDS_OF_A_TRY", 0.1)
    experiment, sweep = Experiment(tmp_path), a_sweep()
    study = open_study(experiment.study, sweep)
    other = sqlite3.connect(experiment.study)
    other.execute("BEGIN EXCLUSIVE")
    line = r"optuna\.db could not be .*database is locked.*: vgsearch resume "
    with pytest.raises(BrokenStudy, match=line) as told, files_told(experiment, sweep):
        study.ask()
    assert "\n" not in str(told.value)
    other.close()
    assert study.ask().number == 0


def test_a_study_is_in_its_own_file_whatever_its_folder_is_called(tmp_path: Path):
    for name in ("a?one", "a?two", "ci%2Fbranch", "{e}#f g:h@i"):
        (tmp_path / name).mkdir()
        study = open_study(tmp_path / name / "optuna.db", a_sweep())
        assert (tmp_path / name / "optuna.db").is_file()
        assert study.trials == []  # a?one and a?two shared theirs
        study.ask()
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("postgresql://me:secret@host/db", "holds a password"),
        ("postgresql://host/db?password=secret", "holds a password"),
        ("postgresql://me@host/db?sslpassword=secret", "holds a password"),
        ("postgresql://me:a/b#secret@host/db", "holds a password"),
        ("mysql://host/db?password=secret", r"got 'mysql://host/db\?password=\*\*\*'"),
        ("mysql://me:secret@host/db", "must be postgresql://user@host/database or a file that ends in .journal"),
        ("studies.db", "must be postgresql"),
    ],
)
def test_an_unknown_storage_or_one_with_a_password_is_refused_without_repeating_it(written: str, message: str):
    with pytest.raises(ConfigurationError, match=message) as caught:
        checked_storage(written)
    assert "secret" not in str(caught.value)


def test_a_server_that_does_not_answer_is_refused_with_the_way_to_give_a_password(tmp_path: Path):
    pytest.importorskip("psycopg", reason="no driver for PostgreSQL (extra postgresql)")
    with pytest.raises(ConfigurationError, match=r"127\.0\.0\.1:1/db cannot be opened: .*refused.*PGPASSWORD"):
        open_study(tmp_path / "optuna.db", a_sweep(storage="postgresql://me@127.0.0.1:1/db"))


@pytest.fixture
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The URL of a server of our own on a Unix socket, where PostgreSQL is installed."""
    pytest.importorskip("psycopg", reason="no driver for PostgreSQL (extra postgresql)")
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not programs or shutil.which("runuser") is None:
        pytest.skip("no PostgreSQL server is installed here")
    # Not under tmp_path, whose folders the server's own user can't enter.
    folder = Path(tempfile.mkdtemp(prefix="vgsearch-pg-"))
    shutil.chown(folder, "postgres")

    def run(program: str, *arguments: str) -> None:
        command = [
            "runuser",
            "-u",
            "postgres",
            "--",
            str(programs[-1] / program),
            "-D",
            str(folder / "data"),
            *arguments,
        ]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    run("initdb", "-A", "trust", "-U", "searcher", "--no-sync")
    run("pg_ctl", "start", "-w", "-o", f"-c listen_addresses= -c unix_socket_directories={folder}")
    yield f"postgresql://searcher@/postgres?host={folder}"
    run("pg_ctl", "stop", "-m", "immediate")
    shutil.rmtree(folder)


@pytest.mark.slow
def test_a_study_on_a_postgresql_server_proposes_as_one_in_sqlite(postgresql: str, tmp_path: Path):
    sqlite = proposed(open_study(tmp_path / "optuna.db", a_sweep()), a_sweep(), range(6))
    kept = a_sweep(storage=postgresql, study_name="mvt-001-a")
    first = proposed(open_study(tmp_path / "unused.db", kept), kept, range(4))
    assert first + proposed(open_study(tmp_path / "unused.db", kept), kept, range(4, 6)) == sqlite


@pytest.mark.slow
def test_a_lock_and_a_lost_connection_of_a_server_change_no_proposal(
    postgresql: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    import psycopg

    monkeypatch.setattr("vgsearch.runtime.study.study.SECONDS_OF_A_TRY", 0.05)
    monkeypatch.setattr("vgsearch.runtime.study.mirror.SECONDS_BETWEEN_TRIES", 0.0)
    sqlite = proposed(open_study(tmp_path / "optuna.db", a_sweep()), a_sweep(), range(6))
    kept = a_sweep(storage=postgresql, study_name="mvt-001-a")
    with driven_study(tmp_path / "unused.db", kept, []) as study, psycopg.connect(postgresql, autocommit=True) as other:
        first = proposed(study, kept, range(2))
        with other.transaction():
            other.execute("LOCK TABLE trials IN ACCESS EXCLUSIVE MODE")
            first += proposed(study, kept, range(2, 4))
        others = "pid <> pg_backend_pid() AND datname = current_database()"
        other.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}")
        assert first + proposed(study, kept, range(4, 6)) == sqlite
    assert [trial.params for trial in open_study(tmp_path / "unused.db", kept).trials] == [
        trial.params for trial in open_study(tmp_path / "optuna.db", a_sweep()).trials
    ]
