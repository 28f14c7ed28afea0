"""What sources of frames have in common: their limits, what they tell of themselves, why one cannot serve."""

from dataclasses import dataclass
from pathlib import Path

MAX_FPS = 120  # bounds the frames of a file whose timestamps ask for more


class UnreadableVideo(ValueError):
    """A file that cannot serve as a video, with the reason in words."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = str(path), reason

    def __reduce__(self) -> tuple:
        return type(self), (self.path, self.reason)


class MissingVideo(UnreadableVideo):
    """No file where one should be: nothing is known about its content."""


@dataclass(frozen=True)
class Limits:
    """What one file may ask for, checked on its header before decoding and on each frame after."""

    max_pixels: int = 4096 * 2304
    max_seconds: float = 300.0

    @property
    def most_frames(self) -> int:
        return int(self.max_seconds * MAX_FPS)

    def check_pixels(self, path: Path | str, width: int, height: int) -> None:
        """Raises UnreadableVideo where a frame is larger than allowed."""
        if width * height > self.max_pixels:
            raise UnreadableVideo(path, f"{width}x{height} pixels, data.max_pixels allows {self.max_pixels}")


@dataclass(frozen=True)
class VideoInfo:
    """A file as its header and first frame tell it; width and height as displayed, i.e. after rotation."""

    codec: str
    width: int
    height: int
    fps: float
    n_frames_header: int  # 0: not told


@dataclass(frozen=True)
class Inspection:
    """A file that was decoded from end to end: `n_frames` clean frames, and what is wrong with the rest."""

    info: VideoInfo
    n_frames: int
    sha: str
    warning: str | None
