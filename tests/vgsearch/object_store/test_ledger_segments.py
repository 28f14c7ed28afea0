"""A ledger on an object store: readers see whole lines, in few objects, from one writer."""

import json
import multiprocessing
import os
import socket
import uuid
from pathlib import Path

import pytest

from tests.waiting import wait_until
from vgsearch.experiment.ledger import Ledger, LedgerReader, read_ledger
from vgsearch.experiment.paths import DRIVEN, Experiment
from vgsearch.object_store import lease as lease_module
from vgsearch.object_store.lease import ExperimentInUse, Lease
from vgsearch.object_store.ledger_segments import MERGED, MissingSegments, Segments
from videogan.storage.places import RemotePath, StorageError, place


@pytest.fixture
def kept(s3_bucket: str) -> RemotePath:
    return place(f"{s3_bucket}/{uuid.uuid4().hex[:8]}/mvt-001")


@pytest.fixture(autouse=True)
def _no_race(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "SECONDS_OF_A_RACE", 0.0)


def started(number: int) -> dict:
    return {"trial": f"t{number}", "index": number, "overrides": {}, "is_paper_point": False, "n_steps": 10}


def test_every_line_is_read_once_and_in_order_across_merges(kept: RemotePath, tmp_path: Path):
    ledger, follower = Ledger(tmp_path / "ledger.jsonl", Segments(kept)), LedgerReader(kept)
    n = MERGED * 2 + 5
    seen = []
    for number in range(n):
        ledger.append("trial_started", **started(number))
        if number % 7 == 0:
            seen += follower.read()
    seen += follower.read()
    assert follower.read() == [], "nothing new is not a gap"
    assert [event["index"] for event in seen] == list(range(n))
    assert list(read_ledger(kept).trials) == [f"t{number}" for number in range(n)]
    assert len(kept.file_names()) == 2 + 5, "two merged segments and 5 single lines"


