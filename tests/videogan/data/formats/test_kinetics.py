import pytest

from videogan.data.formats import layout_of
from videogan.data.manifest import DataError

LAYOUT = "kinetics"
HEADER = "label,youtube_id,time_start,time_end,split\n"
VIDEOS = {"train": ("_AbC-dE_fgh", "abcdefghijk"), "val": ("-AbC-dE_fg_",)}


@pytest.fixture
def kinetics(tmp_path):
    """CVDF's layout: all videos of a split in one folder, and the lists in annotations/."""
    (tmp_path / "annotations").mkdir()
    for split, ids in VIDEOS.items():
        (tmp_path / split).mkdir()
        lines = "".join(f'"tying knot (not on a tie)",{video},3,13,{split}\n' for video in ids)
        (tmp_path / "annotations" / f"{split}.csv").write_text(HEADER + lines + f"run,gone{split}ZZZZ,10,20,{split}\n")
        for video in ids:
            (tmp_path / split / f"{video}_000003_000013.mp4").touch()
    return tmp_path


def test_the_lists_give_class_split_and_group(kinetics, find):
    found = find(kinetics)
    used = {(v.path.parent.name, v.label, v.group, v.split) for v in found.videos if v.skipped is None}
    label = "tying knot (not on a tie)"
    assert used == {
        ("train", label, "_AbC-dE_fgh", "train"), ("train", label, "abcdefghijk", "train"),
        ("val", label, "-AbC-dE_fg_", "test"),
    }  # fmt: skip
    assert found.split_rule == "train.csv, val.csv; val for test"
    missing = [v.path.stem for v in found.videos if v.skipped == "listed, but no such file"]
    assert missing == ["gonetrainZZZZ_000010_000020", "gonevalZZZZ_000010_000020"]
    assert {video.split for video in find(kinetics, split_by="group").videos} == {None}


def test_unlisted_videos_are_skipped_and_a_test_list_leaves_val_for_select(kinetics, find):
    (kinetics / "train" / "extra.mp4").touch()
    (kinetics / "test").mkdir()
    (kinetics / "test" / "ABCDEFGHIJK_000000_000010.mp4").touch()
    (kinetics / "annotations" / "test.csv").write_text(HEADER + "run,ABCDEFGHIJK,0,10,test\n")
    splits = {video.path.name: video.split or video.skipped for video in find(kinetics).videos}
    assert splits["extra.mp4"] == "in none of the lists"
    assert splits["ABCDEFGHIJK_000000_000010.mp4"] == "test"
    assert splits["-AbC-dE_fg__000003_000013.mp4"] == "select"


@pytest.mark.parametrize(
    ("line", "message"),
    [("run,abc,x,13,train", r"train\.csv line 5: expected label,"), ("run,abc,3,13,best", "line 5: split must be")],
)
def test_a_wrong_line_is_refused_with_its_number(kinetics, line, message, find):
    with (kinetics / "annotations" / "train.csv").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=message):
        find(kinetics)


def test_lists_of_other_videos_are_an_error_with_an_expected_name(kinetics, find):
    for path in kinetics.glob("*/*.mp4"):
        path.unlink()
    with pytest.raises(
        DataError, match=r"none of the 5 videos listed in .* names such as _AbC-dE_fgh_000003_000013\.mp4"
    ):
        find(kinetics)


def test_another_csv_file_is_no_list_of_kinetics(tmp_path):
    (tmp_path / "notes.csv").write_text("label,youtube\n")
    assert layout_of(tmp_path).NAME == "plain"
