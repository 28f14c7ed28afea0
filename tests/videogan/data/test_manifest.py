import pytest

from videogan.data.manifest import DataError, read_manifest, split_by_group, write_manifest


def row(path, group, split, label="run", **columns):
    return {"path": path, "label": label, "group": group, "split": split, "n_frames": 20, "sha": str(path)} | columns


def test_a_manifest_reads_back_as_it_was_written(tmp_path):
    rows = [
        row(tmp_path / "run/b.mp4", "b", "test"),
        row("/elsewhere/a.mp4", "a", "train"),
        row(tmp_path / "c", "c", None, skipped="empty file"),
    ]
    written, read = write_manifest(tmp_path, rows), read_manifest(tmp_path)
    assert read.table.equals(written.table)
    assert read.table["path"].to_pylist() == ["/elsewhere/a.mp4", "c", "run/b.mp4"]
    assert len(read.usable) == 2
    assert read.split("train")["group"].to_pylist() == ["a"]
    assert not list(tmp_path.glob(".manifest*")), "the staging file is gone"


def test_the_digest_depends_on_content_and_split_but_not_on_the_folder(tmp_path):
    rows = [row("a.mp4", "a", "train", sha="1"), row("b.mp4", "b", "test", sha="2")]
    here, there = (write_manifest(tmp_path / name, rows) for name in ("here", "there"))
    assert here.digest == there.digest
    assert (
        write_manifest(tmp_path / "swapped", [rows[0] | {"split": "test"}, rows[1] | {"split": "train"}]).digest
        != here.digest
    )


def test_a_group_in_both_splits_is_refused_with_its_clips_counted(tmp_path):
    rows = [row("a1", "ira", "train"), row("a2", "ira", "test"), row("b", "ido", "train")]
    with pytest.raises(
        DataError, match=r"group 'ira' is in train and test: 2 clips\. S3 would be inflated\. Fix split\.csv"
    ):
        write_manifest(tmp_path, rows)
    assert not list(tmp_path.iterdir())


def test_a_folder_without_manifest_names_the_command_that_makes_one(tmp_path):
    with pytest.raises(DataError, match="vgsearch data import"):
        read_manifest(tmp_path)


@pytest.mark.parametrize(("n_groups", "n_test"), [(2, 1), (3, 1), (7, 2), (8, 2), (25, 6)])
def test_a_quarter_of_the_groups_goes_to_test(n_groups, n_test):
    groups = [f"p{n}" for n in range(n_groups)] * 3
    labels = [label for label in "abc" for _ in range(n_groups)]
    splits = split_by_group(labels, groups)
    assert len({group for group, split in zip(groups, splits, strict=True) if split == "test"}) == n_test
    assert splits == split_by_group(labels, groups), "deterministic"
    assert any(split_by_group(labels, groups, seed) != splits for seed in range(1, 9)), "the seed matters"


def test_every_class_has_both_splits_and_no_group_is_in_two_if_classes_share_some_groups():
    members = {"a": "uvwx", "b": "wxyz", "c": "uz", "d": "pq"}
    labels, groups = zip(*[(label, group) for label, names in members.items() for group in names], strict=True)
    splits = split_by_group(labels, groups)
    assert {(label, split) for label, split in zip(labels, splits, strict=True)} == {
        (x, s) for x in "abcd" for s in ("train", "test")
    }
    assert len(set(zip(groups, splits, strict=True))) == len(set(groups))


def test_a_class_with_one_group_is_refused_with_a_remedy():
    with pytest.raises(DataError, match=r"class 'b' has 1 group \('p1'\), but at least 2 are needed.*--group"):
        split_by_group(["a", "a", "b"], ["p1", "p2", "p1"])
