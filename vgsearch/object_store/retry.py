"""Retries for storage that cannot be reached, over a longer time than its client retries itself."""

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
    """Call `action`, which must be repeatable, until it succeeds; raises its StorageError after SECONDS of failures."""
    deadline, pause = time.monotonic() + SECONDS, FIRST_PAUSE
    while True:
        try:
            return action()
        except StorageError as error:
            if time.monotonic() + pause > deadline:
                raise
            LOGGER.warning("%s Trying again in %.0f s.", error, pause)
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
