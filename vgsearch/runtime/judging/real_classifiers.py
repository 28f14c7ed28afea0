"""The real-trained classifiers that judge all trials: those that are not in the cache are fitted on Ray."""

import uuid
from collections.abc import Mapping
from typing import Any

import ray
import ray.train
import torch
from ray.train.torch import prepare_model
from rich.progress import Progress

from vgsearch.runtime.cluster.trainer import MAX_CONTROLLER_FAILURES, MAX_WORKER_FAILURES, Trainer
from vgsearch.runtime.cluster.worker_errors import first_error, placed
from vgsearch.runtime.feed.inputs import Inputs
from vgsearch.runtime.waits.beats import beating
from vgsearch.runtime.waits.failed_task import TaskFailed, why_failed
from vgsearch.runtime.waits.waiting import waiting
from vgsearch.runtime.waits.watch import state_of_tasks
from videogan.data.clip_set import RealClips
from videogan.data.clips import DataConfig
from videogan.protocols.classifier import (
    ClassifierProtocol,
    cached_real_classifier,
    fit_on_real,
    load_real_classifier,
    save_real_classifier,
)
from videogan.shard import Shard
from videogan.storage.cached_file import read_if_whole

FIT = "real-trained classifier"


def fit_real_classifiers(
    inputs: Inputs,
    config: DataConfig,
    n_frames: int,
    needed: Mapping[ClassifierProtocol, tuple[int, ...]],
    bars: Progress,
) -> None:
    """Fit the classifiers of the `needed` protocols and seeds that are not in the cache, or damaged; `bars` counts all.

    One Ray task for each; with several workers per trial, each task drives a Ray Train run with that many workers.
    Raises TaskFailed with the cause if a fit fails.
    """
    wanted = [(protocol, seed) for protocol, seeds in needed.items() for seed in seeds]
    missing = [one for one in wanted if read_if_whole(inputs.classifier_path(*one), load_real_classifier) is None]
    bar = bars.add_task(f"{FIT}s", total=len(wanted))
    bars.update(bar, completed=len(wanted) - len(missing))
    if inputs.n_workers == 1:
        fit = ray.remote(num_cpus=1, num_gpus=inputs.gpus_per_worker)(_fit_in_this_process)
    else:
        fit = ray.remote(num_cpus=0)(_fit_on_workers)
    # One after the other if clips are streamed, since each fit holds a CPU and its stream needs another; and if each
    # has several workers, since Ray Train gives up on a group that waits too long for the CPUs of another.
    at_once = len(missing) if inputs.cache and inputs.n_workers == 1 else 1
    running: list[Any] = []
    with waiting(f"{FIT}s", "it ends when all are fitted; Ctrl-C stops and keeps those", state_of_tasks(FIT)):
        while missing or running:
            while missing and len(running) < at_once:
                running.append(fit.remote(inputs, config, n_frames, *missing.pop(0)))
            ready, running = ray.wait(running)
            try:
                ray.get(ready)
            except ray.exceptions.RayError as error:
                raise TaskFailed(
                    f"the real-trained classifiers of {inputs.data} could not be fitted: {why_failed(error)}. "
                    "Those that are finished are kept; the same command, or a resume, fits the others."
                ) from error
            bars.advance(bar)


def _fit_in_this_process(
    inputs: Inputs, config: DataConfig, n_frames: int, protocol: ClassifierProtocol, seed: int
) -> None:
    torch.set_num_threads(1)
    folder = inputs.classifier_path(protocol, seed).parent
    with beating(f"{FIT} {seed}"):
        cached_real_classifier(folder, protocol, *_real_clips(inputs, config, n_frames), seed)


def _fit_on_workers(inputs: Inputs, config: DataConfig, n_frames: int, protocol: ClassifierProtocol, seed: int) -> None:
    """Drive one data-parallel fit; its rank 0 writes the classifier to the cache."""
    gpus = inputs.gpus_per_worker
    worker = {"CPU": 1, "GPU": gpus} if gpus else {"CPU": 1}
    trainer = Trainer(
        _worker_loop,
        train_loop_config={"given": (inputs, config, n_frames, protocol, seed)},
        scaling_config=ray.train.ScalingConfig(
            num_workers=inputs.n_workers, use_gpu=gpus > 0, resources_per_worker=worker
        ),
        run_config=ray.train.RunConfig(
            name=f"real-{seed}-{uuid.uuid4().hex[:8]}",  # with an old name Ray Train would restore that run's state
            # Beside the classifiers: storage that all nodes share.
            storage_path=str(inputs.classifier_path(protocol, seed).parent / ".ray"),
            failure_config=ray.train.FailureConfig(
                max_failures=MAX_WORKER_FAILURES,
                controller_failure_limit=MAX_CONTROLLER_FAILURES,  # type: ignore[call-arg]  # typed as Train V1's
            ),
        ),
    )
    try:
        trainer.fit()
    except ray.train.WorkerGroupError as group:
        raise first_error(group) from None


def _worker_loop(parameters: dict[str, Any]) -> None:
    """One data-parallel worker of a fit; all get the same classifier, and rank 0 saves it."""
    torch.set_num_threads(1)
    inputs, config, n_frames, protocol, seed = parameters["given"]
    context = ray.train.get_context()
    shard = Shard(context.get_world_rank(), context.get_world_size())
    with beating(f"{FIT} {seed}, worker {shard.rank}"), placed(shard.rank):
        train, held_back = _real_clips(inputs, config, n_frames)
        classifier = fit_on_real(protocol, train, held_back, seed, wrap=prepare_model, shard=shard)
    if shard.rank == 0:
        save_real_classifier(inputs.classifier_path(protocol, seed), classifier)


def _real_clips(inputs: Inputs, config: DataConfig, n_frames: int) -> tuple[RealClips, dict[str, RealClips]]:
    """The clips to fit on, and the splits that no classifier is fitted on."""
    held_back = {str(split): inputs.real_clips(config, n_frames, split) for split in inputs.held_back_splits}
    return inputs.train_parts(config, n_frames)[0], held_back
