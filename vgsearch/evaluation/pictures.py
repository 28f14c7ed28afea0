"""Pictures of an evaluation: samples beside their nearest training clips, and the calibration ladder."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from vgsearch.charts.figure import Bars, Figure, Points, Series
from vgsearch.charts.png import png
from vgsearch.evaluation.tables import NO_INTERVAL, Scored, covered_by_interval
from vgsearch.terminal.words import interval
from videogan.metrics.interval import Interval
from videogan.protocols.blind_spots import Neighbours
from videogan.sampling.pictures import enlarged, grid_frames, titled, write_gif
from videogan.storage.atomic import write_atomically

GROUP_GAP = 14
BLACK, GREY, BLUE, RED = "#000000", "#6e6e6e", "#4678b4", "#be3c32"


def write_neighbours(folder: Path, neighbours: Neighbours) -> list[Path]:
    """A GIF and a still of first and last frames: each row is a sample and its nearest training clips."""
    groups = {
        "sample": neighbours.synthetic.unsqueeze(1),
        "nearest in features": neighbours.by_features,
        "nearest in pixels": neighbours.by_pixels,
    }
    grids = {name: grid_frames(enlarged(clips).flatten(0, 1), clips.shape[1]) for name, clips in groups.items()}
    frames = _side_by_side(grids)
    gif, still = (folder / f"neighbours.{suffix}" for suffix in ("gif", "png"))
    write_atomically(gif, lambda stream: write_gif(stream, frames))
    write_atomically(still, lambda stream: _first_and_last(frames).save(stream, format="PNG"))
    return [gif, still]


def _side_by_side(groups: dict[str, Tensor], gap: int = GROUP_GAP) -> Tensor:
    """Grids with a gap between them, each under its name, uint8 (T, H', W', 3)."""
    columns: list[Tensor] = []
    for name, grid in groups.items():
        column = titled(grid, name)
        columns += [column.new_zeros(*column.shape[:2], gap, 3), column] if columns else [column]
    return torch.cat(columns, 2)


def _first_and_last(frames: Tensor) -> Image.Image:
    """The first and the last of `frames` (T, H, W, 3) side by side, each under its name."""
    grids = {"first frame": frames[:1], "last frame": frames[-1:]}
    return Image.fromarray(_side_by_side(grids, gap=3 * GROUP_GAP)[0].numpy())


def write_ladder(folder: Path, rows: Sequence[Scored]) -> list[Path]:
    """Write ladder.png: for each protocol, the score of each rung with its bounds, and reference scores."""
    measures = dict.fromkeys(row.measure for row in rows if not math.isnan(row.value))
    if not measures:
        return []
    content = png([_ladder([row for row in rows if row.measure == measure]) for measure in measures])
    path = folder / "ladder.png"
    write_atomically(path, lambda stream: stream.write(content))
    return [path]


def _ladder(rows: Sequence[Scored]) -> Figure:
    """The chart of one protocol: a bar for each rung, with its value and bounds in its name."""
    found, values = rows[0].found, [row.value for row in rows]
    better = "a distance: lower is better" if rows[0].low_is_better else "higher is better"
    ranges = [_range(row) for row in rows]
    names = [f"{row.subject}   {interval(measured)}" for row, measured in zip(rows, ranges, strict=True)]
    # One line for each row, with a gap between one and the next.
    x = [end for measured in ranges for end in (measured.low, measured.high, None)]
    y = [place for row in range(len(rows)) for place in (row, row, None)]
    series: list[Series] = [Bars(range(len(rows)), values, BLUE)]
    series += [Points(x, y, BLACK, "95 % interval", width=1.2)] if any(each.low < each.high for each in ranges) else []
    for value, colour, name in _references(found):
        series.append(Points([value] * 2, [-0.5, len(rows) - 0.5], colour, name, width=1.2, dash="dash"))
    title = f"{rows[0].measure}   digest {rows[0].digest}   {better}"
    unit, covered = "S3" if "s3" in found else found["metric"].upper(), covered_by_interval(rows[0])
    x_title = f"{unit}, 95 % intervals over {covered}" if covered else unit
    return Figure(title, x_title, series, rows=names, height=110 + 24 * len(rows))


def _range(row: Scored) -> Interval:
    """The score's interval; the value itself for a bound that it lacks."""
    measured = NO_INTERVAL if row.of_features is None else row.of_features.interval
    mean, low, high = measured if row.s3 is None else row.s3.s3
    return Interval(mean, mean if math.isnan(low) else low, mean if math.isnan(high) else high)


def _references(found: dict[str, Any]) -> list[tuple[float, str, str]]:
    """(value, colour, name) of the scores to compare with: of guessing, of real clips."""
    if "s3" in found:
        return [(found["s3_of_guessing"], RED, "guessing"), (1.0, GREY, "ideal")]
    return [(found["real"], GREY, "real clips")]
