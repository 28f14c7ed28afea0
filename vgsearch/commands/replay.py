"""vgsearch replay EXP ...: which sampler and pruner would have served best on the trials of finished sweeps."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vgsearch.commands import options

if TYPE_CHECKING:
    from vgsearch.replay.recorded import FinishedSweep

Experiments = Annotated[
    list[Path],
    typer.Argument(
        metavar="EXP ...",
        help="Folder of the experiment, e.g. runs/mvt_tsa-001; several of one search, with other seeds, make one table.",
    ),
]

Samplers = Annotated[
    list[str] | None,
    typer.Option("--sampler", metavar="NAME", help="Replay this sampler: random, tpe or gp. Repeatable. Default: all."),
]
Pruners = Annotated[
    list[str] | None,
    typer.Option(
        "--pruner",
        metavar="NAME",
        help="Replay this pruner: none, median, successive_halving or hyperband. Repeatable. Default: all.",
    ),
]
After = Annotated[
    str | None,
    typer.Option(
        "--trials",
        metavar="N,N,...",
        help="Compare the best after so many trials. Default: 8,16,32, as far as there are more recorded trials.",
    ),
]
AtOnce = Annotated[
    str, typer.Option("--parallel", metavar="N,N,...", help="How many trials a simulated search runs at the same time.")
]
Repeats = Annotated[int, typer.Option("--repeats", metavar="N", help="Simulations of each setting.")]
Seed = Annotated[
    int, typer.Option("--seed", metavar="N", min=0, max=options.LARGEST_SEED, help="Random seed of the simulations.")
]


def replay(
    experiments: Experiments,
    sampler: Samplers = None,
    pruner: Pruners = None,
    trials: After = None,
    repeats: Repeats = 100,
    parallel: AtOnce = "1,8",
    seed: Seed = 0,
    json: options.Json = False,
) -> None:
    """Ask finished sweeps which sampler and which pruner would have served best on their trials.

    Simulates searches and prunings of the recorded trials, and trains nothing; writes nothing.
    """
    import json as json_module
    import os

    from vgsearch.replay.output import as_json, print_replay
    from vgsearch.replay.recorded import joined
    from vgsearch.replay.request import ReplayRequest
    from vgsearch.terminal.console import Terminal
    from vgsearch.terminal.words import counted

    request = ReplayRequest.of(sampler or (), pruner or (), trials or "", parallel, repeats, seed)
    table = joined([_finished(folder) for folder in dict.fromkeys(experiments)])
    # Optuna and Ray take seconds to import.
    from vgsearch.runtime.study.replay import replay as replayed

    with counted("simulating", silent=json) as told:
        answer = replayed(table.name, table.sweep, table.record, request, os.cpu_count() or 1, told)
    if json:
        print(json_module.dumps(as_json(answer)))
        return
    console = Terminal()
    if not console.is_terminal:
        console.width = 120
    print_replay(answer, console)


def _finished(place: Path) -> "FinishedSweep":
    """The sweep of an experiment's folder; raises ConfigurationError without a ledger."""
    from vgsearch.experiment.ledger import read_ledger
    from vgsearch.experiment.paths import Experiment
    from vgsearch.replay.recorded import FinishedSweep
    from vgsearch.space.sweep import load_sweep
    from vgsearch.terminal.words import shown

    folder = Experiment.at(place)
    folder.working_copy.pull(lambda name: name == folder.sweep.name)
    if not folder.has_events:
        raise folder.missing()
    return FinishedSweep(shown(folder.place), load_sweep(folder.sweep), read_ledger(folder.events))
