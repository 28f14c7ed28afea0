"""Search spaces: one YAML file each, read into typed domains over the paths of a run's configuration."""

import difflib
import itertools
from collections.abc import Collection, Iterable, Mapping
from importlib import resources
from importlib.metadata import entry_points
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator, model_validator

from vgsearch.experiment.names import checked_name
from vgsearch.program.command import COMMAND, at_home, problems_of_domains
from vgsearch.space.budgets import BUDGETS, Budget, Pruning, with_shared_budgets
from vgsearch.space.domains import Domain, Searched, is_active
from vgsearch.space.extending import EXTENDS, extended
from vgsearch.space.inequality import Inequality
from vgsearch.space.yaml_text import read_yaml, write_yaml
from videogan.config import Config, ConfigurationError, flattened, parse_config, suggestion, with_overrides
from videogan.data.layout_names import layout_names
from videogan.plug_ins import one_line, package_of
from videogan.storage.text_file import read_text

OF_ANCHORS = "x-"
"""Start of the keys at the top of a space's file that only carry anchors."""
_CHANGE_REAL_CLIPS = ("model.resolution", "data", "data.preprocessing", "data.every_nth", "data.short_clips")
"""Settings that change the real clips, against which all trials of a sweep are scored."""
_OF_THE_FRAME_SIZE = ("model.resolution", "data.preprocessing")


