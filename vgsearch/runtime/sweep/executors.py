"""What runs a trial: inside the Tune trial's own process, or on Ray Train workers."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray import tune

from vgsearch.runtime.sweep.classes import trial_type
from vgsearch.runtime.sweep.seeds import over_seeds
from vgsearch.runtime.sweep.spec import TrialSpec


def inline_trial(parameters: dict[str, Any]) -> None:
    """The Tune trial that trains in its own process. Any: plain values of a `TrialSpec`."""
    spec = TrialSpec.from_parameters(parameters)
    with memory_freed():
        trial_type(spec)(spec, tune.report, device=spec.inputs.device, after_first_seed=over_seeds).run(
            lambda config, start: spec.inputs.training_clips(config, start)
        )


@contextmanager
def memory_freed() -> Iterator[None]:
    """Free the networks of the trial inside at its end: they refer to themselves in circles, and would otherwise wait
    for Python's collector while the next trial trains in the same process.
    """
    try:
        yield
    finally:
        gc.collect()
