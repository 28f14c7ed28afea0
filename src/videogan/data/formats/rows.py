"""The manifest's rows, from the clips that a layout found and the results of decoding them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from videogan.data.formats.contract import Found
from videogan.data.splits import split_by_group


def shown_name(folder: Path, path: Path) -> str:
    """A clip's path in messages: relative to the data folder if the clip is below it."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()


def manifest_rows(
    folder: Path, found: Found, inspected: Mapping[Path, Mapping[str, Any]], seed: int = 0
) -> list[dict[str, Any]]:
    """The manifest's rows: each video with its label, group, inspection and split (by group unless given).

    `inspected` holds the columns of every video that the layout did not skip. A second file with the same content is
    skipped: under another group or label it could be in both splits.
    """
    first_with: dict[str, str] = {}
    rows = []
    for video in found.videos:
        row: dict[str, Any] = {
            "path": video.path.absolute(),
            "label": video.label,
            "group": video.group,
            "split": video.split,
        }
        if video.skipped is None:
            row |= {name: value for name, value in inspected[video.path].items() if name != "warning"}
        else:
            row["skipped"] = video.skipped
        name = shown_name(folder, video.path)
        if row["skipped"] is None and first_with.setdefault(row["sha"], name) != name:
            row["skipped"] = f"same content as {first_with[row['sha']]}"
        if row["skipped"] is not None:
            row["split"] = None
        rows.append(row)
    drawn = [row for row in rows if row["skipped"] is None and row["split"] is None]
    splits = split_by_group([row["label"] for row in drawn], [row["group"] for row in drawn], seed)
    for row, split in zip(drawn, splits, strict=True):
        row["split"] = split
    return rows
