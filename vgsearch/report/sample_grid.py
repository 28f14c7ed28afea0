"""Samples of the best trials side by side, all of one code: a row for each class, a column for each trial."""

import io
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageSequence
from torch import Tensor

from vgsearch.experiment.ledger import TrialRecord
from vgsearch.experiment.paths import SAMPLES_PER_CLASS, Experiment
from vgsearch.report.blocks import SampleGrid, Text
from vgsearch.space.sweep import Sweep
from videogan.config import ConfigurationError
from videogan.data.cache import clip_cache_folder, is_complete
from videogan.data.clips import open_cache
from videogan.data.manifest import DataError, read_manifest
from videogan.data.preprocessing import preprocessing_named
from videogan.sampling.pictures import GRID_GAP, LEAST_SIDE, grid_frames, write_gif

MOST_ROWS = 10  # classes shown


class NotShown(Exception):
    """The reason why a column cannot be in the grid."""


@dataclass(frozen=True)
class GridColumn:
    """A column of samples of one trial."""

    name: str
    experiment: Experiment
    trial: TrialRecord


def sample_grid(sweep: Sweep, trials: Sequence[GridColumn]) -> list[SampleGrid | Text]:
    """The grid and the reasons for missing columns; the real clips are from the data of `sweep`."""
    classes, columns = class_names(sweep), {}
    notes: list[SampleGrid | Text] = []
    try:
        columns["real"] = real_examples(sweep)
    except NotShown as reason:
        notes.append(Text(f"No real clips: {reason}."))
    missing: dict[str, list[str]] = defaultdict(list)
    for trial in trials:
        path = trial.experiment.trial(trial.trial.trial_id).samples / "grid.gif"
        try:
            columns[trial.name] = first_of_each_row(path)
        except NotShown as reason:
            missing[str(reason)].append(trial.name)
    notes += [Text(f"No samples of {', '.join(names)}: {reason}.") for reason, names in missing.items()]
    if set(columns) <= {"real"}:
        return notes
    n_frames = min(len(clips[0]) for clips in columns.values())
    side = max(clips.shape[2] for clips in columns.values())
    of_classes = all(len(clips) == len(classes) for name, clips in columns.items() if name != "real")
    rows = _spread(len(classes)) if of_classes else [0]
    times = max(1, -(-LEAST_SIDE // side))
    videos = [_fitted(clips[row][:n_frames], side * times) for row in rows for clips in columns.values()]
    encoded = io.BytesIO()
    write_gif(encoded, grid_frames(torch.stack(videos), len(columns)))
    names = [classes[row] for row in rows] if of_classes else ["any class"]
    if len(rows) < len(classes) and of_classes:
        notes.append(Text(f"{len(rows)} of {len(classes)} classes."))
    return [SampleGrid(list(columns), names, side * times + GRID_GAP, encoded.getvalue()), *notes]


def class_names(sweep: Sweep) -> list[str]:
    """The names that the sweep holds; those of its data set for a sweep of an earlier version; else numbers."""
    if sweep.class_names:
        return sweep.class_names
    with suppress(ConfigurationError, DataError):
        manifest = read_manifest(sweep.data)
        if manifest.digest == sweep.manifest_digest:
            return list(manifest.classes)
    return [f"class {number}" for number in range(sweep.n_classes)]


def real_examples(sweep: Sweep) -> Tensor:
    """The first test clip of each class, uint8 (K, T, H, W, 3), from the cache of decoded clips.

    Raises NotShown if the data or the cache are missing or changed since the sweep.
    """
    config = sweep.config_by_default_protocol()
    try:
        manifest = read_manifest(sweep.data)
    except (ConfigurationError, DataError) as error:
        raise NotShown(str(error).rstrip(".")) from error
    if manifest.digest != sweep.manifest_digest:
        raise NotShown(f"{sweep.data} has changed since the sweep")
    folder = clip_cache_folder(manifest, preprocessing_named(config.preprocessing))
    if not is_complete(folder):
        raise NotShown(f"{folder} has no complete cache of decoded clips")
    store = open_cache(folder, manifest, config.data.short_clips, config.data.every_nth, config.data.limits)
    n_frames = config.n_frames
    selection = store.select("test", n_frames)
    first = np.array([int(np.argmax(selection.labels == number)) for number in range(selection.n_classes)])
    starts = selection.centre_starts(n_frames)[first]
    return store.windows(selection, first, starts, n_frames)


def first_of_each_row(path: Path) -> Tensor:
    """The first clip of each row of a trial's grid.gif, which is of code 0, uint8 (rows, T, side, side, 3)."""
    if not path.is_file():
        raise NotShown(f"the trial's {path.parent.name}/ has no {path.name}")
    try:
        with Image.open(path) as image:
            frames = np.stack([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)])
    except OSError as error:
        raise NotShown(f"{path.name} cannot be read ({error})") from error
    height, width = (length + GRID_GAP for length in frames.shape[1:3])
    side = width // SAMPLES_PER_CLASS
    if width % SAMPLES_PER_CLASS or height % side:
        raise NotShown(f"{path.name} is not a grid of {SAMPLES_PER_CLASS} square clips per row")
    rows = [frames[:, top : top + side - GRID_GAP, : side - GRID_GAP] for top in range(0, height, side)]
    return torch.from_numpy(np.stack(rows))


def _spread(n_classes: int) -> list[int]:
    n_shown = min(n_classes, MOST_ROWS)
    return [row * n_classes // n_shown for row in range(n_shown)]


def _fitted(clip: Tensor, side: int) -> Tensor:
    """`clip` enlarged to uint8 (T, side, side, 3) by repeating pixels, without smoothing."""
    at = torch.arange(side) * clip.shape[1] // side
    return clip[:, at][:, :, at]
