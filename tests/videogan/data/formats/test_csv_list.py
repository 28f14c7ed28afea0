import pytest

from videogan.data.formats import layout_of
from videogan.data.manifest import DataError

LAYOUT = "csv"


@pytest.fixture
def listed(tmp_path):
    """Two files, a folder of frames, an array, and a way to write the list."""
    (tmp_path / "frames").mkdir()
    (tmp_path / "arrays").mkdir()
    for name in ("a.avi", "b.avi", "arrays/clips.npy"):
        (tmp_path / name).touch()

    def write(content, name="videos.csv"):
        (tmp_path / name).write_text(content)
        return tmp_path

    return write


def test_every_column_is_used_unchanged(listed, find):
    folder = listed(
        "file,label,group,split\na.avi,run,p1,train\nframes,walk,p2,test\n\narrays/clips.npy#3,run,p3,train\na.avi,run,p1,train\n"
    )
    found = find(folder)
    assert [(video.path, video.label, video.group, video.split) for video in found.videos] == [
        (folder / "a.avi", "run", "p1", "train"),
        (folder / "frames", "walk", "p2", "test"),
        (folder / "arrays/clips.npy#3", "run", "p3", "train"),
    ]
    assert (found.group_rule, found.split_rule) == ("the column group", "the column split")
    assert {video.split for video in find(folder, split_by="group").videos} == {None}
    assert [video.group for video in find(folder, group=r"^\w").videos] == ["a", "f", "c"]


def test_groups_and_splits_can_come_from_the_default_rules(listed, find):
    folder = listed("label,file\nrun,a.avi\nwalk,b.avi\n")
    assert [(video.group, video.split) for video in find(folder).videos] == [("a", None), ("b", None)]
    with pytest.raises(DataError, match="needs a column 'split'"):
        find(folder, split_by="file")


def test_a_list_of_any_name_can_be_given_directly(listed, find):
    folder = listed("file,label\na.avi,run\n", "mine.csv")
    assert layout_of(folder).NAME == "plain"
    assert [video.path for video in find(folder / "mine.csv").videos] == [folder / "a.avi"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "file,label\na.avi,run\na.avi,walk\n",
            r"videos\.csv line 3: a\.avi is listed twice, with label 'run' and 'walk'",
        ),
        (
            "file,label,split\na.avi,run,train\na.avi,run,test\n",
            "line 3: a.avi is listed twice, with split 'train' and 'test'",
        ),
        ("file,label\ngone.avi,run\n", r"line 2: there is no file gone\.avi"),
        ("file,label\na.avi\n", r"line 2: 1 columns, expected 2 \(file,label\)"),
        ("file,label\na.avi,\n", "line 2: the column 'label' is empty"),
        (
            "file,label,split\na.avi,run,dev\n",
            r"line 2: split must be train, select \(or val, validation\) or test, got 'dev'",
        ),
        ('file,label\na.avi,run\n"b.avi,run\n', r"videos\.csv line 3: unexpected end of data"),
        ("file,group\na.avi,run\n", r"line 1: expected the columns file,label\[,group\]\[,split\], got file,group"),
        ("file,label,person\n", "line 1: expected the columns"),
        ("a.avi,run\n", "line 1: expected the columns"),
        ("file,label\n", "the list is empty"),
        ("", "line 1: expected the columns"),
    ],
)
def test_a_bad_list_is_refused_with_its_line(listed, lines, message, find):
    with pytest.raises(DataError, match=message):
        find(listed(lines))
