"""What `vgsearch evaluate` leaves: a table for the terminal, JSON, a picture of nearest neighbours, the trial's own records."""

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from vgsearch.artifacts import TrialFolder
from vgsearch.tensorboard import TrialBoard
from vgsearch.terminal import interval
from videogan.atomic import write_atomically
from videogan.protocols.blind_spots import Neighbours
from videogan.sampling import contact_sheet, grid_frames, write_gif

SCORES_NAME, NEIGHBOURS_STEM = "scores.json", "neighbours"


@dataclasses.dataclass(frozen=True)
class Scored:
    """One measure of one subject, as plain JSON values."""

    subject: str
    measure: str
    found: dict[str, Any]

    @property
    def value(self) -> float:
        """The number it is known by; NaN where it is undefined."""
        mean = self.found["s3"]["mean"] if "s3" in self.found else self.found.get("mean", self.found.get("score"))
        return math.nan if mean is None else mean


def write_scores(folder: Path, rows: Sequence[Scored], classes: Sequence[str]) -> Path:
    """`folder`/scores.json: every number with its protocol and digest, and the classes in the order of all lists."""
    folder.mkdir(parents=True, exist_ok=True)
    told = {"classes": list(classes), "scores": [dataclasses.asdict(row) for row in rows]}
    path = folder / SCORES_NAME
    write_atomically(path, lambda stream: stream.write((json.dumps(told, indent=1) + "\n").encode()))
    return path


def write_neighbours(folder: Path, neighbours: Neighbours) -> list[Path]:
    """A GIF and a still: each row a sample, its nearest training clips in feature space, then those in pixels."""
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    k = neighbours.by_features.shape[1]
    rows = torch.cat([neighbours.synthetic.unsqueeze(1), neighbours.by_features, neighbours.by_pixels], 1)
    frames = grid_frames(rows.flatten(0, 1), 1 + 2 * k)
    gif, still = (folder / f"{NEIGHBOURS_STEM}.{suffix}" for suffix in ("gif", "png"))
    write_gif(gif, frames)
    Image.fromarray(contact_sheet(frames, n_shown=2).numpy()).save(still)
    return [gif, still]


def append_to_trial(folder: TrialFolder, step: int, rows: Sequence[Scored]) -> None:
    """The scores as one more line of the trial's metrics.jsonl and as points of its TensorBoard, at the checkpoint's step."""
    values = {f"evaluation/{row.measure}": row.value for row in rows if row.measure != "blind_spots"}
    values |= {
        f"evaluation/blind_spots/{name}": number
        for row in rows
        if row.measure == "blind_spots"
        for name, number in _numbers(row.found).items()
    }
    finite = {name: value for name, value in values.items() if math.isfinite(value)}
    with open(folder.metrics, "a") as stream:
        stream.write(json.dumps({"step": step, **finite}) + "\n")
    board = TrialBoard(folder.tensorboard, None)
    board.scalars(finite, step)
    board.close()


def _numbers(found: dict[str, Any]) -> dict[str, float]:
    """The single numbers of blind spots: those of the samples where a pair is told."""
    told = {name: value["synthetic"] if isinstance(value, dict) else value for name, value in found.items()}
    return {name: float(value) for name, value in told.items() if isinstance(value, int | float)}


def tell(rows: Sequence[Scored], console: Console) -> None:
    """A table of all scores, the blind spots below it, and every warning once."""
    scores = [row for row in rows if row.measure != "blind_spots"]
    if scores:
        console.print(scores_table(scores, with_subject=len({row.subject for row in scores}) > 1))
    for row in rows:
        if row.measure == "blind_spots":
            console.print(blind_spots_table(row.found))
    warnings = dict.fromkeys((row.measure, text) for row in rows for text in row.found.get("warnings", ()))
    for measure, text in warnings:
        console.print(f"note: {measure}: {text}", style="yellow", soft_wrap=True)


def scores_table(rows: Sequence[Scored], with_subject: bool) -> Table:
    """Each score with its spread, the same score of real clips, and the digest without which it does not compare."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    columns = ["protocol", "digest", "score", "spread", "real clips", ""]
    for name in ["subject", *columns] if with_subject else columns:
        table.add_column(name, no_wrap=name != "", justify="right" if name in ("score", "real clips") else "left")
    for row in rows:
        cells = [row.measure, row.found.get("digest", "")[:6], *_cells(row)]
        table.add_row(*([row.subject, *cells] if with_subject else cells))
    return table


def _cells(row: Scored) -> tuple[str, str, str, str]:
    """Score, spread, the same of real clips, and what it is made of."""
    found = row.found
    if "s3" in found:
        parts = "  ".join(
            f"{name} {100 * found[key]['mean']:.1f}" for name, key in (("SeR", "ser"), ("ReS", "res"), ("ReR", "rer"))
        )
        clips = _bounds(found["bootstrap"]["s3"])
        parts += (
            f"  chance {_number(found['s3_of_guessing'])}  corrected {_number(found['s3_chance_corrected']['mean'])}"
        )
        return _number(row.value), f"seeds {_bounds(found['s3'])} clips {clips}", "1.00", parts
    if row.measure == "gam":
        return _number(row.value), "", "", f"r_test {_number(found['r_test'])}; above 1: the first checkpoint wins"
    spread = f"+- {_number(found['spread'])} ({found['n_samples']} x {found['n_repeats']})"
    return _number(row.value), spread, _number(found["real"]), f"{found['n_features']} features"


def _bounds(measured: dict[str, float | None]) -> str:
    return interval(measured).partition(" ")[2]


def blind_spots_table(found: dict[str, Any]) -> Table:
    """What scores do not see, of samples and of real test clips."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("blind spots", "samples", "real clips", ""):
        table.add_column(name, justify="right" if name in ("samples", "real clips") else "left")
    for name, meaning in _MEANINGS.items():
        value = found[name]
        pair = (value["synthetic"], value["real"]) if isinstance(value, dict) else (value, 1.0)
        table.add_row(name.replace("_", " "), *map(_number, pair), meaning)
    diversity = [value for value in found["class_diversity"] if value is not None]
    if diversity:
        table.add_row("class diversity", _number(min(diversity)), "1.00", "of the least diverse class; 0: one clip")
    return table


_MEANINGS = {
    "memorisation_features": "distance to the nearest training clip over that of test clips; << 1: memorised",
    "memorisation_pixels": "the same in pixels",
    "motion": "change between frames, levels of 255",
    "freezing_rate": "share of clips that hardly move",
    "looping_rate": "share of clips that return to what they showed",
    "res": "accuracy of the real-trained classifier",
    "res_of_shuffled_frames": "the same with frames in random order: what it loses, motion told",
}


def _number(value: float | None) -> str:
    if value is None or math.isnan(value):
        return "-"
    return f"{value:.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.2g}"