class Space(Config):
    """One search: the base configuration, what varies (`domains`), what the paper chose, and what it may cost."""

    name: str
    title: str
    paper: str
    base: dict[str, Any]
    domains: dict[str, Domain] = Field(min_length=1)
    constraints: list[str] = Field([], description='between domains: "model.sigma_a <= model.sigma_b"')
    paper_points: list[dict[str, Any]] = Field(min_length=1)
    point_names: list[str] = Field([], description="one for each of several paper_points, in their order")
    data_sets: dict[str, dict[str, Any]] = Field(
        {},
        description="what the paper sets for a data set, by its layout's name and dotted paths: over base and points",
    )
    budgets: dict[str, Budget]

    @property
    def cited(self) -> str:
        """The title, with its paper if it has one."""
        return self.title if self.paper == "none" else f"{self.title} ({self.paper})"

    @field_validator("name")
    @classmethod
    def _is_a_folders_name(cls, name: str) -> str:
        return checked_name(name, "name")  # experiments are named after it

    @model_validator(mode="after")
    def _consistent(self) -> "Space":
        problems = [problem for point in self.paper_points for problem in self._problems_of(point, self.domains)]
        problems += [problem for path in self.domains for problem in self._problems_of_condition(path)]
        problems += [problem for name in self.budgets for problem in self._problems_of_budget_domains(name)]
        problems += [problem for path in self.domains for problem in _problems_of_scoring(path)]
        problems += [problem for name in self.data_sets for problem in self._problems_of_data_set(name)]
        problems += self._problems_of_program()
        names, n_points = self.point_names, len(self.paper_points)
        if names and (len(names) != n_points or len(set(names)) != n_points):
            problems.append(f"point_names: each of the {n_points} paper_points needs a different name, got {names}.")
        problems += [
            f"budgets: '{name}' is not a budget{suggestion(name, list(BUDGETS))}"
            for name in self.budgets
            if name not in BUDGETS
        ]
        problems += self._problems_of_steps()
        problems += [problem for written in self.constraints for problem in self._problems_of_constraint(written)]
        if problems:
            raise ValueError("\n".join(problems))
        for name in self.budgets:
            Searched(self.domains_at(name), {}, self.inequalities).refuse_unsatisfiable()
        return self

    def at_point(self, name: str) -> "Space":
        """This space with only the paper point of that name; raises ConfigurationError for an unknown name."""
        if name not in self.point_names:
            names = [*self.point_names, *self.data_sets]
            known = suggestion(name, names) if names else ": it has only one; remove --point."
            raise ConfigurationError(f"--point: {self.name} has no point '{name}'{known}")
        return self.model_copy(
            update={"paper_points": [self.paper_points[self.point_names.index(name)]], "point_names": [name]}
        )

    def on_data_set(self, name: str, fixed: Collection[str] = ()) -> "Space":
        """This space with what the paper sets for a data set; without settings for one that the space does not name.

        `fixed`: dotted paths that a budget or a user sets. If one is the frame size, the paper's frames do not fit.
        """
        settings = self.data_sets.get(name, {})
        if "model.resolution" in fixed:
            settings = {path: value for path, value in settings.items() if path not in _OF_THE_FRAME_SIZE}
        of_points = {path: value for path, value in settings.items() if path in self.domains}
        of_base = {path: value for path, value in settings.items() if path not in self.domains}
        return self.model_copy(
            update={
                "base": with_overrides(self.base, of_base),
                "paper_points": [{**point, **of_points} for point in self.paper_points],
                "data_sets": {name: settings} if settings else {},
            }
        )

    def without_pruning(self, budget: str) -> "Space":
        """This space with a budget that prunes no trial; raises ConfigurationError for population based training."""
        limits = self.budgets[budget]
        if limits.sampler == "pbt":
            raise ConfigurationError(
                f"--no-pruning: population based training ({self.name}) replaces trials; use another."
            )
        unpruned = limits.model_copy(update={"pruning": Pruning(pruner="none")})
        return self.model_copy(update={"budgets": {**self.budgets, budget: unpruned}})

    @property
    def is_of_program(self) -> bool:
        """Whether the trials run another program, which `base` has as `command`, and train no family."""
        return COMMAND in self.base

    def _problems_of_program(self) -> list[str]:
        if not self.is_of_program:
            return []
        problems = ["base: a space has either model or command; remove one."] if "model" in self.base else []
        problems += [
            f"budgets.{name}: sampler pbt copies checkpoints between trials, which only families have; use another."
            for name, budget in self.budgets.items()
            if budget.sampler == "pbt"
        ]
        return problems + problems_of_domains(self.base, self.domains, [b.overrides for b in self.budgets.values()])

    @property
    def inequalities(self) -> tuple[Inequality, ...]:
        return tuple(map(Inequality.parse, self.constraints))

    def domains_at(self, budget: str) -> dict[str, Domain]:
        """The domains under a budget: the space's, some of them replaced by the budget's own."""
        return {**self.domains, **self.budgets[budget].domains}

    def _problems_of_budget_domains(self, budget: str) -> list[str]:
        own, at = self.budgets[budget].domains, f"budgets.{budget}.domains"
        unknown = [f"{at}: '{path}' is not a domain{suggestion(path, list(self.domains))}" for path in own
                   if path not in self.domains]  # fmt: skip
        if unknown:
            return unknown
        other = [f"{at}: {path} must have the same `when` as in domains, {self.domains[path].when}." for path in own
                 if own[path].when != self.domains[path].when]  # fmt: skip
        points = [problem for point in self.paper_points for problem in self._problems_of(point, own)] if own else []
        return other + [f"budgets.{budget}: {problem}" for problem in points]

    def _problems_of_data_set(self, name: str) -> list[str]:
        if name not in layout_names():
            return [f"data_sets: no import has the layout '{name}'{suggestion(name, layout_names())}"]
        of_points = {path: value for path, value in self.data_sets[name].items() if path in self.domains}
        return [
            f"data_sets.{name}: {path} must be in its domain {self.domains[path].ends}, got {value!r}."
            for path, value in of_points.items()
            if value not in self.domains[path]
        ]

    def _problems_of_steps(self) -> list[str]:
        stepped = [path for path, domain in self.domains.items() if getattr(domain, "steps", None) is not None]
        if any(budget.sampler == "grid" for budget in self.budgets.values()):
            return []
        return [
            f"domains: steps of {path} have no effect because no budget has sampler = grid; remove them."
            for path in stepped
        ]

    def _problems_of_constraint(self, written: str) -> list[str]:
        try:
            inequality = Inequality.parse(written)
        except ConfigurationError as error:
            return [str(error)]
        unknown = [path for path in inequality.paths if path not in self.domains]
        if unknown:
            return [f"constraints: '{path}' is not a domain{suggestion(path, list(self.domains))}" for path in unknown]
        unordered = [path for path in inequality.paths if not self.domains[path].is_of_numbers]
        if unordered:
            return [f"constraints: {written} compares numbers, but {path} has other values." for path in unordered]
        return [
            f"paper_points: the paper's point must satisfy {inequality}, got "
            f"{point[inequality.smaller]!r} and {point[inequality.larger]!r}."
            for point in self.paper_points
            if not inequality.holds(point)
        ]

    def _problems_of(self, point: Mapping[str, Any], domains: Mapping[str, Domain]) -> list[str]:
        """What is wrong with a paper's point, its values against some `domains`."""
        unknown = [
            f"paper_points: '{path}' is not a domain{suggestion(path, list(self.domains))}"
            for path in point
            if path not in self.domains
        ]
        active = [path for path, domain in self.domains.items() if is_active(domain, point)]
        missing = [f"paper_points: {path} has no value." for path in active if path not in point]
        outside = [
            f"paper_points: {path} must be in its domain {domains[path].ends}, got {point[path]!r}."
            for path in active
            if path in point and path in domains and point[path] not in domains[path]
        ]
        return unknown + missing + outside

    def _problems_of_condition(self, path: str) -> list[str]:
        above = list(itertools.takewhile(lambda other: other != path, self.domains))
        conditions = self.domains[path].when
        unlisted = [f"domains: {path} depends on {name}, {self._why_not_above(name, path)}" for name in conditions
                    if name not in above]  # fmt: skip
        never = [
            f"domains: {path} depends on {name} = {value!r}, which is not in that domain, {self.domains[name].ends}."
            for name, value in conditions.items()
            if name in above and value not in self.domains[name]
        ]
        return unlisted + never

    def _why_not_above(self, name: str, path: str) -> str:
        if name in self.domains:
            return "which must be a domain listed above it."
        return f"which is not a domain{suggestion(name, [other for other in self.domains if other != path])}"

    def run_values(self, budget: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
        """The nested configuration of a run: base, then the budget's overrides, then `overrides` by dotted path."""
        return with_overrides(with_overrides(self.base, self.budgets[budget].overrides), overrides)


def _problems_of_scoring(path: str) -> list[str]:
    """Why a domain over `path` would make its trials' scores incomparable; empty if it would not."""
    if path.split(".")[0] == "evaluation":
        reason = "scores are comparable only under one evaluation"
    elif path in _CHANGE_REAL_CLIPS:
        reason = "scores are comparable only on the same real clips, of one size and frame rate"
    else:
        return []
    return [f"domains: {path} can't be searched: {reason}. Set it in base, or with --set."]


def installed_spaces() -> dict[str, Traversable]:
    """Name to file of every search space: ours, then those of packages with an entry point `vgsearch.search_spaces`.

    Such an entry point names a package whose YAML files are search spaces. Raises ConfigurationError, one line that
    names the package, for one that cannot be imported and for a space whose name is taken.
    """
    found = _yaml_files(resources.files("vgsearch.search_spaces"))
    packages = dict.fromkeys(found, "vgsearch")
    for entry in entry_points(group="vgsearch.search_spaces"):
        package = package_of(entry)
        try:
            files = _yaml_files(resources.files(entry.load()))
        except Exception as error:
            raise ConfigurationError(
                f"{package}: its search spaces ({entry.value}) cannot be imported: {one_line(error)}. Fix or uninstall the "
                "package."
            ) from error
        if taken := [name for name in files if name in found]:
            raise ConfigurationError(
                f"{package}: its search space '{taken[0]}' is already in {packages[taken[0]]}. Rename one, or uninstall one "
                "of the packages."
            )
        found, packages = found | files, packages | dict.fromkeys(files, package)
    return found


def _yaml_files(folder: Traversable) -> dict[str, Traversable]:
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".yaml")), key=lambda file: file.name)
    return {file.name.removesuffix(".yaml"): file for file in files}


