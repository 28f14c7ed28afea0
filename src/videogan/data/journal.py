"""A journal of inspected video files, so that an interrupted import resumes where it stopped. No torch here.

A journal is a folder of JSON lines, one for each inspected file, written by the process that inspected it. A line is
valid as long as the file's path, size and times are unchanged. Lines are only appended, so no lock is needed; a line
that a killed process left unfinished is ignored.
"""

import hashlib
import json
import os
import socket
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from videogan.data.cache import cache_folder
from videogan.data.decode import DECODER_VERSION
from videogan.data.source import Limits
from videogan.data.stills import holder
from videogan.storage.atomic import named, write_atomically
from videogan.storage.places import Place, file_names

COLUMNS_VERSION = 3  # of a result: increase it when an inspection tells more or other things about a file
Write = Callable[[str, str | None, dict[str, Any]], None]


def journal_folder(paths: Sequence[Path], limits: Limits) -> Place:
    """The journal folder for these limits and the folder that all `paths` have in common."""
    above = os.path.commonpath([os.path.abspath(path.parent) for path in paths])
    identity = hashlib.sha256(json.dumps([above, asdict(limits), DECODER_VERSION, COLUMNS_VERSION]).encode())
    return cache_folder("inspections") / identity.hexdigest()[:16]


def signature(path: Path) -> str | None:
    """Size and times of a file, or of all files in a folder, which change with the content; None if there is no file.

    It includes the time of the last status change (ctime), because programs can reset the modification time.
    `x.npy#17`, a clip of an array, has the array's signature.
    """
    try:
        if not path.is_dir():
            return _stated(os.stat(holder(path)))
        with os.scandir(path) as entries:
            inside = sorted(f"{entry.name} {_stated(entry.stat())}" for entry in entries)
        return hashlib.sha256("\n".join(inside).encode()).hexdigest()
    except OSError:
        return None


def _stated(stat: os.stat_result) -> str:
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}"


def read_journal(folder: Place, paths: Sequence[Path]) -> dict[Path, dict[str, Any]]:
    """The results of earlier inspections, for the `paths` that have not changed since."""
    with ThreadPoolExecutor(16) as pool:  # remote storages answer slowly
        contents = pool.map(lambda name: (folder / name).read_bytes(), sorted(file_names(folder)))
        lines = (line for content in contents for line in content.splitlines())
        found = {path: (seen, row) for path, seen, row in map(_parsed, lines) if path is not None}
    known = {path: found[str(path)] for path in paths if str(path) in found}
    return {path: row for path, (seen, row) in known.items() if seen is not None and seen == signature(path)}


def _parsed(line: bytes) -> tuple[str | None, str | None, dict[str, Any]]:
    try:
        path, seen, row = json.loads(line)
    except ValueError:  # a line cut off by a kill, or the empty line after it
        return None, None, {}
    return path, seen, row


@contextmanager
def journal_writer(folder: Place) -> Iterator[Write]:
    """Provide a function that records (path, its signature before reading, result), at once if `folder` is local.

    Remote storages cannot append to a file; there all lines of the block are written when it ends.
    """
    if isinstance(folder, Path):
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{socket.gethostname()}-{os.getpid()}.jsonl"
        with open(file, "ab", buffering=0) as stream:

            def write(*line: Any) -> None:
                # The line break comes first: it ends an unfinished line of a dead process with the same process id.
                with named(file):
                    stream.write(b"\n" + json.dumps(line).encode() + b"\n")

            yield write
        return
    lines: list[bytes] = []
    try:
        yield lambda *line: lines.append(json.dumps(line).encode())
    finally:
        if lines:
            name = f"{uuid.uuid4().hex}.jsonl"
            write_atomically(folder / name, lambda stream: stream.write(b"\n".join(lines)))
