import re

import pytest

from videogan.data.formats.contract import Found, FoundVideo, ImportOptions
from videogan.data.formats.listing import EACH_NAME_RULE, group_by_name
from videogan.data.formats.plain_folders import find, read_split
from videogan.data.formats.rows import manifest_rows
from videogan.data.manifest import DataError, write_manifest
from videogan.data.splits import split_by_group


def test_the_default_group_is_ucfs_number_as_a_whole_word_or_the_first_part():
    names = [
        "v_Bowling_g08_c01.avi",
        "v-g12.mp4",
        "pig1_run.avi",
        "person01_bend.mp4",
        "alone.gif",
        "v_RowingG1_g3.avi",
    ]
    found = group_by_name(names)
    assert found.groups == ("g08", "g12", "pig1", "person01", "alone", "g3")
    assert "g<number> between separators (3 files)" in found.rule
    assert group_by_name(names[3:4]).rule == "the part before the first underscore"
    assert group_by_name(names[4:5]).rule == EACH_NAME_RULE


def test_underscores_at_the_start_do_not_put_all_clips_in_one_group():
    names = ["_a_1.mp4", "__b_1.mp4", "___.mp4", "_AbC-dE_fgh_000003_000013.mp4", "-AbC-dE_fg__000003_000013.mp4"]
    found = group_by_name(names)
    assert found.groups == ("a", "b", "___", "_AbC-dE_fgh", "-AbC-dE_fg_")
    assert "the YouTube id before _<start>_<end> (2 files)" in found.rule


def test_a_mirrored_copy_stays_with_its_original_under_any_rule():
    names = ["clip7.mp4", "clip7_flip.mp4"]
    for pattern in (None, ".*", r"(clip\d+.*)"):
        assert len(set(group_by_name(names, pattern).groups)) == 1, pattern


def test_a_group_pattern_gives_its_bracket_and_must_match_every_name():
    assert group_by_name(["a-p03-x.avi"], r"p(\d+)").groups == ("03",)
    assert group_by_name(["a-p03-x.avi"], r"p\d+").groups == ("p03",)
    with pytest.raises(DataError, match=r"does not match the name 'b'"):
        group_by_name(["p1.avi", "b.avi"], r"p\d")
    with pytest.raises(DataError, match="not a valid regular expression"):
        group_by_name(["p1.avi"], "(")


def test_videos_are_found_in_class_folders_by_suffix_or_content(tmp_path):
    for name in ("run/a.AVI", "run/b.mp4", "run/notes.txt", "run/.hidden.mp4", "walk/c.gif", "stray.mp4", ".git/d.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "walk/renamed.dat").write_bytes(b"\x1aE\xdf\xa3rest")
    (tmp_path / "walk/dangling.mkv").symlink_to("nowhere")
    (tmp_path / "walk/loop.mkv").symlink_to("loop.mkv")
    found = {(video.path.name, video.label) for video in find(tmp_path, ImportOptions()).videos}
    assert found == {
        ("a.AVI", "run"),
        ("b.mp4", "run"),
        ("c.gif", "walk"),
        ("renamed.dat", "walk"),
        ("dangling.mkv", "walk"),
        ("loop.mkv", "walk"),
    }


def test_a_folder_of_videos_without_class_folders_is_one_class(tmp_path):
    (tmp_path / "a.mp4").touch()
    assert find(tmp_path, ImportOptions()).videos == (FoundVideo(tmp_path / "a.mp4", tmp_path.name, "a"),)


def test_a_folder_without_videos_is_an_error_with_what_is_there(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("nothing")
    expected = (
        r"no video found \(looked for any that FFmpeg reads in 2 folders\), but 1 file: \.txt 1 \(run/notes\.txt\)\. "
        r"Expected .*/<class>/<clip>\.avi\. Or list the clips in videos\.csv"
    )
    with pytest.raises(DataError, match=expected):
        find(tmp_path, ImportOptions())
    with pytest.raises(DataError, match="no such folder"):
        find(tmp_path / "absent", ImportOptions())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file,split\nrun/a.mp4,train\nrun/b.mp4\n", r"split\.csv line 3: one column, expected file,split\."),
        ("run/a.mp4,train\nrun/a.mp4,test\n", "line 2: run/a.mp4 is in train and test"),
        ("run/a.mp4,valid\n", r"line 1: split must be train, select \(or val, validation\) or test, got 'valid'"),
        ("run/gone.mp4,train\n", "line 1: there is no file run/gone.mp4"),
        ('run/a.mp4,train\n"run/b.mp4,test\n', "split.csv line 2: unexpected end of data"),
    ],
)
def test_a_bad_split_file_is_refused_with_its_line(tmp_path, content, message):
    (tmp_path / "run").mkdir()
    for name in ("a", "b"):
        (tmp_path / "run" / f"{name}.mp4").touch()
    (tmp_path / "split.csv").write_text(content)
    with pytest.raises(DataError, match=message):
        read_split(tmp_path)


