"""The samples of a program: which folders are whole, and their videos as clips that can be judged."""

import logging
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from videogan.config import suggestion
from videogan.data.clip_set import RealClips
from videogan.data.clips import DataConfig
from videogan.data.decode import content_sha, decode
from videogan.data.formats.listing import files_in, looks_like_video, subfolders
from videogan.data.preprocessing import preprocessing_named
from videogan.data.source import UnreadableVideo
from videogan.data.windows import Selection, span, stride_of, window

LOGGER = logging.getLogger(__name__)
MOST_NAMED = 3


class UnusableSamples(ValueError):
    """A folder of samples that cannot be judged; the message names it and says what is wrong."""


def refuse_unknown_classes(folder: Path, classes: Sequence[str]) -> None:
    """Raise UnusableSamples if a folder in a folder of samples is no class of the data set."""
    for each in subfolders(folder):
        if each.name not in classes:
            raise UnusableSamples(
                f"{_named(each)}: '{each.name}' is not a class of the data set{suggestion(each.name, list(classes))}"
            )


@contextmanager
def clips_in(
    folder: Path, classes: Sequence[str], data: DataConfig, preprocessing: str, n_frames: int, fewest: int
) -> Iterator[RealClips]:
    """The videos in `folder`/<class>/ as clips, decoded into a temporary file that is gone after the block.

    A video that does not decode, or is too short, is left out, with a warning in the log. Raises UnusableSamples for
    an unknown class, and for a class with fewer than `fewest` usable videos.
    """
    refuse_unknown_classes(folder, classes)
    named, problems = preprocessing_named(preprocessing), list[str]()
    rows: list[tuple[Path, int, np.ndarray]] = []
    with tempfile.TemporaryFile(prefix="vgsearch-samples-") as file:
        for label, name in enumerate(classes):
            for path in files_in(folder / name, looks_like_video) if (folder / name).is_dir() else ():
                try:
                    frames = decode(path, named, data.limits)
                except UnreadableVideo as error:
                    problems.append(f"{name}/{path.name}: {error.reason}")
                    continue
                needed = span(n_frames, stride_of(len(frames), n_frames, data.every_nth))
                if len(frames) < needed and data.short_clips == "skip":
                    problems.append(f"{name}/{path.name}: {len(frames)} frames decode, {needed} are needed")
                    continue
                place = file.tell()
                file.write(frames.tobytes())
                file.flush()
                rows.append((path, label, np.memmap(file, np.uint8, "r", place, frames.shape)))
        for problem in problems:
            LOGGER.warning("%s: %s. Left out.", _named(folder), problem)
        _refuse_too_few(folder, classes, Counter(label for _, label, _ in rows), fewest, problems)
        yield _clips(rows, len(classes), data, n_frames, named.size)


def _refuse_too_few(
    folder: Path, classes: Sequence[str], n_of_class: Counter[int], fewest: int, problems: Sequence[str]
) -> None:
    short = [f"'{name}' has {n_of_class[label]}" for label, name in enumerate(classes) if n_of_class[label] < fewest]
    if short:
        more = f" and {len(problems) - MOST_NAMED} more" if len(problems) > MOST_NAMED else ""
        left_out = f"; left out: {'; '.join(problems[:MOST_NAMED])}{more}" if problems else ""
        raise UnusableSamples(
            f"{_named(folder)}: each class needs {fewest} usable videos (command.fewest_clips), but "
            f"{', '.join(short)}{left_out}"
        )


def _clips(
    rows: Sequence[tuple[Path, int, np.ndarray]], n_classes: int, data: DataConfig, n_frames: int, size: int
) -> RealClips:
    videos = [frames for _, _, frames in rows]
    selection = Selection(
        paths=tuple(str(path) for path, _, _ in rows),
        shas=tuple(content_sha(path) for path, _, _ in rows),
        labels=np.array([label for _, label, _ in rows], np.int64),
        groups=tuple(str(path) for path, _, _ in rows),
        lengths=np.array([len(frames) for frames in videos], np.int64),
        strides=np.array([stride_of(len(frames), n_frames, data.every_nth) for frames in videos], np.int64),
        n_classes=n_classes,
        skipped=(),
    )
    strides = selection.strides

    def read(selection: Selection, windows: Iterable[tuple[np.ndarray, np.ndarray]], n_frames: int) -> Iterator[Tensor]:
        for numbers, starts in windows:
            shown = zip(numbers, starts, strict=True)
            taken = [window(videos[number], start, n_frames, strides[number]) for number, start in shown]
            yield torch.from_numpy(np.stack(taken))

    return RealClips(selection, n_frames, size, read)


def _named(folder: Path) -> str:
    """The end of a path, from the folder of samples on."""
    parts = folder.parts
    return "/".join(parts[parts.index("samples") :]) if "samples" in parts else str(folder)
