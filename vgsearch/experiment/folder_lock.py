"""The lock on an experiment's folder, by which one driver at a time writes there; a dead process holds none."""

import fcntl
from pathlib import Path
from typing import IO

from vgsearch.object_store.lease import ExperimentInUse, this_process
from videogan.storage.places import Place

LOCK = ".lock"
"""The locked file in the folder; on an object store, the lease."""


class UnwritableFolder(RuntimeError):
    """The folder of an experiment is not writable."""


def locked_folder(folder: Path, named: Place) -> IO[bytes]:
    """Create and lock a folder until the returned file is closed; errors name it `named`.

    Raises ExperimentInUse if another process has locked it, UnwritableFolder if it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = open(folder / LOCK, "ab+", buffering=0)  # noqa: SIM115 (the lock lives while it is open)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        handle.truncate(0)
        handle.write(f"{this_process()}\n".encode())
    except BlockingIOError:
        handle.seek(0)
        holder = handle.read().decode().strip() or "another vgsearch"
        handle.close()
        raise ExperimentInUse(f"{named} is in use by {holder}; wait for it, or stop it with Ctrl-C.") from None
    except OSError as error:
        raise UnwritableFolder(
            f"{folder} can't be written: {error.strerror}. Choose another --out, or make it writable."
        ) from None
    return handle
