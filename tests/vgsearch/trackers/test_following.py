"""No tracker holds a search up or ends it: what fails says so once, what hangs is left behind."""

import threading
from pathlib import Path
from typing import Any

import pytest

from tests.vgsearch.trackers.events import DONE, FIRST, PRUNED, SEARCH, SECOND
from vgsearch.trackers import following as module
from vgsearch.trackers.contract import Tracker
from vgsearch.trackers.following import KINDS, checked_trackers, following, refuse_missing_trackers
from videogan.config import ConfigurationError

CALLS: list[tuple[Any, ...]] = []
GO_ON = threading.Event()


class Recorder(Tracker):
    """Keeps what it is told."""

    def begin(self, trial, settings):
        CALLS.append(("begin", trial, dict(settings)))

    def log(self, trial, step, values):
        CALLS.append(("log", trial, step, dict(values)))

    def end(self, trial, state, pictures):
        CALLS.append(("end", trial, state, pictures))

    def close(self):
        CALLS.append(("close",))


class Failing(Recorder):
    def begin(self, trial, settings):
        pass

    def log(self, trial, step, values):
        raise OSError("no route\nto the server")


class Hanging(Recorder):
    def begin(self, trial, settings):
        GO_ON.wait()


@pytest.fixture(autouse=True)
def kinds(monkeypatch: pytest.MonkeyPatch):
    CALLS.clear()
    for name, kind in {"recorder": Recorder, "failing": Failing, "hanging": Hanging}.items():
        monkeypatch.setitem(KINDS, name, kind)
    yield
    GO_ON.set()


def followed(names: list[str], events: list[dict[str, Any]], pictures: Path = Path("none")) -> None:
    with following(names, SEARCH, lambda trial: pictures / f"{trial}.gif") as follow:
        for event in events:
            follow(event)


def test_a_tracker_is_told_each_trials_values_looks_scores_and_end_in_order(tmp_path):
    (picture := tmp_path / f"{PRUNED}.gif").touch()
    followed(["recorder"], SECOND, tmp_path)
    of_done = [call for call in CALLS if call[1:2] == (DONE,)]
    assert of_done == [
        ("begin", DONE, {"paper_point": True, "model.sigma_a": 0.5, "model.constraint_d_video": "svc"}),
        ("log", DONE, 20, {"look": 0.2, "loss/d_image": 1.5}),
        ("log", DONE, 20, {"score/s3": 0.625}),
        ("end", DONE, "done", None),
    ]
    assert ("end", PRUNED, "pruned", picture) in CALLS
    assert CALLS[-1] == ("close",)


def test_a_tracker_that_fails_says_so_once_and_leaves_the_others_alone(capsys):
    followed(["failing", "recorder"], FIRST + SECOND)
    said = capsys.readouterr().err
    assert said == "note: --log failing stopped, the search goes on: OSError: no route to the server\n"
    assert CALLS[-1] == ("close",)
    assert sum(call[0] == "begin" for call in CALLS) == 4


def test_a_tracker_that_hangs_neither_holds_events_up_nor_keeps_the_search_from_ending(capsys, monkeypatch):
    monkeypatch.setattr(module, "SECONDS_AT_THE_END", 0.05)
    GO_ON.clear()
    followed(["hanging"], SECOND)
    assert "--log hanging stopped, the search goes on: still writing" in capsys.readouterr().err


def test_unknown_and_contradicting_trackers_are_refused_and_none_is_empty():
    assert checked_trackers(["wandb", "mlflow", "wandb"]) == ["wandb", "mlflow"]
    assert checked_trackers(["none"]) == checked_trackers([]) == []
    with pytest.raises(ConfigurationError, match=r"must be mlflow, wandb, trackio.* or none, got 'wandbb'"):
        checked_trackers(["wandbb"])
    with pytest.raises(ConfigurationError, match="turns all trackers off"):
        checked_trackers(["none", "wandb"])


def test_a_missing_extra_is_told_with_its_pip_command():
    with pytest.raises(ConfigurationError, match=r"--log recorder needs .* pip install 'vgsearch\[recorder\]'"):
        refuse_missing_trackers(["recorder"])
    refuse_missing_trackers([])
