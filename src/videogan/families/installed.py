"""Families in other installed packages, found by the entry point group `videogan.families`."""

from importlib.metadata import EntryPoint

from videogan.config import ConfigurationError
from videogan.families.contract import GAN, AnyGAN, FamilyConfig, Generator
from videogan.plug_ins import FAMILIES, PlugIns

_FIELDS = ("family", "resolution", "n_classes", "n_frames")
_MEMBERS = {"config_type": FamilyConfig, "generator_type": Generator}


class Families(PlugIns[type[AnyGAN]]):
    """Families by name."""

    GROUP, KIND = FAMILIES, "family"

    def checked(self, part: object, entry: EntryPoint, about: str) -> type[AnyGAN]:
        """Raises ConfigurationError for what is no whole family under its own name."""
        if not (isinstance(part, type) and issubclass(part, GAN)):
            raise ConfigurationError(f"{about} must be a subclass of videogan.families.contract.GAN, got {part!r}.")
        if missing := _missing(part):
            raise ConfigurationError(f"{about} lacks {', '.join(missing)}; see videogan.families.contract.")
        named = part.config_type.model_fields["family"].default
        if named != entry.name:
            raise ConfigurationError(f"{about} must have the name of its configuration's field family, got {named!r}.")
        return part


def _missing(family: type[AnyGAN]) -> list[str]:
    """Members of the contract that a family, its configuration or its generator lacks."""
    missing = sorted(family.__abstractmethods__)
    missing += [name for name in (*_MEMBERS, "facts") if not hasattr(family, name)]
    for name, needed in _MEMBERS.items():
        kind = getattr(family, name, needed)
        if not (isinstance(kind, type) and issubclass(kind, needed)):
            missing.append(f"{name} as a subclass of {needed.__name__}")
        elif kind is not needed:
            missing += [f"{kind.__name__}.{member}" for member in sorted(getattr(kind, "__abstractmethods__", ()))]
            fields = _FIELDS if name == "config_type" else ()
            missing += [f"{kind.__name__}.{field}" for field in fields if field not in kind.model_fields]
    return missing
