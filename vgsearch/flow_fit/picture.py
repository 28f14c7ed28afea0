"""A picture of flows: pairs of frames, their true flow, and the flow by each estimator."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vgsearch.charts.image_grid import ImageRow, image_grid
from videogan.storage.atomic import write_atomically

SIDE, GAP, LEFT = 128, 8, 132  # pixels: of a frame, between frames, for the text on the left


@dataclass(frozen=True)
class ShownPair:
    """One row: frames (3, H, W) in [-1, 1], the true flow and the estimators' by name, (2, H, W) in pixels."""

    kind: str
    first: Tensor
    second: Tensor
    truth: Tensor
    found: dict[str, Tensor]


def flow_colours(flow: Tensor, longest: float) -> np.ndarray:
    """`flow` (2, H, W) as colours (H, W, 3) after Baker et al. (IJCV 2011): the hue is its direction, no flow is white,
    `longest` pixels and more have the full colour."""
    u, v = flow.double().numpy()
    hue = (np.arctan2(v, u) / (2 * np.pi)) % 1
    saturation = np.clip(np.hypot(u, v) / longest, 0, 1)
    hsv = np.stack([hue, saturation, np.ones_like(hue)], axis=-1)
    return np.asarray(Image.fromarray((255 * hsv).round().astype(np.uint8), "HSV").convert("RGB"))


def write_flow_picture(path: Path, pairs: list[ShownPair]) -> None:
    """A PNG, a row for each pair; the colours of one row have one scale, up to its longest true motion."""
    columns = ["first frame", "second frame", "colour key", "true flow", *pairs[0].found]
    content = image_grid([_row(pair) for pair in pairs], columns, SIDE, LEFT, GAP)
    write_atomically(path, lambda stream: stream.write(content))


def _row(pair: ShownPair) -> ImageRow:
    lengths = torch.linalg.vector_norm(pair.truth, dim=0)
    longest = max(lengths.max().item(), 1e-3)
    flows = [flow_colours(flow, longest) for flow in (pair.truth, *pair.found.values())]
    images = [_enlarged(image) for image in (_frame(pair.first), _frame(pair.second), _wheel(), *flows)]
    captions = ["", "", f"rim: {longest:.1f} px", f"mean {lengths.mean():.2f} px"]
    for flow in pair.found.values():
        captions.append(f"error {torch.linalg.vector_norm(flow - pair.truth, dim=0).mean():.2f} px")
    return ImageRow(pair.kind.split(", "), images, captions)


def _frame(frame: Tensor) -> np.ndarray:
    return ((frame.clamp(-1, 1) + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()


def _enlarged(image: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(image).resize((SIDE, SIDE), Image.Resampling.NEAREST))


def _wheel() -> np.ndarray:
    """A colour wheel: each pixel has the colour of the flow from the centre to it."""
    place = torch.linspace(-1, 1, SIDE)
    flow = torch.stack(torch.meshgrid(place, place, indexing="xy"))
    wheel = flow_colours(flow, 1.0).copy()
    wheel[(torch.linalg.vector_norm(flow, dim=0) > 1).numpy()] = 255
    return wheel
