"""YAML of our own files and of `--set`: one rule for numbers, and nothing that a reader could mistake.

Unlike YAML 1.1, as in YAML 1.2: 1e-5 is a number; on, yes, 010, 1:30 and 2026-01-01 are text, and a setting that needs
a number refuses text. Files of other programs, such as cluster files, are read as those programs read them, elsewhere.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from videogan.config import ConfigurationError
from videogan.storage.places import RemotePath
from videogan.storage.text_file import read_text

MOST_VALUES = 20_000
"""Values that one text may have, with those that its anchors repeat: a few lines of anchors can expand to billions."""
MOST_CHARACTERS = 2_000_000
_CORE = "tag:yaml.org,2002:"
_MERGE = f"{_CORE}merge"
_TAGS = {f"{_CORE}{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map", "merge")}
_DIGITS, _WHOLE = "[0-9](?:_?[0-9])*", "(?:0|[1-9](?:_?[0-9])*)"
_RULES = {  # the tag of a plain scalar that matches the pattern and starts with one of the characters
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "bool": (r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    "int": (rf"[-+]?{_WHOLE}", list("-+0123456789")),
    "float": (
        rf"[-+]?(?:{_WHOLE}(?:\.(?:{_DIGITS})?)?|\.{_DIGITS})(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    "merge": (r"<<", ["<"]),
}


class _Reader(yaml.SafeLoader):
    """Gives plain scalars their types by `_RULES` alone."""

    yaml_implicit_resolvers: dict = {}


class _Refused(yaml.YAMLError):
    """It is YAML, but not of our files; the message says where and why."""


class _Writer(yaml.SafeDumper):
    """Quotes text that `_RULES`, or YAML 1.1, would read as anything else."""


for _name, (_pattern, _starts) in _RULES.items():
    for _class in (_Reader, _Writer):
        _class.add_implicit_resolver(f"{_CORE}{_name}", re.compile(f"(?:{_pattern})$"), _starts)


def read_yaml(text: str, source: str) -> Any:  # whatever the text holds
    """The values of a YAML text; `source` names it in errors.

    Raises ConfigurationError, one line, if the text is not one YAML document of plain values, if a key occurs twice in
    a mapping or is no text, and if it is too long, also by its anchors.
    """
    try:
        return _values(text)
    except _Refused as error:
        raise ConfigurationError(f"{source}: {error}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}: " if mark else ""
        raise ConfigurationError(f"{source}: not YAML: {line}{error.problem or error.context}.") from None
    except RecursionError:
        raise ConfigurationError(f"{source}: its lists and mappings must not be nested this deeply.") from None
    except (yaml.YAMLError, ValueError) as error:  # a character that no text has; a number of 5,000 digits
        raise ConfigurationError(f"{source}: not YAML: {' '.join(str(error).split())}") from None


def _values(text: str) -> Any:
    if len(text) > MOST_CHARACTERS:
        raise _Refused(f"must be at most {MOST_CHARACTERS:,} characters, got {len(text):,}.")
    reader = _Reader(text)
    try:
        root = reader.get_single_node()
        for n, problem in enumerate(_problems(root, reader)):
            if problem:
                raise _Refused(problem)
            if n > MOST_VALUES:
                raise _Refused(f"must have at most {MOST_VALUES:,} values, with those that its anchors repeat.")
        return None if root is None else reader.construct_document(root)
    finally:
        reader.dispose()


def read_yaml_file(path: Path | RemotePath) -> Any:  # whatever the file holds
    """The values of a YAML file; raises ConfigurationError as `read_yaml` and `read_text` do."""
    return read_yaml(read_text(path), str(path))


def write_yaml(values: Any, in_one_line: bool = False) -> str:  # any plain values
    """Text that `read_yaml` reads as the same values, and readers of YAML 1.1 too."""
    return yaml.dump(
        values, Dumper=_Writer, sort_keys=False, allow_unicode=True,
        default_flow_style=in_one_line, width=float("inf") if in_one_line else 80,
    )  # fmt: skip


def _problems(root: yaml.Node | None, reader: _Reader) -> Iterator[str]:
    """For each value that the text holds, also by its anchors: what is wrong with it, in a sentence, or ""."""
    left: list[yaml.Node] = [] if root is None else [root]
    while left:
        node = left.pop()
        line = f"line {node.start_mark.line + 1}: "
        written = node.value if isinstance(node, yaml.ScalarNode) else None
        if node.tag not in _TAGS:
            yield f"{line}the tag {node.tag} must be left out; plain values need none."
        elif written is not None and not node.tag.endswith(":str"):
            fits = reader.resolve(yaml.ScalarNode, written, (True, False)) == node.tag
            yield "" if fits else f"{line}{node.tag.removeprefix(_CORE)} must be its value, got {written!r}."
        else:
            yield ""
        if isinstance(node, yaml.MappingNode):
            yield _problem_of_keys(node)
            left += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            left += node.value


def _problem_of_keys(node: yaml.MappingNode) -> str:
    lines: dict[str, int] = {}
    for key, _ in node.value:
        if key.tag == _MERGE:
            continue
        line = key.start_mark.line + 1
        if not key.tag.endswith(":str"):
            written = key.value if isinstance(key, yaml.ScalarNode) else "a list or mapping"
            return f"line {line}: a key must be text, got {written or 'nothing'}; quote it."
        if key.value in lines:
            return f"line {line}: the key '{key.value}' is already on line {lines[key.value]}; remove one of the two."
        lines[key.value] = line
    return ""
