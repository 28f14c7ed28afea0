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
        # relative to the manifest's folder if the file is below it, else absolute or an address such as s3://
        ("path", pa.string()),
        ("label", pa.string()),
        ("group", pa.string()),
        ("split", pa.string()),  # train or test; null if skipped
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
        """The usable rows of `train` or `test`."""
        if name not in ("train", "test"):
            raise ValueError(f"split must be train or test, got {name!r}.")
        return self.usable.filter(pc.equal(self.usable["split"], name))

    def location(self, path: str) -> Place:
        """The place of the file with a row's `path`."""
        return joined(self.folder, path)


def read_manifest(folder: Place | str) -> Manifest:
    """Read the manifest of a data folder.

    Raises DataError if it is missing, lacks columns, or has a group in both splits; StorageError if the folder's
    storage does not answer.
    """
    folder = place(folder).absolute()
    file = folder / MANIFEST_NAME
    if not file.is_file():
        raise DataError(f"{folder}: no {MANIFEST_NAME} in this folder. Create it with: vgsearch data import {folder}")
    try:
        table = pq.read_table(io.BytesIO(file.read_bytes()))
    except pa.ArrowInvalid as error:
        raise DataError(f"{file}: not a parquet file ({error}). {_recreate(folder)}") from None
    missing = [name for name in SCHEMA.names if name not in table.column_names]
    if missing:
        raise DataError(f"{file}: these columns are missing: {', '.join(missing)}. {_recreate(folder)}")
    metadata = table.schema.metadata
    manifest = Manifest(folder, table.select(SCHEMA.names).cast(SCHEMA).replace_schema_metadata(metadata))
    refuse_leak(manifest.usable.to_pylist())
    return manifest


def _recreate(folder: Place) -> str:
    return f"Make it again with: vgsearch data import {folder}"


def write_manifest(
    folder: Place | str, rows: Iterable[Mapping[str, Any]], classes: Sequence[str] | None = None
) -> Manifest:
    """Write `rows` (mappings with SCHEMA's keys; absent keys become null) as the folder's manifest, atomically.

    `classes`: the data set's own order of its classes, if it has one. Raises DataError if a group is in both splits.
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
    """Raise DataError if a group has clips in both splits."""
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
        raise DataError(
            f"{shown} S3 would be inflated. Fix split.csv so that each group is in one split, or pass --split-by group."
        )


def split_by_group(labels: Sequence[str], groups: Sequence[str], seed: int = 0) -> list[str]:
    """The split of each clip: a quarter of each class's groups for test (at least 1, never all), no group in both.

    A group name means the same group in every class. Randomness: only `seed`. Raises DataError if a class has fewer
    than 2 groups, or if the classes share groups so that no split gives each class clips in both.
    """
    of_class: dict[str, set[str]] = {}
    for label, group in zip(labels, groups, strict=True):
        of_class.setdefault(label, set()).add(group)
    for label, members in sorted(of_class.items()):
        if len(members) < 2:
            raise DataError(
                f"class '{label}' has 1 group ('{min(members)}'), but at least 2 are needed to split it. "
                "Add clips of another group, or pass a --group REGEX that finds more groups in the file names."
            )
    rng = np.random.default_rng(seed)
    order = sorted(set(groups))
    for _ in range(200):  # the greedy choice can reach a dead end; another order of the groups may succeed
        test = _choose_test_groups(of_class, [order[index] for index in rng.permutation(len(order))])
        if test is not None:
            return ["test" if group in test else "train" for group in groups]
    raise DataError(
        "cannot split by group: no choice of test groups gives every class clips in both train and test. "
        "Pass a --group REGEX that finds more groups in the file names."
    )


def _choose_test_groups(of_class: Mapping[str, set[str]], order: Sequence[str]) -> set[str] | None:
    """Choose test groups, starting with the class that has the fewest; every class keeps a group for training.

    None if some class gets no test group.
    """
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
