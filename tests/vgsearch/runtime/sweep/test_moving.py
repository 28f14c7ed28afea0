"""A sweep that goes on on machines with other devices says what changes, and refuses workers that cannot train."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from tests.builders import tiny_sweep
from vgsearch.runtime.sweep.moving import AS_STARTED, OtherSettings, OtherWorkers
from vgsearch.runtime.sweep.resuming import FREE
from vgsearch.space.sweep import Sweep
from videogan.config import ConfigurationError


@pytest.fixture(scope="module")
def a_sweep() -> Sweep:
    return tiny_sweep()


@pytest.mark.parametrize(
    ("started", "moved", "n_gpus", "notes"),
    [
        ({}, AS_STARTED, 0, []),
        ({}, AS_STARTED, 2, ["train on CPUs, as the sweep started, and leave 2 GPUs idle; --gpus-per-worker 1 uses"]),
        ({}, OtherWorkers(gpus_per_worker=0), 2, []),
        ({}, OtherWorkers(gpus_per_worker=0.5), 2, ["train on GPUs from now on, before on CPUs"]),
        ({"gpus_per_worker": 1}, AS_STARTED, 2, []),
        ({"gpus_per_worker": 1}, OtherWorkers(gpus_per_worker=0), 0, ["train on CPUs from now on, before on GPUs"]),
        (
            {"gpus_per_worker": 1},
            OtherWorkers(n_workers=2),
            2,
            ["2 workers train a trial from now on, before 1; batch"],
        ),
    ],
)
def test_a_moved_sweep_says_what_changes(
    a_sweep: Sweep, started: dict, moved: OtherWorkers, n_gpus: float, notes: list[str]
):
    before = a_sweep.model_copy(update=started)
    found = moved.notes(before, n_gpus)
    assert len(found) == len(notes)
    for told, text in zip(found, notes, strict=True):
        assert told.startswith("note: ")
        assert text in told


def test_the_workers_of_a_resume_replace_those_of_the_sweep_and_are_checked(a_sweep: Sweep):
    before = a_sweep.model_copy(update={"n_workers": 2, "gpus_per_worker": 1})
    assert AS_STARTED.of(before) == before
    now = OtherWorkers(1, 0.5).of(before)
    assert (now.n_workers, now.gpus_per_worker) == (1, 0.5)
    assert now.model_copy(update={"n_workers": 2, "gpus_per_worker": 1}) == before
    assert OtherWorkers(1, 0.5).options == " --workers-per-trial 1 --gpus-per-worker 0.5"
    with pytest.raises(ConfigurationError, match="NCCL"):
        OtherWorkers(gpus_per_worker=0.5).of(before)


def test_the_settings_of_a_resume_replace_those_of_the_sweep_and_a_later_resume_accepts_them(a_sweep: Sweep):
    given = OtherSettings.of_options(Path("/new/data"), 3, "1h30m", 40.0, "target:0.8", "0.5GiB")
    now = given.of(a_sweep)
    assert (now.data, now.max_concurrent, now.time_budget_hours) == ("/new/data", 3, 1.5)
    assert (now.gpu_hours, now.stop_when, now.disk_budget_bytes) == (40.0, "target:0.8", 2**29)
    names = {each.name for each in fields(OtherSettings)}
    assert now.model_dump(exclude=names) == a_sweep.model_dump(exclude=names)
    assert names <= set(FREE)
    assert OtherSettings.of_options(*[None] * 6).of(a_sweep) == a_sweep


@pytest.mark.parametrize(
    ("place", "said"), [(2, "--time-budget must"), (4, "--stop-when must"), (5, "--disk-budget must")]
)
def test_a_setting_of_a_resume_that_cannot_be_read_is_refused(place: int, said: str):
    given: list[Any] = [None] * 6
    given[place] = "soon"
    with pytest.raises(ConfigurationError, match=said):
        OtherSettings.of_options(*given)
