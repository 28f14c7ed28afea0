"""Compare a document with a JSON Schema: unknown settings, missing ones, values of the wrong type."""

import difflib
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jsonschema

from vgsearch.cluster.check.document import Document, Path
from vgsearch.cluster.check.finding import Finding


def differences(document: Document, schema: Mapping[str, Any], remedy: str) -> Iterator[Finding]:
    """unknown-key, schema: a finding for each setting that the schema refuses; `remedy` is for wrong values."""
    errors = jsonschema.Draft7Validator(schema).iter_errors(_with_text_keys(document.values))
    for error in sorted(errors, key=lambda error: [str(part) for part in error.absolute_path]):
        path = tuple(error.absolute_path)
        if error.validator == "additionalProperties":
            yield from _unknown(document, path, error)
        elif error.validator == "required":
            yield from _missing(document, path, error)
        else:
            must = f"{_place(path)} {_expected(error)}"
            yield Finding("schema", document.line(*path), must, _short(error.instance), remedy)


def _unknown(document: Document, path: Path, error: Any) -> Iterator[Finding]:  # jsonschema has no types
    known = sorted(error.schema.get("properties", {}))
    for name in error.instance:
        if name not in known:
            must = f"settings under {_place(path)} must be known"
            yield Finding("unknown-key", document.line(*path, name), must, f"'{name}'", nearest(name, known))


def _missing(document: Document, path: Path, error: Any) -> Iterator[Finding]:
    for name in error.validator_value:
        if name not in error.instance and f"'{name}'" in error.message:
            must = f"{'.'.join(map(str, (*path, name)))} must be set"
            yield Finding("schema", document.line(*path), must, "nothing", "Add it.")


def nearest(word: str, known: Sequence[str]) -> str:
    """'Did you mean ...?' if a known word is close, else 'Remove it.'; a list of all fifty names would not help."""
    lowered = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), list(lowered), n=1, cutoff=0.6)
    return f"Did you mean '{lowered[close[0]]}'?" if close else "Remove it."


def _place(path: Path) -> str:
    return ".".join(map(str, path)) or "the file"


def _expected(error: Any) -> str:
    if error.validator == "type":
        types = error.validator_value
        names = {"object": "mapping", "array": "list"}
        return f"must be of type {' or '.join(names.get(t, t) for t in ([types] if isinstance(types, str) else types))}"
    if error.validator == "enum":
        return f"must be one of {', '.join(map(str, error.validator_value))}"
    if error.validator == "minimum":
        return f"must be at least {error.validator_value}"
    return f"must fit: {textwrap.shorten(error.message, 200)}"


def _short(value: Any) -> str:
    return textwrap.shorten(repr(value), 60, placeholder=" ...")


def _with_text_keys(value: Any) -> Any:
    """The value with each key as text: YAML allows numbers, and jsonschema matches keys against patterns."""
    if isinstance(value, Mapping):
        return {str(key): _with_text_keys(inner) for key, inner in value.items()}
    return [_with_text_keys(inner) for inner in value] if isinstance(value, list) else value
