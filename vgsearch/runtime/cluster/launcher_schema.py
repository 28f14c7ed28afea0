"""Ray's own word on a file for `ray up`: its defaults filled in, its schema applied; no network, no cloud's SDK."""

import contextlib
import copy
import io
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema
from ray.autoscaler._private.util import prepare_config, validate_config

from vgsearch.cluster.check.known_settings import nearest


@dataclass(frozen=True)
class SchemaProblem:
    """What Ray refuses: where in the file, why, and what to do."""

    path: tuple[str | int, ...]
    reason: str
    remedy: str = "Compare it with Ray's reference of cluster files."


def schema_problems(values: Mapping[str, Any]) -> list[SchemaProblem]:
    """What Ray says of the values of a launcher file, before it would start anything."""
    try:
        with _silenced():
            validate_config(prepare_config(copy.deepcopy(dict(values))))
    except jsonschema.ValidationError as error:
        return list(_of_schema(error))
    # Its functions take the file to be nearly right: anything may come out of them, and each says what is wrong with the file.
    except Exception as error:  # noqa: BLE001
        reason = f"the setting {error} is missing" if isinstance(error, KeyError) else str(error)
        return [SchemaProblem(_mentioned(reason, values), " ".join(reason.split()).rstrip(".") or type(error).__name__)]
    return []


def _of_schema(error: Any) -> Iterator[SchemaProblem]:
    path = tuple(error.absolute_path)
    if error.validator == "additionalProperties":
        known = sorted(error.schema.get("properties", {}))
        for name in sorted(set(error.instance) - set(known)):
            yield SchemaProblem((*path, name), f"'{name}' is no setting of its launcher", nearest(name, known))
    else:
        yield SchemaProblem(path, f"{'.'.join(map(str, path)) or 'the file'}: {error.message}")


def _mentioned(reason: str, values: Mapping[str, Any]) -> tuple[str, ...]:
    """The setting of the file that a message without a path speaks of."""
    named = [key for key in values if isinstance(key, str) and key in reason]
    return (min(named, key=reason.index),) if named else ()


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Ray tells of defaults it filled in, and of what it then raises, in colours."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(disabled)
