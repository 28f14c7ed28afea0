"""The file whose existence asks every trial of a sweep to save and end."""

import logging
import math
import time
from pathlib import Path

from videogan.storage.places import StorageError, place

LOGGER = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS_AT_STORAGE = 5.0


class StopRequest:
    """The file whose existence asks every trial of a sweep to save and end."""

    def __init__(self, where: str) -> None:
        self._where, self._looked, self._seen = place(where), -math.inf, False

    @property
    def is_there(self) -> bool:
        """Whether it is; on an object store, whether it was a few seconds ago, for each look is a request."""
        if isinstance(self._where, Path):
            return self._where.exists()
        if not self._seen and time.monotonic() - self._looked > SECONDS_BETWEEN_LOOKS_AT_STORAGE:
            try:
                self._seen = self._where.exists()
            except StorageError as error:
                LOGGER.warning("%s Going on.", error)
            self._looked = time.monotonic()
        return self._seen
