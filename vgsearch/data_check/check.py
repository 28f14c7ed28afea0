"""The contents and the problems of a data set, after every file was decoded."""

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from videogan.data.formats.contract import Found
from videogan.data.formats.rows import manifest_rows, mirrored_rows, shown_name, skip_report, split_rule
from videogan.data.manifest import (
    MANIFEST_NAME,
    SPLITS,
    DataError,
    Manifest,
    lack_of_select,
    leaking_groups,
    read_table,
)

WINDOW = 16  # the papers' clip length T; import and check count the shorter videos
NOT_DRAWN = "not drawn"  # the split of clips that the import could not split
IMBALANCED = 3.0  # ratio of the largest to the smallest class that causes a remark


@dataclass(frozen=True)
class CheckedVideo:
    """A file with its labels and its decoded properties; the last seven keep their defaults if it did not decode."""

    path: Path
    name: str
    label: str
    group: str
    split: str | None  # None if it is skipped
    skipped: str | None
    warning: str | None
    n_frames: int = 0
    fps: float = 0.0
    width: int = 0
    height: int = 0
    codec: str | None = None
    sha: str | None = None
    copy_of: str | None = None  # the name of the file whose mirrored copy it is


@dataclass(frozen=True)
class DataCheck:
    """The files of a data set, in order, and the rules by which their groups and splits were chosen."""

    folder: Path
    videos: tuple[CheckedVideo, ...]
    group_rule: str
    split_rule: str
    changed: tuple[str, ...] = ()  # files whose content differs from the manifest's
    refusal: str | None = None  # why the import could not split the data set

    @cached_property
    def usable(self) -> list[CheckedVideo]:
        return [video for video in self.videos if video.skipped is None]

    @cached_property
    def classes(self) -> dict[str, list[CheckedVideo]]:
        """The usable videos of each class; classes without any are included."""
        return {
            label: [video for video in self.usable if video.label == label]
            for label in sorted({video.label for video in self.videos})
        }

    @cached_property
    def skipped(self) -> dict[str, list[str]]:
        """Reason -> names, the most frequent first."""
        return skip_report((video.name, video.skipped) for video in self.videos if video.skipped is not None)

    @cached_property
    def duplicates(self) -> list[list[str]]:
        """Names of files with the same content, including those skipped for that reason."""
        return [[video.name for video in same] for same in self._same_content(self.videos)]

    @cached_property
    def leaks(self) -> list[str]:
        """Groups, contents under two names, and mirrored copies that are in more than one split."""
        leaking = leaking_groups({"group": video.group, "split": video.split} for video in self.usable)
        groups = [f"group '{group}' is in {splits}" for group, splits in leaking.items()]
        contents = []
        for same in self._same_content(self.usable):
            names = [split for split in SPLITS if split in {video.split for video in same}]
            if len(names) > 1:
                files = " and ".join(video.name for video in same)
                contents.append(f"{files} have the same content and are in {' and '.join(names)}")
        copies = [
            f"{copy.name} ({copy.split}) is a mirrored copy of {original.name} ({original.split})"
            for copy, original in self.mirrored
            if copy.split != original.split
        ]
        return groups + contents + copies

    @cached_property
    def mirrored(self) -> list[tuple[CheckedVideo, CheckedVideo]]:
        """The usable mirrored copies, each with its original."""
        named = {video.name: video for video in self.usable}
        return [(video, named[video.copy_of]) for video in self.usable if video.copy_of in named]

    @cached_property
    def blockers(self) -> list[str]:
        """Reasons why scores on this data set would be meaningless."""
        unusable = [] if self.usable else ["no video can be used"]
        unusable += [self.refusal] if self.refusal else []
        changed = [f"{name} has changed since the manifest was made; run vgsearch data import" for name in self.changed]
        return unusable + self.leaks + changed

    @cached_property
    def remarks(self) -> list[str]:
        """Properties that may be unwanted but do not prevent training."""
        counts = {label: len(videos) for label, videos in self.classes.items()}
        remarks = [f"class '{label}' has no usable clip" for label, n in counts.items() if not n]
        smallest = min((n for n in counts.values() if n), default=0)
        if smallest and max(counts.values()) >= IMBALANCED * smallest:
            remarks.append(
                f"the largest class has {max(counts.values()) / smallest:.1f} times the clips of the smallest"
            )
        n_short = sum(video.n_frames < WINDOW for video in self.usable)
        if n_short:
            remarks.append(f"{n_short} clips have fewer than {WINDOW} frames; data.short_clips says how to use them")
        remarks += self._split_remarks()
        if self.duplicates:
            remarks.append(f"{len(self.duplicates)} contents have more than one file name")
        return remarks

    def _split_remarks(self) -> list[str]:
        remarks = [
            f"class '{label}' has no clip in {split}"
            for label, videos in self.classes.items()
            for split in SPLITS
            if videos and any(v.split == split for v in self.usable) and all(v.split != split for v in videos)
        ]
        twice = [
            copy
            for copy, original in self.mirrored
            if (copy.label, copy.split) == (original.label, original.split) and copy.split != "train"
        ]
        if twice:
            remarks.append(
                f"{len(twice)} clips of select and test are mirrored copies of others and count twice: intervals are "
                "too narrow; an import leaves them out"
            )
        rows = [{"label": video.label, "group": video.group, "split": video.split} for video in self.usable]
        lack = None if self.refusal or not rows else lack_of_select(self.folder, rows)
        return remarks + ([lack] if lack else [])

    def spread(self, of: Iterable[CheckedVideo]) -> dict[str, float] | None:
        """Shortest, median and longest length in frames; None without videos."""
        lengths = [video.n_frames for video in of]
        if not lengths:
            return None
        return {"min": min(lengths), "median": statistics.median(lengths), "max": max(lengths)}

    def counts(self) -> dict[str, dict[str, int]]:
        """The number of usable clips of each size, frame rate and codec, the most frequent first."""
        return {
            "size": _counted(f"{video.width}x{video.height}" for video in self.usable),
            "fps": _counted(f"{video.fps:.4g}" for video in self.usable),
            "codec": _counted(video.codec or "unknown" for video in self.usable),
        }

    def summary(self) -> dict[str, Any]:
        """The whole check as JSON values."""
        return {
            "folder": str(self.folder),
            "n_files": len(self.videos),
            "n_clips": len(self.usable),
            "group_rule": self.group_rule,
            "split_rule": self.split_rule,
            "classes": {
                label: {
                    "n_clips": len(videos),
                    "n_groups": len({video.group for video in videos}),
                    "splits": _counted(video.split or NOT_DRAWN for video in videos),
                    "n_frames": self.spread(videos),
                }
                for label, videos in self.classes.items()
            },
            "groups": dict(sorted(Counter(video.group for video in self.usable).items())),
            "n_frames": self.spread(self.usable),
            **self.counts(),
            "skipped": self.skipped,
            "warnings": {video.name: video.warning for video in self.videos if video.warning},
            "duplicates": self.duplicates,
            "leaks": self.leaks,
            "blockers": self.blockers,
            "remarks": self.remarks,
        }

    @staticmethod
    def _same_content(videos: Iterable[CheckedVideo]) -> list[list[CheckedVideo]]:
        by_content: dict[str, list[CheckedVideo]] = {}
        for video in videos:
            if video.sha:
                by_content.setdefault(video.sha, []).append(video)
        return [same for same in by_content.values() if len(same) > 1]


