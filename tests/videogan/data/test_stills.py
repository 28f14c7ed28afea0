import numpy as np
import pytest
from PIL import Image

from videogan.data.decode import content_sha, decode, inspect, probe
from videogan.data.preprocessing import preprocessing_named
from videogan.data.source import Limits, MissingVideo, UnreadableVideo
from videogan.data.stills import is_stills, open_clips, row_of, stills_sha


def smooth(n_frames, height=64, width=64, seed=0):
    """uint8 (T, H, W, 3) of soft colours, which JPEG keeps; each frame has its own brightness."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    level = np.arange(n_frames)[:, None, None, None] * 4
    return (40 + level + 40 * np.stack([x, y, (x + y) / 2], -1)).astype(np.uint8)


def write_frames(folder, frames, name="{:05d}.jpg", **options):
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, start=1):
        Image.fromarray(frame).save(folder / name.format(number), **options)
    return folder


def write_strip(path, frames, axis=1):
    """Frames joined side by side (axis 1) or one above the other (axis 0)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.concatenate(list(frames), axis=axis)).save(path, quality=95)
    return path


def close(decoded, frames):
    return decoded.shape == frames.shape and np.abs(decoded.astype(int) - frames).max() < 12


def test_a_folder_of_frames_is_read_in_the_order_of_its_numbers(tmp_path):
    frames = smooth(12, 100, 142)
    clip = write_frames(tmp_path / "34870", frames, "{}.jpg", quality=95)  # 10.jpg sorts before 2.jpg as text
    (clip / "notes.txt").write_text("no frame")
    seen = inspect(clip)
    assert (seen.n_frames, seen.info.width, seen.info.height, seen.info.codec) == (12, 142, 100, "jpeg_frames")
    assert seen.warning is None
    levels = decode(clip, preprocessing_named("mvt_jester")).mean((1, 2, 3))
    assert np.abs(np.diff(levels) - 4).max() < 0.5
    np.testing.assert_array_equal(
        decode(clip, preprocessing_named("plain_64"), start=3, n_frames=2),
        decode(clip, preprocessing_named("plain_64"))[3:5],
    )


@pytest.mark.parametrize(("axis", "codec"), [(1, "jpeg_strip"), (0, "jpeg_stack")])
def test_a_strip_is_cut_into_its_square_frames(tmp_path, axis, codec):
    frames = smooth(9)
    path = write_strip(tmp_path / "clip.jpg", frames, axis)
    assert probe(path).codec == codec
    assert probe(path).n_frames_header == inspect(path).n_frames == 9
    assert close(decode(path, preprocessing_named("plain_64")), frames)
    assert decode(path, preprocessing_named("plain_32"), start=7, n_frames=2).shape == (2, 32, 32, 3)


def test_png_is_exact_and_one_square_picture_is_one_frame(tmp_path):
    frames = smooth(3)
    clip = write_frames(tmp_path / "clip", frames, "{}.png")
    np.testing.assert_array_equal(decode(clip, preprocessing_named("plain_64")), frames)
    assert inspect(clip / "1.png").n_frames == 1


def test_an_arrays_second_axis_counts_clips_and_grey_becomes_three_channels(tmp_path):
    clips = np.random.default_rng(0).integers(0, 255, (20, 11, 64, 64), dtype=np.uint8)
    np.save(tmp_path / "a.npy", clips)
    path = row_of(tmp_path / "a.npy", 7, 11)
    assert path.name == "a.npy#07"
    frames = decode(path, preprocessing_named("plain_64"))
    np.testing.assert_array_equal(frames, np.repeat(clips[:, 7, :, :, None], 3, axis=-1))
    assert (inspect(path).info.codec, inspect(path).n_frames) == ("npy", 20)
    with pytest.raises(MissingVideo, match="clip 11 of an array that holds 11"):
        inspect(tmp_path / "a.npy#11")
    with pytest.raises(MissingVideo):
        inspect(tmp_path / "gone.npy#0")


def test_grey_pictures_are_three_equal_channels(tmp_path):
    clip = write_frames(tmp_path / "clip", smooth(2)[..., 0], quality=95)
    frames = decode(clip, preprocessing_named("plain_64"))
    assert frames.shape == (2, 64, 64, 3)
    assert (frames == frames[..., :1]).all()


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("damage", ["cut", "overwritten", "empty", "text"])
def test_a_damaged_frame_ends_the_clip_with_its_reason(tmp_path, damage, suffix):
    frames = np.random.default_rng(0).integers(0, 255, (6, 64, 64, 3), dtype=np.uint8)
    clip = write_frames(tmp_path / "clip", frames, "{:05d}." + suffix)
    bad = clip / f"00004.{suffix}"
    content = bad.read_bytes()
    half = len(content) // 2
    bad.write_bytes(
        {"cut": content[:half], "overwritten": content[:half] + bytes(200) + content[half + 200 :],
         "empty": b"", "text": b"<html>"}[damage]
    )  # fmt: skip
    seen = inspect(clip)
    assert seen.n_frames == 3
    assert seen.warning.startswith("3 of 6 frames decode (00004." + suffix)
    assert len(decode(clip, preprocessing_named("plain_32"))) == 3
    with pytest.raises(UnreadableVideo, match="3 frames decode, 4 are needed"):
        decode(clip, preprocessing_named("plain_32"), n_frames=4)


