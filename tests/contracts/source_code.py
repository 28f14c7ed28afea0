"""The project's own code, parsed once: its modules, what each imports, and the circles among them."""

import ast
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]


def module_names() -> dict[str, Path]:
    """Every module of the project, by its dotted name."""
    names = {}
    for source in (ROOT / "src", ROOT):
        for package in ("videogan", "vgsearch"):
            for path in sorted((source / package).rglob("*.py")):
                parts = path.relative_to(source).with_suffix("").parts
                names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return names


MODULES = module_names()


@functools.cache
def nodes_of(name: str) -> list[ast.AST]:
    """All nodes of a module's code, which is parsed when it is first asked for: collecting tests parses nothing."""
    return list(ast.walk(ast.parse(MODULES[name].read_text("utf-8"), str(MODULES[name]))))


def package_of(name: str) -> str:
    """The folder of a module, dotted; a package's `__init__` is in the package itself."""
    return name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]


def imported(name: str) -> Iterator[str]:
    """Dotted names of all imports anywhere in a module's code; relative imports are resolved."""
    package = package_of(name)
    for node in nodes_of(name):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            source = ".".join([*parents, *([node.module] if node.module else [])])
            yield from (f"{source}.{alias.name}" for alias in node.names)


def imported_modules(name: str) -> set[str]:
    """The project's own modules that a module imports, inside functions and under TYPE_CHECKING too."""
    found = set()
    for dotted in imported(name):
        while dotted and dotted not in MODULES:
            dotted = dotted.rpartition(".")[0]
        found |= {dotted} - {"", name}
    return found


def imports_of_files() -> dict[str, set[str]]:
    """Module -> the modules it imports."""
    return {name: imported_modules(name) for name in MODULES}


def imports_of_folders() -> dict[str, set[str]]:
    """Folder -> the other folders that its modules import from.

    A subfolder counts as another folder. So does each file directly in `videogan` or `vgsearch`, and each contract,
    because both the implementations in subfolders and the folder's list of them import it.
    """
    folders: dict[str, set[str]] = {}
    for name in MODULES:
        own = _folder(name)
        folders.setdefault(own, set()).update({_folder(other) for other in imported_modules(name)} - {own})
    return folders


def _folder(name: str) -> str:
    is_single_file = package_of(name) in ("videogan", "vgsearch") or name.endswith(".contract")
    return name if is_single_file else package_of(name)


def circle(imports: Mapping[str, set[str]]) -> list[str]:
    """One circle of imports, with its first module repeated at the end; empty if there is none."""
    done: set[str] = set()

    def search(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for other in sorted(imports.get(name, ())):
            if found := search(other, [*path, name]):
                return found
        done.add(name)
        return []

    for name in sorted(imports):
        if found := search(name, []):
            return found
    return []
