"""The scores of `vgsearch evaluate`: tables for the terminal, JSON, and lines in the trial's metrics.jsonl."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from vgsearch.experiment.objective import DISTANCES
from vgsearch.experiment.opened_trial import appended_records
from vgsearch.experiment.paths import TrialFolder
from vgsearch.experiment.score import DIGITS_OF_DIGEST, FeatureScore, S3Score
from vgsearch.experiment.tensorboard import TrialBoard
from vgsearch.terminal.words import interval, number, plain_table
from videogan.data.windows import EveryNth
from videogan.metrics.interval import Interval
from videogan.storage.atomic import named, write_atomically

SCORES_NAME = "scores.json"
BLIND_SPOTS, GAM = "blind_spots", "gam"
NO_INTERVAL = Interval(math.nan, math.nan, math.nan)


@dataclass(frozen=True)
class Scored:
    """One measure of one subject."""

    subject: str
    measure: str
    found: dict[str, Any]
    """The row as written to scores.json. Any: JSON."""

    @cached_property
    def s3(self) -> S3Score | None:
        return S3Score.from_json(self.found) if "s3" in self.found else None

    @cached_property
    def of_features(self) -> FeatureScore | None:
        return FeatureScore.from_json(self.found) if "mean" in self.found else None

    @property
    def value(self) -> float:
        """The score; NaN if it is undefined, and for blind spots, which have many measures."""
        if self.s3 is not None:
            return self.s3.s3.mean
        if self.of_features is not None:
            return self.of_features.mean
        return self.found["score"] if self.measure == GAM else math.nan

    @property
    def digest(self) -> str:
        """The printed digits of the protocol's digest; empty for gam and blind spots."""
        return self.found.get("digest", "")[:DIGITS_OF_DIGEST]

    @property
    def low_is_better(self) -> bool:
        """Whether it is a distance, or a package's metric that says so."""
        found = self.of_features
        return found is not None and (found.metric in DISTANCES if found.better is None else found.better == "lower")


@dataclass
class Report:
    """The scores of one evaluation, the data and the protocols they were measured by."""

    data: str
    manifest: str
    """Digest of the data set's manifest."""
    preprocessing: str
    classes: Sequence[str]
    """Class names, in the order of all lists by class."""
    every_nth: EveryNth = 1
    """Frame stride of the real clips."""
    written: list[Path] = field(default_factory=list)
    _rows: dict[tuple[int, int], Scored] = field(default_factory=dict)

    def add(self, place: tuple[int, int], row: Scored) -> None:
        """Insert the row at position `place`; rows may come in any order."""
        self._rows[place] = row

    @property
    def rows(self) -> list[Scored]:
        return [self._rows[place] for place in sorted(self._rows)]

    def to_json(self) -> str:
        """Every number with its protocol and digest; no value is NaN."""
        written = {
            "data": self.data,
            "manifest": self.manifest,
            "preprocessing": self.preprocessing,
            "every_nth": self.every_nth,
            "classes": list(self.classes),
            "scores": [asdict(row) for row in self.rows],
        }
        return json.dumps(written, indent=1, allow_nan=False)

    def save(self, folder: Path) -> None:
        """Write `folder`/scores.json, whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / SCORES_NAME
        write_atomically(path, lambda stream: stream.write((self.to_json() + "\n").encode()))
        self.written.insert(0, path)


def append_to_trial(folder: TrialFolder, step: int, rows: Sequence[Scored]) -> None:
    """Add the scores to the trial's metrics.jsonl, as one line, and to its TensorBoard, at the checkpoint's step."""
    values: dict[str, float] = {}
    for row in rows:
        if row.measure == BLIND_SPOTS:
            values |= {f"evaluation/{BLIND_SPOTS}/{name}": value for name, value in _numbers(row.found).items()}
        elif row.measure == GAM:
            values[f"evaluation/{GAM}/{model_name(row.found['against'])}"] = row.value
        else:
            values[f"evaluation/{row.measure}"] = row.value
    finite = {name: value for name, value in values.items() if math.isfinite(value)}
    with appended_records(folder) as has_ended:
        if has_ended:
            with named(folder.metrics), open(folder.metrics, "a", encoding="utf-8") as stream:
                stream.write(json.dumps({"step": step, **finite}) + "\n")
            board = TrialBoard(folder.tensorboard, None)
            board.scalars(finite, step)
            board.close()


def _numbers(found: dict[str, Any]) -> dict[str, float]:
    """The measures of blind spots; of a pair (samples, real clips) the first."""
    values = {name: found[name]["synthetic"] if isinstance(found[name], dict) else found[name] for name in _MEANINGS}
    return {name: float(value) for name, value in values.items() if value is not None}


def model_name(checkpoint: str) -> str:
    """t0007-3fa9c1-step00000050 for a trial's checkpoint, otherwise the name of the file."""
    path = Path(checkpoint)
    return f"{path.parents[1].name}-{path.stem}" if path.parent.name == "checkpoints" else path.stem


