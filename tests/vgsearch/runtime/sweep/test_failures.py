"""Every failure of a trial is named by its cause, also when Ray wraps the error or passes only its text."""

import errno
import os
import pickle
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
import ray
import torch
from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError, WorkerCrashedError
from ray.train import WorkerGroupError
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError

from tests.builders import tiny_sweep
from vgsearch.experiment.end import End
from vgsearch.experiment.ledger import TrialRecord
from vgsearch.experiment.paths import TrialFolder
from vgsearch.runtime.cluster.worker_errors import first_error, is_death, placed
from vgsearch.runtime.feed.inputs import Inputs
from vgsearch.runtime.judging.judge import Judge
from vgsearch.runtime.sweep import failures
from vgsearch.runtime.sweep.broken_device import BrokenDevice, refuse_broken
from vgsearch.runtime.sweep.driver import _tail
from vgsearch.runtime.sweep.failures import end_of_error, end_of_process, full_disk
from vgsearch.runtime.sweep.resuming import RETRIED, at_half_the_batch
from vgsearch.runtime.sweep.retries import MAX_FAILURES, Retries
from vgsearch.runtime.sweep.spec import TrialSpec
from vgsearch.runtime.sweep.trial import StopRequested, Trial, Unhealthy
from vgsearch.runtime.waits.failed_task import why_failed
from vgsearch.terminal.line import is_own, within_ray
from videogan.config import parse_config
from videogan.training.loop import Progress
from videogan.training.run_config import RunConfig


def raised(call) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011
        call()
    return caught.value


def save_to_full_disk() -> None:
    with open("/dev/full", "wb") as stream:
        torch.save({"weights": torch.zeros(100_000)}, stream)


@pytest.mark.parametrize(
    ("call", "end"),
    [
        (lambda: torch.empty(2**60), "out_of_memory"),
        (lambda: bytearray(2**62), "out_of_memory"),
        (save_to_full_disk, "interrupted"),
        (lambda: int("four"), "failed"),
        (lambda: Path("/nowhere/file").read_text(), "failed"),
    ],
    ids=["torch", "python", "full disk", "value", "no such file"],
)
def test_each_error_has_its_end(call, end: str):
    found = end_of_error(raised(call))
    assert found.state == end
    assert found.reason
    assert "\n" not in found.reason
    assert found.halts == (end == "interrupted")


def test_an_error_while_another_is_handled_keeps_its_cause():
    def writes() -> None:
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/full/step00000010.pt")
        except OSError:
            raise RuntimeError("unexpected pos 64 vs 0")  # noqa: B904 (as torch's writer does)

    assert end_of_error(raised(writes)).reason == "no space left for /full/step00000010.pt"


def test_what_rays_memory_monitor_kills_is_out_of_memory():
    assert end_of_process(OutOfMemoryError("Task was killed due to the node running low on memory."), 0).state == (
        "out_of_memory"
    )


