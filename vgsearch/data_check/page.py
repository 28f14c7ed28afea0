"""A checked data set to look at: a contact sheet of its clips, and one page that needs nothing but a browser."""

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vgsearch.data_check.check import CheckedVideo, DataCheck
from videogan.data.decode import decode
from videogan.data.formats.listing import CHECK_PAGE
from videogan.data.preprocessing import preprocessing_named
from videogan.data.source import Limits, UnreadableVideo
from videogan.storage.atomic import write_atomically

SHEET_NAME = "contact-sheet.png"
N_FRAMES = 8  # shown of each clip
_LONGEST_LOOK = 256  # frames of a file that are decoded for the sheet
_FEW_CLASSES = 12  # up to here each class shows three clips, beyond one small one
_MOST_ROWS = 200  # of a table in the page
_LABEL_WIDTH, _GAP = 190, 2
_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;color:#1d2430;background:#fff;max-width:1080px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin-bottom:.2rem}h2{font-size:1.1rem;margin-top:2rem}p.path{color:#5b6472;margin-top:0}
table{border-collapse:collapse;margin:.4rem 0}td,th{padding:.15rem .8rem .15rem 0;text-align:left;vertical-align:top}
th{color:#5b6472;font-weight:500;border-bottom:1px solid #d7dce3}td.n,th.n{text-align:right}
.verdict{padding:.6rem .9rem;border-radius:6px;background:#e7f5ec}.verdict.bad{background:#fdeaea}
.side{display:flex;flex-wrap:wrap;gap:0 3rem}img{max-width:100%}svg text{font:11px system-ui,sans-serif;fill:#5b6472}
"""


def write_check(check: DataCheck, out: Path, limits: Limits) -> tuple[Path, Path]:
    """Writes the contact sheet and the page into the folder `out`; returns their paths."""
    out.mkdir(parents=True, exist_ok=True)
    picture = io.BytesIO()
    sheet_of_clips(check, limits).save(picture, "PNG", optimize=True)
    html = page(check, picture.getvalue())
    write_atomically(out / SHEET_NAME, lambda stream: stream.write(picture.getvalue()))
    write_atomically(out / CHECK_PAGE, lambda stream: stream.write(html.encode("utf-8", "replace")))
    return out / SHEET_NAME, out / CHECK_PAGE


def sheet_of_clips(check: DataCheck, limits: Limits) -> Image.Image:
    """Some clips of each class, one a row: its class, name, group and length, then frames spread over it."""
    most, n_clips = (96, max(3, 12 // max(1, len(check.classes)))) if len(check.classes) <= _FEW_CLASSES else (64, 1)
    rows = [video for videos in check.classes.values() for video in _spread(videos, n_clips)]
    # Nothing is enlarged, and the cells are no larger than the largest picture in them; the label needs 64.
    cell = max(64, min(most, max((min(video.width, video.height) for video in rows), default=0)))
    height = max(1, len(rows)) * (cell + _GAP)
    sheet = Image.new("RGB", (_LABEL_WIDTH + N_FRAMES * (cell + _GAP), height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=11)
    if not rows:
        draw.text((4, 4), "no usable clip", "black", font)
    for row, video in enumerate(rows):
        top = row * (cell + _GAP)
        told = (video.label, Path(video.name).name, f"group {video.group}", f"{video.n_frames} frames, {video.split}")
        for line, text in enumerate(told[: cell // 16]):
            draw.text((4, top + 4 + 16 * line), _fitted(text, font), "black" if line == 0 else "#5b6472", font)
        for column, image in enumerate(_frames(video, cell, limits)):
            place = _LABEL_WIDTH + column * (cell + _GAP) + (cell - image.width) // 2, top + (cell - image.height) // 2
            sheet.paste(image, place)
    return sheet


def page(check: DataCheck, sheet: bytes) -> str:
    """The whole page as HTML: every name escaped, the picture (PNG) inside, nothing fetched from anywhere."""
    picture = base64.b64encode(sheet).decode()
    counts = check.counts()
    parts = [
        f"<h1>{len(check.usable)} of {len(check.videos)} clips usable, {len(check.classes)} classes</h1>",
        f'<p class="path">{escape(str(check.folder))}<br>groups: {escape(check.group_rule)} · '
        f"splits: {escape(check.split_rule)}</p>",
        _verdict(check),
        "<h2>Clips</h2>",
        f'<img alt="contact sheet: clips of each class" src="data:image/png;base64,{picture}">',
        "<h2>Classes</h2>",
        _class_table(check),
        "<h2>Length</h2>",
        histogram([video.n_frames for video in check.usable]),
        '<div class="side">',
        *(f"<div><h2>{_TITLES[name]}</h2>{_table((name, 'clips'), counted.items())}</div>"
          for name, counted in counts.items()),
        "</div>",
        _section("Skipped", ("reason", "files", "names"),
                 [(reason, len(names), _some(names)) for reason, names in check.skipped.items()]),
        _section("Warnings", ("file", "warning"), [(v.name, v.warning) for v in check.videos if v.warning]),
        _section("Same content", ("files",), [(_some(names),) for names in check.duplicates]),
        _section("Groups", ("group", "clips", "classes", "splits"), _group_rows(check)),
    ]  # fmt: skip
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(check.folder.name)}: data check'
        f"</title><style>{_STYLE}</style></head><body>\n{body}\n</body></html>\n"
    )


def histogram(lengths: Sequence[int], n_bins: int = 24) -> str:
    """How many clips have which number of frames, as inline SVG."""
    if not lengths:
        return "<p>no usable clip</p>"
    low, high = min(lengths), max(lengths) + 1
    edges = np.unique(np.linspace(low, high, min(n_bins, high - low) + 1).astype(int))
    counts = np.histogram(lengths, edges)[0]
    width, height = 640 / len(counts), 120
    bars = "".join(
        f'<rect x="{index * width + 1:.1f}" y="{20 + height * (1 - n / counts.max()):.1f}" width="{width - 2:.1f}" '
        f'height="{height * n / counts.max():.1f}" fill="#3b6ea8"><title>{a} to {b - 1} frames: {n} clips</title></rect>'
        for index, (n, a, b) in enumerate(zip(counts, edges[:-1], edges[1:], strict=True))
    )
    return (
        f'<svg width="660" height="170" viewBox="0 0 660 170" role="img" aria-label="histogram of lengths">{bars}'
        f'<line x1="0" x2="640" y1="140" y2="140" stroke="#9aa3af"/><text x="0" y="156">{low} frames</text>'
        f'<text x="640" y="156" text-anchor="end">{high - 1} frames</text>'
        f'<text x="0" y="12">most in a bar: {counts.max()} clips</text></svg>'
    )


_TITLES = {"size": "Sizes", "fps": "Frame rates", "codec": "Codecs"}


def _verdict(check: DataCheck) -> str:
    if check.blockers:
        listed = "".join(f"<li>{escape(text)}</li>" for text in check.blockers[:_MOST_ROWS])
        verdict = f'<div class="verdict bad"><b>Not fit to train on.</b><ul>{listed}</ul></div>'
    else:
        verdict = '<div class="verdict"><b>No leak, nothing in the way of training.</b></div>'
    remarks = "".join(f"<li>{escape(text)}</li>" for text in check.remarks)
    return verdict + (f"<ul>{remarks}</ul>" if remarks else "")


def _class_table(check: DataCheck) -> str:
    rows = []
    for label, videos in check.classes.items():
        spread = check.spread(videos)
        lengths = "-" if spread is None else f"{spread['min']:g} / {spread['median']:g} / {spread['max']:g}"
        splits = [sum(video.split == split for video in videos) for split in ("train", "test")]
        share = f"{len(videos) / max(1, len(check.usable)):.1%}"
        rows.append((label, len(videos), share, len({video.group for video in videos}), *splits, lengths))
    return _table(("class", "clips", "share", "groups", "train", "test", "frames: least / median / most"), rows)


def _group_rows(check: DataCheck) -> list[tuple[object, ...]]:
    groups: dict[str, list[CheckedVideo]] = {}
    for video in check.usable:
        groups.setdefault(video.group, []).append(video)
    return [
        (group, len(videos), len({v.label for v in videos}), _some(sorted({v.split for v in videos})))
        for group, videos in sorted(groups.items())
    ]


def _section(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    return f"<h2>{title}</h2>{_table(columns, rows)}" if rows else ""


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    rows = list(rows)
    numbers = [all(isinstance(row[column], int) for row in rows) for column in range(len(columns))]
    kinds = [' class="n"' if is_number else "" for is_number in numbers]
    head = "".join(f"<th{kind}>{escape(name)}</th>" for kind, name in zip(kinds, columns, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{escape(str(cell))}</td>" for kind, cell in zip(kinds, row, strict=True)) + "</tr>"
        for row in rows[:_MOST_ROWS]
    )
    more = f"<p>and {len(rows) - _MOST_ROWS} more</p>" if len(rows) > _MOST_ROWS else ""
    return f"<table><tr>{head}</tr>{body}</table>{more}"


def _some(names: Sequence[str], most: int = 6) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _spread(videos: Sequence[CheckedVideo], n: int) -> list[CheckedVideo]:
    """Up to `n` videos, evenly spaced, so that several groups are seen."""
    return [videos[index * len(videos) // n] for index in range(n)] if len(videos) > n else list(videos)


def _frames(video: CheckedVideo, cell: int, limits: Limits) -> list[Image.Image]:
    """Frames evenly spaced over the file's beginning, as squares of at most `cell` pixels."""
    plain = preprocessing_named(f"plain_{min(cell, video.width, video.height)}")
    n_frames = min(video.n_frames, _LONGEST_LOOK)
    try:
        frames = decode(video.path, plain, limits, n_frames=n_frames)
    except UnreadableVideo:
        return []  # gone since it was checked a moment ago; its row stays, empty
    shown = np.linspace(0, len(frames) - 1, min(N_FRAMES, len(frames))).round().astype(int)
    return [Image.fromarray(frames[index]) for index in shown]


def _fitted(text: str, font: ImageFont.FreeTypeFont) -> str:
    """What of a text fits beside the frames; letters the font lacks become boxes, which is its own answer."""
    text = text.encode("utf-8", "replace").decode()
    while font.getlength(text) > _LABEL_WIDTH - 8:
        text = text.removesuffix("…")[:-1] + "…"
    return text