def print_scores(rows: Sequence[Scored], console: Console) -> None:
    """Print tables of all scores, of the parts of S3 and of the blind spots, then each warning once."""
    subjects = list(dict.fromkeys(row.subject for row in rows))
    for table in _tables(rows, subjects, console.width):
        console.print()
        console.print(table)
    notes, covered = warnings_of(rows, subjects), coverage(rows)
    if notes or covered:
        console.print()
    for note in notes:
        console.print(f"note: {note}", style="yellow", soft_wrap=True)
    if covered:
        console.print(covered)
    console.print()


def _tables(rows: Sequence[Scored], subjects: Sequence[str], width: int) -> list[Table]:
    scores = [row for row in rows if row.measure != BLIND_SPOTS]
    of_blind_spots = [row for row in rows if row.measure == BLIND_SPOTS]
    if len(subjects) > 1:
        tables = side_by_side(scores, subjects, width)
        return tables + ([blind_spots_of_many(of_blind_spots)] if of_blind_spots else [])
    tables = [scores_table(scores)] if scores else []
    if any(row.s3 is not None for row in scores):
        tables.append(parts_table(scores))
    return tables + [blind_spots_table(row.found) for row in of_blind_spots]


def warnings_of(rows: Sequence[Scored], subjects: Sequence[str]) -> list[str]:
    """Each warning once, with its measure, and with its subjects unless it is about all of them."""
    whose: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for text in row.found.get("warnings", ()):
            whose.setdefault((row.measure, text), []).append(row.subject)
    return [
        f"{measure}{'' if len(about) == len(subjects) else ' of ' + ', '.join(about)}: {text}"
        for (measure, text), about in whose.items()
    ]


def coverage(rows: Sequence[Scored]) -> str:
    """What the intervals of all scores cover, in one sentence; empty without a score."""
    measures: dict[str, list[str]] = {}
    for row in rows:
        if covered := covered_by_interval(row):
            of_measure = measures.setdefault(covered, [])
            of_measure += [] if row.measure in of_measure else [row.measure]
    parts = [f"{covered} ({', '.join(names)})" for covered, names in measures.items()]
    return f"95 % intervals cover {'; '.join(parts)}" if parts else ""


def covered_by_interval(row: Scored) -> str:
    """What the interval covers: 4 groups of 32 test clips, 3 classifier seeds; empty for gam and blind spots."""
    if (found := row.s3 or row.of_features) is None or not found.covers:
        return ""
    return found.covers.replace(" clips", f" {found.split} clips", 1) if found.split else found.covers


def scores_table(rows: Sequence[Scored]) -> Table:
    """Each score and that of real clips with their intervals, and the digest; only equal digests are comparable."""
    table = plain_table("protocol", "digest", "score [95 %]", "real clips [95 %]", "better")
    for row in rows:
        table.add_row(*_score_cells(row))
    return table


def _score_cells(row: Scored) -> tuple[str, ...]:
    if row.measure == GAM:
        against = f"against {model_name(row.found['against'])}\nr_test {number(row.found['r_test'])}"
        return GAM, "-", f"{number(row.value)}\n{against}", "-", "above 1"
    return row.measure, row.digest, _cell(row), _of_real(row), "lower" if row.low_is_better else "higher"


def parts_table(rows: Sequence[Scored]) -> Table:
    """S3's accuracies in percent with their intervals, and the S3 of guessing."""
    table = plain_table("S3 is made of", "SeR %", "ReS %", "ReR %", ">guessing", ">corrected")
    for row in rows:
        if (s3 := row.s3) is not None:
            accuracies = [interval(part or NO_INTERVAL, percent=True) for part in (s3.ser, s3.res, s3.rer)]
            corrected = (s3.s3_chance_corrected or NO_INTERVAL).mean
            table.add_row(row.measure, *accuracies, number(s3.s3_of_guessing), number(corrected))
    return table


def side_by_side(rows: Sequence[Scored], subjects: Sequence[str], width: int) -> list[Table]:
    """A row for each subject, a column for each protocol; split into tables that fit `width`."""
    measures = list(dict.fromkeys(row.measure for row in rows))
    names = [*subjects, REAL_CLIPS, GUESSING]
    first, tables = max(map(len, names)) + GAP, []
    columns = {measure: _column([row for row in rows if row.measure == measure], subjects) for measure in measures}
    widths = {measure: max(len(line) for cell in cells for line in cell.splitlines()) + GAP
              for measure, cells in columns.items()}  # fmt: skip
    while measures:
        n = 1
        while n < len(measures) and first + sum(widths[name] for name in measures[: n + 1]) <= width:
            n += 1
        shown = [columns[measure] for measure in measures[:n]]
        table = plain_table("", *(cells[0] for cells in shown))
        for name, *cells in zip(names, *(cells[1:] for cells in shown), strict=True):
            if name in subjects or any(cell != "-" for cell in cells):
                table.add_row(name, *cells, style=None if name in subjects else "dim")
        tables.append(table)
        measures = measures[n:]
    return tables


