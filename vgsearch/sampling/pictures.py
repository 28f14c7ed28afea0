"""The pictures of `vgsearch sample`: grids, interpolations, resampled subspaces, frames between frames."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from videogan.families.contract import Generator
from videogan.sampling.pictures import FPS, FPS_MAX, contact_sheet, labelled_grid
from videogan.sampling.sampling import (
    between_classes,
    between_codes,
    codes,
    frames_between,
    in_classes,
    refuse_unconditional,
    refuse_without_frames_between,
)
from videogan.sampling.subspaces import ALL, N_CODES, Change, resample_subspaces, subspaces_of

OnProgress = Callable[[int, int], None]
N_PAIRS = 4  # pairs of codes to interpolate between, one per row, if there are no classes


@dataclass(frozen=True)
class PictureSettings:
    """The settings of a picture, defaults filled in."""

    classes: Mapping[int, str]
    """Names of the chosen classes by label, in the order of the rows; empty for a generator without labels."""
    n_codes: int
    n_steps: int
    seed: int
    n_frames: int
    truncation: float | None = None

    def codes(self, generator: Generator, n: int) -> Tensor:
        return codes(generator, n, self.seed, n_frames=self.n_frames, truncation=self.truncation)

    def labels(self, n: int) -> Tensor:
        """Labels (n,) of the chosen classes in turn; 0, which the generator ignores, if there are none."""
        return torch.tensor([*self.classes] or [0]).repeat(-(-n // max(1, len(self.classes))))[:n]

    @property
    def columns(self) -> list[str]:
        """A name for each code, with its class if there are classes."""
        names = [self.classes.get(label, "") for label in self.labels(self.n_codes).tolist()]
        return [f"code {i}\n{name}".rstrip() for i, name in enumerate(names)]

    @property
    def steps(self) -> list[str]:
        return [f"s = {s:.2f}".rstrip("0").rstrip(".") for s in torch.linspace(0, 1, self.n_steps).tolist()]


@dataclass(frozen=True)
class Picture:
    """Frames uint8 (T, H, W, 3), a still of them (H, W, 3), and a description in one line."""

    frames: Tensor
    description: str
    fps: float = FPS
    still_shows: Sequence[int] | None = None
    changes: Mapping[str, Change] | None = None
    """The effect of resampling each subspace, in a picture of subspaces,"""
    n_measured: int = 0
    """measured over this many codes."""

    @property
    def still(self) -> Tensor:
        return contact_sheet(self.frames, self.still_shows)


def grid(sampler: Generator, settings: PictureSettings, on_progress: OnProgress) -> Picture:
    """Rows are classes, columns are codes."""
    z, labels = settings.codes(sampler, settings.n_codes), settings.labels(max(1, len(settings.classes)))
    rows = []
    for i, label in enumerate(labels.split(1)):
        rows.append(in_classes(sampler, z, label, settings.n_frames))
        on_progress(i + 1, len(labels))
    names = list(settings.classes.values()) or ["samples"]
    frames = labelled_grid(torch.cat(rows), names, [f"code {i}" for i in range(settings.n_codes)])
    return Picture(
        frames, f"{_counted(len(names), 'class', 'classes')} x {_counted(settings.n_codes, 'code', 'codes')}"
    )


def between_two_codes(sampler: Generator, settings: PictureSettings, on_progress: OnProgress) -> Picture:
    """Rows are classes, or pairs of codes; columns interpolate from one code to another within the class of the row."""
    n_rows = len(settings.classes) or N_PAIRS
    first, second = settings.codes(sampler, 2 if settings.classes else 2 * N_PAIRS).unflatten(0, (-1, 2)).unbind(1)
    rows = []
    for i, label in enumerate(settings.labels(n_rows).split(1)):
        pair = (first[:1], second[:1]) if settings.classes else (first[i : i + 1], second[i : i + 1])
        rows.append(between_codes(sampler, pair, label, settings.n_steps, settings.n_frames))
        on_progress(i + 1, n_rows)
    names = list(settings.classes.values()) or [f"code {2 * i}\nto {2 * i + 1}" for i in range(n_rows)]
    description = f"{settings.n_steps} steps from code to code in {_counted(n_rows, 'row', 'rows')}; the class stays"
    return Picture(labelled_grid(torch.cat(rows), names, settings.steps), description)


def between_two_classes(sampler: Generator, settings: PictureSettings, on_progress: OnProgress) -> Picture:
    """Rows are pairs of neighbouring classes, columns interpolate between them; all clips have the same code."""
    z, labels = settings.codes(sampler, 1), torch.tensor([*settings.classes])
    rows = []
    for i, pair in enumerate(pairwise(labels.split(1))):
        rows.append(between_classes(sampler, z, pair, settings.n_steps, settings.n_frames))
        on_progress(i + 1, len(labels) - 1)
    names = [f"{one}\nto {other}" for one, other in pairwise(settings.classes.values())]
    frames = labelled_grid(torch.cat(rows), names, settings.steps)
    description = (
        f"{settings.n_steps} steps from class to class in {_counted(len(rows), 'row', 'rows')}; the code stays"
    )
    return Picture(frames, description)


def subspaces(sampler: Generator, settings: PictureSettings, on_progress: OnProgress) -> Picture:
    """Rows are the codes as drawn and with each subspace resampled, the effect of which is measured over `N_CODES`."""
    labels = settings.labels(max(N_CODES, settings.n_codes))
    found = resample_subspaces(
        sampler, labels, settings.seed, settings.n_frames, settings.truncation, settings.n_codes, on_progress
    )
    names = ["as drawn", *(f"{name} resampled" for name in found.changes)]
    description = f"{settings.n_codes} codes, then each subspace resampled; measured over {len(labels)} codes"
    frames = labelled_grid(found.clips, names, settings.columns)
    return Picture(frames, description, changes=found.changes, n_measured=len(labels))


def between_frames(sampler: Generator, settings: PictureSettings, on_progress: OnProgress) -> Picture:
    """The clip of each code with its frames repeated, above the same clip with new frames between any two."""
    n_between = settings.n_steps
    z, labels = settings.codes(sampler, settings.n_codes), settings.labels(settings.n_codes)
    clips = []
    for i, (code, label) in enumerate(zip(z.split(1), labels.split(1), strict=True)):
        clips.append(frames_between(sampler, code, label, n_between))
        on_progress(i + 1, settings.n_codes)
    smooth = torch.cat(clips)
    place = torch.arange(smooth.shape[1])
    held = smooth[:, place - place % (n_between + 1)]
    frames = labelled_grid(torch.stack([held, smooth]), ["original", f"{n_between} between"], settings.columns)
    middle = (smooth.shape[1] // 2) // (n_between + 1) * (n_between + 1)
    description = f"{settings.n_codes} codes; {n_between} new frames between any two: {len(frames)} instead of {settings.n_frames}"
    return Picture(
        frames, description, min(FPS_MAX, FPS * (n_between + 1)), still_shows=range(middle, middle + n_between + 2)
    )


PICTURES: Mapping[str, Callable[[Generator, PictureSettings, OnProgress], Picture]] = {
    "grid": grid,
    "codes": between_two_codes,
    "classes": between_two_classes,
    "subspaces": subspaces,
    "between": between_frames,
}


def refuse_unsupported(generator: Generator, show: str, settings: PictureSettings) -> None:
    """Raise ConfigurationError if this family does not support the picture; computes nothing."""
    if show == "classes":
        refuse_unconditional(generator)
    if show == "subspaces":
        subspaces_of(generator)
    if show == "between":
        refuse_without_frames_between(generator)
    settings.codes(generator, 1)  # checks the length and the truncation


def knows_classes(generator: Generator) -> bool:
    return generator.config.is_conditional


def changes_to_json(changes: Mapping[str, Change]) -> dict[str, dict[str, Any]]:
    return {name: change.to_json() for name, change in changes.items()}


def share_of_all(change: Change, of: str, changes: Mapping[str, Change]) -> float:
    """A change as a share of the change by resampling the whole code; NaN if that changes nothing."""
    whole = getattr(changes[ALL], of).mean
    return getattr(change, of).mean / whole if whole else float("nan")


def _counted(n: int, one: str, many: str) -> str:
    return f"{n} {one if n == 1 else many}"
