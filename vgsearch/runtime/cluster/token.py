"""Ray's token: whoever has it can run code as the user, and without it whoever reaches Ray's ports can.

Imports no Ray, so that `vgsearch doctor` reads it at once.
"""

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

from vgsearch.terminal.line import print_line
from videogan.config import ConfigurationError
from videogan.storage.home import home_folder

MODE, TOKEN, TOKEN_FILE = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
"""Ray's environment variables."""
PRIVATE = 0o600
N_BYTES = 32  # as many as Ray's own tokens


def is_required() -> bool:
    """Whether Ray refuses requests without the token."""
    return os.environ.get(MODE, "token").lower() == "token"


def refuse_no_token(insecure: bool) -> None:
    """Raise ConfigurationError if the environment turns the token off, unless `insecure`: then only tell it."""
    if is_required():
        return
    told = f"{MODE}={os.environ[MODE]}: whoever reaches Ray's ports can run code as you"
    if not insecure:
        raise ConfigurationError(f"{told}. Unset {MODE}, or accept that with --insecure.")
    print_line(f"note: {told} (--insecure)", error=True)


def token_file() -> Path:
    """Where Ray reads the token, unless RAY_AUTH_TOKEN holds it."""
    chosen = os.environ.get(TOKEN_FILE)
    return Path(chosen) if chosen else home_folder() / ".ray" / "auth_token"


def others_may_read(file: Path) -> bool:
    """Whether other users of this machine have any right to the file."""
    return bool(stat.S_IMODE(file.stat().st_mode) & 0o077)


def make_private(create: bool) -> None:
    """Take other users' rights to the token file; first make the file if `create` and there is no token.

    Ray itself would create a file that others may read. Raises ConfigurationError if it cannot be created. A file of
    another user stays as it is: a container's, for example.
    """
    if os.environ.get(TOKEN) or not is_required():
        return
    file = token_file()
    try:
        if not file.exists():
            if not create:
                return
            _create(file)
        if not others_may_read(file):
            return
    except OSError as error:
        raise ConfigurationError(
            f"Ray's token file {file} can't be read or made: {error.strerror}. "
            f"Name a file that can be written in {TOKEN_FILE}."
        ) from None
    with suppress(OSError):
        file.chmod(PRIVATE)


def _create(file: Path) -> None:
    """Write a new token; never a second one, if another process does the same."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f".{file.name}.{secrets.token_hex(4)}.part")
    try:
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "w", encoding="ascii") as stream:
            stream.write(secrets.token_hex(N_BYTES))
        with suppress(FileExistsError):
            os.link(part, file)
    finally:
        part.unlink(missing_ok=True)
