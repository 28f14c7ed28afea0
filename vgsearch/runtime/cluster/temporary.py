"""The folder of temporary files, in which a local Ray keeps its sessions and sockets."""

import os
import shutil
from pathlib import Path

from vgsearch.terminal.words import size

MOST_SOCKET_BYTES = 107
LEAST_FREE_BYTES = 20_000_000
SESSION = "/ray/session_2026-01-01_00-00-00_000000_0000000/sockets/plasma_store"
"""The longest path that Ray adds to the folder."""


def temporary_folder() -> Path:
    return Path(os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp")


def unusable_folder() -> str:
    """Why Ray cannot use the folder of temporary files, and the remedy; empty if it can."""
    folder, most = temporary_folder(), MOST_SOCKET_BYTES - len(SESSION)
    if (n_bytes := len(os.fsencode(folder))) > most:
        return (
            f"{folder}: the path of the folder for temporary files must have at most {most} bytes for Ray's sockets, "
            f"got {n_bytes}; set RAY_TMPDIR to a shorter one, such as /tmp."
        )
    sessions = folder / "ray"
    if not os.access(sessions if sessions.exists() else folder, os.W_OK | os.X_OK):
        return f"{sessions}: Ray cannot write its files there; set RAY_TMPDIR to a folder of yours."
    if (free := shutil.disk_usage(folder).free) < LEAST_FREE_BYTES:
        return (
            f"{folder}: the folder for temporary files has {size(free)} free, but Ray needs {size(LEAST_FREE_BYTES)} "
            "for its own files; free some space there, or set RAY_TMPDIR to a folder on another disk."
        )
    return ""
