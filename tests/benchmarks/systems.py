"""Train the paper's point of every shipped system, and write a table: `python -m tests.benchmarks.systems OUT REPORT`.

Each system is trained by `vgsearch train SPACE`, on generated moving shapes or on `--data DIR`, into OUT/SPACE. A run
that was stopped goes on where it ended; ended trainings are not repeated. REPORT/README.md gets a row for each: its
parameters at the paper's size, steps, minutes, score, the untrained generator's score, health; REPORT/SPACE.gif its
samples. A system whose training failed has a row that says so.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from vgsearch.experiment.ledger import SweepRecord, read_ledger
from vgsearch.experiment.paths import Experiment
from vgsearch.space.space import installed_spaces, load_space
from vgsearch.space.sweep import Sweep
from vgsearch.terminal.sweep_table import objective_value
from vgsearch.terminal.words import duration
from videogan.training.forecast import forecast

VGSEARCH = [sys.executable, "-m", "vgsearch"]
NOT_A_SYSTEM = {"moving_blobs", "mvt_mc_pbt", "table2", "table3", "table4"}
"""Another program, another search of mvt_mc, and comparisons of systems that have spaces of their own."""
HEAD = [
    "| space | parameters of G + D at the paper's size, millions | steps | time | score | its value | untrained "
    "| health | picture |",
    "|---|---|---|---|---|---|---|---|---|",
]


def trained(space: str, out: Path, options: list[str]) -> SweepRecord:
    """The record of one training of a space's first paper point, which is trained or continued if it has not ended."""
    experiment = Experiment.at(out / space)
    if not (out / space).exists():
        subprocess.run([*VGSEARCH, "train", space, "--out", str(out), "--name", space, *options])
    elif read_ledger(experiment.ledger).ended != "finished":
        subprocess.run([*VGSEARCH, "resume", str(out / space)])
    return read_ledger(experiment.ledger)


def n_parameters_of_paper(space: str) -> str:
    """Millions of parameters of the generator and of all discriminators, at the paper's size."""
    found = load_space(space)
    n_classes = found.base["model"].get("n_classes", 1)
    sweep = Sweep(space=found, budget="paper", data="", manifest_digest="0" * 64, n_classes=n_classes, n_trials=1)
    counts = forecast(sweep.family_config(sweep.paper_points[0])).parameters
    generator = counts.pop("generator")
    return f"{generator / 1e6:.1f} + {sum(counts.values()) / 1e6:.1f}"


def row(space: str, out: Path, record: SweepRecord, report: Path) -> str:
    """A line of the table; copies the samples into the report."""
    paper = f"| {space} | {n_parameters_of_paper(space)} "
    (trial,) = record.trials.values()
    objective, untrained = record.objectives[0], record.floor
    floor = "-" if untrained is None else objective_value(objective, untrained.score.means, untrained.score)
    picture = Experiment.at(out / space).trial(trial.trial_id).samples / "grid.gif"
    linked = "-"
    if picture.exists():
        shutil.copy(picture, report / f"{space}.gif")
        linked = f"[samples]({space}.gif)"
    how = trial.worst_health or "-"
    score = (
        objective_value(objective, trial.scores, trial.score)
        if trial.state == "done"
        else f"{trial.state}: {trial.reason}"
    )
    return (
        f"{paper}| {trial.step} | {duration(trial.seconds)} | {objective.name} | {score} | {floor} | {how} | {linked} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("report", type=Path)
    parser.add_argument("--only", nargs="+", metavar="SPACE", default=sorted({*installed_spaces()} - NOT_A_SYSTEM))
    chosen, options = parser.parse_known_args()
    chosen.report.mkdir(parents=True, exist_ok=True)
    rows = []
    for space in chosen.only:
        rows.append(row(space, chosen.out, trained(space, chosen.out, options), chosen.report))
        command = f"`vgsearch train SPACE {' '.join(options)}`, one training of each paper's point."
        (chosen.report / "README.md").write_text("\n".join([command, "", *HEAD, *rows, ""]), "utf-8")
        print(rows[-1], flush=True)


if __name__ == "__main__":
    main()