def test_a_process_that_died_is_lost_unless_the_kernel_says_it_lacked_memory(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(failures, "_OOM_KILLS", tmp_path / "memory.events")
    (tmp_path / "memory.events").write_text("low 0\noom 3\noom_kill 2\n")
    # Ray's own text for any SIGKILL guesses at the kernel's OOM killer.
    died = RayActorError("", "The process is killed by SIGKILL by OOM killer due to high memory usage.")
    assert end_of_process(died, 2).state == "lost"
    assert end_of_process(died, 1).state == "out_of_memory"
    assert end_of_process(None, 2).state == "failed"


def fails_on_this_machine() -> None:
    """An error that no probe of the CUDA device follows well: a test machine has none."""
    raise RuntimeError("CUDA error: an illegal memory access was encountered\nmore lines")


def test_an_error_that_leaves_the_device_unusable_is_raised_to_end_the_process_and_names_the_gpu():
    error = raised(fails_on_this_machine)
    refuse_broken("cpu", error)  # a CPU stays usable
    if torch.cuda.is_available():
        refuse_broken("cuda", error)  # the device answers: the error was of the trial
        return
    broken = raised(lambda: refuse_broken("cuda", error))
    assert isinstance(broken, BrokenDevice)
    assert str(broken).startswith("GPU ? of ")
    assert str(broken).endswith("CUDA error: an illegal memory access was encountered")
    again = pickle.loads(pickle.dumps(broken))
    assert (again.gpu, again.reason, str(again)) == (broken.gpu, broken.reason, str(broken))
    assert raised(lambda: refuse_broken("cuda", broken)) is broken, "one process names its GPU once"
    assert end_of_process(broken, 0).state == "failed"


def failure_of(call, rank: int = 0) -> Exception:
    def on_worker() -> None:
        with placed(rank):
            call()

    return pickle.loads(pickle.dumps(raised(on_worker)))


def test_a_group_of_workers_is_told_by_the_error_of_the_one_that_failed_first_and_its_line():
    own = failure_of(fails_on_this_machine, 1)
    follows = RuntimeError("[/pytorch/third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer")
    group = WorkerGroupError("...", {1: own, 0: follows})
    end = end_of_error(first_error(group))
    assert end.state == "failed"
    assert end.reason.startswith("RuntimeError: CUDA error: an illegal memory access was encountered (worker 1, ")
    line = fails_on_this_machine.__code__.co_firstlineno + 2
    assert end.reason.endswith(f"test_failures.py:{line})")
    lacks = WorkerGroupError("...", {0: failure_of(lambda: torch.empty(2**60))})
    assert end_of_error(first_error(lacks)).state == "out_of_memory"


class LacksMemory(Trial):
    """A trial whose score does not fit into memory, however small its batches are."""

    def _score(self, judge: Judge) -> End:
        raise torch.OutOfMemoryError("CUDA out of memory.")


class Saves(Trial):
    """A trial that only counts its checkpoints."""

    saved = 0

    def _save(self, progress: Progress) -> None:
        self.saved += 1


class Stops(Trial):
    """A trial that is asked to stop while it is scored."""

    def _score(self, judge: Judge) -> End:
        raise StopRequested


def test_a_trial_whose_score_lacks_memory_keeps_its_training_for_a_retry(tmp_path: Path):
    sweep = tiny_sweep(overrides={"loop.batch_size": 16})
    config = sweep.run_config(sweep.paper_points[0], 0)
    spec = TrialSpec(
        "t", str(tmp_path / "t"), config.model_dump(mode="json"), {}, str(tmp_path / "stop"), Inputs("d", "p", "c")
    )
    judge = cast(Judge, object())  # no score reads it
    end = LacksMemory(spec, print)._scored_by_all(judge)
    assert end.state == "failed"
    assert end.reason.startswith("out of memory while it was scored; the training is kept, and resume --retry failed")
    assert "failed" in RETRIED["failed"]
    record = TrialRecord("t", 0, {}, state=end.state)
    assert at_half_the_batch(record, sweep) is None, "a smaller batch would train again, and score as before"
    assert LacksMemory(spec, print)._scored_by_all(None).is_done, "a rank that does not score"
    with pytest.raises(StopRequested):
        Stops(spec, print)._scored_by_all(judge)


def test_a_stop_of_one_trial_ends_it_as_pruned_and_of_the_sweep_as_interrupted(tmp_path: Path):
    sweep = tiny_sweep()
    config = sweep.run_config(sweep.paper_points[0], 0).model_dump(mode="json")
    own, whole = tmp_path / "own", tmp_path / "stop"
    spec = TrialSpec("t", str(tmp_path / "t"), config, {}, str(whole), Inputs("d", "p", "c"), own_stop_request=str(own))
    trial = Saves(spec, print)
    trial._stop_if_requested(cast(Progress, object()))
    assert not trial.saved
    whole.touch()
    with pytest.raises(StopRequested):
        trial._stop_if_requested(cast(Progress, object()))
    own.touch()
    with pytest.raises(Unhealthy, match="stopped by vgsearch stop"):
        trial._stop_if_requested(cast(Progress, object()))
    assert trial.saved == 2


def test_a_worker_that_died_is_lost_with_its_driving_task():
    died = WorkerGroupError("...", {0: WorkerHealthCheckFailedError("x", RayActorError())})
    found = first_error(died)
    assert is_death(found)
    assert not is_death(failure_of(lambda: int("four")))
    assert end_of_process(RayTaskError("f", "traceback", found), 10**9).state == "lost"


def test_errors_wrapped_by_ray_keep_their_end(ray_cluster):
    @ray.remote
    def fails(call) -> None:
        call()

    for call, end in ((lambda: torch.empty(2**60), "out_of_memory"), (lambda: int("four"), "failed")):
        error = raised(lambda call=call: ray.get(fails.remote(call)))
        assert isinstance(error, RayTaskError)
        found = end_of_process(pickle.loads(ray.cloudpickle.dumps(error)), 0)
        assert found.state == end
        assert found.reason.startswith(("RuntimeError", "ValueError: invalid literal"))


def test_a_task_whose_process_dies_has_a_reason_in_one_line(ray_cluster):
    died = raised(lambda: ray.get(ray.remote(max_retries=0)(lambda: os._exit(1)).remote()))
    assert isinstance(died, WorkerCrashedError)
    assert why_failed(died).startswith("its process died each time it was started, perhaps for lack of memory (Worker")
    assert "\n" not in why_failed(died)
    own = raised(lambda: ray.get(ray.remote(lambda: parse_config(RunConfig, {})).remote()))
    assert type(own).__module__ == "ray.exceptions"
    assert why_failed(own) == str(within_ray(own))
    assert is_own(within_ray(own))
    assert not is_own(within_ray(raised(lambda: ray.get(ray.remote(lambda: int("four")).remote()))))


def test_a_write_without_a_name_names_the_full_folder_of_temporary_files(monkeypatch, tmp_path: Path):
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert full_disk(full, "the files of runs/s") == "no space left for the files of runs/s"
    monkeypatch.setattr(failures, "BYTES_OF_A_FULL_DISK", 2**60)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert full_disk(full) == f"no space left for temporary files in {tmp_path}"


def test_the_end_of_a_long_log_is_kept(tmp_path: Path):
    folder = TrialFolder(tmp_path)
    assert _tail(folder) == ""
    folder.log.write_text("é" * 5000 + "\nlast line\n")
    assert _tail(folder).endswith("\nlast line\n")
    assert len(_tail(folder)) < 2100


@dataclass
class RunMetadata:
    """Ray Tune's failure counts of a trial."""

    num_failures: int = 0


@dataclass
class DyingTrial:
    """The fields of a Tune trial that retries use; retried up to `max_failures` failures, as Tune does."""

    trial_id: str = "t"
    max_failures: int = MAX_FAILURES
    run_metadata: RunMetadata = field(default_factory=RunMetadata)

    def dies(self, retries: Retries) -> bool:
        self.run_metadata.num_failures += 1
        goes_on = self.run_metadata.num_failures <= self.max_failures
        if goes_on:
            retries.on_trial_recover(1, [], self)
        return goes_on


@pytest.mark.parametrize(
    ("steps", "deaths"),
    [
        ([0, 0], [True, False]),
        ([10, 10, 10], [True, True, False]),
        ([10, 20, 30, 40], [True] * 4),
        ([0, 10, 20], [True] * 3),
        ([10, 10, 20], [True] * 3),
        ([10, 20, 20, 20], [True, True, True, False]),
    ],
)
def test_a_trial_is_retried_as_long_as_each_attempt_gets_further(steps: list[int], deaths: list[bool]):
    retries, trial = Retries(), DyingTrial()
    seen = []
    for step in steps:
        retries.on_trial_result(1, [], trial, {"step": step})
        seen.append(trial.dies(retries))
    assert seen == deaths
