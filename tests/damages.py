"""What can happen to a file: each damages one in place."""

from collections.abc import Callable
from pathlib import Path


def _into_folder(path: Path) -> None:
    path.unlink()
    (path / "inside").mkdir(parents=True)


def _unreadable(path: Path) -> None:
    """A link that leads to itself: not even root can read it."""
    path.unlink()
    path.symlink_to(path.name)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3]),
    "garbled": lambda path: path.write_bytes(b"\xff\x00{[garbled\n" * 3),
    "empty": lambda path: path.write_bytes(b""),
    "replaced by a folder": _into_folder,
    "unreadable": _unreadable,
    "missing": lambda path: path.unlink(),
}
