"""Pictures have the right layout, and written files can be read back."""

import io

import av
import numpy as np
import torch
from PIL import Image

from videogan.sampling.pictures import (
    LINE,
    MARGIN,
    contact_sheet,
    enlarged,
    grid_frames,
    labelled_grid,
    text_width,
    write_gif,
    write_mp4,
    write_png,
)


def test_grid_places_videos_row_by_row_with_black_gaps_and_an_incomplete_last_row():
    videos = torch.arange(1, 4, dtype=torch.uint8).view(3, 1, 1, 1, 1).expand(3, 2, 4, 6, 3)
    grid = grid_frames(videos, n_columns=2, gap=1)
    assert grid.shape == (2, 9, 13, 3)
    picture = grid[1, :, :, 0]
    assert torch.equal(picture[:4, :6].unique(), torch.tensor([1], dtype=torch.uint8))
    assert torch.equal(picture[:4, 7:].unique(), torch.tensor([2], dtype=torch.uint8))
    assert torch.equal(picture[5:, :6].unique(), torch.tensor([3], dtype=torch.uint8))
    assert not picture[4].any()
    assert not picture[:, 6].any()
    assert not picture[5:, 7:].any()


def test_labels_are_beside_rows_and_above_columns_and_do_not_change_the_clips():
    videos = torch.randint(100, 256, (2, 3, 4, 64, 64, 3), dtype=torch.uint8)
    names = ["walk", "a long name\nof two lines"], ["s = 0", "s = 0.5", "s = 1"]
    grid = labelled_grid(videos, *names, gap=2)
    left = text_width("a long name") + MARGIN
    assert grid.shape == (4, LINE + 2 * 64 + 2, left + 3 * 64 + 2 * 2, 3)
    assert torch.equal(grid[:, LINE + 66 :, left + 66 : left + 130], videos[1, 1])
    for top in (LINE, LINE + 66):
        assert grid[:, top : top + LINE, :left].amax() > 200, "a name in white"
    for i in range(3):
        assert grid[:, :LINE, left + 66 * i : left + 66 * i + 64].amax() > 200
    assert not grid[:, :LINE, :left].any()


def test_small_clips_are_enlarged_by_whole_pixels_and_large_ones_do_not_change():
    video = torch.randint(256, (2, 16, 24, 3), dtype=torch.uint8)
    large = enlarged(video)
    assert large.shape == (2, 64, 96, 3)
    assert all(torch.equal(large[:, i::4, j::4], video) for i in range(4) for j in range(4))
    assert torch.equal(enlarged(large), large)


def test_contact_sheet_shows_the_first_and_the_last_frame_each_under_its_number():
    frames = torch.arange(16, dtype=torch.uint8).view(16, 1, 1, 1).expand(16, 100, 100, 3)
    sheet = contact_sheet(frames, gap=0)
    assert sheet.shape == (2 * (LINE + 100), 2 * 100, 3)
    assert sheet[LINE + 50 :: LINE + 100, 50::100, 0].tolist() == [[0, 5], [10, 15]]
    assert sheet[:LINE].amax() > 200
    assert contact_sheet(frames[:, :, :10], gap=0).shape == (LINE + 100, 40, 3), "narrow ones side by side"
    assert contact_sheet(frames, [3, 4], gap=0)[LINE + 50 :: LINE + 100, 50::100, 0].tolist() == [[3, 4]]
    assert contact_sheet(frames[:1]).shape == (LINE + 100, 100, 3)


def moving_bar(height: int = 33, width: int = 47) -> torch.Tensor:
    frames = torch.zeros(12, height, width, 3, dtype=torch.uint8)
    for t in range(12):
        frames[t, :, 2 * t : 2 * t + 8] = torch.tensor([250, 200, 40], dtype=torch.uint8)
    return frames


def test_mp4_decodes_to_the_frames_with_even_sides(tmp_path):
    frames = moving_bar()
    write_mp4(tmp_path / "bar.mp4", frames, fps=10)
    with av.open(str(tmp_path / "bar.mp4")) as container:
        assert container.streams.video[0].average_rate == 10
        decoded = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    assert decoded.shape == (12, 34, 48, 3)
    assert np.abs(decoded[:, :33, :47].astype(int) - frames.numpy()).mean() < 6


def test_gif_repeats_for_ever_and_holds_every_frame(tmp_path):
    frames = moving_bar()
    write_gif(tmp_path / "bar.gif", frames, fps=10)
    stream = io.BytesIO()
    write_gif(stream, frames, fps=10)
    assert stream.getvalue() == (tmp_path / "bar.gif").read_bytes()
    with Image.open(tmp_path / "bar.gif") as image:
        assert (image.n_frames, image.info["loop"], image.info["duration"]) == (12, 0, 100)
        image.seek(11)
        assert np.abs(np.asarray(image.convert("RGB")).astype(int) - frames[11].numpy()).max() < 8


def test_a_png_holds_every_pixel(tmp_path):
    picture = torch.randint(256, (9, 7, 3), dtype=torch.uint8)
    write_png(tmp_path / "picture.png", picture)
    with Image.open(tmp_path / "picture.png") as image:
        assert np.array_equal(np.asarray(image), picture.numpy())
