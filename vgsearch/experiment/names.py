"""Which names may become folders, and the first free name of an experiment.

Names come from users, search spaces and ledgers. A ledger may be a stranger's, and `gc` deletes in its trials' folders.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vgsearch.object_store.conditional import Changed, create
from videogan.config import ConfigurationError
from videogan.storage.places import Place, RemotePath

MOST_BYTES = 200
"""File systems take 255 bytes for a name; some of our files add to the name of their experiment."""
RESERVED = ".reserved"
SHOWN = 40
"""Characters of a refused name that an error shows."""
_FILES_OF_FOLDS = r"(?:-fold-\d+|\.json)?"
"""What `vgsearch train --folds` appends to a name."""


def checked_name(name: str, what: str) -> str:
    """Return `name`; raises ConfigurationError, which begins with `what`, if it cannot be the name of one folder.

    Such a name has neither a slash nor characters that do not print, no dot at its start, and is short.
    """
    if not isinstance(name, str) or not name.isprintable() or "/" in name or name[:1] in ("", "."):
        problem = "no slash, no dot at its start, only characters that print"
    elif len(name.encode()) > MOST_BYTES:
        problem = f"at most {MOST_BYTES} bytes"
    else:
        return name
    written = repr(name)
    raise ConfigurationError(
        f"{what} must be the name of one folder: {problem}; got {written[:SHOWN]}{'.' if len(written) <= SHOWN else '...'}"
    )


def next_name(out: Place, stem: str) -> str:
    """The `<stem>-<nnn>` that follows all others under `out`."""
    names = out.folder_names() if isinstance(out, RemotePath) else _names_in(out)
    pattern = rf"{re.escape(stem)}-(\d+){_FILES_OF_FOLDS}"
    taken = [int(match[1]) for name in names if (match := re.fullmatch(pattern, name))]
    return f"{stem}-{max(taken, default=0) + 1:03d}"


@contextmanager
def reserved_name(out: Place, given: str | None, stem: str, first: str = "", reserve: bool = True) -> Iterator[str]:
    """The `given` name, or else the next one under `out`, of which no other process gets the same.

    It is reserved by creating the folder `<name><first>`, which is deleted at the end if it is empty: what asked for it
    was refused. On an object store, which has no folders, it is an object that only one process can create.
    """
    if given is not None:
        yield checked_name(given, "--name")
        return
    if not reserve:
        yield next_name(out, stem)
        return
    if isinstance(out, RemotePath):
        name = _created(out, stem)
        try:
            yield name
        finally:
            (out / name / RESERVED).unlink(missing_ok=True)
        return
    name, folder = _made(out, stem, first)
    try:
        yield name
    finally:
        with suppress(OSError):  # it is in use
            folder.rmdir()


def _created(out: RemotePath, stem: str) -> str:
    while True:
        name = next_name(out, stem)
        try:
            create(out / name / RESERVED, b"")
        except Changed:  # another process was faster
            continue
        return name


def _made(out: Path, stem: str, first: str) -> tuple[str, Path]:
    while True:
        name = next_name(out, stem)
        folder = out / f"{name}{first}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:  # another process was faster
            continue
        except OSError as error:
            raise ConfigurationError(
                f"{folder} can't be created: {error.strerror}. Choose another --out, or make it writable."
            ) from None
        return name, folder


def _names_in(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
