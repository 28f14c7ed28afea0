"""Plain lines of output; apart from `console.py`, so that commands need not wait for rich."""

import sys

from videogan.printable import printable


def print_line(text: object, error: bool = False) -> None:
    """Print a text and a line feed, on stderr if `error`; control characters are written out."""
    print(printable(str(text)), file=sys.stderr if error else sys.stdout, flush=True)
