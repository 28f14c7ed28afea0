"""The report of one experiment: its ledger and folders as sections."""

import dataclasses
import datetime
import math
import shlex
from collections import Counter
from collections.abc import Sequence

from vgsearch.evaluation.confirmation import confirmed_table, notes_on, verdict_on
from vgsearch.evaluation.methods import methods, methods_table, note_on_methods
from vgsearch.experiment.end import KILLED
from vgsearch.experiment.ledger import SweepRecord, TrialRecord
from vgsearch.experiment.objective import COST
from vgsearch.experiment.paths import short_id
from vgsearch.experiment.score import Score
from vgsearch.experiment.scoring import made_by_earlier_version, notes_on_scores, split_of
from vgsearch.report import figures
from vgsearch.report.beside_published import comparison
from vgsearch.report.blocks import Block, Chart, Facts, Lines, Page, Section, SmallCharts, Table, Text
from vgsearch.report.clock import SweepClock
from vgsearch.report.experiment_data import WEAK_BELOW, ExperimentData, Importances
from vgsearch.report.sample_grid import GridColumn, sample_grid
from vgsearch.report.signal import signal_blocks
from vgsearch.report.tables import as_block, failures, health, interval_or_value, trials_table
from vgsearch.space.sweep import Sweep
from vgsearch.space.yaml_text import write_yaml
from vgsearch.terminal.sweep_table import objective_value, pruning_line
from vgsearch.terminal.trial import changed_from_paper
from vgsearch.terminal.verdict import verdict
from vgsearch.terminal.words import duration, interval, number, short_name, value
from videogan.amounts import n_of
from videogan.storage.address_secrets import without_secrets

N_TOP = 4  # trials in the grid of samples
FEWEST_DOTS = 2  # of a chart: one dot has axes without meaning


def experiment_page(subject: ExperimentData, found: Importances) -> Page:
    """The whole report."""
    record, clock = subject.record, SweepClock(subject.record)
    sections = [_what_ran(subject, clock), _best(subject), Section("Signal", signal_blocks(subject))]
    columns = [GridColumn(short_id(trial.trial_id), subject.experiment, trial) for trial in subject.scored[:N_TOP]]
    sections.append(Section("Samples", sample_grid(subject.sweep, columns), _SAMPLES))
    sections.append(Section("Progress", _progress(subject, clock)))
    sections.append(Section("Importance", _importance(subject, found)))
    sections.append(Section("Trade-offs", _trade_offs(subject)))
    sections.append(Section("Papers", comparison(subject.record, subject.scored, subject.sweep), _PAPERS))
    sections.append(Section("Methods", _methods(record), "The paper's points of this space, each with several seeds."))
    sections.append(Section("Expected best", _expected_best(subject), _LUCK))
    sections.append(Section("Trials", [trials_table(record, subject.scored), *failures(record), *health(record)]))
    sections.append(Section("Timeline", [Chart("timeline", figures.timeline(record, clock), _TIMELINE, wide=True)]
                            if record.trials else [Text("No trial has started.")]))  # fmt: skip
    sections.append(Section("Commands", _commands(subject)))
    subtitle = f"{subject.sweep.space.title} · {subject.sweep.budget} budget · {_state(record)}"
    return Page(subject.name, subtitle, _headline(subject, clock), [section for section in sections if section.blocks])


_SAMPLES = (
    "Each column of a trial's samples has one code z; only the class differs between rows. None is picked by hand."
)
_PAPERS = (
    "For orientation only: the papers used another classifier, other splits and sizes, and full-width networks; "
    "do not compare numbers of different tables."
)
_LUCK = (
    "The expected best score after n trials of this search: mean and 90 % of bootstrap draws over its trials, as if "
    "these were independent (Lucic et al. 2018). A trial that ended without a score uses up a draw."
)
_ONE_SEED = (
    "The interval covers {covers}. The best of several trials is also the luckiest; vgsearch confirm trains it again "
    "with fresh seeds and scores it on test."
)
_TIMELINE = "Pauses between an interruption and a resume are left out."


def _methods(record: SweepRecord) -> list[Block]:
    found = methods(record)
    return [as_block(methods_table(found, record)), Text(note_on_methods(record))] if found else []


