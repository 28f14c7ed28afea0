"""Which split each clip belongs to, by group: train, select and test, or train and test where groups are few.

Training sees train, a search is judged on select, and final scores use test, which no search has seen.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from videogan.data.manifest import DataError

BY_NAME = (
    "--group '_(\\d{4})' makes IMG_2024.mp4 group 2024; --group each-file makes every file a group, where no two show the "
    "same person or scene."
)
ATTEMPTS = 200  # orders of the groups that are tried: the greedy choice can reach a dead end


def split_by_group(labels: Sequence[str], groups: Sequence[str], seed: int = 0) -> list[str]:
    """The split of each clip: a quarter of each class's groups for test and a quarter for select, no group in two.

    Each part of a class has at least one group; of 3 groups each split gets one. A half counts up for test and down for
    select. If a class has 2 groups, or the classes share groups so that three parts are impossible, there are two: the
    same test groups, and train. A group name means the same group in every class. Randomness: only `seed`.
    Raises DataError if a class has fewer than 2 groups, or if no split gives each class clips in train and test.
    """
    of_class = _groups_of_classes(labels, groups)
    for label, members in sorted(of_class.items()):
        if len(members) < 2:
            raise DataError(
                f"class '{label}' has 1 group ('{min(members)}'), but at least 2 are needed to split it. "
                f"Add clips of another group, or find more in the file names. {BY_NAME}"
            )
    wanted = {label: max(1, int(len(members) / 4 + 0.5)) for label, members in of_class.items()}
    fewer = {label: max(1, int(np.ceil(len(members) / 4 - 0.5))) for label, members in of_class.items()}
    if not groups:
        return []
    for order in _orders(groups, seed):
        test = _chosen(of_class, order, wanted, leave=2)
        select = test and _chosen(_without(of_class, test), order, fewer, leave=1)
        if test and select:
            return ["test" if group in test else "select" if group in select else "train" for group in groups]
    for order in _orders(groups, seed):
        test = _chosen(of_class, order, wanted, leave=1)
        if test:
            return ["test" if group in test else "train" for group in groups]
    raise DataError(
        "cannot split by group: no choice of test groups gives every class clips in both train and test. "
        f"Find more groups in the file names. {BY_NAME}"
    )


def carve_select(labels: Sequence[str], groups: Sequence[str], splits: Sequence[str], seed: int = 0) -> list[str]:
    """`splits` (train and test, as published) with some training groups moved to select; test stays as it is.

    select gets a quarter of each class's training groups, a half counting up, but at least 1 and at most as many as
    test has. `splits` itself if a class has fewer than 2 training groups, or no choice gives each class clips in both.
    """
    clips = set(zip(labels, groups, splits, strict=True))
    tested = {(label, group) for label, group, split in clips if split == "test"}
    leaking = {group for _, group in tested}  # a group in train and test stays there, to be refused under these names
    of_class: dict[str, set[str]] = {}
    for label, group, split in clips:
        if split == "train" and group not in leaking:
            of_class.setdefault(label, set()).add(group)
    n_test = Counter(label for label, _ in tested)
    wanted = {label: max(1, min(int(len(m) / 4 + 0.5), n_test[label])) for label, m in of_class.items()}
    for order in _orders(set().union(*of_class.values()), seed):
        select = _chosen(of_class, order, wanted, leave=1)
        if select:
            moved = (split == "train" and group in select for group, split in zip(groups, splits, strict=True))
            return ["select" if move else split for move, split in zip(moved, splits, strict=True)]
    return list(splits)


def folds_by_group(labels: Sequence[str], groups: Sequence[str], n_folds: int, seed: int = 0) -> list[int]:
    """The fold of each clip, 0 to n_folds - 1: every group is in one fold, every class in all of them.

    Each group goes to the fold that has the fewest groups of its classes, so that folds are about equal. Randomness:
    only `seed`. Raises DataError if a class has fewer groups than folds, or if no such folds are found.
    """
    of_class = _groups_of_classes(labels, groups)
    for label, members in sorted(of_class.items()):
        if len(members) < n_folds:
            has = f"{len(members)} group{'s' if len(members) != 1 else ''}"
            raise DataError(
                f"{n_folds} folds need {n_folds} groups of each class, but class '{label}' has {has}. Take fewer folds, "
                "add clips of other groups, or pass a --group REGEX that finds more groups in the file names."
            )
    classes_of: dict[str, list[str]] = {}
    for label, members in of_class.items():
        for group in members:
            classes_of.setdefault(group, []).append(label)
    for order in _orders(groups, seed):
        n_of = [Counter[str]() for _ in range(n_folds)]
        fold_of: dict[str, int] = {}
        # Groups of many classes first: the others fill the gaps.
        for group in sorted(order, key=lambda group: -len(classes_of[group])):
            counts = [(sum(n[label] for label in classes_of[group]), sum(n.values()), f) for f, n in enumerate(n_of)]
            fold_of[group] = min(counts)[2]
            n_of[fold_of[group]].update(classes_of[group])
        if all(n[label] for n in n_of for label in of_class):
            return [fold_of[group] for group in groups]
    raise DataError(
        f"the groups cannot be divided into {n_folds} folds that each have every class; take fewer folds, or pass a "
        "--group REGEX that finds more groups in the file names."
    )


def _groups_of_classes(labels: Sequence[str], groups: Sequence[str]) -> dict[str, set[str]]:
    of_class: dict[str, set[str]] = {}
    for label, group in zip(labels, groups, strict=True):
        of_class.setdefault(label, set()).add(group)
    return of_class


def _without(of_class: Mapping[str, set[str]], taken: set[str]) -> dict[str, set[str]]:
    return {label: members - taken for label, members in of_class.items()}


def _orders(groups: Iterable[str], seed: int) -> Iterator[list[str]]:
    """Random orders of the groups; none of no groups."""
    rng, names = np.random.default_rng(seed), sorted(set(groups))
    for _ in range(ATTEMPTS if names else 0):
        yield [names[index] for index in rng.permutation(len(names))]


def _chosen(
    of_class: Mapping[str, set[str]], order: Sequence[str], wanted: Mapping[str, int], leave: int
) -> set[str] | None:
    """The `wanted` number of groups of each class, in `order`, the class with the fewest first; `leave` stay in each.

    A class may get fewer than it wants, or more through groups that it shares. None if one gets none.
    """
    classes_of: dict[str, list[str]] = {}
    for label, members in of_class.items():
        for group in members:
            classes_of.setdefault(group, []).append(label)
    n_left, n_chosen = {label: len(members) for label, members in of_class.items()}, Counter[str]()
    chosen: set[str] = set()
    for label, members in sorted(of_class.items(), key=lambda item: (len(item[1]), item[0])):
        for group in (group for group in order if group in members and group not in chosen):
            if n_chosen[label] >= wanted[label]:
                break
            if all(n_left[other] > leave for other in classes_of[group]):
                chosen.add(group)
                n_chosen.update(classes_of[group])
                for other in classes_of[group]:
                    n_left[other] -= 1
        if not n_chosen[label]:
            return None
    return chosen
