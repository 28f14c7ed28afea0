"""A folder on an object store and this machine's copy of it, with a real S3 server on loopback."""

import os
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from vgsearch.experiment.opened_trial import appended_records, opened_checkpoint
from vgsearch.experiment.paths import OPENED, TrialFolder
from vgsearch.object_store.working_copy import HELD, WorkingCopy, copy_folder, used_copy
from videogan.config import ConfigurationError
from videogan.storage.places import RemotePath, place


@pytest.fixture
def kept(s3_bucket: str) -> RemotePath:
    return place(f"{s3_bucket}/{uuid.uuid4().hex[:8]}/t0001-abcdef")


def write(folder: Path, **contents: str) -> None:
    for name, content in contents.items():
        file = folder / name.replace("__", "/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)


def texts(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_one_machine_pulls_what_another_pushed_and_deletions_follow(kept: RemotePath, tmp_path: Path):
    here, there = WorkingCopy(tmp_path / "a", kept), WorkingCopy(tmp_path / "b", kept)
    write(here.folder, log="one", checkpoints__step1="first", checkpoints__step2="second")
    here.push()
    there.pull()
    assert texts(there.folder) == {"log": "one", "checkpoints/step1": "first", "checkpoints/step2": "second"}
    (here.folder / "checkpoints/step1").unlink()
    write(here.folder, log="one two", checkpoints__step3="third")
    here.push()
    there.pull()
    assert texts(there.folder) == {"log": "one two", "checkpoints/step2": "second", "checkpoints/step3": "third"}
    # The next attempt, on the other machine, continues and sends only new files.
    write(there.folder, checkpoints__step4="fourth")
    before = kept.files()
    there.push()
    after = kept.files()
    assert after.keys() - before.keys() == {"checkpoints/step4"}
    assert all(after[name] == stamp for name, stamp in before.items())


def test_only_wanted_files_are_copied_and_hidden_ones_never(kept: RemotePath, tmp_path: Path):
    here, there = WorkingCopy(tmp_path / "a", kept), WorkingCopy(tmp_path / "b", kept)
    write(here.folder, log="log", config="config", _="underscore")
    write(here.folder / ".ray", state="of Ray")
    (kept / ".lock").put(b"held")
    here.push(lambda name: name != "config")
    assert kept.files().keys() == {".lock", "log", "_"}
    there.pull(lambda name: name == "log")
    assert texts(there.folder) == {"log": "log"}
    write(there.folder, mine="stays")
    there.pull(lambda name: name == "log")
    assert texts(there.folder) == {"log": "log", "mine": "stays"}
    there.pull()
    assert texts(there.folder) == {"log": "log", "_": "underscore"}


class Observed(WorkingCopy):
    """Records the order in which files are uploaded."""

    def __init__(self, *given):
        super().__init__(*given)
        self.order: list[str] = []

    def _upload(self, name: str) -> None:
        self.order.append(name)
        super()._upload(name)


def test_a_checkpoint_is_sent_after_the_records_up_to_it(kept: RemotePath, tmp_path: Path):
    copy = Observed(tmp_path / "a", kept)
    write(copy.folder, checkpoints__step1="1", zzz="last by name", tb__events="events")
    copy.push()
    assert copy.order == ["tb/events", "zzz", "checkpoints/step1"]


def test_data_appended_after_a_push_is_sent_by_the_next_push(kept: RemotePath, tmp_path: Path):
    copy = WorkingCopy(tmp_path / "a", kept)
    write(copy.folder, log="one")
    copy.push()
    with open(copy.folder / "log", "a") as stream:
        stream.write(" two")
    copy.push()
    assert (kept / "log").read_bytes() == b"one two"


def test_a_folder_on_a_shared_disk_is_neither_copied_nor_deleted(tmp_path: Path):
    copy = WorkingCopy(tmp_path / "a")
    write(copy.folder, log="stays", checkpoints__step1="12345")
    copy.pull()
    copy.push()
    assert texts(copy.folder) == {"log": "stays", "checkpoints/step1": "12345"}
    assert copy.sizes("checkpoints") == {"step1": 5}
    copy.remove("checkpoints")
    assert texts(copy.folder) == {"log": "stays"}


def test_sizes_and_removal_concern_the_stored_files(kept: RemotePath, tmp_path: Path):
    copy = WorkingCopy(tmp_path / "a", kept)
    write(copy.folder, log="x", checkpoints__step1="12345", checkpoints__step2="123")
    copy.push()
    other = WorkingCopy(tmp_path / "b", kept)
    assert other.sizes("checkpoints") == {"step1": 5, "step2": 3}
    other.remove("checkpoints")
    assert kept.files().keys() == {"log"}
    assert other.sizes("checkpoints") == {}


def test_copies_of_two_addresses_have_different_folders_with_the_experiments_name(s3_bucket: str):
    folders = [copy_folder("viewed", place(f"{s3_bucket}/{runs}/mvt-001")) for runs in ("a", "b")]
    assert folders[0] != folders[1]
    assert {folder.name for folder in folders} == {"mvt-001"}


def test_a_file_deleted_between_listing_and_copying_is_skipped_after_a_new_listing(kept: RemotePath, tmp_path: Path):
    class Rotating(RemotePath):
        """Deletes step1 after the first listing, as a running trial's retention does."""

        def files(self):
            found = super().files()
            (self / "step1").unlink(missing_ok=True)
            return found

    copy = WorkingCopy(tmp_path / "a", kept)
    write(copy.folder, step1="1", step2="2")
    copy.push()
    late = WorkingCopy(tmp_path / "b", Rotating(kept.root, kept.key))
    late.pull()
    assert texts(late.folder) == {"step2": "2"}


def test_an_unchanged_file_is_not_downloaded_again(kept: RemotePath, tmp_path: Path):
    (kept / "log").put(b"content")
    copy = WorkingCopy(tmp_path / "a", kept)
    copy.pull()
    file = copy.folder / "log"
    inode = os.stat(file).st_ino
    time.sleep(0.01)
    copy.pull()
    assert os.stat(file).st_ino == inode


def test_copies_of_killed_processes_are_deleted_and_copies_in_use_stay(tmp_path: Path):
    for left in ("killed", "mine"):
        write(tmp_path / left, checkpoint="large")
        (tmp_path / left / HELD).touch()
    with used_copy(tmp_path / "other", tmp_path), used_copy(tmp_path / "mine", tmp_path):
        assert {path.name for path in tmp_path.iterdir()} == {"other", "mine"}
        assert texts(tmp_path / "mine").keys() == {HELD}, "an old copy is not trusted"
    assert list(tmp_path.iterdir()) == []


def test_copies_that_are_taken_and_left_at_the_same_time_do_not_delete_one_another(tmp_path: Path):
    def missing(number: int) -> int:
        """Takes a copy of its own again and again; how often it was not whole while it was held."""
        found = 0
        for turn in range(40):
            copy = tmp_path / f"{number}-{turn}"
            with used_copy(copy, tmp_path):
                (copy / "file").touch()
                found += not ((copy / HELD).exists() and (copy / "file").exists())
        return found

    with ThreadPoolExecutor(6) as threads:
        assert list(threads.map(missing, range(6))) == [0] * 6
    assert not list(tmp_path.glob("*-*"))


@pytest.fixture
def trial(kept: RemotePath) -> RemotePath:
    """A finished trial with checkpoints in an experiment."""
    trial = kept.parent / "mvt-001/trials/t0001-abcdef"
    (trial.parent.parent / "sweep.yaml").put(b"data: d")
    for name in (
        "metrics.jsonl",
        "status.json",
        "tb/0000.events",
        "checkpoints/step1.pt",
        "checkpoints/step2.pt",
        "log.txt",
    ):
        (trial / name).put(b"{}\n")
    return trial


def test_a_checkpoint_is_opened_with_its_trial_and_only_new_results_are_sent(trial: RemotePath):
    with opened_checkpoint(Path(str(trial / "checkpoints/step2.pt"))) as file:
        folder = TrialFolder.around(file)
        assert folder.address == trial
        assert {path.name for path in folder.checkpoints.iterdir()} == {"step2.pt"}
        assert (folder.folder.parent.parent / "sweep.yaml").read_text() == "data: d"
        (trial / "metrics.jsonl").put(b"{}\n{}\n")  # another process appends at the same time
        write(folder.folder, evaluations__step2__scores="1")
    assert (trial / "evaluations/step2/scores").read_bytes() == b"1"
    assert (trial / "metrics.jsonl").read_bytes() == b"{}\n{}\n"
    assert not file.exists(), "the largest file of the copy"


@pytest.mark.parametrize("path", ["mvt-001/best.pt", "mvt-001/trials/t0001-abcdef/checkpoints/step9.pt"])
def test_a_path_that_is_not_a_trials_checkpoint_is_refused_before_any_download(trial: RemotePath, path: str):
    bucket = trial.parent.parent.parent
    (bucket / "mvt-001/best.pt").put(b"")
    with (
        pytest.raises(ConfigurationError, match="must be the checkpoint of a trial"),
        opened_checkpoint(Path(str(bucket / path))),
    ):
        pass


def test_scores_are_appended_to_the_current_curves_but_not_while_the_trial_runs(trial: RemotePath):
    folder = TrialFolder.at(trial, OPENED)
    folder.working_copy.pull()
    (trial / "metrics.jsonl").put(b"{}\n{}\n")
    with appended_records(folder) as may:
        assert may
        with open(folder.metrics, "a") as stream:
            stream.write("score\n")
    assert (trial / "metrics.jsonl").read_bytes() == b"{}\n{}\nscore\n"
    (trial / "status.json").unlink()
    with appended_records(folder) as may:
        assert not may
