import hashlib

import pytest

from videogan.data.manifest import DataError, read_manifest, write_manifest


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


def test_a_manifest_remembers_mirrored_copies_and_their_originals(tmp_path):
    rows = [row(tmp_path / "a.mp4", "a", "train"), row("/elsewhere/b.mp4", "b", "test")]
    copies = [
        row(tmp_path / "a_flip.mp4", "a", "train", copy_of=tmp_path / "a.mp4"),
        row(tmp_path / "c.mp4", "b", None, skipped="mirrored copy of b", copy_of="/elsewhere/b.mp4"),
    ]
    write_manifest(tmp_path, [*rows, *copies])
    read = read_manifest(tmp_path)
    assert read.mirrored == {"a_flip.mp4": "a.mp4", "c.mp4": "/elsewhere/b.mp4"}
    assert write_manifest(tmp_path, rows).mirrored == {}


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


def test_a_manifest_of_two_splits_is_read_and_says_what_it_lacks(tmp_path):
    rows = [row(f"{label}{n}", f"g{n}", "test" if n == 3 else "train", label) for label in "ab" for n in range(4)]
    write_manifest(tmp_path, rows)
    read = read_manifest(tmp_path)
    assert (read.has_select, read.search_split, len(read.split("select"))) == (False, "test", 0)
    assert read.lack_of_select == (
        f"{tmp_path}: no select split, so a search is judged on the test clips and scores on test are biased by "
        f"selection. Import it again (vgsearch data import {tmp_path}), or take --folds."
    )
    three = write_manifest(tmp_path, [one | {"split": "select"} if one["group"] == "g2" else one for one in rows])
    assert (three.has_select, three.search_split, three.lack_of_select) == (True, "select", None)
    assert three.split("select")["path"].to_pylist() == ["a2", "b2"]
    with pytest.raises(ValueError, match="split must be train, select or test, got 'val'"):
        three.split("val")


def test_a_manifest_whose_groups_are_too_few_is_not_told_to_be_imported_again(tmp_path):
    rows = [row("a0", "g0", "train", "a"), row("a1", "g1", "test", "a")]
    lack = write_manifest(tmp_path, rows).lack_of_select or ""
    assert "It takes training groups, but class 'a' has 1: add clips of other groups, or take --folds." in lack


def test_the_digest_of_a_manifest_of_two_splits_is_what_it_was(tmp_path):
    rows = [row("a.mp4", "a", "train", sha="1"), row("b.mp4", "b", "test", sha="2")]
    identity = '[["1", "run", "a", "train", 20], ["2", "run", "b", "test", 20]]'
    assert write_manifest(tmp_path, rows).digest == hashlib.sha256(identity.encode()).hexdigest()


@pytest.mark.parametrize(("first", "second"), [("train", "select"), ("train", "test"), ("select", "test")])
def test_no_group_may_be_in_any_two_splits(tmp_path, first, second):
    rows = [row("a1", "ira", first), row("a2", "ira", second)]
    with pytest.raises(DataError, match=f"group 'ira' is in {first} and {second}: 2 clips"):
        write_manifest(tmp_path, rows)
    with pytest.raises(DataError, match="group 'ira' is in train, select and test: 3 clips"):
        write_manifest(tmp_path, [row(split, "ira", split) for split in ("train", "select", "test")])
