"""The validation part that a classifier's schedule watches: whole groups of the training clips where there are some."""

import torch

from videogan.data.clip_set import ClipSet, Subset


def validation_split(clips: ClipSet, fraction: float, rng: torch.Generator) -> tuple[ClipSet, ClipSet]:
    """Split `clips` into training and validation clips (about `fraction`): whole groups if there are 3 or more.

    With fewer groups, the same fraction of each class is drawn. No class loses its last training clip; raises
    ValueError if that leaves no validation clip.
    """
    if clips.groups is not None and len(set(clips.groups)) >= 3:
        held_out = _whole_groups(clips, clips.groups, fraction, rng)
    else:
        held_out = _share_of_each_class(clips, fraction, rng)
    if not held_out:
        raise ValueError(
            f"validation needs a class with at least 2 training clips, got {len(clips)} clips in total; add clips."
        )
    mask = torch.zeros(len(clips), dtype=torch.bool)
    mask[held_out] = True
    return Subset(clips, (~mask).nonzero().flatten()), Subset(clips, mask.nonzero().flatten())


def _whole_groups(clips: ClipSet, groups: tuple[str, ...], fraction: float, rng: torch.Generator) -> list[int]:
    names = sorted(set(groups))
    n_left = torch.bincount(clips.labels, minlength=clips.n_classes)
    held_out: list[int] = []
    for position in torch.randperm(len(names), generator=rng).tolist():
        members = [i for i, group in enumerate(groups) if group == names[position]]
        n_members = torch.bincount(clips.labels[members], minlength=clips.n_classes)
        if len(held_out) < fraction * len(clips) and not ((n_members > 0) & (n_left == n_members)).any():
            held_out += members
            n_left = n_left - n_members
    return held_out


def _share_of_each_class(clips: ClipSet, fraction: float, rng: torch.Generator) -> list[int]:
    held_out: list[int] = []
    for label in range(clips.n_classes):
        members = (clips.labels == label).nonzero().flatten()
        n_held_out = min(max(1, round(fraction * len(members))), len(members) - 1)
        order = torch.randperm(len(members), generator=rng)
        held_out += members[order[: max(0, n_held_out)]].tolist()
    return held_out
