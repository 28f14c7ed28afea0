import os
import pickle
from pathlib import Path

import pytest
from pyarrow import fs

from tests.builders import manifest_row
from videogan.config import ConfigurationError
from videogan.data.manifest import read_manifest, write_manifest
from videogan.storage.address_secrets import has_secret, without_secrets
from videogan.storage.atomic import SECONDS_OF_A_WRITE, delete_parts, write_atomically
from videogan.storage.places import (
    RemotePath,
    StorageError,
    fetched,
    file_names,
    joined,
    mirrored,
    place,
)
from videogan.storage.set_aside import DamagedFile

MEMORY = RemotePath("memory://storage")


@pytest.fixture(params=["local", "memory", "s3"])
def folder(request, tmp_path):
    """An empty folder on each kind of storage."""
    if request.param == "s3":
        return place(request.getfixturevalue("s3_bucket")) / request.node.originalname
    return tmp_path if request.param == "local" else MEMORY / request.node.originalname


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("data/x", Path("data/x")),
        ("file:///data/x", Path("/data/x")),
        ("s3://bucket/a/b/", RemotePath("s3://bucket", "a/b")),
        (Path("s3://bucket/a"), RemotePath("s3://bucket", "a")),
        ("gs://bucket", RemotePath("gs://bucket")),
        ("/odd/s3:/name", Path("/odd/s3:/name")),
        ("c:/windows", Path("c:/windows")),
    ],
)
def test_an_address_is_a_path_or_a_remote_path(address, expected):
    assert place(address) == expected
    assert place(str(expected)) == expected, "what is printed can be typed"


def test_a_remote_path_behaves_like_a_path():
    clip = RemotePath("s3://bucket", "set") / "run" / "a b#1.avi"
    assert str(clip) == "s3://bucket/set/run/a b#1.avi"
    assert (clip.name, str(clip.parent), str(clip.parent.parent.parent)) == (
        "a b#1.avi", "s3://bucket/set/run", "s3://bucket",
    )  # fmt: skip
    assert pickle.loads(pickle.dumps(clip)) == clip
    assert joined(clip.parent, "b.avi") == clip.parent / "b.avi"
    assert joined(clip.parent, "/local/b.avi") == Path("/local/b.avi")
    assert joined(Path("/local"), "s3://bucket/b.avi") == RemotePath("s3://bucket", "b.avi")


def test_a_file_is_written_read_replaced_and_removed(folder):
    file = folder / "deep" / "name.bin"
    assert not file.exists()
    assert file_names(file.parent) == set()
    write_atomically(file, lambda stream: stream.write(b"1" * 100))
    write_atomically(file, lambda stream: stream.write(b"22"))
    assert file.is_file()
    assert file.read_bytes() == b"22"
    assert file_names(file.parent) == {"name.bin"}
    assert file_names(folder) == set(), "folders are no files"
    file.unlink()
    file.unlink(missing_ok=True)
    assert not file.exists()
    with pytest.raises(FileNotFoundError):
        file.read_bytes()


def test_a_write_that_fails_half_way_leaves_the_old_file_and_nothing_else(folder):
    file = folder / "name.bin"
    write_atomically(file, lambda stream: stream.write(b"old"))

    def fail(stream) -> None:
        stream.write(b"new" * 2_000_000)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomically(file, fail)
    assert file.read_bytes() == b"old"
    assert file_names(folder) == {"name.bin"}


def test_a_writer_whose_part_file_was_removed_accepts_the_other_writers_file(folder):
    file = folder / "name.bin"

    def write_while_another_finishes(stream) -> None:
        stream.write(b"same")
        write_atomically(file, lambda other: other.write(b"same"))
        if isinstance(file, Path):
            for part in folder.glob(".*.part"):
                part.unlink()

    write_atomically(file, write_while_another_finishes)
    assert file.read_bytes() == b"same"


def test_a_copy_is_made_once_and_a_local_file_needs_none(folder, tmp_path):
    file, copies = folder / "a.avi", tmp_path / "copies"
    write_atomically(file, lambda stream: stream.write(b"x" * 3_000_000))
    copy = mirrored(file, copies)
    assert copy.read_bytes() == file.read_bytes()
    file.unlink()
    if isinstance(file, Path):
        assert copy == file
    else:
        assert mirrored(file, copies) == copies / "a.avi", "not requested again"
        assert os.listdir(copies) == ["a.avi"]


def test_a_fetched_file_exists_under_its_own_name_during_the_block(folder):
    file = folder / "a.avi"
    write_atomically(file, lambda stream: stream.write(b"video"))
    with fetched(file) as local:
        assert local.name == "a.avi"
        assert local.read_bytes() == b"video"
    assert local.exists() == isinstance(file, Path)
    file.unlink()
    with pytest.raises(FileNotFoundError), fetched(file) as local:
        local.read_bytes()


def test_a_manifest_reads_back_from_any_storage_and_its_paths_lead_to_the_files(folder):
    rows = [
        manifest_row(folder / "run" / "b.mp4", "b", "test"),
        manifest_row("/elsewhere/a.mp4", "a", "train"),
        manifest_row("c.mp4", "c", "train"),
    ]
    written, read = write_manifest(folder, rows), read_manifest(str(folder))
    assert read.table.equals(written.table)
    assert read.digest == written.digest
    paths = read.table["path"].to_pylist()
    assert paths == ["/elsewhere/a.mp4", "c.mp4", "run/b.mp4"]
    assert [str(read.location(path)) for path in paths] == [
        "/elsewhere/a.mp4",
        f"{folder}/c.mp4",
        f"{folder}/run/b.mp4",
    ]


