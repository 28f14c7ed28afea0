"""vgsearch stop EXP[/TRIAL]: ask a running sweep, or one of its trials, to save and end."""

from pathlib import Path
from typing import Annotated

import typer

from vgsearch.commands import options


def stop(
    what: Annotated[Path, typer.Argument(metavar="EXP[/TRIAL]", help="A running sweep, or one of its running trials.")],
    json: options.Json = False,
) -> None:
    """Ask a sweep to save and stop, or one trial to end, from any machine that sees its folder or object store.

    vgsearch resume continues a stopped sweep; a stopped trial counts as pruned and is not continued.
    """
    import json as json_module
    import time

    from vgsearch.experiment.chosen_checkpoint import experiment_and_trial, find_trial
    from vgsearch.experiment.driver_signs import DriverSigns
    from vgsearch.experiment.ledger import read_ledger
    from vgsearch.terminal.line import print_line
    from vgsearch.terminal.words import shown, typed
    from videogan.config import ConfigurationError

    experiment, written = experiment_and_trial(what)
    record = read_ledger(experiment.events)
    gone = DriverSigns(experiment).gone(time.monotonic())
    running = record if record.confirmation is None or record.confirmation.ended else record.confirmation
    is_confirming = running is not record and any(trial.state == "running" for trial in running.trials.values())
    if (record.ended and not is_confirming) or gone:
        sweep = f"its sweep {'has' if record.ended == 'finished' else 'was'} {record.ended}"
        how = sweep if record.ended and not is_confirming else f"{gone.rstrip(',')} has ended"
        raise ConfigurationError(f"{experiment.place} does not run: {how}; there is nothing to stop.")
    if written:
        trial = find_trial(record, written)
        if trial.state != "running":
            raise ConfigurationError(f"{trial.trial_id} does not run, it is {trial.state}; there is nothing to stop.")
        folder = experiment.trial(trial.trial_id)
        folder.ask_to_stop()
        asked = f"asked {trial.trial_id} to end at its next logged step, as pruned"
    else:
        experiment.ask_to_stop_from_outside()
        asked = f"asked {shown(experiment.place)} to save and stop"
    if json:
        print_line(json_module.dumps({"experiment": str(experiment.place), "trial": written or None, "asked": True}))
        return
    print_line(f"{asked}; watch it: vgsearch status {typed(experiment.place)} --watch")
