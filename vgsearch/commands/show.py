"""vgsearch show EXP/t0007: one trial."""

from pathlib import Path
from typing import Annotated

import typer

from vgsearch.commands import options


def show(
    trial: Annotated[
        Path,
        typer.Argument(metavar="EXP/TRIAL", help="A trial, e.g. runs/mvt_tsa-001/t0007; a unique prefix is enough."),
    ],
    json: options.Json = False,
) -> None:
    """Show one trial: why it ended, its scores, configuration, looks, checkpoints and last log lines."""
    import json as json_module

    from vgsearch.experiment.ledger import read_ledger
    from vgsearch.experiment.paths import Experiment
    from vgsearch.terminal.console import Terminal
    from vgsearch.terminal.trial import changed_from_paper, find_trial, last_measures, print_trial
    from videogan.config import ConfigurationError

    # The trial's own folder, as a shell completes it, is accepted too.
    folder = trial.parent.parent if trial.parent.name == "trials" else trial.parent
    experiment = Experiment.at(folder)
    if not experiment.has_events:
        raise ConfigurationError(
            f"{experiment.place} contains no sweep ({experiment.ledger.name} is missing); "
            "give EXP/TRIAL, such as runs/mvt_tsa-001/t0007."
        )
    record = read_ledger(experiment.events)
    found = find_trial(record, trial.name)
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