def test_a_manifest_may_list_files_of_another_storage(tmp_path):
    write_manifest(tmp_path, [manifest_row("s3://bucket/a.mp4", "a", "train")])
    assert read_manifest(tmp_path).location("s3://bucket/a.mp4") == RemotePath("s3://bucket", "a.mp4")


SECRETS = {
    "s3://AKIA12:abc@bucket/runs": "s3://AKIA12:***@bucket/runs",
    "s3:/AKIA12:abc@bucket/runs": "s3:/AKIA12:***@bucket/runs",
    "s3://AKIA12:ab/c+d@bucket/runs": "s3://AKIA12:***@bucket/runs",
    "s3://bucket/runs?access_key=k&secret_key=abc": "s3://bucket/runs?access_key=***&secret_key=***",
    "sftp://me:abc@host:22/data": "sftp://me:***@host:22/data",
    "https://b.s3.amazonaws.com/a?X-Amz-Signature=abc": "https://b.s3.amazonaws.com/a?X-Amz-Signature=***",
    "postgresql://me:pa#ss@host/db?sslpassword=abc": "postgresql://me:***@host/db?sslpassword=***",
}


@pytest.mark.parametrize(("address", "masked"), SECRETS.items())
def test_an_address_with_a_secret_is_refused_without_showing_it(address: str, masked: str):
    assert (has_secret(address), without_secrets(f"in {address} no")) == (True, f"in {masked} no")
    for given in (address, Path(address)):
        with pytest.raises(ConfigurationError, match=r"must not contain a key.*AWS_SECRET_ACCESS_KEY") as refused:
            place(given)
        assert "abc" not in str(refused.value)
        assert without_secrets(str(refused.value)) == str(refused.value)


@pytest.mark.parametrize(
    "address", ["s3://bucket/a:b@c", "hdfs://me@host:8020/a@b", "gs://anonymous@bucket/x", "s3://bucket/q?x=1", "a:b@c"]
)
def test_an_address_without_a_secret_is_shown_whole(address: str):
    assert str(place(address)) == without_secrets(address) == address


def test_an_address_has_no_dots_as_folders():
    for address in ("s3://bucket/..", "s3://bucket/a/../b", "s3://bucket/./a"):
        with pytest.raises(ConfigurationError, match=r"must not contain \. or \.\. as a folder"):
            place(address)


def test_an_unknown_storage_is_an_error_with_the_address():
    with pytest.raises(StorageError, match=r"nonsense://x/y: .*Expected a local path, s3://"):
        place("nonsense://x/y").is_file()


def test_a_missing_bucket_is_an_error_with_the_address(s3_bucket):
    with pytest.raises(StorageError, match=r"s3://no-such-bucket/a.*AWS_ENDPOINT_URL"):
        write_atomically(place("s3://no-such-bucket/a"), lambda stream: stream.write(b""))


def test_an_upload_is_visible_only_when_it_is_complete(s3_bucket):
    seen = []

    def write(stream) -> None:
        stream.write(b"x" * 11_000_000)  # more than one part of an upload
        system, path = fs.FileSystem.from_uri(s3_bucket)
        seen.extend(system.get_file_info(fs.FileSelector(path, recursive=True)))

    folder = place(s3_bucket) / "uploads"
    write_atomically(folder / "big", write)
    assert not [info for info in seen if info.path.endswith("uploads/big")]
    assert len((folder / "big").read_bytes()) == 11_000_000


def test_a_folder_in_the_place_of_a_file_is_set_aside_and_the_file_written(tmp_path: Path):
    (tmp_path / "status.json" / "inside").mkdir(parents=True)
    (tmp_path / "status.json.damaged").write_bytes(b"an earlier one")
    with pytest.warns(
        DamagedFile, match=r"status.json must be a file, but is a folder. Set aside as status.json.damaged2"
    ):
        write_atomically(tmp_path / "status.json", lambda stream: stream.write(b"{}"))
    assert (tmp_path / "status.json").read_bytes() == b"{}"
    assert (tmp_path / "status.json.damaged2" / "inside").is_dir()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "status.json",
        "status.json.damaged",
        "status.json.damaged2",
    ]


def test_parts_that_killed_writers_left_are_deleted_and_growing_ones_stay(tmp_path: Path):
    old, new, kept = (tmp_path / name for name in (".a.0badcafe.part", "t/.b.0badcafe.part", "t/mine.part"))
    (tmp_path / "t").mkdir()
    for path in (old, new, kept):
        path.write_bytes(b"half")
    for path in (old, kept):
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - SECONDS_OF_A_WRITE - 1))
    delete_parts(tmp_path)
    assert [path.exists() for path in (old, new, kept)] == [False, True, True]


def test_the_entries_of_new_files_and_folders_are_synced_after_their_content(tmp_path: Path, monkeypatch):
    synced, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda n: (synced.append(os.readlink(f"/proc/self/fd/{n}")), fsync(n)))
    write_atomically(tmp_path / "new" / "deep" / "x.json", lambda stream: stream.write(b"{}"))
    folders, part, last = synced[:-2], synced[-2], synced[-1]
    assert sorted(folders) == [str(tmp_path), str(tmp_path / "new")]
    assert part.startswith(str(tmp_path / "new/deep/.x.json."))
    assert last == str(tmp_path / "new/deep")
