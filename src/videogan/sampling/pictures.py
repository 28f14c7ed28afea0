"""Pictures of clips: labelled grids, contact sheets, GIF, mp4 and PNG."""

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

FPS = 12.5
FPS_MAX = 50.0  # browsers show a GIF's frames for 20 ms at least
LEAST_SIDE = 64  # minimum side of a clip among labels; smaller ones are enlarged
FONT_SIZE, LINE, MARGIN = 13, 22, 6
GRID_GAP = 2  # pixels between the clips of a grid


def grid_frames(videos: Tensor, n_columns: int, gap: int = GRID_GAP) -> Tensor:
    """uint8 (T, H', W', C): `videos` (n, T, H, W, C) row by row in `n_columns` columns, `gap` black pixels apart."""
    n, n_frames, height, width, channels = videos.shape
    n_rows = -(-n // n_columns)
    grid = videos.new_zeros(n_frames, n_rows * (height + gap) - gap, n_columns * (width + gap) - gap, channels)
    for i, video in enumerate(videos):
        top, left = i // n_columns * (height + gap), i % n_columns * (width + gap)
        grid[:, top : top + height, left : left + width] = video
    return grid


def enlarged(videos: Tensor) -> Tensor:
    """`videos` (..., H, W, C) with repeated pixels, so that they are at least `LEAST_SIDE` high."""
    times = max(1, math.ceil(LEAST_SIDE / videos.shape[-3]))
    return videos.repeat_interleave(times, -3).repeat_interleave(times, -2)


def labelled_grid(videos: Tensor, rows: Sequence[str], columns: Sequence[str], gap: int = GRID_GAP) -> Tensor:
    """uint8 (T, H', W', 3): `videos` (r, c, T, H, W, 3), enlarged, with a name beside each row and above each column.

    Names may have several lines; a name wider than its column is cut.
    """
    large = enlarged(videos)
    grid = grid_frames(large.flatten(0, 1), len(columns), gap)
    height, width = large.shape[3:5]
    top = LINE * max(name.count("\n") + 1 for name in columns)
    left = max(text_width(name) for name in rows) + MARGIN
    picture = grid.new_zeros(len(grid), top + grid.shape[1], left + grid.shape[2], 3)
    picture[:, top:, left:] = grid
    for i, name in enumerate(columns):
        x = left + i * (width + gap)
        picture[:, :top, x : x + width] = written(name, top, width)
    for i, name in enumerate(rows):
        y = top + i * (height + gap)
        picture[:, y : y + height, : left - MARGIN] = written(name, height, left - MARGIN)
    return picture


def titled(frames: Tensor, title: str) -> Tensor:
    """`frames` (T, H, W, 3) below a line with `title`."""
    strip = written(title, LINE, frames.shape[2])
    return torch.cat([strip.expand(len(frames), -1, -1, -1), frames], dim=1)


def written(text: str, height: int, width: int) -> Tensor:
    """uint8 (H, W, 3): white `text` on black, its first line at the top left."""
    picture = Image.new("RGB", (width, height))
    ImageDraw.Draw(picture).multiline_text((0, 3), text, (255, 255, 255), label_font())
    return torch.from_numpy(np.array(picture))


def text_width(text: str) -> int:
    """Width in pixels of the longest line of `text`."""
    return max(math.ceil(label_font().getlength(line)) for line in text.split("\n"))


def label_font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(FONT_SIZE)


def contact_sheet(frames: Tensor, shown: Sequence[int] | None = None, gap: int = 12) -> Tensor:
    """A still of a grid, uint8 (H', W', 3): its `frames` (T, H, W, 3) at the places `shown`, each under its number.

    shown: by default four, evenly spaced. The number of columns makes the sheet nearest to a square.
    """
    n_frames, height, width = frames.shape[:3]
    if shown is None:
        shown = torch.linspace(0, n_frames - 1, min(4, n_frames)).round().long().tolist()
    stills = torch.stack([titled(frames[i, None], f"frame {i + 1} of {n_frames}") for i in shown])

    def elongation(n_columns: int) -> float:
        return abs(math.log(n_columns * width / (-(-len(shown) // n_columns) * (height + LINE))))

    return grid_frames(stills, min(range(1, len(shown) + 1), key=elongation), gap)[0]


def write_gif(path: Path | BinaryIO, frames: Tensor, fps: float = FPS) -> None:
    """Write uint8 `frames` (T, H, W, 3) as an endless GIF; its time unit is 10 ms."""
    images = [Image.fromarray(frame) for frame in frames.numpy()]
    images[0].save(path, format="GIF", save_all=True, append_images=images[1:], duration=round(1000 / fps), loop=0)


def write_mp4(path: Path | BinaryIO, frames: Tensor, fps: float = FPS) -> None:
    """Write uint8 `frames` (T, H, W, 3) as H.264; an odd height or width repeats its last row or column."""
    pixels = frames.numpy()
    pixels = np.pad(pixels, ((0, 0), (0, pixels.shape[1] % 2), (0, pixels.shape[2] % 2), (0, 0)), mode="edge")
    with av.open(path, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1000), options={"crf": "16"})
        stream.height, stream.width, stream.pix_fmt = *pixels.shape[1:3], "yuv420p"
        for frame in pixels:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def write_lossless_mp4(path: Path | BinaryIO, frames: Tensor, fps: float = FPS) -> None:
    """Write uint8 `frames` (T, H, W, 3) as H.264 in RGB that decodes to the same bytes; few browsers show it."""
    with av.open(path, "w", format="mp4") as container:
        stream = container.add_stream("libx264rgb", rate=Fraction(fps).limit_denominator(1000), options={"qp": "0"})
        stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], "rgb24"
        for frame in frames.numpy():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def write_png(path: Path | BinaryIO, picture: Tensor) -> None:
    """Write a uint8 `picture` (H, W, 3)."""
    Image.fromarray(picture.numpy()).save(path, format="PNG")
