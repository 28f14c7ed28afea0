"""Trials on Ray Train: one Tune trial drives N data-parallel workers (gloo on CPUs, nccl on GPUs)."""

import uuid
from pathlib import Path
from typing import Any

import ray
import ray.train
from ray import tune
from ray._raylet import PlacementGroupID
from ray.train.torch import TorchTrainer, get_device, prepare_model

# Internals of Ray 2.60, which pyproject.toml pins: Ray frees the workers' placement group of a stopped trial through a
# detached actor a trial, which needs the dashboard's State API and gives up where it sees two Rays on a machine. A pruned
# trial then keeps its CPUs for ever. We record the group and free it ourselves (PlacementGroupReaper).
from ray.train.v2._internal.callbacks.placement_group_callback import PlacementGroupCleanerCallback
from ray.train.v2._internal.execution.callback import WorkerGroupCallback
from ray.tune.integration.ray_train import TuneReportCallback
from ray.util.placement_group import PlacementGroup, remove_placement_group

from vgsearch.artifacts import TrialFolder
from vgsearch.runtime import stream
from vgsearch.runtime.inputs import n_batches
from vgsearch.runtime.trial import Trial, TrialSpec
from videogan.config import parse_config
from videogan.training.checkpoint import CheckpointFolder
from videogan.training.run_config import RunConfig
from videogan.training.shard import Shard

MAX_WORKER_FAILURES = 1
MAX_CONTROLLER_FAILURES = 2


def ray_train_trial(parameters: dict[str, Any]) -> None:
    """The Tune trial that only drives; its workers train, and rank 0's reports become the trial's."""
    spec = TrialSpec.from_parameters(parameters)
    config = parse_config(RunConfig, spec.config, spec.trial_id)
    n_workers, gpus = spec.inputs.n_workers, spec.inputs.gpus_per_worker
    worker = {"CPU": 1, "GPU": gpus} if gpus else {"CPU": 1}
    Trainer(
        worker_loop,
        train_loop_config=parameters,
        scaling_config=ray.train.ScalingConfig(num_workers=n_workers, use_gpu=gpus > 0, resources_per_worker=worker),
        datasets=_streams(spec, config, n_workers),
        dataset_config=stream.stream_data_config(),
        run_config=ray.train.RunConfig(
            # A name of its own for each attempt: with an old one Ray Train would resurrect that run's state, and
            # the trial's own checkpoints are the only truth about where it stands.
            name=f"{spec.trial_id}-{uuid.uuid4().hex[:8]}",
            storage_path=str(Path(spec.folder) / ".ray"),
            callbacks=[TuneReportCallback(), PlacementGroupRecorder(_placement_groups(spec.folder))],
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


def _streams(spec: TrialSpec, config: RunConfig, n_workers: int) -> dict[str, Any] | None:
    """A stream for each rank from where the newest checkpoint stands; none where clips come out of the cache."""
    if spec.inputs.cache:
        return None
    newest = CheckpointFolder(TrialFolder(Path(spec.folder)).checkpoints).newest()
    first_batch = (newest.step if newest else 0) * config.loop.n_d
    return stream.stream_datasets(spec.inputs.stream_plan(config), n_batches(config), first_batch, n_workers)


def _placement_groups(folder: str) -> Path:
    return Path(folder) / ".placement_groups"


class Trainer(TorchTrainer):
    """TorchTrainer without the cleaner actor, whose work the reaper does."""

    def _create_default_callbacks(self) -> list[Any]:
        return [c for c in super()._create_default_callbacks() if not isinstance(c, PlacementGroupCleanerCallback)]


class PlacementGroupRecorder(WorkerGroupCallback):
    """Writes down the placement group of each worker group as it starts."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def after_worker_group_start(self, worker_group: Any) -> None:
        group = worker_group.get_worker_group_state().placement_group_handle.placement_group
        with open(self._path, "a") as stream:
            stream.write(group.id.hex() + "\n")


class PlacementGroupReaper(tune.Callback):
    """Frees the workers' placement groups of every trial that ended or is tried again, however it ended."""

    def on_trial_complete(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self._reap(trial)

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self._reap(trial)

    def on_trial_recover(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        self._reap(trial)

    def _reap(self, trial: Any) -> None:
        path = _placement_groups(trial.config["folder"])
        if path.exists():
            for group in path.read_text().split():
                remove_placement_group(PlacementGroup(PlacementGroupID.from_hex(group)))
            path.unlink()
