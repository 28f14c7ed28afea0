"""The sweep's own handler of SIGUSR1: Ray Tune replaces it by one that drops the trials without saving them."""

import signal
import threading
from typing import Any

from ray import tune


class OwnSignals(tune.Callback):
    """Restores at each step the handler that was in force when the callback was made."""

    def __init__(self) -> None:
        self._handler = signal.getsignal(signal.SIGUSR1)

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Ray Tune pickles its callbacks, but a handler belongs to this process."""
        return {}

    def on_step_begin(self, iteration: int, trials: list, **info: Any) -> None:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGUSR1, self._handler)
