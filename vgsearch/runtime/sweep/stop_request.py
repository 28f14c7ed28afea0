"""The file by which the driver asks every trial of a sweep to save and end."""

import logging
import math
import time
from pathlib import Path

from videogan.storage.places import StorageError, place

LOGGER = logging.getLogger(__name__)

SECONDS_BETWEEN_REQUESTS = 5.0


class StopRequest:
    """Whether the driver has asked the sweep's trials to end, at a path or an address."""

    def __init__(self, where: str) -> None:
        self._where, self._looked, self._seen = place(where), -math.inf, False

    @property
    def exists(self) -> bool:
        """Whether the file exists; on an object store, at most one request in a few seconds."""
        if isinstance(self._where, Path):
            return self._where.exists()
        if not self._seen and time.monotonic() - self._looked > SECONDS_BETWEEN_REQUESTS:
            try:
                self._seen = self._where.exists()
            except StorageError as error:
                LOGGER.warning("%s Training continues.", error)
            self._looked = time.monotonic()
        return self._seen