def test_merged_segments_are_merged_again(kept: RemotePath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("vgsearch.object_store.ledger_segments.MERGED", 3)
    ledger = Ledger(tmp_path / "ledger.jsonl", Segments(kept))
    for number in range(3 * 3 * 2 + 3 + 1):
        ledger.append("trial_started", **started(number))
    spans = sorted(kept.file_names())
    assert spans == [f"{a:09d}-{b:09d}.jsonl" for a, b in ((0, 8), (9, 17), (18, 20), (21, 21))]
    assert len(read_ledger(kept).trials) == 22


def test_a_driver_on_another_machine_continues_after_the_last_segment(kept: RemotePath, tmp_path: Path):
    first = Ledger(tmp_path / "a" / "ledger.jsonl", Segments(kept))
    for number in range(70):
        first.append("trial_started", **started(number))
    second = Ledger(tmp_path / "b" / "ledger.jsonl", Segments(kept))
    assert list(second.record.trials) == list(first.record.trials)
    second.append("trial_started", **started(70))
    assert (tmp_path / "b" / "ledger.jsonl").read_bytes().count(b"\n") == 71


@pytest.mark.parametrize("n_written_meanwhile", [1, 2 * MERGED])
def test_a_driver_that_wakes_after_another_took_over_writes_nothing(
    kept: RemotePath, tmp_path: Path, n_written_meanwhile: int
):
    first = Ledger(tmp_path / "a" / "ledger.jsonl", Segments(kept))
    for number in range(MERGED - 4):
        first.append("trial_started", **started(number))
    second = Ledger(tmp_path / "b" / "ledger.jsonl", Segments(kept))
    for number in range(n_written_meanwhile):
        second.append("trial_started", **started(1000 + number))
    before = kept.files()
    with pytest.raises(ExperimentInUse, match="another driver took over this experiment"):
        first.append("trial_started", **started(70))
    assert kept.files() == before, "even if the other driver merged its lines with earlier ones"
    assert len(first.record.trials) == MERGED - 4
    assert (tmp_path / "a" / "ledger.jsonl").read_bytes().count(b"\n") == MERGED - 4
    assert len(read_ledger(kept).trials) == MERGED - 4 + n_written_meanwhile


def test_a_repeated_append_of_the_same_line_is_accepted(kept: RemotePath, tmp_path: Path):
    segments = Segments(kept)
    segments.open()
    line = b'{"event": "x"}\n'
    segments.append(0, line)
    segments.append(0, line)
    with pytest.raises(ExperimentInUse):
        segments.append(0, b'{"event": "y"}\n')


def test_an_interrupted_merge_is_cleaned_up_and_no_line_is_read_twice(kept: RemotePath, tmp_path: Path):
    lines = [json.dumps({"time": 0.0, "event": "trial_started", **started(n)}).encode() + b"\n" for n in range(4)]
    for number, line in enumerate(lines):
        (kept / f"{number:09d}-{number:09d}.jsonl").put(line)
    (kept / "000000000-000000002.jsonl").put(b"".join(lines[:3]))
    assert list(read_ledger(kept).trials) == ["t0", "t1", "t2", "t3"]
    ledger = Ledger(tmp_path / "ledger.jsonl", Segments(kept))
    assert kept.file_names() == {"000000000-000000002.jsonl", "000000003-000000003.jsonl"}
    ledger.append("trial_started", **started(4))
    assert len(read_ledger(kept).trials) == 5


def test_a_gap_is_an_error_that_names_the_lines(kept: RemotePath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("vgsearch.object_store.ledger_segments.SECONDS_BETWEEN_TRIES", 0.0)
    ledger = Ledger(tmp_path / "ledger.jsonl", Segments(kept))
    for number in range(3):
        ledger.append("trial_started", **started(number))
    (kept / "000000001-000000001.jsonl").unlink()
    with pytest.raises(MissingSegments, match="lacks lines between 0 and 2"):
        read_ledger(kept)


def test_an_event_that_cannot_be_stored_leaves_no_trace(
    kept: RemotePath, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("vgsearch.object_store.retry.SECONDS", 0.0)
    ledger = Ledger(tmp_path / "ledger.jsonl", Segments(kept))
    ledger.append("trial_started", **started(0))
    gone = place("s3://no-such-bucket-here/runs")
    ledger._segments.folder = gone
    with pytest.raises(StorageError):
        ledger.append("trial_started", **started(1))
    ledger._segments.folder = kept
    ledger.append("trial_started", **started(1))
    assert list(read_ledger(kept).trials) == ["t0", "t1"] == list(ledger.record.trials)
    assert (tmp_path / "ledger.jsonl").read_bytes().count(b"\n") == 2


def test_an_experiment_on_an_object_store_has_one_driver(kept: RemotePath, monkeypatch: pytest.MonkeyPatch):
    experiment = Experiment.at(kept, DRIVEN)
    with Lease(kept / ".lock", str(kept)):
        with pytest.raises(ExperimentInUse, match=rf"{kept} is in use by process {os.getpid()} .* try again in \d+ s"):
            experiment.lock()
        monkeypatch.setattr(lease_module, "SECONDS", -1.0)
        experiment.lock().close()  # it was not renewed in time
        monkeypatch.undo()
    with experiment.lock():
        (kept / "sweep.yaml").put(b"space: x")
    with experiment.lock():
        assert experiment.sweep.read_text() == "space: x"
    assert not any(name.startswith(".clock") for name in kept.file_names())


def _hold(address: str, held: multiprocessing.Event) -> None:
    Lease(place(address), "x")
    held.set()
    os._exit(9)  # killed: the lease is not released


def test_the_lease_of_a_killed_process_of_this_machine_is_free(kept: RemotePath):
    context = multiprocessing.get_context("spawn")
    held = context.Event()
    process = context.Process(target=_hold, args=(str(kept / ".lock"), held))
    process.start()
    assert held.wait(300), "no lease was taken"
    process.join()
    assert (kept / ".lock").exists()
    with Lease(kept / ".lock", "x"):
        pass
    assert not (kept / ".lock").exists()


def test_a_lease_that_another_took_is_lost(kept: RemotePath, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lease_module, "SECONDS_BETWEEN_RENEWALS", 0.05)
    experiment = Experiment.at(kept, DRIVEN)
    with experiment.lock():
        experiment.refuse_lost()
        another = json.dumps({"token": "another", "host": "h", "pid": 1, "machine": "m"}).encode()

        def is_lost() -> bool:
            # Again and again: a renewal that was on its way may have written over it.
            (kept / ".lock").put(another)
            return experiment._lease.is_lost

        wait_until(is_lost, lambda: "the lease is not lost")
        with pytest.raises(ExperimentInUse, match="another driver took over"):
            experiment.refuse_lost()
    assert json.loads((kept / ".lock").read_bytes())["token"] == "another", "the other driver's lease stays"


class Torn(RemotePath):
    """An object that is replaced during every second read: the reader gets the end of the new one after the old."""

    reads = 0

    def read_bytes(self) -> bytes:
        Torn.reads += 1
        return super().read_bytes() + b'"m"}' * (Torn.reads % 2)


def test_a_lease_that_is_replaced_while_it_is_read_is_read_again(kept: RemotePath, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lease_module, "SECONDS_BETWEEN_RENEWALS", 0.05)
    where = Torn(kept.root, f"{kept.key}/.lock")
    with Lease(where, "x") as lease:
        read = Torn.reads
        wait_until(lambda: Torn.reads > read + 4, lambda: "the thread that renews the lease has ended")
        assert not lease.is_lost
    assert not (kept / ".lock").exists()


def test_a_lease_that_stays_unreadable_names_its_file(kept: RemotePath):
    (kept / ".lock").put(b"{}{}")
    with pytest.raises(StorageError, match=r"\.lock: a lease must be JSON; delete this file"):
        Lease(kept / ".lock", "x")


def test_a_process_of_another_machine_is_never_considered_dead(kept: RemotePath):
    (kept / ".lock").put(
        json.dumps({"token": "t", "host": socket.gethostname(), "pid": 4_000_000, "machine": "m"}).encode()
    )
    with pytest.raises(ExperimentInUse, match="process 4000000"):
        Lease(kept / ".lock", "x")


def test_a_lease_is_renewed_while_it_is_held(kept: RemotePath, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lease_module, "SECONDS_BETWEEN_RENEWALS", 0.05)
    with Lease(kept / ".lock", "x"):
        first = (kept / ".lock").stamp()
        wait_until(lambda: (kept / ".lock").stamp() != first, lambda: "the lease is not renewed")
        assert (kept / ".lock").stamp().mtime_ns > first.mtime_ns
