"""Files of a cache that can be made again: a damaged one is set aside, and made again."""

from collections.abc import Callable
from typing import TypeVar

from videogan.storage.places import Place
from videogan.storage.set_aside import set_aside
from videogan.storage.step_files import DamagedCheckpoint

Stored = TypeVar("Stored")


def read_if_whole(path: Place, read: Callable[[Place], Stored]) -> Stored | None:
    """`read(path)`, or None if there is no such file; a damaged one is set aside with a warning, and also None."""
    if not path.exists():
        return None
    try:
        return read(path)
    except DamagedCheckpoint as error:
        set_aside(path, error.reason, "making it again")
        return None


def made_once(path: Place, read: Callable[[Place], Stored], make: Callable[[], object]) -> Stored:
    """`read(path)`; if the file is missing or damaged, `make()` writes it first."""
    found = read_if_whole(path, read)
    if found is None:
        make()
        found = read(path)
    return found
