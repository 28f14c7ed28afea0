"""vgsearch dashboard EXP: Optuna's dashboard on an experiment."""

from typing import Annotated

import typer

from vgsearch.commands import options


def dashboard(
    experiment: options.ExperimentFolder,
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=1, max=65535, help="Port on this machine; no other reaches it.")
    ] = 8080,
) -> None:
    """Open Optuna's dashboard on an experiment, running or ended, until Ctrl-C.

    The study has the experiment's name; its trials have their ids, looks, reasons and samples. It changes nothing.
    """
    from vgsearch.experiment.paths import Experiment
    from vgsearch.runtime.study.dashboard import serve

    folder = Experiment.at(experiment)
    folder.working_copy.pull(lambda name: name == folder.sweep.name)
    serve(folder, port)
