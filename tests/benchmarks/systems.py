"""Train the paper's point of every shipped system, and write a table: `python -m tests.benchmarks.systems OUT REPORT`.

Each system is trained by `vgsearch train SPACE`, on generated moving shapes or on `--data DIR`, into OUT/SPACE. A run
that was stopped goes on where it ended; ended trainings are not repeated. REPORT/README.md gets a row for each: its
parameters at the paper's size, steps, minutes, score, the untrained generator's score, health; REPORT/samples.png a row
of frames. A system whose training failed has a row that says so.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageSequence
from torch import Tensor

from vgsearch.experiment.ledger import SweepRecord, read_ledger
from vgsearch.experiment.paths import Experiment
from vgsearch.space.space import installed_spaces, load_space
from vgsearch.space.sweep import Sweep, load_sweep
from vgsearch.terminal.sweep_table import objective_value
from vgsearch.terminal.verdict import share_of_untrained
from vgsearch.terminal.words import duration, interval
from videogan.sampling.pictures import GRID_GAP, labelled_grid
from videogan.training.forecast import forecast

VGSEARCH = [sys.executable, "-m", "vgsearch"]
NOT_A_SYSTEM = {"moving_blobs", "mvt_mc_pbt", "table2", "table3", "table4"}
"""Another program, another search of mvt_mc, and comparisons of systems that have spaces of their own."""
HEAD = [
    "| space | parameters of G + D at the paper's size, millions | steps | time | score | its value | untrained "
    "| share of it | health |",
    "|---|---|---|---|---|---|---|---|---|",
]
FRAMES = (0, 4, 8, 12, 15)
"""Shown of each clip."""
N_CLIPS = 4


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


def row(space: str, record: SweepRecord) -> str:
    """A line of the table."""
    (trial,) = record.trials.values()
    objective, untrained = record.objectives[0], record.floor
    floor = "-" if untrained is None else objective_value(objective, untrained.score.means, untrained.score)
    score = (
        objective_value(objective, trial.scores, trial.score)
        if trial.state == "done"
        else f"{trial.state}: {trial.reason}"
    )
    share = share_of_untrained([trial.score], record, objective)
    of_it = "-" if share is None else interval(share)
    cells = [space, n_parameters_of_paper(space), trial.step, duration(trial.seconds), objective.name, score, floor]
    return f"| {' | '.join(map(str, cells))} | {of_it} | {trial.worst_health or '-'} |"


def frames_shown(picture: Path, side: int) -> Tensor:
    """`FRAMES` of `N_CLIPS` samples in a grid of samples, (N_CLIPS * len(FRAMES), 1, side, side, 3).

    A grid has a row for each class; the first of each is taken, or the first row's where there is one.
    """
    with Image.open(picture) as image:
        grid = torch.from_numpy(np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]))
    every = side + GRID_GAP
    corners = [(top, left) for top in range(0, grid.shape[1], every) for left in range(0, grid.shape[2], every)]
    of_rows = [(top, left) for top, left in corners if left == 0]
    taken = of_rows if len(of_rows) >= N_CLIPS else corners
    clips = [grid[list(FRAMES), top : top + side, left : left + side] for top, left in taken[:N_CLIPS]]
    return torch.cat(clips)[:, None]


def draw(out: Path, records: dict[str, SweepRecord], file: Path) -> None:
    """Write a picture with a row of samples for each system that has some, if any has."""
    shown = {}
    for space, record in records.items():
        (trial,) = record.trials.values()
        experiment = Experiment.at(out / space)
        if (picture := experiment.trial(trial.trial_id).samples / "grid.gif").exists():
            sweep = load_sweep(experiment.sweep)
            shown[space] = frames_shown(picture, sweep.run_config(sweep.paper_points[0], 0).model.resolution)
    if not shown:
        return
    columns = [f"t = {frame + 1}" for _ in range(N_CLIPS) for frame in FRAMES]
    (sheet,) = labelled_grid(torch.stack(list(shown.values())), list(shown), columns)
    Image.fromarray(sheet.numpy()).save(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("report", type=Path)
    parser.add_argument("--only", nargs="+", metavar="SPACE", default=sorted({*installed_spaces()} - NOT_A_SYSTEM))
    chosen, options = parser.parse_known_args()
    chosen.report.mkdir(parents=True, exist_ok=True)
    records, rows = {}, []
    for space in chosen.only:
        records[space] = trained(space, chosen.out, options)
        rows.append(row(space, records[space]))
        print(rows[-1], flush=True)
        command = f"`vgsearch train SPACE {' '.join(options)}`, one training of each paper's point."
        (chosen.report / "README.md").write_text("\n".join([command, "", *HEAD, *rows, ""]), "utf-8")
    draw(chosen.out, records, chosen.report / "samples.png")


if __name__ == "__main__":
    main()
