"""How much a command prints: `-q` and `-v`, kept in the environment, where all code of this process finds them."""

import logging
import os

QUIET, TRACEBACK = "VGSEARCH_QUIET", "VGSEARCH_TRACEBACK"


def is_quiet() -> bool:
    """Whether only results, warnings and errors are printed: no live table, no progress, no word on waits."""
    return QUIET in os.environ


def be_quiet() -> None:
    os.environ[QUIET] = "1"


def be_verbose() -> None:
    """Print tracebacks of errors, and on stderr what libraries log from level INFO on."""
    os.environ[TRACEBACK] = "1"
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
