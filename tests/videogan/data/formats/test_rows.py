"""The splits that an import gives to published lists: test stays as published, select comes from training groups."""

from collections import Counter

import pytest

from videogan.data.formats import layout_of
from videogan.data.formats.contract import ImportOptions
from videogan.data.formats.rows import manifest_rows, split_rule
from videogan.data.formats.weizmann import ACTIONS, FOLDS
from videogan.data.manifest import DataError, write_manifest

CARVED = "; select: a quarter of the training groups"


def imported(folder, **options):
    """The layout's clips and their rows, as if all had been decoded."""
    found = layout_of(folder).find(folder, ImportOptions(**options))
    seen = {video.path: {"sha": str(video.path), "n_frames": 20, "skipped": None} for video in found.videos}
    return found, manifest_rows(folder, found, seen)


def groups_of(rows, split):
    return {row["group"] for row in rows if row["split"] == split}


@pytest.fixture
def ucf(tmp_path):
    """Three classes of 25 groups of two clips, with the published test groups of the three splits."""
    lists, classes = tmp_path / "ucfTrainTestlist", ("Archery", "Biking", "Bowling")
    lists.mkdir()
    (lists / "classInd.txt").write_text("".join(f"{n} {label}\n" for n, label in enumerate(classes, 1)))
    names = [
        (label, g, f"{label}/v_{label}_g{g:02d}_c{c:02d}.avi")
        for label in classes
        for g in range(1, 26)
        for c in (1, 2)
    ]
    for label, _, name in names:
        (tmp_path / label).mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for fold, test in enumerate((range(1, 8), range(8, 15), range(15, 22)), 1):
        for part, chosen in (("train", False), ("test", True)):
            lines = [f"{name}\n" for _, group, name in names if (group in test) == chosen]
            (lists / f"{part}list0{fold}.txt").write_text("".join(lines))
    return tmp_path


@pytest.mark.parametrize(("fold", "first"), [(1, 1), (2, 8), (3, 15)])
def test_ucf101_keeps_its_official_test_list_and_select_is_five_of_its_18_training_groups(ucf, fold, first):
    found, rows = imported(ucf, fold=fold)
    listed = {line.strip() for line in (ucf / "ucfTrainTestlist" / f"testlist0{fold}.txt").open()}
    assert {row["path"].relative_to(ucf).as_posix() for row in rows if row["split"] == "test"} == listed
    assert groups_of(rows, "test") == {f"g{number:02d}" for number in range(first, first + 7)}
    assert Counter(row["split"] for row in rows) == {"train": 13 * 6, "select": 5 * 6, "test": 7 * 6}
    assert [len(groups_of(rows, split)) for split in ("train", "select", "test")] == [13, 5, 7]
    assert split_rule(found, rows) == found.split_rule + CARVED
    assert write_manifest(ucf / "out", rows).lack_of_select is None


def test_ucf101_can_be_drawn_anew(ucf):
    found, rows = imported(ucf, split_by="group")
    assert [len(groups_of(rows, split)) for split in ("train", "select", "test")] == [13, 6, 6]
    assert split_rule(found, rows) == "a quarter of the groups for test, a quarter for select"


@pytest.mark.parametrize("fold", [1, 2, 3])
def test_weizmann_tests_three_persons_and_selects_on_two_others(tmp_path, fold):
    for person in sum(FOLDS, ()):
        for action in ACTIONS:
            (tmp_path / f"{person}_{action}.avi").touch()
    found, rows = imported(tmp_path, fold=fold)
    assert groups_of(rows, "test") == set(FOLDS[fold - 1])
    assert [len(groups_of(rows, split)) for split in ("train", "select", "test")] == [4, 2, 3]
    assert split_rule(found, rows) == found.split_rule + CARVED


