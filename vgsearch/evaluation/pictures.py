"""Pictures of an evaluation: samples beside the training clips nearest to them, and the calibration ladder."""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from vgsearch.evaluation.tables import Scored
from vgsearch.terminal.words import interval
from videogan.metrics.interval import Interval
from videogan.protocols.blind_spots import Neighbours
from videogan.sampling.pictures import enlarged, grid_frames, label_font, titled, write_gif

GROUP_GAP = 14
WHITE, GREY, BLUE, RED = (255, 255, 255), (110, 110, 110), (70, 120, 180), (190, 60, 50)


def write_neighbours(folder: Path, neighbours: Neighbours) -> list[Path]:
    """A GIF and a still of first and last frames: each row a sample, its nearest training clips by features, by pixels."""
    folder.mkdir(parents=True, exist_ok=True)
    groups = {
        "sample": neighbours.synthetic.unsqueeze(1),
        "nearest in features": neighbours.by_features,
        "nearest in pixels": neighbours.by_pixels,
    }
    grids = {name: grid_frames(enlarged(clips).flatten(0, 1), clips.shape[1]) for name, clips in groups.items()}
    frames = _beside_each_other(grids)
    gif, still = (folder / f"neighbours.{suffix}" for suffix in ("gif", "png"))
    write_gif(gif, frames)
    _first_and_last(frames).save(still)
    return [gif, still]


def _beside_each_other(groups: dict[str, Tensor], gap: int = GROUP_GAP) -> Tensor:
    """uint8 (T, H', W', 3): grids with a gap between them, each under its name."""
    columns = []
    for name, grid in groups.items():
        column = titled(grid, name)
        columns += [column.new_zeros(*column.shape[:2], gap, 3), column] if columns else [column]
    return torch.cat(columns, 2)


def _first_and_last(frames: Tensor) -> Image.Image:
    """The first and the last of `frames` (T, H, W, 3) side by side, each under its name."""
    grids = {"first frame": frames[:1], "last frame": frames[-1:]}
    return Image.fromarray(_beside_each_other(grids, gap=3 * GROUP_GAP)[0].numpy())


WIDTH, LABELS, NUMBERS, ROW, TITLE = 760, 170, 150, 24, 34


def write_ladder(folder: Path, rows: Sequence[Scored]) -> list[Path]:
    """ladder.png: for each protocol the score of each rung as a bar, its interval or spread, and what guessing scores."""
    measures = dict.fromkeys(row.measure for row in rows if not math.isnan(row.value))
    panels = [_panel([row for row in rows if row.measure == measure]) for measure in measures]
    if not panels:
        return []
    picture = Image.new("RGB", (WIDTH, sum(panel.height for panel in panels)), WHITE)
    top = 0
    for panel in panels:
        picture.paste(panel, (0, top))
        top += panel.height
    path = folder / "ladder.png"
    picture.save(path)
    return [path]


def _panel(rows: Sequence[Scored]) -> Image.Image:
    """One protocol: a bar for each rung."""
    panel = Image.new("RGB", (WIDTH, TITLE + ROW * len(rows) + 26), WHITE)
    draw, font, found = ImageDraw.Draw(panel), label_font(), rows[0].found
    better = "a distance: lower is better" if rows[0].low_is_better else "higher is better"
    draw.text((10, 10), f"{rows[0].measure}   digest {found['digest'][:6]}   {better}", (0, 0, 0), font)
    ranges = [_range(row) for row in rows]
    low, high = min(0.0, *(r[0] for r in ranges)), max(1e-9, *(r[1] for r in ranges))

    def x(value: float) -> float:
        return LABELS + (value - low) / (high - low) * (WIDTH - LABELS - NUMBERS)

    bottom = TITLE + ROW * len(rows)
    for value, colour, name in _marks(found):
        draw.line((x(value), TITLE, x(value), bottom + 4), colour)
        draw.text((x(value), bottom + 5), name, colour, font, anchor="ma")
    for number, (row, (least, most)) in enumerate(zip(rows, ranges, strict=True)):
        top = TITLE + ROW * number
        draw.text((10, top + 4), row.subject, (0, 0, 0), font)
        draw.rectangle((*sorted((x(0), x(row.value)))[:1], top + 5, max(x(0), x(row.value)), top + ROW - 5), BLUE)
        draw.line((x(least), top + ROW // 2, x(most), top + ROW // 2), (0, 0, 0))
        draw.text(
            (x(high) + 12, top + 4),
            interval(Interval(row.value, least, most)),
            (0, 0, 0),
            font,
        )
    draw.line((x(0), TITLE, x(0), bottom), GREY)
    return panel


def _range(row: Scored) -> tuple[float, float]:
    """Its interval over seeds, or one spread to either side; the value alone where there is none."""
    if "s3" in row.found:
        low, high = row.found["s3"]["low"], row.found["s3"]["high"]
        return (row.value, row.value) if low is None or high is None else (low, high)
    return row.value - row.found["spread"], row.value + row.found["spread"]


def _marks(found: dict) -> list[tuple[float, tuple[int, int, int], str]]:
    """Values to compare with, each a line: what guessing scores, what real clips score."""
    if "s3" in found:
        return [(found["s3_of_guessing"], RED, "guessing"), (1.0, GREY, "real clips")]
    return [(found["real"], GREY, "real test clips")]
