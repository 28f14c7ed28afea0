"""Trials on Ray Train: one Tune trial drives N data-parallel workers (gloo on CPUs, nccl on GPUs)."""

import functools
import uuid
from collections.abc import Callable
from typing import Any

import ray
import ray.train
from ray import tune
from ray.train.torch import get_device, prepare_model
from ray.tune.integration.ray_train import TuneReportCallback
from torch import nn

from vgsearch.experiment.paths import TrialFolder
from vgsearch.runtime.cluster.trainer import MAX_CONTROLLER_FAILURES, Trainer
from vgsearch.runtime.cluster.worker_errors import first_error, is_death, placed
from vgsearch.runtime.feed import stream
from vgsearch.runtime.feed.inputs import n_batches
from vgsearch.runtime.sweep.broken_device import BrokenDevice
from vgsearch.runtime.sweep.classes import trial_type
from vgsearch.runtime.sweep.failures import end_of_error
from vgsearch.runtime.sweep.placement_groups import new_mark
from vgsearch.runtime.sweep.seeds import over_seeds
from vgsearch.runtime.sweep.spec import TrialSpec, is_read_by_the_next_attempt, own_copy, own_copy_in_use
from videogan.config import parse_config
from videogan.families import FAMILIES
from videogan.shard import Shard
from videogan.storage.places import StorageError
from videogan.training.checkpoint import CheckpointFolder
from videogan.training.run_config import RunConfig

DRIVING = -1
"""Stands for a rank in the name of the driving process's own copy of a trial."""


def ray_train_trial(parameters: dict[str, Any]) -> None:
    """The Tune trial that starts the workers; they train, and rank 0's reports become the trial's."""
    spec = TrialSpec.from_parameters(parameters)
    config = parse_config(RunConfig, spec.config, spec.trial_id)
    n_workers, gpus = spec.inputs.n_workers, spec.inputs.gpus_per_worker
    worker = {"CPU": 1, "memory": new_mark(spec.folder)} | ({"GPU": gpus} if gpus else {})
    # Ray Train keeps its own bookkeeping there, on this node; it saves no checkpoint of ours.
    driving = own_copy(spec, DRIVING)
    with own_copy_in_use(driving):
        trainer = Trainer(
            worker_loop,
            train_loop_config=parameters,
            scaling_config=ray.train.ScalingConfig(
                num_workers=n_workers, use_gpu=gpus > 0, resources_per_worker=worker
            ),
            datasets=_streams(spec, config, driving),
            dataset_config=stream.stream_data_config(),
            run_config=ray.train.RunConfig(
                # A new name for each attempt: with an old one Ray Train would restore that run's state, but a trial
                # continues from its own checkpoints.
                name=f"{spec.trial_id}-{uuid.uuid4().hex[:8]}",
                storage_path=str(driving.folder / ".ray"),
                callbacks=[TuneReportCallback()],  # type: ignore[list-item]  # Ray types Train V1's callbacks
                failure_config=ray.train.FailureConfig(
                    max_failures=0,  # Ray Tune tries again after a death, as it does with one worker
                    controller_failure_limit=MAX_CONTROLLER_FAILURES,  # type: ignore[call-arg]  # and its settings
                ),
            ),
        )
        try:
            trainer.fit()
        except ray.train.WorkerGroupError as group:
            _end_or_raise(first_error(group))


def _end_or_raise(error: BaseException) -> None:
    """Report a worker's error as the trial's end, as a trial does; raise one after which Ray Tune tries again."""
    if is_death(error) or isinstance(error, StorageError | BrokenDevice):
        raise error
    tune.report({"step": 0, "losses": {}, **end_of_error(error).to_result()})


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

    trial = trial_type(spec)(
        spec, ray.train.report, wrap=_wrap(spec), shard=shard, device=get_device(), after_first_seed=over_seeds
    )
    with placed(shard.rank):
        trial.run(open_clips)


def _wrap(spec: TrialSpec) -> Callable[[nn.Module], nn.Module]:
    """What makes a network data-parallel. Without being told, it waits for the gradients of parameters that rest."""
    config = parse_config(RunConfig, spec.config, spec.trial_id)
    resting = {"find_unused_parameters": FAMILIES[config.model.family].has_idle}
    return functools.partial(prepare_model, parallel_strategy_kwargs=resting)


def _streams(spec: TrialSpec, config: RunConfig, folder: TrialFolder) -> dict[str, Any] | None:
    """A stream for each rank from the batch of the newest checkpoint on; None if clips are read from the cache."""
    if spec.inputs.cache:
        return None
    folder.working_copy.pull(is_read_by_the_next_attempt)
    newest = CheckpointFolder(folder.checkpoints).newest()
    first_batch = (newest.step if newest else 0) * config.loop.n_d
    return stream.stream_datasets(
        spec.inputs.stream_plan(config), n_batches(config), first_batch, spec.inputs.n_workers
    )
