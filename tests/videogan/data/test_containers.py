"""Which file, stream and length a video has, and what its header says about its pixels."""

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from videogan.data.containers import holds_video
from videogan.data.decode import decode, inspect
from videogan.data.formats.listing import looks_like_video
from videogan.data.preprocessing import preprocessing_named
from videogan.data.source import Limits, UnreadableVideo

RED, BLUE = (220, 40, 40), (40, 40, 220)
SMALL = preprocessing_named("plain_32")


def plain(n_frames, colour, height=64, width=64):
    return np.tile(np.array(colour, np.uint8), (n_frames, height, width, 1))


def add_video(container, frames, codec="libx264", disposition=None, **settings):
    """A video stream, written before any other; returns its packets."""
    stream = container.add_stream(codec, rate=settings.pop("rate", 25))
    stream.height, stream.width = frames.shape[1:3]
    stream.pix_fmt = {"png": "rgb24", "mjpeg": "yuvj420p"}.get(codec, "yuv420p")
    if disposition is not None:
        stream.disposition = disposition
    for name, value in settings.items():
        setattr(stream.codec_context, name, value)
    packets = []
    for tick, image in enumerate(frames):
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts = tick
        packets += stream.encode(frame)
    return packets + stream.encode()


def write(path, frames, codec="libx264", **settings):
    with av.open(str(path), "w") as container:
        container.mux(add_video(container, frames, codec, **settings))
    return path


