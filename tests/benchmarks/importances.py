"""What carries the score over several searches? `python -m tests.benchmarks.importances EXP EXP ...` prints a table.

Each EXP is a search of the same space, budget and data with another seed. PED-ANOVA over the done trials of all; by the
bootstrap over trials, the share of resamplings in which each value is among the three most important.
"""

import argparse
import random
from dataclasses import replace
from pathlib import Path

from vgsearch.experiment.ledger import read_ledger
from vgsearch.experiment.paths import Experiment
from vgsearch.replay.recorded import FinishedSweep, joined
from vgsearch.runtime.study.importances import importances
from vgsearch.space.sweep import load_sweep

N_BOOTSTRAPS = 200


def table(whole: FinishedSweep) -> list[str]:
    """Markdown: a row for each searched value, the most important first."""
    found = importances(whole.sweep, whole.record)
    rng, n_first = random.Random(0), dict.fromkeys(found.shares, 0)
    trials = list(whole.record.trials.values())
    for _ in range(N_BOOTSTRAPS):
        drawn = {f"{k}": replace(trial, trial_id=f"{k}") for k, trial in enumerate(rng.choices(trials, k=len(trials)))}
        again = importances(whole.sweep, replace(whole.record, trials=drawn)).shares
        for path in sorted(again, key=lambda path: -again[path])[:3]:
            n_first[path] = n_first.get(path, 0) + 1
    rows = [
        f"| {path} | {100 * share:.0f} % | {100 * n_first[path] / N_BOOTSTRAPS:.0f} % |"
        for path, share in sorted(found.shares.items(), key=lambda each: -each[1])
    ]
    left_out = [f"{path}: {reason}." for path, reason in found.left_out.items()]
    return [
        f"{found.n_trials} done trials.",
        "",
        "| value | importance | among the first three of resampled trials |",
        "|---|---|---|",
        *rows,
        "",
        *left_out,
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiments", metavar="EXP", type=Path, nargs="+")
    sweeps = []
    for folder in parser.parse_args().experiments:
        experiment = Experiment.at(folder)
        sweeps.append(FinishedSweep(str(folder), load_sweep(experiment.sweep), read_ledger(experiment.ledger)))
    print("\n".join(table(joined(sweeps))))
