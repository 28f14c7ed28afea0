"""A YAML document with the line number of each value."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from vgsearch.cluster.check.finding import Finding

Path = tuple[str | int, ...]
_MERGE = "tag:yaml.org,2002:merge"
_MOST_NODES = 20_000
"""Far more than any cluster file has; a few lines of anchors can expand to billions."""


class NotYaml(ValueError):
    """The text is not valid YAML, or its anchors expand to too many values."""

    def __init__(self, line: int, reason: str):
        super().__init__(reason)
        self.line = line


@dataclass(frozen=True)
class Document:
    """Plain values, and the first line of each by path; a value merged from an anchor has the anchor's line."""

    values: Any
    lines: Mapping[Path, int]
    repeated: Sequence[tuple[Path, int]] = ()

    def line(self, *path: str | int) -> int:
        """The line of the value at a path, or of the nearest enclosing value that the file has."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def at(self, *path: str | int, default: Any = None) -> Any:
        """The value at a path; the default if anything on the path is missing, null or of another type."""
        value = self.values
        for part in path:
            is_list = isinstance(value, Sequence) and not isinstance(value, str)
            if part not in (range(len(value)) if is_list else value if isinstance(value, Mapping) else ()):
                return default
            value = value[part]
        return default if value is None else value

    def mapping(self, *path: str | int) -> Mapping[str, Any]:
        """The mapping at a path; empty if there is none."""
        value = self.at(*path)
        return value if isinstance(value, Mapping) else {}

    def sequence(self, *path: str | int) -> Sequence[Any]:
        """The list at a path; empty if there is none."""
        value = self.at(*path)
        return value if isinstance(value, Sequence) and not isinstance(value, str) else ()

    def below(self, *path: str | int) -> "Document":
        """The part at a path as a document, with the line numbers of the whole file."""
        n = len(path)
        lines = {place[n:]: line for place, line in self.lines.items() if place[:n] == path}
        return Document(self.at(*path, default={}), {(): self.line(*path), **lines})


def read_documents(text: str) -> list[Document]:
    """All documents of a YAML text; raises NotYaml."""
    try:
        nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
        return [_document(node) for node in nodes if node is not None]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise NotYaml(mark.line + 1 if mark else 1, error.problem or "unreadable") from None
    except yaml.YAMLError as error:
        raise NotYaml(1, " ".join(str(error).split())) from None
    except (ValueError, RecursionError) as error:  # an impossible date; an anchor inside itself
        raise NotYaml(1, str(error)) from None


def _document(root: yaml.Node) -> Document:
    lines: dict[Path, int] = {}
    for n, (path, line) in enumerate(_walk(root, ())):
        if n > _MOST_NODES:
            raise ValueError(f"its anchors expand to more than {_MOST_NODES} values")
        lines.setdefault(path, line)
    repeated = list(_repeated(root, ()))
    constructor = yaml.SafeLoader("")
    try:
        return Document(constructor.construct_document(root), lines, repeated)
    finally:
        constructor.dispose()


def _walk(node: yaml.Node, path: Path) -> Iterator[tuple[Path, int]]:
    """Path and line of each value; a mapping's own values before merged ones, because they override them."""
    if not path:
        yield path, node.start_mark.line + 1
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield (*path, index), item.start_mark.line + 1
            yield from _walk(item, (*path, index))
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        if key.tag != _MERGE:
            place = (*path, _key(key))
            yield place, key.start_mark.line + 1
            yield from _walk(value, place)
    for key, value in node.value:
        if key.tag == _MERGE:
            for merged in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                yield from _walk(merged, path) if path else list(_walk(merged, path))[1:]


def _key(node: yaml.Node) -> str:
    return node.value if isinstance(node.value, str) else "?"


def _repeated(node: yaml.Node, path: Path) -> Iterator[tuple[Path, int]]:
    """Keys that occur twice in one mapping: YAML readers silently keep the last."""
    children = node.value if isinstance(node, yaml.MappingNode) else []
    seen = set()
    for key, value in children:
        name = _key(key)
        if key.tag != _MERGE and name in seen:
            yield (*path, name), key.start_mark.line + 1
        seen.add(name)
        if key.tag != _MERGE:
            yield from _repeated(value, (*path, name))
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _repeated(item, (*path, index))


def repeated_keys(document: Document) -> Iterator[Finding]:
    """repeated-key: each key occurs once in its mapping."""
    for path, line in document.repeated:
        yield Finding(
            "repeated-key",
            line,
            f"'{path[-1]}' must occur once under {'.'.join(map(str, path[:-1])) or 'the file'}",
            "a second one; only the last is used",
            "Remove one of them.",
        )
