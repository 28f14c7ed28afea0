"""The file by which every trial of a sweep, or one of them, is asked to save and end."""

import logging
import math
import time
from pathlib import Path

from videogan.storage.places import StorageError, place

LOGGER = logging.getLogger(__name__)

SECONDS_BETWEEN_REQUESTS = 5.0


class StopRequest:
    """Whether trials were asked to end, by a file at a path or an address; "" for one that no file can ask."""

    def __init__(self, where: str) -> None:
        self._where, self._looked, self._seen = place(where) if where else None, -math.inf, False

    @property
    def exists(self) -> bool:
        """Whether the file exists; on an object store, at most one request in a few seconds."""
        if self._where is None or isinstance(self._where, Path):
            return self._where is not None and self._where.exists()
        if not self._seen and time.monotonic() - self._looked > SECONDS_BETWEEN_REQUESTS:
            try:
                self._seen = self._where.exists()
            except StorageError as error:
                LOGGER.warning("%s Training continues.", error)
            self._looked = time.monotonic()
        return self._seen