def test_jester_tests_on_validation_and_selects_as_many_training_clips(tmp_path):
    labels = ("Swiping Left", "Swiping Right")
    (tmp_path / "jester-v1-labels.csv").write_text("\n".join(labels))
    for part, numbers in (("train", range(40)), ("validation", range(40, 48))):
        (tmp_path / f"jester-v1-{part}.csv").write_text("".join(f"{n};{labels[n % 2]}\n" for n in numbers))
    _, rows = imported(tmp_path)
    counts = Counter((row["label"], row["split"]) for row in rows)
    assert counts == {(label, split): n for label in labels for split, n in (("train", 16), ("select", 4), ("test", 4))}
    assert groups_of(rows, "test") == {str(n) for n in range(40, 48)}


@pytest.mark.parametrize("name", ["select", "val", "validation"])
def test_a_split_file_may_name_select_as_others_do(tmp_path, name):
    (tmp_path / "run").mkdir()
    parts = {"p1": "train", "p2": name, "p3": "test", "p4": "train"}
    for person in parts:
        (tmp_path / "run" / f"{person}_1.mp4").touch()
    (tmp_path / "split.csv").write_text("".join(f"run/{person}_1.mp4,{part}\n" for person, part in parts.items()))
    found, rows = imported(tmp_path)
    assert [row["split"] for row in rows] == ["train", "select", "test", "train"]
    assert split_rule(found, rows) == "split.csv"
    lines = "".join(f"run/{person}_1.mp4,run,{person},{part}\n" for person, part in parts.items())
    (tmp_path / "videos.csv").write_text("file,label,group,split\n" + lines)
    _, rows = imported(tmp_path)
    assert [row["split"] for row in rows] == ["train", "select", "test", "train"]


def test_a_split_file_without_select_gets_one_from_its_training_groups(tmp_path):
    (tmp_path / "run").mkdir()
    for person in range(8):
        (tmp_path / "run" / f"p{person}_1.mp4").touch()
    lines = [f"run/p{person}_1.mp4,{'test' if person < 2 else 'train'}\n" for person in range(8)]
    (tmp_path / "split.csv").write_text("".join(lines))
    found, rows = imported(tmp_path)
    assert groups_of(rows, "test") == {"p0", "p1"}
    assert [len(groups_of(rows, split)) for split in ("train", "select", "test")] == [4, 2, 2]
    assert split_rule(found, rows) == "split.csv" + CARVED


def test_a_split_file_with_one_training_group_stays_as_it_is_and_the_manifest_says_what_it_lacks(tmp_path):
    (tmp_path / "run").mkdir()
    for person in ("a", "b", "c"):
        (tmp_path / "run" / f"{person}_1.mp4").touch()
    (tmp_path / "split.csv").write_text("run/a_1.mp4,train\nrun/b_1.mp4,test\nrun/c_1.mp4,test\n")
    found, rows = imported(tmp_path)
    assert [row["split"] for row in rows] == ["train", "test", "test"]
    assert split_rule(found, rows) == "split.csv"
    assert "class 'run' has 1: add clips of other groups" in (write_manifest(tmp_path, rows).lack_of_select or "")


def test_two_groups_are_drawn_into_two_splits_and_the_rule_says_so(tmp_path):
    (tmp_path / "run").mkdir()
    for person in ("a", "b"):
        (tmp_path / "run" / f"{person}_1.mp4").touch()
    found, rows = imported(tmp_path)
    assert sorted(row["split"] for row in rows) == ["test", "train"]
    assert split_rule(found, rows) == "a quarter of the groups for test"


def test_groups_that_cannot_be_split_are_told_with_what_was_skipped(tmp_path):
    (tmp_path / "run").mkdir()
    for name in ("a", "b"):
        (tmp_path / "run" / f"{name}_1.mp4").touch()
    found = layout_of(tmp_path).find(tmp_path, ImportOptions())
    seen = {video.path: {"sha": "the same", "n_frames": 20, "skipped": None} for video in found.videos}
    expected = r"class 'run' has 1 group \('a'\).*\n1 skipped: same content as run/a_1\.mp4 \(run/b_1\.mp4\)"
    with pytest.raises(DataError, match=expected):
        manifest_rows(tmp_path, found, seen)
