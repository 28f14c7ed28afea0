"""A search of a Python function that trains and shows videos: it is called as a program of a space of its own."""

import inspect
import os
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from vgsearch.interface.experiment import SearchedExperiment
from vgsearch.interface.search import tune
from vgsearch.program.call import CALLING
from vgsearch.program.reporter import Reporter
from vgsearch.space.space import Space, yaml_of
from videogan.config import ConfigurationError, parse_config
from videogan.data.cache import local_cache_folder
from videogan.storage.atomic import write_atomically

BUDGET = "laptop"
"""The only budget of a function's space."""
N_TRIALS = 16
TrainFunction = Callable[[dict[str, Any], Reporter], object]


def tune_function(
    train_function: TrainFunction,
    domains: Mapping[str, Mapping[str, Any]],
    *,
    first: Mapping[str, Any],
    n_steps: int,
    **options: Any,
) -> SearchedExperiment:
    """Search `train_function(hyperparameters, reporter)`, and return its experiment.

    domains: as in a search space, such as {"lr": {"type": "float", "low": 1e-5, "high": 1e-3, "log": True}}. first:
    the point that the search starts from. n_steps: the last step that the function shows. options: those of
    `vgsearch.interface.search.tune`, such as data, trials, name, out, address, and overrides by dotted path, such as
    {"evaluation.protocol": "s3_r3d18_smoke_v2", "command.resolution": 32, "command.seconds_of_silence": 600}.

    The function runs in a process of its own beside a Ray worker, which imports it by the name of its module and its
    own: so a trial that died, and `vgsearch resume` later, call it again with the same checkpoint_folder. Raises
    ConfigurationError for a function that no other process can import.
    """
    module, root = _importable(train_function)
    space = _space_of(train_function.__name__, module, root, domains, first, n_steps)
    # A local file, also if the experiment is on an object store; sweep.yaml has a copy of the space.
    file = local_cache_folder("spaces") / f"{space.name}.yaml"
    write_atomically(file, lambda stream: stream.write(yaml_of(space).encode()))
    return tune(file, budget=BUDGET, **options)


def _importable(function: TrainFunction) -> tuple[str, Path]:
    """The module of a function, and the folder from which it can be imported; raises ConfigurationError."""
    if os.environ.get(CALLING):
        raise ConfigurationError(
            f"vgsearch.tune was called while {os.environ[CALLING]} was imported for its function; call it below "
            'if __name__ == "__main__":.'
        )
    name = getattr(function, "__qualname__", repr(function))
    module = inspect.getmodule(function)
    file = getattr(module, "__file__", None)
    if module is None or file is None or getattr(module, name, None) is not function or inspect.isclass(function):
        raise ConfigurationError(
            f"vgsearch.tune: '{name}' can't be imported by another process, so that no trial could start or resume it. "
            "Write it with def at the top level of a file, not in a notebook, a class or another function."
        )
    dotted = module.__name__
    if dotted == "__main__":
        dotted = module.__spec__.name if module.__spec__ is not None else Path(file).stem
    above = dotted.count(".") + (Path(file).name == "__init__.py")
    return dotted, Path(file).absolute().parents[above]


def _space_of(
    name: str,
    module: str,
    root: Path,
    domains: Mapping[str, Mapping[str, Any]],
    first: Mapping[str, Any],
    n_steps: int,
) -> Space:
    """The search space of a function, whose command calls it with all parameters and the fields of a `Reporter`."""
    call = ["{python}", "-m", "vgsearch.program.call", module, name, "{parameters}"]
    path = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
    command = {
        "arguments": [*call, *(f"{{{each.name}}}" for each in fields(Reporter))],
        "environment": {"PYTHONPATH": path.replace("{", "{{").replace("}", "}}")},
        "n_steps": n_steps,
        "seconds_settled": 0,  # a reporter's samples appear whole
    }
    values = {
        "name": name,
        "title": f"the function {name} of {module}",
        "paper": "none",
        "base": {"command": command},
        "domains": {path: dict(domain) for path, domain in domains.items()},
        "paper_points": [dict(first)],
        "budgets": {BUDGET: {"purpose": "a search from Python", "n_trials": N_TRIALS}},
    }
    return parse_config(Space, values, "vgsearch.tune")
