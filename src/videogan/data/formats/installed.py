"""Layouts in other installed packages, found by the entry point group `videogan.layouts`."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, TypeVar

from videogan.config import ConfigurationError
from videogan.data.formats.contract import Found, ImportOptions, Layout
from videogan.plug_ins import LAYOUTS, PlugIns, one_line

_MEMBERS = ("NAME", "TAKES", "recognises", "find")
Answer = TypeVar("Answer")


class Layouts(PlugIns[Layout]):
    """Layouts by name."""

    GROUP, KIND = LAYOUTS, "layout"

    def checked(self, part: object, entry: EntryPoint, about: str) -> Layout:
        """Raises ConfigurationError for what lacks a member of `contract.Layout`, or has another name or options."""
        if missing := [name for name in _MEMBERS if not hasattr(part, name)]:
            raise ConfigurationError(f"{about} lacks {', '.join(missing)}; see videogan.data.formats.contract.")
        layout: Any = part  # Any: a package's module, whose members are checked here
        if entry.name != layout.NAME:
            raise ConfigurationError(f"{about} must have the name of its entry point as NAME, got {layout.NAME!r}.")
        known = set(ImportOptions.__dataclass_fields__)
        if not isinstance(layout.TAKES, frozenset) or not known >= layout.TAKES:
            raise ConfigurationError(
                f"{about} must have a frozenset of {', '.join(sorted(known))} as TAKES, got {layout.TAKES!r}."
            )
        return _Installed(layout, about, layout.NAME, layout.TAKES)


@dataclass
class _Installed:
    """A package's layout, whose exceptions are told in one line that names the package."""

    layout: Layout
    about: str
    NAME: str
    TAKES: frozenset[str]

    def recognises(self, folder: Path) -> bool:
        return bool(self._called(lambda: self.layout.recognises(folder)))

    def find(self, folder: Path, options: ImportOptions) -> Found:
        found = self._called(lambda: self.layout.find(folder, options))
        if not isinstance(found, Found):
            raise ConfigurationError(f"{self.about} must find videogan.data.formats.contract.Found, got {found!r}.")
        return found

    def _called(self, call: Callable[[], Answer]) -> Answer:
        try:
            return call()
        except ConfigurationError:
            raise
        except Exception as error:
            raise ConfigurationError(f"{self.about} raised {one_line(error)}. Fix or uninstall the package.") from error
