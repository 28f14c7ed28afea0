"""How --help shows options: those of tune, train and study in panels by subject; no type for a flag."""

from typing import Any

import typer
from typer.core import TyperGroup

PANELS = {
    "What is trained": ("point", "data", "folds", "one_per_class", "budget", "overrides", "classifier_weights"),
    "The search": ("n_trials", "seeds_per_trial", "racing", "warm_start", "storage"),
    "When trials and the search end": ("prunes", "time_budget", "gpu_hours", "stop_when", "confirm_best"),
    "Where it runs": ("n_workers", "gpus_per_worker", "max_concurrent", "address", "insecure"),
}
"""The parameters in each panel; all others stay in "Options". The widest name of a panel sets the width of its rows: in
one panel for all of tune's options, rich cuts names at 80 columns."""
_PANEL_OF = {parameter: panel for panel, parameters in PANELS.items() for parameter in parameters}


class Commands(TyperGroup):
    """A group of commands with these help pages. Any: the classes' modules differ between typer's versions."""

    def get_params(self, ctx: typer.Context) -> list[Any]:  # type: ignore[override]
        return _arranged(super().get_params(ctx))

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            _arranged(command.get_params(ctx))
        return command


def _arranged(parameters: list[Any]) -> list[Any]:
    """The same parameters, each with its panel, and flags without a type."""
    starts_sweeps = any(each.name == "space" for each in parameters)
    for option in (each for each in parameters if each.param_type_name == "option"):
        if option.is_flag:
            option.metavar = ""
        if starts_sweeps:
            option.rich_help_panel = _PANEL_OF.get(option.name)
    return parameters