def test_a_damaged_strip_has_no_usable_frame(tmp_path):
    path = write_strip(tmp_path / "clip.jpg", smooth(9))
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(UnreadableVideo, match=r"no frame decodes \(clip\.jpg: "):
        inspect(path)


def test_paths_that_are_not_clips_are_errors_with_the_reason(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("<html>")
    Image.new("RGB", (100, 64)).save(tmp_path / "odd.jpg")
    np.save(tmp_path / "float.npy", np.zeros((20, 3, 8, 8)))
    np.save(tmp_path / "cut.npy", np.zeros((20, 3, 8, 8), np.uint8))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:-9])
    reasons = {
        "empty": "no picture in the folder", "empty.jpg": "empty file", "text.jpg": "not a JPEG or PNG picture",
        "odd.jpg": "100x64 pixels: a strip", "gone.jpg": "no such file", "float.npy#0": "time first",
        "cut.npy#0": "not an array",
    }  # fmt: skip
    for name, reason in reasons.items():
        with pytest.raises(UnreadableVideo, match=reason):
            inspect(tmp_path / name)


@pytest.mark.parametrize(
    "header",
    [
        b"{", b"'", b"[" * 60, b"{'descr': '|u1', 'fortran_order': False, 'shape': (4, 1, 8, 8)", b"\xff" * 40,
        b"{'descr': '|O', 'fortran_order': False, 'shape': (4, 1, 8, 8), }",
        b"{'descr': 3, 'fortran_order': False, 'shape': (4, 1, 8, 8), }",
        b"{'descr': '|u1', 'fortran_order': False, 'shape': (-4, 1, 8, 8), }",
        b"{'descr': '|u1', 'fortran_order': False, 'shape': (" + b"9" * 30 + b", 1, 8, 8), }",
        b"{'descr': '|u1', 'fortran_order': False, 'shape': ('a', 1, 8, 8), }", b"lambda: 0", b"{1: 2}",
    ],
)  # fmt: skip
def test_an_array_with_a_damaged_header_is_an_error_with_its_name(tmp_path, header):
    np.save(tmp_path / "a.npy", np.zeros((4, 1, 8, 8), np.uint8))
    content = (tmp_path / "a.npy").read_bytes()
    (tmp_path / "a.npy").write_bytes(content[:10] + header.ljust(118)[:117] + b"\n" + content[128:])
    for read in (lambda: inspect(tmp_path / "a.npy#0"), lambda: open_clips(tmp_path / "a.npy")):
        with pytest.raises(UnreadableVideo, match=r"a\.npy.*not an array that numpy reads \([^\n]+\)$"):
            read()
    (tmp_path / "a.npy").write_bytes(b"PK\x03\x04" + content)
    with pytest.raises(UnreadableVideo, match="not an array"):
        open_clips(tmp_path / "a.npy")


def test_links_that_lead_to_themselves_are_clips_that_cannot_be_read(tmp_path):
    for name in ("a.jpg", "frames/0.jpg", "b.npy"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(tmp_path / name)
    for name in ("a.jpg", "frames", "b.npy#0"):
        with pytest.raises(UnreadableVideo):
            inspect(tmp_path / name)
        with pytest.raises(UnreadableVideo):
            stills_sha(tmp_path / name)


def test_limits_hold_on_headers(tmp_path):
    strip, clip = write_strip(tmp_path / "clip.jpg", smooth(4)), write_frames(tmp_path / "clip", smooth(3))
    np.save(tmp_path / "a.npy", np.zeros((20, 1, 64, 64), np.uint8))
    for path in (strip, clip, tmp_path / "a.npy#0"):
        with pytest.raises(UnreadableVideo, match=r"data\.max_pixels allows 100"):
            inspect(path, Limits(max_pixels=100))
        with pytest.raises(UnreadableVideo, match=r"frames, data\.max_seconds allows 2"):
            inspect(path, Limits(max_seconds=2 / 120))


def test_the_sha_depends_on_the_content_and_not_on_the_path(tmp_path):
    frames = smooth(3)
    one, same = (write_frames(tmp_path / name, frames) for name in ("one", "same"))
    other = write_frames(tmp_path / "other", frames[::-1])
    assert content_sha(one) == content_sha(same) == inspect(one).sha != content_sha(other)
    clips = np.arange(2 * 3 * 4 * 4, dtype=np.uint8).reshape(2, 3, 4, 4)
    np.save(tmp_path / "a.npy", clips)
    np.save(tmp_path / "b.npy", clips[:, ::-1])
    assert content_sha(tmp_path / "a.npy#0") == content_sha(tmp_path / "b.npy#2") != content_sha(tmp_path / "a.npy#2")
    assert content_sha(write_strip(tmp_path / "s.jpg", frames)) == inspect(tmp_path / "s.jpg").sha
    for gone in ("gone.jpg", "gone", "gone.npy#0"):
        with pytest.raises(MissingVideo):
            content_sha(tmp_path / gone)


def test_the_path_alone_determines_the_kind_of_stills(tmp_path):
    (tmp_path / "frames").mkdir()
    assert all(is_stills(path) for path in (tmp_path / "frames", "a.JPG", "b.png", "c.npy#3"))
    assert not any(is_stills(path) for path in ("a.mp4", "c.npy", "c.npy#x", "gone", "a.gif"))
