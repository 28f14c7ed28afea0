"""PRODUCT's table "Videos in the wild": each row with real files, as its rule says."""

import multiprocessing
import re
from pathlib import Path

import av
import numpy as np
import pytest

from videogan.data.decode import _Reader, decode, inspect, probe
from videogan.data.preprocessing import preprocessing_named
from videogan.data.source import Limits, UnreadableVideo

PLAIN = preprocessing_named("plain_32")


def moving(n_frames, height=64, width=64):
    """Textured frames (T, H, W, 3) that pan: each differs from the others."""
    ground = np.random.default_rng(0).integers(60, 200, (height, width, 3), dtype=np.uint8)
    return np.stack([np.roll(ground, (t, 3 * t), axis=(0, 1)) for t in range(n_frames)])


def reason(path, limits=Limits()):
    with pytest.raises(UnreadableVideo) as raised:
        inspect(path, limits)
    return raised.value.reason


def test_bit_flips_end_the_clip_at_the_first_damaged_frame(tmp_path, write_video):
    path = write_video(tmp_path / "a.mp4", moving(60), options={"g": "100", "bf": "0"})
    clean = decode(path, PLAIN)
    with av.open(str(path)) as container:
        place, n_bytes = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size][30]
    content = bytearray(path.read_bytes())
    content[place + 4 : place + n_bytes] = bytes(byte ^ 0xFF for byte in content[place + 4 : place + n_bytes])
    path.write_bytes(content)
    seen = inspect(path)
    assert seen.n_frames <= 31
    assert f"{seen.n_frames} of 60 frames decode" in seen.warning
    np.testing.assert_array_equal(decode(path, PLAIN)[:30], clean[:30])


def test_a_container_without_frames_is_skipped(tmp_path):
    path = tmp_path / "empty.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 64, 64, "yuv420p"
        container.start_encoding()
    assert re.search("not a video that FFmpeg reads|no frame decodes", reason(path))


def test_a_song_with_a_cover_is_not_a_video(tmp_path):
    path = tmp_path / "song.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        sound = container.add_stream("aac", rate=16000, layout="mono")
        cover = container.add_stream("mjpeg", rate=1)
        cover.height, cover.width, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        picture = av.VideoFrame.from_ndarray(moving(1)[0], format="rgb24")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 16000
        for packets in (sound.encode(silence), sound.encode(), cover.encode(picture), cover.encode()):
            container.mux(packets)
    assert reason(path) == "no video stream"


@pytest.mark.parametrize("n_frames", [1, 15])
def test_short_files_decode_whole_and_refuse_a_longer_window(tmp_path, n_frames, write_video):
    path = write_video(tmp_path / "a.mp4", moving(n_frames))
    assert inspect(path).n_frames == n_frames
    assert decode(path, PLAIN).shape == (n_frames, 32, 32, 3)
    with pytest.raises(UnreadableVideo, match=f"{n_frames} frames decode, 16 are needed"):
        decode(path, PLAIN, n_frames=16)


def test_tiny_and_odd_sizes_decode_and_the_minimum_size_holds(tmp_path, write_video):
    tiny = write_video(tmp_path / "tiny.mp4", moving(20, 2, 2), codec="mpeg4")
    assert (inspect(tiny).info.width, inspect(tiny).n_frames) == (2, 20)
    with pytest.raises(UnreadableVideo, match="2x2 pixels, plain_32 needs at least 32"):
        decode(tiny, PLAIN)
    odd = write_video(tmp_path / "odd.mp4", moving(20, 49, 65))
    info = inspect(odd).info
    assert (info.width, info.height) == (65, 49)
    assert decode(odd, PLAIN).shape == (20, 32, 32, 3)


def test_a_header_without_a_frame_count_is_accepted(tmp_path, write_video):
    path = write_video(tmp_path / "a.mkv", moving(20))
    seen = inspect(path)
    assert (seen.info.n_frames_header, seen.n_frames, seen.warning) == (0, 20, None)


