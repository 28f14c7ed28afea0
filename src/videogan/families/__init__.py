"""The video GANs that can be trained and searched: one file = one paper's GAN."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from videogan.config import Config
from videogan.families import mvt


@dataclass(frozen=True)
class Family:
    """A paper's GAN: the type of its configuration, and build(config), which returns its networks and their step."""

    config_type: type[Config]
    build: Callable[[Any], Any]


FAMILIES: dict[str, Family] = {"mvt": Family(mvt.MVTConfig, mvt.build)}
