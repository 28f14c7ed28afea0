"""The files of a folder that `vgsearch export` wrote, and what is read of them."""

import json
from collections.abc import Sequence
from pathlib import Path

from videogan.config import ConfigurationError

GENERATOR, CLASSES = "generator.pt", "classes.json"
"""The weights, as a checkpoint without discriminators, and the names of the classes by label."""


def exported_classes(checkpoint: Path, n_classes: int) -> Sequence[str] | None:
    """The class names beside an exported generator; None for another checkpoint, or without that file.

    Raises ConfigurationError if the file does not hold `n_classes` names.
    """
    file = checkpoint.parent / CLASSES
    if checkpoint.name != GENERATOR or not file.is_file():
        return None
    try:
        names = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        raise ConfigurationError(f"{file} is damaged ({error}); export the model again.") from None
    if not isinstance(names, list) or len(names) != n_classes or not all(isinstance(name, str) for name in names):
        raise ConfigurationError(f"{file} must be a list of {n_classes} names, got {str(names)[:80]}; export again.")
    return names
