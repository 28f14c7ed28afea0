"""The pictures of `vgsearch sample`: grids, interpolations, subspaces drawn anew, frames between frames."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

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
N_PAIRS = 4  # of codes to go between, where no classes make the rows


@dataclass(frozen=True)
class Asked:
    """What a picture shall show."""

    classes: Mapping[int, str]
    """Names of the chosen classes by their labels, in the order of the rows; empty where the generator knows none."""
    n_codes: int
    n_steps: int
    seed: int
    n_frames: int
    truncation: float | None = None

    def codes(self, generator: Generator, n: int) -> Tensor:
        return codes(generator, n, self.seed, n_frames=self.n_frames, truncation=self.truncation)

    def labels(self, n: int) -> Tensor:
        """Labels (n,) of the chosen classes in turn; 0, which is not looked at, where there are none."""
        return torch.tensor([*self.classes] or [0]).repeat(-(-n // max(1, len(self.classes))))[:n]

    @property
    def columns(self) -> list[str]:
        """A name for each code, with its class where they take turns."""
        names = [self.classes.get(label, "") for label in self.labels(self.n_codes).tolist()]
        return [f"code {i}\n{name}".rstrip() for i, name in enumerate(names)]

    @property
    def steps(self) -> list[str]:
        return [f"s = {s:.2f}".rstrip("0").rstrip(".") for s in torch.linspace(0, 1, self.n_steps).tolist()]


@dataclass(frozen=True)
class Picture:
    """Frames uint8 (T, H, W, 3), a still of them (H, W, 3), and in one line what they are."""

    frames: Tensor
    told: str
    fps: float = FPS
    still_shows: Sequence[int] | None = None
    changes: Mapping[str, Change] | None = None
    """What drawing a subspace anew changes, where that is shown,"""
    n_measured: int = 0
    """and over how many codes."""

    @property
    def still(self) -> Tensor:
        return contact_sheet(self.frames, self.still_shows)


def grid(sampler: Generator, asked: Asked, on_progress: OnProgress) -> Picture:
    """Rows are classes, columns codes."""
    z, labels = asked.codes(sampler, asked.n_codes), asked.labels(max(1, len(asked.classes)))
    rows = []
    for i, label in enumerate(labels.split(1)):
        rows.append(in_classes(sampler, z, label, asked.n_frames))
        on_progress(i + 1, len(labels))
    names = list(asked.classes.values()) or ["samples"]
    frames = labelled_grid(torch.cat(rows), names, [f"code {i}" for i in range(asked.n_codes)])
    return Picture(frames, f"{_counted(len(names), 'class', 'classes')} x {_counted(asked.n_codes, 'code', 'codes')}")


def between_two_codes(sampler: Generator, asked: Asked, on_progress: OnProgress) -> Picture:
    """Rows are classes, or pairs of codes; columns go from one code to another within the row's class."""
    n_rows = len(asked.classes) or N_PAIRS
    first, second = asked.codes(sampler, 2 if asked.classes else 2 * N_PAIRS).unflatten(0, (-1, 2)).unbind(1)
    rows = []
    for i, label in enumerate(asked.labels(n_rows).split(1)):
        pair = (first[:1], second[:1]) if asked.classes else (first[i : i + 1], second[i : i + 1])
        rows.append(between_codes(sampler, pair, label, asked.n_steps, asked.n_frames))
        on_progress(i + 1, n_rows)
    names = list(asked.classes.values()) or [f"code {2 * i}\nto {2 * i + 1}" for i in range(n_rows)]
    told = f"{asked.n_steps} steps from code to code in {_counted(n_rows, 'row', 'rows')}; the class stays"
    return Picture(labelled_grid(torch.cat(rows), names, asked.steps), told)


def between_two_classes(sampler: Generator, asked: Asked, on_progress: OnProgress) -> Picture:
    """Rows are pairs of neighbouring classes, columns go from the one to the other; one code makes all."""
    z, labels = asked.codes(sampler, 1), torch.tensor([*asked.classes])
    rows = []
    for i, pair in enumerate(pairwise(labels.split(1))):
        rows.append(between_classes(sampler, z, pair, asked.n_steps, asked.n_frames))
        on_progress(i + 1, len(labels) - 1)
    names = [f"{one}\nto {other}" for one, other in pairwise(asked.classes.values())]
    frames = labelled_grid(torch.cat(rows), names, asked.steps)
    told = f"{asked.n_steps} steps from class to class in {_counted(len(rows), 'row', 'rows')}; the code stays"
    return Picture(frames, told)


def subspaces(sampler: Generator, asked: Asked, on_progress: OnProgress) -> Picture:
    """Rows are the codes as drawn and with each subspace drawn anew; what that changes is measured over `N_CODES`."""
    labels = asked.labels(max(N_CODES, asked.n_codes))
    found = resample_subspaces(
        sampler, labels, asked.seed, asked.n_frames, asked.truncation, asked.n_codes, on_progress
    )
    names = ["as drawn", *(f"{name} anew" for name in found.changes)]
    told = f"{asked.n_codes} codes and what drawing a subspace anew makes of them; measured over {len(labels)} codes"
    return Picture(
        labelled_grid(found.clips, names, asked.columns), told, changes=found.changes, n_measured=len(labels)
    )


def between_frames(sampler: Generator, asked: Asked, on_progress: OnProgress) -> Picture:
    """Each code's clip, its frames held, above the same with new frames between any two."""
    n_between = asked.n_steps
    z, labels = asked.codes(sampler, asked.n_codes), asked.labels(asked.n_codes)
    clips = []
    for i, (code, label) in enumerate(zip(z.split(1), labels.split(1), strict=True)):
        clips.append(frames_between(sampler, code, label, n_between))
        on_progress(i + 1, asked.n_codes)
    smooth = torch.cat(clips)
    place = torch.arange(smooth.shape[1])
    held = smooth[:, place - place % (n_between + 1)]
    frames = labelled_grid(torch.stack([held, smooth]), ["as made", f"{n_between} between"], asked.columns)
    middle = (smooth.shape[1] // 2) // (n_between + 1) * (n_between + 1)
    told = f"{asked.n_codes} codes; {n_between} new frames between any two: {len(frames)} in place of {asked.n_frames}"
    return Picture(frames, told, min(FPS_MAX, FPS * (n_between + 1)), still_shows=range(middle, middle + n_between + 2))


PICTURES: Mapping[str, Callable[[Generator, Asked, OnProgress], Picture]] = {
    "grid": grid,
    "codes": between_two_codes,
    "classes": between_two_classes,
    "subspaces": subspaces,
    "between": between_frames,
}


def refuse_what_is_not_offered(generator: Generator, show: str, asked: Asked) -> None:
    """Raises ConfigurationError for what this family does not do, before anything is computed."""
    if show == "classes":
        refuse_unconditional(generator)
    if show == "subspaces":
        subspaces_of(generator)
    if show == "between":
        refuse_without_frames_between(generator)
    asked.codes(generator, 1)  # a length, a truncation


def knows_classes(generator: Generator) -> bool:
    return generator.config.is_conditional


def changes_to_json(changes: Mapping[str, Change]) -> dict[str, dict]:
    return {name: change.to_json() for name, change in changes.items()}


def share_of_all(change: Change, of: str, changes: Mapping[str, Change]) -> float:
    """A change over what drawing the whole code anew changes; NaN where that changes nothing."""
    whole = getattr(changes[ALL], of).mean
    return getattr(change, of).mean / whole if whole else float("nan")


def _counted(n: int, one: str, many: str) -> str:
    return f"{n} {one if n == 1 else many}"
