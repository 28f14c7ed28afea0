"""A ledger on an object store: readers see whole lines, in few objects, from one writer."""

import json
import multiprocessing
import os
import socket
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.s3_server import Holding
from tests.waiting import wait_until
from vgsearch.experiment.ledger import Ledger, LedgerReader, read_ledger
from vgsearch.experiment.names import reserved_name
from vgsearch.experiment.paths import DRIVEN, Experiment
from vgsearch.object_store import conditional
from vgsearch.object_store import lease as lease_module
from vgsearch.object_store.lease import ExperimentInUse, Lease
from vgsearch.object_store.ledger_segments import MERGED, MissingSegments, Segments
from videogan.storage.places import RemotePath, StorageError, place


@pytest.fixture
def kept(s3_bucket: str) -> RemotePath:
    return place(f"{s3_bucket}/{uuid.uuid4().hex[:8]}/mvt-001")


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


class Interrupted(Segments):
    """Segments of a driver that is suspended after it has listed them, while another driver writes."""

    meanwhile: Callable[[], object] = staticmethod(lambda: None)

    def _listed(self) -> list[tuple[int, int]]:
        spans, meanwhile = super()._listed(), self.meanwhile
        self.meanwhile = lambda: None
        meanwhile()
        return spans


@pytest.mark.parametrize("n_written_meanwhile", [1, MERGED + 1])
def test_of_two_drivers_one_is_told_whenever_the_other_is_suspended(
    kept: RemotePath, tmp_path: Path, n_written_meanwhile: int
):
    suspended = Interrupted(kept)
    first = Ledger(tmp_path / "a" / "ledger.jsonl", suspended)
    first.append("trial_started", **started(0))
    second = Ledger(tmp_path / "b" / "ledger.jsonl", Segments(kept))
    told = []

    def write(ledger: Ledger, *numbers: int) -> None:
        try:
            for number in numbers:
                ledger.append("trial_started", **started(number))
        except ExperimentInUse:
            told.append(ledger)

    suspended.meanwhile = lambda: write(second, *range(1000, 1000 + n_written_meanwhile))
    write(first, 1)
    assert len(told) == 1
    (survivor,) = {first.path: first, second.path: second}.keys() - {told[0].path}
    events = [json.loads(line) for line in survivor.read_bytes().splitlines()]
    assert LedgerReader(kept).read() == events, "every event that a driver took for written is in the store"


def test_of_two_processes_that_take_a_free_lease_at_once_one_is_refused(
    kept: RemotePath, monkeypatch: pytest.MonkeyPatch
):
    taken = []

    def read_then_wait(where: RemotePath) -> tuple[bytes, dict[str, str]] | None:
        found = conditional.read(where)
        monkeypatch.setattr(lease_module, "read", conditional.read)
        taken.append(Lease(where, "x"))  # by another process, after this one found it free
        return found

    monkeypatch.setattr(lease_module, "read", read_then_wait)
    with pytest.raises(ExperimentInUse, match=rf"x is in use by process {os.getpid()} on .*, last seen 0 s ago"):
        Lease(kept / ".lock", "x")
    (holder,) = taken
    with holder:
        assert json.loads((kept / ".lock").read_bytes())["token"] == holder._token


def test_a_storage_without_conditions_is_refused(s3: tuple[str, Holding], kept: RemotePath):
    s3[1].ignores_conditions = True
    try:
        with pytest.raises(StorageError, match=r"\.lock: this storage ignores the condition If-None-Match"):
            Lease(kept / ".lock", "x")
    finally:
        s3[1].ignores_conditions = False
    assert kept.file_names() == set()


def test_an_object_is_created_once_and_replaced_only_by_who_read_it_last(kept: RemotePath):
    one = conditional.create(kept / "x", b"1")
    for write in (
        lambda: conditional.create(kept / "x", b"2"),
        lambda: conditional.replace(kept / "x", b"2", {"e_tag": '"another"'}),
        lambda: conditional.replace(kept / "none", b"2", one),
    ):
        with pytest.raises(conditional.Changed):
            write()
    assert conditional.read(kept / "x") == (b"1", one)
    two = conditional.replace(kept / "x", b"2", one)
    assert (conditional.read(kept / "x"), conditional.read(kept / "none")) == ((b"2", two), None)
    with pytest.raises(conditional.Changed):
        conditional.replace(kept / "x", b"3", one)
    with pytest.raises(StorageError, match=r"no-such-bucket-here/x: .* Check the address"):
        conditional.create(place("s3://no-such-bucket-here/x"), b"1")


def test_a_request_that_is_never_answered_is_sent_again(
    s3: tuple[str, Holding], kept: RemotePath, monkeypatch: pytest.MonkeyPatch
):
    conditional.create(kept / "x", b"1")
    monkeypatch.setattr(conditional, "SECONDS_OF_AN_ANSWER", 1)
    conditional._store.cache_clear()
    s3[1].silence = f"{kept.key}/x"
    found = conditional.read(kept / "x")
    conditional._store.cache_clear()
    assert s3[1].silence is None, "the request came"
    assert found is not None
    assert found[0] == b"1"


def test_keys_of_a_profile_are_used_unless_the_environment_has_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "credentials"
    file.write_text("[default]\naws_access_key_id = a\n[lab]\naws_access_key_id = b\naws_secret_access_key = c%d\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    assert conditional._settings("bucket") == {"aws_access_key_id": "a"}
    monkeypatch.setenv("AWS_PROFILE", "lab")
    assert conditional._settings("bucket") == {"aws_access_key_id": "b", "aws_secret_access_key": "c%d"}
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of the environment")
    assert conditional._settings("bucket") == {}


def test_names_taken_at_once_on_an_object_store_differ(kept: RemotePath):
    out, taken = kept.parent, threading.Barrier(3)

    def take(_: int) -> str:
        with reserved_name(out, None, "mvt") as name:
            taken.wait(60)  # all three hold their names
            return name

    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(take, range(3))) == ["mvt-001", "mvt-002", "mvt-003"]
    assert out.files() == {}