REAL_CLIPS, GUESSING = "(real clips)", "(guessing)"
GAP = 2  # characters between two columns


def _column(rows: Sequence[Scored], subjects: Sequence[str]) -> list[str]:
    """A protocol's name and digest, its score of each subject, of real clips and of guessing."""
    of_subject = {row.subject: row for row in rows}
    s3, is_distance = rows[0].s3, rows[0].of_features is not None
    cells = [_cell(of_subject[name]) if name in of_subject else "-" for name in subjects]
    guessing = "-" if s3 is None else number(s3.s3_of_guessing)
    return [f"{rows[0].measure}\ndigest {rows[0].digest}", *cells, _of_real(rows[0]) if is_distance else "-", guessing]


def _cell(row: Scored) -> str:
    """The score with its interval; raises ValueError for blind spots, which have many measures."""
    found = row.s3.s3 if row.s3 is not None else row.of_features.interval if row.of_features is not None else None
    if found is None:
        raise ValueError(f"{row.measure} of {row.subject} is not a single score; it has {', '.join(row.found)}.")
    return interval(found)


def _of_real(row: Scored) -> str:
    """The score of real clips in place of samples."""
    return "1.00" if row.of_features is None else interval(row.of_features.of_real)


_MEANINGS = {
    "memorisation_features": ("memorisation, features", "distance to nearest train clip / test clips'; 0: copies"),
    "memorisation_pixels": ("memorisation, pixels", "the same distance in pixels"),
    "copies": ("copies", "share of samples half as far from a train window as real clips, or less"),
    "motion": ("motion", "change between frames, in levels of 255"),
    "flow_ratio": ("flow ratio", "length of the flow / real clips'; 1: as fast, 0: still"),
    "freezing_rate": ("freezing", "share of clips that hardly move"),
    "looping_rate": ("looping", "share of clips that repeat earlier frames"),
    "repeats": ("repeats", "share of frames as near to an earlier one as 1 % of real frames"),
    "t_psnr": ("t-PSNR", "dB to the nearest earlier frame (MDP); high: frames repeat"),
    "t_dssim": ("t-DSSIM", "least dissimilarity to an earlier frame; low: frames repeat"),
    "res": ("ReS", "accuracy of the real-trained classifier"),
    "res_of_shuffled_frames": (
        "ReS, shuffled",
        "the same accuracy with frames in random order; lower if motion matters",
    ),
}
_NOT_OF_MANY = ("memorisation_pixels", "motion", "t_psnr", "t_dssim")
"""No room for them: copies, flow ratio and repeats say the same relative to real clips; scores.json has all."""


def blind_spots_table(found: dict[str, Any]) -> Table:
    """The table of blind spots: samples beside real test clips."""
    table = plain_table("blind spots", ">samples", ">real clips", "")
    for name, (called, meaning) in _MEANINGS.items():
        table.add_row(called, *_pair(found[name]), meaning)
    if (diversity := _least_diversity(found)) is not None:
        table.add_row("diversity", number(diversity), "1.00", "of the least diverse class; 0: it has one clip")
    return table


def blind_spots_of_many(rows: Sequence[Scored]) -> Table:
    """The blind spots of several subjects, a row each, and of real test clips."""
    names = [name for name in _MEANINGS if name not in _NOT_OF_MANY]
    # One word a line: nine columns leave no room for the longest name.
    heads = [_MEANINGS[name][0].replace(",", "").replace("memori", "memori- ").replace(" ", "\n") for name in names]
    table = plain_table("blind spots", *(f">{head}" for head in heads), ">diversity")
    for row in rows:
        cells = [_pair(row.found[name])[0] for name in names]
        table.add_row(row.subject, *cells, number(_least_diversity(row.found)))
    table.add_row("(real test clips)", *(_pair(rows[0].found[name])[1] for name in names), "1.00", style="dim")
    return table


def _pair(value: dict[str, float | None] | float | None) -> tuple[str, str]:
    """A measure of samples and of real clips; a ratio is 1 for real clips."""
    pair = (value["synthetic"], value["real"]) if isinstance(value, dict) else (value, 1.0)
    return number(pair[0]), number(pair[1])


def _least_diversity(found: dict[str, Any]) -> float | None:
    return min((value for value in found["class_diversity"] if value is not None), default=None)


def value_text(row: Scored) -> str:
    """The score of a row; empty for blind spots, which have many measures."""
    return "" if row.measure == BLIND_SPOTS else number(row.value)
