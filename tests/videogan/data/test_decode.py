import os

import av
import numpy as np
import pytest

from videogan.data.decode import Limits, MissingVideo, UnreadableVideo, decode, inspect, probe
from videogan.data.preprocessing import preprocessing_named


def grey(levels, size=64):
    return np.tile(np.array(levels, np.uint8)[:, None, None, None], (1, size, size, 3))


def test_frames_are_decoded_at_the_given_size_and_in_order(tmp_path, write_video):
    levels = list(range(20, 220, 10))
    frames = decode(write_video(tmp_path / "a.mp4", grey(levels)), preprocessing_named("plain_32"))
    assert frames.shape == (20, 32, 32, 3)
    assert frames.dtype == np.uint8
    assert np.abs(frames.mean((1, 2, 3)) - levels).max() < 4


@pytest.mark.parametrize("options", [{"g": "100"}, {"g": "4"}])
def test_a_window_equals_the_slice_of_the_whole_file(tmp_path, options, write_video):
    rng = np.random.default_rng(0)
    path = write_video(tmp_path / "a.mp4", rng.integers(0, 255, (24, 64, 64, 3), dtype=np.uint8), options=options)
    plain = preprocessing_named("plain_32")
    whole = decode(path, plain)
    for start in (0, 5, 8):
        np.testing.assert_array_equal(decode(path, plain, start=start, n_frames=16), whole[start : start + 16])
    with pytest.raises(UnreadableVideo, match="24 frames decode, 25 are needed"):
        decode(path, plain, start=9, n_frames=16)


def test_a_variable_frame_rate_is_sampled_at_its_median_rate(tmp_path, write_video):
    # Ten frames, a gap of three ticks, ten more: the last frame before the gap is shown through it.
    ticks = [*range(10), *range(13, 23)]
    path = write_video(tmp_path / "vfr.mkv", grey([10 * n for n in range(20)]), ticks=ticks)
    frames = decode(path, preprocessing_named("plain_64"))
    shown = np.round(frames.mean((1, 2, 3)) / 10).astype(int).tolist()
    assert shown == [*range(10), 9, 9, 9, *range(10, 20)]
    assert inspect(path).n_frames == 23
    np.testing.assert_array_equal(decode(path, preprocessing_named("plain_64"), start=8, n_frames=8), frames[8:16])


def test_plain_keeps_the_centre_of_the_long_side(tmp_path, write_video):
    frames = np.zeros((3, 64, 128, 3), np.uint8)
    frames[:, :, 32:96] = 255
    assert decode(write_video(tmp_path / "wide.mp4", frames), preprocessing_named("plain_32"))[:, :, 2:-2].min() > 240


def test_nothing_is_enlarged(tmp_path, write_video):
    path = write_video(tmp_path / "small.mp4", grey([1, 2], size=32))
    assert decode(path, preprocessing_named("plain_32")).shape == (2, 32, 32, 3)
    with pytest.raises(UnreadableVideo, match="32x32 pixels, plain_64 needs at least 64"):
        decode(path, preprocessing_named("plain_64"))


def test_an_unknown_preprocessing_lists_those_that_exist():
    with pytest.raises(ValueError, match="plain_<size>"):
        preprocessing_named("fancy_64")


def test_limits_hold_before_anything_is_decoded(tmp_path, write_video):
    path = write_video(tmp_path / "a.mp4", grey([0] * 50))
    with pytest.raises(UnreadableVideo, match=r"64x64 pixels, data\.max_pixels allows 100"):
        probe(path, Limits(max_pixels=100))
    with pytest.raises(UnreadableVideo, match=r"2 s long, data\.max_seconds allows 1"):
        probe(path, Limits(max_seconds=1))


def test_files_that_are_not_videos_are_errors_with_the_reason(tmp_path, write_video):
    (tmp_path / "text.mp4").write_text("<html>not found</html>\n" * 100)
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\n/etc/passwd\n")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "nowhere")
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    whole = write_video(tmp_path / "whole.mp4", grey(range(30))).read_bytes()
    (tmp_path / "no_moov.mp4").write_bytes(whole[: whole.rindex(b"moov")])
    with av.open(str(tmp_path / "audio.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 16000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    reasons = {
        "text": "not a video", "list": "not a video", "empty": "empty file", "dangling": "leads to no file",
        "loop": "leads to no file", "no_moov": "not a video", "audio": "no video stream",
    }  # fmt: skip
    for name, reason in reasons.items():
        with pytest.raises(UnreadableVideo, match=reason):
            inspect(tmp_path / f"{name}.mp4")
    with pytest.raises(MissingVideo):
        inspect(tmp_path / "dangling.mp4")


def test_the_content_decides_not_the_name(tmp_path, write_video):
    path = write_video(tmp_path / "a.mp4", grey(range(5)))
    odd = tmp_path / "Пётр: run 100%d.avi"
    os.rename(path, odd)
    assert inspect(odd).n_frames == 5


def test_a_damaged_file_keeps_its_undamaged_frames_with_a_warning(tmp_path, write_video):
    rng = np.random.default_rng(0)
    path = write_video(tmp_path / "a.avi", rng.integers(0, 255, (60, 64, 64, 3), dtype=np.uint8), codec="mpeg4")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    seen = inspect(path)
    assert 10 < seen.n_frames < 50
    assert f"{seen.n_frames} of 60 frames decode" in seen.warning
    assert len(decode(path, preprocessing_named("plain_64"))) == seen.n_frames


def test_every_real_clip_is_read(shared_data):
    frames_of = {path.name: inspect(path).n_frames for path in sorted((shared_data / "clips").iterdir())}
    assert frames_of["RATRACE_wave_f_nm_np1_fr_goo_37.avi"] == 72, "one less than its header says"
    assert frames_of["corrupted.mp4"] == 28, "the clean frames before the damage"
    assert frames_of["flipping_a_pancake.mkv"] == 310, "its header has no count"
    assert min(frames_of.values()) == frames_of["video_90.mov"] == 3


def test_rotation_metadata_is_applied(shared_data):
    path = shared_data / "clips" / "video_90.mov"
    info = probe(path)
    assert (info.width, info.height) == (320, 568)
    with av.open(str(path)) as container:
        stored = next(container.decode(video=0)).to_ndarray(format="rgb24")
    upright = np.rot90(stored, -1)  # stored on its side; the keys' letters are upright after a quarter turn clockwise
    centre = upright[124 : 124 + 320].astype(float)
    shown = decode(path, preprocessing_named("plain_320"))[0].astype(float)
    assert np.abs(shown - centre).mean() < 3
