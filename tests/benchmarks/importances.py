"""What carries the score over several searches? `python -m tests.benchmarks.importances EXP EXP ...` prints a table.

Each EXP is a search of the same space, budget and data with another seed. PED-ANOVA over the done trials of all; by the
bootstrap over trials, the share of resamplings in which each value is among the three most important. Beside it the
rank correlation of each value with the score, and what a linear fit by the ranks of all values leaves of the score's
spread.
"""

import argparse
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from vgsearch.experiment.ledger import TrialRecord, read_ledger
from vgsearch.experiment.paths import Experiment
from vgsearch.replay.recorded import FinishedSweep, joined
from vgsearch.runtime.study.importances import importances
from vgsearch.space.domains import ChoiceDomain, Domain
from vgsearch.space.sweep import load_sweep

N_BOOTSTRAPS = 200


def ranks(values: Sequence[float]) -> np.ndarray:
    """Ranks (n), equal values share the mean of theirs."""
    column = np.array(values)
    return (column[:, None] > column).sum(1) + (column[:, None] == column).sum(1) / 2


def order_of(domain: Domain, trial: TrialRecord, path: str) -> float:
    """A number that orders the values of a domain: a choice's place in the list."""
    value = trial.overrides[path]
    return float(domain.choices.index(value) if isinstance(domain, ChoiceDomain) else value)


def table(whole: FinishedSweep) -> list[str]:
    """Markdown: a row for each searched value, the most important first, then the spread of the score."""
    found = importances(whole.sweep, whole.record)
    rng, n_first = random.Random(0), dict.fromkeys(found.shares, 0)
    trials = list(whole.record.trials.values())
    for _ in range(N_BOOTSTRAPS):
        drawn = {f"{k}": replace(trial, trial_id=f"{k}") for k, trial in enumerate(rng.choices(trials, k=len(trials)))}
        again = importances(whole.sweep, replace(whole.record, trials=drawn)).shares
        for path in sorted(again, key=lambda path: -again[path])[:3]:
            n_first[path] = n_first.get(path, 0) + 1
    objective, done = whole.record.objectives[0], whole.record.done
    scores = np.array([objective.value_of(trial.scores) for trial in done])
    columns = {path: ranks([order_of(whole.sweep.domains[path], trial, path) for trial in done]) for path in n_first}
    rows = [
        f"| {path} | {100 * share:.0f} % | {100 * n_first[path] / N_BOOTSTRAPS:.0f} % "
        f"| {np.corrcoef(columns[path], ranks(scores.tolist()))[0, 1]:+.2f} |"
        for path, share in sorted(found.shares.items(), key=lambda each: -each[1])
    ]
    design = np.column_stack([*columns.values(), np.ones(len(done))])
    left = scores - design @ np.linalg.lstsq(design, scores, rcond=None)[0]
    freedom = len(done) - design.shape[1]
    left_out = [f"{path}: {reason}." for path, reason in found.left_out.items()]
    return [
        f"{found.n_trials} done trials.",
        "",
        "| value | importance | among the first three of resampled trials | rank correlation with the score |",
        "|---|---|---|---|",
        *rows,
        "",
        *left_out,
        f"The score's standard deviation over trials is {scores.std(ddof=1):.2f}; around a linear fit by the ranks of "
        f"these {len(columns)} values it is {np.sqrt(left @ left / freedom):.2f}, with {freedom} degrees of freedom.",
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiments", metavar="EXP", type=Path, nargs="+")
    sweeps = []
    for folder in parser.parse_args().experiments:
        experiment = Experiment.at(folder)
        sweeps.append(FinishedSweep(str(folder), load_sweep(experiment.sweep), read_ledger(experiment.ledger)))
    print("\n".join(table(joined(sweeps))))
