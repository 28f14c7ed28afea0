"""How a stored frame is turned and mirrored before it is shown, as its display matrix says. No torch here.

Containers (MP4, MOV, MKV) hold a display matrix. FFmpeg's decoders of JPEG and PNG make one from EXIF's orientation.
"""

from fractions import Fraction
from typing import Any, NamedTuple

import av
import numpy as np
from av.sidedata.sidedata import Type

# Kinds of side data that PyAV has no name for, such as EXIF. It lists no side data of a frame that has one of them.
_UNNAMED = sorted(set(range(48)) - {kind.value for kind in Type})


class Orientation(NamedTuple):
    """One of the 8 ways to show a picture: first rows and columns change places, then columns and rows are reversed."""

    transposed: bool = False
    reverses_columns: bool = False
    reverses_rows: bool = False

    def shown(self, image: np.ndarray) -> np.ndarray:
        """The stored `image` (H, W) or (H, W, C) as it is shown: (W, H[, C]) if transposed. No pixel changes."""
        image = image.swapaxes(0, 1) if self.transposed else image
        return image[:: -1 if self.reverses_rows else 1, :: -1 if self.reverses_columns else 1]

    def sides(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) as shown of a stored size, and the reverse."""
        return (height, width) if self.transposed else (width, height)


def orientation_of(frame: av.VideoFrame) -> Orientation:
    """The orientation that the display matrix of a decoded frame gives, at the nearest right angle; as stored without.

    The matrix is 9 integers (a b u, c d v, x y w): the stored point (p, q), q downwards, is shown at
    (a p + c q, b p + d q). A negative determinant is a reflection, which `frame.rotation` does not know.
    """
    found: Any  # PyAV's side data is a buffer, which its stubs do not say
    try:
        found = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:
        found = _without_unnamed_side_data(frame).side_data.get("DISPLAYMATRIX")
    if found is None:
        return Orientation()
    a, b, _, c, d = np.frombuffer(bytes(found), np.int32)[:5].astype(int).tolist()
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(True, c < 0, b < 0)
    return Orientation(False, a < 0, d < 0)


def _without_unnamed_side_data(frame: av.VideoFrame) -> av.VideoFrame:
    graph = av.filter.Graph()
    time_base = Fraction(1, 1000)
    nodes = [graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=time_base)]
    nodes += [graph.add("sidedata", f"mode=delete:type={kind}") for kind in _UNNAMED]
    graph.link_nodes(*nodes, graph.add("buffersink")).configure()
    graph.vpush(frame)
    return graph.vpull()