def with_rotation(source: Path, path: Path, degrees: int) -> Path:
    """A copy of a video, with the very packets of `source` (x264 may encode the same frames differently under load)."""
    with av.open(str(source)) as read, av.open(str(path), "w") as written:
        stream = written.add_stream_from_template(read.streams.video[0])
        stream.set_display_rotation(degrees)
        for packet in read.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                written.mux(packet)
    return path


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_rotation_is_applied_as_the_container_says(tmp_path, degrees, write_video):
    upright = write_video(tmp_path / "stored.mp4", moving(4, 64, 96))
    stored = decode(upright, preprocessing_named("plain_64"))
    path = with_rotation(upright, tmp_path / "turned.mp4", degrees)
    with av.open(str(path)) as container:
        rotation = next(container.decode(video=0)).rotation % 360
    assert rotation == degrees
    info = probe(path)
    assert (info.width, info.height) == ((96, 64) if degrees == 180 else (64, 96))
    shown = decode(path, preprocessing_named("plain_64"))
    turned = np.rot90(stored, degrees // 90, (1, 2)).astype(float)
    assert np.abs(shown - turned).mean() < 1
    assert np.abs(shown - np.rot90(turned, 2, (1, 2))).mean() > 5


def test_metadata_that_is_not_utf8_is_accepted(tmp_path, write_video):
    path = write_video(tmp_path / "a.avi", moving(20), codec="mpeg4", title="AAAAAAAA")
    content = path.read_bytes()
    assert content.count(b"AAAAAAAA") == 1
    path.write_bytes(content.replace(b"AAAAAAAA", b"\xff\xfe\xe9\xe8\xc3\x28\xa0\xa1"))
    with pytest.raises(UnicodeDecodeError), av.open(str(path)):
        pass
    assert inspect(path).n_frames == 20


def test_huge_pixels_are_refused_without_decoding_one(tmp_path):
    path = tmp_path / "huge.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast", "x264-params": "threads=1"})
        stream.width, stream.height, stream.pix_fmt = 4096, 4096, "yuv420p"
        frame = av.VideoFrame(4096, 4096, "yuv420p")
        for plane in frame.planes:
            plane.update(bytes(plane.buffer_size))
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    # In another process: in this one the encoder sets the peak. Raw, one frame takes 25 MB, and FFmpeg keeps some.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        reason, growth_mb = pool.apply(_refusal, (path,))
    assert reason == f"4096x4096 pixels, data.max_pixels allows {Limits().max_pixels}"
    assert growth_mb < 24


def _refusal(path):
    before = _peak_mb()
    with pytest.raises(UnreadableVideo) as raised:
        inspect(path)
    return raised.value.reason, _peak_mb() - before


def _peak_mb():
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


def test_a_file_whose_frames_outgrow_its_header_is_refused(tmp_path, write_video):
    path = write_video(tmp_path / "a.avi", moving(4, 256, 256), codec="mjpeg")
    content, sizes = path.read_bytes(), (256).to_bytes(4, "little") * 2
    assert content.count(sizes) == 2
    path.write_bytes(content.replace(sizes, (32).to_bytes(4, "little") * 2))
    assert "no frame decodes" in reason(path, Limits(max_pixels=64 * 64))


def test_an_absurd_length_is_refused_before_anything_is_decoded(tmp_path, write_video, monkeypatch):
    path = write_video(tmp_path / "a.avi", moving(20), codec="mpeg4")
    content = bytearray(path.read_bytes())
    header = content.index(b"strh") + 8
    content[header + 32 : header + 36] = (2**31 - 1).to_bytes(4, "little")  # dwLength, in frames
    path.write_bytes(content)
    monkeypatch.setattr(_Reader, "frames", lambda *_: pytest.fail("frames were decoded"))
    assert re.search(r"\d+ s long, data\.max_seconds allows 300", reason(path))


def test_timestamps_years_apart_are_refused(tmp_path, write_video):
    ticks = [*range(10), 25 * 3600 * 24 * 365 + 10]
    path = write_video(tmp_path / "a.mkv", moving(11), ticks=ticks)
    assert "s long, data.max_seconds allows 300" in reason(path)


def test_more_frames_than_the_limit_allows_end_the_file_undecoded(tmp_path):
    # 200 frames within a second: the length is within its limit, the count is not.
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=1000)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuvj420p"
        for tick, image in enumerate(moving(200)):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert reason(path, Limits(max_seconds=1)) == "more than 120 frames (120 fps for data.max_seconds)"


