"""The manifest: one row per video file of a data set, with its label, group and split; the data set's identity."""

import hashlib
import itertools
import json
import os
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from videogan.config import ConfigurationError
from videogan.storage.atomic import write_atomically
from videogan.storage.places import Place, joined, place

MANIFEST_NAME = "manifest.parquet"
SPLITS = ("train", "select", "test")  # trained on; searches are judged on it; final scores use it
ScoredSplit = Literal["select", "test"]
"""The real clips that a score is measured on: `select` while a search chooses, `test` for results."""
_OF_USED = ("label", "group", "split", "n_frames", "width", "height", "sha")
"""Columns that are null only for a clip that is skipped."""
LEAST_TRAINING_GROUPS = 2  # of a class, so that one can be moved to select
SCHEMA = pa.schema(
    [
        # relative to the manifest's folder if the file is below it, else absolute or an address such as s3://
        ("path", pa.string()),
        ("label", pa.string()),
        ("group", pa.string()),
        ("split", pa.string()),  # one of SPLITS; null if skipped
        ("n_frames", pa.int32()),  # undamaged frames that decode; headers can be wrong
        ("fps", pa.float64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("codec", pa.string()),
        ("sha", pa.string()),
        ("skipped", pa.string()),  # why the file is not used; null if it is used
    ]
)


class DataError(ConfigurationError):
    """A problem with a data set: where it is, what is wrong, what to do."""


@dataclass(frozen=True)
class Manifest:
    """A data set's table (columns of SCHEMA, ordered by path) and the folder its relative paths start from."""

    folder: Place
    table: pa.Table

    @cached_property
    def usable(self) -> pa.Table:
        """The rows without a reason to skip them."""
        return self.table.filter(pc.is_null(self.table["skipped"]))

    @cached_property
    def classes(self) -> list[str]:
        """Labels in the data set's own order if it has one, else alphabetical; a label's index is its class number."""
        labels = set(self.usable["label"].to_pylist())
        official = json.loads((self.table.schema.metadata or {}).get(b"classes", "[]"))
        return [label for label in official if label in labels] + sorted(labels - set(official))

    @cached_property
    def digest(self) -> str:
        """sha256 (hex) of the usable rows in order: content, label, group, split, length; paths do not matter."""
        columns = [self.usable[name].to_pylist() for name in ("sha", "label", "group", "split", "n_frames")]
        identity: list = list(zip(*columns, strict=True))
        if self.classes != sorted(self.classes):
            identity = [identity, self.classes]  # other class numbers make another classifier
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()

    def split(self, name: str) -> pa.Table:
        """The usable rows of `train`, `select` or `test`; a manifest of two splits has none in `select`."""
        if name not in SPLITS:
            raise ValueError(f"split must be train, select or test, got {name!r}.")
        return self.usable.filter(pc.equal(self.usable["split"], name))

    @cached_property
    def has_select(self) -> bool:
        """Whether clips are held back for judging searches."""
        return len(self.split("select")) > 0

    @property
    def search_split(self) -> ScoredSplit:
        """The split that a search is judged on: `select`, or `test` in a manifest of two splits."""
        return "select" if self.has_select else "test"

    @property
    def fold(self) -> str:
        """Such as "1 of 3" if this is a fold of a data set, else empty."""
        return (self.table.schema.metadata or {}).get(b"fold", b"").decode()

    @property
    def layout(self) -> str:
        """The name of the layout that an import read, such as "ucf101"; empty if none did."""
        return (self.table.schema.metadata or {}).get(b"layout", b"").decode()

    @property
    def n_colours(self) -> Literal[1, 3]:
        """1 if every clip lies in an array of grey pictures (moving MNIST), else 3."""
        return 1 if set(self.usable["codec"].to_pylist()) == {"npy"} else 3

    @property
    def lack_of_select(self) -> str | None:
        """What a manifest of two splits lacks, and the remedy, in a sentence; None if it has `select` or is a fold."""
        if self.fold:
            return None
        return lack_of_select(self.folder, self.usable.select(["label", "group", "split"]).to_pylist())

    @cached_property
    def mirrored(self) -> dict[str, str]:
        """Path of each mirrored copy, used or left out -> path of its original, as the import found them."""
        return json.loads((self.table.schema.metadata or {}).get(b"mirrored", "{}"))

    def location(self, path: str) -> Place:
        """The place of the file with a row's `path`."""
        return joined(self.folder, path)


def read_manifest(folder: Place | str) -> Manifest:
    """Read the manifest of a data folder.

    Raises DataError if it is missing or damaged, as `read_table` does, or has a group in two splits; StorageError if
    the folder's storage does not answer.
    """
    folder = place(folder).absolute()
    file = folder / MANIFEST_NAME
    if isinstance(folder, Path) and not folder.is_dir():
        raise DataError(
            f"{folder}: there is no such folder; give one that vgsearch data import or vgsearch data make wrote."
        )
    if not file.is_file():
        raise DataError(f"{folder}: no {MANIFEST_NAME} in this folder. Create it with: {_import(folder)}")
    manifest = Manifest(folder, read_table(file))
    refuse_leak(manifest.usable.to_pylist())
    return manifest


def read_table(file: Place) -> pa.Table:
    """The table in a manifest file, whatever its splits are.

    Raises DataError if the file is damaged or a row cannot be used: a null, an unknown split, a path twice.
    """
    again = f"Make it again with: {_import(file.parent)}"
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror or error}.") from None
    try:
        # Without Arrow's threads: if one still holds these bytes when the process exits, the process aborts.
        stored = pq.ParquetFile(pa.BufferReader(content), pre_buffer=False).read(use_threads=False)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{file}: not a parquet file ({_in_one_line(error)}). {again}") from None
    if missing := [name for name in SCHEMA.names if name not in stored.column_names]:
        raise DataError(f"{file}: these columns are missing: {', '.join(missing)}. {again}")
    try:
        table = stored.select(SCHEMA.names).cast(SCHEMA).replace_schema_metadata(stored.schema.metadata)
        table.validate(full=True)
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise DataError(f"{file}: not the columns of a manifest ({_in_one_line(error)}). {again}") from None
    if problem := next(itertools.chain(_problems_of_rows(table.to_pylist()), _problems_of_metadata(table)), None):
        raise DataError(f"{file}: {problem} {again}")
    return table