def check_found(folder: Path, found: Found, inspected: Mapping[Path, Mapping[str, Any]]) -> DataCheck:
    """The check of the videos that a layout found; `inspected` has the decoded properties of those it did not skip."""
    try:
        rows, refusal = manifest_rows(folder, found, inspected), None
    except DataError as error:  # no split can be drawn; report everything else
        unsplit = tuple(replace(video, split=video.split or NOT_DRAWN) for video in found.videos)
        rows, refusal = manifest_rows(folder, replace(found, videos=unsplit), inspected), str(error)
    warnings = {path: seen["warning"] for path, seen in inspected.items()}
    videos = [_checked(folder, row, warnings.get(row["path"])) for row in rows]
    return DataCheck(folder, tuple(videos), found.group_rule, split_rule(found, rows), refusal=refusal)


def manifest_as_it_is(folder: Path) -> Manifest:
    """The folder's manifest, even with a leak, which `read_manifest` refuses. Raises DataError if it is unreadable."""
    return Manifest(folder, read_table(folder / MANIFEST_NAME))


def check_manifest(manifest: Manifest, inspected: Mapping[Path, Mapping[str, Any]]) -> DataCheck:
    """The check of an imported data set: labels, groups and splits from its manifest, compared with its files."""
    folder, videos, changed = manifest.folder, [], []
    assert isinstance(folder, Path), "data check reads local folders only"
    for row in manifest.table.to_pylist():
        path = folder / row["path"]
        seen = inspected[path]
        video = _checked(folder, row | seen | {"path": path}, seen["warning"])
        if row["skipped"] is not None:
            video = replace(video, skipped=video.skipped or row["skipped"])
        elif seen["sha"] != row["sha"]:  # None if it no longer decodes
            changed.append(video.name)
        videos.append(video)
    usable = [video for video in videos if video.skipped is None]
    copies = mirrored_rows([{**inspected[video.path], "path": video.path} for video in usable])
    copy_of = {usable[copy].name: usable[original].name for copy, original in copies.items()}
    videos = [replace(video, copy_of=copy_of.get(video.name)) for video in videos]
    return DataCheck(folder, tuple(videos), "the manifest's", "the manifest's", tuple(changed))


def _checked(folder: Path, row: Mapping[str, Any], warning: str | None) -> CheckedVideo:
    known = {name: row[name] for name in ("n_frames", "fps", "width", "height", "codec", "sha") if name in row}
    name = shown_name(folder, row["path"])
    if row.get("copy_of") is not None:
        known["copy_of"] = shown_name(folder, row["copy_of"])
    return CheckedVideo(row["path"], name, row["label"], row["group"], row["split"], row["skipped"], warning, **known)


def _counted(values: Iterable[str]) -> dict[str, int]:
    return dict(Counter(values).most_common())
