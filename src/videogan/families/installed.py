"""Families in other installed packages, found by the entry point group `videogan.families`."""

from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points

from videogan.config import ConfigurationError
from videogan.families.contract import GAN, AnyGAN, FamilyConfig, Generator

GROUP = "videogan.families"
_FIELDS = ("family", "resolution", "n_classes", "n_frames")
_MEMBERS = {"config_type": FamilyConfig, "generator_type": Generator}


class Families(Mapping[str, type[AnyGAN]]):
    """Families by name: our own, then those of installed packages, which are imported at the first look-up.

    Not at import: a package's family imports `videogan.families.contract`, and with it this package. Each look-up
    raises ConfigurationError, one line that names the package, for a package that cannot be imported, for a family
    that misses a member, and for a name that is taken.
    """

    def __init__(self, own: Mapping[str, type[AnyGAN]]) -> None:
        self._own = own

    @cached_property
    def _all(self) -> dict[str, type[AnyGAN]]:
        found, packages = dict(self._own), dict.fromkeys(self._own, "vgsearch")
        for entry in entry_points(group=GROUP):
            package = package_of(entry)
            if entry.name in found:
                raise ConfigurationError(
                    f"{package}: its family '{entry.name}' is already in {packages[entry.name]}. "
                    "Rename one, or uninstall one of the packages."
                )
            found[entry.name], packages[entry.name] = _family(entry), package
        return found

    def __getitem__(self, name: str) -> type[AnyGAN]:
        return self._all[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


def package_of(entry: EntryPoint) -> str:
    """The name of the installed package that declares an entry point."""
    return entry.dist.name if entry.dist is not None else "an unnamed package"


def _family(entry: EntryPoint) -> type[AnyGAN]:
    """The class that an entry point names. Raises ConfigurationError if it is not a whole family."""
    about = f"{package_of(entry)}: its family '{entry.name}' ({entry.value})"
    try:
        family = entry.load()
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigurationError(f"{about} cannot be imported: {reason}. Fix or uninstall the package.") from error
    if not (isinstance(family, type) and issubclass(family, GAN)):
        raise ConfigurationError(f"{about} must be a subclass of videogan.families.contract.GAN, got {family!r}.")
    if missing := _missing(family):
        raise ConfigurationError(f"{about} lacks {', '.join(missing)}; see videogan.families.contract.")
    named = family.config_type.model_fields["family"].default
    if named != entry.name:
        raise ConfigurationError(f"{about} must have the name of its configuration's field family, got {named!r}.")
    return family


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
