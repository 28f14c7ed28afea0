import av
import numpy as np
import pytest

from videogan.data.decode import decode, inspect
from videogan.data.preprocessing import preprocessing_named


@pytest.fixture(scope="module")
def fields():
    """A white bar on black that moves 2 pixels from field to field, as progressive pictures (40, 64, 96, 3)."""
    fields = np.zeros((40, 64, 96, 3), np.uint8)
    for t, field in enumerate(fields):
        field[:, 2 * t : 2 * t + 10] = 255
    return fields


@pytest.fixture(scope="module")
def interlaced(fields, tmp_path_factory):
    """20 frames, each with the odd lines of one field and the even lines of the next: bottom field first."""
    frames = fields[::2].copy()
    frames[:, ::2] = fields[1::2, ::2]
    path = tmp_path_factory.mktemp("interlaced") / "a.mp4"
    options = {"qp": "1", "x264-params": "bff=1", "g": "5"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        for image in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    return path


def error(shown, fields):
    return np.abs(shown.astype(int) - fields[::2, :, 16:80]).mean()


def test_interlaced_frames_are_told_with_the_remedy(interlaced):
    seen = inspect(interlaced)
    assert seen.n_frames == 20
    assert seen.warning == (
        "interlaced, moving edges look like combs: --set data.preprocessing=deinterlaced_<size> removes them"
    )


def test_deinterlacing_gives_as_many_frames_each_of_one_moment(interlaced, fields):
    combed = decode(interlaced, preprocessing_named("plain_64"))
    clean = decode(interlaced, preprocessing_named("deinterlaced_64"))
    assert clean.shape == combed.shape == (20, 64, 64, 3)
    assert error(combed, fields) > 5
    assert error(clean, fields) < 0.1


def test_a_deinterlaced_window_equals_the_slice_of_the_whole_file(interlaced):
    deinterlaced = preprocessing_named("deinterlaced_64")
    whole = decode(interlaced, deinterlaced)
    for start, n_frames in ((0, 3), (7, 8), (15, 5)):
        window = decode(interlaced, deinterlaced, start=start, n_frames=n_frames)
        np.testing.assert_array_equal(window, whole[start : start + n_frames])


def test_deinterlacing_leaves_progressive_frames_as_they_are(tmp_path, fields, write_video):
    path = write_video(tmp_path / "a.mp4", fields)
    assert inspect(path).warning is None
    np.testing.assert_array_equal(
        decode(path, preprocessing_named("deinterlaced_64")), decode(path, preprocessing_named("plain_64"))
    )
