import numpy as np
import pytest

from videogan.data.decode import decode, inspect
from videogan.data.formats import layout_of
from videogan.data.formats.contract import ImportOptions
from videogan.data.manifest import DataError
from videogan.data.preprocessing import preprocessing_named

LAYOUT = "golf"

NAMES = ("a/video1/0001.jpg", "a/video1/0002.jpg", "b/video2/0001.jpg")


@pytest.fixture
def golf(tmp_path, clips):
    clips.written = {name: clips.strip(tmp_path / name, axis=0) for name in NAMES}
    (tmp_path / "golf.txt").write_bytes(("\r\n".join(NAMES) + "\r\n").encode())
    return tmp_path


def test_clips_of_one_video_are_one_group(golf, find):
    found = find(golf)
    assert [video.path for video in found.videos] == [golf / name for name in NAMES]
    assert [video.group for video in found.videos] == ["a/video1", "a/video1", "b/video2"]
    assert {(video.label, video.split) for video in found.videos} == {("golf", None)}
    assert [video.group for video in find(golf, group=r"video\d").videos] == ["video1", "video1", "video2"]


def test_frames_are_stacked_vertically(golf, clips, find):
    path = find(golf).videos[1].path
    assert (inspect(path).info.codec, inspect(path).n_frames) == ("jpeg_stack", 4)
    shown = decode(path, preprocessing_named("plain_64"))
    assert np.abs(shown.astype(int) - clips.written[NAMES[1]]).max() < 12


def test_a_wrong_line_is_refused_with_its_number(golf, find):
    for line, message in ((NAMES[0], "golf.txt line 4: .* is listed twice"), ("README", "line 4: expected the rel")):
        (golf / "golf.txt").write_text("\n".join((*NAMES, line)))
        with pytest.raises(DataError, match=message):
            find(golf)


def test_two_lists_are_refused(golf, find):
    (golf / "more.txt").write_text(NAMES[0])
    with pytest.raises(DataError, match="2 text files that list pictures, expected one"):
        layout_of(golf, "golf").find(golf, ImportOptions())
