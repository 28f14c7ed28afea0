"""Write the report of README's first sweep: `python -m tests.benchmarks.first_sweep EXP LOG`.

EXP is the experiment of `make sweep`, LOG what the command printed into a file. Writes reports/first-sweep/ (the log,
and real clips beside samples of the best trial as GIF and PNG), and the part of README.md between its two markers.
"""

import argparse
import os
from datetime import UTC, datetime
from pathlib import Path
from textwrap import fill

import torch
from torch import Tensor

from vgsearch.experiment.ledger import SweepRecord, TrialRecord, read_ledger
from vgsearch.experiment.paths import Experiment, short_id
from vgsearch.runtime.judging.judge import sampling_copy_of
from vgsearch.terminal.words import duration
from videogan.data.decode import decode
from videogan.data.manifest import Manifest, read_manifest
from videogan.data.preprocessing import Preprocessing, preprocessing_named
from videogan.sampling.pictures import contact_sheet, labelled_grid, write_gif, write_png
from videogan.sampling.sampling import codes, in_classes
from videogan.training.checkpoint import CheckpointFolder, generator_from

REPORT, README = Path("reports/first-sweep"), Path("README.md")
PICTURE, TRANSCRIPT = "picture", "transcript"
"""The parts of README.md that are written here, each between two lines: see `_replaced`."""
N_EACH = 4
"""Real clips, and samples, of each class."""
WIDTH = 118
"""Characters of a line of README's transcript."""
N_OTHERS = 3
"""Trials after the first whose ends README's transcript shows."""


def pictured(experiment: Experiment, trial: TrialRecord, manifest: Manifest) -> Tensor:
    """Real clips of the test split and samples of a trial side by side, a class in each row: uint8 (T, H, W, 3)."""
    checkpoints = CheckpointFolder(experiment.trial(trial.trial_id).checkpoints)
    generator, config = generator_from(checkpoints.path(max(checkpoints.steps())))
    sampler = sampling_copy_of(generator, config)
    n_frames, preprocessing = config.model.n_frames, preprocessing_named(config.preprocessing)
    made = in_classes(
        sampler, codes(sampler, N_EACH, 0, n_frames=n_frames), torch.arange(len(manifest.classes)), n_frames
    )
    real = torch.stack([_real(manifest, label, preprocessing, n_frames) for label in manifest.classes])
    return labelled_grid(torch.cat([real, made], 1), manifest.classes, ["real"] * N_EACH + ["generated"] * N_EACH)


def _real(manifest: Manifest, label: str, preprocessing: Preprocessing, n_frames: int) -> Tensor:
    """The first test clips of a class, of as many groups: uint8 (N_EACH, T, H, W, 3)."""
    by_group = {row["group"]: row["path"] for row in manifest.split("test").to_pylist() if row["label"] == label}
    paths = list(by_group.values())[:N_EACH]
    clips = [decode(manifest.location(path), preprocessing, start=0, n_frames=n_frames).copy() for path in paths]
    return torch.stack([torch.from_numpy(clip) for clip in clips])


def transcript(log: list[str]) -> list[str]:
    """README's lines of a log: of the header, of the first trial, of the ends of others, and of the end."""
    header = [line for line in log if line.startswith(("vgsearch ", "objective "))]
    first = next(line.split()[0] for line in log if line.startswith("t0000-"))
    of_first = [line for line in log if line.startswith(first)]
    others = [
        line
        for line in log
        if line.startswith("t0") and line not in of_first and (" done " in line or " pruned " in line)
    ]
    closing = log[next(i for i, line in enumerate(log) if " trials: " in line) :]
    verdict = [line for line in closing if line.startswith("verdict ")]
    chosen = [*header, of_first[0], of_first[-2], of_first[-1], *others[:N_OTHERS], *closing[:4], *verdict]
    return [line if len(line) <= WIDTH else line[: WIDTH - 4].rstrip() + " ..." for line in chosen]


def told(record: SweepRecord, seconds: float) -> str:
    """How the sweep was run: command, commit, seed, data, time."""
    header = record.header
    command = " ".join([Path(header["argv"][0]).name, *header["argv"][1:]])
    day = datetime.fromtimestamp(header["time"], UTC).date()
    return (
        f"`{command}`, {day}, commit {header['versions']['commit']}, seed {header['seed']}, data "
        f"{Path(header['data']).name}, {os.cpu_count()} CPU cores, {duration(seconds)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", type=Path)
    parser.add_argument("log", type=Path)
    chosen = parser.parse_args()
    experiment = Experiment.at(chosen.experiment)
    record = read_ledger(experiment.ledger)
    assert record.best is not None, "a sweep without a scored trial is no example"
    manifest, best = read_manifest(record.header["data"]), record.best
    seconds = max(end for trial in record.trials.values() for _, end in trial.attempts) - record.header["time"]
    frames = pictured(experiment, best, manifest)
    REPORT.mkdir(parents=True, exist_ok=True)
    write_gif(REPORT / "real-and-generated.gif", frames)
    write_png(REPORT / "real-and-generated.png", contact_sheet(frames))
    log = chosen.log.read_text("utf-8").splitlines()
    lines = log[next(i for i, line in enumerate(log) if line.startswith("vgsearch ")) :]
    steps = best.looks and max(best.looks)
    caption = f"Left real, right generated: {short_id(best.trial_id)}, the best of {len(record.trials)} trials, {steps} steps."
    (REPORT / "README.md").write_text(
        "\n".join(["# The first sweep", "", told(record, seconds) + ".", "", "```", *lines, "```", "",
                   "![Real clips on the left, generated ones on the right](real-and-generated.gif)", "", caption, ""]),
        "utf-8",
    )  # fmt: skip
    link = f"{REPORT}/real-and-generated.gif"
    of_run = fill(f"{caption} Of {told(record, seconds)} ([log]({REPORT}/README.md)).", WIDTH, break_on_hyphens=False)
    picture = [f"![Real clips on the left, generated ones on the right]({link})", "", of_run]
    above = fill(f"From {told(record, seconds)}; long lines are cut. A terminal shows a live table instead.", WIDTH)
    shown = [above, "", "```", *transcript(lines), "```"]
    README.write_text(_replaced(_replaced(README.read_text("utf-8"), PICTURE, picture), TRANSCRIPT, shown), "utf-8")


def _replaced(text: str, part: str, lines: list[str]) -> str:
    """README with new lines between `<!-- part -->` and `<!-- end of part -->`; ValueError if it has no such part."""
    begin, end = f"<!-- {part} -->\n", f"<!-- end of {part} -->\n"
    if begin not in text or end not in text:
        raise ValueError(f"{README} must have the lines {begin.strip()} and {end.strip()}.")
    before, _, rest = text.partition(begin)
    return before + begin + "\n".join(lines) + "\n" + end + rest.partition(end)[2]


if __name__ == "__main__":
    main()
