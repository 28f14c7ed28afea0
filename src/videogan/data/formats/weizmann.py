"""Weizmann: <person>_<action>.avi in one folder or one per action; whole persons are held out for test."""

import re
from pathlib import Path

from videogan.data.formats.contract import DRAWN, Found, FoundVideo, ImportOptions, chosen_fold
from videogan.data.formats.listing import files_in, looks_like_video, subfolders
from videogan.data.manifest import DataError

NAME = "weizmann"
TAKES = frozenset({"fold", "split_by"})
FOLDS = (("daria", "denis", "eli"), ("ido", "ira", "lena"), ("lyova", "moshe", "shahar"))  # the persons for test
ACTIONS = ("bend", "jack", "jump", "pjump", "run", "side", "skip", "walk", "wave1", "wave2")
# lena ran, skipped and walked twice: run1 and run2 are one action, wave1 and wave2 (one hand, both hands) are two.
_NAME = re.compile(rf"({'|'.join(sum(FOLDS, ()))})_(?:({'|'.join(ACTIONS)})|(run|skip|walk)[12])")


def recognises(folder: Path) -> bool:
    """Whether every video is an AVI file named after one of the nine persons and ten actions."""
    videos = _videos(folder)
    return bool(videos) and all(path.suffix.lower() == ".avi" and _NAME.fullmatch(path.stem) for path in videos)


def find(folder: Path, options: ImportOptions) -> Found:
    """The videos, grouped by person; fold 1, 2 or 3 holds out three of the nine persons for test. Raises DataError."""
    fold, videos = chosen_fold(options), []
    by_group = options.split_by == "group"
    for path in _videos(folder):
        match = _NAME.fullmatch(path.stem)
        if match is None:
            reason = "its name is not <person>_<action>"
            videos.append(FoundVideo(path, path.parent.name, "", skipped=reason))
            continue
        split = "test" if match[1] in FOLDS[fold - 1] else "train"
        videos.append(FoundVideo(path, match[2] or match[3], match[1], None if by_group else split))
    if all(video.skipped for video in videos):
        raise DataError(
            f"{folder}: no video is named <person>_<action>; expected names such as {folder}/daria_bend.avi."
        )
    rule = DRAWN if by_group else f"fold {fold}: {', '.join(FOLDS[fold - 1])} are left out of training"
    return Found(tuple(videos), "the person in the file name", rule)


def _videos(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for place in (folder, *subfolders(folder)) for path in files_in(place, looks_like_video)]
