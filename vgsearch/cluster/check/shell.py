"""Variables, flags and mounts in the shell commands of a cluster file."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence

_ASSIGNMENT = re.compile(r"(?<![\w$-])([A-Z][A-Z0-9_]+)=(\"[^\"]*\"|'[^']*'|[^\s;&|\"']+)")
_FLAG = re.compile(r"--([a-z][a-z-]*)(?:[=\s]+(\"[^\"]*\"|'[^']*'|[^\s;&|-][^\s;&|]*))?")


def assignments(line: str) -> dict[str, str]:
    """Each NAME=value in a shell command or a Docker option (--env NAME=value)."""
    return {name: value.strip("\"'") for name, value in _ASSIGNMENT.findall(line)}


def lasting(line: str) -> bool:
    """Whether the command writes to a file that later shells read, such as ~/.bashrc."""
    return re.search(r">>?\s*\S*(bashrc|profile|bash_profile|environment)", line) is not None


def ray_start(lines: Sequence[str]) -> tuple[int, str] | None:
    """The index and text of the command that starts Ray; None without one."""
    return next(((n, line) for n, line in enumerate(lines) if "ray start" in line), None)


def flags(line: str) -> Mapping[str, str]:
    """The --flag=value pairs of a command; '' for a flag without a value."""
    return {name: value.strip("\"'") for name, value in _FLAG.findall(line)}


def mounted_folders(line: str) -> Iterator[str]:
    """Folders that a command mounts, or checks to be mounted."""
    words = _words(line)
    for n, word in enumerate(words):
        if word == "mountpoint":
            yield from (later for later in words[n + 1 : n + 4] if later.startswith("/"))
        if word == "mount" or word.startswith("mount."):
            yield from [later for later in words[n + 1 :] if later.startswith("/")][-1:]


def volumes(options: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(host folder, container folder) of each volume in Docker's options."""
    words = [word for option in options for word in _words(option)]
    for n, word in enumerate(words):
        flag, equals, given = word.partition("=")
        if flag in ("-v", "--volume"):
            given = given if equals else words[n + 1] if n + 1 < len(words) else ""
            outside, _, inside = given.partition(":")
            if inside:
                yield outside, inside.partition(":")[0]


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:  # an open quote; bash reports it
        return line.split()
