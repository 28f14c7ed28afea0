"""Deinterlacing by FFmpeg's bwdif. No torch here."""

from collections.abc import Iterable, Iterator
from fractions import Fraction

import av


def deinterlaced(frames: Iterable[av.VideoFrame]) -> Iterator[av.VideoFrame]:
    """As many frames in the same order, both fields of each interlaced one at the moment of its first.

    Frames that are not marked as interlaced stay as they are. A frame needs its neighbours, so a clip must be given
    from its first frame on.
    """
    graph, size = None, None
    for frame in frames:
        if graph is None or size != (frame.width, frame.height, frame.format.name):
            yield from _rest(graph)
            graph, size = _graph(frame), (frame.width, frame.height, frame.format.name)
        graph.vpush(frame)
        yield from _ready(graph)
    yield from _rest(graph)


def _graph(frame: av.VideoFrame) -> av.filter.Graph:
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1, 1000)
    )
    bwdif = graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
    graph.link_nodes(source, bwdif, graph.add("buffersink")).configure()
    return graph


def _ready(graph: av.filter.Graph) -> Iterator[av.VideoFrame]:
    while True:
        try:
            yield graph.vpull()
        except (av.error.BlockingIOError, av.error.EOFError):
            return


def _rest(graph: av.filter.Graph | None) -> Iterator[av.VideoFrame]:
    if graph is not None:
        graph.vpush(None)
        yield from _ready(graph)
