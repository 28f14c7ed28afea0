"""Parts in other installed packages, found by entry points: families, data layouts, metrics."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import ClassVar, Generic, TypeVar

from videogan.config import ConfigurationError

FAMILIES, LAYOUTS, METRICS = "videogan.families", "videogan.layouts", "vgsearch.metrics"
"""The groups of entry points."""
Part = TypeVar("Part")


class PlugIns(Mapping[str, Part], ABC, Generic[Part]):
    """Parts of one kind by name: our own, then those of installed packages, which are imported at the first look-up.

    Not at import: a package's part imports our modules, and with them this one. Each look-up raises
    ConfigurationError, one line that names the package, for a package that cannot be imported, for a part that
    `checked` refuses, and for a name that is taken.
    """

    GROUP: ClassVar[str]
    """The group of the entry points."""
    KIND: ClassVar[str]
    """What errors call a part."""

    def __init__(self, own: Mapping[str, Part], reserved: Iterable[str] = ()) -> None:
        """`reserved`: other names that a package's part must not have."""
        self._own, self._reserved = own, tuple(reserved)

    @abstractmethod
    def checked(self, part: object, entry: EntryPoint, about: str) -> Part:
        """The part that an entry point names. Raises ConfigurationError, beginning with `about`, if it is not whole."""

    @cached_property
    def _all(self) -> dict[str, Part]:
        found, packages = dict(self._own), dict.fromkeys((*self._own, *self._reserved), "vgsearch")
        for entry in entry_points(group=self.GROUP):
            package = package_of(entry)
            if entry.name in packages:
                raise ConfigurationError(
                    f"{package}: its {self.KIND} '{entry.name}' is already in {packages[entry.name]}. "
                    "Rename one, or uninstall one of the packages."
                )
            about = f"{package}: its {self.KIND} '{entry.name}' ({entry.value})"
            found[entry.name], packages[entry.name] = self.checked(_loaded(entry, about), entry, about), package
        return found

    def __getitem__(self, name: str) -> Part:
        return self._all[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)


def installed_names(group: str) -> list[str]:
    """The names of a group's entry points in installed packages, which are not imported."""
    return list(dict.fromkeys(entry.name for entry in entry_points(group=group)))


def installed_packages() -> list[str]:
    """The names of the installed packages that bring parts, which are not imported."""
    entries = [entry for group in (FAMILIES, LAYOUTS, METRICS) for entry in entry_points(group=group)]
    return sorted({entry.dist.name for entry in entries if entry.dist is not None})


def package_of(entry: EntryPoint) -> str:
    """The name of the installed package that declares an entry point."""
    return entry.dist.name if entry.dist is not None else "an unnamed package"


def one_line(error: Exception) -> str:
    """An exception of a package's code, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _loaded(entry: EntryPoint, about: str) -> object:
    try:
        return entry.load()
    except Exception as error:
        raise ConfigurationError(
            f"{about} cannot be imported: {one_line(error)}. Fix or uninstall the package."
        ) from error
