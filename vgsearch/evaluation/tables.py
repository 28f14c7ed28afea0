"""What `vgsearch evaluate` found: tables for the terminal, JSON, and lines in the trial's own records."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from vgsearch.experiment.paths import TrialFolder, appended_records
from vgsearch.experiment.tensorboard import TrialBoard
from vgsearch.terminal.words import interval, plain_table
from videogan.data.windows import EveryNth
from videogan.storage.atomic import write_atomically

SCORES_NAME = "scores.json"
WIDEST_CELL = 20  # of a score with its interval
ROUNDING = 1e-9  # less is an error of arithmetic
BLIND_SPOTS, GAM = "blind_spots", "gam"


@dataclass(frozen=True)
class Scored:
    """One measure of one subject, as plain JSON values."""

    subject: str
    measure: str
    found: dict[str, Any]

    @property
    def value(self) -> float:
        """The number it is known by; NaN where it is undefined or there is none, as of blind spots."""
        mean = self.found["s3"]["mean"] if "s3" in self.found else self.found.get("mean", self.found.get("score"))
        return math.nan if mean is None else mean

    @property
    def low_is_better(self) -> bool:
        """Of a distance."""
        return self.found.get("metric") in ("fid", "fvd", "kvd")


@dataclass
class Report:
    """The scores of one evaluation and what they were measured by."""

    data: str
    manifest: str
    """Digest of the data set's manifest."""
    preprocessing: str
    classes: Sequence[str]
    """In the order of all lists by class."""
    every_nth: EveryNth = 1
    """Of the real clips."""
    written: list[Path] = field(default_factory=list)
    _rows: dict[int, Scored] = field(default_factory=dict)

    def add(self, place: int, row: Scored) -> None:
        """Rows may come in any order; `place` is theirs."""
        self._rows[place] = row

    @property
    def rows(self) -> list[Scored]:
        return [self._rows[place] for place in sorted(self._rows)]

    def to_json(self) -> str:
        """Every number with its protocol and digest; holds no NaN."""
        told = {"data": self.data, "manifest": self.manifest, "preprocessing": self.preprocessing}
        told |= {
            "every_nth": self.every_nth,
            "classes": list(self.classes),
            "scores": [asdict(row) for row in self.rows],
        }
        return json.dumps(told, indent=1, allow_nan=False)

    def save(self, folder: Path) -> None:
        """Writes `folder`/scores.json, whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / SCORES_NAME
        write_atomically(path, lambda stream: stream.write((self.to_json() + "\n").encode()))
        self.written.insert(0, path)


def append_to_trial(folder: TrialFolder, step: int, rows: Sequence[Scored]) -> None:
    """The scores as one more line of the trial's metrics.jsonl and as points of its TensorBoard, at the checkpoint's step."""
    values: dict[str, float] = {}
    for row in rows:
        if row.measure == BLIND_SPOTS:
            values |= {f"evaluation/{BLIND_SPOTS}/{name}": number for name, number in _numbers(row.found).items()}
        elif row.measure == GAM:
            values[f"evaluation/{GAM}/{model_name(row.found['against'])}"] = row.value
        else:
            values[f"evaluation/{row.measure}"] = row.value
    finite = {name: value for name, value in values.items() if math.isfinite(value)}
    with appended_records(folder) as may_be_added_to:
        if may_be_added_to:
            with open(folder.metrics, "a") as stream:
                stream.write(json.dumps({"step": step, **finite}) + "\n")
            board = TrialBoard(folder.tensorboard, None)
            board.scalars(finite, step)
            board.close()


def _numbers(found: dict[str, Any]) -> dict[str, float]:
    """The measures of blind spots: those of the samples where a pair is told."""
    told = {name: found[name]["synthetic"] if isinstance(found[name], dict) else found[name] for name in _MEANINGS}
    return {name: float(value) for name, value in told.items() if value is not None}


def model_name(checkpoint: str) -> str:
    """t0007-3fa9c1-step00000050 of a trial's checkpoint, else its file's name alone."""
    path = Path(checkpoint)
    return f"{path.parents[1].name}-{path.stem}" if path.parent.name == "checkpoints" else path.stem


def tell(rows: Sequence[Scored], console: Console) -> None:
    """Tables of all scores, of what S3 is made of and of the blind spots, then every warning once."""
    subjects = list(dict.fromkeys(row.subject for row in rows))
    scores = [row for row in rows if row.measure != BLIND_SPOTS]
    of_blind_spots = [row for row in rows if row.measure == BLIND_SPOTS]
    tables: list[Table] = []
    if len(subjects) > 1:
        tables += side_by_side(scores, subjects, console.width)
        tables += [blind_spots_of_many(of_blind_spots)] if of_blind_spots else []
    else:
        tables += [scores_table(scores)] if scores else []
        of_s3 = [row for row in scores if "s3" in row.found]
        tables += [parts_table(of_s3)] if of_s3 else []
        tables += [blind_spots_table(row.found) for row in of_blind_spots]
    for table in tables:
        console.print()
        console.print(table)
    notes = warnings_of(rows, subjects)
    if notes:
        console.print()
    for note in notes:
        console.print(f"note: {note}", style="yellow", soft_wrap=True)
    console.print()


def warnings_of(rows: Sequence[Scored], subjects: Sequence[str]) -> list[str]:
    """Each warning once; with whose score it is about, unless it is about all."""
    whose: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for text in row.found.get("warnings", ()):
            whose.setdefault((row.measure, text), []).append(row.subject)
    return [
        f"{measure}{'' if len(about) == len(subjects) else ' of ' + ', '.join(about)}: {text}"
        for (measure, text), about in whose.items()
    ]


def scores_table(rows: Sequence[Scored]) -> Table:
    """Each score with its spread, the same score of real clips, and the digest without which it does not compare."""
    table = plain_table("protocol", "digest", ">score", "spread", ">real clips", "better")
    for row in rows:
        found = row.found
        if row.measure == GAM:
            against = f"against {model_name(found['against'])}"
            table.add_row(
                GAM, "-", told_number(row.value), f"{against}\nr_test {told_number(found['r_test'])}", "-", "above 1"
            )
        elif "s3" in found:
            spread = f"seeds {_bounds(found['s3'])}\nclips {_bounds(found['bootstrap']['s3'])}"
            table.add_row(row.measure, found["digest"][:6], told_number(row.value), spread, "1.00", "higher")
        else:
            counts = f"({found['n_repeats']} x {found['n_samples']})"
            # One repeat has no spread.
            spread = f"+- {told_number(found['spread'])} {counts}" if found["n_repeats"] > 1 else counts
            better = "lower" if row.low_is_better else "higher"
            numbers = told_number(row.value), spread, told_number(found["real"])
            table.add_row(row.measure, found["digest"][:6], *numbers, better)
    return table


def parts_table(rows: Sequence[Scored]) -> Table:
    """S3's accuracies in percent with their intervals over seeds, and what guessing would score."""
    table = plain_table("S3 is made of", "SeR %", "ReS %", "ReR %", ">guessing", ">corrected")
    for row in rows:
        accuracies = [_percent(row.found[part]) for part in ("ser", "res", "rer")]
        guessing, corrected = row.found["s3_of_guessing"], row.found["s3_chance_corrected"]["mean"]
        table.add_row(row.measure, *accuracies, told_number(guessing), told_number(corrected))
    return table