def _problems_of_rows(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    paths: set[str] = set()
    for number, row in enumerate(rows, 1):
        path, is_used = row["path"], row["skipped"] is None
        if not path or "\0" in path or path in paths:
            yield f"row {number}: path must be that of one file, and of no other row, got {path!r}."
        paths.add(path)
        if lacking := [name for name in _OF_USED if is_used and row[name] is None]:
            yield f"row {number} ({path}): a clip that is used must have {', '.join(lacking)}."
        elif is_used and row["split"] not in SPLITS:
            yield f"row {number} ({path}): split must be train, select or test, got {row['split']!r}."
        elif is_used and min(row["n_frames"], row["width"], row["height"]) < 1:
            yield f"row {number} ({path}): n_frames, width and height must be at least 1."


def _problems_of_metadata(table: pa.Table) -> Iterator[str]:
    """What is wrong with the entries that `write_manifest` writes beside the columns."""
    metadata = table.schema.metadata or {}
    for name, default in ((b"classes", []), (b"mirrored", {}), (b"fold", ""), (b"layout", "")):
        if name not in metadata:
            continue
        try:
            text = metadata[name].decode()
            written = text if default == "" else json.loads(text)
        except (ValueError, RecursionError) as error:
            yield f"its entry {name.decode()} is damaged ({_in_one_line(error)})."
            continue
        texts = list(written.values()) if isinstance(written, dict) else written
        if type(written) is not type(default) or not all(isinstance(text, str) for text in texts):
            yield f"its entry {name.decode()} must be a {type(default).__name__} of texts."


def _in_one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _import(folder: Place) -> str:
    return f"vgsearch data import {shlex.quote(str(folder))}"


def write_manifest(
    folder: Place | str,
    rows: Iterable[Mapping[str, Any]],
    classes: Sequence[str] | None = None,
    fold: str = "",
    layout: str = "",
) -> Manifest:
    """Write `rows` (mappings with SCHEMA's keys; absent keys become null) as the folder's manifest, atomically.

    A row's `copy_of`, if it has one, is the path of the original whose mirrored copy it is.
    `classes`: the data set's own order of its classes, if it has one; `fold`: "1 of 3" for a fold of a data set;
    `layout`: what the import read. Raises DataError if a group is in two splits.
    """
    folder = place(folder).absolute()
    placed = [{**row, "path": _relative(folder, row["path"])} for row in rows]
    refuse_leak([row for row in placed if row.get("skipped") is None])
    table = pa.Table.from_pylist(sorted(placed, key=lambda row: row["path"]), schema=SCHEMA)
    metadata = {} if classes is None else {"classes": json.dumps(classes)}
    metadata |= {name: text for name, text in {"fold": fold, "layout": layout}.items() if text}
    mirrored = {row["path"]: _relative(folder, row["copy_of"]) for row in placed if row.get("copy_of") is not None}
    metadata |= {"mirrored": json.dumps(mirrored)} if mirrored else {}
    if metadata:
        table = table.replace_schema_metadata(metadata)
    write_atomically(folder / MANIFEST_NAME, lambda stream: pq.write_table(table, stream))
    return Manifest(folder, table)


def lack_of_select(folder: Place, rows: Sequence[Mapping[str, Any]]) -> str | None:
    """What the usable `rows` (label, group, split) lack if none is in select, with the remedy; None if one is."""
    if any(row["split"] == "select" for row in rows):
        return None
    remedy = f"Import it again ({_import(folder)}), or take --folds."
    n_training = dict.fromkeys((row["label"] for row in rows), 0)
    n_training |= Counter(
        label for label, _ in {(row["label"], row["group"]) for row in rows if row["split"] == "train"}
    )
    fewest, n = min(n_training.items(), key=lambda item: (item[1], item[0]), default=("", LEAST_TRAINING_GROUPS))
    if n < LEAST_TRAINING_GROUPS:
        remedy = f"It takes training groups, but class '{fewest}' has {n}: add clips of other groups, or take --folds."
    return (
        f"{folder}: no select split, so a search is judged on the test clips and scores on test are biased by "
        f"selection. {remedy}"
    )


def refuse_leak(rows: Sequence[Mapping[str, Any]]) -> None:
    """Raise DataError if a group has clips in two splits."""
    n_clips = Counter(row["group"] for row in rows)
    leaks = [f"group '{group}' is in {names}: {n_clips[group]} clips." for group, names in leaking_groups(rows).items()]
    if leaks:
        shown = "\n".join(leaks[:5]) + (f"\nand {len(leaks) - 5} more groups." if len(leaks) > 5 else "")
        raise DataError(
            f"{shown} S3 would be inflated. Fix split.csv so that each group is in one split, or pass --split-by group; "
            "if these are no groups, pass a --group REGEX that finds them in the file names."
        )


def leaking_groups(rows: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The groups with clips in more than one split, by name, each with its splits: "train, select and test"."""
    splits: dict[str, set[str]] = {}
    for row in rows:
        splits.setdefault(row["group"], set()).add(row["split"])
    found = {group: [name for name in SPLITS if name in splits[group]] for group in sorted(splits)}
    return {group: " and ".join([", ".join(names[:-1]), names[-1]]) for group, names in found.items() if len(names) > 1}


def _relative(folder: Place, path: Place | str) -> str:
    whole = joined(folder, path)
    text = os.path.abspath(whole) if isinstance(whole, Path) else str(whole)
    return text.removeprefix(f"{folder}/")
