import numpy as np
import pytest
from PIL import Image

from videogan.data.decode import decode, inspect
from videogan.data.formats import layout_of
from videogan.data.formats.contract import ImportOptions
from videogan.data.manifest import DataError
from videogan.data.preprocessing import preprocessing_named


def test_class_folders_of_horizontal_strips(tmp_path, clips):
    written = {name: clips.strip(tmp_path / name, axis=1) for name in ("0/daria_1.jpg", "0/ido_1.jpg", "3/ido_2.jpg")}
    layout = layout_of(tmp_path)
    assert layout.NAME == "strips"
    videos = layout.find(tmp_path, ImportOptions()).videos
    assert [(video.label, video.group) for video in videos] == [("0", "daria"), ("0", "ido"), ("3", "ido")]
    assert (inspect(videos[1].path).info.codec, inspect(videos[1].path).n_frames) == ("jpeg_strip", 4)
    shown = decode(videos[1].path, preprocessing_named("plain_64"))
    assert np.abs(shown.astype(int) - written["0/ido_1.jpg"]).max() < 12


def test_the_pictures_that_data_check_wrote_are_not_a_class(tmp_path, clips):
    clips.strip(tmp_path / "0" / "a_1.jpg", axis=1)
    (tmp_path / "check").mkdir()
    (tmp_path / "check" / "check.html").touch()
    Image.new("RGB", (100, 64)).save(tmp_path / "check" / "contact-sheet.png")
    assert layout_of(tmp_path).NAME == "strips"
    assert [video.label for video in layout_of(tmp_path).find(tmp_path, ImportOptions()).videos] == ["0"]


def test_a_split_file_holds_for_strips_too(tmp_path, clips):
    for name in ("0/a_1.jpg", "0/b_1.jpg", "0/c_1.jpg"):
        clips.strip(tmp_path / name, axis=1)
    (tmp_path / "split.csv").write_text("file,split\n0/a_1.jpg,train\n0/b_1.jpg,test\n")
    found = layout_of(tmp_path).find(tmp_path, ImportOptions())
    assert [(video.split, video.skipped) for video in found.videos] == [
        ("train", None), ("test", None), (None, "not in split.csv"),
    ]  # fmt: skip


def test_videos_with_a_preview_picture_and_photographs_are_not_strips(tmp_path, clips):
    clips.strip(tmp_path / "run" / "preview.jpg", axis=1)
    clips.video(tmp_path / "run" / "a.avi")
    assert layout_of(tmp_path).NAME == "plain"
    (tmp_path / "photos" / "run").mkdir(parents=True)
    Image.new("RGB", (100, 64)).save(tmp_path / "photos" / "run" / "a.jpg")
    assert layout_of(tmp_path / "photos").NAME == "plain"
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="looked for jpg jpeg png"):
        layout_of(tmp_path, "strips").find(tmp_path / "empty", ImportOptions())
