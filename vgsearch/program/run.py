"""The configuration of a run of another program: its command, and the values that fill its placeholders."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import Field, model_validator

from vgsearch.program.command import OF_THE_TRIAL, SECTIONS, Command, Value, filled, names_in, placeholders
from videogan.config import Config, flattened, suggestion
from videogan.data.clips import DataConfig
from videogan.data.preprocessing import preprocessing_named
from videogan.seeds import LARGEST_SEED
from videogan.training.health import HealthConfig
from videogan.training.run_config import EvaluationConfig


class ProgramRun(Config):
    """A resolved run of a program. Settings without a section of ours are parameters, by their dotted paths."""

    command: Command
    parameters: dict[str, Value] = {}
    data: DataConfig = DataConfig()
    evaluation: EvaluationConfig = EvaluationConfig()
    health: HealthConfig = HealthConfig()
    n_classes: int = Field(ge=1)
    seed: int = Field(0, ge=0, le=LARGEST_SEED)

    @model_validator(mode="before")
    @classmethod
    def _other_sections_are_parameters(cls, written: Any) -> Any:
        if not isinstance(written, Mapping):
            return written
        ours = {key: value for key, value in written.items() if key in SECTIONS}
        if not isinstance(ours.get("parameters", {}), Mapping):
            raise ValueError(f"parameters must map names to values, got {ours['parameters']!r}.")
        others = flattened({key: value for key, value in written.items() if key not in SECTIONS})
        return {**ours, "parameters": {**ours.get("parameters", {}), **others}} if others else ours

    @model_validator(mode="after")
    def _placeholders_and_parameters_match(self) -> "ProgramRun":
        used, known = placeholders(self.command), [*self.parameters, *OF_THE_TRIAL]
        problems = [
            f"{path} has no effect: command.arguments has no placeholder {{{path}}}{suggestion(path, used or ['out'])}"
            for path in self.parameters
            if path not in used and "parameters" not in used
        ]
        required = [argument for argument in self.command.arguments if isinstance(argument, str)]
        problems += [
            f"command: {{{name}}} has no value{suggestion(name, known)} If a condition rules it out, put it and its "
            f"option in a list of their own, which is then left out."
            for template in [*required, *self.command.environment.values()]
            for name in names_in(template)
            if name not in known
        ]
        problems += [f"{path} is a placeholder of the trial's own; name the parameter differently."
                     for path in self.parameters if path in OF_THE_TRIAL]  # fmt: skip
        problems += [f"{path} must be one line of text without null bytes, got {value!r}."
                     for path, value in self.parameters.items() if isinstance(value, str) and "\0" in value]  # fmt: skip
        if problems:
            raise ValueError("\n".join(dict.fromkeys(problems)))
        return self

    @model_validator(mode="after")
    def _can_be_judged(self) -> "ProgramRun":
        size = preprocessing_named(self.preprocessing).size
        if size != self.resolution:
            raise ValueError(
                f"data.preprocessing must give frames of command.resolution {self.resolution}, got {size} from "
                f"{self.preprocessing}; leave it out, or name one of that size."
            )
        if self.evaluation.one_per_class:
            raise ValueError("evaluation.one_per_class trains a family of this library; a program writes every class.")
        if self.data.flip:
            raise ValueError("data.flip has no effect on a program, which reads its training videos itself; remove it.")
        return self

    @property
    def n_steps(self) -> int:
        return self.command.n_steps

    @property
    def n_frames(self) -> int:
        return self.evaluation.s3_protocol.classifier.n_frames

    @property
    def n_conditions(self) -> int:
        return self.n_classes

    @property
    def resolution(self) -> int:
        return self.command.resolution

    @property
    def preprocessing(self) -> str:
        return self.data.preprocessing or f"plain_{self.resolution}"

    def setting(self, path: str) -> Any:
        """The value of a parameter; raises AttributeError for an inactive or unknown one."""
        if path not in self.parameters:
            raise AttributeError(path)
        return self.parameters[path]


def argument_list(run: ProgramRun, of_the_trial: Mapping[str, Value]) -> list[str]:
    """The program and its arguments, filled in."""
    values = _values(run, of_the_trial)
    found = []
    for argument in run.command.arguments:
        templates = (argument,) if isinstance(argument, str) else argument
        if isinstance(argument, str) or all(name in values for each in templates for name in names_in(each)):
            found += [filled(template, values) for template in templates]
    return found


def environment(run: ProgramRun, of_the_trial: Mapping[str, Value]) -> dict[str, str]:
    """The variables that the command adds, filled in."""
    values = _values(run, of_the_trial)
    return {name: filled(template, values) for name, template in run.command.environment.items()}


def _values(run: ProgramRun, of_the_trial: Mapping[str, Value]) -> dict[str, Value]:
    """The value of each placeholder; those of inactive parameters are absent."""
    return {**run.parameters, **of_the_trial, "parameters": json.dumps(run.parameters)}
