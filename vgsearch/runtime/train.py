"""Trials on Ray Train: one Tune trial drives N data-parallel workers (gloo on CPUs, nccl on GPUs)."""

import math
import secrets
import time
import uuid
from typing import Any

import ray
import ray.train
from ray import tune
from ray._raylet import PlacementGroupID
from ray.train.torch import TorchTrainer, get_device, prepare_model

# Internals of Ray 2.60, which pyproject.toml pins: Ray frees the workers' placement group of a stopped trial through a
# detached actor a trial, which needs the dashboard's State API and gives up where it sees two Rays on a machine. A pruned
# trial then keeps its CPUs for ever. We mark the groups and free them ourselves (PlacementGroupReaper).
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.tune.integration.ray_train import TuneReportCallback
from ray.util.placement_group import PlacementGroup, placement_group_table, remove_placement_group

from vgsearch.artifacts import TrialFolder
from vgsearch.runtime import stream
from vgsearch.runtime.inputs import n_batches
from vgsearch.runtime.trial import Trial, TrialSpec, is_needed_to_go_on, own_copy, own_copy_in_use
from videogan.atomic import write_atomically
from videogan.config import parse_config
from videogan.data.storage import Place, file_names, place
from videogan.training.checkpoint import CheckpointFolder
from videogan.training.run_config import RunConfig
from videogan.training.shard import Shard

DRIVING = -1
"""Stands for a rank in the name of the driving process's own copy of a trial."""
MAX_WORKER_FAILURES = 1
MAX_CONTROLLER_FAILURES = 2
MOST_MARKED_BYTES = 2**24
"""So few that they count for nothing, and so many that no two attempts of the sweeps on a cluster share a number."""
SECONDS_BETWEEN_LOOKS = 1.0
SECONDS_OF_DYING = 6.0


def ray_train_trial(parameters: dict[str, Any]) -> None:
    """The Tune trial that only drives; its workers train, and rank 0's reports become the trial's."""
    spec = TrialSpec.from_parameters(parameters)
    config = parse_config(RunConfig, spec.config, spec.trial_id)
    n_workers, gpus = spec.inputs.n_workers, spec.inputs.gpus_per_worker
    worker = {"CPU": 1, "memory": _new_mark(spec.folder)} | ({"GPU": gpus} if gpus else {})
    # Ray Train keeps its own bookkeeping there, on this node: no checkpoint goes through it.
    driving = own_copy(spec, DRIVING)
    with own_copy_in_use(driving):
        Trainer(
            worker_loop,
            train_loop_config=parameters,
            scaling_config=ray.train.ScalingConfig(
                num_workers=n_workers, use_gpu=gpus > 0, resources_per_worker=worker
            ),
            datasets=_streams(spec, config, driving),
            dataset_config=stream.stream_data_config(),
            run_config=ray.train.RunConfig(
                # A name of its own for each attempt: with an old one Ray Train would resurrect that run's state, and
                # the trial's own checkpoints are the only truth about where it stands.
                name=f"{spec.trial_id}-{uuid.uuid4().hex[:8]}",
                storage_path=str(driving.folder / ".ray"),
                callbacks=[TuneReportCallback()],
                failure_config=ray.train.FailureConfig(
                    max_failures=MAX_WORKER_FAILURES, controller_failure_limit=MAX_CONTROLLER_FAILURES
                ),
            ),
        ).fit()


def worker_loop(parameters: dict[str, Any]) -> None:
    """One data-parallel worker of a trial."""
    spec = TrialSpec.from_parameters(parameters)
    context = ray.train.get_context()
    shard = Shard(context.get_world_rank(), context.get_world_size())

    def open_clips(config: RunConfig, first_batch: int) -> Any:
        if spec.inputs.cache:
            return spec.inputs.cached_clips(config, shard.rank, shard.n_ranks)
        own = ray.train.get_dataset_shard(stream.stream_name(shard.rank))
        return stream.StreamedClips(spec.inputs.stream_plan(config), own, shard.rank, shard.n_ranks)

    Trial(spec, ray.train.report, wrap=prepare_model, shard=shard, device=get_device()).run(open_clips)


def _streams(spec: TrialSpec, config: RunConfig, folder: TrialFolder) -> dict[str, Any] | None:
    """A stream for each rank from where the newest checkpoint stands; none where clips come out of the cache."""
    if spec.inputs.cache:
        return None
    folder.home.pull(is_needed_to_go_on)
    newest = CheckpointFolder(folder.checkpoints).newest()
    first_batch = (newest.step if newest else 0) * config.loop.n_d
    return stream.stream_datasets(
        spec.inputs.stream_plan(config), n_batches(config), first_batch, spec.inputs.n_workers
    )


def _marks(folder: str) -> Place:
    """A file for each attempt of a trial that has not been reaped, named by its mark."""
    return place(folder) / ".marks"


def _new_mark(folder: str) -> int:
    """An attempt's own number of bytes, which its workers ask for and by which their placement groups are known.

    Written down before the first of them can exist.
    """
    mark = 2 + secrets.randbelow(MOST_MARKED_BYTES)  # 1 is what the driving processes ask for
    write_atomically(_marks(folder) / str(mark), lambda stream: None)
    return mark


class Trainer(TorchTrainer):
    """TorchTrainer without the cleaner actor, whose work the reaper does."""

    def _create_default_callbacks(self) -> list[Any]:
        return [c for c in super()._create_default_callbacks() if not isinstance(c, PlacementGroupCleanerCallback)]


class PlacementGroupReaper(tune.Callback):
    """Frees the workers' placement groups of every attempt that ended, however it ended.

    Also those that come later: while Tune kills a trial, its controller may see its workers die, and start a new group of
    them, before it dies itself.
    """

    def __init__(self) -> None:
        self._ended: set[int] = set()
        self._looked = -math.inf

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self._ends(trial)

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self._ends(trial)

    def on_trial_recover(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self._ends(trial)

    def on_step_end(self, iteration: int, trials: list, **info: Any) -> None:
        if self._ended and time.monotonic() - self._looked > SECONDS_BETWEEN_LOOKS:
            self.reap()

    def on_experiment_end(self, trials: list, **info: Any) -> None:
        """Looks on for a while: nobody would after the last trial, whose controller may still be dying."""
        deadline = time.monotonic() + SECONDS_OF_DYING
        while self._ended and time.monotonic() < deadline:
            self.reap()
            time.sleep(SECONDS_BETWEEN_LOOKS / 2)

    def _ends(self, trial: Any) -> None:
        """All attempts of the trial so far are over."""
        marks = _marks(trial.config["folder"])
        for mark in filter(str.isdigit, file_names(marks)):
            self._ended.add(int(mark))
            (marks / mark).unlink()
        self.reap()

    def reap(self) -> None:
        """Frees what bears the mark of an attempt that ended."""
        self._looked = time.monotonic()
        for name, group in placement_group_table().items():
            marked = {bundle.get("memory") for bundle in group["bundles"].values()}
            if group["state"] != "REMOVED" and marked & self._ended:
                remove_placement_group(PlacementGroup(PlacementGroupID.from_hex(name)))
