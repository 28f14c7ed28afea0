"""Plain lines of output; apart from `console.py`, so that commands need not wait for rich."""

import logging
import sys
import tempfile
import traceback
import warnings

from videogan.printable import printable
from videogan.storage.address_secrets import without_secrets

MOST_LINES, MOST_CHARACTERS = 200, 2_000
"""Of an error, and of each of its lines: a message may quote what it refuses, however long that is."""
MOST_OF_REASON = 500
"""Characters of the reason of a foreign error: some libraries put whole tables into it."""


def print_error(text: str) -> None:
    """Print an error on stderr, without the secrets of its addresses; what is too long is cut, and the cut told."""
    lines = without_secrets(text).splitlines() or [""]
    if n_more := max(len(lines) - MOST_LINES, 0):  # the middle, since a traceback ends with its reason
        half = MOST_LINES // 2
        lines = [*lines[:half], f"({n_more:,} more lines)", *lines[-half:]]
    for line in lines:
        n_more = len(line) - MOST_CHARACTERS
        print_line(line if n_more <= 0 else f"{line[:MOST_CHARACTERS]}... ({n_more:,} more characters)", error=True)


class _PrintableFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def make_own_prints_harmless() -> None:
    """The same for what Python prints by itself: warnings, and records of loggers that have no handler."""
    as_python_does = warnings.formatwarning
    warnings.formatwarning = lambda *given, **more: printable(as_python_does(*given, **more))
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_PrintableFormatter())


def is_own(error: BaseException) -> bool:
    """Whether an error comes from our own packages, and so is written for the user."""
    return type(error).__module__.partition(".")[0] in ("vgsearch", "videogan")


def within_ray(error: Exception) -> Exception:
    """The error that a task of Ray's raised, without Ray's wrapping; any other error itself."""
    cause = getattr(error, "cause", None)
    is_ray_s = any(kind.__module__ == "ray.exceptions" for kind in type(error).__mro__)  # not imported: a second
    return cause if is_ray_s and isinstance(cause, Exception) else error


def foreign_error(error: Exception) -> str:
    """An error that no code of ours explains, in one line, and the file that its traceback was written to.

    If no file can be written, the traceback follows the line.
    """
    from videogan.storage.places import without_secrets  # as in `print_error`

    reason = " ".join(str(error).split())
    line = f"{type(error).__name__}: {reason[:MOST_OF_REASON] or 'no message'}."
    written = without_secrets("".join(traceback.format_exception(error)))
    try:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", errors="backslashreplace", prefix="vgsearch-error-", suffix=".txt", delete=False
        ) as file:
            file.write(written)
    except OSError:  # a full or read-only disk
        return f"{line} No traceback file could be written:\n{written}"
    return f"{line} This is not an error that vgsearch explains; its traceback is in {file.name}"


def print_line(text: object, error: bool = False) -> None:
    """Print a text and a line feed, on stderr if `error`; control characters are written out."""
    print(printable(str(text)), file=sys.stderr if error else sys.stdout, flush=True)
