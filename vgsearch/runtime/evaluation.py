"""What judges the trials, made before the first of them: the shared real-trained classifiers, and the floor."""

from dataclasses import replace
from typing import Any

import ray
from rich.console import Console

from vgsearch.runtime import data
from vgsearch.runtime.inputs import Inputs
from vgsearch.sweep import Sweep
from vgsearch.terminal import progress_bar
from videogan.config import ConfigurationError
from videogan.data.cache import cache_folder
from videogan.data.manifest import Manifest
from videogan.data.storage import Place, place
from videogan.training.run_config import RunConfig


def prepare_inputs(sweep: Sweep, manifest: Manifest, console: Console) -> Inputs:
    """Decodes the data set and trains the real-trained classifiers, or finds both in the cache; tells the protocol and ReR."""
    config = sweep.run_config(sweep.paper_points[0], 0)
    feed = config.data.chosen_feed(manifest, config.preprocessing)
    protocol = config.evaluation.s3_protocol
    with progress_bar(console) as bars:
        cache = _build_cache(manifest, config, bars) if feed == "cache" else None
        inputs = Inputs(
            data=str(manifest.folder.absolute()),
            preprocessing=config.preprocessing,
            cache=cache and str(cache),
            n_workers=sweep.n_workers,
            gpus_per_worker=sweep.gpus_per_worker,
        )
        n_train, n_test = (len(inputs.selection(config, split)) for split in ("train", "test"))
        digest = protocol.digest(manifest.digest, config.preprocessing, n_train, n_test)
        inputs = replace(inputs, digest=digest, classifiers=str(cache_folder("classifiers") / digest[:16]))
        _fit_real_classifiers(inputs, config, bars)
    rer = [classifier.rer for classifier in inputs.real_classifiers(protocol)]
    told = (
        f"objective S3 (R3D-18 width {protocol.width}, {len(rer)} seeds, protocol {protocol.name} {inputs.digest[:6]})"
    )
    console.print(f"{told}   ReR {100 * sum(rer) / len(rer):.1f} %   clips {feed}", soft_wrap=True)
    return inputs


def _build_cache(manifest: Manifest, config: RunConfig, bars: Any) -> Place:
    task = bars.add_task("decoding clips", total=len(manifest.usable))
    folder = data.build_cache(
        manifest, config.preprocessing, config.data, lambda done, total: bars.update(task, completed=done, total=total)
    )
    bars.update(task, completed=len(manifest.usable))
    return folder


def _fit_real_classifiers(inputs: Inputs, config: RunConfig, bars: Any) -> None:
    """One Ray task for each classifier seed that no earlier sweep has trained."""
    protocol = config.evaluation.s3_protocol
    task = bars.add_task("real-trained classifiers", total=len(protocol.seeds))
    fit = ray.remote(num_cpus=1, num_gpus=inputs.gpus_per_worker)(_fit_real_classifier)
    values = config.model_dump(mode="json")
    missing = [seed for seed in protocol.seeds if not inputs.classifier_path(seed).exists()]
    bars.update(task, completed=len(protocol.seeds) - len(missing))
    # One after the other where clips are streamed: each fit holds a CPU, and its stream needs another.
    at_once = len(missing) if inputs.cache else 1
    running: list[Any] = []
    while missing or running:
        while missing and len(running) < at_once:
            running.append(fit.remote(inputs, values, missing.pop(0)))
        ready, running = ray.wait(running)
        try:
            ray.get(ready)
        except ray.exceptions.RayTaskError as error:
            raise ConfigurationError(
                f"the real-trained classifiers of {inputs.data} can't be fitted: {error.cause}"
            ) from error
        bars.advance(task)


def _fit_real_classifier(inputs: Inputs, values: dict[str, Any], seed: int) -> None:
    import torch

    from videogan.config import parse_config
    from videogan.protocols import cached_real_classifier

    torch.set_num_threads(1)
    config = parse_config(RunConfig, values)
    train, test = (inputs.real_clips(config, split) for split in ("train", "test"))
    cached_real_classifier(place(inputs.classifiers), config.evaluation.s3_protocol, train, test, seed)


class FloorTask:
    """The S3 of an untrained generator of the paper's point, measured beside the trials: what a sweep must exceed."""

    def __init__(self, sweep: Sweep, inputs: Inputs) -> None:
        values = sweep.run_config(sweep.paper_points[0], 0).model_dump(mode="json")
        self._result = ray.remote(num_cpus=1, num_gpus=inputs.gpus_per_worker)(_measure_floor).remote(inputs, values)

    def result(self, timeout: float) -> dict[str, Any] | None:
        """The score, None where it is not there after `timeout` seconds; raises the task's own error."""
        ready, _ = ray.wait([self._result], timeout=timeout)
        return ray.get(ready[0]) if ready else None


def _measure_floor(inputs: Inputs, values: dict[str, Any]) -> dict[str, Any]:
    import torch

    from vgsearch.runtime.trial import Judge
    from videogan.config import parse_config
    from videogan.training.loop import untrained

    torch.set_num_threads(1)
    config = parse_config(RunConfig, values)
    judge = Judge(inputs, config)
    generator = untrained(config).generator.to(inputs.device)
    return judge.score(judge.sampler(generator), lambda done, total: None).to_json()
