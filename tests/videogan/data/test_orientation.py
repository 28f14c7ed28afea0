"""All 8 orientations, of containers and of EXIF, on a picture that no flip or turn maps to itself."""

import av
import numpy as np
import pytest
from PIL import Image

from videogan.data.decode import decode, inspect
from videogan.data.orientation import Orientation
from videogan.data.preprocessing import preprocessing_named

COLOURS = {"A": (220, 40, 40), "B": (40, 200, 40), "C": (40, 40, 220), "D": (230, 230, 230)}
# EXIF's number -> the display matrix (a, b, c, d), and the quarters as they are shown: top left, top right, bottom
# left, bottom right. Stored is AB above CD.
SHOWN = {
    1: ((1, 0, 0, 1), "ABCD"),
    2: ((-1, 0, 0, 1), "BADC"),
    3: ((-1, 0, 0, -1), "DCBA"),
    4: ((1, 0, 0, -1), "CDAB"),
    5: ((0, 1, 1, 0), "ACBD"),
    6: ((0, 1, -1, 0), "CADB"),
    7: ((0, -1, -1, 0), "DBCA"),
    8: ((0, -1, 1, 0), "BDAC"),
}


def picture(height=64, width=96):
    image = np.zeros((height, width, 3), np.uint8)
    for quarter, colour in zip(np.ndindex(2, 2), COLOURS.values(), strict=True):
        rows, columns = (slice(i * n // 2, (i + 1) * n // 2) for i, n in zip(quarter, (height, width), strict=True))
        image[rows, columns] = colour
    return image


def quarters(image):
    """The names of the four quarters' colours."""
    height, width = image.shape[:2]
    seen = [image[y * height // 4, x * width // 4].astype(int) for y in (1, 3) for x in (1, 3)]
    return "".join(min(COLOURS, key=lambda name: np.abs(colour - COLOURS[name]).sum()) for colour in seen)


def with_matrix(path, matrix):
    a, b, c, d = (65536 * value for value in matrix)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "1"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.set_display_matrix((a, b, 0, c, d, 0, 0, 0, 1 << 30))
        for _ in range(2):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(), format="rgb24")))
        container.mux(stream.encode())


@pytest.mark.parametrize("number", SHOWN)
def test_each_orientation_shows_the_stored_pixels_elsewhere_and_changes_none(number):
    a, b, c, d = SHOWN[number][0]
    orientation = Orientation(a == 0, (a or c) < 0, (d or b) < 0)
    stored = np.arange(2 * 3).reshape(2, 3)
    shown = orientation.shown(stored)
    for (q, p), value in np.ndenumerate(stored):
        # The matrix moves pixel (p, q); negative places count from the other end.
        column, row = a * p + c * q, b * p + d * q
        assert shown[row - ((b or d) < 0), column - ((a or c) < 0)] == value
    assert orientation.sides(3, 2) == shown.shape[::-1]


@pytest.mark.parametrize("number", SHOWN)
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "jpg", "png"])
def test_a_clip_is_shown_as_its_container_or_its_exif_says(tmp_path, suffix, number):
    matrix, expected = SHOWN[number]
    path = tmp_path / f"clip.{suffix}"
    if suffix in ("jpg", "png"):
        exif = Image.Exif()
        exif[0x0112] = number
        path = tmp_path / "clip"
        path.mkdir()
        Image.fromarray(picture()).save(path / f"1.{suffix}", exif=exif)
    else:
        with_matrix(path, matrix)
    seen = inspect(path)
    assert (seen.info.width, seen.info.height) == ((64, 96) if number > 4 else (96, 64))
    for frame in decode(path, preprocessing_named("plain_64")):
        assert quarters(frame) == expected
    first = np.frombuffer(seen.thumbnails, np.uint8).reshape(4, 8, 8)[0]
    grey = {name: np.dot(colour, (0.299, 0.587, 0.114)) for name, colour in COLOURS.items()}
    order = np.argsort([first[y, x] for y in (1, 5) for x in (1, 5)]).tolist()
    assert order == np.argsort([grey[name] for name in expected]).tolist(), "thumbnails are turned alike"


def test_a_strip_is_turned_before_it_is_cut_into_frames(tmp_path):
    frames = [picture(64, 64), np.zeros((64, 64, 3), np.uint8)]
    exif = Image.Exif()
    exif[0x0112] = 6  # stored a quarter turn counter-clockwise
    Image.fromarray(np.rot90(np.concatenate(frames, axis=1))).save(tmp_path / "strip.png", exif=exif)
    np.testing.assert_array_equal(decode(tmp_path / "strip.png", preprocessing_named("plain_64")), frames)
