"""What the end of a sweep prints: the best trial, its scores and files, and the next commands."""

from rich.console import Console

from vgsearch.evaluation.methods import methods, methods_table, note_on_methods
from vgsearch.experiment.end import ENDS
from vgsearch.experiment.ledger import SweepRecord, TrialRecord
from vgsearch.experiment.paths import Experiment, short_id
from vgsearch.experiment.scoring import notes_on_scores
from vgsearch.program.step_folders import step_folders
from vgsearch.terminal.signal_line import search_signal_lines
from vgsearch.terminal.sweep_table import enough_line, floor_line, pruning_line, trial_result
from vgsearch.terminal.trial import protocol_lines
from vgsearch.terminal.verdict import verdict
from vgsearch.terminal.words import number, short_name, shown, typed, value
from videogan.metrics import ONE_PER_CLASS
from videogan.storage.places import place


def print_result(record: SweepRecord, experiment: Experiment, console: Console) -> None:
    """Print how trials ended, the floor, the best trial or the front, the signal, files and next commands."""
    ends = ", ".join(f"{n} {state}" for state in ENDS if (n := record.count(state)))
    console.print(f"\n{len(record.trials)} trial{'s' * (len(record.trials) != 1)}: {ends}")
    for line in filter(
        None, (enough_line(record), pruning_line(record), "" if record.floor is None else floor_line(record))
    ):
        console.print(line, soft_wrap=True)
    best = record.best
    _print_passed_over(record, console)
    if best is None:
        why = "every scored trial copies training clips" if record.passed_over else "no trial was scored"
        console.print(f"{why}; why each ended: vgsearch status {typed(experiment.place)}", soft_wrap=True)
        return
    _print_best(best, record, console)
    if said := verdict(record, experiment.place):
        console.print(f"verdict {said}", soft_wrap=True)
    for line in search_signal_lines(record):
        console.print(line, soft_wrap=True)
    _print_methods(record, console)
    _print_next_commands(best, experiment, record, console)


def _print_best(best: TrialRecord, record: SweepRecord, console: Console) -> None:
    """The front, the best trial, its protocols and what they warn of, its values."""
    if len(record.objectives) > 1:
        for trial in record.front:
            console.print(f"front   {_line(trial, record)}", soft_wrap=True)
    console.print(f"best    {_line(best, record)}", soft_wrap=True)
    s3 = best.score.s3
    if s3 is not None and s3.rer is not None:
        console.print(f"        ReR {number(100 * s3.rer.mean, '.1f')} %  S3 of guessing {number(s3.s3_of_guessing)}")
    for line in protocol_lines(best.score):
        console.print(f"        {line}", style="yellow" if line.startswith("note:") else None, soft_wrap=True)
    for note in notes_on_scores(record):
        if note != record.header.get("lack_of_select"):  # said before the first trial
            console.print(f"        note: {note}", style="yellow", soft_wrap=True)
    chosen = "  ".join(f"{short_name(path)} {value(v)}" for path, v in best.overrides.items())
    console.print(f"        {chosen}", soft_wrap=True)


def _print_methods(record: SweepRecord, console: Console) -> None:
    """The paper's points side by side, if several were trained with several seeds."""
    if found := methods(record):
        console.print(methods_table(found, record))
        console.print(f"note: {note_on_methods(record)}", style="yellow", soft_wrap=True)


def _print_passed_over(record: SweepRecord, console: Console) -> None:
    """The trials that score as well as the best or better, and why they are not called best."""
    for trial in record.passed_over:
        console.print(f"passed over: {_line(trial, record)}", style="yellow", soft_wrap=True)
        console.print(
            f"        {trial.copies}; evaluation.best_may_copy=true allows it", style="yellow", soft_wrap=True
        )


def _print_next_commands(best: TrialRecord, experiment: Experiment, record: SweepRecord, console: Console) -> None:
    written = typed(experiment.place)
    of_this_kind = _of_program if record.is_of_program else _of_family
    files, commands = of_this_kind(best, experiment, record)
    for line in (
        *files,
        f"next        vgsearch report {written}",
        f"            vgsearch confirm {written}",
        f"            vgsearch show {written}/{short_id(best.trial_id)}",
        *(f"            {command}" for command in commands),
        f"            tensorboard --logdir {written}/{experiment.trials.name}"
        f"   (pip install tensorboard{_storage_package(experiment)})",
    ):
        console.print(line, soft_wrap=True)


def _of_family(best: TrialRecord, experiment: Experiment, record: SweepRecord) -> tuple[list[str], list[str]]:
    """The best trial's files, and the commands that take its checkpoint."""
    folder, written = experiment.trial(best.trial_id), typed(experiment.place)
    checkpoint = folder.place / folder.checkpoints.name / f"step{best.step:08d}.pt"
    commands = [f"vgsearch evaluate {written}", f"vgsearch sample {written}"]
    if best.score.s3 is not None and ONE_PER_CLASS in (best.score.s3.protocol or ""):
        # The generator of the first class; only all of them together are scored.
        checkpoint = folder.of_class(0) / folder.checkpoints.name / checkpoint.name
        commands = [f"vgsearch sample {typed(checkpoint)}"]
    return [f"checkpoint  {shown(checkpoint)}", f"samples     {shown(folder.place / folder.samples.name)}"], commands


def _of_program(best: TrialRecord, experiment: Experiment, record: SweepRecord) -> tuple[list[str], list[str]]:
    """The samples that the best trial's program wrote last, and the command that takes them."""
    folder = experiment.trial(best.trial_id)
    of_all_steps = folder.program / "samples"
    samples = folder.place_of(step_folders(of_all_steps).get(best.step, of_all_steps))
    evaluate = f"vgsearch evaluate --videos {typed(samples)} --data {typed(place(record.header['data']))}"
    return [f"samples     {shown(samples)}"], [evaluate]


def _storage_package(experiment: Experiment) -> str:
    """The package, after a space, by which TensorBoard reads the experiment's object store; empty for a folder."""
    scheme = experiment.address.root.partition("://")[0] if experiment.address else ""
    return {"s3": " boto3", "gs": " gcsfs"}.get(scheme, "")


def _line(trial: TrialRecord, record: SweepRecord) -> str:
    mark = " (paper point)" if trial.is_paper_point else ""
    return f"{trial_result(trial, record.objectives)}  {trial.trial_id}{mark}"