def _state(record: SweepRecord) -> str:
    if record.ended:
        killed = f"; last event at {moment(record.last_event)}" if record.ended == KILLED else ""
        return f"{record.ended}{killed}"
    return f"running, or its driver was killed: last event at {moment(record.last_event)}"


def moment(seconds: float) -> str:
    """Seconds since 1970 as 2026-11-27 12:31 UTC; a dash for NaN."""
    if math.isnan(seconds):
        return "-"
    return f"{datetime.datetime.fromtimestamp(seconds, datetime.UTC):%Y-%m-%d %H:%M} UTC"


def _headline(subject: ExperimentData, clock: SweepClock) -> list[tuple[str, str, str]]:
    """(name, value, note) of the numbers at the top."""
    record, scored = subject.record, subject.scored
    n, left_out = len(record.trials), len(record.trials) - len(scored)
    used = ("trials used", f"{len(scored)} of {n}", f"{left_out} left out" if left_out else "none left out")
    ran = ("ran for", duration(3600 * clock.total_hours), "pauses left out")
    best, objective = subject.best, subject.objective
    if best is None:
        return [used, ran]
    mean, _, bounds = interval_or_value(objective, best).partition(" ")
    split = split_of(record)
    on = f" on {split}" if split else ""
    numbers = [
        (f"best {figures.label(objective)}{on}", mean, f"{bounds} {short_id(best.trial_id)}".strip()),
        *_on_test(subject, split),
    ]
    if not math.isnan(floor := subject.floor):
        numbers.append(("untrained generator", objective_value(objective, {objective.name: floor}), "the floor"))
    return [*numbers, used, ran]


def _on_test(subject: ExperimentData, split: str | None) -> list[tuple[str, str, str]]:
    """The headline's score on test: that of the best point on the fresh seeds of `vgsearch confirm`."""
    points = subject.confirmed()
    name = f"{figures.label(subject.objective)} on test"
    if not points:
        return [(name, "-", "vgsearch confirm measures it")] if split == "select" else []
    best = points[0]
    n_runs = len(best.by_seed) + len(best.ends)
    mean, _, bounds = interval(best.interval).partition(" ")
    return [
        (name, mean, f"{bounds} {short_id(best.trial_id)}, {len(best.by_seed)} of {n_of(n_runs, 'fresh seed')}".strip())
    ]


def _what_ran(subject: ExperimentData, clock: SweepClock) -> Section:
    sweep, record = subject.sweep, subject.record
    header, space = record.header, sweep.space
    versions = header.get("versions", {})
    used = {trial.trial_id for trial in subject.scored}
    left_out = Counter(trial.state for trial in record.trials.values() if trial.trial_id not in used)
    pairs = [
        ("search space", f"{space.name}: {space.cited}"),
        ("budget", f"{sweep.budget}: {sweep.limits.purpose}"),
        ("data", f"{sweep.data}, {n_of(sweep.n_classes, 'class', 'classes')}, manifest {sweep.manifest_digest[:6]}"),
        ("objective", ", ".join(map(str, record.objectives))),
        ("scored on", split_of(record) or "not recorded"),
        ("protocol", subject.protocol or f"S3 {header.get('protocol', '-')[:6]}"),
        ("seeds", f"sweep {sweep.seed}; trial n has {sweep.seed} + n"),
        ("started", moment(record.starts[0]["time"]) if record.starts else "-"),
        ("last event", moment(record.last_event)),
        ("ran for", f"{duration(3600 * clock.total_hours)}, started {n_of(max(len(record.starts), 1), 'time')}"),
        ("trials", f"{len(used)} used of {len(record.trials)} started, {sweep.n_trials} planned"),
        ("pruning", pruning_line(record).removeprefix("pruning: ") or "no trial was pruned"),
        ("left out", ", ".join(f"{n} {state}" for state, n in left_out.items()) or "none"),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items()) or "not recorded"),
        ("workers", f"{sweep.n_workers} per trial, {sweep.gpus_per_worker:g} GPUs each"),
    ]  # fmt: skip
    if sweep.overrides:
        pairs.append(("set", ", ".join(f"{path}={chosen}" for path, chosen in sweep.overrides.items())))
    return Section("What ran", [Facts(pairs)])


