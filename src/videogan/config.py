"""Typed, frozen configuration: unknown keys are errors with a suggestion, and all problems are reported at once."""

import difflib
from collections.abc import Iterator, Mapping
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator


class _NoNumber(ValueError):
    """Text or a boolean, also in a list, was given for the setting `name`, which is a number."""

    def __init__(self, name: str, given: Any) -> None:
        super().__init__(f"must be a number, got {given!r}.")
        self.name = name


class Config(BaseModel):
    """A frozen set of settings; unknown keys are errors, and a number is finite, no text and no boolean."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _numbers_are_written_as_numbers(cls, written: Any) -> Any:
        """pydantic alone reads true as 1 and the text "010", which other readers take for 8, as 10."""
        for name, value in written.items() if isinstance(written, Mapping) else ():
            items = value if isinstance(value, list | tuple) else [value]
            is_misread = name in cls.model_fields and any(isinstance(item, bool | str) for item in items)
            if is_misread and _is_of_numbers(cls.model_fields[name].annotation):
                raise _NoNumber(name, value)
        return written


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


def with_overrides(values: Mapping[str, Any], overrides: Mapping[str, Any], within: str = "") -> dict[str, Any]:
    """A copy of nested `values` with each dotted path of `overrides` ("model.sigma_a") set to its new value.

    A mapping changes a section's settings that it names, as their dotted paths do, and leaves the others. `within` is
    the start of the paths in errors.
    """
    merged = {key: dict(value) if isinstance(value, Mapping) else value for key, value in values.items()}
    for path, value in overrides.items():
        head, _, rest = path.partition(".")
        section = merged.get(head)
        if not rest:
            if isinstance(section, Mapping) and isinstance(value, Mapping):
                value = with_overrides(section, value, f"{within}{head}.")
            merged[head] = value
            continue
        section = {} if section is None else section
        if not isinstance(section, Mapping):
            raise ConfigurationError(
                f"{within}{path}: '{within}{head}' is the value {section!r:.80}, not a section; remove '.{rest}'."
            )
        merged[head] = with_overrides(section, {rest: value}, f"{within}{head}.")
    return merged


def suggestion(word: str, known: list[str]) -> str:
    """'; did you mean ...?' if a known word is close to `word`, else '; it must be one of ...'."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"; did you mean '{close[0]}'?" if close else f"; it must be one of {', '.join(sorted(known))}."


def flattened(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides with a dotted path for each setting: {"loop": {"n_steps": 5}} as {"loop.n_steps": 5}."""
    flat: dict[str, Any] = {}
    for path, value in overrides.items():
        below = flattened(value) if isinstance(value, Mapping) else {}
        flat |= {f"{path}.{rest}": setting for rest, setting in below.items()} if below else {path: value}
    return flat


def _is_of_numbers(annotation: Any) -> bool:
    """Whether a field's type is a number, a number or None, or a sequence of numbers."""
    if annotation in (int, float):
        return True
    origin, parts = get_origin(annotation), [part for part in get_args(annotation) if part not in (NoneType, Ellipsis)]
    if origin is Annotated:
        return _is_of_numbers(parts[0])
    return bool(parts) and origin in (Union, UnionType, tuple, list) and all(map(_is_of_numbers, parts))


def _describe(problem: Mapping[str, Any], config_type: type[Config], source: str) -> str:
    path = [str(part) for part in problem["loc"]]
    if problem["type"] == "extra_forbidden":
        section, known = _section(config_type, path[:-1])
        under = f" under {section}" if section else ""
        return f"{source}: unknown key '{path[-1]}'{under}{_suggested(path[-1], section, known, config_type)}"
    if problem["type"] == "missing":
        section, _ = _section(config_type, path[:-1])
        return f"{source}: '{path[-1]}' is missing{f' under {section}' if section else ''}."
    if problem["type"] == "value_error" and isinstance(problem["ctx"]["error"], _NoNumber):
        path.append(problem["ctx"]["error"].name)
    section, _ = _section(config_type, path)
    if problem["type"] == "union_tag_not_found":
        return f"{source}: {problem['ctx']['discriminator']} is missing under {section}."
    if problem["type"] != "value_error":
        return f"{_place(source, section)}{problem['msg']}, got {problem['input']!r}."
    lines = str(problem["ctx"]["error"]).splitlines()
    return "\n".join(_place(source, "" if line.startswith(section) else section) + line for line in lines)


def _suggested(key: str, section: str, known: list[str], config_type: type[Config]) -> str:
    """The setting that an unknown key probably means: of its section or, without a section, of any, by its path."""
    paths = [] if section else sorted(path for path in _paths(config_type) if path.rpartition(".")[2] == key)
    return f"; did you mean '{paths[0]}'?" if paths else suggestion(key, known)


def _paths(config_type: type[Config], above: str = "") -> Iterator[str]:
    """The dotted paths of all settings, also of each member of a union."""
    for name, field in config_type.model_fields.items():
        yield f"{above}{name}"
        for nested in _config_types(field.annotation):
            yield from _paths(nested, f"{above}{name}.")


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
