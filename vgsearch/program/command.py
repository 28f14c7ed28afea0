"""The command of a space that searches another program: its arguments and their placeholders. No torch here."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from string import Formatter
from typing import Annotated, Any

from pydantic import Field, field_validator, model_validator

from videogan.config import Config, ConfigurationError, flattened, parse_config, suggestion

COMMAND = "command"
"""The section of a space's `base` that names a program in place of `model`."""
SECTIONS = (COMMAND, "parameters", "data", "evaluation", "health", "n_classes", "seed")
"""The settings of a program's run; all others of a space are parameters."""
OF_THE_TRIAL = (
    "out", "checkpoint_folder", "data", "seed", "n_steps", "n_frames", "n_classes", "resolution", "n_gpus", "python",
    "parameters",
)  # fmt: skip
"""The placeholders that every command may use; all others are parameters, and {parameters} is all of them as JSON."""
Value = bool | int | float | str
Template = Annotated[str, Field(min_length=1)]


class Command(Config):
    """How a program is started, and when it is ended.

    Each of `arguments` becomes one argument; no shell reads it. A list among them is left out if one of its
    placeholders has no value, because the domain's condition does not hold.
    """

    arguments: tuple[Template | tuple[Template, ...], ...] = Field(
        min_length=1, description="the program and its arguments, with {placeholders}"
    )
    folder: str | None = Field(None, description="working folder, relative to the space's file; default: {out}")
    environment: dict[str, str] = Field({}, description="variables beside those of the trial's process")
    n_steps: int = Field(ge=1, description="the program's last step, in its own unit")
    resolution: int = Field(64, ge=1, description="height and width in pixels at which clips are judged")
    fewest_clips: int = Field(2, ge=2, description="usable videos of each class that a look and the score need")
    seconds_settled: float = Field(
        10.0,
        ge=0,
        description="a folder of samples is whole after so many seconds without a change, or with a later one",
    )
    seconds_of_silence: float = Field(
        1800.0, gt=0, description="a program that prints and writes nothing for so long is ended"
    )
    seconds_to_end: float = Field(30.0, ge=0, description="time between SIGTERM and SIGKILL")

    @field_validator("arguments", mode="before")
    @classmethod
    def _of_texts(cls, written: Any) -> Any:
        if isinstance(written, str):
            raise ValueError("must be a list with an entry for each argument, such as [python, train.py].")
        for each in written if isinstance(written, list | tuple) else ():
            for text in each if isinstance(each, list | tuple) else (each,):
                if not isinstance(text, str):
                    raise ValueError(f'must be texts: write "{text}" in quotes.')
        return written

    @field_validator("folder")
    @classmethod
    def _at_home(cls, folder: str | None) -> str | None:
        return None if folder is None else str(Path(folder).expanduser())

    @model_validator(mode="after")
    def _templates_parse(self) -> "Command":
        for name in placeholders(self):
            if not name or name != name.strip():
                raise ValueError(f"arguments: '{{{name}}}' names nothing; write {{{{ and }}}} for braces.")
        for variable in self.environment:
            if not variable or "=" in variable or "\0" in variable:
                raise ValueError(f"environment: '{variable}' is not the name of a variable.")
        return self

    @property
    def templates(self) -> Iterator[str]:
        """All texts with placeholders."""
        for argument in self.arguments:
            yield from (argument,) if isinstance(argument, str) else argument
        yield from self.environment.values()


def placeholders(command: Command) -> list[str]:
    """The names in braces of a command; raises ValueError for braces that do not pair, or hold more than a name."""
    return [name for template in command.templates for name in names_in(template)]


def names_in(template: str) -> list[str]:
    """The names in braces of a text, such as optimiser.lr in "--lr={optimiser.lr}"."""
    if "\0" in template:
        raise ValueError(f"arguments: {template!r} contains a null byte, which no argument can.")
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"arguments: '{template}': {error}; write {{{{ and }}}} for braces.") from None
    if any(conversion or specification for _, _, specification, conversion in parts):
        raise ValueError(f"arguments: '{template}' must hold only names in braces, without ! and :.")
    return [name for _, name, _, _ in parts if name is not None]


def filled(template: str, values: Mapping[str, Value]) -> str:
    """A text with each name in braces replaced by its value; raises KeyError for a name without one."""
    parts = Formatter().parse(template)
    return "".join(text + ("" if name is None else as_argument(values[name])) for text, name, _, _ in parts)


def as_argument(value: Value) -> str:
    """A value as a program reads it: true, 3, 5e-05, a text as it is."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)


def at_home(space: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The values of a space's file with its program's working folder, if it is relative, below `folder`. Any: YAML."""
    base = space.get("base")
    command = base.get(COMMAND) if isinstance(base, Mapping) else None
    if not isinstance(base, Mapping) or not isinstance(command, Mapping) or not isinstance(command.get("folder"), str):
        return dict(space)
    placed = str(folder / Path(command["folder"]).expanduser())
    return {**space, "base": {**base, COMMAND: {**command, "folder": placed}}}


def problems_of_domains(
    base: Mapping[str, Any], domains: Collection[str], overrides: Iterable[Mapping[str, Any]]
) -> list[str]:
    """Why a space's domains do not fit its program; `overrides` are those of its budgets. Any: values as written."""
    sections = [path for path in domains if path.split(".")[0] in SECTIONS]
    problems = [
        f"domains: {path} can't be searched: a program's domains are the names in its command's braces."
        for path in sections
    ]
    try:
        command = parse_config(Command, base[COMMAND], "base: command")
    except ConfigurationError:
        return problems  # a budget or --set may complete it; the run refuses what they leave
    known = {*domains, *OF_THE_TRIAL, *flattened(base)}.union(*overrides)
    return problems + [
        f"base: command: {{{name}}} is neither a domain nor a value of base{suggestion(name, sorted(known))}"
        for name in dict.fromkeys(placeholders(command))
        if name not in known
    ]
