"""The user's home folder; a container may run as a user that has none."""

from pathlib import Path

from videogan.config import ConfigurationError


def home_folder() -> Path:
    """The home folder; raises ConfigurationError if neither HOME nor the system's list of users names one."""
    try:
        return Path.home()
    except RuntimeError:
        raise ConfigurationError(
            "this user has no home folder: neither HOME nor the system's list of users names one. Set HOME to a "
            "folder that can be written."
        ) from None
