"""Settings that Ray hands on to a cloud, or never reads, without a look at their names."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vgsearch.cluster.check.document import Document, Path
from vgsearch.cluster.check.finding import Finding
from vgsearch.cluster.check.known_keys import NODE, PROVIDER, Keys


def settings_have_known_names(document: Document) -> Iterator[Finding]:
    """unknown-key: names in `provider` and in each `node_config` are those that Ray or the cloud knows."""
    provider = str(document.at("provider", "type"))
    if provider in PROVIDER:
        yield from _unknown(document, ("provider",), document.at("provider"), PROVIDER[provider])
    told = set()
    for name in document.mapping("available_node_types") if provider in NODE else ():
        path = ("available_node_types", name, "node_config")
        for finding in _unknown(document, path, document.at(*path), NODE[provider]):
            if finding.line not in told:  # an anchor brings the same words to several types
                told.add(finding.line)
                yield finding


def nearest(word: str, known: Sequence[str]) -> str:
    """'Did you mean ...?' where a known word is close; a list of fifty would help nobody."""
    lowered = {name.lower(): name for name in known}
    close = difflib.get_close_matches(word.lower(), list(lowered), n=1, cutoff=0.6)
    return f"Did you mean '{lowered[close[0]]}'?" if close else "Remove it."


def _unknown(document: Document, path: Path, value: Any, keys: Keys) -> Iterator[Finding]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            place = (*path, name)
            if name not in keys.names:
                must = f"settings under {'.'.join(map(str, path))} must be known"
                remedy = nearest(str(name), sorted(keys.names))
                yield Finding("unknown-key", document.line(*place), must, f"'{name}'", remedy)
            elif name in keys.below:
                yield from _unknown(document, place, inner, keys.below[name])
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, inner in enumerate(value):
            yield from _unknown(document, (*path, index), inner, keys)
