"""The smallest networks of every family and the settings that contract tests try, from the family's facts."""

import pytest

from videogan.families import FAMILIES
from videogan.families.contract import FamilyConfig, Settings

NONE: Settings = {}
CASES = [
    pytest.param(name, settings, id="-".join([name, *(f"{key}={value}" for key, value in settings.items())]))
    for name, family in FAMILIES.items()
    for settings in (NONE, *family.facts.variants)
]
"""Each family with its default settings and with each of its variants."""


def tiny_config(family: str, settings: Settings = NONE) -> FamilyConfig:
    """The configuration of a family's smallest networks on 3 classes, with further settings."""
    kind = FAMILIES[family]
    return kind.config_type(**{"n_classes": 3, **kind.facts.tiny, **settings})
