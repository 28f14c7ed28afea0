import numpy as np
import pytest
from PIL import Image

from videogan.data.decode import decode, inspect
from videogan.data.formats import layout_of
from videogan.data.formats.contract import ImportOptions
from videogan.data.formats.rows import split_rule
from videogan.data.manifest import DataError
from videogan.data.preprocessing import preprocessing_named

LAYOUT = "nested"


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def listed(folder, found):
    return [(v.path.relative_to(folder).as_posix(), v.label, v.group, v.split) for v in found.videos]


def test_folders_of_splits_are_no_classes(tmp_path, find):
    touch(tmp_path, *(f"{split}/{n}_x.mp4" for split in ("train", "test") for n in (split[0] + "0", split[0] + "1")))
    found = find(tmp_path)
    assert listed(tmp_path, found) == [
        ("test/t0_x.mp4", tmp_path.name, "t0", "test"), ("test/t1_x.mp4", tmp_path.name, "t1", "test"),
        ("train/t0_x.mp4", tmp_path.name, "t0", "train"), ("train/t1_x.mp4", tmp_path.name, "t1", "train"),
    ]  # fmt: skip
    assert found.split_rule == "the folders test, train"
    assert {video.split for video in find(tmp_path, split_by="group").videos} == {None}


def test_kinetics_folders_give_split_and_class_and_its_val_is_the_test(tmp_path, find):
    touch(tmp_path, "train/run/_AbC-dE_fgh_000003_000013.mp4", "val/run/-AbC-dE_fg__000003_000013.mp4")
    found = find(tmp_path)
    assert [video[1:] for video in listed(tmp_path, found)] == [
        ("run", "_AbC-dE_fgh", "train"), ("run", "-AbC-dE_fg_", "test"),
    ]  # fmt: skip
    assert found.split_rule == "the folders train, val; val for test"
    touch(tmp_path, "test/run/abcdefghijk_000003_000013.mp4")
    found = find(tmp_path)
    assert [video.split for video in found.videos] == ["test", "train", "select"]
    rows = [{"split": video.split} for video in found.videos]
    assert split_rule(found, rows) == "the folders test, train, val"


def test_a_class_called_train_beside_others_is_a_class(tmp_path):
    touch(tmp_path, "train/a_1.mp4", "test/b_1.mp4", "car/c_1.mp4")
    assert layout_of(tmp_path).NAME == "plain"


def test_the_folder_below_the_class_is_the_group(tmp_path, find):
    touch(tmp_path, "biking/v_biking_01/v_biking_01_01.mpg", "biking/v_biking_02/v_biking_02_01.mpg")
    touch(tmp_path, "diving/v_diving_01/v_diving_01_01.mpg", "diving/Annotation/notes.txt")
    found = find(tmp_path)
    assert [video[1:3] for video in listed(tmp_path, found)] == [
        ("biking", "v_biking_01"), ("biking", "v_biking_02"), ("diving", "v_diving_01"),
    ]  # fmt: skip
    assert found.group_rule == "the folder below the class"
    assert [v.group for v in find(tmp_path, group=r"v_(\w+?)_").videos] == ["biking", "biking", "diving"]


@pytest.mark.parametrize("names", [("video0", "video1"), ("run/v_Run_g01_c01", "walk/v_Walk_g02_c01")])
def test_folders_of_frames_are_clips(tmp_path, clips, names, find):
    written = [clips.frames(tmp_path / name) for name in names]
    found = find(tmp_path)
    labels = ["run", "walk"] if "/" in names[0] else [tmp_path.name] * 2
    groups = ["g01", "g02"] if "/" in names[0] else ["video0", "video1"]
    assert listed(tmp_path, found) == [(*row, None) for row in zip(names, labels, groups, strict=True)]
    for video, frames in zip(found.videos, written, strict=True):
        assert inspect(video.path).n_frames == 4
        shown = decode(video.path, preprocessing_named("plain_48"))
        assert np.abs(shown.astype(int) - frames[:, :, 8:56]).max() < 12


@pytest.mark.parametrize("size", [(128, 64), (192, 64), (64, 64)])
def test_wide_frames_are_not_taken_for_strips(tmp_path, size, find):
    for clip in ("video0", "video1"):
        (tmp_path / clip).mkdir()
        for number in range(3):
            Image.new("RGB", size).save(tmp_path / clip / f"{number:06d}.jpg")
    assert [video.path.name for video in find(tmp_path).videos] == ["video0", "video1"]


def test_photographs_are_no_frames(tmp_path):
    (tmp_path / "cats").mkdir()
    Image.new("RGB", (100, 64)).save(tmp_path / "cats" / "1.jpg")
    Image.new("RGB", (64, 100)).save(tmp_path / "cats" / "2.jpg")
    assert layout_of(tmp_path).NAME == "plain"
    with pytest.raises(DataError, match=r"but 2 files: \.jpg 2 \(cats/1\.jpg, cats/2\.jpg\)"):
        layout_of(tmp_path).find(tmp_path, ImportOptions())


def test_class_folders_of_videos_stay_plain_whatever_lies_deeper(tmp_path):
    touch(tmp_path, "a/extra/deep.mp4", "run/a_1.mp4")
    assert layout_of(tmp_path).NAME == "plain"


def test_a_split_file_holds_for_folders_of_frames(tmp_path, clips, find):
    for name in ("a", "b", "c"):
        clips.frames(tmp_path / name)
    (tmp_path / "split.csv").write_text("a,train\nb,test\n")
    assert [(v.split, v.skipped) for v in find(tmp_path).videos] == [
        ("train", None), ("test", None), (None, "not in split.csv"),
    ]  # fmt: skip


def test_clips_at_different_depths_are_refused_by_name(tmp_path, find):
    touch(tmp_path, "run/g1/a.mp4", "run/g1/b.mp4", "walk/g2/more/c.mp4")
    with pytest.raises(DataError, match=r"run/g1/a\.mp4 and walk/g2/more/c\.mp4 are clips at different depths"):
        find(tmp_path)
