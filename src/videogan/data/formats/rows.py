"""The manifest's rows, from the clips that a layout found and the results of decoding them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

from videogan.data.formats.contract import DRAWN, Found, FoundVideo
from videogan.data.manifest import DataError
from videogan.data.mirrored import REASON, TWICE, originals_of, reason_of_copy
from videogan.data.splits import carve_select, split_by_group


def shown_name(folder: Path, path: Path) -> str:
    """A clip's path in messages: relative to the data folder if the clip is below it."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.as_posix()


def manifest_rows(
    folder: Path, found: Found, inspected: Mapping[Path, Mapping[str, Any]], seed: int = 0
) -> list[dict[str, Any]]:
    """The manifest's rows: each video with its label, group, inspection and split (by group unless given).

    `inspected` holds the columns of every video that the layout did not skip, and its `thumbnails` in hex. A second
    file with the same content is skipped: under another group or label it could be in two splits. A mirrored copy has
    its original's group, and is used for training only: it is skipped if its original is in select or test. `copy_of`
    is the path of its original; a mirror image of another class has none and stays. If no split is given for select,
    some training groups are moved there. Raises DataError if the groups cannot be split; it names what is skipped.
    """
    rows = [_row(video, inspected) for video in found.videos]
    first_with: dict[str, str] = {}
    for row in rows:
        name = shown_name(folder, row["path"])
        if row["skipped"] is None and first_with.setdefault(row["sha"], name) != name:
            row["skipped"] = f"same content as {first_with[row['sha']]}"
        if row["skipped"] is not None:
            row["split"] = None
    usable = [row for row in rows if row["skipped"] is None]
    originals = [(usable[copy], usable[original]) for copy, original in mirrored_rows(usable).items()]
    for copy, original in originals:
        if copy["label"] == original["label"]:
            copy["copy_of"] = original["path"]
        if copy["split"] == original["split"]:
            copy["group"] = original["group"]
    with _telling_skips(folder, rows):
        _set_splits(usable, originals, seed)
    for copy, original in originals:
        if _counts_twice(copy, original):
            copy |= {"group": original["group"], "skipped": reason_of_copy(shown_name(folder, original["path"]))}
    for row in rows:
        row["split"] = None if row["skipped"] else row["split"]
    return rows


def mirrored_rows(rows: Sequence[Mapping[str, Any]]) -> dict[int, int]:
    """Index of each mirrored copy among `rows` with path, n_frames and `thumbnails` -> index of its original."""
    paths: list[PurePath] = [row["path"] for row in rows]
    packed = [bytes.fromhex(row.get("thumbnails") or "") for row in rows]
    return originals_of(paths, packed, [row["n_frames"] for row in rows])


def split_rule(found: Found, rows: Iterable[Mapping[str, Any]]) -> str:
    """How the splits of `rows` came about: the layout's rule, and what `manifest_rows` did about select."""
    has_select = any(row["split"] == "select" for row in rows)
    if found.split_rule == DRAWN:
        return DRAWN if has_select else "a quarter of the groups for test"
    carved = has_select and not any(video.split == "select" for video in found.videos)
    return found.split_rule + ("; select: a quarter of the training groups" if carved else "")


def skip_report(skipped: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Names by the reason to skip them, the most frequent first, from (name, reason) pairs.

    Mirrored copies share a reason: each is named as "copy of original".
    """
    names: dict[str, list[str]] = {}
    for name, reason in skipped:
        if reason.startswith(REASON):
            name = f"{name} of {reason.removeprefix(REASON).removesuffix(TWICE)}"
            reason = "mirrored copies in select or test would count twice"
        names.setdefault(reason, []).append(name)
    return dict(sorted(names.items(), key=lambda item: -len(item[1])))


@contextmanager
def _telling_skips(folder: Path, rows: Iterable[Mapping[str, Any]]) -> Iterator[None]:
    """Add a line for each reason to skip rows to a DataError: the clips left out may be those that a class lacks."""
    try:
        yield
    except DataError as error:
        skips = skip_report((shown_name(folder, row["path"]), row["skipped"]) for row in rows if row["skipped"])
        lines = (f"\n{len(names)} skipped: {reason} ({', '.join(names[:3])})" for reason, names in skips.items())
        raise DataError(str(error) + "".join(lines)) from None


def _row(video: FoundVideo, inspected: Mapping[Path, Mapping[str, Any]]) -> dict[str, Any]:
    row = {"path": video.path.absolute(), "label": video.label, "group": video.group, "split": video.split}
    if video.skipped is not None:
        return row | {"skipped": video.skipped}
    return row | {name: value for name, value in inspected[video.path].items() if name != "warning"}


def _set_splits(usable: Sequence[dict[str, Any]], originals: Sequence[tuple[dict, dict]], seed: int) -> None:
    """Draw the splits that are not given, move training groups to select if it has no clips, let copies follow."""
    rows = [row for row in usable if "copy_of" not in row]
    drawn = [row for row in rows if row["split"] is None]
    labels, groups = _columns(drawn, "label", "group")
    for row, split in zip(drawn, split_by_group(labels, groups, seed), strict=True):
        row["split"] = split
    if not drawn and not any(row["split"] == "select" for row in usable):
        labels, groups, splits = _columns(rows, "label", "group", "split")
        for row, split in zip(rows, carve_select(labels, groups, splits, seed), strict=True):
            row["split"] = split
    for copy, original in originals:
        if "copy_of" in copy and copy["split"] is None:
            copy["split"] = original["split"]


def _counts_twice(copy: Mapping[str, Any], original: Mapping[str, Any]) -> bool:
    """Whether a copy must be left out: in select or test it would count twice, and across splits it would leak.

    A mirror image of another class stays beside its original: in its class it counts once.
    """
    if copy["split"] != original["split"]:
        return True
    return "copy_of" in copy and copy["split"] in ("select", "test")


def _columns(rows: Sequence[Mapping[str, Any]], *names: str) -> list[list[Any]]:
    return [[row[name] for row in rows] for name in names]
