import numpy as np
import pytest

from videogan.data.decode import decode, inspect
from videogan.data.formats.rows import manifest_rows
from videogan.data.manifest import DataError, read_manifest, write_manifest
from videogan.data.preprocessing import preprocessing_named

LAYOUT = "jester"

LABELS = ("Swiping Left", "Swiping Right", "Doing other things")


@pytest.fixture
def jester(tmp_path, clips):
    (tmp_path / "jester-v1-labels.csv").write_text("\n".join(LABELS) + "\n")
    (tmp_path / "jester-v1-train.csv").write_text("34870;Swiping Right\n56557;Swiping Left\n")
    (tmp_path / "jester-v1-validation.csv").write_text("9223;Doing other things\n")
    (tmp_path / "jester-v1-test.csv").write_text("1000\n")
    clips.written = {
        name: clips.frames(tmp_path / "20bn-jester-v1" / name) for name in ("34870", "56557", "9223", "1000")
    }
    return tmp_path


def test_validation_is_for_test_and_clips_without_labels_are_left_out(jester, find):
    found = find(jester)
    assert [(video.path.name, video.label, video.split) for video in found.videos] == [
        ("34870", "Swiping Right", "train"),
        ("56557", "Swiping Left", "train"),
        ("9223", "Doing other things", "test"),
    ]
    assert all(video.group == video.path.name for video in found.videos)
    assert found.classes == LABELS, "the file of labels gives their order"
    assert {video.split for video in find(jester, split_by="group").videos} == {None}
    assert len(find(jester / "20bn-jester-v1").videos) == 3, "the lists may be beside the frames"


def test_class_numbers_follow_the_file_of_labels(jester, find):
    found = find(jester)
    inspected = {
        video.path: {"sha": video.group, "n_frames": 4, "width": 64, "height": 64, "skipped": None}
        for video in found.videos
    }
    rows = manifest_rows(jester, found, inspected)
    official = write_manifest(jester, rows, found.classes)
    assert official.classes == read_manifest(jester).classes == list(LABELS)
    assert official.digest == read_manifest(jester).digest != write_manifest(jester / "b", rows).digest
    assert write_manifest(jester / "c", rows[:2], found.classes).classes == list(LABELS[:2]), "only classes with clips"


def test_a_frame_is_the_picture_of_its_file(jester, clips, find):
    clip = find(jester).videos[0].path
    assert (inspect(clip).info.codec, inspect(clip).n_frames) == ("jpeg_frames", 4)
    shown = decode(clip, preprocessing_named("plain_48"), start=2, n_frames=1)[0]
    assert np.abs(shown.astype(int) - clips.written["34870"][2][:, 8:56]).max() < 12


@pytest.mark.parametrize(
    ("part", "line", "message"),
    [
        ("train", "5;Waving", r"jester-v1-train\.csv line 3: expected 'id;label'"),
        ("train", "5", r"jester-v1-train\.csv line 3: expected 'id;label'"),
        ("validation", "34870;Swiping Left", "line 2: clip 34870 is listed twice, before as 'Swiping Right'"),
    ],
)
def test_a_wrong_line_is_refused_with_its_number(jester, part, line, message, find):
    with (jester / f"jester-v1-{part}.csv").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match=message):
        find(jester)


def test_a_list_that_is_missing_is_named(jester, tmp_path, find):
    (jester / "jester-v1-validation.csv").unlink()
    with pytest.raises(DataError, match=r"jester-v1-validation\.csv: no such file"):
        find(jester)
