"""Rows of images with text beside and below them, as a PNG, pixel for pixel."""

import io
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

DPI, LINE, LETTER = 100, 18, 7  # pixels: an inch, the height of a line, the mean width of a letter
BLACK, GREY = "black", "#5b6472"


@dataclass(frozen=True)
class ImageRow:
    """`lines` are written to the left, the first in black; `images` are uint8 (H, W, 3), `captions` are below them."""

    lines: Sequence[str]
    images: Sequence[np.ndarray]
    captions: Sequence[str] = ()


def image_grid(rows: Sequence[ImageRow], columns: Sequence[str], side: int, left: int, gap: int) -> bytes:
    """A PNG of `rows` under the names of `columns`; each image is centred in a square of `side` pixels.

    Text is cut at the end of its column, which has `left` pixels for `lines`; empty names or captions take no space.
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure as Canvas
    from matplotlib.transforms import Bbox

    top = 2 * LINE if any(columns) else 0
    step = side + gap + (LINE if any(row.captions for row in rows) else 0)
    width, height = left + len(columns) * (side + gap), top + max(1, len(rows)) * step
    canvas, content = Canvas((width / DPI, height / DPI), DPI), io.BytesIO()

    def write(text: str, x: float, y: float, n_pixels: int, colour: str = GREY) -> None:
        most = int(n_pixels / LETTER)
        canvas.text(x / width, 1 - y / height, text if len(text) <= most else f"{text[: most - 1]}…", va="top", fontsize=8.5,
                    color=colour, clip_on=True, clip_box=Bbox([[x, 0], [x + n_pixels, height]]))  # fmt: skip

    with rc_context({"text.parse_math": False}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a letter that the font lacks is drawn as a box
        for column, name in enumerate(columns):
            write(name, left + column * (side + gap), LINE / 2, side, BLACK)
        for y, row in zip(range(top, height, step), rows, strict=False):
            for line, text in enumerate(row.lines):
                write(text, 4, y + 2 + line * (LINE - 2), left - 8, GREY if line else BLACK)
            for column, image in enumerate(row.images):
                x, (h, w) = left + column * (side + gap), image.shape[:2]
                canvas.figimage(image, x + (side - w) // 2, height - y - (side + h + 1) // 2)
            for column, text in enumerate(row.captions):
                write(text, left + column * (side + gap), y + side + 2, side)
        canvas.savefig(content, format="png")
    return content.getvalue()