def _best(subject: ExperimentData) -> Section:
    record, best = subject.record, subject.best
    passed_over: list[Block] = [
        Text(f"{short_id(trial.trial_id)} ({interval_or_value(subject.objective, trial)}) is passed over: "
             f"{trial.copies}.", warning=True)
        for trial in record.passed_over
    ]  # fmt: skip
    if best is None:
        why = "Every scored trial copies training clips." if subject.scored else "No trial was scored."
        return Section("Best", [Text(why, warning=True), *passed_over])
    changed = changed_from_paper(best, record)
    rows = [(path, value(chosen), value(papers)) for path, chosen, papers in changed]
    said = verdict(record, subject.experiment.place)
    blocks: list[Block] = [Text(f"{said[:1].upper()}{said[1:]}.", warning="not dist" in said)] if said else []
    blocks.append(Facts(_facts_of(best, record), half=bool(rows)))
    if rows:
        heads = ("differs from the paper's point", "chosen", "paper")
        blocks.append(Table(heads, rows, frozenset({"chosen", "paper"}), half=True))
    blocks += [Text(f"{note.removesuffix('.')}.", warning=True) for note in notes_on_scores(record)]
    blocks += passed_over
    blocks += [Text(warning, warning=True) for warning in best.score.warnings]
    on_seeds = _confirmation(subject)
    blocks += on_seeds
    is_one_seed = not on_seeds and not best.score.over_training_seeds
    if len(subject.scored) > 1 and is_one_seed and made_by_earlier_version(record) is None:
        blocks.append(Text(_ONE_SEED.format(covers=_covered(best, record.objectives[0].name))))
    return Section("Best", blocks)


def _facts_of(best: TrialRecord, record: SweepRecord) -> list[tuple[str, str]]:
    pairs = [("trial", best.trial_id + (" (the paper's point)" if best.is_paper_point else ""))]
    pairs += [(figures.label(objective), interval_or_value(objective, best)) for objective in record.objectives]
    pairs += _facts_of_s3(best.score)
    copied = best.score.copies
    if copied is not None:
        pairs.append(("copies", f"{100 * copied.share:.0f} % of {copied.n_samples} samples"))
    if COST in best.scores:
        pairs.append(("cost", f"{duration(best.scores[COST])} of training steps"))
    return [*pairs, ("why it ended", f"done at step {best.step}")]


def _covered(best: TrialRecord, objective: str) -> str:
    """What the interval of the best trial's first objective covers."""
    part = best.score.features.get(objective) or best.score.s3
    return f"{part.covers}, not trainings" if part is not None and part.covers else "one training"


def _facts_of_s3(score: Score) -> list[tuple[str, str]]:
    s3 = score.s3
    if s3 is None:
        return []
    parts = (("SeR %", s3.ser), ("ReS %", s3.res), ("ReR %", s3.rer))
    pairs = [(name, interval(part, percent=True)) for name, part in parts if part is not None]
    if "s3" in (s3.bootstrap or {}):
        pairs.append((f"S3 over {s3.split or 'test'} clips", interval((s3.bootstrap or {})["s3"])))
    if s3.s3_of_guessing is not None and not math.isnan(s3.s3_of_guessing):
        pairs.append(("S3 of guessing", number(s3.s3_of_guessing)))
    return pairs


def _confirmation(subject: ExperimentData) -> list[Block]:
    """The table of the best points on fresh seeds; empty before `vgsearch confirm`."""
    points = subject.confirmed()
    if not points:
        return []
    n_seeds = max(len(point.by_seed) + len(point.ends) for point in points)
    title = f"Trained again on {n_of(n_seeds, 'fresh seed')}"
    table = dataclasses.replace(as_block(confirmed_table(points, subject.objective)), title=title)
    said = verdict_on(points, subject.record)
    return [table, Text(f"{said}.", warning="not dist" in said), *(Text(note) for note in notes_on(points))]


def _progress(subject: ExperimentData, clock: SweepClock) -> list[Block]:
    record = subject.record
    blocks: list[Block] = []
    if len(subject.scored) >= FEWEST_DOTS:
        blocks.append(Chart("score-against-time", figures.against_clock(subject, clock)))
        blocks.append(Chart("score-against-steps", figures.against_steps(subject)))
    if any(len(trial.looks) > 1 for trial in record.trials.values()):
        blocks.append(Chart("looks", figures.looks(record), _LOOKS, wide=True))
    if subject.scored and len(subject.scored) < FEWEST_DOTS:
        blocks.append(
            Text(f"{len(subject.scored)} of {n_of(len(record.trials), 'trial')} scored, too few for a chart.")
        )
    return blocks or [Text("No trial has had two looks yet.")]


