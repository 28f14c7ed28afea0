"""A sweep's settings: the space, the budget, the data, and how a proposal becomes a run's configuration."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from vgsearch.experiment.objective import Objective, read_objectives
from vgsearch.experiment.paths import trial_id
from vgsearch.experiment.stop_when import NEVER, StopWhen
from vgsearch.program.run import ProgramRun
from vgsearch.space.domains import Domain, Searched, is_active
from vgsearch.space.space import Budget, Space
from vgsearch.space.yaml_text import read_yaml_file, write_yaml
from videogan.config import Config, ConfigurationError, flattened, parse_config, suggestion, with_overrides
from videogan.data.manifest import Manifest, ScoredSplit
from videogan.families import FAMILIES
from videogan.metrics.seed_interval import MAX_SEEDS
from videogan.storage.address_secrets import has_secret, without_secrets
from videogan.storage.atomic import write_atomically
from videogan.training.run_config import EvaluationConfig, RunConfig
from videogan.training.scored_run import ScoredRun

JOURNAL = ".journal"
"""Suffix of a file in which Optuna keeps a study as a journal."""


class Sweep(Config):
    """Everything a driver needs to run or resume a sweep; saved as sweep.yaml."""

    space: Space
    budget: str
    data: str = Field(description="folder that holds the data set's manifest")
    manifest_digest: str
    n_classes: int
    n_colours: Literal[1, 3] = Field(3, description="colours of the data set's clips; 1: grey")
    class_names: list[str] = Field(
        [], description="names of the labels 0, 1, ..., known while the data set is elsewhere"
    )
    overrides: dict[str, Any] = {}
    n_trials: int = Field(ge=1)
    seed: int = 0
    n_workers: int = Field(1, ge=1, description="Ray Train workers per trial; 1 trains inside the trial itself")
    gpus_per_worker: float = Field(0, ge=0)
    max_concurrent: int | None = Field(None, ge=1)
    seeds_per_trial: int = Field(1, ge=1, le=MAX_SEEDS, description="trainings of each point; its score is their mean")
    racing: bool = Field(
        False, description="train further seeds only of points whose interval overlaps that of the best so far"
    )
    confirm_best: bool = Field(
        False, description="train the best point and the paper's again at the end, on fresh seeds, to tell them apart"
    )
    scored: ScoredSplit | None = Field(
        None, description="the real clips that trials are scored on; default: select, or test where it is missing"
    )
    keep: int = Field(2, ge=2, description="newest checkpoints kept per trial, in addition to its best")
    disk_budget_bytes: float | None = Field(
        None, gt=0, description="disk space that the checkpoints of all trials may take"
    )
    time_budget_hours: float | None = Field(None, gt=0)
    gpu_hours: float | None = Field(
        None, gt=0, description="hours times GPUs of all trials, in all attempts, after which the sweep stops"
    )
    stop_when: str = Field(NEVER, description="when no more trials start: no-improvement:N, target:VALUE; see StopWhen")
    log: list[str] = Field([], description="trackers beside TensorBoard: mlflow, wandb, trackio")
    tags: list[str] = Field([], description="words by which `vgsearch ls --tag` finds the experiment")
    space_source: str = Field("", description="the shipped space's name, or the path of the file")
    storage: str | None = Field(None, description="where Optuna keeps the study; default: the experiment's folder")
    study_name: str = Field("vgsearch", description="the study's name, unique within its storage")
    warm_start: list[str] = Field(
        [], description="folders of earlier experiments whose finished trials the study starts with"
    )

    @field_validator("storage")
    @classmethod
    def _known_storage(cls, storage: str | None) -> str | None:
        return None if storage is None else checked_storage(storage)

    @field_validator("stop_when")
    @classmethod
    def _known_condition(cls, written: str) -> str:
        StopWhen.parse(written)
        return written

    @model_validator(mode="after")
    def _known_budget(self) -> Self:
        if self.budget not in self.space.budgets:
            known = list(self.space.budgets)
            raise ValueError(f"no budget '{self.budget}' in {self.space.name}{suggestion(self.budget, known)}")
        return self

    @property
    def limits(self) -> Budget:
        return self.space.budgets[self.budget]

    @property
    def domains(self) -> dict[str, Domain]:
        """The budget's domains without those that `overrides` fixes or whose condition it rules out."""
        return {
            path: domain
            for path, domain in self.space.domains_at(self.budget).items()
            if path not in self.overrides and is_active(domain, {**domain.when, **self.overrides})
        }

    @property
    def searched(self) -> Searched:
        """The domains and inequalities that proposals come from."""
        return Searched(self.domains, self.overrides, self.space.inequalities)

    @property
    def paper_points(self) -> list[dict[str, Any]]:
        """The paper's values of the searched domains; one that only `overrides` activates has its field's default."""
        return [self._completed(point) for point in self.space.paper_points]

    @property
    def n_generators(self) -> int:
        """The generators that a trial trains: one, or one for each class."""
        return self.n_classes if self.run_config(self.paper_points[0], 0).evaluation.one_per_class else 1

    def _completed(self, point: Mapping[str, Any]) -> dict[str, Any]:
        chosen = {path: value for path, value in point.items() if path in self.domains}
        config = self.run_config(chosen, 0)
        for path, domain in self.domains.items():
            if path not in chosen and is_active(domain, {**chosen, **self.overrides}):
                chosen[path] = config.setting(path)
        return chosen

    def run_values(self, chosen: Mapping[str, Any]) -> dict[str, Any]:
        values = self.space.run_values(self.budget, dict(chosen))
        if self.space.is_of_program:
            return with_overrides(values, {"n_classes": self.n_classes, **self.overrides})
        of_data: dict[str, Any] = {"model.n_classes": self.n_classes}
        if self.n_colours == 1 and _has_colours(values):
            of_data["model.n_colours"] = 1
        return with_overrides(values, {**of_data, **self.overrides})

    def run_config(self, chosen: Mapping[str, Any], index: int, changed: Mapping[str, Any] | None = None) -> ScoredRun:
        """The configuration of trial `index`; `changed` holds what a retry changes.

        Raises ConfigurationError if the combination cannot train.
        """
        values = {"seed": self.seed + index, **self.run_values(chosen)}
        return self._parsed(with_overrides(values, changed or {}))

    def family_config(self, chosen: Mapping[str, Any], index: int = 0) -> RunConfig:
        """`run_config` of a family's sweep; raises ConfigurationError for a program's, which has no networks here."""
        config = self.run_config(chosen, index)
        if not isinstance(config, RunConfig):
            raise ConfigurationError(
                f"{self.space.name} searches another program, whose networks, memory and checkpoints are its own."
            )
        return config

    def program_run(self, chosen: Mapping[str, Any], index: int = 0) -> ProgramRun:
        """`run_config` of a program's sweep."""
        config = self.run_config(chosen, index)
        assert isinstance(config, ProgramRun), "only called for a program"
        return config

    @property
    def has_floor(self) -> bool:
        """Whether there is an untrained generator of the paper's point to score; a program's is not ours to build."""
        return not self.space.is_of_program

    @property
    def makes_grey_clips(self) -> bool:
        """Whether the networks have one colour, as grey data has."""
        return not self.space.is_of_program and self.family_config(self.paper_points[0]).model.colours == 1

    def _parsed(self, values: Mapping[str, Any]) -> ScoredRun:
        return parse_config(self._config_type, values, f"{self.space.name}.yaml ({self.budget})")

    @property
    def _config_type(self) -> type[RunConfig] | type[ProgramRun]:
        return ProgramRun if self.space.is_of_program else RunConfig

    def read_config(self, path: Path) -> ScoredRun:
        """A trial's config.yaml of this kind of sweep; raises ConfigurationError."""
        return parse_config(self._config_type, read_yaml_file(path), str(path))

    def config_by_default_protocol(self) -> ScoredRun:
        """The first paper point's configuration with the default protocol in place of the sweep's.

        For readers of its model and data: the sweep may name a protocol of an earlier version, which cannot train.
        """
        point = {path: value for path, value in self.space.paper_points[0].items() if path in self.domains}
        protocol = EvaluationConfig().protocol
        return self._parsed(
            with_overrides({"seed": self.seed, **self.run_values(point)}, {"evaluation.protocol": protocol})
        )

    def objectives(self) -> tuple[Objective, ...]:
        """The objectives, the same for all trials; raises ConfigurationError for impossible ones."""
        return read_objectives(self.run_config(self.paper_points[0], 0).evaluation.objective, self.n_classes)

    def best_may_copy(self) -> bool:
        """Whether a trial that copies training clips can be the best."""
        return self.run_config(self.paper_points[0], 0).evaluation.best_may_copy

    def scored_split(self, manifest: Manifest) -> ScoredSplit:
        """The real clips of its data set that the trials are scored on."""
        return self.scored or manifest.search_split

    def trial_id(self, config: ScoredRun, index: int) -> str:
        canonical = json.dumps(config.model_dump(mode="json"), sort_keys=True)
        return trial_id(index, hashlib.sha256(canonical.encode()).hexdigest())

    def refuse_impossible_domains(self) -> None:
        """Raise ConfigurationError if the paper's point with either end of any domain cannot train."""
        self.objectives()
        if self.n_trials > len(self.paper_points):
            self.searched.refuse_unsatisfiable()
        point = self.paper_points[0]
        for path, domain in self.domains.items():
            for end in domain.ends:
                chosen = {**point, **domain.when, path: end}
                for other, other_domain in self.domains.items():
                    if not is_active(other_domain, {**self.overrides, **chosen}):
                        chosen.pop(other, None)
                    elif other not in chosen:
                        chosen[other] = other_domain.ends[0]
                try:
                    self.run_config(chosen, 0)
                except ConfigurationError as error:
                    raise ConfigurationError(f"domain {path} contains {end!r}, which cannot train: {error}") from None

    def save(self, path: Path) -> None:
        text = write_yaml(self.model_dump(mode="json"))
        write_atomically(path, lambda stream: stream.write(text.encode()))


