"""Leaves out a GPU on which three trials failed: an actor of the sweep holds it, so that no trial is placed there."""

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import ray
from ray import tune
from ray.tune.experiment import Trial
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from vgsearch.runtime.sweep.broken_device import BrokenDevice, Gpu, this_gpu
from vgsearch.runtime.sweep.failures import causes, error_of

MOST_TRIALS = 3
"""Trials that fail on a GPU before it is left out: a trial may break a sound GPU by an error of its own."""
SECONDS_OF_A_SEARCH = 300.0
"""Ray gives any free GPU of a node. For so long those that it gives first are held, and trials wait for them: the GPU
may still be held by a trial that has not failed. The next failure there starts another search."""


class _Holder:
    """The actor that holds a GPU and computes nothing there."""

    def gpu(self) -> Gpu:
        return this_gpu()


class _Search:
    """Takes GPUs of a node until it has the one that is looked for, then gives back the others."""

    def __init__(self, gpu: Gpu) -> None:
        self._gpu, self._began, self._others = gpu, time.monotonic(), list[Any]()
        self.holder: Any = None
        self._ask()

    def _ask(self) -> None:
        where = NodeAffinitySchedulingStrategy(self._gpu.node, soft=False)
        holder: Any = ray.remote(num_cpus=0, num_gpus=1)(_Holder)  # Any: Ray adds `options` and `remote` to a class
        self._asked = holder.options(scheduling_strategy=where).remote()
        self._answer = self._asked.gpu.remote()

    def goes_on(self) -> bool:
        """Look once; False when the GPU is held, when its node is gone, and when the time is over."""
        while ray.wait([self._answer], timeout=0)[0]:
            try:
                found = ray.get(self._answer)
            except ray.exceptions.RayError:
                return self.give_back()
            if found == self._gpu:
                self.holder = self._asked
                return self.give_back()
            self._others.append(self._asked)
            self._ask()
        return time.monotonic() - self._began < SECONDS_OF_A_SEARCH or self.give_back()

    def give_back(self) -> bool:
        """End the search: free all GPUs but the one that it has found."""
        for actor in (*self._others, self._asked):
            if actor is not self.holder:
                ray.kill(actor)
        return False


class BrokenGpus(tune.Callback):
    """Counts the trials that failed on each GPU by an error that left it unusable; `tell` is called at the third.

    `halt` is called once no GPU of the cluster is left.
    """

    def __init__(self, n_gpus: float, tell: Callable[[str], None], halt: Callable[[str], None]) -> None:
        self._n_gpus, self._tell, self._halt = n_gpus, tell, halt
        self._failed: dict[Gpu, set[str]] = defaultdict(set)
        self._searches: dict[Gpu, _Search] = {}
        self._left_out: dict[Gpu, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray Tune pickles its callbacks, but a resumed sweep counts anew, on GPUs that may be repaired."""
        return {}

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._count(trial)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._count(trial)

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        for gpu, search in list(self._searches.items()):
            if not search.goes_on():
                del self._searches[gpu]
                if search.holder is not None:
                    self._left_out[gpu] = search.holder

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        """Free what the actors hold or wait for: the cluster may go on with other work."""
        for search in self._searches.values():
            search.give_back()
        for holder in self._left_out.values():
            ray.kill(holder)

    def _count(self, trial: Trial) -> None:
        error = next((each for each in causes(error_of(trial)) if isinstance(each, BrokenDevice)), None)
        if error is None or not error.gpu.node:
            return
        gpu, failed = error.gpu, self._failed[error.gpu]
        n_before = len(failed)
        failed.add(trial.trial_id)
        if len(failed) < MOST_TRIALS or gpu in self._left_out or gpu in self._searches:
            return
        if n_before < MOST_TRIALS:
            self._tell(f"{gpu} is left out: {MOST_TRIALS} trials failed there, the last by {error.reason}")
        if sum(len(trials) >= MOST_TRIALS for trials in self._failed.values()) >= self._n_gpus:
            self._halt(f"{MOST_TRIALS} trials failed on each of {self._n_gpus:g} GPUs; `vgsearch doctor` checks them")
        else:
            self._searches[gpu] = _Search(gpu)
