"""Typed, frozen configuration: unknown keys are errors with a suggestion, and all problems are reported at once."""

import difflib
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError


class Config(BaseModel):
    """A frozen set of settings; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ConfigurationError(ValueError):
    """One line for each problem: what must hold, what was given, what to do."""


ConfigType = TypeVar("ConfigType", bound=Config)


def parse_config(config_type: type[ConfigType], values: Mapping[str, Any], source: str = "configuration") -> ConfigType:
    """Validate `values` as a `config_type`; raises ConfigurationError with every problem and its place in `source`."""
    try:
        return config_type.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError(
            "\n".join(_describe(problem, config_type, source) for problem in error.errors())
        ) from None


def with_overrides(values: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of nested `values` with each dotted path of `overrides` ("model.sigma_a") set to its new value."""
    merged = {key: dict(value) if isinstance(value, Mapping) else value for key, value in values.items()}
    for path, value in overrides.items():
        head, _, rest = path.partition(".")
        if not rest:
            merged[head] = value
            continue
        section = merged.get(head, {})
        if not isinstance(section, Mapping):
            raise ConfigurationError(f"{path}: '{head}' is the value {section!r}, not a section; remove '.{rest}'.")
        merged[head] = with_overrides(section, {rest: value})
    return merged


def suggestion(word: str, known: list[str]) -> str:
    """'; did you mean ...?' if a known word is close to `word`, else '; it must be one of ...'."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else f"; it must be one of {', '.join(sorted(known))}."


def _describe(problem: Mapping[str, Any], config_type: type[Config], source: str) -> str:
    path = [str(part) for part in problem["loc"]]
    if problem["type"] == "extra_forbidden":
        section, known = _section(config_type, path[:-1])
        under = f" under {section}" if section else ""
        return f"{source}: unknown key '{path[-1]}'{under}{suggestion(path[-1], known)}"
    if problem["type"] == "missing":
        section, _ = _section(config_type, path[:-1])
        return f"{source}: '{path[-1]}' is missing{f' under {section}' if section else ''}."
    section, _ = _section(config_type, path)
    if problem["type"] == "union_tag_not_found":
        return f"{source}: {problem['ctx']['discriminator']} is missing under {section}."
    if problem["type"] != "value_error":
        return f"{_place(source, section)}{problem['msg']}, got {problem['input']!r}."
    lines = str(problem["ctx"]["error"]).splitlines()
    return "\n".join(_place(source, "" if line.startswith(section) else section) + line for line in lines)


def _place(source: str, section: str) -> str:
    return f"{source}: {section}: " if section else f"{source}: "


def _section(config_type: type[Config], path: list[str]) -> tuple[str, list[str]]:
    """The readable name of a section, without the parts that only choose a union's member, and its field names."""
    names, types = [], [config_type]
    for part in path:
        fields = [found.model_fields[part] for found in types if part in found.model_fields]
        tagged = [found for found in types if any(part in get_args(f.annotation) for f in found.model_fields.values())]
        if fields:
            types = [nested for field in fields for nested in _config_types(field.annotation)]
        elif tagged:
            types = tagged
            continue
        names.append(part)
    return ".".join(names), sorted({name for found in types for name in found.model_fields})


def _config_types(annotation: Any) -> list[type[Config]]:
    """The Config types within an annotation, at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return [annotation]
    return [found for nested in get_args(annotation) for found in _config_types(nested)]
