from collections import Counter

import numpy as np
import pytest

from videogan.data.manifest import DataError
from videogan.data.splits import carve_select, split_by_group


def n_groups_of(groups, splits):
    """The number of groups of each split; a group in two splits would count twice."""
    return Counter(split for _, split in set(zip(groups, splits, strict=True)))


def crossed(n_groups, classes="abc"):
    """Labels and groups of a data set in which each of `n_groups` groups has a clip of each class."""
    return [label for label in classes for _ in range(n_groups)], [f"p{n}" for n in range(n_groups)] * len(classes)


def listed(members):
    """Labels and groups of a data set with one clip of each class and group; a letter is a group."""
    return zip(*[(label, group) for label, names in members.items() for group in names], strict=True)


def two_ways(n):
    """The number of test groups of n in a split into train and test alone."""
    return max(1, int(n / 4 + 0.5))


@pytest.mark.parametrize(
    ("n_groups", "expected"),
    [(3, (1, 1, 1)), (4, (2, 1, 1)), (5, (3, 1, 1)), (6, (3, 1, 2)), (7, (3, 2, 2)), (9, (5, 2, 2)), (16, (8, 4, 4)),
     (20, (10, 5, 5)), (25, (13, 6, 6)), (48, (24, 12, 12))],
)  # fmt: skip
def test_a_quarter_of_the_groups_goes_to_test_and_a_quarter_to_select(n_groups, expected):
    labels, groups = crossed(n_groups)
    splits = split_by_group(labels, groups)
    counts = n_groups_of(groups, splits)
    assert (counts["train"], counts["select"], counts["test"]) == expected
    assert sum(counts.values()) == n_groups, "no group is in two splits"
    assert counts["test"] == two_ways(n_groups)
    assert splits == split_by_group(labels, groups), "deterministic"
    assert any(split_by_group(labels, groups, seed) != splits for seed in range(1, 9)), "the seed matters"


def test_two_groups_give_two_splits():
    labels, groups = crossed(2)
    assert n_groups_of(groups, split_by_group(labels, groups)) == {"train": 1, "test": 1}


def test_a_class_of_two_groups_leaves_the_whole_data_set_two_splits():
    labels, groups = crossed(12)
    splits = split_by_group([*labels, "few", "few"], [*groups, "p0", "p1"])
    assert set(splits) == {"train", "test"} == set(splits[-2:])


def test_every_class_has_every_split_and_no_group_is_in_two_if_classes_share_some_groups():
    members = {"a": "uvwx", "b": "wxyz", "c": "uzk", "d": "pqr"}
    labels, groups = listed(members)
    for seed in range(20):
        splits = split_by_group(labels, groups, seed)
        assert {(label, split) for label, split in zip(labels, splits, strict=True)} == {
            (x, s) for x in "abcd" for s in ("train", "select", "test")
        }
        assert len(set(zip(groups, splits, strict=True))) == len(set(groups))


def test_dead_ends_are_tried_again_in_another_order(monkeypatch):
    labels, groups = listed({"a": "xyz", "b": "xyw", "c": "zvu", "d": "xvw"})
    for seed in range(50):
        found = set(zip(labels, split_by_group(labels, groups, seed), strict=True))
        assert found == {(label, split) for label in "abcd" for split in ("train", "select", "test")}
    monkeypatch.setattr("videogan.data.splits.ATTEMPTS", 1)
    fallen_back = [seed for seed in range(50) if "select" not in split_by_group(labels, groups, seed)]
    assert fallen_back, "some first order is a dead end"


def test_classes_that_share_groups_too_closely_for_three_parts_get_two():
    # Of four groups two are in the same split, and they are two of the three groups of some class.
    labels, groups = listed({"a": "xyz", "b": "xyw", "c": "xzw", "d": "yzw"})
    found = set(zip(labels, split_by_group(labels, groups), strict=True))
    assert found == {(label, split) for label in "abcd" for split in ("train", "test")}


def test_a_class_with_one_group_is_refused_with_a_remedy():
    with pytest.raises(DataError, match=r"class 'b' has 1 group \('p1'\), but at least 2 are needed.*--group"):
        split_by_group(["a", "a", "b"], ["p1", "p2", "p1"])


def test_without_clips_there_is_nothing_to_split():
    assert split_by_group([], []) == [] == carve_select([], [], [])


@pytest.mark.parametrize(
    ("n_train", "n_test", "n_select"), [(18, 7, 5), (6, 3, 2), (2, 2, 1), (100, 10, 10), (5, 9, 1), (1, 3, 0)]
)
def test_select_is_a_quarter_of_the_training_groups_at_most_as_many_as_test(n_train, n_test, n_select):
    labels, groups = crossed(n_train + n_test)
    splits = ["train" if int(group[1:]) < n_train else "test" for group in groups]
    carved = carve_select(labels, groups, splits)
    assert n_groups_of(groups, carved) == Counter(train=n_train - n_select, select=n_select, test=n_test)
    before, after = np.array(splits), np.array(carved)
    assert ((before == "test") == (after == "test")).all(), "test stays as published"
    assert (before[after == "select"] == "train").all()
    assert carved == carve_select(labels, groups, splits), "deterministic"


def test_thousands_of_groups_are_split_in_a_moment():
    groups = [str(n) for n in range(40_000)]
    splits = split_by_group(["a", "b"] * 20_000, groups)
    assert Counter(splits) == {"train": 20_000, "select": 10_000, "test": 10_000}
