"""Thumbnails: four frames of a clip as tiny grey pictures, by which `mirrored` finds mirrored copies. No torch here."""

import av
import numpy as np

from videogan.data.orientation import orientation_of

SIDE, N_PICTURES = 8, 4


class Thumbnails:
    """Collects the thumbnails of a clip while its frames are decoded, without keeping the frames.

    They are its first frame, those whose indices are the two largest powers of two in the clip, and its last: of a clip
    of T frames one is in the second quarter and one in the second half. A copy of T frames has the same four.
    """

    def __init__(self) -> None:
        self._reformatter = av.video.reformatter.VideoReformatter()
        self._kept: dict[int, np.ndarray] = {}
        self._last: av.VideoFrame | None = None
        self._n_frames = 0

    def add(self, frame: av.VideoFrame) -> None:
        """Take the next frame."""
        if self._n_frames & (self._n_frames - 1) == 0:  # 0, 1, 2, 4, 8, ...
            self._kept[self._n_frames] = self._small(frame)
        self._last = frame
        self._n_frames += 1

    def packed(self) -> bytes:
        """The uint8 pictures (N_PICTURES, SIDE, SIDE) as bytes; none without frames."""
        if self._last is None:
            return b""
        largest = max(self._kept)
        chosen = [self._kept[0], self._kept[largest // 2], self._kept[largest], self._small(self._last)]
        return np.stack(chosen).tobytes()

    def _small(self, frame: av.VideoFrame) -> np.ndarray:
        small = self._reformatter.reformat(frame, SIDE, SIDE, format="gray", interpolation="AREA", threads=1)
        return orientation_of(frame).shown(small.to_ndarray())
