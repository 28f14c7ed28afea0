"""After a study: the generative adversarial metric of its first point against each other one (TGAN, Table 3)."""

import json
from contextlib import ExitStack
from dataclasses import asdict

from vgsearch.evaluation.measures import N_FAKES
from vgsearch.evaluation.request import EvaluationRequest
from vgsearch.evaluation.tables import GAM
from vgsearch.experiment.chosen_checkpoint import chosen_checkpoint
from vgsearch.experiment.ledger import read_ledger
from vgsearch.experiment.opened_trial import opened_checkpoint
from vgsearch.experiment.paths import Experiment
from vgsearch.runtime.judging.evaluate import evaluate
from vgsearch.terminal.line import print_line
from vgsearch.terminal.words import typed
from videogan.config import ConfigurationError
from videogan.storage.places import Place


def first_against_others(place: Place, n_points: int, n_fakes: int | None, address: str | None, as_json: bool) -> None:
    """Measure and print gam of the first point's checkpoint against those of the other points of a study.

    Each generator makes `n_fakes` clips; None: as many as `vgsearch evaluate` takes.
    The checkpoints are those of each point's first seed. Raises ConfigurationError if a point did not finish.
    """
    done = sorted(trial.trial_id for trial in read_ledger(Experiment.at(place).events).done)
    if len(done) < n_points:
        raise ConfigurationError(
            f"--gam compares all {n_points} points, but {n_points - len(done)} did not finish. When they have: "
            f"vgsearch evaluate {typed(place)}/t0000 --metrics gam --against {typed(place)}/t0001."
        )
    with ExitStack() as opened:
        first, *others = (opened.enter_context(opened_checkpoint(chosen_checkpoint(place / name))) for name in done)
        request = EvaluationRequest(checkpoint=first, against=tuple(others), metrics=GAM, n_fakes=n_fakes or N_FAKES)
        rows = evaluate(request, address=address, as_json=False, is_part=as_json)
    if as_json:  # one line a row, like the study's events before them
        for row in rows:
            print_line(json.dumps({"event": GAM, **asdict(row)}, allow_nan=False))
