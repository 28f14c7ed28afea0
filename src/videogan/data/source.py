"""Shared by video files and stills: limits, information about a source, errors of unusable sources."""

from dataclasses import dataclass
from pathlib import Path

MAX_FPS = 120  # limits the frames of a file whose timestamps ask for more


class UnreadableVideo(ValueError):
    """A file that cannot be used as a video, with the reason."""

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason = str(path), reason

    def __reduce__(self) -> tuple:
        return type(self), (self.path, self.reason)


class MissingVideo(UnreadableVideo):
    """The file does not exist, so nothing is known about its content."""


@dataclass(frozen=True)
class Limits:
    """Limits of one file, checked on its header before decoding and then on each frame."""

    max_pixels: int = 4096 * 2304
    max_seconds: float = 300.0

    @property
    def most_frames(self) -> int:
        return int(self.max_seconds * MAX_FPS)

    def check_pixels(self, path: Path | str, width: int, height: int) -> None:
        """Raise UnreadableVideo if a frame is larger than allowed."""
        if width * height > self.max_pixels:
            raise UnreadableVideo(path, f"{width}x{height} pixels, data.max_pixels allows {self.max_pixels}")


@dataclass(frozen=True)
class VideoInfo:
    """Facts from a file's header and first frame; width and height as displayed, i.e. after rotation."""

    codec: str
    width: int
    height: int
    fps: float
    n_frames_header: int  # 0: unknown


@dataclass(frozen=True)
class Inspection:
    """The result of decoding a whole file: `n_frames` undamaged frames, and a warning about the rest.

    `thumbnails`: tiny pictures of some frames, by which `videogan.data.mirrored` finds mirrored copies.
    """

    info: VideoInfo
    n_frames: int
    sha: str
    warning: str | None
    thumbnails: bytes
