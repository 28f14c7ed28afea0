"""vgsearch spaces: the search spaces that exist; or one of them, to copy."""

from typing import TYPE_CHECKING, Annotated

import typer

from vgsearch.commands import options
from videogan.amounts import n_of

if TYPE_CHECKING:
    from vgsearch.space.space import Space


def spaces(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Print this space whole, as YAML: the start of one of your own."),
    ] = None,
    json: options.Json = False,
) -> None:
    """List the search spaces, each with its paper, what it searches and what its budgets cost.

    NAME prints its ranges, points and budgets as a file that tune takes.
    A file with a name and "extends: mvt_tsa" is that space, but for what the file itself says.
    """
    import json as json_module

    from vgsearch.space.space import installed_spaces, load_space, yaml_of
    from vgsearch.terminal.line import print_line

    if name is not None:
        space = load_space(name)
        if name not in installed_spaces():
            from vgsearch.space.sweep import refuse_untrainable  # imports torch

            refuse_untrainable(space)
        print_line(json_module.dumps(space.model_dump(mode="json")) if json else yaml_of(space).rstrip())
        return
    loaded = [load_space(each) for each in installed_spaces()]
    if json:
        print_line(json_module.dumps([space.model_dump(mode="json") for space in loaded]))
    else:
        _print_list(loaded)


def _print_list(loaded: list["Space"]) -> None:
    from rich.text import Text

    from vgsearch.terminal.console import Terminal
    from vgsearch.terminal.words import short_name

    console = Terminal()
    for space in loaded:
        console.print(Text.assemble((space.name, "bold"), f"  {space.cited}"), soft_wrap=True)
        console.print(f"  searches {', '.join(map(short_name, space.domains))}", soft_wrap=True)
        if space.point_names:
            console.print(f"  --point {', '.join(space.point_names)}", soft_wrap=True)
        if space.data_sets:
            console.print(f"  data sets with settings of their own: {', '.join(space.data_sets)}", soft_wrap=True)
        for name, budget in space.budgets.items():
            console.print(f"  --budget {name}: {n_of(budget.n_trials, 'trial')}, {budget.purpose}", soft_wrap=True)
    console.print("vgsearch spaces NAME prints one whole, as YAML to copy", soft_wrap=True)
