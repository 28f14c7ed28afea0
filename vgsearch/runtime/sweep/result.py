"""What a sweep's end prints: the best trial, its scores and files, and what to type next."""

from rich.console import Console

from vgsearch.experiment.ledger import ENDS, SweepRecord, TrialRecord
from vgsearch.experiment.paths import Experiment
from vgsearch.terminal.sweep_table import floor_line, trial_result
from vgsearch.terminal.words import short_name, shown, value


def tell_result(record: SweepRecord, experiment: Experiment, console: Console) -> None:
    """The best trial or the front, the best one's scores and files, the floor beside it, and what to type next."""
    ended = ", ".join(f"{n} {state}" for state in ENDS if (n := record.count(state)))
    console.print(f"\n{len(record.trials)} trial{'s' * (len(record.trials) != 1)}: {ended}")
    best = record.best
    if record.floor is not None:
        console.print(floor_line(record), soft_wrap=True)
    if best is None:
        console.print("no trial was scored, so none is best; vgsearch status shows why each ended")
        return
    if len(record.objectives) > 1:
        for trial in record.front:
            console.print(f"front   {_told(trial, record)}", soft_wrap=True)
    console.print(f"best    {_told(best, record)}", soft_wrap=True)
    folder, score = experiment.trial(best.trial_id), best.score
    if "rer" in score:
        console.print(f"        ReR {100 * score['rer']['mean']:.1f} %  chance floor {score['s3_of_guessing']:.2f}")
    # S3's own summary lies beside those of the scores on features.
    for measured in (score, *(part for part in score.values() if isinstance(part, dict))):
        if "protocol" in measured:
            console.print(f"        protocol {measured['protocol']} {measured['digest'][:6]}", soft_wrap=True)
        for warning in measured.get("warnings", ()):
            console.print(f"        note: {warning}", style="yellow", soft_wrap=True)
    chosen = "  ".join(f"{short_name(path)} {value(v)}" for path, v in best.overrides.items())
    console.print(f"        {chosen}", soft_wrap=True)
    checkpoint = folder.place / folder.checkpoints.name / f"step{best.step:08d}.pt"
    console.print(f"checkpoint  {shown(checkpoint)}", soft_wrap=True)
    console.print(f"samples     {shown(folder.place / folder.samples.name)}", soft_wrap=True)
    console.print(f"next        vgsearch sample {shown(checkpoint)}", soft_wrap=True)
    console.print(
        f"            tensorboard --logdir {shown(experiment.place)}   (pip install tensorboard{_reader(experiment)})",
        soft_wrap=True,
    )


def _reader(experiment: Experiment) -> str:
    """What TensorBoard needs beside itself to read an object store."""
    scheme = experiment.address.root.partition("://")[0] if experiment.address else ""
    return {"s3": " boto3", "gs": " gcsfs"}.get(scheme, "")


def _told(trial: TrialRecord, record: SweepRecord) -> str:
    mark = " (paper point)" if trial.is_paper_point else ""
    return f"{trial_result(trial, record.objectives)}  {trial.trial_id}{mark}"