CONTAINERS = {
    "avi": "mpeg4", "mp4": "libx264", "mov": "mpeg4", "mkv": "libx264", "webm": "libvpx", "gif": "gif",
    "mpg": "mpeg1video", "vob": "mpeg2video", "m2v": "mpeg2video", "ts": "mpeg2video", "wmv": "wmv2", "flv": "flv",
    "3gp": "mpeg4", "y4m": "wrapped_avframe", "mxf": "mpeg2video", "nut": "ffv1", "ivf": "libvpx", "rm": "rv10",
    "mjpeg": "mjpeg", "apng": "apng",
}  # fmt: skip


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_every_container_that_ffmpeg_recognises_is_read_under_any_name(tmp_path, suffix):
    codec, levels = CONTAINERS[suffix], range(20, 220, 10)
    written = tmp_path / f"a.{suffix}"
    with av.open(str(written), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height = 64, 64
        stream.pix_fmt = {"gif": "rgb8", "apng": "rgb24", "mjpeg": "yuvj420p"}.get(codec, "yuv420p")
        for tick, level in enumerate(levels):
            frame = av.VideoFrame.from_ndarray(plain(1, (level,) * 3)[0], format="rgb24")
            frame.pts = tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    unnamed = (
        written.rename(tmp_path / "unnamed") if suffix not in ("mjpeg", "m2v", "ts") else written
    )  # too short to be sure
    assert holds_video(unnamed)
    assert looks_like_video(unnamed)
    assert inspect(unnamed).n_frames == 20
    assert np.abs(decode(unnamed, SMALL).mean((1, 2, 3)) - levels).max() < 20


def test_text_pictures_and_lists_of_other_files_are_no_videos(tmp_path):
    write(tmp_path / "real.mp4", plain(3, RED))
    texts = {
        "notes.txt": "nothing\n" * 100,
        "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\nreal.mp4\n#EXT-X-ENDLIST\n",
        "list.ffconcat": "ffconcat version 1.0\nfile real.mp4\n",
        "a.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
        "labels.csv": "file,label\nreal.mp4,run\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "random.dat").write_bytes(np.random.default_rng(0).bytes(10_000))
    (tmp_path / "pixels.yuv").write_bytes(bytes(64 * 64 * 3))
    Image.fromarray(plain(1, RED)[0]).save(tmp_path / "still", format="PNG")
    for name in (*texts, "random.dat", "pixels.yuv", "still"):
        assert not holds_video(tmp_path / name), name
        assert not looks_like_video(tmp_path / name), name
        with pytest.raises(UnreadableVideo):
            inspect(tmp_path / name)
    assert holds_video(tmp_path / "real.mp4")


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_the_default_stream_is_read_not_the_first(tmp_path, suffix):
    default = av.stream.Disposition.default
    with av.open(str(tmp_path / f"a.{suffix}"), "w") as container:
        first = add_video(container, plain(10, BLUE), disposition=av.stream.Disposition(0))
        second = add_video(container, plain(20, RED), disposition=default)
        container.mux(first + second)
    frames = decode(tmp_path / f"a.{suffix}", SMALL)
    assert len(frames) == 20
    assert np.abs(frames.astype(int) - RED).max() < 12


def test_a_picture_track_before_the_video_is_not_taken_for_it(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        first = add_video(container, plain(1, BLUE), "mjpeg", disposition=av.stream.Disposition(0))
        container.mux(first + add_video(container, plain(40, RED), disposition=av.stream.Disposition.default))
    assert inspect(tmp_path / "a.mkv").n_frames == 40


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "mov"])
def test_a_long_song_does_not_make_a_short_video_long(tmp_path, suffix):
    with av.open(str(tmp_path / f"a.{suffix}"), "w") as container:
        video = add_video(container, plain(10, RED))
        sound = container.add_stream("aac", rate=8000, layout="mono")
        silence = np.zeros((1, 1024), np.float32)
        packets = []
        for block in range(40):  # 5 s
            frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 8000, block * 1024
            packets += sound.encode(frame)
        container.mux(video + packets + sound.encode())
    path = tmp_path / f"a.{suffix}"
    assert inspect(path, Limits(max_seconds=1)).n_frames == 10
    with pytest.raises(UnreadableVideo, match=r"0 s long, data\.max_seconds allows 0\.2"):
        inspect(path, Limits(max_seconds=0.2))


@pytest.mark.parametrize(("aspect", "shown"), [((2, 1), (128, 64)), ((1, 2), (32, 64)), ((16, 15), (68, 64))])
def test_pixels_that_are_not_square_are_shown_as_wide_as_they_are(tmp_path, aspect, shown):
    frames = plain(3, BLUE)
    frames[:, :, 16:48] = RED  # the middle half of the stored width
    path = write(tmp_path / "a.mp4", frames, sample_aspect_ratio=Fraction(*aspect))
    info = inspect(path).info
    assert (info.width, info.height) == shown
    red = (decode(path, SMALL)[0, 16, :, 0] > 130).sum()
    assert red == min(32, round(32 * max(aspect[0] / aspect[1], 1)) // 2)


def test_the_size_with_square_pixels_is_limited_too(tmp_path):
    path = write(tmp_path / "a.mp4", plain(3, RED), sample_aspect_ratio=Fraction(60, 1))
    with pytest.raises(UnreadableVideo, match=r"3840x64 pixels, data\.max_pixels allows 100000"):
        inspect(path, Limits(max_pixels=100_000))


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_high_frame_rate_loses_frames_evenly(tmp_path, suffix):
    levels = np.arange(48, dtype=np.uint8) * 5
    frames = np.tile(levels[:, None, None, None], (1, 64, 64, 3))
    path = write(tmp_path / f"a.{suffix}", frames, rate=480)
    seen = inspect(path)
    assert (seen.n_frames, round(seen.info.fps)) == (12, 120)
    steps = np.diff(decode(path, SMALL).mean((1, 2, 3)))
    assert np.abs(steps - 20).max() < 4


def test_a_pause_is_told_with_its_length(tmp_path, write_video):
    ticks = [*range(10), *range(1510, 1520)]
    path = write_video(tmp_path / "a.mkv", plain(20, RED), ticks=ticks)
    seen = inspect(path)
    assert seen.n_frames == 1520
    assert seen.warning == "frame 10 is shown for 60 s, as 1501 equal frames"


@pytest.mark.parametrize(("number", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_told(tmp_path, number, name):
    path = write(tmp_path / "a.mp4", plain(3, RED), color_trc=number)
    assert inspect(path).warning == f"HDR ({name}), its colours are read without tone mapping and look pale"
    assert inspect(write(tmp_path / "b.mp4", plain(3, RED), color_trc=1)).warning is None