def load_space(name_or_path: str) -> Space:
    """An installed space by name, or any YAML file by path; raises ConfigurationError with the names that exist."""
    return parse_space(*_text_of(name_or_path))


def _text_of(name_or_path: str) -> tuple[str, str]:
    """The YAML text of a space, and its name in errors."""
    installed = installed_spaces()
    if name_or_path in installed:
        return installed[name_or_path].read_text("utf-8"), f"{name_or_path}.yaml"
    path = Path(name_or_path)
    if not path.is_file():
        close = difflib.get_close_matches(name_or_path, installed, n=1, cutoff=0.5)
        near = f"; did you mean '{close[0]}'? Or " if close else "; "
        raise ConfigurationError(
            f"no search space '{name_or_path}'{near}choose one of {', '.join(installed)}, or give the path of a YAML file."
        )
    return read_text(path), str(path)


def source_of(name_or_path: str) -> str:
    """The name of an installed space, or the absolute path of a file: what `load_space` reads from any folder."""
    return name_or_path if name_or_path in installed_spaces() else str(Path(name_or_path).absolute())


def parse_space(text: str, source: str) -> Space:
    """A search space from YAML text; `source` names it in errors."""
    values = _written(text, source, ())
    try:
        budgets = (
            {"budgets": with_shared_budgets(values["budgets"], _keys(values.get("domains")))}
            if "budgets" in values
            else {}
        )
    except ConfigurationError as error:
        raise ConfigurationError(f"{source}: {error}") from None
    return parse_config(Space, values | budgets, source)


