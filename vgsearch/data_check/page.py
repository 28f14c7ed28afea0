"""A contact sheet of a checked data set, and its page: verdict, classes, lengths, formats, skipped files, groups."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vgsearch.charts.figure import Band, Figure, Note
from vgsearch.charts.image_grid import ImageRow, image_grid
from vgsearch.charts.png import png
from vgsearch.data_check.check import CheckedVideo, DataCheck
from vgsearch.report.blocks import Block, Page, Picture, Section, Table, Text
from vgsearch.report.writing import write_html
from videogan.data.decode import decode
from videogan.data.formats.listing import CHECK_PAGE
from videogan.data.manifest import SPLITS
from videogan.data.preprocessing import preprocessing_named
from videogan.data.source import Limits, UnreadableVideo
from videogan.storage.atomic import write_atomically

SHEET_NAME = "contact-sheet.png"
N_FRAMES = 8  # shown per clip
_MOST_DECODED = 256  # frames of a file, for the sheet
_FEW_CLASSES = 12  # up to this many: at least three clips of each; with more classes one small clip each
_MOST_ROWS = 200  # per table of the page
_LEFT, _GAP = 190, 2  # pixels of the sheet: for the text on the left, between frames
_BLUE = "#3b6ea8"


def write_check(check: DataCheck, out: Path, limits: Limits) -> tuple[Path, Path]:
    """Write the contact sheet and the page into the folder `out`; returns their paths."""
    out.mkdir(parents=True, exist_ok=True)
    sheet = contact_sheet(check, limits)
    write_atomically(out / SHEET_NAME, lambda stream: stream.write(sheet))
    write_html(page(check, sheet), out / CHECK_PAGE)
    return out / SHEET_NAME, out / CHECK_PAGE


def contact_sheet(check: DataCheck, limits: Limits) -> bytes:
    """A PNG with clips of each class, one per row: class, name, group and length, then frames spread over the clip."""
    most, n_clips = (96, max(3, 12 // max(1, len(check.classes)))) if len(check.classes) <= _FEW_CLASSES else (64, 1)
    videos = [video for of_class in check.classes.values() for video in _spread(of_class, n_clips)]
    # No frame is enlarged, and a cell is as large as the largest frame; the four lines of text need 64 pixels.
    side = max(64, min(most, max((min(video.width, video.height) for video in videos), default=0)))
    rows = [
        ImageRow(
            (video.label, Path(video.name).name, f"group {video.group}", f"{video.n_frames} frames, {video.split}"),
            _frames(video, side, limits),
        )
        for video in videos
    ]
    return image_grid(rows or [ImageRow(["no usable clip"], [])], [""] * N_FRAMES, side, _LEFT, _GAP)


def page(check: DataCheck, sheet: bytes) -> Page:
    """The page, with the contact sheet `sheet` (PNG)."""
    usable, spread = check.usable, check.spread(check.usable)
    headline = [("usable clips", f"{len(usable)} of {len(check.videos)}", f"{len(check.videos) - len(usable)} skipped"),
                ("classes", str(len(check.classes)), ""),
                ("groups", str(len({video.group for video in usable})), f"rule: {check.group_rule}")]  # fmt: skip
    if spread is not None:
        headline.append(("median length", f"{spread['median']:g} frames", f"{spread['min']:g} to {spread['max']:g}"))
    formats = [
        table
        for name, counted in check.counts().items()
        for table in _table((name, "clips"), [(key, n) for key, n in counted.items()], half=True)
    ]
    skipped = [(reason, len(names), _some(names)) for reason, names in check.skipped.items()]
    sections = [
        Section("Verdict", _verdict(check)),
        Section("Clips", [Picture("contact-sheet", sheet, "contact sheet: clips of each class")]),
        Section("Classes", _class_table(check)),
        Section("Length", _histogram([video.n_frames for video in usable])),
        Section("Formats", formats),
        Section("Skipped", _table(("reason", "files", "names"), skipped)),
        Section("Warnings", _table(("file", "warning"), [(v.name, v.warning) for v in check.videos if v.warning])),
        Section("Same content", _table(("files",), [(_some(names),) for names in check.duplicates])),
        Section("Groups", _table(("group", "clips", "classes", "splits"), _group_rows(check))),
    ]
    subtitle = f"data check of {check.folder} · splits: {check.split_rule}"
    return Page(check.folder.name, subtitle, headline, [section for section in sections if section.blocks])


def _verdict(check: DataCheck) -> list[Block]:
    verdict = "Not usable for training." if check.blockers else "No leak, and nothing prevents training."
    problems, remarks = ([(text,) for text in texts] for texts in (check.blockers, check.remarks))
    return [Text(verdict, bool(problems)), *_table(("problem",), problems), *_table(("remark",), remarks)]


def _class_table(check: DataCheck) -> list[Block]:
    rows = []
    for label, videos in check.classes.items():
        spread = check.spread(videos)
        lengths = "-" if spread is None else f"{spread['min']:g} / {spread['median']:g} / {spread['max']:g}"
        splits = [sum(video.split == split for video in videos) for split in SPLITS]
        share = f"{len(videos) / max(1, len(check.usable)):.1%}"
        rows.append((label, len(videos), share, len({video.group for video in videos}), *splits, lengths))
    return _table(("class", "clips", "share", "groups", *SPLITS, "frames: shortest / median / longest"), rows)


def _histogram(lengths: Sequence[int], n_bins: int = 24) -> list[Block]:
    """The number of clips by their number of frames."""
    if not lengths:
        return [Text("no usable clip")]
    low, high = min(lengths), max(lengths) + 1
    edges = np.unique(np.linspace(low, high, min(n_bins, high - low) + 1).astype(int))
    counts = np.histogram(lengths, edges)[0]
    x = np.repeat(edges - 0.5, 2)[1:-1]  # a bar is centred on its number of frames
    bars = Band(x.tolist(), [0] * len(x), np.repeat(counts, 2).tolist(), _BLUE, opacity=1)
    middles = (edges[:-1] + edges[1:] - 1) / 2
    notes = [Note(middle, n, str(n), "center", above=True) for middle, n in zip(middles, counts, strict=True) if n]
    figure = Figure("clips", "frames", [bars], notes, y_range=(0, 1.12 * counts.max()),
                    x_tick=1 if high - low <= 12 else None, height=220)  # fmt: skip
    return [Picture("length", png([figure]), f"histogram of the clips' lengths, {low} to {high - 1} frames")]


def _group_rows(check: DataCheck) -> list[tuple[object, ...]]:
    groups: dict[str, list[CheckedVideo]] = {}
    for video in check.usable:
        groups.setdefault(video.group, []).append(video)
    return [
        (group, len(videos), len({v.label for v in videos}), _some(sorted({v.split or "-" for v in videos})))
        for group, videos in sorted(groups.items())
    ]


def _table(columns: Sequence[str], rows: Sequence[Sequence[object]], half: bool = False) -> list[Block]:
    """A table of at most `_MOST_ROWS` rows, numbers aligned to the right; empty without rows."""
    right = {name for at, name in enumerate(columns) if all(isinstance(row[at], int) for row in rows)}
    shown = [[str(cell) for cell in row] for row in rows[:_MOST_ROWS]]
    more = [Text(f"and {len(rows) - _MOST_ROWS} more")] if len(rows) > _MOST_ROWS else []
    return [Table(columns, shown, frozenset(right), half=half), *more] if rows else []


def _some(names: Sequence[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _spread(videos: Sequence[CheckedVideo], n: int) -> list[CheckedVideo]:
    """Up to `n` videos, evenly spaced, so that several groups are shown."""
    return [videos[index * len(videos) // n] for index in range(n)] if len(videos) > n else list(videos)


def _frames(video: CheckedVideo, side: int, limits: Limits) -> list[np.ndarray]:
    """Frames evenly spaced over the beginning of the file, as squares of at most `side` pixels."""
    plain = preprocessing_named(f"plain_{min(side, video.width, video.height)}")
    try:
        frames = decode(video.path, plain, limits, n_frames=min(video.n_frames, _MOST_DECODED))
    except UnreadableVideo:
        return []  # deleted since the check; its row stays empty
    return [frames[at] for at in np.linspace(0, len(frames) - 1, min(N_FRAMES, len(frames))).round().astype(int)]