_SLICES = "Dots: done trials; diamond: the paper's point; dashed line: an untrained generator; a dash: not searched."
_LOOKS = "Looks are the cheap score by which trials are pruned; they are not S3."


def _importance(subject: ExperimentData, found: Importances) -> list[Block]:
    blocks: list[Block] = []
    if len(subject.scored) >= FEWEST_DOTS:
        name = figures.label(subject.objective)
        caption = f"Done trials only; from poor (purple) to good (yellow) {name}; a dash: not searched."
        blocks.append(Chart("parallel-coordinates", figures.parallel_coordinates(subject), caption, wide=True))
        drawn = figures.slices(subject)
        blocks.append(SmallCharts([Chart(f"slice-{at}", figure) for at, figure in enumerate(drawn.values())],
                                  f"{name} over each searched value. {_SLICES}"))  # fmt: skip
    if found.reason:
        return [*blocks, Text(f"No importances: {found.reason}.")]
    weak = f"Weak: {found.n_trials} trials, fewer than {WEAK_BELOW}; the order may be chance. " if found.weak else ""
    caption = (
        f"{weak}PED-ANOVA over {found.n_trials} done trials: which values set the best tenth apart from all trials."
    )
    blocks.append(Chart("importances", figures.importance_bars(found.shares), caption))
    if found.left_out:
        rows = [(short_name(path), why) for path, why in found.left_out.items()]
        blocks.append(Table(("not ranked", "why"), rows, half=True))
    return blocks


def _trade_offs(subject: ExperimentData) -> list[Block]:
    blocks: list[Block] = []
    if sum(COST in trial.scores for trial in subject.scored) >= FEWEST_DOTS:
        blocks.append(Chart("score-against-cost", figures.pareto(subject)))
    if any({"ser", "res"} <= set(trial.scores) for trial in subject.scored):
        blocks.append(Chart("ser-res", figures.ser_res(subject)))
    return blocks


def _expected_best(subject: ExperimentData) -> list[Block]:
    curve = subject.expected()
    if curve is None or len(subject.scored) < FEWEST_DOTS:
        return []
    chart = figures.expected_best_chart({subject.sweep.space.name: curve}, subject.objective)
    return [Chart("expected-best", chart, wide=True)]


def _commands(subject: ExperimentData) -> list[Block]:
    record, sweep = subject.record, subject.sweep
    typed = [f"# {moment(start['time'])}\n{command(start['argv'])}" for start in record.starts if "argv" in start]
    blocks: list[Block] = [Lines("\n".join(typed) or "# not recorded by this ledger")]
    for trial in record.trials.values():
        path = subject.experiment.trial(trial.trial_id).config
        config = (
            path.read_text("utf-8", errors="replace") if path.is_file() else "# the trial's folder has no config.yaml\n"
        )
        title = f"{trial.trial_id}  {trial.state}" + ("  the paper's point" if trial.is_paper_point else "")
        tail = f"\n# the end of its log\n{trial.log_tail}" if trial.log_tail else ""
        blocks.append(Lines(f"{training_command(sweep, trial)}\n\n{config}{tail}", title))
    return blocks


def training_command(sweep: Sweep, trial: TrialRecord) -> str:
    """The command that trains a trial again, with its seed."""
    values = {**sweep.overrides, **trial.overrides, **trial.changed}
    seed = values.pop("seed", sweep.seed + trial.index)
    space = sweep.space_source or sweep.space.name
    typed = ["vgsearch", "train", space, "--budget", sweep.budget, "--data", sweep.data, "--seed", str(seed)]
    for path, chosen in values.items():
        written = write_yaml(chosen, in_one_line=True).removesuffix("\n...\n").strip()
        typed += ["--set", f"{path}={written}"]
    return shlex.join(typed)


def command(argv: Sequence[str]) -> str:
    """The command as it was typed, without the path of the program and without secrets in addresses."""
    return without_secrets(shlex.join([argv[0].rpartition("/")[2], *argv[1:]])) if argv else ""
