"""The manifest: one row per video file of a data set, with its label, group and split; the data set's identity."""

import hashlib
import io
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from videogan.config import ConfigurationError
from videogan.storage.atomic import write_atomically
from videogan.storage.places import Place, joined, place

MANIFEST_NAME = "manifest.parquet"
SCHEMA = pa.schema(
    [
        # relative to the manifest's folder where the file lies beneath it, else absolute or s3://
        ("path", pa.string()),
        ("label", pa.string()),
        ("group", pa.string()),
        ("split", pa.string()),  # train or test; null where skipped
        ("n_frames", pa.int32()),  # clean frames that decode, not what the header says
        ("fps", pa.float64()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("codec", pa.string()),
        ("sha", pa.string()),
        ("skipped", pa.string()),  # the reason why the file is not used; null where it is
    ]
)


class DataError(ConfigurationError):
    """What is wrong with a data set, where, and what to do."""


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
        """Labels in the data set's own order of classes, else by alphabet; a label's index is its class number."""
        labels = set(self.usable["label"].to_pylist())
        official = json.loads((self.table.schema.metadata or {}).get(b"classes", "[]"))
        return [label for label in official if label in labels] + sorted(labels - set(official))

    @cached_property
    def digest(self) -> str:
        """sha256 (hex) of what is used, in order: content, label, group, split, length; not where the files lie."""
        columns = [self.usable[name].to_pylist() for name in ("sha", "label", "group", "split", "n_frames")]
        identity: list = list(zip(*columns, strict=True))
        if self.classes != sorted(self.classes):
            identity = [identity, self.classes]  # other class numbers: a classifier fitted on them is another
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()

    def split(self, name: str) -> pa.Table:
        """The usable rows of `train` or `test`."""
        if name not in ("train", "test"):
            raise ValueError(f"split must be train or test, got {name!r}.")
        return self.usable.filter(pc.equal(self.usable["split"], name))

    def location(self, path: str) -> Place:
        """Where the file of a row's `path` lies."""
        return joined(self.folder, path)


def read_manifest(folder: Place | str) -> Manifest:
    """The manifest of a data folder. Raises DataError where it is missing, has other columns, or leaks a group.

    Also StorageError, where the folder is on a storage that does not answer.
    """
    folder = place(folder).absolute()
    file = folder / MANIFEST_NAME
    if not file.is_file():
        raise DataError(f"{folder}: no {MANIFEST_NAME}. Make one with: vgsearch data import {folder}")
    try:
        table = pq.read_table(io.BytesIO(file.read_bytes()))
    except pa.ArrowInvalid as error:
        raise DataError(f"{file} is not a parquet file ({error}). Make it again with: vgsearch data import") from None
    missing = [name for name in SCHEMA.names if name not in table.column_names]
    if missing:
        raise DataError(f"{file}: columns {', '.join(missing)} are missing. Make it again with: vgsearch data import")
    metadata = table.schema.metadata
    manifest = Manifest(folder, table.select(SCHEMA.names).cast(SCHEMA).replace_schema_metadata(metadata))
    refuse_leak(manifest.usable.to_pylist())
    return manifest


def write_manifest(
    folder: Place | str, rows: Iterable[Mapping[str, Any]], classes: Sequence[str] | None = None
) -> Manifest:
    """Writes `rows` (mappings with SCHEMA's keys, absent ones null) as the folder's manifest, whole or not at all.

    `classes`: the data set's own order of its classes, where it has one.
    """
    folder = place(folder).absolute()
    placed = [{**row, "path": _relative(folder, row["path"])} for row in rows]
    refuse_leak([row for row in placed if row.get("skipped") is None])
    table = pa.Table.from_pylist(sorted(placed, key=lambda row: row["path"]), schema=SCHEMA)
    if classes is not None:
        table = table.replace_schema_metadata({"classes": json.dumps(classes)})
    write_atomically(folder / MANIFEST_NAME, lambda stream: pq.write_table(table, stream))
    return Manifest(folder, table)


def refuse_leak(rows: Sequence[Mapping[str, Any]]) -> None:
    """Raises DataError where a group has clips in both splits."""
    splits: dict[str, set[str]] = {}
    for row in rows:
        splits.setdefault(row["group"], set()).add(row["split"])
    n_clips = Counter(row["group"] for row in rows)
    leaks = [
        f"group '{group}' is in train and test: {n_clips[group]} clips."
        for group, names in sorted(splits.items())
        if {"train", "test"} <= names
    ]
    if leaks:
        shown = "\n".join(leaks[:5]) + (f"\nand {len(leaks) - 5} more groups." if len(leaks) > 5 else "")
        raise DataError(f"{shown} S3 would be inflated. Fix split.csv or pass --split-by group.")


def split_by_group(labels: Sequence[str], groups: Sequence[str], seed: int = 0) -> list[str]:
    """The split of each clip: a quarter of each class's groups for test (at least 1, never all), no group in both.

    Groups are global over classes. Randomness: `seed` alone. Raises DataError where a class has fewer than 2 groups.
    """
    of_class: dict[str, set[str]] = {}
    for label, group in zip(labels, groups, strict=True):
        of_class.setdefault(label, set()).add(group)
    for label, members in sorted(of_class.items()):
        if len(members) < 2:
            raise DataError(
                f"class '{label}' has 1 group ('{min(members)}'), at least 2 are needed so that train and test share "
                "none. Pass a --group REGEX that tells more groups apart."
            )
    rng = np.random.default_rng(seed)
    order = sorted(set(groups))
    for _ in range(200):  # a greedy choice can corner itself; another order of the groups finds the way out
        test = _choose_test_groups(of_class, [order[index] for index in rng.permutation(len(order))])
        if test is not None:
            return ["test" if group in test else "train" for group in groups]
    raise DataError(
        "no choice of test groups leaves each class clips in both train and test: classes share too few groups. "
        "Pass a --group REGEX that tells more groups apart."
    )


def _choose_test_groups(of_class: Mapping[str, set[str]], order: Sequence[str]) -> set[str] | None:
    """Classes with the fewest groups first; a group is taken where it leaves every class one to train on."""
    test: set[str] = set()
    for _, members in sorted(of_class.items(), key=lambda item: (len(item[1]), item[0])):
        wanted = max(1, int(len(members) / 4 + 0.5))
        for group in (group for group in order if group in members and group not in test):
            if len(members & test) >= wanted:
                break
            if not any(others <= test | {group} for others in of_class.values()):
                test.add(group)
        if not members & test:
            return None
    return test


def _relative(folder: Place, path: Place | str) -> str:
    whole = joined(folder, path)
    text = os.path.abspath(whole) if isinstance(whole, Path) else str(whole)
    return text.removeprefix(f"{folder}/")
