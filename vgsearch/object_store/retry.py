"""Storage that is out of reach for a while: what has to be kept is tried again, for longer than its client itself does."""

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from videogan.storage.places import StorageError

SECONDS = 300.0
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
LOGGER = logging.getLogger(__name__)
Result = TypeVar("Result")


def with_retries(action: Callable[[], Result]) -> Result:
    """What `action`, which may be repeated, returns; raises its StorageError where it fails for minutes."""
    deadline, pause = time.monotonic() + SECONDS, FIRST_PAUSE
    while True:
        try:
            return action()
        except StorageError as error:
            if time.monotonic() + pause > deadline:
                raise
            LOGGER.warning("%s Tried again in %.0f s.", error, pause)
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
