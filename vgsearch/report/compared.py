"""The report of several experiments; only scores by the same protocol share an axis."""

from collections import defaultdict
from collections.abc import Sequence

from vgsearch.experiment.objective import COST
from vgsearch.experiment.scoring import notes_on_scores, split_of
from vgsearch.report import figures
from vgsearch.report.blocks import Block, Chart, Lines, Page, Section, Table, Text
from vgsearch.report.clock import SweepClock
from vgsearch.report.experiment import command, moment
from vgsearch.report.experiment_data import ExperimentData
from vgsearch.report.sample_grid import GridColumn, sample_grid
from vgsearch.report.tables import interval_or_value
from vgsearch.terminal.sweep_table import objective_value
from vgsearch.terminal.words import duration
from videogan.amounts import n_of

_LUCK = (
    "The expected best score after n trials compares families at equal search budget (Lucic et al. 2018): the mean "
    "and the 90 % interval of bootstrap draws. Each line ends at the number of trials of its search."
)


def comparison_page(name: str, subjects: Sequence[ExperimentData]) -> Page:
    """One section for each (objective, protocol), because scores of different ones are not comparable."""
    groups: dict[tuple[str, str], list[ExperimentData]] = defaultdict(list)
    for subject in subjects:
        groups[figures.label(subject.objective), subject.protocol].append(subject)
    sections = [Section("Experiments", [_table(subjects), *_warning(groups), *_notes(subjects)])]
    for (label, protocol), members in groups.items():
        if protocol:
            prefix = f"compared-{protocol.replace(' ', '-')}" if len(groups) > 1 else "compared"
            sections.append(Section(f"{label} by {protocol}", _charts(members, prefix), _LUCK))
    sections.append(Section("Samples", _samples(subjects), _SAMPLES))
    sections.append(Section("Commands", [_commands(subjects)]))
    headline = [(subject.name, *_best_score(subject)) for subject in subjects]
    n_trials = sum(len(subject.record.trials) for subject in subjects)
    subtitle = f"{n_of(len(subjects), 'experiment')} · {n_of(n_trials, 'trial')}"
    return Page(name, subtitle, headline, [section for section in sections if section.blocks])


_SAMPLES = "The best trial of each experiment, the first code of its grid; codes of different families are unrelated."


def _best_score(subject: ExperimentData) -> tuple[str, str]:
    if subject.best is None:
        return "-", "every scored trial copies" if subject.scored else "no trial scored"
    number, _, bounds = interval_or_value(subject.objective, subject.best).partition(" ")
    return number, f"best {_label(subject)} {bounds}".strip()


def _label(subject: ExperimentData) -> str:
    split = split_of(subject.record)
    return f"{figures.label(subject.objective)} on {split}" if split else figures.label(subject.objective)


def _warning(groups: dict[tuple[str, str], list[ExperimentData]]) -> list[Text]:
    measured = {(label, protocol) for label, protocol in groups if protocol}
    if len(measured) < 2:
        return []
    groups_text = "; ".join(f"{label} by {protocol}: {', '.join(subject.name for subject in members)}"
                            for (label, protocol), members in groups.items() if protocol)  # fmt: skip
    return [Text(f"Only scores under the same protocol are comparable. {groups_text}.", warning=True)]


def _notes(subjects: Sequence[ExperimentData]) -> list[Text]:
    notes = [(subject.name, note) for subject in subjects for note in notes_on_scores(subject.record)]
    return [Text(f"{name}: {note.removesuffix('.')}.", warning=True) for name, note in notes]


def _table(subjects: Sequence[ExperimentData]) -> Table:
    columns = ("experiment", "space", "budget", "data", "trials", "scored", "best", "untrained", "protocol", "cost of best",
               "run time")  # fmt: skip
    rows = [
        (
            subject.name,
            subject.sweep.space.name,
            subject.sweep.budget,
            f"{subject.sweep.data.rpartition('/')[2]} {subject.sweep.manifest_digest[:6]}",
            str(len(subject.record.trials)),
            str(len(subject.scored)),
            f"{_label(subject)} {interval_or_value(subject.objective, subject.best)}" if subject.best else "-",
            objective_value(subject.objective, {subject.objective.name: subject.floor})
            if subject.floor == subject.floor
            else "-",
            subject.protocol or "-",
            duration(subject.best.scores[COST]) if subject.best and COST in subject.best.scores else "-",
            duration(3600 * SweepClock(subject.record).total_hours),
        )
        for subject in subjects
    ]
    return Table(columns, rows, frozenset({"trials", "scored", "untrained", "cost of best", "run time"}))


def _charts(members: Sequence[ExperimentData], prefix: str) -> list[Block]:
    names = unique_names(members)
    curves = {name: curve for name, subject in zip(names, members, strict=True) if (curve := subject.expected())}
    return [
        Chart(f"{prefix}-expected-best", figures.expected_best_chart(curves, members[0].objective), wide=True),
        Chart(f"{prefix}-best-over-time", figures.best_over_time(members)),
        Chart(f"{prefix}-scores", figures.all_scores(dict(zip(names, members, strict=True)))),
    ]


def unique_names(subjects: Sequence[ExperimentData]) -> list[str]:
    """Space and experiment, such as "mvt_tsa: runs-003"; only the experiment if its name starts with the space."""
    return [
        subject.name
        if subject.name.startswith(subject.sweep.space.name)
        else f"{subject.sweep.space.name}: {subject.name}"
        for subject in subjects
    ]


def _samples(subjects: Sequence[ExperimentData]) -> list[Block]:
    """A grid for each data set; the real clips are from the first experiment's data."""
    blocks: list[Block] = []
    by_data: dict[str, list[ExperimentData]] = defaultdict(list)
    for subject in subjects:
        if subject.best is not None:
            by_data[subject.sweep.manifest_digest].append(subject)
    for members in by_data.values():
        columns = [GridColumn(subject.name, subject.experiment, subject.best) for subject in members if subject.best]
        blocks += sample_grid(members[0].sweep, columns)
    return blocks


def _commands(subjects: Sequence[ExperimentData]) -> Lines:
    lines = []
    for subject in subjects:
        lines += [f"# {subject.name}, {moment(start['time'])}\n{command(start['argv'])}"
                  for start in subject.record.starts if "argv" in start]  # fmt: skip
    return Lines("\n".join(lines) or "# not in these ledgers")
