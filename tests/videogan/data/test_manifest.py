import hashlib
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.builders import manifest_row
from videogan.data.manifest import MANIFEST_NAME, SCHEMA, DataError, read_manifest, write_manifest


def test_a_manifest_reads_back_as_it_was_written(tmp_path):
    rows = [
        manifest_row(tmp_path / "run/b.mp4", "b", "test"),
        manifest_row("/elsewhere/a.mp4", "a", "train"),
        manifest_row(tmp_path / "c", "c", None, skipped="empty file"),
    ]
    written, read = write_manifest(tmp_path, rows), read_manifest(tmp_path)
    assert read.table.equals(written.table)
    assert read.table["path"].to_pylist() == ["/elsewhere/a.mp4", "c", "run/b.mp4"]
    assert len(read.usable) == 2
    assert read.split("train")["group"].to_pylist() == ["a"]
    assert not list(tmp_path.glob(".manifest*")), "the staging file is gone"


def test_a_manifest_remembers_mirrored_copies_and_their_originals(tmp_path):
    rows = [manifest_row(tmp_path / "a.mp4", "a", "train"), manifest_row("/elsewhere/b.mp4", "b", "test")]
    copies = [
        manifest_row(tmp_path / "a_flip.mp4", "a", "train", copy_of=tmp_path / "a.mp4"),
        manifest_row(tmp_path / "c.mp4", "b", None, skipped="mirrored copy of b", copy_of="/elsewhere/b.mp4"),
    ]
    write_manifest(tmp_path, [*rows, *copies])
    read = read_manifest(tmp_path)
    assert read.mirrored == {"a_flip.mp4": "a.mp4", "c.mp4": "/elsewhere/b.mp4"}
    assert write_manifest(tmp_path, rows).mirrored == {}


def test_the_digest_depends_on_content_and_split_but_not_on_the_folder(tmp_path):
    rows = [manifest_row("a.mp4", "a", "train", sha="1"), manifest_row("b.mp4", "b", "test", sha="2")]
    here, there = (write_manifest(tmp_path / name, rows) for name in ("here", "there"))
    assert here.digest == there.digest
    assert (
        write_manifest(tmp_path / "swapped", [rows[0] | {"split": "test"}, rows[1] | {"split": "train"}]).digest
        != here.digest
    )


def test_a_group_in_both_splits_is_refused_with_its_clips_counted(tmp_path):
    rows = [manifest_row("a1", "ira", "train"), manifest_row("a2", "ira", "test"), manifest_row("b", "ido", "train")]
    with pytest.raises(
        DataError, match=r"group 'ira' is in train and test: 2 clips\. S3 would be inflated\. Fix split\.csv"
    ):
        write_manifest(tmp_path, rows)
    assert not list(tmp_path.iterdir())


def test_a_folder_without_manifest_names_the_command_that_makes_one(tmp_path):
    with pytest.raises(DataError, match="vgsearch data import"):
        read_manifest(tmp_path)


def test_a_manifest_of_two_splits_is_read_and_says_what_it_lacks(tmp_path):
    rows = [
        manifest_row(f"{label}{n}", f"g{n}", "test" if n == 3 else "train", label) for label in "ab" for n in range(4)
    ]
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
    rows = [manifest_row("a0", "g0", "train", "a"), manifest_row("a1", "g1", "test", "a")]
    lack = write_manifest(tmp_path, rows).lack_of_select or ""
    assert "It takes training groups, but class 'a' has 1: add clips of other groups, or take --folds." in lack


def test_the_digest_of_a_manifest_of_two_splits_is_what_it_was(tmp_path):
    rows = [manifest_row("a.mp4", "a", "train", sha="1"), manifest_row("b.mp4", "b", "test", sha="2")]
    identity = '[["1", "run", "a", "train", 20], ["2", "run", "b", "test", 20]]'
    assert write_manifest(tmp_path, rows).digest == hashlib.sha256(identity.encode()).hexdigest()