def side_by_side(rows: Sequence[Scored], subjects: Sequence[str], width: int) -> list[Table]:
    """A row for each subject, a column for each protocol; as many columns a table as `width` holds."""
    measures = list(dict.fromkeys(row.measure for row in rows))
    cell = {(row.measure, row.subject): row for row in rows}
    first = max(map(len, subjects)) + 2
    of_cell = max([WIDEST_CELL, *map(len, measures)]) + 2
    n_columns = max(1, (width - first) // of_cell)
    tables = []
    for start in range(0, len(measures), n_columns):
        shown_here = measures[start : start + n_columns]
        of_any = {m: next(row.found for row in rows if row.measure == m) for m in shown_here}
        table = plain_table("", *(f"{measure}\ndigest {of_any[measure]['digest'][:6]}" for measure in shown_here))
        for subject in subjects:
            told = [_told_in_cell(cell.get((measure, subject))) for measure in shown_here]
            table.add_row(subject, *told)
        if any("s3" in found for found in of_any.values()):
            floor = [told_number(of_any[m].get("s3_of_guessing")) if "s3" in of_any[m] else "" for m in shown_here]
            table.add_row("(guessing)", *floor, style="dim")
        tables.append(table)
    return tables


def _told_in_cell(row: Scored | None) -> str:
    if row is None:
        return "-"
    if "s3" in row.found:
        return interval(row.found["s3"])
    return f"{told_number(row.value)} +- {told_number(row.found['spread'])}"


_MEANINGS = {
    "memorisation_features": ("memorisation, features", "distance to nearest train clip / test clips'; 0: copies"),
    "memorisation_pixels": ("memorisation, pixels", "the same in pixels"),
    "motion": ("motion", "change between frames, in levels of 255"),
    "flow_ratio": ("flow ratio", "length of the flow / real clips'; 1: as fast, 0: still"),
    "freezing_rate": ("freezing", "share of clips that hardly move"),
    "looping_rate": ("looping", "share of clips that return to what they showed"),
    "res": ("ReS", "accuracy of the real-trained classifier"),
    "res_of_shuffled_frames": ("ReS, shuffled", "the same of frames in random order; what it loses, motion told"),
}


def blind_spots_table(found: dict[str, Any]) -> Table:
    """What scores do not see, of samples and of real test clips."""
    table = plain_table("blind spots", ">samples", ">real clips", "")
    for name, (called, meaning) in _MEANINGS.items():
        table.add_row(called, *_pair(found[name]), meaning)
    if (diversity := _least_diversity(found)) is not None:
        table.add_row("diversity", told_number(diversity), "1.00", "of the least diverse class; 0: it has one clip")
    return table


def blind_spots_of_many(rows: Sequence[Scored]) -> Table:
    """The same of several subjects, a row each, and of real test clips."""
    # One word a line; nine columns don't leave room for the longest whole.
    heads = [
        called.replace(",", "").replace("memori", "memori- ").replace(" ", "\n") for called, _ in _MEANINGS.values()
    ]
    table = plain_table("blind spots", *(f">{head}" for head in heads), ">diversity")
    for row in rows:
        cells = [_pair(row.found[name])[0] for name in _MEANINGS]
        table.add_row(row.subject, *cells, told_number(_least_diversity(row.found)))
    table.add_row("(real test clips)", *(_pair(rows[0].found[name])[1] for name in _MEANINGS), "1.00", style="dim")
    return table


def _pair(value: dict[str, float | None] | float | None) -> tuple[str, str]:
    """Of samples and of real clips; a ratio is 1 for the latter."""
    pair = (value["synthetic"], value["real"]) if isinstance(value, dict) else (value, 1.0)
    return told_number(pair[0]), told_number(pair[1])


def _least_diversity(found: dict[str, Any]) -> float | None:
    return min((value for value in found["class_diversity"] if value is not None), default=None)


def told_value(row: Scored) -> str:
    """The number a row is known by; nothing for blind spots, which have many."""
    return "" if row.measure == BLIND_SPOTS else told_number(row.value)


def told_number(value: float | None) -> str:
    """0.62, 28.72, 0.0031; a dash where there is none."""
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.2f}" if abs(value) >= 0.1 or abs(value) < ROUNDING else f"{value:.2g}"


def _percent(measured: dict[str, float | None]) -> str:
    """58.1 [54.0, 62.2]"""
    mean, low, high = ("-" if measured[k] is None else f"{100 * measured[k]:.1f}" for k in ("mean", "low", "high"))
    return f"{mean} [{low}, {high}]"


def _bounds(measured: dict[str, float | None]) -> str:
    return interval(measured).partition(" ")[2]
