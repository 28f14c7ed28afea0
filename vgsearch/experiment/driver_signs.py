"""Whether the driver of an experiment still runs, as far as a reader of its folder can see."""

import re
import socket

from vgsearch.experiment.folder_lock import LOCK
from vgsearch.experiment.paths import Experiment
from vgsearch.object_store.lease import SECONDS, process_exists
from videogan.storage.places import FileStamp, RemotePath


class DriverSigns:
    """The holder of an experiment's lock: its process on this machine, or its lease on an object store."""

    def __init__(self, experiment: Experiment) -> None:
        self._lock = experiment.place / LOCK
        self._stamp: FileStamp | None = None
        self._changed = 0.0

    def gone(self, now: float) -> str:
        """Who held the lock last and does not run any more; empty if a driver runs, or may run on another machine.

        A lease counts as free when it was not renewed for a minute of watching; `now` is in seconds.
        """
        if isinstance(self._lock, RemotePath):
            stamp = self._lock.stamp()
            if stamp is None:
                return "its driver"
            if stamp != self._stamp:
                self._stamp, self._changed = stamp, now
            return "its driver" if now - self._changed > SECONDS else ""
        held = re.fullmatch(r"process (\d+) on (.+)\n?", self._lock.read_text("utf-8") if self._lock.is_file() else "")
        if not held or held[2] != socket.gethostname() or process_exists(int(held[1])):
            return ""
        return f"its driver, {held[0].strip()},"