@pytest.mark.parametrize(("first", "second"), [("train", "select"), ("train", "test"), ("select", "test")])
def test_no_group_may_be_in_any_two_splits(tmp_path, first, second):
    rows = [manifest_row("a1", "ira", first), manifest_row("a2", "ira", second)]
    with pytest.raises(DataError, match=f"group 'ira' is in {first} and {second}: 2 clips"):
        write_manifest(tmp_path, rows)
    with pytest.raises(DataError, match="group 'ira' is in train, select and test: 3 clips"):
        write_manifest(tmp_path, [manifest_row(split, "ira", split) for split in ("train", "select", "test")])


def damaged(folder, change) -> str:
    """What `read_manifest` says of a manifest whose table was changed."""
    folder.mkdir(exist_ok=True)
    rows = [
        manifest_row(f"{split}{n}", f"{split}{n}", split) for split in ("train", "select", "test") for n in range(2)
    ]
    pq.write_table(change(write_manifest(folder, rows).table), folder / MANIFEST_NAME)
    with pytest.raises(DataError) as caught:
        read_manifest(folder)
    message = str(caught.value)
    assert message.startswith(f"{folder / MANIFEST_NAME}: ")
    assert message.endswith(f" Make it again with: vgsearch data import {folder}")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ["path", "label", "group", "split", "n_frames", "width", "height", "sha"])
def test_a_manifest_with_a_null_or_a_value_of_another_type_is_refused_in_one_line(tmp_path, name):
    def with_column(values):
        return lambda table: table.set_column(table.schema.get_field_index(name), name, values)

    nulls = with_column(pa.nulls(6, SCHEMA.field(name).type))
    assert ("path must be that of one file" if name == "path" else f"must have {name}") in damaged(tmp_path, nulls)
    damaged(tmp_path, with_column(pa.array([[1]] * 6)))
    damaged(tmp_path, with_column(pa.array([b"\xff\xfe"] * 6)))
    damaged(tmp_path, lambda table: table.append_column(name, table[name]))
    assert f"missing: {name}" in damaged(tmp_path, lambda table: table.drop_columns([name]))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("path", "train1", "path must be that of one file, and of no other row, got 'train1'"),
        ("split", "val", "split must be train, select or test, got 'val'"),
        ("n_frames", 0, "n_frames, width and height must be at least 1"),
    ],
)
def test_an_impossible_row_is_named(tmp_path, name, value, message):
    def first_row_with(table):
        index = table["path"].to_pylist().index("train0")
        rows = [one | ({name: value} if n == index else {}) for n, one in enumerate(table.to_pylist())]
        return pa.Table.from_pylist(rows, schema=SCHEMA)

    assert message in damaged(tmp_path, first_row_with)


@pytest.mark.parametrize(
    "metadata", [{"classes": "[1]"}, {"classes": "{"}, {"mirrored": "[]"}, {"mirrored": '{"a": 1}'}, {"fold": b"\xff"}]
)
def test_damaged_entries_beside_the_columns_are_refused(tmp_path, metadata):
    assert "its entry" in damaged(tmp_path, lambda table: table.replace_schema_metadata(metadata))


def test_a_manifest_cut_at_any_byte_or_garbled_is_refused(tmp_path):
    write_manifest(tmp_path, [manifest_row("a", "a", "train"), manifest_row("b", "b", "test")])
    whole = (tmp_path / MANIFEST_NAME).read_bytes()
    for n in (0, 3, 4, len(whole) // 2, len(whole) - 1):
        for content in (whole[:n], whole[:n] + b"\xff" * (len(whole) - n)):
            (tmp_path / MANIFEST_NAME).write_bytes(content)
            with pytest.raises(DataError, match="not a parquet file"):
                read_manifest(tmp_path)


@pytest.mark.slow
def test_a_process_that_fails_right_after_reading_a_manifest_never_aborts(tmp_path):
    write_manifest(tmp_path, [manifest_row(f"{n}", f"g{n}", "train") for n in range(64)])
    code = (
        "import sys, torch; from videogan.data.manifest import read_manifest; read_manifest(sys.argv[1]); sys.exit(1)"
    )
    ends = [subprocess.run([sys.executable, "-c", code, tmp_path], check=False).returncode for _ in range(50)]
    assert ends == [1] * 50


def test_a_folder_that_does_not_exist_is_not_said_to_lack_a_file(tmp_path):
    with pytest.raises(DataError, match="nowhere: there is no such folder"):
        read_manifest(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"no manifest\.parquet in this folder"):
        read_manifest(tmp_path)
