"""A search's scores and, in tables of their own, the published scores of the same metric and data set."""

from collections.abc import Sequence

from vgsearch.experiment.ledger import SweepRecord, TrialRecord
from vgsearch.experiment.objective import Objective
from vgsearch.experiment.paths import short_id
from vgsearch.experiment.score import Score
from vgsearch.report.blocks import Block, Table
from vgsearch.report.published import Protocol, PublishedScore, data_set_of, published_scores
from vgsearch.space.sweep import Sweep
from vgsearch.terminal.sweep_table import objective_value
from vgsearch.terminal.words import interval, number
from videogan.protocols import PROTOCOLS, FeatureProtocol

_PARTS = ("SeR %", "ReS %", "ReR %", "S3")
_NAMES = {"r3d18": "3D ResNet-18", "tsn": "TSN", "eco_lite": "ECO", "c3d": "C3D", "i3d": "I3D"}
_FULL_WIDTH = 64


def comparison(record: SweepRecord, scored: Sequence[TrialRecord], sweep: Sweep) -> list[Block]:
    """Ours, then what is published for the metric on this data set; a metric that nobody measured on it has no table.

    S3's table of ours also has the paper's points and the floor.
    """
    data, size = data_set_of(sweep.data, sweep.n_classes), sweep.config_by_default_protocol().resolution
    blocks: list[Block] = []
    for metric in ("s3", "is", "fid", "fvd"):
        measured = [trial for trial in scored if metric in trial.scores]
        if not measured:
            continue
        rows = published_scores(metric, data)
        if metric == "s3":
            blocks.append(_our_s3(record, measured))
        elif metric == "is" or rows:
            blocks.append(_ours(metric, measured))
        if rows:
            part = measured[0].score.s3 if metric == "s3" else measured[0].score.features.get(metric)
            blocks.append(_theirs(metric, rows, (part and part.protocol) or "", size))
    return blocks


def _our_s3(record: SweepRecord, measured: Sequence[TrialRecord]) -> Table:
    shown = dict.fromkeys([t.trial_id for t in measured[:3]] + [t.trial_id for t in measured if t.is_paper_point])
    rows = [
        _parts(short_id(trial.trial_id) + (" (the paper's point)" if trial.is_paper_point else ""), trial.score)
        for trial in measured
        if trial.trial_id in shown
    ]
    if record.floor is not None and record.floor.score.s3 is not None:
        rows.append(_parts("untrained generator", record.floor.score))
    return Table(("ours", *_PARTS), rows, frozenset(_PARTS), frozenset({0}), "This search")


def _ours(metric: str, measured: Sequence[TrialRecord]) -> Table:
    objective = Objective(metric)
    rows = [(short_id(trial.trial_id), objective_value(objective, trial.scores)) for trial in measured[:3]]
    title = f"This search, {'inception score' if metric == 'is' else metric.upper()}"
    return Table(("ours", metric.upper()), rows, frozenset({metric.upper()}), title=title)


def _parts(name: str, score: Score) -> tuple[str, ...]:
    parts = [score.interval(part) for part in ("ser", "res", "rer")]
    s3 = score.interval("s3")
    return (
        name,
        *(number(None if part is None else 100 * part.mean, ".2f") for part in parts),
        "-" if s3 is None else interval(s3),
    )


def _theirs(metric: str, rows: Sequence[PublishedScore], ours: str, size: int) -> Table:
    figures = _PARTS if metric == "s3" else (metric.upper(),)
    heads = ("published", "where", *figures, "px", "its protocol", "beside ours")
    cells = [
        (
            row.model + (" (conditional)" if row.conditional and metric != "s3" else ""),
            row.where,
            *_printed(row),
            number(row.size, "d"),
            in_words(row),
            verdict(row, ours, size),
        )
        for row in rows
    ]
    return Table(heads, cells, frozenset({*figures, "px"}), title=f"Published {metric.upper()} on {rows[0].data}")


def _printed(row: PublishedScore) -> tuple[str, ...]:
    if row.metric == "s3":
        return tuple(f"{value:.2f}" for value in (row.ser, row.res, row.rer, row.mean))
    return (f"{row.mean:.2f}" + ("" if row.spread is None else f" +- {row.spread:g}"),)


def in_words(row: PublishedScore) -> str:
    """The protocol of a published score, and what is odd about the number."""
    protocol = row.protocol
    parts = [
        protocol.classifier,
        f"weights from {protocol.initial_weights}" if protocol.initial_weights else "initial weights not stated",
        "" if protocol.n_samples is None else f"{protocol.n_samples:,} samples x {protocol.n_repeats}",
        "schedule on test accuracy" if protocol.schedules_on_test else "",
        protocol.other,
        row.note,
    ]
    return ", ".join(part for part in parts if part)


def verdict(row: PublishedScore, ours: str, size: int) -> str:
    """Whether a published score compares with one by our protocol named `ours` on frames of `size` px, and why not."""
    found = differences(row, ours, size)
    return "not comparable: " + ", ".join(found) if found else "the same settings, as far as they are printed"


def differences(row: PublishedScore, ours: str, size: int) -> list[str]:
    """How our protocol differs from a published score's; what its source does not state counts as different."""
    found = [] if row.size == size else [f"frames of {size} px"]
    if (protocol := PROTOCOLS.get(ours.partition("+")[0])) is None:
        return [*found, f"protocol {ours or 'unknown'} of another version"]
    classifier = protocol.classifier
    if _NAMES[classifier.classifier] != row.protocol.classifier:
        found.append(f"classifier {_NAMES[classifier.classifier]}")
    if classifier.width != _FULL_WIDTH:
        found.append(f"of width {classifier.width} instead of {_FULL_WIDTH}")
    if classifier.recipe.paper_protocol != row.protocol.schedules_on_test:
        found.append("another schedule")
    # Even a file of weights from the same images is not the file that the paper used.
    found.append("own initial weights" if "+" in ours else "random initial weights")
    if isinstance(protocol, FeatureProtocol):
        found += _counts(row.protocol, protocol)
    return found


def _counts(theirs: Protocol, ours: FeatureProtocol) -> list[str]:
    same = (theirs.n_samples, theirs.n_repeats) == (ours.n_samples, ours.n_repeats)
    return [] if same else [f"{ours.n_samples:,} samples x {ours.n_repeats}"]
