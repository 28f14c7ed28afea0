"""The sweep's handler of SIGUSR1 survives Ray Tune, which replaces it and pickles the callback that restores it."""

import signal
import threading

from ray import cloudpickle

from vgsearch.runtime.sweep.own_signals import OwnSignals


def test_a_handler_that_cannot_be_pickled_is_restored_after_ray_tune_has_replaced_it():
    lock = threading.RLock()
    before = signal.signal(signal.SIGUSR1, lambda *given: lock)
    try:
        handler, callback = signal.getsignal(signal.SIGUSR1), OwnSignals()
        cloudpickle.dumps(callback)
        signal.signal(signal.SIGUSR1, signal.SIG_DFL)
        callback.on_step_begin(0, [])
        assert signal.getsignal(signal.SIGUSR1) is handler
    finally:
        signal.signal(signal.SIGUSR1, before)