def refuse_untrainable(space: Space) -> None:
    """Raise ConfigurationError, as a sweep does, for a space with an unknown setting or a point that cannot train.

    Without a data set: one of two classes stands for it.
    """
    for budget in space.budgets:
        for layout in ("", *space.data_sets):
            on_data = space.on_data_set(layout, flattened(space.budgets[budget].overrides))
            sweep = Sweep(space=on_data, budget=budget, data="", manifest_digest="", n_classes=2, n_trials=1)
            for point in sweep.paper_points:
                sweep.run_config(point, 0)
            sweep.refuse_impossible_domains()


def _has_colours(values: Mapping[str, Any]) -> bool:
    """Whether the family that `values` name can make grey clips; an unknown one is refused when they are parsed."""
    family = FAMILIES.get(values.get("model", {}).get("family", ""))
    return family is not None and "n_colours" in family.config_type.model_fields


def checked_storage(written: str) -> str:
    """Return a storage for Optuna's study; raises ConfigurationError for another place, or for a password in it."""
    scheme = written.partition("://")[0] if "://" in written else ""
    is_file = not scheme and written.endswith(JOURNAL)
    if scheme.partition("+")[0] != "postgresql" and not is_file:
        raise ConfigurationError(
            f"storage must be postgresql://user@host/database or a file that ends in {JOURNAL}, "
            f"got '{without_secrets(written)}'."
        )
    if scheme and has_secret(written):
        raise ConfigurationError(
            "storage holds a password, which sweep.yaml would show; use PGPASSWORD or ~/.pgpass instead."
        )
    return str(Path(written).absolute()) if is_file else written


def load_sweep(path: Path) -> Sweep:
    """Read sweep.yaml; raises ConfigurationError if there is none."""
    if not path.exists():
        raise ConfigurationError(
            f"{path.parent} contains no sweep ({path.name} is missing); give the folder of an experiment."
        )
    return parse_config(Sweep, read_yaml_file(path), str(path))


def differences(before: Any, now: Any, path: str = "") -> list[str]:
    """How two nested configurations differ, a line each: 'space.domains.model.sigma_a.high: 1.0, now 2.0'."""
    if not (isinstance(before, Mapping) and isinstance(now, Mapping)):
        return [] if before == now else [f"{path}: {_formatted(before)}, now {_formatted(now)}"]
    keys = dict.fromkeys([*before, *now])
    return [
        line
        for key in keys
        for line in differences(before.get(key, _ABSENT), now.get(key, _ABSENT), f"{path}.{key}" if path else key)
    ]


_ABSENT = object()


def _formatted(value: Any) -> str:
    return "absent" if value is _ABSENT else repr(value)