WINDOWS = {
    "H.264, one keyframe": ("a.mp4", "libx264", {"g": "1000"}, False),
    "H.264, GOP 16 with B-frames": ("a.mp4", "libx264", {"g": "16", "bf": "3", "sc_threshold": "0"}, False),
    "H.264, open GOP": ("a.mkv", "libx264", {"g": "16", "bf": "3", "x264-params": "open-gop=1"}, False),
    "H.264, refreshed line by line": ("a.mkv", "libx264", {"g": "16", "x264-params": "intra-refresh=1"}, False),
    "H.264, MPEG transport stream": ("a.ts", "libx264", {"g": "16", "bf": "2"}, False),
    "mpeg4 AVI": ("a.avi", "mpeg4", {}, False),
    "mpeg4 AVI with B-frames": ("a.avi", "mpeg4", {"bf": "2"}, False),
    "mpeg4 MP4 with B-frames": ("a.mp4", "mpeg4", {"bf": "2"}, False),
    "variable frame rate": ("a.mkv", "libx264", {"g": "12", "bf": "2"}, True),
    "variable frame rate, MP4": ("a.mp4", "libx264", {"g": "12", "bf": "2"}, True),
}


@pytest.mark.parametrize("kind", WINDOWS)
def test_a_window_has_the_pixels_that_decoding_from_frame_zero_gives(tmp_path, kind, write_video):
    name, codec, options, variable = WINDOWS[kind]
    gaps = np.random.default_rng(3).integers(1, 4, 72)
    path = write_video(
        tmp_path / name, moving(72), codec, ticks=gaps.cumsum().tolist() if variable else None, options=options
    )
    whole = decode(path, PLAIN)
    assert len(whole) >= 64
    for start in (1, 11, 12, 15, 16, 17, 31, 40, 47, len(whole) - 16):
        window = decode(path, PLAIN, start=start, n_frames=16)
        np.testing.assert_array_equal(window, whole[start : start + 16], err_msg=f"window from {start}")


def test_a_late_window_decodes_no_frame_before_its_keyframe(tmp_path, write_video, monkeypatch):
    path = write_video(tmp_path / "a.mp4", moving(300, 240, 320), options={"g": "16", "sc_threshold": "0"})
    decoded = []
    for name in ("_sought", "_frames_from_start"):
        frames = getattr(_Reader, name)

        def counted(reader, *arguments, name=name, frames=frames):
            for frame in frames(reader, *arguments):
                decoded.append(name)
                yield frame

        monkeypatch.setattr(_Reader, name, counted)
    assert len(decode(path, PLAIN, start=285, n_frames=10)) == 10
    assert set(decoded) == {"_sought"}
    assert len(decoded) <= 32, "at most the rest of two groups of 16 frames"


@pytest.mark.parametrize(("width", "height"), [(340, 256), (64, 64), (65, 49), (96, 64)])
@pytest.mark.parametrize("name", ["plain_32", "plain_49"])  # 49: the height of one of them as it is
def test_every_size_keeps_its_colours_to_the_last_column(tmp_path, width, height, name, write_video):
    preprocessing = preprocessing_named(name)
    colours = np.array([200, 40, 90], np.uint8)
    path = write_video(tmp_path / "a.mp4", np.tile(colours, (3, height, width, 1)))
    assert np.abs(decode(path, preprocessing).astype(int) - colours).max() <= 5


def test_neighbouring_colours_are_not_smeared_over_each_other(tmp_path, write_video):
    # Stripes of 8 source columns are 4 chroma samples wide, and 2 columns at half the size.
    frames = np.zeros((3, 128, 128, 3), np.uint8)
    frames[:, :, :] = np.where((np.arange(128) // 8 % 2)[:, None], [220, 60, 60], [60, 60, 220])
    shown = decode(write_video(tmp_path / "a.mp4", frames, options={"qp": "1"}), preprocessing_named("plain_64"))
    red, blue = shown[0, 32, :, 0].astype(int), shown[0, 32, :, 2].astype(int)
    assert (red - blue).reshape(16, 4)[1::2, 1:3].min() > 100
    assert (blue - red).reshape(16, 4)[::2, 1:3].min() > 100
