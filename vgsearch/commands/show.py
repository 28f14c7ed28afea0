"""vgsearch show EXP/t0007: one trial."""

from pathlib import Path
from typing import Annotated

import typer

from vgsearch.commands import options


def show(
    trial: Annotated[
        Path,
        typer.Argument(metavar="EXP/TRIAL", help="A trial, e.g. runs/mvt_tsa-001/t0007; EXP means its best."),
    ],
    json: options.Json = False,
) -> None:
    """Show one trial: why it ended, its scores, configuration, looks, checkpoints and last log lines."""
    import json as json_module

    from vgsearch.experiment.chosen_checkpoint import chosen_trial
    from vgsearch.terminal.console import Terminal
    from vgsearch.terminal.trial import changed_from_paper, last_measures, print_trial

    experiment, record, found = chosen_trial(trial)
    files = experiment.trial(found.trial_id)
    # Neither the trial's checkpoints nor those of its other seeds are downloaded.
    files.working_copy.pull(lambda name: "checkpoints/" not in name and "tb/" not in name)
    if json:
        changed = [
            {"path": path, "chosen": chosen, "paper": paper}
            for path, chosen, paper in changed_from_paper(found, record)
        ]
        record_of_trial = {**found.to_json(), "changed_from_paper": changed, "measures": last_measures(files)}
        print(json_module.dumps(record_of_trial))
        return
    print_trial(record, found, files, Terminal())
