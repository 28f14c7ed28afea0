"""A picture of flows: pairs of frames, where each pixel truly went, and where each estimator says it went."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from videogan.storage.atomic import write_atomically

SIDE = 128  # of a frame in the picture
GAP, LINE, LABELS, FONT_SIZE = 8, 18, 132, 13
WHITE, BLACK, GREY = (255, 255, 255), (0, 0, 0), (110, 110, 110)


@dataclass(frozen=True)
class ShownPair:
    """One row: frames (3, H, W) in [-1, 1], the true flow and the estimators' by name, (2, H, W) in pixels."""

    kind: str
    first: Tensor
    second: Tensor
    truth: Tensor
    found: dict[str, Tensor]


def flow_colours(flow: Tensor, longest: float) -> Image.Image:
    """`flow` (2, H, W) as colours, after Baker et al. (IJCV 2011): hue is its direction, white none, full colour from
    `longest` pixels on."""
    u, v = flow.double().numpy()
    hue = (np.arctan2(v, u) / (2 * np.pi)) % 1
    saturation = np.clip(np.hypot(u, v) / longest, 0, 1)
    hsv = np.stack([hue, saturation, np.ones_like(hue)], axis=-1)
    return Image.fromarray((255 * hsv).round().astype(np.uint8), "HSV").convert("RGB")


def write_flow_picture(path: Path, pairs: list[ShownPair]) -> None:
    """A PNG, a row for each pair; colours of one row have one scale, up to the longest true motion in it."""
    header, row = 2 * LINE, SIDE + LINE + GAP
    names = ["first frame", "second frame", "true flow", *pairs[0].found]
    picture = Image.new("RGB", (LABELS + len(names) * (SIDE + GAP), header + len(pairs) * row + GAP), WHITE)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(FONT_SIZE)
    for column, name in enumerate(names):
        draw.text((_left(column), GAP), name, BLACK, font)
    for number, pair in enumerate(pairs):
        _paste_row(picture, pair, header + number * row, font)
    write_atomically(path, lambda stream: picture.save(stream, "PNG", optimize=True))


def _paste_row(picture: Image.Image, pair: ShownPair, top: int, font: ImageFont.FreeTypeFont) -> None:
    draw = ImageDraw.Draw(picture)
    lengths = torch.linalg.vector_norm(pair.truth, dim=0)
    longest = max(lengths.max().item(), 1e-3)
    for line, text in enumerate((*pair.kind.split(", "), "", "colours up to", f"{longest:.1f} px:")):
        draw.text((GAP, top + line * LINE), text, BLACK if line == 0 else GREY, font)
    picture.paste(_wheel(2 * LINE), (GAP + 84, top + SIDE - 2 * LINE))
    told = ["", "", f"still: {lengths.mean():.2f} px off"]
    images = [_frame(pair.first), _frame(pair.second), flow_colours(pair.truth, longest)]
    for flow in pair.found.values():
        images.append(flow_colours(flow, longest))
        told.append(f"{torch.linalg.vector_norm(flow - pair.truth, dim=0).mean():.2f} px off")
    for column, (image, text) in enumerate(zip(images, told, strict=True)):
        picture.paste(image.resize((SIDE, SIDE), Image.Resampling.NEAREST), (_left(column), top))
        draw.text((_left(column), top + SIDE + 1), text, GREY, font)


def _left(column: int) -> int:
    return LABELS + column * (SIDE + GAP)


def _frame(frame: Tensor) -> Image.Image:
    return Image.fromarray(((frame.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy())


def _wheel(side: int) -> Image.Image:
    """The key: each place shows the colour of the flow that leads there from the middle."""
    place = torch.linspace(-1, 1, side)
    flow = torch.stack(torch.meshgrid(place, place, indexing="xy"))
    wheel = np.asarray(flow_colours(flow, 1.0)).copy()
    wheel[(torch.linalg.vector_norm(flow, dim=0) > 1).numpy()] = 255
    return Image.fromarray(wheel)