def test_a_split_file_that_leaks_a_group_is_refused_and_copies_are_skipped(tmp_path):
    names = {"ira_1": "ira", "ira_2": "ira", "ido_1": "ido", "copy_1": "copy"}
    videos = tuple(FoundVideo(tmp_path / "run" / f"{name}.mp4", "run", group) for name, group in names.items())
    seen = {"n_frames": 20, "fps": 25.0, "width": 64, "height": 64, "codec": "h264", "skipped": None, "warning": None}
    inspected = {video.path: seen | {"sha": video.path.name} for video in videos}
    inspected[videos[3].path] = inspected[videos[2].path]

    rows = manifest_rows(tmp_path, Found(videos, "", ""), inspected)
    assert [row["skipped"] for row in rows] == [None, None, None, "same content as run/ido_1.mp4"]
    assert rows[0]["split"] == rows[1]["split"] != rows[2]["split"]

    (tmp_path / "run").mkdir()
    for video in videos:
        video.path.touch()
    (tmp_path / "split.csv").write_text("run/ira_1.mp4,train\nrun/ira_2.mp4,test\n")
    found = find(tmp_path, ImportOptions())
    assert {video.path.stem for video in found.videos if video.skipped == "not in split.csv"} == {"ido_1", "copy_1"}
    rows = manifest_rows(tmp_path, found, inspected)
    with pytest.raises(DataError, match="group 'ira' is in train and test"):
        write_manifest(tmp_path, rows)
    drawn = find(tmp_path, ImportOptions(split_by="group"))
    assert {video.split for video in drawn.videos} == {None}


def test_files_without_groups_are_refused_with_an_example_that_works_for_them_and_each_file_may_be_a_group():
    names = [f"IMG_20{number}.mp4" for number in range(10, 18)]
    with pytest.raises(DataError, match="has 1 group") as refused:
        split_by_group(["run"] * 8, group_by_name(names).groups)
    pattern = re.search("--group '([^']*)' makes IMG_2024.mp4 group 2024; --group each-file", str(refused.value))[1]
    for chosen in (pattern, "each-file"):
        groups = group_by_name(names, chosen).groups
        assert len(set(groups)) == 8
        assert set(split_by_group(["run"] * 8, groups)) == {"train", "select", "test"}
    assert group_by_name(["IMG_2024.mp4"], pattern).groups == ("2024",)


def test_each_file_is_a_group_even_if_every_class_numbers_its_files_from_one():
    names = ["walk/001.mp4", "walk/002.mp4", "jump/001.mp4", "jump/001_flip.mp4"]
    assert group_by_name(names, "each-file").groups == ("walk/001", "walk/002", "jump/001", "jump/001")
    assert group_by_name(names[:2], "each-file").groups == ("001", "002")
    with pytest.raises(DataError, match=r"must match every file name\. Did you mean each-file\?"):
        group_by_name(names, "each_file")
