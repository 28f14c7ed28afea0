"""A CSV list of clips (videos.csv or any CSV file): the columns file, label and, optionally, group and split."""

from pathlib import Path

from videogan.data.formats.contract import DRAWN, Found, FoundVideo, ImportOptions, split_named
from videogan.data.formats.listing import group_by_name, read_csv
from videogan.data.manifest import DataError
from videogan.data.stills import holder

NAME = "csv"
TAKES = frozenset({"group", "split_by"})
LIST_NAME = "videos.csv"
_REQUIRED, _KNOWN = ("file", "label"), ("file", "label", "group", "split")


def recognises(folder: Path) -> bool:
    """Whether it is a folder with videos.csv, or a CSV file."""
    return _list(folder).is_file()


def find(folder: Path, options: ImportOptions) -> Found:
    """The clips of the list. Their paths are absolute or relative to the list's folder, and may be any kind of clip.

    The column split holds train, select (or val, validation) or test. Without a group column, groups come from the
    file names as in plain folders. Raises DataError with the wrong line: a missing column, an empty cell, a missing
    file, a file with two labels, an open quote.
    """
    file = _list(folder)
    if not file.is_file():
        raise DataError(
            f"{folder}: no {LIST_NAME} in this folder. Write one with the columns file,label[,group][,split]."
        )
    rows = _rows(file)
    if not rows:
        raise DataError(f"{file}: the list is empty; expected a line for each clip after the header.")
    names = list(rows)
    if options.group is None and "group" in rows[names[0]]:
        groups, group_rule = [rows[name]["group"] for name in names], "the column group"
    else:
        grouping = group_by_name(names, options.group)
        groups, group_rule = list(grouping.groups), grouping.rule
    split_given = "split" in rows[names[0]]
    if options.split_by == "file" and not split_given:
        raise DataError(
            f"{file.name} line 1: --split-by file needs a column 'split'. Add it, or pass --split-by group."
        )
    given = split_given and options.split_by != "group"
    videos = [
        FoundVideo(file.parent / name, rows[name]["label"], group, rows[name]["split"] if given else None)
        for name, group in zip(names, groups, strict=True)
    ]
    return Found(tuple(videos), group_rule, "the column split" if given else DRAWN)


def _list(folder: Path) -> Path:
    return folder if folder.suffix == ".csv" and not folder.is_dir() else folder / LIST_NAME


def _rows(file: Path) -> dict[str, dict[str, str]]:
    """The cells of each file by column; identical lines count once."""
    lines = read_csv(file, ",".join(_KNOWN))
    where, header = next(lines, (f"{file.name} line 1", []))
    missing = [name for name in _REQUIRED if name not in header]
    unknown = [name for name in header if name not in _KNOWN]
    if missing or unknown or len(set(header)) < len(header):
        raise DataError(f"{where}: expected the columns file,label[,group][,split], got {','.join(header)}.")
    rows: dict[str, dict[str, str]] = {}
    for where, cells in lines:
        if len(cells) != len(header):
            raise DataError(f"{where}: {len(cells)} columns, expected {len(header)} ({','.join(header)}).")
        row = dict(zip(header, cells, strict=True))
        empty = [name for name, cell in row.items() if not cell]
        if empty:
            raise DataError(f"{where}: the column '{empty[0]}' is empty.")
        name = row["file"]
        if "split" in row:
            row["split"] = split_named(row["split"], where)
        if rows.setdefault(name, row) != row:
            differing = next(column for column in header if rows[name][column] != row[column])
            raise DataError(
                f"{where}: {name} is listed twice, with {differing} '{rows[name][differing]}' and '{row[differing]}'."
            )
        if not holder(file.parent / name).exists():
            raise DataError(f"{where}: there is no file {name} in {file.parent}.")
    return rows
