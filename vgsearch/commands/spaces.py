"""vgsearch spaces: the search spaces that exist."""

from vgsearch.commands import options


def spaces(json: options.Json = False) -> None:
    """List the search spaces, each with its paper, what it searches and what its budgets cost."""
    import json as json_module

    from rich.text import Text

    from vgsearch.space.space import installed_spaces, load_space
    from vgsearch.terminal.console import Terminal
    from vgsearch.terminal.words import short_name

    loaded = [load_space(name) for name in installed_spaces()]
    if json:
        print(json_module.dumps([space.model_dump(mode="json") for space in loaded]))
        return
    console = Terminal()
    for space in loaded:
        console.print(Text.assemble((space.name, "bold"), f"  {space.title}  ({space.paper})"), soft_wrap=True)
        console.print(f"  searches {', '.join(map(short_name, space.domains))}", soft_wrap=True)
        if space.point_names:
            console.print(f"  --point {', '.join(space.point_names)}", soft_wrap=True)
        if space.data_sets:
            console.print(f"  data sets with settings of their own: {', '.join(space.data_sets)}", soft_wrap=True)
        for name, budget in space.budgets.items():
            console.print(f"  --budget {name}: {budget.n_trials} trials, {budget.purpose}", soft_wrap=True)
