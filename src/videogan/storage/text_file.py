"""Text files: UTF-8 whatever the locale; one line says why a file is not readable as text."""

from pathlib import Path

from videogan.config import ConfigurationError
from videogan.storage.places import RemotePath


def read_text(path: Path | RemotePath) -> str:
    """The text of a file, without a byte order mark; raises ConfigurationError if it cannot be read or is not UTF-8."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        raise ConfigurationError(
            f"{path}: must be UTF-8 text, got the byte 0x{byte:02x} at offset {error.start:,}; save it as UTF-8."
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be read: {error.strerror or error}.") from None