def yaml_of(space: Space) -> str:
    """A space as YAML that `parse_space` reads to the same space, its shared budgets spelled out."""
    return write_yaml(space.model_dump(mode="json", exclude_unset=True))


def _written(text: str, source: str, extending: Collection[str]) -> dict[str, Any]:
    """The values of a space's file, with those of the space that it extends; `extending`: the files that led here."""
    values = read_yaml(text, source)
    if not isinstance(values, dict):
        raise ConfigurationError(f"{source}: expected a mapping with name, base, domains, paper_points, budgets.")
    values = {key: value for key, value in values.items() if not key.startswith(OF_ANCHORS)}
    if Path(source).is_file():
        values = at_home(values, Path(source).absolute().parent)
    if EXTENDS not in values:
        return values
    if source in extending:
        raise ConfigurationError(f"{source}: {EXTENDS} leads back to this file; remove one of them.")
    try:
        text_above, source_above = _text_of(str(values[EXTENDS]))
        return extended(_written(text_above, source_above, (*extending, source)), values)
    except ConfigurationError as error:
        raise ConfigurationError(f"{source}: {EXTENDS}: {error}") from None


def _keys(section: Any) -> Collection[str]:
    """The keys of a section as written; none if it is no section, which `parse_config` refuses."""
    return section if isinstance(section, Mapping) else ()


def parse_overrides(texts: Iterable[str]) -> dict[str, Any]:
    """The values of `--set`, with a dotted path for each setting; the last of two for one setting counts.

    Raises ConfigurationError as `parse_override` does.
    """
    flat: dict[str, Any] = {}
    for path, value in map(parse_override, texts):
        flat |= flattened({path: value})
    return flat


def parse_override(text: str) -> tuple[str, Any]:
    """Read 'model.sigma_a=0.3' as a dotted path and a YAML value; raises ConfigurationError for anything else."""
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise ConfigurationError(f"--set {text}: expected path=value, such as model.sigma_a=0.3.")
    return path.strip(), read_yaml(value, f"--set {text}")
